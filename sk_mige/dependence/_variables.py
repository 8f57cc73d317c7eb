"""Validation and transformation of variables for estimates of mutual information."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from scipy.special import ndtri
from scipy.stats import entropy
from torch import Tensor

from sk_mige._arrays import as_array, column_names, is_missing_label
from sk_mige._warnings import warn_user
from sk_mige.estimators._rows import FEWEST_IN_SERIES, pace
from sk_mige.information.axes import independent_columns
from sk_mige.information.components import independent_components
from sk_mige.training.targets import as_numpy

# A numeric column is discrete if it has at most 2 distinct values, or at most 50 distinct values
# that are at most 10 % of the rows.
DISTINCT_SHARE, MAX_CLASSES = 0.1, 50
# Equal rows are frequent if their number exceeds FREQUENT times the median number of equal rows.
FREQUENT = 10

Array = NDArray[Any]


def as_table(name: str, values: Any) -> Array:
    """Validate a variable and return an array (n, d)."""
    if issparse(values):
        raise TypeError(f"{name} is a sparse matrix; pass {name}.toarray()")
    table = as_array(as_numpy(values, name), name)
    if table.size == 0:
        raise ValueError(f"{name} has no values, got shape {table.shape}: pass at least one value")
    if table.ndim == 0:
        raise ValueError(
            f"{name} is the single value {values!r:.20}: pass one value for each row. For the "
            "columns of a data frame, pass *np.asarray(frame).T"
        )
    if table.ndim > 2:
        raise ValueError(
            f"{name} has the shape {table.shape}, but must have one or two dimensions: pass "
            f"{name}.reshape({len(table)}, -1) or {name}.reshape(-1, {table.shape[-1]})"
        )
    table = table.reshape(len(table), -1)
    _check_entries(name, table)
    named = _categorical(values)
    if any(named):
        table = table.astype(object)
        table[:, named] = table[:, named].astype(str)
    if table.dtype.kind == "O":
        table = _dates_as_numbers(table)
    if table.dtype.kind in "iuO":
        _check_distinct_in_float64(name, table)
    return table


def _categorical(values: Any) -> list[bool]:
    """Return whether each column is a categorical of pandas, whose categories can be numbers."""
    is_frame = hasattr(values, "columns")
    dtypes = getattr(values, "dtypes", ()) if is_frame else [getattr(values, "dtype", None)]
    return [str(dtype) == "category" for dtype in dtypes]


def _dates_as_numbers(table: Array) -> Array:
    """Return a table of objects with dates and durations in seconds."""
    kinds = (dt.date, dt.timedelta)
    dated = [all(isinstance(value, kinds) for value in column) for column in table.T]
    if any(dated):
        table = table.copy()
        table[:, dated] = np.vectorize(_seconds, otypes=[object])(table[:, dated])
    return table


def _seconds(value: dt.date | dt.timedelta) -> float:
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    return (value if value.tzinfo else value.replace(tzinfo=dt.UTC)).timestamp()


def _check_entries(name: str, table: Array) -> None:
    """Raise ValueError for missing values, and for values that are neither numbers nor labels."""
    if _has_missing(table):
        raise ValueError(f"{name} contains NaN, None or infinity; drop or correct these rows")
    for value in table.flat if table.dtype.kind in "OV" else ():
        if not isinstance(value, Hashable) or isinstance(value, complex | np.void):
            raise ValueError(
                f"{name} has entries of type {type(value).__name__}; pass numbers or strings, in "
                "one column for each feature"
            )


def _has_missing(table: Array) -> bool:
    """Return whether a value is missing or infinite."""
    if table.dtype.kind in "mM":
        return bool(np.isnat(table).any())
    if table.dtype.kind == "O":
        return any(
            is_missing_label(value) or (isinstance(value, float) and math.isinf(value))
            for value in table.flat
        )
    return table.dtype.kind == "f" and not np.isfinite(table).all()


def _check_distinct_in_float64(name: str, table: Array) -> None:
    """Raise ValueError if the conversion to float64 makes different integers equal."""
    for k, column in enumerate(table.T):
        integers = {v for v in column.tolist() if isinstance(v, int) and abs(v) > 2**53}
        beyond = max(map(abs, integers), default=0) >= 2**1024  # float() would raise
        if beyond or len({float(v) for v in integers}) < len(integers):
            raise ValueError(
                f"column {k} of {name} has integers such as {max(integers)!s:.40}, which "
                "float64 does not distinguish: subtract the minimum, or pass strings"
            )


def check_names(name: str, values: Any, known: list[str] | None) -> None:
    """Raise ValueError if a data frame has other columns than the data frame passed to fit."""
    names = column_names(values)
    if names is not None and known is not None and names != known:
        raise ValueError(
            f"{name} has the columns {names!s:.80}, but fit received {known!s:.80}; pass the same "
            "columns in the same order"
        )


def check_known(what: str, values: Iterable[Any], known: Iterable[Any]) -> None:
    """Raise ValueError for values that were not in the rows of the fit."""
    unseen = sorted(set(values) - set(known))
    if unseen:
        raise ValueError(
            f"{what.format(unseen[:5])} not in the data passed to fit; remove their rows"
        )


def warn_of_series(variables: Sequence[Array]) -> None:
    """Warn if at least two variables have a column that changes slowly from row to row.

    One of the columns must be numeric, because rows sorted by several labels are not a series.
    """
    if min(map(len, variables), default=0) < FEWEST_IN_SERIES:
        return
    slow = [_is_slow_series(table) for table in variables]
    if any(slow) and sum(s or _is_slow_label(v) for s, v in zip(slow, variables, strict=True)) > 1:
        warn_user(
            "successive rows of the variables are close to each other, as in a time series. The "
            "estimate is for independent rows and can be far too large. Pass the differences of "
            "successive rows, or use transfer_entropy"
        )


def _is_slow_series(table: Array) -> bool:
    """Return whether a column is a series with small steps that add up.

    Medians of the differences make the result insensitive to the jumps of rows sorted by class.
    """
    numbers = Columns("X", table).transform(table)
    ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in numbers.T], axis=1)
    near, slow = pace(ranks, lambda one, other: np.median(abs(one - other), axis=0))
    return bool((slow & (near > 0)).any())


def _is_slow_label(table: Array) -> bool:
    """Return whether a column has long runs of equal values, and returns to earlier values.

    In rows sorted by a label, each value has a single run.
    """
    numbers = Columns("X", table).transform(table)
    near, slow = pace(numbers, lambda one, other: (one != other).mean(axis=0))
    n_values = np.array([len(np.unique(column)) for column in numbers.T])
    return bool((slow & (near * len(table) > 2 * n_values)).any())


class Columns:
    """Conversion of the columns of a table to numbers, with integer codes for labels."""

    def __init__(self, name: str, table: Array) -> None:
        self.name = name
        self.categories = [_categories(column) for column in table.T]

    def indicators(self, table: Array) -> NDArray[np.float64]:
        """Return the table as numbers, with an indicator column for each value of a label."""
        columns = [
            column[:, None]
            if known is None or len(known) <= 2
            else column[:, None] == range(len(known))
            for column, known in zip(self.transform(table).T, self.categories, strict=True)
        ]
        return np.hstack(columns).astype(np.float64)

    def transform(self, table: Array) -> NDArray[np.float64]:
        """Return the table as numbers."""
        columns = [
            self._numbers(column) if known is None else self._codes(column.astype(str), known)
            for column, known in zip(table.T, self.categories, strict=True)
        ]
        return np.stack(columns, axis=1)

    def _numbers(self, column: Array) -> NDArray[np.float64]:
        if column.dtype.kind in "USO" and _categories(column) is not None:
            raise ValueError(
                f"{self.name} has labels such as {column[0]!s:.40} in a column that held numbers "
                "in fit; pass numbers"
            )
        return column.astype(np.float64)

    def _codes(self, labels: Array, known: Array) -> NDArray[np.float64]:
        check_known(f"{self.name} has labels {{}} that were", labels.tolist(), known.tolist())
        return np.searchsorted(known, labels).astype(np.float64)


def _categories(column: Array) -> Array | None:
    """Return the sorted labels of a column, or None for a numeric column.

    Strings are labels even if they can be read as numbers, such as "nan".
    """
    try:
        column.astype(np.float64)
    except (TypeError, ValueError):
        return np.unique(column.astype(str))
    named = column.dtype.kind in "USO" and any(isinstance(v, str | bytes) for v in column)
    return np.unique(column.astype(str)) if named else None


def is_constant(table: Array) -> bool:
    return bool((table == table[:1]).all())


def is_discrete(table: Array) -> bool:
    return bool(discrete_columns(table).all())


def discrete_columns(table: Array) -> NDArray[np.bool_]:
    """Return a mask of the columns that are labels.

    Numeric columns with few distinct values are labels only if they have few distinct combinations.
    With many combinations, most combinations would have a single row.
    """
    named = _named(table)
    # Labels can be of types that have no order, such as numbers and strings.
    few = np.array([known or is_few(z) for known, z in zip(named, table.T, strict=True)])
    return few if is_few(row_codes(table[:, few])) else named


def has_names(table: Array) -> bool:
    return bool(_named(table).any())


def _named(table: Array) -> NDArray[np.bool_]:
    """Return a mask of the columns with strings or categories."""
    return np.array([_categories(column) is not None for column in table.T], dtype=bool)


def is_few(column: Array, most: int = MAX_CLASSES) -> bool:
    distinct = len(np.unique(column))
    return distinct <= min(most, max(2, DISTINCT_SHARE * len(column)))


class Margins:
    """Map of columns, or of linear combinations, to normal scores by ranks in the training rows."""

    def __init__(self, z: NDArray[np.float64], mixing: NDArray[np.float64] | None = None) -> None:
        self.varying = np.flatnonzero((z != z[0]).any(0))
        self.mixing = mixing
        self.centre = np.median(z, axis=0)
        self.scale = abs(z - self.centre).max(0) + np.finfo(float).tiny
        self.sorted = np.sort(self._mixed(z), axis=0)
        self.keep: list[int] | None = None

    def fit_transform(self, z: Array, generator: np.random.Generator | None) -> Tensor:
        """Return normal scores of the columns, without linearly dependent columns."""
        scores = self.transform(z, generator)
        self.keep = independent_columns(scores)
        return scores[:, self.keep]

    def columns(self, z: NDArray[np.float64]) -> Tensor:
        """Return the columns of :meth:`fit_transform` as standardised numbers."""
        kept = self.varying[self.keep]
        return torch.from_numpy((z[:, kept] - self.centre[kept]) / self.scale[kept])

    def components(self, z: NDArray[np.float64]) -> Margins | None:
        """Return the margins of independent components, or None if the columns are used."""
        mixing = independent_components(torch.from_numpy(z[:, self.varying]))
        return None if mixing is None else Margins(z, mixing.numpy())

    def transform(self, z: Array, generator: np.random.Generator | None) -> Tensor:
        """Return normal scores, with ties in random order if a generator is given."""
        z = self._mixed(np.asarray(z, dtype=np.float64))
        n = len(self.sorted)
        scores = np.empty(z.shape)
        for k in range(z.shape[1]):
            low = np.searchsorted(self.sorted[:, k], z[:, k], side="left")
            high = np.searchsorted(self.sorted[:, k], z[:, k], side="right")
            tied = high - low > 1
            share = np.full(len(z), 0.5)
            if generator is not None:
                share = np.where(tied, generator.random(len(z)), share)
            # Measure levels from the median, so that a sign flip gives exactly opposite scores.
            level = (2 * (low + share * (high - low)) - n) / (2 * n)
            tail = np.maximum(0.5 - abs(level), 0.5 / n)
            scores[:, k] = -np.sign(level) * ndtri(tail)
        found = torch.from_numpy(scores)
        return found if self.keep is None else found[:, self.keep]

    def _mixed(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = z[:, self.varying]
        return columns if self.mixing is None else columns @ self.mixing


class Labels:
    """Integer codes of labels, which may consist of several columns."""

    def __init__(self, table: Array) -> None:
        rows = _as_rows(table)
        # Numbers keep their order.
        keys = rows if has_names(table) else [*map(tuple, table.astype(np.float64).tolist())]
        self.classes = [row for _, row in sorted({*zip(keys, rows, strict=True)})]

    def transform(self, table: Array) -> NDArray[np.int64]:
        """Return the integer code of each label."""
        rows = _as_rows(table)
        codes = {tuple(row): k for k, row in enumerate(self.classes)}
        check_known("X or Y has labels {} that were", rows, codes)
        return np.array([codes[row] for row in rows], dtype=np.int64)


def _as_rows(table: Array) -> list[tuple[str, ...]]:
    return [tuple(map(str, row)) for row in table.tolist()]


def fold_keys(x: Array, y: Array) -> NDArray[np.int64]:
    """Return an integer key for each row, equal for rows that must share a fold.

    Equal rows share a fold, because equal rows can be copies. If there are few distinct rows, equal
    rows have different keys. Frequent rows, such as an amount of zero with a frequent label, also
    have different keys, because frequent rows are not copies.
    """
    codes, places = pair_codes(x, y), np.arange(len(x))
    if is_few(codes, len(x)):
        return places
    _, owner, counts = np.unique(codes, return_inverse=True, return_counts=True)
    is_frequent = counts > FREQUENT * np.median(counts)
    return np.where(is_frequent[owner.ravel()], places + len(x), codes)


def stratified_folds(
    labels: NDArray[np.int64], keys: NDArray[np.int64], n_folds: int, seed: int
) -> NDArray[np.int64]:
    """Assign rows to stratified folds, with rows of equal keys in the same fold."""
    _, first, owner = np.unique(keys, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(first))
    order = order[np.argsort(labels[first][order], kind="stable")]
    folds = np.empty(len(first), np.int64)
    folds[order] = np.arange(len(first)) % n_folds
    return folds[owner.ravel()]


def distinct_rows(
    x: Array, y: Array, discrete: tuple[bool, bool]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each group of copies, and the group of each row.

    Equal rows are copies only if one continuous variable determines the whole row. Rounded values
    do not identify copies, because rows with equal X may differ in Y. Integers do not identify
    copies, because rows of integers can be equal by chance. Equal rows are not copies either if
    most equal rows have the same values, for example only zeros.
    """
    identity = np.arange(len(x))
    if all(discrete):
        return identity, identity
    first, owner, counts = np.unique(pair_codes(x, y), return_inverse=True, return_counts=True)
    if counts.max() - 1 > max(10, 0.5 * (len(x) - len(first))):
        return identity, identity
    numbers = [
        row_codes(z)
        for z, is_label in zip((x, y), discrete, strict=True)
        if not (is_label or _is_integer(z))
    ]
    if all(len(np.unique(codes)) < len(first) for codes in numbers):
        return identity, identity
    return first, owner.ravel()


