"""Spectral bases: directions in which the fit and the kernel's penalty are both diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["SpectralBasis", "kernel_basis", "section_moments", "significant", "spectral_basis"]


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


def section_moments(basis: SpectralBasis, gram: Tensor, weight: Tensor, s2: float) -> Tensor:
    r"""Operator T, (r, n), with :math:`S^\top R = T\, Y W` where every sample is a centre.

    Since :math:`S^\top K = \Lambda S^\top`, the sections' linear form R costs one product instead
    of two:

    .. math:: T = \Lambda S^\top \operatorname{diag}(\sigma^{-2} + w)
              - \sigma^{-2} S^\top \operatorname{diag}(K 1) .

    Parameters
    ----------
    basis : SpectralBasis
        S and its spectrum, of ``gram``.
    gram : Tensor of shape (n, n)
        K.
    weight : Tensor of shape (n,)
        The base's weights w.
    s2 : float
        Squared bandwidth.

    Returns
    -------
    Tensor of shape (r, n)
    """
    s = basis.vectors.mT
    return s * (basis.values[:, None] * (1 / s2 + weight) - gram.sum(0) / s2)
