"""Spectra of kernels: bases that diagonalise a fit, kept eigenpairs, and spectral filters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sk_mige._contexts import is_readable

# Candidate Tikhonov strengths, relative to the kernel operator's trace of 1. Infinity leaves only
# the base.
ALPHAS: tuple[float, ...] = (*(10.0 ** (k / 2) for k in range(-12, 3)), math.inf)
# Smallest eigenvalue of a Gram matrix, relative to the largest, for which rounding errors of the
# quadratic form of a fit do not dominate.
RESOLUTION = 1e-10
# Limits on the smallest eigenvalue of a Gram matrix, divided by n. Above the first limit, float32
# resolves the spectrum. Above the second limit, a float64 Cholesky factorisation gives the
# coefficients to six digits.
FLOAT32_RESOLUTION, CHOLESKY_RESOLUTION = 1e-5, 1e-9
# Matrix sizes that are multiples of this number cause conflicts in the processor's cache.
CONFLICTING = 128


def leading_eigenpairs(
    eigenvalues: Tensor, n_eigen: int | None = None, eigen_threshold: float | Tensor | None = 0.99
) -> Tensor:
    r"""Return a mask of the leading eigenvalues that SSGE keeps.

    With ``n_eigen``, the :math:`J` largest eigenvalues are kept. Without ``n_eigen``, the largest
    eigenvalues are kept until their sum reaches the fraction ``eigen_threshold`` of the total.
    Eigenvalues below the rounding error of the matrix, :math:`M \epsilon \lambda_1`, are never
    kept, because dividing by them amplifies noise.

    Parameters
    ----------
    eigenvalues : Tensor of shape (..., M)
        Eigenvalues in descending order.
    n_eigen : int, default=None
        Number J of eigenvalues to keep. ``n_eigen`` takes precedence over ``eigen_threshold``.
    eigen_threshold : float, Tensor of shape (..., 1) or None, default=0.99
        Fraction of the spectrum: the largest eigenvalues are kept until their sum reaches this
        fraction of the total. ``None`` or 1 keeps every eigenvalue above the rounding error. A
        column of thresholds gives one mask for each threshold.

    Returns
    -------
    Tensor of bool of shape (..., M)
        True for the eigenvalues kept.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import leading_eigenpairs
    >>> leading_eigenpairs(torch.tensor([6.0, 3.0, 1.0]), eigen_threshold=0.9)
    tensor([ True,  True, False])
    """
    m = eigenvalues.shape[-1]
    positive = eigenvalues.clamp_min(0)
    usable = positive > m * torch.finfo(eigenvalues.dtype).eps * positive[..., :1]
    if n_eigen is not None:
        kept = torch.arange(m, device=eigenvalues.device) < n_eigen
    elif eigen_threshold is None:
        return usable
    else:
        if not isinstance(eigen_threshold, Tensor):
            eigen_threshold = float(eigen_threshold)  # for NumPy scalars
        before = positive.cumsum(-1) - positive  # sum of the larger eigenvalues
        total = positive.sum(-1, keepdim=True)
        # The slack tolerates rounding errors, so threshold 0.9 keeps 6 + 3 of 6 + 3 + 1. With a
        # threshold of 1, the limit is above the sum, so all eigenvalues are kept.
        limit = eigen_threshold - 1e-12 + (eigen_threshold >= 1)
        kept = before < limit * total
    return kept & usable


def spectral_filter(
    values: Tensor, n_samples: float, alpha: float | Tensor, kept: Tensor | None = None
) -> Tensor:
    r"""Return Tikhonov's filter :math:`h = 1 / (a + n \alpha)` on the kept part of a spectrum.

    Parameters
    ----------
    values : Tensor of shape (..., r)
        Spectrum a, in descending order.
    n_samples : float
        Number n of samples, times the trace of the estimated operator.
    alpha : float or Tensor of shape (F, 1)
        Regularisation strength. A strength of 0 gives the inverse 1 / a, and infinity gives zeros.
        A column of strengths gives one filter for each strength.
    kept : Tensor of bool of shape (..., r), default=None
        Mask of the kept eigenvalues. The filter is 0 for all other eigenvalues. If None, all
        eigenvalues are kept.

    Returns
    -------
    Tensor of shape (..., r) or (F, r)

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import spectral_filter
    >>> spectral_filter(torch.tensor([2.0, 1.0]), 10, 0.1)
    tensor([0.3333, 0.5000])
    """
    inverse = (values + n_samples * alpha).clamp_min(torch.finfo(values.dtype).tiny).reciprocal()
    return inverse if kept is None else inverse * kept


@dataclass(frozen=True)
class SpectralBasis:
    """Basis S of coefficients that diagonalises the quadratic forms of the fit and of the penalty.

    Let A be the matrix of the fit's quadratic form, and P the matrix of the penalty. Then S' A S =
    diag(values) and S' P S = I.

    Attributes
    ----------
    vectors : Tensor of shape (m, r)
        Basis S.
    values : Tensor of shape (r,)
        Eigenvalues of the fit's quadratic form, in descending order.
    """

    vectors: Tensor
    values: Tensor

    @property
    def resolved(self) -> Tensor:
        """Vectors (m, r) of a kernel's basis for which rounding errors of A do not dominate."""
        return self.vectors[:, : int((self.values > RESOLUTION * self.values[0]).sum())]

    def project(self, linear: Tensor) -> Tensor:
        """Return S' R (r, d) for a linear form R (m, d)."""
        return self.vectors.mT @ linear


