"""Published Spectral Stein Gradient Estimator (SSGE), computed by matrix products."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from sk_mige._arrays import check_real
from sk_mige._contexts import is_readable
from sk_mige._sizes import as_number, as_size

from .kernels import Kernel, KernelMatrices, median_bandwidth, resolve_kernel, squared_distances
from .precision import full_precision, widest_dtype
from .spectrum import cholesky_in_place, leading_eigenpairs, solved, spectral_filter

# Smallest strength for which the ridge is solved in the precision of the samples. The condition
# number of K + M alpha I is at most 1 + 1 / alpha, so float32 keeps three digits or more of the
# scores.
SINGLE_PRECISION_RIDGE = 1e-4
SOLVERS = ("eigh", "cholesky")


class ScoreFunction(Protocol):
    """Protocol of functions that estimate scores at given samples.

    Estimators of information gradients accept any function with this signature.

    Examples
    --------
    >>> from functools import partial
    >>> from sk_mige.score import ssge
    >>> published = partial(ssge, eigen_threshold=0.94)
    """

    def __call__(self, z: Tensor, *, sq_distances: Tensor | None = None) -> Tensor:
        """Return scores at the samples ``z``, shape ``(..., M, d)``."""
        ...


@torch.no_grad()
def ssge(
    z: Tensor,
    *,
    sq_distances: Tensor | None = None,
    n_eigen: int | None = None,
    eigen_threshold: float | None = 0.99,
    bandwidth: float | Tensor | str = "median",
    alpha: float = 0.0,
    solver: str = "eigh",
    kernel: Kernel | str = "rbf",
) -> Tensor:
    r"""Estimate scores :math:`\nabla \log q` at the samples by the published SSGE.

    With :math:`K = U \Lambda U^\top` the Gram matrix of the samples and
    :math:`G = D Z - \operatorname{diag}(D 1) Z`,

    .. math:: \hat g(Z) = \sigma^{-2}\, U_J \Lambda_J^{-1} U_J^\top G .

    The matrix D holds the slopes :math:`-2\, k'(u)` of the kernel k(u) at :math:`u = \|z_i -
    z_j\|^2 / \sigma^2`. For the RBF, D = K.

    The estimate equals the eigenfunction expansion of [1]_. No array of shape ``(M, M, d)`` is
    formed. No gradient flows through the result, because information gradients treat the score as
    a constant.

    Parameters
    ----------
    z : Tensor of shape (..., M, d)
        Samples. Leading dimensions index independent sets of samples, which share one batched
        eigendecomposition.
    sq_distances : Tensor of shape (..., M, M), default=None
        Squared distances for the kernel. If None, the distances between the rows of ``z`` are used.
        To estimate the z-block of the score of (x, z), pass the sum of the squared distances of x
        and z.
    n_eigen : int, default=None
        Number J of eigenpairs. If None, ``eigen_threshold`` determines J.
    eigen_threshold : float or None, default=0.99
        Fraction of the spectrum: the largest eigenvalues are kept until their sum reaches this
        fraction of the total. None keeps every eigenvalue above the rounding error.
    bandwidth : float, Tensor of shape (...) or "median", default="median"
        Kernel width :math:`\sigma`.
    alpha : float, default=0.0
        Tikhonov strength :math:`\alpha`, which replaces :math:`\Lambda^{-1}` by :math:`(\Lambda + M
        \alpha)^{-1}`.
    solver : {"eigh", "cholesky"}, default="eigh"
        Solver of the spectral problem:

        - "eigh" decomposes the Gram matrix.
        - "cholesky" solves :math:`(K + M \alpha I)\, \hat g = G/\sigma^2`, which is Tikhonov
          regularisation without a cutoff. No eigendecomposition is computed.

        Scores of "cholesky" are NaN if ``alpha`` is too small for the factorisation.
    kernel : {"rbf", "imq", "matern", "multiscale"} or Kernel, default="rbf"
        Kernel k(u). The published estimator uses the RBF. Classes in :mod:`sk_mige.score.kernels`
        have further parameters, such as ``Matern(nu=1.5)``.

    Returns
    -------
    Tensor of shape (..., M, d)
        Estimated scores, detached, in the dtype of ``z``. The eigendecomposition runs in float64,
        because a float32 result can have a relative error of 6e-3. The solver "cholesky" runs in
        float64 if ``alpha`` is below 1e-4. For larger ``alpha``, the solver runs in the dtype of
        ``z``, or in float32 for half precision.

    Notes
    -----
    With "cholesky" and the RBF, the product K Z is avoided by
    :math:`G = (K + M \alpha I) Z - \operatorname{diag}(K 1 + M \alpha) Z`:

    .. math:: \hat g(Z) = \sigma^{-2} \big[Z - (K + M \alpha I)^{-1}
              \operatorname{diag}(K 1 + M \alpha)\, Z\big] ,

    where Z is centred. All solvers centre the samples to reduce rounding errors.

    Raises
    ------
    TypeError
        If ``z`` or ``sq_distances`` is not a dense tensor of floating-point numbers.
    ValueError
        If another argument is invalid, or if ``alpha`` is 0 with ``solver="cholesky"``.

    References
    ----------
    .. [1] J. Shi, S. Sun, J. Zhu, "A Spectral Approach to Gradient Estimation for Implicit
       Distributions", ICML 2018.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import ssge
    >>> z = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> score = ssge(z)  # the score of N(0, I) is -z
    >>> bool(torch.nn.functional.cosine_similarity(score, -z).mean() > 0.9)
    True
    """
    _check_arguments(z, sq_distances, bandwidth, solver)
    _check_spectrum(alpha, n_eigen, eigen_threshold)
    z = z.detach()
    m = z.shape[-2]
    sq = squared_distances(z) if sq_distances is None else sq_distances.detach()
    sigma = median_bandwidth(sq) if isinstance(bandwidth, str) else bandwidth
    by_cholesky = solver == "cholesky"
    single = by_cholesky and alpha >= SINGLE_PRECISION_RIDGE
    sq = sq.to(torch.promote_types(z.dtype, torch.float32) if single else widest_dtype(sq))
    # Fill on the device, because a copy from the host would wait for the device.
    sigma = sigma.to(sq) if isinstance(sigma, Tensor) else sq.new_full((), sigma)
    s2 = sigma.square()[..., None, None]
    matrices = resolve_kernel(kernel).matrices(sq, s2)
    gram = matrices.values
    # D - diag(D1) maps constants to 0, so centring z only reduces the rounding errors of the
    # product.
    wide = z.to(gram.dtype)
    centred = wide - wide.mean(-2, keepdim=True)
    if by_cholesky:
        return _ridge_scores(matrices, centred, alpha, s2).to(z.dtype)
    # Some solvers raise an error for NaN. The product below gives NaN scores for a set with NaN.
    values, vectors = torch.linalg.eigh(gram.nan_to_num(), UPLO="U")
    values, vectors = values.flip(-1), vectors.flip(-1)
    kept = leading_eigenpairs(values, n_eigen, eigen_threshold)
    h = spectral_filter(values, m, alpha, kept)
    # On a GPU, all eigenvectors are used, because reading the number of kept ones would wait.
    j = max(1, int(kept.sum(-1).max())) if is_readable(values) else kept.shape[-1]
    u = vectors[..., :j]
    moments = stein_moments(u, values[..., :j], matrices, s2) @ centred
    return (u @ (h[..., :j, None] * moments)).to(z.dtype)


def stein_moments(
    vectors: Tensor,
    values: Tensor,
    matrices: KernelMatrices,
    s2: Tensor | float,
    weight: Tensor | float = 0.0,
) -> Tensor:
    r"""Return the operator T, (..., r, M), that applies Stein's identity to eigenfunctions.

    For eigenvectors U of the Gram matrix K, with any scaling,

    .. math:: T = U^\top \big[\sigma^{-2} (D - \operatorname{diag}(D 1))
              + K \operatorname{diag}(w)\big] ,

    with D the slopes of the kernel. For the RBF, D = K, and T needs only elementwise products,
    because :math:`U^\top K = \Lambda U^\top`. Scores at the samples are :math:`U h(\Lambda)\, T Z`
    with h the spectral filter. The second term belongs to a base with weights w. SSGE has no base,
    so w = 0.

    Parameters
    ----------
    vectors : Tensor of shape (..., M, r)
        Eigenvectors U.
    values : Tensor of shape (..., r)
        Eigenvalues.
    matrices : KernelMatrices of shape (..., M, M)
        Gram matrix K and slopes D.
    s2 : float or Tensor of shape (..., 1, 1)
        Squared bandwidth.
    weight : float or Tensor of shape (M,), default=0.0
        Weights w of the base.

    Returns
    -------
    Tensor of shape (..., r, M)
    """
    totals = matrices.slopes.sum(-1)[..., None, :] / s2
    if matrices.shared:
        return (values[..., :, None] * (1 / s2 + weight) - totals).mul_(vectors.mT)
    moved = vectors.mT @ matrices.slopes / s2
    return moved + vectors.mT * (values[..., :, None] * weight - totals)


def _check_spectrum(alpha: float, n_eigen: Any, eigen_threshold: float | None) -> None:
    """Raise ValueError for invalid parameters of the spectrum."""
    as_number("alpha", alpha, closed="left")
    if n_eigen is not None:
        as_size("n_eigen", n_eigen)
    if eigen_threshold is not None:
        as_number("eigen_threshold", eigen_threshold, 0, 1, "right")


def _check_arguments(z: Tensor, sq: Tensor | None, bandwidth: Any, solver: str) -> None:
    """Raise TypeError or ValueError for invalid arguments."""
    for name, value in {"z": z, "sq_distances": z if sq is None else sq}.items():
        check_real(name, value, floating=True, readable=False)
    if z.ndim < 2 or 0 in z.shape[-2:]:
        raise ValueError(
            f"z must have shape (..., M, d), with at least one row and column; got {tuple(z.shape)}"
        )
    if sq is not None and tuple(sq.shape[-2:]) != (z.shape[-2],) * 2:
        raise ValueError(
            f"sq_distances must have shape (..., {z.shape[-2]}, {z.shape[-2]}), one row per row of "
            f"z; got {tuple(sq.shape)}"
        )
    if isinstance(bandwidth, str) and bandwidth != "median":
        raise ValueError(f"bandwidth must be 'median' or a number; got {bandwidth!r}")
    if not isinstance(bandwidth, str | Tensor):
        as_number("bandwidth", bandwidth)
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(map(repr, SOLVERS))}; got {solver!r}")


@full_precision
def _ridge_scores(matrices: KernelMatrices, centred: Tensor, alpha: float, s2: Tensor) -> Tensor:
    """Return (K + M alpha I)^-1 G / s2, or NaN if the factorisation fails, and overwrite K."""
    if alpha <= 0:
        raise ValueError(
            f"solver='cholesky' needs alpha > 0 to invert the kernel, got alpha={alpha}; pass "
            "alpha=1e-4, for example, or solver='eigh'"
        )
    gram, slopes, _ = matrices
    gram.diagonal(dim1=-2, dim2=-1).add_(gram.shape[-1] * alpha)
    # If the slopes are shared, the sums are those of K + M alpha I.
    weighted = slopes.sum(-1, keepdim=True) * centred
    factor, failed = cholesky_in_place(gram)
    s2 = s2.masked_fill(failed[..., None, None] != 0, torch.nan)
    if not matrices.shared:
        return solved(factor, slopes @ centred - weighted).div_(s2)
    return centred.sub(solved(factor, weighted)).div_(s2)
