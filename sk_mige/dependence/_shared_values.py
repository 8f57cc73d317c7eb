"""Repeated values that X and Y share, and columns standardised within classes of rows."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sk_mige.information.evidence import Z_90
from sk_mige.information.residuals import rounding_error

from ._variables import Array, Columns, check_known, is_few, row_codes

# Smallest fraction and smallest number of rows with repeated values.
MIN_REPEATED, FEWEST = 0.05, 10
# Smallest expected number of contradictions if a column did not determine another column.
FEWEST_AGREEMENTS = 20.0
# Largest number of pairs of columns that are compared one by one.
MAX_PAIRS = 400
# Number of nearest rows to which a graph links each row, and largest number of rows of the graph.
# With fewer links, the graph of rows of a smooth density is not always connected.
N_NEAREST, MAX_GRAPH = 20, 5000
# Equal values in different units differ by at most this multiple of the rounding error.
ROUNDINGS = 4.0
# Values are continuous if the estimated number of unseen values exceeds MAX_UNSEEN times the number
# of rows.
MAX_UNSEEN = 10.0


class SharedValues:
    """Estimate of the entropy of values that X and Y share.

    Coverage-adjusted frequencies [1]_ account for values that have not occurred.

    References
    ----------
    .. [1] A. Chao, T.-J. Shen, "Nonparametric Estimation of Shannon's Index of Diversity When
       There Are Unseen Species in Sample", Environmental and Ecological Statistics 10, 2003.
    """

    def __init__(self, left: Array, right: Array) -> None:
        pairs = _keys(np.hstack([left, right]))
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
        # If all k values have occurred, frequencies underestimate the entropy by (k - 1) / 2n.
        self.mutual_info_ = max(entropy, plug_in + (len(sizes) - 1) / (2 * n))
        self.interval_ = max(0.0, plug_in - error), 2 * self.mutual_info_ - plug_in + error
        if once**2 > 2 * MAX_UNSEEN * n * max(twice, 0.5):
            self.mutual_info_, self.interval_ = np.inf, (np.inf, np.inf)

    def pmi(self, left: Array, right: Array) -> NDArray[np.float64]:
        """Return the pointwise information of new values, or -inf for pairs unseen in the fit."""
        for name, values, known in zip("XY", (left, right), self.known, strict=True):
            check_known(
                f"{name} has values {{}} that were", values.ravel().tolist(), known.tolist()
            )
        pairs = _keys(np.hstack([left, right]))
        return np.array([-self.log_frequencies.get(pair, np.inf) for pair in pairs])

    def permutation_test(self, n_permutations: int) -> float:
        """Return the smallest possible p-value, because shared values are dependent."""
        return 1 / (1 + n_permutations)


def _keys(table: Array) -> list[str]:
    """Return one string for each row, because skops files have no tuples as keys."""
    return ["\n".join(map(str, row)) for row in table.tolist()]


class KnownFunction:
    """Column that is a function of other columns, stored as a table of the given rows."""

    def __init__(self, columns: list[int], causes: Array, effect: Array) -> None:
        self.columns = columns
        self.values = dict(zip(_keys(causes[:, self.columns]), effect.tolist(), strict=True))

    def is_violated(self, causes: Array, effect: Array) -> NDArray[np.bool_]:
        """Return a mask of the rows whose effect differs from the known effect of the cause."""
        pairs = zip(_keys(causes[:, self.columns]), effect.tolist(), strict=True)
        return np.array([self.values.get(key, own) != own for key, own in pairs], dtype=bool)


def shared_columns(x: Array, y: Array) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Return the columns of x that y determines, and the columns of y that x determines.

    The value for a column is the list of columns of the other variable that determine the column.
    Columns without repeated values are left out. Repeated values of the other variable determine a
    column only if at least 20 contradictions would be expected by chance.
    """
    left, right = (
        {k: code for k, code in enumerate(map(row_codes, z.T[:, :, None])) if _repeats(code)}
        for z in (x, y)
    )
    return _functions(left, right, y), _functions(right, left, x)


def _functions(
    effects: dict[int, NDArray[np.int64]], causes: dict[int, NDArray[np.int64]], table: Array
) -> dict[int, list[int]]:
    """Return the effects that one cause or all causes determine, with the columns of the causes."""
    equal = {_partition(code).tobytes(): [k] for k, code in reversed(causes.items())}
    single = [([k], code) for k, code in causes.items()]
    every = list(causes), row_codes(table[:, list(causes)])
    tried = [*single, every] if len(effects) * len(causes) <= MAX_PAIRS else [every]
    found = {}
    for k, code in effects.items():
        same = equal.get(_partition(code).tobytes())
        for columns, cause in [(same, code), *tried] if same else tried:
            if _determines(cause, code):
                found[k] = columns
                break
    return found