def kernel_basis(gram: Tensor, *, definite: bool = False) -> SpectralBasis:
    r"""Return the basis :math:`U \Lambda^{-1/2}` and the eigenvalues of a Gram matrix.

    If every sample is a centre, as in SSGE, A = K², and the basis also diagonalises A.

    Parameters
    ----------
    gram : Tensor of shape (m, m)
        Kernel between the centres.
    definite : bool, default=False
        Whether all eigenvalues are known to exceed rounding errors. If True, all eigenvalues are
        kept.

    Returns
    -------
    SpectralBasis
    """
    # LAPACK takes up to 10 % less time for the upper triangle than for the lower triangle.
    values, vectors = torch.linalg.eigh(gram, UPLO="U")
    n_kept = len(values) if definite else int(significant(values).sum())
    values = values[-n_kept:].flip(0)  # significant eigenvalues are last
    return SpectralBasis(vectors[:, -n_kept:].flip(1).mul_(values.rsqrt()), values)


def significant(values: Tensor) -> Tensor:
    """Return a mask (m,) of the eigenvalues of a Gram matrix above the rounding errors."""
    return values > 10 * len(values) * torch.finfo(values.dtype).eps * values.max()


def exceeds(matrix: Tensor, bound: float) -> bool:
    """Return whether all eigenvalues exceed a bound, by a Cholesky factorisation."""
    shifted = matrix.clone()
    shifted.diagonal().sub_(bound)
    return not bool(cholesky_in_place(shifted)[1])


def ridge_factor(gram: Tensor, ridge: float) -> Tensor:
    """Return the Cholesky factor of a Gram matrix with a ridge."""
    shifted = gram.clone()
    shifted.diagonal().add_(ridge)
    return torch.linalg.cholesky(shifted.mT, out=shifted.mT)  # faster than a new tensor


def cholesky_in_place(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return lower Cholesky factors of symmetric matrices, and a code that is 0 for success.

    On a CPU, the factors may overwrite the matrices. New tensors would take twice the time. No
    error is raised, so the CPU does not wait for the device.
    """
    if not is_readable(matrix):
        return torch.linalg.cholesky_ex(matrix)
    m = matrix.shape[-1]
    if m % CONFLICTING == 0:  # a border of the identity halves the time
        matrix = torch.nn.functional.pad(matrix, (0, 1, 0, 1))
        matrix[..., m, m] = 1
    factor, failed = matrix.mT, matrix.new_empty(matrix.shape[:-2], dtype=torch.int32)
    torch.linalg.cholesky_ex(factor, out=(factor, failed))
    return matrix[..., :m, :m].contiguous().mT, failed


def solved(factor: Tensor, right: Tensor) -> Tensor:
    """Return the solution X of L L' X = B for a lower Cholesky factor L and right-hand sides B.

    The transposed system X' L L' = B' takes about half the time of cholesky_solve in float32.
    """
    ahead = torch.linalg.solve_triangular(factor.mT, right.mT, upper=True, left=False)
    return torch.linalg.solve_triangular(factor, ahead, upper=False, left=False).mT


def orthonormal_sections(gram: Tensor) -> Tensor:
    """Return coefficients V (m, r) with V' K V = I for the Gram matrix K of the centres.

    For the quadratic form A of a fit, the product V' A V divides the rounding errors of A by the
    eigenvalues of K. Directions in which rounding errors would dominate are left out. For a
    well-conditioned Gram matrix, a Cholesky factorisation gives V in less time than an
    eigendecomposition.
    """
    if not exceeds(gram, CHOLESKY_RESOLUTION * len(gram)):
        return kernel_basis(gram).resolved
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve_triangular(ridge_factor(gram, 0.0), eye, upper=False).mT


def spectral_basis(quadratic: Tensor) -> SpectralBasis:
    """Diagonalise the quadratic form (r, r) of a fit with orthonormal sections."""
    values, vectors = torch.linalg.eigh(quadratic, UPLO="U")
    return SpectralBasis(vectors.flip(1), values.clamp_min(0).flip(0))
