"""Sums and differences of mutual informations from the same rows, with a 90 % interval."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.base import clone
from sklearn.utils import check_random_state

from sk_mige._warnings import warn_user
from sk_mige.information.choice import CANDIDATES

from ._label_information import LABEL_CANDIDATES
from ._mutual_info import MutualInfoEstimator, is_wide
from ._variables import Columns, as_table, central_ranks, discrete_columns

__all__ = [
    "InformationEstimate",
    "Part",
    "Term",
    "joint_information",
    "order_key",
    "parts_of",
    "sum_of",
    "warn_if_unresolved",
]

Z_90 = float(ndtri(0.95))

Array = NDArray[Any]


@dataclass(frozen=True)
class InformationEstimate:
    """Signed sum of mutual informations, with a 90 % interval.

    Attributes
    ----------
    value : float
        Estimate in nats, at least 0.
    interval : tuple of float
        Lower and upper end of the 90 % interval, in nats.
    pointwise : ndarray of shape (n_samples,)
        Held-out pointwise information of each row, in nats. Values of single rows may be negative.
    terms : dict of str to MutualInfoEstimator
        Fitted estimator of each term, for example ``"I(x; y, z)"`` and ``"-I(x; z)"``.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige import MutualInfoEstimator, conditional_mutual_info
    >>> x, y, z = np.random.default_rng(0).standard_normal((3, 500))
    >>> estimator = MutualInfoEstimator("gaussian", random_state=0)
    >>> list(conditional_mutual_info(x + z, y + z, z, estimator=estimator).terms)
    ['I(x; y, z)', '-I(x; z)']
    """

    value: float
    interval: tuple[float, float]
    pointwise: NDArray[np.float64]
    terms: dict[str, MutualInfoEstimator]


@dataclass(frozen=True, eq=False)
class Part:
    """Numbers (n, d) or labels (n, 1) of one variable."""

    name: str
    values: Array
    is_label: bool


class Term(NamedTuple):
    """Mutual information term I(left; right), averaged over the classes of ``given``."""

    left: tuple[Part, ...]
    right: tuple[Part, ...]
    given: tuple[Part, ...]

    def __str__(self) -> str:
        left, right, given = (", ".join(part.name for part in side) for side in self)
        return f"I({left}; {right} | {given})" if given else f"I({left}; {right})"


class _Fit(NamedTuple):
    """Fitted estimator of a term, with the rows used and the signed weight in the sum."""

    estimator: MutualInfoEstimator
    rows: Array
    weight: float


def parts_of(name: str, values: Any) -> tuple[Part, ...]:
    """Validate a variable and split the columns into labels and numbers."""
    table = as_table(name, values)
    discrete = discrete_columns(table)
    suffixes = (" labels", " numbers") if discrete.any() and not discrete.all() else ("", "")
    parts = []
    if discrete.any():
        labels = np.array([[", ".join(map(str, row))] for row in table[:, discrete]])
        parts.append(Part(name + suffixes[0], labels, True))
    if not discrete.all():
        numbers = table[:, ~discrete]
        numbers = Columns(name, numbers).transform(numbers)
        parts.append(Part(name + suffixes[1], numbers, False))
    return tuple(parts)


def order_key(variable: Sequence[Part]) -> tuple[Any, ...]:
    """Return a sort key of a variable: kind, number of columns, and ranks of the first rows.

    Variables of labels are sorted before variables of numbers. Monotone maps of columns do not
    change the sort key.
    """
    columns = [(part.is_label, column) for part in variable for column in part.values.T]
    first_rows = [_place(column, is_label) for is_label, column in columns]
    return any(not is_label for is_label, _ in columns), len(columns), *np.ravel(first_rows)


def _place(column: Array, is_label: bool) -> NDArray[np.int64]:
    """Return the first rows' rank distances from the median, or matches with the first label."""
    if is_label:
        return np.asarray(column[:8] == column[0], dtype=np.int64)
    return central_ranks(column)


def joint_information(left: Sequence[Part], right: Sequence[Part]) -> Iterator[Term]:
    """Decompose I(left; right) into terms with only labels or only numbers on each side.

    With labels a, c and numbers b, d, the chain rule is
    I(a, b; c, d) = I(a; c) + I(a; d | c) + I(b; c | a) + I(b; d | a, c).
    """
    sides = [
        (tuple(p for p in side if p.is_label), tuple(p for p in side if not p.is_label))
        for side in (left, right)
    ]
    for a, given_a in ((sides[0][0], ()), (sides[0][1], sides[0][0])):
        for b, given_b in ((sides[1][0], ()), (sides[1][1], sides[1][0])):
            if a and b:
                yield Term(a, b, (*given_a, *given_b))


