"""Ways around a full eigendecomposition where few eigenpairs, or none, are needed."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["subspace_eigh"]


def subspace_eigh(
    gram: Tensor, n_eigen: int, *, n_iter: int = 6, oversampling: int = 10
) -> tuple[Tensor, Tensor]:
    r"""Leading eigenpairs of positive semi-definite matrices by subspace iteration.

    :math:`Q \leftarrow \mathrm{orth}(K Q)` from a random start, then the eigenpairs of
    :math:`Q^\top K Q`. The error of eigenvector j shrinks like
    :math:`(\lambda_{J + p + 1} / \lambda_j)^{n_\mathrm{iter}}`, with p the oversampling, and that
    of its eigenvalue like the square: fast for the quickly decaying spectra of smooth kernels.
    Costs :math:`O(M^2 (J + p))` an iteration against :math:`O(M^3)`, all in batched matrix
    products, which suits GPUs.

    Parameters
    ----------
    gram : Tensor of shape (..., M, M)
        Gram matrices.
    n_eigen : int
        Number J of eigenpairs.
    n_iter : int, default=6
        Iterations.
    oversampling : int, default=10
        Further directions p that are iterated along and dropped.

    Returns
    -------
    eigenvalues : Tensor of shape (..., J)
        In descending order.
    vectors : Tensor of shape (..., M, J)
        Orthonormal eigenvectors.

    References
    ----------
    N. Halko, P. G. Martinsson, J. A. Tropp, "Finding Structure with Randomness", SIAM Review 53,
    2011.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import subspace_eigh
    >>> values, vectors = subspace_eigh(torch.diag(torch.tensor([1.0, 5.0, 3.0])), 2)
    >>> values
    tensor([5., 3.])
    """
    m = gram.shape[-1]
    width = min(m, n_eigen + oversampling)
    # A generator of its own: the same start each time, and nobody else's random numbers.
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(m, width, generator=generator, dtype=torch.float64, device="cpu").to(gram)
    q = torch.linalg.qr(gram @ start).Q
    for _ in range(n_iter):
        q = torch.linalg.qr(gram @ q).Q
    values, rotation = torch.linalg.eigh(q.mT @ gram @ q)
    values, rotation = values.flip(-1), rotation.flip(-1)
    return values[..., :n_eigen], q @ rotation[..., :n_eigen]
