"""Sums of mutual information terms from the same rows, with a 90 % interval."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.base import clone
from sklearn.utils import check_random_state

from sk_mige._warnings import warn_user
from sk_mige.information.choice import CANDIDATES

from ._label_information import LABEL_CANDIDATES
from ._shared_values import ClassUnits
from ._variables import Array, Columns, central_ranks, discrete_columns, is_discrete

Z_90 = float(ndtri(0.95))
# An interval is wide if its width exceeds 0.3 nats and 30 % of the value.
WIDE_NATS, WIDE_SHARE = 0.3, 0.3
# Smallest number of rows of a class, and largest fraction of rows in smaller classes.
MIN_CLASS, MAX_RARE = 10, 0.2
# Numeric terms are fitted separately in each class only if the condition has few large classes. The
# information must also increase significantly and by more than TOLERANCE.
MAX_SEPARATE, MIN_SEPARATE, TOLERANCE = 12, 20, 0.01
FAST = ("gaussian", "elliptical", "mixture", "linear", "quadratic")


class FittedInformation(Protocol):
    """Fitted value of the information between two tables."""

    mutual_info_: float
    interval_: tuple[float, float]
    pointwise_: NDArray[np.float64]

    def pmi(self, X: Any, Y: Any) -> NDArray[np.float64]:
        """Return the pointwise information of new rows."""

    def permutation_test(self, n_permutations: int) -> float:
        """Return the p-value of a test of independence."""


class Estimator(FittedInformation, Protocol):
    """Estimator that fits the terms of a sum, such as :class:`MutualInfoEstimator`."""

    candidates: Any
    random_state: Any

    def fit(self, X: Any, Y: Any) -> Self:
        """Fit the rows of two tables."""

    def set_params(self, **params: Any) -> Any:
        """Set parameters."""


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
    pointwise: NDArray[np.float64] = field(repr=False)
    terms: dict[str, FittedInformation] = field(repr=False)


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

    @property
    def names(self) -> list[list[str]]:
        """Names of the parts."""
        return [[part.name for part in side] for side in self]

    @property
    def classes(self) -> Array:
        """Class of each row, from the labels of ``given``."""
        return row_labels(np.hstack([part.values for part in self.given]))


@dataclass
class FittedTerm:
    """Fitted estimator of a term or of a class in a term, with rows and signed weight."""

    name: str
    # Names of the parts of left, right and given.
    sides: list[list[str]]
    estimator: FittedInformation
    rows: Array
    weight: float
    # Class of the rows, or None if the estimator has the rows of all classes.
    label: str | None = None
    # Units of left and right within the classes of the condition.
    units: tuple[ClassUnits, ClassUnits] | None = None
    # Information in nats by which the value may be too large.
    excess: float = 0.0

    def pmi(self, tables: dict[str, Array]) -> NDArray[np.float64]:
        """Return the pointwise information of new rows, 0 for the rows of other classes."""
        left, right = (np.hstack([tables[n] for n in names]) for names in self.sides[:2])
        if self.label is None and self.units is None:
            return self.estimator.pmi(left, right)
        labels = row_labels(np.hstack([tables[n] for n in self.sides[2]]))
        own = labels == self.label
        if self.units is not None:
            own = ~np.isin(labels, [*self.units[0].constant, *self.units[1].constant])
            pair = (u.transform(z, labels) for u, z in zip(self.units, (left, right), strict=True))
            left, right = pair
        found = np.zeros(len(left))
        if own.any():
            found[own] = self.estimator.pmi(left[own], right[own])
        return found


def parts_of(name: str, table: Array) -> tuple[Part, ...]:
    """Split the columns of a validated table into labels and numbers."""
    discrete = discrete_columns(table)
    suffixes = (" labels", " numbers") if discrete.any() and not discrete.all() else ("", "")
    parts = []
    if discrete.any():
        labels = row_labels(table[:, discrete])[:, None]
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
    # For labels, equality with the label of the first row replaces the rank.
    ranks = [
        column[:8] == column[0] if part.is_label else central_ranks(column)
        for part in variable
        for column in part.values.T
    ]
    return any(not part.is_label for part in variable), len(ranks), *np.ravel(ranks)


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
    estimator: Estimator,
    *,
    is_series: bool = False,
) -> InformationEstimate:
    """Estimate the added terms minus the subtracted terms, without warnings.

    A term that is both added and subtracted cancels. The value is NaN if a subtracted term is
    infinite.
    """
    for term in (*added, *subtracted):
        _check_classes(term)
    fits = fit_terms(added, subtracted, estimator)
    return combine(fits, len(added[0].left[0].values), is_series=is_series)


def fit_terms(
    added: Sequence[Term], subtracted: Sequence[Term], estimator: Estimator
) -> list[FittedTerm]:
    """Fit the terms of a sum, except terms that are both added and subtracted."""
    seed = int(check_random_state(estimator.random_state).randint(2**31 - 1))
    seeded = clone(estimator).set_params(random_state=seed)
    counts = Counter(added)
    counts.subtract(subtracted)
    return [fit for term, sign in counts.items() if sign for fit in _fit_term(term, sign, seeded)]


def _check_classes(term: Term) -> None:
    """Raise ValueError if most rows of a term belong to rare classes of the condition."""
    if not term.given:
        return
    sizes = np.unique(term.classes, return_counts=True)[1]
    if sizes[sizes < MIN_CLASS].sum() > 0.5 * sizes.sum():
        raise ValueError(
            f"{term} cannot be estimated: more than half of the {sizes.sum()} rows belong to "
            f"classes of fewer than {MIN_CLASS} rows. Merge rare classes"
        )


def combine(fits: Sequence[FittedTerm], n: int, *, is_series: bool = False) -> InformationEstimate:
    """Return the sum of fitted terms of n rows."""
    terms = {fit.name: fit.estimator for fit in fits}
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
    # If the intervals of all terms contain 0, the interval of the sum contains 0.
    low = max(0.0, value - down) if any(f.estimator.interval_[0] > 0 for f in fits) else 0.0
    interval = (low, value + up)
    return InformationEstimate(value, interval, pointwise, terms)


def _fit_term(term: Term, sign: int, estimator: Estimator) -> list[FittedTerm]:
    """Fit one term, either separately in each class or to columns standardised within classes."""
    left, right = (np.hstack([part.values for part in side]) for side in term[:2])
    name, every = "-" * (sign < 0) + str(term), np.arange(len(left))
    are_labels = [part.is_label for part in (*term.left, *term.right)]
    if not term.given:
        return [FittedTerm(name, term.names, _fit(str(term), estimator, left, right), every, sign)]
    labels = term.classes
    if all(are_labels):
        return _fit_classes(name, term, sign, labels, MIN_CLASS, estimator)
    units = ClassUnits(left, labels, seed=0), ClassUnits(right, labels, seed=1)
    pair = [unit.transform(z, labels) for unit, z in zip(units, (left, right), strict=True)]
    _, owner, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    # Rows of a constant class have no information. Classes of one row have no mean of other rows.
    varies = ~np.isin(labels, [*units[0].constant, *units[1].constant])
    rows = np.flatnonzero(varies & (sizes[owner.ravel()] > 1))
    if len(rows) < MIN_CLASS:
        rows = every
    joint = _fit(str(term), estimator, *(z[rows] for z in pair))
    weight = sign * (varies.mean() if len(rows) < len(every) else 1.0)
    pooled = FittedTerm(name, term.names, joint, rows, weight, units=units)
    rare = sizes[sizes < MIN_SEPARATE].sum() / len(labels)
    if not 1 < len(sizes) <= MAX_SEPARATE or rare > MAX_RARE or math.isinf(joint.mutual_info_):
        return [pooled]
    try:
        apart = _fit_classes(name, term, sign, labels, MIN_SEPARATE, _fast(estimator))
    except ValueError:  # classes without enough rows for all labels or columns
        return [pooled]
    gain = sum(abs(f.weight) * f.estimator.mutual_info_ for f in apart)
    gain -= abs(weight) * joint.mutual_info_
    if math.isinf(gain):
        return apart
    together = np.zeros(len(labels))
    together[rows] = joint.pointwise_
    change = np.concatenate([f.estimator.pointwise_ - together[f.rows] for f in apart])
    required = TOLERANCE + change.std() / len(change) ** 0.5
    if -gain > required and _leftover(labels[rows], [z[rows] for z in pair], estimator) > TOLERANCE:
        pooled.excess = -gain
    return apart if gain > required else [pooled]


def _leftover(labels: Array, pair: list[Array], estimator: Estimator) -> float:
    """Return a lower bound on the information about the class in each of two standardised tables.

    After standardisation, columns still depend on the class if the classes differ in shape. If both
    tables depend on the class, the mutual information of all rows can exceed the average mutual
    information within the classes.
    """
    label = np.asarray(labels)[:, None]
    return min(_fit("I(class; columns)", _fast(estimator), label, z).interval_[0] for z in pair)


def _fast(estimator: Estimator) -> Estimator:
    """Return a copy with only the fast candidates, or the estimator if no candidate is fast."""
    asked = FAST if estimator.candidates == "auto" else tuple(estimator.candidates)
    fast = [name for name in FAST if name in asked]
    return clone(estimator).set_params(candidates=fast) if fast else estimator


def _fit_classes(
    name: str, term: Term, sign: int, labels: Array, least: int, estimator: Estimator
) -> list[FittedTerm]:
    """Fit the estimator in each large class, weighted by its fraction of the rows."""
    left, right = (np.hstack([part.values for part in side]) for side in term[:2])
    classes, owner, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if sizes[sizes < least].sum() > MAX_RARE * len(labels):
        least = 0  # the error of the estimator names the small class
    n = sizes[sizes >= least].sum()
    fits = []
    for k in np.flatnonzero(sizes >= least):
        rows = np.flatnonzero(owner.ravel() == k)
        own = f"{name} at {classes[k]}"
        fitted = _fit(own.removeprefix("-"), estimator, left[rows], right[rows])
        fits.append(FittedTerm(own, term.names, fitted, rows, sign * len(rows) / n, classes[k]))
    return fits


def row_labels(table: Array) -> Array:
    """Return one string per row."""
    return np.array([", ".join(map(str, row)) for row in table.tolist()])


def _with_candidates(estimator: Estimator, x: Array, y: Array) -> Estimator:
    """Return a copy with the candidates that suit x and y, or with "auto" if none is suitable.

    For two labels, the copy always has "auto".
    """
    fitting: Estimator = clone(estimator)
    asked = estimator.candidates
    names = [asked] if isinstance(asked, str) else list(asked)
    if names == ["auto"] or not set(names) <= {*CANDIDATES, *LABEL_CANDIDATES}:
        return fitting
    are_labels = [is_discrete(z) for z in (x, y)]
    known = LABEL_CANDIDATES[1:] if any(are_labels) else CANDIDATES
    kept = [name for name in names if name in known]
    return fitting.set_params(candidates="auto" if all(are_labels) else kept or "auto")


def _fit(name: str, estimator: Estimator, x: Array, y: Array) -> Estimator:
    """Fit a clone without warnings, because the caller warns about the sum of all terms."""
    fitted = _with_candidates(estimator, x, y)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return fitted.fit(x, y)
    except ValueError as error:
        raise ValueError(f"{name} cannot be estimated as I(X; Y): {error}") from error


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


def _resolution(fit: FittedTerm) -> tuple[float, float]:
    """Return the lower and upper errors of the value, without the sampling error."""
    fitted, weight = fit.estimator, abs(fit.weight)
    value, (low, high) = fitted.mutual_info_, fitted.interval_
    sampling = Z_90 * _standard_error(fitted.pointwise_, False)
    down, up = (
        weight * math.sqrt(max(0.0, side**2 - sampling**2)) for side in (value - low, high - value)
    )
    down += fit.excess
    return (down, up) if fit.weight > 0 else (up, down)


def is_wide(value: float, interval: tuple[float, float]) -> bool:
    """Return whether a 90 % interval is wide relative to the value."""
    low, high = interval
    return high - low > max(WIDE_NATS, WIDE_SHARE * value)


def warn_if_unresolved(found: InformationEstimate) -> InformationEstimate:
    """Warn if the information is infinite or its interval is wide, and return the estimate."""
    if math.isinf(found.value):
        names = [name for name, fitted in found.terms.items() if math.isinf(fitted.mutual_info_)]
        warn_user(
            f"the estimate of {' and of '.join(names)} is infinite: the variables have a relation "
            "without noise. Add the measurement noise, or remove the shared columns"
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