def sum_of(
    added: Sequence[Term],
    subtracted: Sequence[Term],
    estimator: MutualInfoEstimator | None,
    *,
    is_series: bool = False,
) -> InformationEstimate:
    """Estimate the added terms minus the subtracted terms, without warnings.

    A term that is both added and subtracted cancels. The value is NaN if a subtracted term is
    infinite.
    """
    estimator = MutualInfoEstimator() if estimator is None else estimator
    if not isinstance(estimator, MutualInfoEstimator):
        raise TypeError(f"estimator must be a MutualInfoEstimator or None; got {estimator!r}")
    seed = int(check_random_state(estimator.random_state).randint(2**31 - 1))
    seeded = clone(estimator).set_params(random_state=seed)
    counts = Counter(added)
    counts.subtract(subtracted)
    terms: dict[str, MutualInfoEstimator] = {}
    fits: list[_Fit] = []
    for term, sign in counts.items():
        for name, fit in _fit_term(term, sign, seeded) if sign else ():
            terms[name] = fit.estimator
            fits.append(fit)
    n = len(added[0].left[0].values)
    value = sum(fit.weight * fit.estimator.mutual_info_ for fit in fits)
    if not math.isfinite(value):
        value = math.inf if value > 0 else math.nan
        return InformationEstimate(value, (value, value), np.full(n, value), terms)
    pointwise = np.zeros(n)
    for fit in fits:
        pointwise[fit.rows] += np.sign(fit.weight) * fit.estimator.pointwise_
    sampling = Z_90 * _standard_error(pointwise, is_series)
    down, up = (sum(errors) for errors in zip(*map(_resolution, fits), strict=True))
    # Information is nonnegative, so the error of a negative sum is at least its absolute value.
    up = math.hypot(sampling, up + max(0.0, -value))
    down = math.hypot(sampling, down)
    value = max(0.0, value)
    interval = (max(0.0, value - down), value + up)
    return InformationEstimate(value, interval, pointwise, terms)


def _fit_term(term: Term, sign: int, estimator: MutualInfoEstimator) -> Iterator[tuple[str, _Fit]]:
    """Fit the estimator of one term, separately in each class of the condition."""
    left, right = (np.hstack([part.values for part in side]) for side in term[:2])
    n, prefix = len(left), "-" if sign < 0 else ""
    estimator = _with_candidates(estimator, [part.is_label for part in (*term.left, *term.right)])
    if not term.given:
        yield prefix + str(term), _Fit(_fit(str(term), estimator, left, right), np.arange(n), sign)
        return
    labels = np.hstack([part.values for part in term.given])
    classes, owner = np.unique(labels, axis=0, return_inverse=True)
    for k, label in enumerate(classes):
        rows = np.flatnonzero(owner.ravel() == k)
        name = f"{term} at {', '.join(label)}"
        yield (
            prefix + name,
            _Fit(_fit(name, estimator, left[rows], right[rows]), rows, sign * len(rows) / n),
        )


def _with_candidates(estimator: MutualInfoEstimator, is_label: list[bool]) -> MutualInfoEstimator:
    """Keep the candidates for labels or for numbers, and return "auto" for pairs of labels."""
    asked = estimator.candidates
    names = [asked] if isinstance(asked, str) else list(asked)
    if names == ["auto"] or not set(names) <= {*CANDIDATES, *LABEL_CANDIDATES}:
        return estimator
    known = LABEL_CANDIDATES[1:] if any(is_label) else CANDIDATES
    kept = [name for name in names if name in known]
    chosen = "auto" if all(is_label) else kept or names
    fitting: MutualInfoEstimator = clone(estimator).set_params(candidates=chosen)
    return fitting


def _fit(name: str, estimator: MutualInfoEstimator, x: Array, y: Array) -> MutualInfoEstimator:
    try:
        return _fit_quietly(estimator, x, y)
    except ValueError as error:
        raise ValueError(f"{name} cannot be estimated: {error}") from error


def _fit_quietly(estimator: MutualInfoEstimator, x: Array, y: Array) -> MutualInfoEstimator:
    """Fit a clone without warnings, because the caller warns about the sum of all terms."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fitted: MutualInfoEstimator = clone(estimator).fit(x, y)
        return fitted


def _standard_error(pointwise: NDArray[np.float64], is_series: bool) -> float:
    """Return the standard error of the mean, corrected for autocorrelation in a series."""
    n = len(pointwise)
    centred = pointwise - pointwise.mean()
    variance = centred @ centred / n
    if is_series:
        longest = round(n ** (1 / 3))
        weighted = [
            2 * (1 - lag / (longest + 1)) * (centred[lag:] @ centred[:-lag]) / n
            for lag in range(1, longest + 1)
        ]
        variance = max(variance, variance + sum(weighted))
    return math.sqrt(variance / n)


def _resolution(fit: _Fit) -> tuple[float, float]:
    """Return the lower and upper errors of a term, without the sampling error."""
    fitted, weight = fit.estimator, abs(fit.weight)
    value, (low, high) = fitted.mutual_info_, fitted.interval_
    sampling = Z_90 * _standard_error(fitted.pointwise_, False)
    down, up = (
        weight * math.sqrt(max(0.0, side**2 - sampling**2)) for side in (value - low, high - value)
    )
    return (down, up) if fit.weight > 0 else (up, down)


def warn_if_unresolved(found: InformationEstimate) -> InformationEstimate:
    """Warn if the information is infinite or its interval is wide, and return the estimate."""
    if math.isinf(found.value):
        names = [name for name, fitted in found.terms.items() if math.isinf(fitted.mutual_info_)]
        warn_user(
            f"{', '.join(names)} is infinite: the variables share a linear combination of columns "
            "without noise. Remove the combination from one variable, or add the measurement noise"
        )
    elif is_wide(found.value, found.interval):
        widths = {name: np.ptp(fitted.interval_) for name, fitted in found.terms.items()}
        widest = max(widths, key=lambda name: widths[name]).removeprefix("-")
        low, high = found.interval
        warn_user(
            f"{len(found.pointwise)} rows do not resolve the information: the 90 % interval goes "
            f"from {low:.2f} to {high:.2f} nats. The widest interval is that of {widest}; pass "
            "more rows or fewer columns"
        )
    return found
