"""Standardisation of columns to mean 0, variance 1 and positive skewness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .outliers import quartiles
from .precision import TensorParts, widest_dtype

# A standard deviation up to ROUNDINGS times the rounding error of the largest value counts as 0.
ROUNDINGS = 4.0
# Number of elements of a block of columns, 1 MiB in float64.
BLOCK_ELEMENTS = 2**17
# Range of units by which float32 scores can be divided without overflow or underflow.
MODERATE_UNITS = 1e-15, 1e15
# Largest standardised value, whose fourth power is in the range of float64.
FARTHEST = 1e70
# Outliers dominate a column whose standard deviation exceeds WIDE interquartile ranges.
WIDE = 5
# Standard deviation of a normal variable divided by its interquartile range.
NORMAL_SHARE = 0.7413


@dataclass(frozen=True, eq=False)  # a hash of the fields fails in torch.compile
class FeatureUnits(TensorParts):
    r"""Map :math:`z = (x - \mu) / u` of every column to standardised units.

    If z has the score s, x has the score :math:`s / u`.

    Attributes
    ----------
    origin : Tensor of shape (d,)
        Mean :math:`\mu` of each column, or the median if outliers dominate the column.
    scale : Tensor of shape (d,)
        Unit u of each column, negative for columns with negative skewness.
    rounding : Tensor of shape (d,)
        Bound on the rounding errors of z.
    """

    origin: Tensor
    scale: Tensor
    rounding: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Convert the rows of x to standardised units, in the widest dtype."""
        return (x.to(self.scale) - self.origin).div_(self.scale)

    def inverse(self, z: Tensor) -> Tensor:
        """Convert the rows of z from standardised units to input units."""
        return z * self.scale + self.origin

    def scores(self, z: Tensor) -> Tensor:
        """Convert scores of z to scores of x, in the dtype of z unless units are extreme.

        Float64 copies of wide float32 scores would take as long as a matrix product.
        """
        low, high = self.scale.abs().aminmax()
        moderate = MODERATE_UNITS[0] < float(low) and float(high) < MODERATE_UNITS[1]
        scale = self.scale.to(z) if moderate else self.scale
        return z.to(scale) / scale


def feature_units(x: Tensor) -> FeatureUnits:
    """Return units in which columns without outliers have variance 1.

    Standardised values do not depend on the unit or the sign of a column, and their squares do not
    overflow. If outliers dominate a column, the unit is the standard deviation of a normal column
    with the same interquartile range. If a column is constant up to rounding, the unit is at least
    1 and exceeds the largest absolute value.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples in their original dtype, which determines the rounding errors.

    Returns
    -------
    FeatureUnits

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score.units import feature_units
    >>> x = torch.tensor([[0.0], [0.0], [3.0]]).double()
    >>> bool(torch.allclose(feature_units(x)(x), feature_units(-1e200 * x)(-1e200 * x)))
    True
    """
    width = max(1, BLOCK_ELEMENTS // max(1, len(x)))
    if x.shape[1] > width:  # blocks of columns stay in the processor's cache
        blocks = [feature_units(block) for block in torch.split(x, width, dim=1)]
        return FeatureUnits(
            torch.cat([block.origin for block in blocks]),
            torch.cat([block.scale for block in blocks]),
            torch.cat([block.rounding for block in blocks]),
        )
    points = x.to(widest_dtype(x))
    largest = x.abs().amax(0).to(points)
    # Division by a power of two is exact. The largest quotient is between 1 and 2, so that sums of
    # squares neither overflow nor vanish.
    power = torch.where(largest > 0, largest / (2 * torch.frexp(largest).mantissa), 0.5)
    points = points / power
    mean = points.mean(0)
    centred = points.sub_(mean)
    squares = centred.square()
    deviation = squares.mean(0).sqrt()
    relative = ROUNDINGS * torch.finfo(x.dtype).eps
    rounding = relative * largest / power
    varies = deviation > rounding
    # Quartiles are faster in the dtype of x.
    low, middle, high = (value.to(points) / power for value in quartiles(x))
    spread, usual = high - low, relative * torch.maximum(low.abs(), high.abs())
    robust = (spread > usual) & (deviation > WIDE * spread)
    deviation = torch.where(robust, NORMAL_SHARE * spread, deviation)
    mean, rounding = mean.where(~robust, middle), rounding.where(~robust, usual)
    if bool((centred.abs().amax(0) > FARTHEST * deviation).any()):
        farthest = x.flatten()[int((centred.abs() - FARTHEST * deviation).argmax())]
        raise ValueError(
            f"X has the value {float(farthest):g}, more than {FARTHEST:g} standard deviations from "
            "the other values of its column. Powers of distances exceed the range of float64: drop "
            "rows with such values"
        )
    third_moment = squares.mul_(centred).sum(0)
    deviation = torch.where(third_moment < 0, -deviation, deviation)
    unit = torch.where(varies, deviation, (1 / power).clamp_min(2.0))
    return FeatureUnits(mean * power, unit * power, rounding / unit.abs())
