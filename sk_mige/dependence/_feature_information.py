"""Information between features and a target, as a score function for feature selection."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sk_mige._arrays import check_labels, readable
from sk_mige._warnings import warn_user
from sk_mige.information._samples import check_same_length

from ._chain_rule import is_wide, joint_information, parts_of, sum_of
from ._mutual_info import MutualInfoEstimator, checked_estimator
from ._variables import as_table, warn_of_series


def feature_information(
    X: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    groups: ArrayLike | None = None,
    estimator: MutualInfoEstimator | None = None,
) -> NDArray[np.float64]:
    """Mutual information of each feature with the target, in nats.

    The function is a ``score_func`` for :class:`~sklearn.feature_selection.SelectKBest` and other
    selectors. The columns of a group are scored together. The score of a group can exceed the
    scores of its single columns, for example if the target is the parity of the columns.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Features, as numbers or labels.
    y : array-like of shape (n_samples,) or (n_samples, n_targets)
        Target, as numbers or labels.
    groups : array-like of shape (n_features,), default=None
        Group of each feature. By default, each feature is a separate group.
    estimator : MutualInfoEstimator, default=None
        Estimator of the mutual information. None means ``MutualInfoEstimator()``.

    Returns
    -------
    ndarray of shape (n_features,)
        Information in nats. Features of one group have the same score.

    Raises
    ------
    TypeError
        If X or y is sparse, or ``estimator`` has another type.
    ValueError
        If the numbers of rows differ or are too small, or a value is missing. The error is also
        raised if the length of ``groups`` is not the number of features.

    Warns
    -----
    UserWarning
        If the information of a feature is infinite, or if its interval is wider than 0.3 nats and
        30 % of the estimate. The warning is also given if a feature and y change slowly from row to
        row, as time series do.

    See Also
    --------
    sklearn.feature_selection.mutual_info_classif : Nearest-neighbour estimates for single columns.
    conditional_mutual_info : Information of a feature beyond that of selected features.

    Notes
    -----
    Scores ignore redundancy between features, so two copies of a feature have about equal scores.
    Use :func:`functools.partial` to set ``groups`` and ``estimator`` inside a selector. Selectors
    of scikit-learn accept only numbers in X. Encode strings in X by
    :class:`~sklearn.preprocessing.OrdinalEncoder`, whose numbers are labels for at most 50
    categories.

    By default, all candidates are fitted to each group, which takes seconds per group. With
    ``estimator=MutualInfoEstimator(["linear", "quadratic", "neighbors"])``, scores with labels take
    a fraction of the time. These candidates underestimate the information if the most likely label
    alternates several times along a column.

    Examples
    --------
    The target y is the parity of two columns, but is independent of each single column:

    >>> import numpy as np
    >>> from functools import partial
    >>> from sklearn.feature_selection import SelectKBest
    >>> from sk_mige import feature_information
    >>> X = np.random.default_rng(0).integers(2, size=(500, 6))
    >>> y = X[:, 2] ^ X[:, 3]
    >>> pairs = partial(feature_information, groups=[0, 0, 1, 1, 2, 2])
    >>> SelectKBest(pairs, k=2).fit(X, y).get_support(indices=True)
    array([2, 3])
    """
    features, target = as_table("X", X), as_table("y", y)
    check_same_length({"X": features, "y": target})
    warn_of_series([features, target])
    owner = _group_numbers(groups, features.shape[1])
    estimator = checked_estimator(estimator)
    parts = parts_of("y", target)
    found = []
    for k in range(owner.max() + 1):
        group = parts_of(f"X's columns {np.flatnonzero(owner == k)}", features[:, owner == k])
        found.append(sum_of(list(joint_information(parts, group)), [], estimator))
    values = np.array([information.value for information in found])
    infinite = np.isinf(values)
    wide = np.array([is_wide(each.value, each.interval) for each in found]) & ~infinite
    _warn_about(
        "is infinite: y and these columns have a relation without noise. Add the measurement noise",
        infinite[owner],
    )
    _warn_about(f"has a wide 90 % interval with {len(features)} rows: pass more rows", wide[owner])
    return values[owner]


def _group_numbers(groups: ArrayLike | None, n_features: int) -> NDArray[np.int64]:
    """Return the group index of each feature, counted from 0."""
    if groups is None:
        return np.arange(n_features)
    given = np.asarray(readable(groups, "groups"))
    if given.shape != (n_features,):
        raise ValueError(
            f"groups must have one entry for each of the {n_features} features; got shape "
            f"{given.shape}"
        )
    check_labels(given, "groups")
    return np.unique(given, return_inverse=True)[1].ravel()


def _warn_about(what: str, concerned: NDArray[np.bool_]) -> None:
    if concerned.any():
        warn_user(f"the information of X's columns {np.flatnonzero(concerned)} {what}")
