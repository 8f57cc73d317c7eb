"""Conditional information, total correlation and transfer entropy, by the chain rule."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor

from sk_mige.information._samples import check_same_length
from sk_mige.information.lags import check_lag, past_and_present

from ._chain_rule import (
    InformationEstimate,
    Part,
    Term,
    joint_information,
    order_key,
    parts_of,
    sum_of,
    warn_if_unresolved,
)
from ._mutual_info import MutualInfoEstimator, checked_estimator
from ._variables import as_table, warn_of_series


def conditional_mutual_info(
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    z: ArrayLike | Tensor,
    *,
    estimator: MutualInfoEstimator | None = None,
) -> InformationEstimate:
    r"""Conditional mutual information I(x; y | z) in nats, with a 90 % interval.

    .. math:: I(x; y \mid z) = I(x; (y, z)) - I(x; z)

    Parameters
    ----------
    x : array-like of shape (n_samples,) or (n_samples, n_columns)
        Rows of x, as numbers or labels.
    y : array-like of shape (n_samples,) or (n_samples, n_columns)
        Rows of y.
    z : array-like of shape (n_samples,) or (n_samples, n_columns)
        Rows of the condition.
    estimator : MutualInfoEstimator, default=None
        Estimator of the mutual information in each term. None means ``MutualInfoEstimator()``.

    Returns
    -------
    InformationEstimate
        Value, interval, pointwise information and fitted terms.

    Raises
    ------
    ValueError
        If the numbers of rows differ, a value is missing, or a class has too few rows. The error is
        also raised if z has exact relations with x and with y.

    Warns
    -----
    UserWarning
        If the interval is wider than 0.3 nats and 30 % of the estimate, or if the information is
        infinite.

    See Also
    --------
    sk_mige.information.conditional_mutual_info_gradient : Gradient of the information.

    Notes
    -----
    The two terms are estimated from the same rows, so their sampling errors are correlated. The
    total sampling error is the standard error of the row-by-row difference of pointwise
    information. The rest of each term's interval allows for bias. These parts are added, because
    the biases of the terms need not cancel.

    Exchanging x and y does not change the estimate. If z holds labels, numeric columns of x and y
    are standardised within each class, and a single estimator is fitted to all rows. With at most
    12 classes, each class has a separate estimator if the information is then significantly larger.
    At least half of the rows must belong to classes of 10 or more rows.

    References
    ----------
    .. [1] T. M. Cover, J. A. Thomas, "Elements of Information Theory", Wiley, 2006, section 2.5.

    Examples
    --------
    The variables x and y are independent given z, so I(x; y | z) = 0:

    >>> import numpy as np
    >>> from sk_mige import MutualInfoEstimator, conditional_mutual_info
    >>> z, noise_x, noise_y = np.random.default_rng(0).standard_normal((3, 1000))
    >>> estimator = MutualInfoEstimator(["gaussian", "elliptical"], random_state=0)
    >>> found = conditional_mutual_info(z + noise_x, z + noise_y, z, estimator=estimator)
    >>> bool(found.interval[0] <= 0 < found.interval[1] < 0.05)
    True
    """
    left, right, condition = _variables({"x": x, "y": y, "z": z})
    return _conditional(left, right, condition, checked_estimator(estimator))


def total_correlation(
    *variables: ArrayLike | Tensor, estimator: MutualInfoEstimator | None = None
) -> InformationEstimate:
    r"""Total correlation of several variables in nats, with a 90 % interval.

    .. math:: T(x_1, \dots, x_m) = \sum_i H(x_i) - H(x_1, \dots, x_m)
              = \sum_{i=2}^m I(x_i; (x_1, \dots, x_{i-1}))

    Parameters
    ----------
    *variables : array-like of shape (n_samples,) or (n_samples, n_columns)
        At least two variables, as numbers or labels. For the columns of an array or data frame,
        pass ``*np.asarray(table).T``.
    estimator : MutualInfoEstimator, default=None
        Estimator of the mutual information in each term. None means ``MutualInfoEstimator()``.

    Returns
    -------
    InformationEstimate
        Value, interval, pointwise information and fitted terms.

    Raises
    ------
    ValueError
        If there are fewer than two variables, the numbers of rows differ, a value is missing, or a
        class has too few rows.

    Warns
    -----
    UserWarning
        If the interval is wider than 0.3 nats and 30 % of the estimate, or if the information is
        infinite. The warning is also given if at least two variables change slowly from row to row,
        as time series do.

    See Also
    --------
    sk_mige.information.total_correlation_gradient : Gradient of the total correlation.

    Notes
    -----
    The order of the variables does not change the estimate. Errors of the terms are combined
    as in :func:`conditional_mutual_info`.

    References
    ----------
    .. [1] S. Watanabe, "Information Theoretical Analysis of Multivariate Correlation", IBM Journal
       of Research and Development 4, 1960.

    Examples
    --------
    The total correlation of Gaussians with correlation matrix R is −½ log det R, here 0.35 nats:

    >>> import numpy as np
    >>> from sk_mige import MutualInfoEstimator, total_correlation
    >>> R = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    >>> table = np.random.default_rng(0).multivariate_normal(np.zeros(3), R, 2000)
    >>> estimator = MutualInfoEstimator(["gaussian", "elliptical"], random_state=0)
    >>> low, high = total_correlation(*table.T, estimator=estimator).interval
    >>> bool(low < 0.35 < high)
    True
    """
    if len(variables) < 2:
        raise ValueError(
            f"total_correlation needs at least 2 variables; got {len(variables)}. For the columns "
            "of a table, pass *np.asarray(table).T"
        )
    named = {f"x{k}": values for k, values in enumerate(variables, start=1)}
    parts = sorted(_variables(named), key=order_key)
    warn_of_series([part.values for variable in parts for part in variable if not part.is_label])
    terms: list[Term] = []
    for k in range(1, len(parts)):
        earlier = [part for variable in parts[:k] for part in variable]
        terms += joint_information(parts[k], earlier)
    return warn_if_unresolved(sum_of(terms, [], checked_estimator(estimator)))


def transfer_entropy(
    source: ArrayLike | Tensor,
    target: ArrayLike | Tensor,
    *,
    lag: int = 1,
    estimator: MutualInfoEstimator | None = None,
) -> InformationEstimate:
    r"""Transfer entropy from one series to another in nats, with a 90 % interval.

    .. math:: T_{x \to y} = I(y_t; (x_{t-1}, \dots, x_{t-L}) \mid y_{t-1}, \dots, y_{t-L})

    Parameters
    ----------
    source : array-like of shape (n_times,) or (n_times, n_columns)
        Series x of numbers or labels, equally spaced in time.
    target : array-like of shape (n_times,) or (n_times, n_columns)
        Series y at the same time points.
    lag : int, default=1
        Number L of past values of each series.
    estimator : MutualInfoEstimator, default=None
        Estimator of the mutual information in each term. None means ``MutualInfoEstimator()``.

    Returns
    -------
    InformationEstimate
        Value, interval, pointwise information and fitted terms. Row k of the pointwise information
        belongs to time k + lag.

    Raises
    ------
    ValueError
        If the lengths differ, a value is missing, or a class has too few rows. The error is also
        raised if ``lag`` is not a positive int, or leaves fewer than 10 time points.

    Warns
    -----
    UserWarning
        If the interval is wider than 0.3 nats and 30 % of the estimate, or if the information is
        infinite.

    See Also
    --------
    conditional_mutual_info : Conditional mutual information without time.
    sk_mige.information.transfer_entropy_gradient : Gradient of the transfer entropy.

    Notes
    -----
    The series must be stationary. The sampling error accounts for the autocorrelation of pointwise
    information up to lag n^(1/3).

    References
    ----------
    .. [1] T. Schreiber, "Measuring Information Transfer", Physical Review Letters 85, 2000.

    Examples
    --------
    For y_t = x_{t-1} + noise, the transfer entropy from x to y is ½ log 2 = 0.35 nats. The transfer
    entropy from y to x is 0:

    >>> import numpy as np
    >>> from sk_mige import MutualInfoEstimator, transfer_entropy
    >>> x, noise = np.random.default_rng(0).standard_normal((2, 1000))
    >>> y = np.roll(x, 1) + noise
    >>> estimator = MutualInfoEstimator(["gaussian", "elliptical"], random_state=0)
    >>> found = [transfer_entropy(*pair, estimator=estimator).value for pair in ((x, y), (y, x))]
    >>> [round(value, 1) for value in found]
    [0.3, 0.0]
    """
    tables = {"source": as_table("source", source), "target": as_table("target", target)}
    check_same_length(tables)
    check_lag(lag, len(tables["source"]))
    source_past, _ = past_and_present(tables["source"], lag)
    target_past, future = past_and_present(tables["target"], lag)
    named = {"target": future, "source's past": source_past, "target's past": target_past}
    present, earlier, past = (parts_of(name, table) for name, table in named.items())
    return _conditional(present, earlier, past, checked_estimator(estimator), is_series=True)


def _conditional(
    x: tuple[Part, ...],
    y: tuple[Part, ...],
    z: tuple[Part, ...],
    estimator: MutualInfoEstimator,
    *,
    is_series: bool = False,
) -> InformationEstimate:
    ordered = sorted((x, y), key=order_key)
    for first, second in (ordered, ordered[::-1]):
        added, subtracted = joint_information(first, [*second, *z]), joint_information(first, z)
        found = sum_of(list(added), list(subtracted), estimator, is_series=is_series)
        if not math.isnan(found.value):
            return warn_if_unresolved(found)
    names = ["/".join(part.name for part in variable) for variable in (x, y, z)]
    raise ValueError(
        f"{names[0]} and {names[1]} each have a relation with {names[2]} without noise; add the "
        "measurement noise, or remove the shared columns"
    )


def _variables(named: dict[str, Any]) -> list[tuple[Part, ...]]:
    """Validate variables, and split their columns into labels and numbers."""
    tables = {name: as_table(name, values) for name, values in named.items()}
    check_same_length(tables)
    return [parts_of(name, table) for name, table in tables.items()]
