"""Validation of rows X (n, d) for all estimators, and conversion to and from tensors."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn import get_config
from sklearn.utils import gen_batches
from sklearn.utils._array_api import get_namespace, get_namespace_and_device, move_to
from sklearn.utils.validation import validate_data
from torch import Tensor

from sk_mige._arrays import (
    check_float32_range,
    check_no_dates,
    check_numbers,
    check_plain_tensor,
    column_names,
    readable,
)
from sk_mige._warnings import warn_user
from sk_mige.score.outliers import warn_of_outliers
from sk_mige.training.items import ItemRows, is_data_set

# Number of elements of a chunk's Gram matrix: 16 MiB in float64. Larger chunks are not faster, and
# need new memory from the operating system.
CHUNK_ELEMENTS = 2**21

# Largest absolute decimal exponent of a power of a distance. The limit of float64 is 308.
LARGEST_POWER = 290

# Largest number of rows that are checked for a density.
CHECKED_ROWS = 2_000

# Smallest number of distinct rows of equal norm that count as rows on a sphere, and of distinct
# values of a column in a quadratic equation. A few rows can satisfy an equation by chance.
FEWEST_DISTINCT = 20

# A density at the end of a column is checked from at least FEWEST_AT_END values next to the end. At
# most MOST_COLUMNS columns are checked for such ends and for quadratic equations.
FEWEST_AT_END, MOST_COLUMNS = 100, 30

# An atom is a value in at least FEWEST_EQUAL rows and a share LEAST_SHARE of the rows. The value is
# PROMINENT times as frequent as the N_NEAREST next values on each side. At most N_ATOMS values of a
# column are so frequent, as at the two limits of a sensor. The column has at least FEWEST_OTHERS
# other values, and their rows have, on average, ties with at most a share MOST_TIES of these rows.
# The check uses every k-th column, so that it sorts at most MOST_SORTED columns.
FEWEST_EQUAL, LEAST_SHARE, PROMINENT, N_NEAREST, MOST_SORTED = 10, 0.03, 10, 5, 300
N_ATOMS, FEWEST_OTHERS, MOST_TIES = 2, 5, 0.05

# Number of columns that a warning names.
N_NAMED = 5

# At least FEWEST_IN_SERIES rows are a slow series under two conditions. Successive rows differ less
# than NEAR times the difference of random rows. Rows three places apart differ more than GROWTH
# times the difference of successive rows.
FEWEST_IN_SERIES, NEAR, GROWTH = 200, 0.5, 1.4

# Number of rows in a block. Blocks are read one by one to find out whether all rows are equal.
BLOCK_ROWS = 256

# Smallest range of a column, in spacings of float32 numbers. A narrower column is rounding noise.
FEWEST_STEPS = 16

# Smallest range of the widest column, and largest absolute value, that are suitable for networks.
NARROWEST, LARGEST = 1e-3, 1e17

# Largest number of elements of the rows in which outliers are searched.
OUTLIER_ELEMENTS = 2**22


def check_rows(estimator: Any, X: Any, *, reset: bool, min_rows: int = 2) -> Any:
    """Validate rows X (n, d) for a network: dense, finite and in any array namespace.

    Integers are not converted to floats, because a conversion would copy a memory map. Each batch
    is converted to float32 during training.
    """
    if sp.issparse(X):
        raise TypeError(
            f"{type(estimator).__name__} takes dense input, got a sparse {X.format} container of "
            f"shape {X.shape}: put sklearn.decomposition.TruncatedSVD before the estimator, or "
            "pass X.toarray() if memory allows"
        )
    X = check_samples(estimator, X, reset=reset, min_rows=min_rows, keep_integers=True)
    if not _is_integral(X):
        xp, _ = get_namespace(X)
        check_float32_range(max(abs(float(xp.max(X))), abs(float(xp.min(X)))))
    return X


def check_samples(
    estimator: Any, X: Any, *, reset: bool, min_rows: int = 1, keep_integers: bool = False
) -> Any:
    """Validate samples X (n, d): dense, finite, and floats unless integers are kept."""
    _check_two_dimensional(estimator, X)
    X = as_rows(X)
    xp, _ = get_namespace(X)
    dtype = None if keep_integers and _is_integral(X) else [xp.float64, xp.float32]
    try:
        return validate_data(estimator, X, dtype=dtype, reset=reset, ensure_min_samples=min_rows)
    except (OverflowError, TypeError, ValueError) as error:
        check_numbers(X, "X", error)
        raise


def check_varies(X: Any, consequence: str) -> None:
    """Raise ValueError if all rows of X are equal."""
    if is_constant(X):
        raise ValueError(
            f"X is constant: its {X.shape[0]} rows are all the same, so {consequence}; pass rows "
            "that differ in at least one feature"
        )


def check_density(X: Any) -> None:
    """Raise ValueError if all rows are equal, and warn about other rows without a density."""
    check_varies(X, "they have no density and no score")
    warn_of_series(X)
    rows = _spaced_rows(X)
    low, high = rows.min(axis=0), rows.max(axis=0)
    narrow = (low < high) & (high - low < FEWEST_STEPS * np.spacing(abs(rows).max(axis=0)))
    # In float64, the fit leaves out directions along which rows vary by rounding errors alone.
    if rows.dtype == np.float32 and narrow.any():
        k = int(np.argmax(narrow))
        warn_user(
            f"column {k} of X is between {low[k]:.9g} and {high[k]:.9g}, a range of less than "
            f"{FEWEST_STEPS} spacings of float32 numbers. Rounded values have no density, and "
            "estimated scores are not valid. Subtract the mean before the conversion to float32"
        )
    elif _is_spherical(rows):
        warn_user(
            "the rows of X have equal norms, so they lie on a sphere and have no density. "
            "Estimated scores are not valid. Pass coordinates on the sphere, such as angles, or "
            "rows that are not normalised"
        )
    elif _is_quadric(rows):
        columns = [*range(rows.shape[1])]
        for k in range(rows.shape[1]):
            others = [j for j in columns if j != k]
            columns = others if _is_quadric(rows[:, others]) else columns
        warn_user(
            f"columns {', '.join(map(str, columns))} of X satisfy a quadratic equation, such as "
            "the cosine and sine of an angle, or two columns and their product. The rows lie on a "
            "surface and have no density, and estimated scores are not valid. Omit a column, or "
            "pass coordinates on the surface"
        )
    elif not warn_of_atoms(rows):
        warn_of_ends(X)


def warn_of_atoms(rows: NDArray[Any]) -> bool:
    """Warn about columns with an atom beside a continuous part, and return whether there are any.

    Examples are columns with many zeros, and measurements that are clipped at a detection limit.
    Columns in which most values repeat, such as counts, have no continuous part.
    """
    least = math.ceil(max(FEWEST_EQUAL, LEAST_SHARE * len(rows)))
    step = math.ceil(rows.shape[1] / MOST_SORTED)
    with np.errstate(over="ignore"):  # equal values are equal in float32, which is sorted faster
        ordered = np.sort(np.ascontiguousarray(rows[:, ::step].T, dtype=np.float32), axis=1)
    repeated = (ordered[:, least - 1 :] == ordered[:, : 1 - least]).any(axis=1)
    columns = (step * np.flatnonzero(repeated)).tolist()
    every = ((k, atom) for k in columns for atom in _atom(rows, k, least))
    found = list(islice(every, N_NAMED + 1))
    if found:
        k, (value, share) = found[0]
        named = ", ".join(str(k) for k, _ in found[:N_NAMED]) + ", …" * (len(found) > N_NAMED)
        warn_user(
            f"one value is too frequent in columns {named} of X: the value {value:.9g} of column "
            f"{k} is in {share:.0%} of the rows. Such a column has no density, and estimated "
            "scores are not valid. Fit the estimator to the other rows, and model the frequent "
            "value separately. Or add noise of the size of the measurement error. For images, pass "
            "principal components"
        )
    return bool(found)


def _atom(rows: NDArray[Any], k: int, least: int) -> Iterator[tuple[float, float]]:
    """Yield the atom of column k and the share of its rows, if column k has an atom.

    Values in at least ``least`` rows are frequent.
    If all rows with the frequent value are copies of one row, as in a Metropolis chain, the value
    is an atom only if no other value of the column is nearly as frequent.
    """
    values, counts = np.unique(rows[:, k], return_counts=True)
    frequent = counts >= least
    rest, top = counts[~frequent], int(counts.argmax())
    if not 1 <= frequent.sum() <= N_ATOMS or len(rest) < FEWEST_OTHERS:
        return
    if rest @ (rest - 1) > MOST_TIES * rest.sum() ** 2:
        return
    equal, others = rows[rows[:, k] == values[top]], np.delete(counts, top)
    if rows.shape[1] == 1 or (equal != equal[0]).any():
        others = others[max(0, top - N_NEAREST) : top + N_NEAREST]
    if counts[top] >= PROMINENT * others.max():
        yield float(values[top]), float(counts[top] / len(rows))


def _spaced_rows(X: Any) -> NDArray[Any]:
    """Return at most CHECKED_ROWS rows, because successive rows of a series can be special."""
    step = max(1, math.ceil(X.shape[0] / CHECKED_ROWS))
    return np.asarray(move_to(X[::step, :], xp=np, device="cpu"))


def warn_of_ends(X: Any) -> None:
    """Warn about a column whose density is not zero at its smallest or largest value.

    The density is probably not zero under two conditions. The eighth of the values that is nearest
    to the end is nearly uniform by the Kolmogorov-Smirnov statistic. In rows near the end, the
    interquartile ranges of all other columns are at least 0.6 times the ranges in all rows. At the
    end of a ring, these ranges are smaller.
    """
    rows = _spaced_rows(X[:, : MOST_COLUMNS + 1]).astype(np.float64)
    n = len(rows) // 8
    if n < FEWEST_AT_END or rows.shape[1] > MOST_COLUMNS:
        return
    ordered, usual = np.sort(rows, axis=0), _interquartile_ranges(rows)
    for ends in (ordered[: n + 1], ordered[: -n - 2 : -1]):
        away = abs(ends - ends[0])
        width = away[-1]
        gap = abs(away - np.arange(n + 1)[:, None] / n * width).max(axis=0)
        for k in np.flatnonzero(gap < 1.1 / n**0.5 * width):
            near = _interquartile_ranges(rows[abs(rows[:, k] - ends[0, k]) <= width[k] / 3])
            if np.delete(near >= 0.6 * usual, k).all():
                warn_user(
                    f"the density of column {k} of X is probably positive, or rises steeply, at "
                    f"the end {ends[0, k]:.3g} of the column. Estimates and tests with scores are "
                    "biased, because Stein's identity does not hold. Transform the column, for "
                    "example to the logarithm of the distance from the end"
                )
                return


def warn_of_series(X: Any) -> None:
    """Warn if successive rows are close to each other, and rows three places apart are farther.

    Rows sorted by class cause no warning, because the third next row is as close as the next row.
    Medians ignore the jumps between classes. Copies of the preceding row, such as rejected steps of
    a chain, and sorted columns are left out.
    """
    some = X[:CHECKED_ROWS, :: 1 + X.shape[1] // MOST_COLUMNS]
    rows = np.asarray(move_to(some, xp=np, device="cpu"))
    rows = rows[np.append(True, (rows[1:] != rows[:-1]).any(axis=1))]
    falls, rises = rows[1:] < rows[:-1], rows[1:] > rows[:-1]
    ranks = rankdata(rows[:, falls.any(axis=0) & rises.any(axis=0)], axis=0)
    if len(ranks) < FEWEST_IN_SERIES or not ranks.size:
        return
    if pace(ranks, lambda one, other: np.median(abs(one - other).mean(axis=1)))[1]:
        warn_user(
            "successive rows of X are close to each other, as in a Markov chain. Scores can be far "
            "too large: keep only every k-th row, with k above the autocorrelation time"
        )


def pace(rows: NDArray[Any], difference: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    """Return average differences of successive rows, and where rows are a slow series."""
    near, far = (difference(rows[k:], rows[:-k]) for k in (1, 3))
    usual = difference(np.random.default_rng(0).permutation(rows), rows)
    return near, (near < NEAR * usual) & (far > GROWTH * near)


def _interquartile_ranges(rows: NDArray[Any]) -> NDArray[Any]:
    return np.ptp(np.quantile(rows, [0.25, 0.75], axis=0), axis=0)


def _is_spherical(rows: NDArray[Any]) -> bool:
    """Return whether rows (n, d) have equal norms, and at least 20 and d + 2 rows are distinct."""
    fewest = max(FEWEST_DISTINCT, rows.shape[1] + 2)
    if len(rows) < fewest:
        return False
    # Large constants would hide the differences of the norms.
    rows = rows[:, np.ptp(rows, axis=0) > 0].astype(np.float64)
    if rows.shape[1] < 2:
        return False
    rows /= abs(rows).max()
    # If a column has a large mean, norms can differ much less than columns. Squared norms do not.
    squares = np.square(rows).sum(axis=1)
    if np.ptp(squares) > 1e-5 * np.square(np.ptp(rows, axis=0).max()):
        return False
    return len(np.unique(rows, axis=0)) >= fewest


def _is_quadric(rows: NDArray[Any]) -> bool:
    """Return whether rows (n, d) satisfy a quadratic equation.

    Columns with few distinct values, and rows far from the other rows, are left out.
    """
    if rows.shape[1] > MOST_COLUMNS:
        return False
    rows = rows[:, (rows != rows[0]).any(axis=0)].astype(np.float64)
    rows /= abs(rows).max(axis=0)  # the range of large values can overflow
    rows = (rows - rows.mean(axis=0)) / np.ptp(rows, axis=0)
    usual = abs(rows - np.median(rows, axis=0)) <= 5 * _interquartile_ranges(rows)
    rows = np.unique(rows[usual.all(axis=1)], axis=0)
    rows = rows[:, [len(np.unique(column)) >= FEWEST_DISTINCT for column in rows.T]]
    n, d = rows.shape
    if d < 2 or (d + 1) * (d + 2) > n:
        return False
    z, sizes, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    z = n**0.5 * z[:, sizes > 1e-6 * sizes[0]]  # without collinear columns
    i, j = np.triu_indices(z.shape[1])
    terms = np.c_[np.ones(n), z, z[:, i] * z[:, j]]
    terms /= np.linalg.norm(terms, axis=0)
    return bool(np.linalg.eigvalsh(terms.T @ terms)[0] < 1e-12)


def check_float32_resolution(X: Any, *, with_targets: bool = True) -> None:
    """Raise if all rows are equal in float32, and warn if scales are unsuitable for float32.

    Without targets, small values cause no warning, because the representation is standardised.
    """
    xp, _ = get_namespace(X)
    if getattr(X.dtype, "itemsize", 8) < 4:
        return
    ends = (xp.min(X, axis=0), xp.max(X, axis=0))
    low, high = (np.asarray(move_to(end, xp=np, device="cpu"), dtype=np.float64) for end in ends)
    size = np.maximum(np.abs(low), np.abs(high)).astype(np.float32)
    narrow = (low < high) & (high - low < FEWEST_STEPS * np.spacing(size).astype(np.float64))
    if X.dtype == xp.float32 or not narrow.any():
        _warn_of_scales(float((high - low).max()) if with_targets else 1.0, float(size.max()))
        step = -(-X.shape[0] * X.shape[1] // OUTLIER_ELEMENTS)
        rows = np.asarray(move_to(X[::step, :], xp=np, device="cpu"), dtype=np.float64)
        warn_of_outliers(to_tensor(rows, torch.device("cpu")), "X's column")
        return
    columns = np.flatnonzero(narrow)
    shown = ", ".join(map(str, columns[:5])) + ", …" * (len(columns) > 5)
    first = columns[0]
    example = f"column {first} goes from {float(low[first])} to {float(high[first])}"
    advice = "Put a StandardScaler first, because it subtracts the mean in float64"
    # Rounding keeps the order. If the ends of a column become equal, all values become equal.
    if (low.astype(np.float32) == high.astype(np.float32)).all():
        raise ValueError(
            f"the rows of X are all equal in dtype('float32') of the networks: {example}. {advice}"
        )
    warn_user(
        f"columns {shown} of X vary by less than {FEWEST_STEPS} spacings of float32 numbers, and "
        f"the networks compute in float32. For example, {example}. {advice}"
    )


def _warn_of_scales(widest: float, largest: float) -> None:
    """Warn if the values of X are too small or too large for networks in float32."""
    found = None
    if 0 < widest < NARROWEST:
        found = f"the columns of X vary by at most {widest:.1e}, too little for batch norms"
    elif largest > LARGEST:
        found = f"X has values up to {largest:.1e}, too large for squares in float32"
    if found is not None:
        warn_user(f"{found}: put a StandardScaler before the network")


def namespace_of(X: Any) -> str:
    """Return the name of the array namespace of X, under scikit-learn's array API dispatch."""
    xp, _ = get_namespace(reference(X))
    return str(xp.__name__)


