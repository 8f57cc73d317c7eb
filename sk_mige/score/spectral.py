"""The Spectral Stein Gradient Estimator (SSGE) at its own samples, by matrix products alone."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from .kernels import median_bandwidth, rbf_kernel, squared_distances
from .solvers import subspace_eigh

__all__ = ["ScoreFunction", "ssge", "leading_eigenpairs"]


class ScoreFunction(Protocol):
    """What the information gradients need of a score estimator: scores at its own samples.

    Examples
    --------
    >>> from functools import partial
    >>> from sk_mige.score import ssge
    >>> published = partial(ssge, eigen_threshold=0.94)
    """

    def __call__(self, z: Tensor, *, sq_distances: Tensor | None = None) -> Tensor:
        """Scores at the samples ``z``, shape ``(..., M, d)``."""
        ...


def leading_eigenpairs(
    eigenvalues: Tensor,
    n_eigen: int | None = None,
    eigen_threshold: float | Tensor | None = 0.99,
) -> Tensor:
    r"""Mask of the leading eigenvalues that SSGE keeps.

    With ``n_eigen`` the :math:`J` largest; otherwise the smallest number whose sum reaches
    ``eigen_threshold`` of the total, and at least one. Eigenvalues below the rounding error of
    their matrix, :math:`M \epsilon \lambda_1`, are never kept: dividing by them returns noise.

    Parameters
    ----------
    eigenvalues : Tensor of shape (..., M)
        In descending order.
    n_eigen : int, default=None
        Number to keep; takes precedence over ``eigen_threshold``.
    eigen_threshold : float, Tensor of shape (..., 1) or None, default=0.99
        Fraction of the spectrum's sum to reach; ``None`` or 1 keeps every usable one. Of a
        column of thresholds, one mask each.

    Returns
    -------
    Tensor of bool of shape (..., M)
        True for the kept ones.

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
        if not isinstance(eigen_threshold, Tensor):  # NumPy's numbers do not multiply tensors
            eigen_threshold = float(eigen_threshold)
        before = positive.cumsum(-1) - positive  # the sum without this eigenvalue
        total = positive.sum(-1, keepdim=True)
        # The slack keeps 6 + 3 of 6 + 3 + 1 at threshold 0.9 in spite of rounding.
        kept = (before < (eigen_threshold - 1e-12) * total) | (eigen_threshold >= 1)
    return kept & usable


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
) -> Tensor:
    r"""Scores :math:`\nabla \log q` at the samples themselves, as published.

    With :math:`K = U \Lambda U^\top` the Gram matrix of the samples and
    :math:`G = K Z - \operatorname{diag}(K 1) Z`,

    .. math:: \hat g(Z) = \sigma^{-2}\, U_J \Lambda_J^{-1} U_J^\top G ,

    which equals the eigenfunction expansion of [1]_ without forming any array of shape
    ``(M, M, d)``. No gradient flows through the result: in every use the score is a constant.

    Parameters
    ----------
    z : Tensor of shape (..., M, d)
        Samples; leading dimensions are independent sets, solved by one batched
        eigendecomposition.
    sq_distances : Tensor of shape (..., M, M), default=None
        Squared distances for the kernel in place of those between the rows of ``z``. For the
        z-block of the joint score of (x, z) pass the sum of both variables' squared distances.
    n_eigen : int, default=None
        Number J of eigenpairs; ``None`` leaves it to ``eigen_threshold``.
    eigen_threshold : float or None, default=0.99
        Fraction of the spectrum that the kept eigenvalues reach.
    bandwidth : float, Tensor of shape (...) or "median", default="median"
        Kernel width :math:`\sigma`.
    alpha : float, default=0.0
        Tikhonov strength: :math:`\Lambda^{-1}` becomes :math:`(\Lambda + M \alpha)^{-1}`.
    solver : {"eigh", "subspace", "cholesky"}, default="eigh"
        "eigh" decomposes the Gram matrix; "subspace" finds ``n_eigen`` leading pairs by
        :func:`subspace_eigh`; "cholesky" solves :math:`(K + M \alpha I)\, \hat g = G/\sigma^2`,
        Tikhonov's regularisation with nothing cut off, at a tenth of the cost. Where rounding
        leaves no factor, because ``alpha`` is too small, scores are NaN.

    Returns
    -------
    Tensor of shape (..., M, d)
        Estimated scores, detached, in the dtype of ``z``. The eigendecomposition runs in
        float64: in pure float32 the result would be off by some 6e-3.

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
    z = z.detach()
    sq = squared_distances(z) if sq_distances is None else sq_distances.detach()
    sigma = median_bandwidth(sq) if isinstance(bandwidth, str) else bandwidth
    sq = sq.to(eigh_dtype(sq))
    # Filled there: a number that is copied to a card is waited for.
    sigma = sigma.to(sq) if isinstance(sigma, Tensor) else sq.new_full((), sigma)
    gram = rbf_kernel(sq, sigma)
    if solver == "cholesky":
        return _tikhonov(z, gram, sigma, alpha)
    if solver == "subspace":
        if n_eigen is None:
            raise ValueError("solver='subspace' finds a given number of eigenpairs: pass n_eigen")
        eigenvalues, vectors = subspace_eigh(gram, min(n_eigen, gram.shape[-1]))
    else:
        # Of a batch that has diverged some solvers raise; its scores are NaN by the product below.
        eigenvalues, vectors = torch.linalg.eigh(gram.nan_to_num())
        eigenvalues, vectors = eigenvalues.flip(-1), vectors.flip(-1)
    kept = leading_eigenpairs(eigenvalues, n_eigen, eigen_threshold)
    inverse = torch.where(kept, eigenvalues + z.shape[-2] * alpha, torch.inf).reciprocal()
    # K - diag(K1) annihilates constants, so z may be centred: it keeps the product accurate.
    laplacian = gram - torch.diag_embed(gram.sum(-1))
    centred = (z - z.mean(-2, keepdim=True)).to(sq.dtype)
    # Apply to the (J, d) side first: O(M J d) rather than O(M^2 d) when few pairs are kept.
    # Elsewhere than on the processor the count would have to be waited for.
    j = max(1, int(kept.sum(-1).max())) if z.device.type == "cpu" else kept.shape[-1]
    u = vectors[..., :j]
    weights = (u.mT @ laplacian) * (inverse[..., :j] / sigma[..., None].square())[..., None]
    scores: Tensor = (u @ (weights @ centred)).to(z.dtype)
    return scores


def _tikhonov(z: Tensor, gram: Tensor, sigma: Tensor, alpha: float) -> Tensor:
    """Scores (K + M alpha I)^-1 G / sigma^2 by Cholesky's factorisation."""
    if alpha <= 0:
        raise ValueError(f"solver='cholesky' needs alpha > 0 to invert the kernel, got {alpha}")
    centred = (z - z.mean(-2, keepdim=True)).to(gram.dtype)
    stein = gram @ centred - gram.sum(-1, keepdim=True) * centred
    shifted = gram.clone()
    shifted.diagonal(dim1=-2, dim2=-1).add_(z.shape[-2] * alpha)
    # No error is raised, nor waited for: scores that cannot be computed are NaN.
    factor, failed = torch.linalg.cholesky_ex(shifted)
    scores = torch.cholesky_solve(stein, factor) / sigma[..., None, None].square()
    return torch.where((failed == 0)[..., None, None], scores, torch.nan).to(z.dtype)


def eigh_dtype(tensor: Tensor) -> torch.dtype:
    """float64 wherever the device has it; MPS has none."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64
