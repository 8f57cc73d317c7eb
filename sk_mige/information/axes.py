"""Redundant coordinates and independent axes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sk_mige.information._samples import check_finite, check_tensor
from sk_mige.score import whitening
from sk_mige.score.subspace import varying_units

__all__ = ["independent_axes", "independent_columns"]

NORMAL_CONTRAST = 0.3745672075  # E log cosh of N(0, 1)
MAX_ITER = 40
TOLERANCE = 1e-4


def independent_axes(z: Tensor) -> Tensor | None:
    r"""Linear map to independent components, or None if it has no benefit.

    Mutual information does not change under invertible maps of either variable. Maps of single
    coordinates (:func:`gaussianize_margins`) bring a distribution closer to a Gaussian if its
    coordinates are independent. Symmetric FastICA [1]_ finds such coordinates.

    Parameters
    ----------
    z : tensor of shape (n, d)
        Samples.

    Returns
    -------
    tensor of shape (d, d) or None
        Matrix A, to be applied as ``z @ A``, or None in each of these cases:

        - z has one dimension, fewer than 5 d samples or a constant coordinate.
        - The multivariate kurtosis does not differ from a Gaussian's. The result of ICA would
          then be random.
        - A does not increase the contrast by a tenth plus 0.001 for each coordinate. The contrast
          is the sum of
          :math:`(\mathbb{E}\log\cosh z_k - \mathbb{E}\log\cosh \mathcal N)^2` over k.

    References
    ----------
    .. [1] A. Hyvärinen, "Fast and Robust Fixed-Point Algorithms for Independent Component
       Analysis", IEEE Transactions on Neural Networks 10, 1999.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import independent_axes
    >>> z = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)).double()
    >>> independent_axes(z) is None and independent_axes(z**3) is None
    True
    >>> mixed = z**3 @ torch.tensor([[1.0, 1.0], [-1.0, 1.0]]).double()
    >>> independent_axes(mixed).shape
    torch.Size([2, 2])
    """
    z = check_finite("z", check_tensor("z", z)).detach()
    z = z if z.is_floating_point() else z.double()
    n, d = z.shape
    if d < 2 or n < 5 * d or bool((z == z[:1]).all(0).any()):
        return None
    white, _ = whitening(z, 0.0)
    y = white(z)
    # Mardia's kurtosis: the mean fourth power of the radius, invariant under affine maps.
    excess = float(y.square().sum(1).square().mean()) - d * (d + 2)
    if abs(excess) < 4 * math.sqrt(8 * d * (d + 2) / n):
        return None
    axes = _fast_ica(y)
    assert white.units is not None
    columns = white.units(z)
    given = float(_contrast((columns - columns.mean(0)) / columns.std(0, correction=0)))
    gain = float(_contrast(y @ axes)) - given
    if gain < 0.1 * given + 0.001 * d:
        return None
    mixing = white.linear(torch.eye(d, dtype=axes.dtype, device=z.device)) @ axes
    return (mixing / white.units.scale[:, None]).to(z.dtype)


def _contrast(y: Tensor) -> Tensor:
    """Squared differences of E log cosh from a Gaussian's, summed over coordinates."""
    log_cosh = y.abs() + torch.log1p(torch.exp(-2 * y.abs())) - math.log(2.0)
    return (log_cosh.mean(0) - NORMAL_CONTRAST).square().sum()


def _fast_ica(y: Tensor) -> Tensor:
    """Orthogonal matrix (d, d) whose columns are the axes of whitened samples."""
    d = y.shape[1]
    # The start is random, because axes at 45 degrees to the components are a fixed point as well.
    start = torch.randn(d, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axes: Tensor = torch.linalg.qr(start).Q.to(y)
    for _ in range(MAX_ITER):
        slope = torch.tanh(y @ axes)
        moved = y.mT @ slope / len(y) - axes * (1 - slope.square()).mean(0)
        left, _, right = torch.linalg.svd(moved)
        previous, axes = axes, left @ right
        if bool((1 - (axes * previous).sum(0).abs()).max() < TOLERANCE):
            break
    return axes


def independent_columns(z: Tensor) -> list[int]:
    """Indices of columns of which all other columns are linear combinations.

    Principal components would also remove the redundancy. They are mixtures of columns, and maps
    of the margins of mixtures are less useful.

    Parameters
    ----------
    z : tensor of shape (n, d)
        Samples. If n is not larger than d, all columns are returned.

    Returns
    -------
    list of int
        Indices of the columns, ascending.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.axes import independent_columns
    >>> x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)).double()
    >>> independent_columns(torch.cat([0 * x, x, x.sum(1, keepdim=True)], 1))
    [2, 3]
    """
    _, rest, varying = varying_units(z)
    if varying is None:
        return list(range(z.shape[1]))
    rest = rest * (
        varying.axes.square().sum(1) > 0
    )  # without columns that are constant up to rounding
    kept: list[int] = []
    for _ in range(varying.axes.shape[1]):  # Gram-Schmidt: the first long remainder
        lengths = rest.norm(dim=0)
        chosen = int((lengths > 0.5 * lengths.max()).nonzero()[0])
        kept.append(chosen)
        unit = rest[:, chosen] / lengths[chosen]
        rest = rest - torch.outer(unit, unit @ rest)
    return sorted(kept)
