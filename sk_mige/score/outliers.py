"""Detection of outliers that dominate the scale of a feature, such as codes for missing values."""

from __future__ import annotations

import torch
from torch import Tensor

from sk_mige._contexts import is_readable
from sk_mige._warnings import warn_user

# Outliers are more than FAR interquartile ranges from the median, and contribute most of the mean
# square. Outliers must be a fraction below FEW of all values, or below CODES if all outliers are
# equal. Rows with values beyond EXTREME are left out of means and covariances. Such values are
# frequent for densities with infinite variance, and rare for other densities. Estimates that leave
# out rows are not affine equivariant.
FAR, EXTREME, FEW, CODES = 20, 100, 0.05, 0.25
# A value in a larger fraction of the rows counts as a usual value, not as a code.
USUAL = 0.5


def warn_of_outliers(x: Tensor, name: str = "feature") -> None:
    """Warn if a few outliers, such as -999 for a missing value, dominate a feature's scale.

    In units of such a scale, the other values of the feature are nearly equal.
    """
    outlying = _outlying(x, FAR) | _frequent_codes(x)
    columns = outlying.any(0).nonzero()[:, 0]
    if len(columns):
        column = int(columns[0])
        outliers = x[outlying[:, column], column].double()
        usual = x[~outlying[:, column], column].double().median()
        value = float(outliers[int((outliers - usual).abs().argmax())])
        warn_user(
            f"{len(outliers) / len(x):.2%} of the values of {name} {column}, such as "
            f"{value:g}, are more than {FAR} interquartile ranges from the median and dominate "
            "the scale. Drop rows with such values, impute missing values, or transform the column"
        )


def outlying_rows(x: Tensor) -> Tensor:
    """Return a mask of the rows with at least one extreme value.

    All values of the mask are False if too few other rows would remain for a covariance.
    """
    rows = _outlying(x, EXTREME).any(1)
    return rows & ((~rows).sum() > max(len(x) // 2, 3 * x.shape[1]))


def usual_rows(x: Tensor, principal: bool = False) -> Tensor | slice:
    """Return a mask of the rows without extreme values, or a slice if no row has such a value.

    If the columns are principal components of few rows, all rows are usual. Principal components of
    equal rows differ by rounding errors, and any other row would be an outlier.
    """
    if principal or not bool(_outlying(x, EXTREME).any()):
        return slice(None)
    rows = outlying_rows(x)
    return ~rows if bool(rows.any()) else slice(None)


def quartiles(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the lower quartile, the median and the upper quartile of each column.

    The lower and upper quartiles are values of the column. If a column is negated, its quartiles
    are negated and swapped.
    """
    n = len(x)
    quarter, middle = n // 4, (n - 1) // 2
    if is_readable(x):
        # NumPy's sort is several times faster than NumPy's partition and torch's sort. Rows of a
        # wide array are far apart in memory, so a block is gathered before the transpose.
        columns = x.contiguous().mT.clone(memory_format=torch.contiguous_format).numpy()
        columns.sort(axis=-1)
        ordered = torch.from_numpy(columns).mT
    else:
        ordered = x.sort(0).values
    return (
        ordered[quarter],
        (ordered[middle] + ordered[n - 1 - middle]) / 2,
        ordered[n - 1 - quarter],
    )


def _frequent_codes(x: Tensor) -> Tensor:
    """Return a mask of frequent minima or maxima of a column, far from the median of other values.

    If a quarter to a half of the rows contain a code, a quartile is equal to the code.
    """
    codes = torch.zeros_like(x, dtype=torch.bool)
    if len(x) <= x.shape[1] or len(x) < 10 or x.device.type == "mps":
        return codes
    for end in (x.amin(0), x.amax(0)):  # faster than aminmax
        equal = x == end
        share = equal.double().mean(0)
        for k in ((share >= CODES) & (share <= USUAL)).nonzero()[:, 0].tolist():
            low, middle, high = quartiles(x[~equal[:, k], k : k + 1].double())
            if bool(high > low) and bool((end[k] - middle).abs() > FAR * (high - low)):
                codes[:, k] |= equal[:, k]
    return codes


def _outlying(x: Tensor, limit: float) -> Tensor:
    """Return a mask of the outliers (n, d), beyond ``limit`` interquartile ranges."""
    n, d = x.shape
    if n <= d or n < 10 or x.device.type == "mps":
        return torch.zeros_like(x, dtype=torch.bool)
    low, middle, high = quartiles(x)
    spread = torch.where(high > low, high - low, torch.inf).double()
    reach = torch.maximum(x.amax(0) - middle, middle - x.amin(0)).double()
    if not bool((reach > limit * spread).any()):
        return torch.zeros_like(x, dtype=torch.bool)
    away = ((x - middle).double() / spread).abs()  # in interquartile ranges
    far = away > limit
    equal = x.where(far, torch.inf).amin(0) == x.where(far, -torch.inf).amax(0)
    few = far.double().mean(0) < torch.where(equal, CODES, FEW)
    parts = torch.stack([away.masked_fill(~far, 0), away.masked_fill(far, 0)])
    outer, inner = torch.linalg.vector_norm(parts, dim=1)
    return far & few & (outer > inner)