def reference(X: Any) -> Any:
    """Return an array with the namespace, device and dtype of results for X."""
    return np.empty((0, X.shape[1]), dtype=X.dtype) if isinstance(X, ItemRows) else X


def own_targets(X: Any) -> NDArray[Any] | None:
    """Return the targets that a data set X contains, or None."""
    return X.targets() if isinstance(X, ItemRows) else None


def to_rows(X: Any) -> NDArray[Any] | Tensor | ItemRows:
    """Convert X to a tensor, a NumPy array or ``ItemRows``, which can be indexed by batches."""
    if isinstance(X, Tensor):
        return X.detach()
    if isinstance(X, np.ndarray | ItemRows):  # move_to would hide that X is a view of a memory map
        return X
    return np.asarray(move_to(X, xp=np, device="cpu"))


def to_tensor(X: Any, device: torch.device) -> Tensor:
    """Convert X to a tensor of the same dtype on the device, without a copy if possible."""
    if isinstance(X, Tensor):
        return X.detach().to(device)
    if not isinstance(X, np.ndarray):  # another array namespace
        X = np.asarray(X)
    # Arrays are copied if they are read-only, because torch warns, or if strides are negative,
    # because torch raises. For a memory map, only the given chunk is copied.
    as_it_is = X.flags.writeable and all(stride >= 0 for stride in X.strides)
    return torch.from_numpy(X if as_it_is else X.copy()).to(device)


