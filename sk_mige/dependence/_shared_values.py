"""Repeated values that X and Y share, and columns in units of the classes of rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sk_mige.information.evidence import Z_90

from ._variables import Columns, is_few, row_codes

__all__ = ["ClassUnits", "SharedValues", "atoms_of", "distinct_columns", "shared_columns"]

# Repeated values are at least this share of the rows, and this number of rows.
MIN_REPEATED, FEWEST = 0.05, 10
# Smallest expected number of contradictions if a column did not determine another column.
FEWEST_AGREEMENTS = 20.0
# Largest number of pairs of columns that are compared one by one.
MAX_PAIRS = 400
# Values are continuous if the estimated number of unseen values exceeds this multiple of the rows.
MAX_UNSEEN = 10.0

Array = NDArray[Any]


class SharedValues:
    """Values that are functions of X and of Y, so that their information is their entropy.

    Coverage-adjusted frequencies [1]_ account for values that have not occurred.

    References
    ----------
    .. [1] A. Chao, T.-J. Shen, "Nonparametric Estimation of Shannon's Index of Diversity When
       There Are Unseen Species in Sample", Environmental and Ecological Statistics 10, 2003.
    """

    def __init__(self, left: Array, right: Array) -> None:
        pairs = _joined(left, right)
        counts = Counter(pairs)
        n, sizes = len(pairs), np.array(list(counts.values()))
        self.log_frequencies = {pair: float(np.log(size / n)) for pair, size in counts.items()}
        self.known = [np.unique(left), np.unique(right)]
        self.pointwise_ = -np.array([self.log_frequencies[pair] for pair in pairs])
        once, twice = int((sizes == 1).sum()), int((sizes == 2).sum())
        share = (1 - min(once, n - 1) / n) * sizes / n
        plug_in = float(self.pointwise_.mean())
        entropy = -float((share * np.log(share) / -np.expm1(n * np.log1p(-share))).sum())
        error = Z_90 * float(self.pointwise_.std()) / n**0.5
        # The second term is the bias of frequencies if all values have occurred.
        self.mutual_info_ = max(entropy, plug_in + (len(sizes) - 1) / (2 * n))
        self.interval_ = max(0.0, plug_in - error), 2 * self.mutual_info_ - plug_in + error
        if once**2 > 2 * MAX_UNSEEN * n * max(twice, 0.5):
            self.mutual_info_, self.interval_ = np.inf, (np.inf, np.inf)

    def pmi(self, left: Array, right: Array) -> NDArray[np.float64]:
        """Return the pointwise information of new values, or -inf for pairs unseen in the fit."""
        for name, values, known in zip("XY", (left, right), self.known, strict=True):
            unseen = np.setdiff1d(values, known).tolist()
            if unseen:
                raise ValueError(
                    f"{name} has values {unseen[:5]} that were not in the data passed to fit; "
                    "remove their rows"
                )
        pairs = _joined(left, right)
        return np.array([-self.log_frequencies.get(pair, np.inf) for pair in pairs])

    def permutation_test(self, n_permutations: int) -> float:
        """Return the smallest possible p-value, because shared values are dependent."""
        return 1 / (1 + n_permutations)


def _joined(left: Array, right: Array) -> list[str]:
    """Return one string for each pair of labels."""
    pairs = zip(left.ravel().tolist(), right.ravel().tolist(), strict=True)
    return ["\n".join(pair) for pair in pairs]  # skops files have no tuples as keys


def shared_columns(x: Array, y: Array) -> tuple[list[int], list[int]]:
    """Return the columns of x that are functions of y, and the columns of y that x determines.

    Columns without repeated values are left out. Only causes that repeat are evidence, so a single
    repeated value does not determine a column.
    """
    kept = [
        [k for k, column in enumerate(z.T) if _repeats(row_codes(column[:, None]))] for z in (x, y)
    ]
    codes = [[row_codes(z[:, [k]]) for k in own] for z, own in zip((x, y), kept, strict=True)]
    found = []
    for own, names, other, table in (
        (codes[0], kept[0], codes[1], y[:, kept[1]]),
        (codes[1], kept[1], codes[0], x[:, kept[0]]),
    ):
        same = {_partition(cause).tobytes() for cause in other}
        causes = other if len(own) * len(other) <= MAX_PAIRS else []
        causes = [*causes, row_codes(table)]
        found.append(
            [
                name
                for name, code in zip(names, own, strict=True)
                if (_partition(code).tobytes() in same and _determines(code, code))
                or any(_determines(c, code) for c in causes)
            ]
        )
    return found[0], found[1]


def distinct_columns(table: Array) -> list[int]:
    """Return the columns that differ from all earlier columns in which rows are equal."""
    partitions = [_partition(row_codes(column[:, None])).tobytes() for column in table.T]
    return [k for k, own in enumerate(partitions) if own not in partitions[:k]]


def _repeats(codes: NDArray[np.int64]) -> bool:
    n, distinct = len(codes), int(codes.max()) + 1
    return distinct > 1 and n - distinct >= max(FEWEST, MIN_REPEATED * n)


def _partition(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index of the first row with the same code."""
    _, first, owner = np.unique(codes, return_index=True, return_inverse=True)
    return np.asarray(first[owner.ravel()])


