"""WeightedKNNClassifier: nearest-neighbour classifier with cosine similarities."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from sk_mige.training.monitors import neighbour_votes, unit_rows
from sk_mige.training.targets import as_numpy, check_targets, class_indices, find_classes

from ._base import ProbabilisticClassifierMixin
from ._rows import check_samples


class WeightedKNNClassifier(ProbabilisticClassifierMixin, BaseEstimator):
    r"""Nearest-neighbour classifier with cosine similarities, for comparing representations.

    Self-supervised representations are often compared by the accuracy of this classifier [1]_. Let
    :math:`N(x)` be the k training rows with the largest cosine similarities :math:`s_i` to x. Each
    neighbour votes for its class with a weight that increases with the similarity:

    .. math:: p(c | x) \propto \sum_{i \in N(x)} 1[y_i = c]\, \exp(s_i / T).

    Parameters
    ----------
    n_neighbors : int, default=200
        Number k of neighbours. If the training data have fewer rows than ``n_neighbors``, all rows
        are neighbours. Publications often use the default value for data sets of at least 50,000
        images.
    temperature : float, default=0.1
        Temperature T. Smaller temperatures give more weight to the nearest neighbours.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted class labels.
    n_features_in_ : int
        Number of features seen during ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has string names.

    See Also
    --------
    NonLinearProbe : Classifier with one hidden layer.
    sklearn.neighbors.KNeighborsClassifier : Classifier for any metric, without temperature.

    Notes
    -----
    Cosine similarities depend on the origin and the units of the features. Put a ``StandardScaler``
    before the classifier if the means or the units of the features differ much.

    References
    ----------
    .. [1] Z. Wu, Y. Xiong, S. X. Yu, D. Lin, "Unsupervised Feature Learning via Non-Parametric
       Instance Discrimination", CVPR 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sk_mige import MIGEEncoder, WeightedKNNClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> encoder = MIGEEncoder(16, max_epochs=2, random_state=0)
    >>> pipeline = make_pipeline(encoder, WeightedKNNClassifier(20)).fit(X[:1000], y[:1000])
    >>> pipeline.score(X[1000:], y[1000:]) > 0.8
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, n_neighbors: int = 200, *, temperature: float = 0.1) -> None:
        self.n_neighbors = n_neighbors
        self.temperature = temperature

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> Self:
        """Store the rows and their labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Dense features with finite values.
        y : array-like of shape (n_samples,)
            Class labels, with at least two distinct values.

        Returns
        -------
        WeightedKNNClassifier
            This estimator.

        Raises
        ------
        ValueError
            If values are not finite, rows are too few, or the targets are not class labels.
        """
        rows = as_numpy(check_samples(self, X, reset=True, min_rows=2))
        y = check_targets(self, rows, y, "classification")
        self._rows = unit_rows(rows)
        self.classes_ = find_classes(y)
        self._labels = class_indices(y, self.classes_)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the fraction of votes for each class, in the order of ``classes_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Fractions of votes. Each row sums to 1.
        """
        return np.concatenate([*self._votes(X)])

    def _most_probable(self, X: Any) -> NDArray[np.int64]:
        return np.concatenate([votes.argmax(1) for votes in self._votes(X)])

    def _votes(self, X: Any) -> Iterator[NDArray[np.float64]]:
        """Return an iterator over the votes for parts of the rows."""
        check_is_fitted(self, "_labels")
        self._validate_params()  # parameters can change after fit
        return neighbour_votes(
            self._rows,
            self._labels,
            as_numpy(check_samples(self, X, reset=False)),
            n_neighbors=self.n_neighbors,
            temperature=self.temperature,
        )
