"""Spectral bases: directions in which the fit and the kernel's penalty are both diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["SpectralBasis", "kernel_basis", "significant", "spectral_basis"]


@dataclass(frozen=True)
class SpectralBasis:
    """Directions of the centres' coefficients in which fit and penalty are both diagonal.

    Attributes
    ----------
    vectors : Tensor of shape (m, r)
        S, with S' K_ZZ S = I and S' A S = diag(values).
    values : Tensor of shape (r,)
        In descending order.
    """

    vectors: Tensor
    values: Tensor


def kernel_basis(gram: Tensor) -> SpectralBasis:
    r"""Basis :math:`U \Lambda^{-1/2}` of a Gram matrix and its spectrum.

    Where every sample is a centre, A = K², this already diagonalises the fit: SSGE's expansion.

    Parameters
    ----------
    gram : Tensor of shape (m, m)
        Kernel between the centres.

    Returns
    -------
    SpectralBasis
    """
    values, vectors = torch.linalg.eigh(gram)
    n_kept = int(significant(values).sum())
    values = values[-n_kept:].flip(0)  # ascending before: the significant ones come last
    return SpectralBasis(vectors[:, -n_kept:].flip(1).mul_(values.rsqrt()), values)


def significant(values: Tensor) -> Tensor:
    """Which eigenvalues (m,) of a Gram matrix are more than rounding errors of the largest."""
    return values > 10 * len(values) * torch.finfo(values.dtype).eps * values.max()


def spectral_basis(kernel: SpectralBasis, quadratic: Tensor) -> SpectralBasis:
    r"""Simultaneous diagonalisation of the kernel's and of the fit's quadratic form.

    The basis of :math:`K_{ZZ}^{-1/2} A K_{ZZ}^{-1/2}`, which landmarks and gradient fields need.

    Parameters
    ----------
    kernel : SpectralBasis
        From :func:`kernel_basis`.
    quadratic : Tensor of shape (m, m)
        A.

    Returns
    -------
    SpectralBasis
    """
    values, rotation = torch.linalg.eigh(kernel.vectors.mT @ quadratic @ kernel.vectors)
    return SpectralBasis(kernel.vectors @ rotation.flip(1), values.clamp_min(0).flip(0))