def _determines(cause: NDArray[np.int64], effect: NDArray[np.int64]) -> bool:
    """Return whether equal causes have equal effects more often than by chance."""
    distinct, repeated = int(cause.max()) + 1, np.bincount(cause)[cause] > 1
    frequencies = np.bincount(effect[repeated]) / max(1, repeated.sum())
    expected = (len(cause) - distinct) * (1 - float(frequencies @ frequencies))
    pairs = np.unique(cause * (effect.max() + 1) + effect)
    return expected >= FEWEST_AGREEMENTS and len(pairs) == distinct


def atoms_of(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the frequent values of a column that also has many values without repetition.

    An example is the zero of a column of amounts. Columns of other kinds have no atoms.
    """
    values, counts = np.unique(column, return_counts=True)
    least = max(FEWEST, MIN_REPEATED * len(column))
    single = int((counts == 1).sum())
    return values[counts >= least] if single >= least else values[:0]


class ClassUnits:
    r"""Columns minus the class means, divided by standard deviations, for classes of rows.

    The mean of a class of m rows is multiplied by :math:`w = \tau^2 / (\tau^2 + \sigma^2 / m)`.
    Here :math:`\sigma^2` is the variance within classes and :math:`\tau^2` the variance of the
    class means. The standard deviations are those of the differences. Columns with few values are
    replaced by ranks within a class if no class has all values. If a column is constant in a class,
    independent noise replaces the column, because equal values in X and in Y would seem dependent.
    """

    def __init__(self, table: Array, labels: Array, seed: int = 0) -> None:
        self.seed = seed
        self.columns = Columns("X", table)
        numbers = self.columns.transform(table)
        self.classes, owner = np.unique(labels, return_inverse=True)
        owner = owner.ravel()
        rows = [np.flatnonzero(owner == k) for k in range(len(self.classes))]
        self.values = [[np.unique(column[own]) for own in rows] for column in numbers.T]
        most = [max(map(len, values)) for values in self.values]
        self.kept = [k for k, m in enumerate(most) if m > 1]
        self.ranked = [
            k
            for k in self.kept
            if is_few(numbers[:, k]) and most[k] < len(np.unique(numbers[:, k]))
        ]
        self.moments = {
            k: _class_moments(numbers[:, k], rows) for k in self.kept if not is_few(numbers[:, k])
        }
        varies = [any(len(values[c]) > 1 for values in self.values) for c in range(len(rows))]
        self.repeated = np.array([len(own) > 1 for own in rows])
        self.constant = self.classes[self.repeated & ~np.array(varies)]

    def transform(self, table: Array, labels: Array) -> NDArray[np.float64]:
        """Return the columns in units of the classes, without columns constant in all classes."""
        numbers = self.columns.transform(table)
        unseen = np.setdiff1d(labels, self.classes).tolist()
        if unseen:
            raise ValueError(
                f"X and Y have the combinations of labels {unseen[:5]}, which were not in the data "
                "passed to fit; remove their rows"
            )
        owner = np.searchsorted(self.classes, labels)
        for k in self.ranked:
            numbers[:, k] = [
                np.searchsorted(self.values[k][c], v)
                for c, v in zip(owner, numbers[:, k], strict=True)
            ]
        generator = np.random.default_rng(self.seed)
        for k, (means, scales) in self.moments.items():
            numbers[:, k] = (numbers[:, k] - means[owner]) / scales[owner]
            noise = generator.standard_normal(len(numbers))
            single = np.array([len(values) == 1 for values in self.values[k]]) & self.repeated
            numbers[:, k] = np.where(single[owner], noise, numbers[:, k])
        return numbers[:, self.kept] if self.kept else np.zeros((len(numbers), 1))


def _class_moments(column: Array, rows: list[Array]) -> tuple[Array, Array]:
    """Return the shrunken means of the classes, and the deviations from these means."""
    n, sizes = len(column), np.array([len(own) for own in rows])
    centre, unit = column.mean(), max(column.std(), 1e-300)
    z = (column - centre) / unit
    means = np.array([z[own].mean() for own in rows])
    squares = np.array([np.square(z[own]).sum() for own in rows]) - sizes * means**2
    within = max(squares.sum() / max(1, n - len(rows)), 1e-12)
    between = sizes @ means**2 - (len(rows) - 1) * within
    spread = max(0.0, between / max(1.0, n - np.square(sizes).sum() / n))
    w = spread / (spread + within / sizes)
    # Ten rows of the average variance keep the variances of small classes finite.
    own = (squares + 10 * within) / (sizes - 1 + 10)
    variances = own * (1 - (2 * w - w**2) / sizes) + (1 - w) ** 2 * spread
    return centre + unit * w * means, unit * np.sqrt(variances)
