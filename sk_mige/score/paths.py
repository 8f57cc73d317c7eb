"""Held-out losses of every spectral filter of one fit."""

from __future__ import annotations

from torch import Tensor

from .basis import SpectralBasis
from .sums import KernelSums

__all__ = ["path_losses"]


def path_losses(
    basis: SpectralBasis,
    rhs: Tensor,
    filters: Tensor,
    held_out: KernelSums,
    units: Tensor | None = None,
) -> Tensor:
    r"""Mean held-out loss of every spectral filter of one fit.

    For :math:`C = S\, \mathrm{diag}(h)\, S^\top R` and held-out sums :math:`(A', R', c')`,

    .. math:: n' J = \tfrac12\, h^\top (Q \circ p p^\top) h - h^\top \langle p, p'\rangle + c',
              \quad Q = S^\top A' S,\; p = S^\top R,\; p' = S^\top R' ,

    so that each further filter costs O(r²).

    Parameters
    ----------
    basis : SpectralBasis
        Of the training sums.
    rhs : Tensor of shape (m, d)
        R of the training sums.
    filters : Tensor of shape (F, r)
        One filter h a row.
    held_out : KernelSums
        Sums of the held-out samples over the same expansion.
    units : Tensor of shape (d,), default=None
        What the components of coefficients are multiplied by where losses are compared.

    Returns
    -------
    Tensor of shape (F,)
        Losses per held-out sample.
    """
    quadratic, linear = held_out.loss
    if units is not None:
        rhs, linear = rhs * units, linear * units
    projected = basis.vectors.mT @ rhs
    form = (basis.vectors.mT @ quadratic @ basis.vectors) * (projected @ projected.mT)
    slope = (projected * (basis.vectors.mT @ linear)).sum(1)
    losses = 0.5 * ((filters @ form) * filters).sum(1) - filters @ slope
    return (losses + held_out.constant) / held_out.n_samples