def distinct_columns(table: Array) -> list[int]:
    """Return the columns that divide the rows differently from all earlier columns."""
    partitions = [_partition(row_codes(column[:, None])).tobytes() for column in table.T]
    return [k for k, own in enumerate(partitions) if own not in partitions[:k]]


def _repeats(codes: NDArray[np.int64]) -> bool:
    n, distinct = len(codes), int(codes.max()) + 1
    return distinct > 1 and n - distinct >= max(FEWEST, MIN_REPEATED * n)


def _partition(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index of the first row with the same code."""
    _, first, owner = np.unique(codes, return_index=True, return_inverse=True)
    return first[owner.ravel()]


def _determines(cause: NDArray[np.int64], effect: NDArray[np.int64]) -> bool:
    """Return whether equal causes have equal effects more often than by chance."""
    distinct, repeated = int(cause.max()) + 1, np.bincount(cause)[cause] > 1
    frequencies = np.bincount(effect[repeated]) / max(1, repeated.sum())
    expected = (len(cause) - distinct) * (1 - float(frequencies @ frequencies))
    pairs = np.unique(cause * (effect.max() + 1) + effect)
    return expected >= FEWEST_AGREEMENTS and len(pairs) == distinct


def atoms_of(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the frequent values of a column that also has many values without repetition.

    The zeros in a column of amounts are an example. For other columns, the result is empty.
    """
    values, counts = np.unique(column, return_counts=True)
    least = max(FEWEST, MIN_REPEATED * len(column))
    single = int((counts == 1).sum())
    return values[counts >= least] if single >= least else values[:0]


class Clusters:
    """Clusters of rows that are far apart in the given columns.

    The clusters are the components of a graph that links each distinct row to its ``N_NEAREST``
    nearest rows. Rows of other clusters are farther away than these rows.

    Parameters
    ----------
    table : ndarray of shape (n, d)
        Rows of numbers.
    columns : list of int
        Columns that the clusters depend on.
    """

    def __init__(self, table: Array, columns: list[int]) -> None:
        self.columns = columns
        self.centre = np.median(table[:, columns], axis=0)
        self.scale = abs(table[:, columns] - self.centre).mean(0) + np.finfo(float).tiny
        rows = np.unique(self._scaled(table), axis=0)
        self.rows = rows[:: 1 + (len(rows) - 1) // MAX_GRAPH]
        self.codes = _components(self.rows)

    def transform(self, table: Array) -> NDArray[np.int64]:
        """Return the cluster of each row, which is the cluster of the nearest row of the graph."""
        from sklearn.neighbors import NearestNeighbors  # the import takes time

        nearest = NearestNeighbors(n_neighbors=1).fit(self.rows)
        return self.codes[nearest.kneighbors(self._scaled(table), return_distance=False)[:, 0]]

    def merge(self, own: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
        """Merge the clusters ``own`` of the rows until ``others`` determine the merged clusters."""
        start, n_nodes = own.max() + 1, own.max() + others.max() + 2
        links = coo_array((np.ones(len(own)), (own, start + others)), (n_nodes, n_nodes))
        merged = connected_components(links, directed=False)[1]
        self.codes = merged[self.codes]
        return np.asarray(merged[own], np.int64)

    def _scaled(self, table: Array) -> NDArray[np.float64]:
        return (table[:, self.columns] - self.centre) / self.scale


def _components(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the component of each row in the graph of nearest rows."""
    if len(rows) <= 2 * N_NEAREST:
        return np.zeros(len(rows), np.int64)
    from sklearn.neighbors import kneighbors_graph  # the import takes time

    return connected_components(kneighbors_graph(rows, N_NEAREST), directed=False)[1]


def common_clusters(x: Array, y: Array) -> tuple[list[Clusters], list[Clusters]]:
    """Return clusters of x that are functions of y, and clusters of y that are functions of x.

    Clusters are found in each single column, and in all columns together. The columns are numbers.
    """
    found = []
    for z in (x, y):
        every = [*range(z.shape[1])]
        views = [[k] for k in every] + [every] * (len(every) > 1)  # each column, and all columns
        clusters = [Clusters(z, columns) for columns in views]
        found.append([own for own in clusters if own.codes.any()])
        if not found[-1]:
            return [], []
    codes = [
        np.stack([own.transform(z) for own in clusters], axis=1)
        for clusters, z in zip(found, (x, y), strict=True)
    ]
    left, right = map(_merged, found, codes, map(row_codes, codes[::-1]))
    return left, right


def _merged(
    clusters: list[Clusters], codes: NDArray[np.int64], others: NDArray[np.int64]
) -> list[Clusters]:
    """Merge clusters until ``others`` determine the result, and drop redundant clusters."""
    merged = [(own, own.merge(code, others)) for own, code in zip(clusters, codes.T, strict=True)]
    kept, known = [], np.zeros(len(codes), np.int64)
    for own, code in sorted(merged, key=lambda pair: -len(np.unique(pair[1]))):
        refined = row_codes(np.stack([known, code], axis=1))
        if refined.max() > known.max():
            kept.append(own)
            known = refined
    return kept


def have_equal_values(x: NDArray[np.float64], y: NDArray[np.float64]) -> bool:
    """Return whether a column of x equals a column of y in many rows, but not by chance.

    Columns may have different units, so values are equal if y / x is the most frequent ratio. The
    equal values must differ from row to row, and other differences must be rare.
    """
    if x.shape[1] * y.shape[1] > MAX_PAIRS:
        return False
    rounding = ROUNDINGS * rounding_error(torch.from_numpy(x), torch.from_numpy(y))
    decimals = 9 if rounding < 1e-9 else 6
    left, right = (z / np.maximum(abs(z).max(0), np.finfo(float).tiny) for z in (x, y))
    for column, other in product(left.T, right.T):
        ratio = _frequent_ratio(column, other, rounding)
        differences = ratio * column - other
        equal = (abs(differences) <= rounding * abs(other)) & (other != 0)
        if equal.sum() < FEWEST or len(np.unique(column[equal])) < 0.9 * equal.sum():
            continue
        # Differences of decimals, such as 0.3 - 0.2 and 0.2 - 0.1, differ by rounding errors.
        differences = (differences[~equal] / max(1, abs(ratio))).round(decimals)
        repeated = np.unique(differences, return_counts=True)[1].max(initial=0)
        if equal.sum() >= 10 * repeated:
            return True
    return False


def _frequent_ratio(column: Array, other: Array, rounding: float) -> float:
    """Return the most frequent ratio other / column of distinct pairs, or 0 if all are rare."""
    usable = np.minimum(abs(column), abs(other)) > 1e-150  # other ratios may overflow
    column, other = column[usable], other[usable]
    # Sorting ratios is many times faster than sorting pairs. If FEWEST ratios are within the
    # rounding error of one ratio, FEWEST / 2 successive ratios differ by at most twice the error.
    ratios, half = np.sort(other / column), FEWEST // 2 - 1
    if not (ratios[half:] - ratios[:-half] <= 2 * rounding * abs(ratios[half:])).any():
        return 0.0
    pairs = np.unique(column + 1j * other)
    ratios = np.sort(pairs.imag / pairs.real)
    ends = np.searchsorted(ratios, ratios + rounding * abs(ratios), side="right")
    counts = ends - np.arange(len(ratios))
    return float(ratios[ends - 1 - counts // 2][counts.argmax()]) if len(ratios) else 0.0


class ClassUnits:
    r"""Columns minus the class means, divided by standard deviations, for classes of rows.

    The mean of a class of m rows is multiplied by :math:`w = \tau^2 / (\tau^2 + \sigma^2 / m)`.
    Here :math:`\sigma^2` is the variance within classes and :math:`\tau^2` the variance of the
    class means. The standard deviations are computed from the differences. Columns with few values
    are replaced by ranks within a class if no class has all values. If a column is constant in a
    class, independent noise replaces the column, because equal values in X and in Y would seem
    dependent.
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
        """Standardise or rank columns within classes, and omit columns constant in all classes."""
        numbers = self.columns.transform(table)
        what = "X and Y have the combinations of labels {}, which were"
        check_known(what, labels.tolist(), self.classes.tolist())
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
    """Return the shrunken means of the classes, and standard deviations from these means."""
    n, sizes = len(column), np.array([len(own) for own in rows])
    centre = column.mean()
    unit = max(abs(column - centre).mean(), 1e-300)  # squares of large units overflow
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