def _is_integer(z: Array) -> bool:
    return not has_names(z) and bool((np.asarray(z, np.float64) % 1 == 0).all())


def pair_codes(x: Array, y: Array) -> NDArray[np.int64]:
    """Return the index of the first equal pair of rows for each row of x and y."""
    pairs = np.stack([row_codes(z) for z in (x, y)], axis=1)
    _, first, owner = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    return first[owner.ravel()]


def row_codes(z: Array) -> NDArray[np.int64]:
    """Return one integer per distinct row, in the order of the sorted rows."""
    n, codes = len(z), np.zeros(len(z), np.int64)
    for column in Columns("X", z).transform(z).T if z.shape[1] else ():
        if codes.max(initial=-1) + 1 == n:  # all rows differ
            break
        own = np.unique(column, return_inverse=True)[1]
        codes = np.unique(codes * n + own, return_inverse=True)[1]
    return codes


def sort_key(z: NDArray[np.float64]) -> tuple[Any, ...]:
    """Return a sort key of a variable, invariant under monotone maps of the columns."""
    return z.shape[1], *np.stack([central_ranks(column) for column in z.T], axis=1).ravel().tolist()


def central_ranks(column: Array) -> NDArray[np.int64]:
    """Return the rank distances of the first eight rows from the median."""
    codes = row_codes(column[:, None])
    return np.abs(2 * codes[:8] - codes.max())


def label_key(table: Array) -> tuple[Any, ...]:
    """Return the number of distinct labels, and whether each of eight rows equals the first."""
    codes = row_codes(table)
    return len(np.unique(codes)), *(codes[:8] == codes[0]).tolist()


def entropy_of_rows(table: Array) -> float:
    """Return the entropy of the frequencies of distinct rows, in nats."""
    counts = np.unique(row_codes(table), return_counts=True)[1]
    return float(entropy(counts))
