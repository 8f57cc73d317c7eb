"""Independent components of samples, and linearly independent columns."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sk_mige._arrays import check_finite, check_tensor
from sk_mige.information.components import fast_ica, log_density_of_components, refined_components
from sk_mige.score import whitening
from sk_mige.score.subspace import varying_units

# Smallest decrease of the summed marginal entropies, in nats per coordinate, for useful axes.
MIN_GAIN = 0.03


def independent_axes(z: Tensor) -> Tensor | None:
    r"""Linear map to independent components, or None.

    Mutual information does not change under invertible maps of either variable. Maps of single
    coordinates (:func:`gaussianize_margins`) make a distribution nearly Gaussian if the coordinates
    are independent. Symmetric FastICA [1]_ finds independent coordinates. Coordinates whose
    densities have a peak, such as cubes of Gaussians, are then refined by maximum likelihood.

    Parameters
    ----------
    z : tensor of shape (n, d)
        Samples.

    Returns
    -------
    tensor of shape (d, d) or None
        Matrix A, to be applied as ``z @ A``. The result is None in three cases:

        - z has one dimension, fewer than 5 d samples, or coordinates that are constant or linearly
          dependent.
        - The multivariate kurtosis does not differ significantly from that of a Gaussian, so the
          result of ICA would be random.
        - The map A decreases the total correlation of the coordinates by at most 0.03 nats per
          coordinate. The marginal entropies are estimated from spacings of ordered samples [2]_.

    References
    ----------
    .. [1] A. Hyvärinen, "Fast and Robust Fixed-Point Algorithms for Independent Component
       Analysis", IEEE Transactions on Neural Networks 10, 1999.
    .. [2] E. G. Learned-Miller, J. W. Fisher, "ICA Using Spacings Estimates of Entropy", Journal of
       Machine Learning Research 4, 2003.

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
    if d < 2 or n < 5 * d or len(independent_columns(z)) < d:
        return None
    white, _ = whitening(z, 0.0)
    y = white(z)
    # Mardia's kurtosis: the mean fourth power of the radius, invariant under affine maps.
    excess = float(y.square().sum(1).square().mean()) - d * (d + 2)
    if abs(excess) < 4 * math.sqrt(8 * d * (d + 2) / n):
        return None
    assert white.units is not None
    identity = torch.eye(d, dtype=y.dtype, device=z.device)
    mixing = white.linear(identity) @ refined_components(y, fast_ica(y))
    columns = white.units(z).to(y)
    gain = log_density_of_components(columns, mixing) - log_density_of_components(columns, identity)
    mixing = (mixing / white.units.scale[:, None]).to(z.dtype)
    return mixing if float(gain) > MIN_GAIN * d else None


def independent_columns(z: Tensor) -> list[int]:
    """Return the indices of linearly independent columns that span all columns.

    Principal components would be mixtures of columns, for which maps of the margins are less
    useful.

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
    # Leave out columns that are constant up to rounding.
    rest = rest * (varying.axes.square().sum(1) > 0)
    kept: list[int] = []
    for _ in range(varying.axes.shape[1]):  # Gram-Schmidt process
        lengths = rest.norm(dim=0)
        chosen = int((lengths > 0.5 * lengths.max()).nonzero()[0])
        kept.append(chosen)
        unit = rest[:, chosen] / lengths[chosen]
        rest = rest - torch.outer(unit, unit @ rest)
    return sorted(kept)
