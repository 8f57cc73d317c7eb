"""Detection of outliers that dominate the scale of a feature, such as codes for missing values."""

from __future__ import annotations

import torch
from torch import Tensor

from sk_mige._warnings import warn_user

from .kernels import is_readable

# A feature has outliers if its standard deviation exceeds WIDE interquartile ranges (.74 for a
# normal feature). Outliers are values more than FAR interquartile ranges from the median, and must
# be a fraction below FEW of all values.
WIDE, FAR, FEW = 5, 50, 0.05


def warn_of_outliers(x: Tensor, name: str = "feature") -> None:
    """Warn if a few outliers, such as -999 for a missing value, dominate a feature's scale.

    Whitening would map the other values of the feature to nearly one value.
    """
    outlying = _outlying(x)
    columns = outlying.any(0).nonzero()[:, 0]
    if len(columns):
        column = int(columns[0])
        outliers = x[outlying[:, column], column].double()
        value = float(outliers[int((outliers - x[:, column].double().median()).abs().argmax())])
        warn_user(
            f"{len(outliers) / len(x):.2%} of the values of {name} {column}, such as "
            f"{value:g}, are more than {FAR} interquartile ranges from the median and dominate "
            "the scale: drop such rows, impute missing values, or transform the column"
        )


def outlying_rows(x: Tensor) -> Tensor:
    """Return a mask of the rows with at least one outlier."""
    return _outlying(x).any(1)


def quartiles(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the lower quartile, the median and the upper quartile of each column.

    The lower and upper quartiles are values of the column. If a column is negated, its quartiles
    are negated and swapped.
    """
    n = len(x)
    quarter, middle = n // 4, (n - 1) // 2
    if is_readable(x):  # NumPy's sort is several times faster than torch's, and its partition
        # Rows of a wide array are far apart in memory, so a block is gathered before the transpose.
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


def _outlying(x: Tensor) -> Tensor:
    """Return a mask of the outliers (n, d)."""
    n, d = x.shape
    if n <= d or n < 20 or x.device.type == "mps":
        return torch.zeros_like(x, dtype=torch.bool)
    low, middle, high = quartiles(x)
    spread = torch.where(high > low, high - low, torch.inf).double()
    reach = torch.maximum(x.amax(0) - middle, middle - x.amin(0)).double()
    if not bool((reach > FAR * spread).any()):
        return torch.zeros_like(x, dtype=torch.bool)
    away = ((x - middle).double() / spread).abs()  # in interquartile ranges
    far = away > FAR
    few = far.double().mean(0) < FEW
    return far & few & (away.square().mean(0).sqrt() > WIDE)