def row_chunks(X: Any, width: int, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices and tensors of chunks of rows, for Gram matrices with ``width`` columns."""
    rows = max(1, CHUNK_ELEMENTS // max(width, 1))
    for part in gen_batches(X.shape[0], rows):
        yield part, to_tensor(X[part], device)


def like_input(values: NDArray[Any] | Tensor, X: Any, *, keep_dtype: bool = False) -> Any:
    """Convert results to the namespace and device of X, and by default to the dtype of X.

    For integer X, results are float32, the dtype of the networks.
    """
    X = reference(X)
    if isinstance(values, Tensor):
        if isinstance(X, Tensor):
            return values.to(device=X.device, dtype=values.dtype if keep_dtype else X.dtype)
        values = values.cpu().numpy()
    xp, _, device = get_namespace_and_device(X)
    if values.dtype.kind not in "fiub":  # labels that are not numbers stay in NumPy
        return values
    dtype = xp.float32 if _is_integral(X) else X.dtype
    return xp.asarray(values, dtype=None if keep_dtype else dtype, device=device)


def check_finite(values: Tensor) -> None:
    """Raise if results exceed the range of float64."""
    if not bool(values.isfinite().all()):
        raise ValueError(
            "the result for X exceeds the range of float64. The values of X are too large, too "
            "small, or too far from the values in the fit. Divide each column of X by its standard "
            "deviation"
        )


def check_spread(x: Tensor, power: int) -> None:
    """Raise if powers of the distances between rows would overflow or underflow."""
    spread = float((x.amax(0) - x.amin(0)).amax())
    limit = LARGEST_POWER / power
    if not -limit < math.log10(spread or math.inf) < limit:
        raise ValueError(
            f"the values of X differ by up to {spread:.1e}, and powers of the distances are "
            "outside the range of float64. Divide X by its standard deviation"
        )


def scores_like(values: Tensor, X: Any) -> Any:
    """Convert scores as in ``like_input``, and raise if the dtype cannot represent the scores."""
    largest = values.abs().amax(0)
    check_finite(largest)
    if X.dtype in (np.float32, torch.float32):
        limits = torch.finfo(torch.float32)
        outside = (largest > limits.max) | ((largest > 0) & (largest < limits.tiny))
        if bool(outside.any()):
            column = int(outside.nonzero()[0])
            raise ValueError(
                f"the scores of column {column} of X are up to {float(largest[column]):.1e}, "
                "beyond the range of float32, the dtype of X: pass X in float64"
            )
    return like_input(values, X)


def is_dask(X: Any) -> bool:
    """Return whether X is a Dask array, and raise TypeError for a Dask data frame."""
    if hasattr(X, "dask") and hasattr(X, "map_partitions"):
        raise TypeError(
            f"X is a Dask {type(X).__name__}: pass X.to_dask_array(lengths=True), an array whose "
            "chunks have known sizes"
        )
    return hasattr(X, "dask") and hasattr(X, "map_blocks") and hasattr(X, "rechunk")


def by_blocks(transform: Callable[[Any], Any], X: Any, width: int, default: Any) -> Any:
    """Apply ``transform`` to each block of rows of a Dask array, and return an array (n, width).

    For integer X, the result has the dtype ``default``.
    """
    dtype = X.dtype if X.dtype.kind == "f" else np.dtype(default)
    if X.ndim != 2:
        raise ValueError(
            f"X is a Dask array of the shape {X.shape}, but must have two dimensions: pass "
            "X.reshape((X.shape[0], -1))"
        )
    rows = X.rechunk({1: X.shape[1]})
    return rows.map_blocks(
        lambda block: np.asarray(transform(block)),
        dtype=dtype,
        chunks=(rows.chunks[0], (width,)),
        meta=np.empty((0, width), dtype=dtype),
    )


def _check_two_dimensional(estimator: Any, X: Any) -> None:
    """Raise if X is a data set or has more than two dimensions."""
    if is_data_set(X):
        raise TypeError(
            f"X must be an array or tensor of shape (n_samples, n_features) for "
            f"{type(estimator).__name__}; got the data set {type(X).__name__}. Stack its inputs: "
            "torch.stack([x.flatten() for x, *_ in dataset])"
        )
    if isinstance(X, Tensor):
        check_plain_tensor(X, "X")  # nested tensors have no shape
    shape = tuple(getattr(X, "shape", ()))
    if len(shape) > 2:
        raise ValueError(
            f"X has the shape {shape}, but rows must be flat: pass X.reshape({shape[0]}, -1), or "
            f"X.reshape(-1, {shape[-1]}) if only the last axis holds features, as in Markov chains"
        )


def blocks(X: Any) -> Iterator[Any]:
    """Yield blocks of rows as arrays in the dtype of X."""
    for part in gen_batches(X.shape[0], BLOCK_ROWS):
        if isinstance(X, ItemRows):
            block = X.read(range(part.start, part.stop))
            yield (block.float() if block.dtype == torch.bfloat16 else block).cpu().numpy()
        else:
            yield X[part, :]


def as_rows(X: Any) -> Any:
    """Convert tensors to arrays, except under array API dispatch.

    Paths, dates and repeated column names raise an error.
    """
    if isinstance(X, Tensor) and get_config()["array_api_dispatch"]:
        return X
    if isinstance(X, str | bytes | os.PathLike):
        raise TypeError(
            f"X is the path or string {str(X)!r:.80}: pass rows. For a folder of images, pass a "
            "data set to MIGEEncoder, such as torchvision.datasets.ImageFolder(folder, ToTensor())"
        )
    X = readable(X, "X")
    check_no_dates(X, "X")
    names = column_names(X) or []
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"X has several columns with the name {repeated!r}: rename them")
    return X


def _is_integral(X: Any) -> bool:
    dtype = getattr(X, "dtype", None)
    name = getattr(dtype, "name", str(dtype))  # such as "int64", "torch.int64" and "bool"
    return re.fullmatch(r"(\w+\.)?(u?int\d+|bool)", name) is not None


def is_constant(X: Any) -> bool:
    """Return whether all rows of X are equal."""
    first = next(blocks(X))[:1, :]
    xp, _ = get_namespace(first)
    # If rows of the first block differ, as is usual, later blocks are not read.
    return all(bool(xp.all(first == part)) for part in blocks(X))
