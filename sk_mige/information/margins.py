"""Monotone maps of single coordinates to Gaussian margins, without change of mutual information."""

from __future__ import annotations

import torch
from scipy.stats import rankdata
from torch import Tensor

from sk_mige._arrays import check_finite, check_tensor, readable
from sk_mige._contexts import one_by_one


@one_by_one
def gaussianize_margins(z: Tensor) -> tuple[Tensor, Tensor]:
    r"""Smooth increasing map T of each coordinate towards N(0, 1), with its derivative.

    For every invertible T, I(x; T(y)) = I(x; y). T must be smooth, but T(z) need not be exactly
    Gaussian. T is the monotone cubic interpolation of [1]_ from a few sample quantiles to
    the quantiles of N(0, 1). The number of quantiles is the maximum of 5 and 1.25 n^(1/3), which is
    8 for n = 256.

    Parameters
    ----------
    z : tensor of shape (n, d)
        Samples. Integers give results in torch's default dtype.

    Returns
    -------
    values : tensor of shape (n, d)
        Mapped samples T(z). A coordinate with fewer than two distinct quantiles is only
        centred and scaled.
    derivative : tensor of shape (n, d)
        Derivatives T'(z), positive.

    References
    ----------
    .. [1] F. N. Fritsch, J. Butland, "A Method for Constructing Local Monotone Piecewise Cubic
       Interpolants", SIAM J. Sci. Stat. Comput. 5, 1984.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import gaussianize_margins
    >>> z = torch.randn(500, 1, generator=torch.Generator().manual_seed(0)).exp()
    >>> values, derivative = gaussianize_margins(z)
    >>> bool((values - z.log()).abs().median() < 0.1)
    True
    """
    n, dtype = len(check_finite("z", check_tensor("z", z))), _floating(z)
    if n < 2:
        raise ValueError(f"z must have at least 2 samples; got {n}")
    points = z.detach().to(dtype if z.device.type == "mps" else torch.float64)
    # With more knots, the fit of the margin is better and the derivative is noisier.
    n_knots = max(5, round(1.25 * n ** (1 / 3)))
    edge = -float(torch.special.ndtri(torch.tensor(0.5 / n, dtype=torch.float64, device="cpu")))
    # Products of slopes neither overflow nor vanish in units of the largest value.
    largest = points.abs().amax(0)
    unit = torch.where(largest > 0, largest / (2 * torch.frexp(largest).mantissa), 1.0)
    points = points / unit
    heights = torch.linspace(-edge, edge, n_knots, dtype=points.dtype, device=points.device)
    levels = ((torch.special.ndtr(heights) * n - 0.5) / (n - 1)).clamp(0, 1)
    knots = torch.quantile(points, levels, dim=0)
    columns = zip(points.mT.contiguous(), knots.mT.contiguous(), strict=True)
    mapped = [_monotone_cubic(*pair, heights) for pair in columns]
    values, derivative = (torch.stack(part, dim=1) for part in zip(*mapped, strict=True))
    derivative = (derivative / unit).to(dtype)
    if not bool(derivative.isfinite().all()):
        raise ValueError(
            f"the derivatives of the map of z exceed the range of {dtype}: rescale the columns of "
            "z, or pass z in float64"
        )
    return values.to(dtype), derivative


def _monotone_cubic(x: Tensor, knots: Tensor, heights: Tensor) -> tuple[Tensor, Tensor]:
    """Return values and derivatives at x of the monotone cubic through (knots, heights).

    Equal knots are merged into one knot, whose height is the mean of their heights.
    """
    knots, owner, counts = torch.unique(knots, return_inverse=True, return_counts=True)
    if len(knots) < 2:
        return x - x.mean(), torch.ones_like(x)
    heights = torch.zeros_like(knots).index_add_(0, owner, heights) / counts
    width = knots.diff()
    secant = heights.diff() / width
    # The slope is the secant at both ends, and Fritsch and Butland's harmonic mean in between.
    lean = (width[:-1] + 2 * width[1:]) / (3 * (width[:-1] + width[1:]))
    inner = secant[:-1] * secant[1:] / (lean * secant[1:] + (1 - lean) * secant[:-1])
    slope = torch.cat([secant[:1], inner, secant[-1:]])
    cell = (torch.searchsorted(knots, x) - 1).clamp(0, len(width) - 1)
    h, chord, left, right = width[cell], secant[cell], slope[cell], slope[cell + 1]
    t = ((x - knots[cell]) / h).clamp(0, 1)
    bend, twist = 3 * chord - 2 * left - right, left + right - 2 * chord
    values = heights[cell] + h * t * (left + t * (bend + t * twist))
    return values, left + t * (2 * bend + t * 3 * twist)


@one_by_one
def gaussianize_ranks(z: Tensor) -> Tensor:
    """Normal scores of each coordinate: ranks, mapped to quantiles of N(0, 1).

    Parameters
    ----------
    z : tensor of shape (n, d)
        Samples. Integers give scores in torch's default dtype. Tied values get the mean of their
        ranks.

    Returns
    -------
    tensor of shape (n, d)

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import gaussianize_ranks
    >>> gaussianize_ranks(torch.tensor([[10.0], [-3.0], [0.0]])).flatten()
    tensor([ 0.9674, -0.9674,  0.0000])
    """
    n = len(check_finite("z", check_tensor("z", z)))
    ranks = torch.from_numpy(rankdata(readable(z, "z"), axis=0)).contiguous()
    scores: Tensor = torch.special.ndtri((ranks - 0.5) / n)
    return scores.to(z.device, _floating(z))


def _floating(z: Tensor) -> torch.dtype:
    """Return the dtype of z, or torch's default dtype for integers."""
    return z.dtype if z.is_floating_point() else torch.get_default_dtype()
