"""Linear map of a representation to the units of the input."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from sk_mige._contexts import isolated
from sk_mige._sizes import as_number
from sk_mige._warnings import warn_user
from sk_mige.networks import EncoderNetwork, StandardizingHead

from .data import read_parts

# Largest number of rows from which the map is estimated.
ALIGNMENT_ROWS = 10_000

# Relative rounding error of a variance. Squares of float32 values are exact in float64, and their
# sums lose a few of the 16 digits.
ROUNDING = 1e-12


@torch.no_grad()
def input_alignment(
    encode: Callable[[Tensor], Tensor], batches: Iterable[Tensor], *, floor: float = 0.1
) -> Tensor:
    r"""Return the matrix A that maps z to principal components of the linear prediction of x.

    Let :math:`\hat x = z W` be the best linear prediction of (centred) x from (centred) z. Then

    .. math:: \Sigma_z = L L^\top, \quad L^\top W = P S Q^\top, \quad A = L^{-\top} P S,
              \qquad zA = \hat x\, Q .

    The components of zA are uncorrelated and have the units of x. As in PCA, the variance of
    component k is :math:`s_k^2`, the variance of x that the component explains. The components are
    sorted by descending variance. If a linear encoder finds the principal subspace, the columns of
    zA are the principal components of x. A is invertible, so zA has the same information about x
    as z.

    Parameters
    ----------
    encode : callable
        Function that maps x (M, ...) to z (M, K).
    batches : iterable of tensors of shape (M, ...)
        Inputs.
    floor : float, default=0.1
        Smallest :math:`s_k`, as a fraction of the root mean square of all :math:`s_k`. The floor
        keeps A invertible if components of z do not predict x linearly.

    Returns
    -------
    tensor of shape (K, K)
        The map A in float32, or the identity if z is constant or not finite.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training import input_alignment
    >>> x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 3])
    >>> A = input_alignment(lambda x: x / x.std(0), [x])
    >>> (x / x.std(0) @ A).std(0)  # of the second input, then of the first
    tensor([3.2, 1.0])
    """
    floor = as_number("floor", floor, closed="left")
    n = 0
    sums: list[Tensor] = []
    for x in batches:
        z = encode(x).double().cpu()
        flat = x.flatten(1).double().cpu()
        parts = [z.sum(0), flat.sum(0), z.T @ z, z.T @ flat]
        sums = parts if n == 0 else [a + b for a, b in zip(sums, parts, strict=True)]
        n += len(x)
    mean_z, mean_x = sums[0] / n, sums[1] / n
    cov_z = sums[2] / n - mean_z.outer(mean_z)
    cov_zx = sums[3] / n - mean_z.outer(mean_x)
    # The computed variance of a constant is the rounding error of its square, not 0. If z is not
    # finite, a variance is NaN.
    if not cov_z.diagonal().max() > ROUNDING * sums[2].diagonal().max() / n:
        return torch.eye(len(cov_z), dtype=torch.float32, device=cov_z.device)
    values, vectors = torch.linalg.eigh(cov_z)
    # The lower limit prevents division by 0 in directions in which z does not vary.
    inverse_root = vectors * values.clamp_min(1e-6 * values[-1]).rsqrt()  # L⁻ᵀ
    whitened = inverse_root.T @ cov_zx  # LᵀW
    explained, rotation = torch.linalg.eigh(whitened @ whitened.T)
    scale = explained.flip(0).clamp_min(0).sqrt()
    rotation = rotation.flip(1)
    smallest = floor * scale.square().mean().sqrt()
    alignment = inverse_root @ rotation * scale.clamp_min(float(smallest))
    # The sign of an eigenvector is arbitrary: make the largest entry of each column positive.
    signs = alignment.gather(0, alignment.abs().argmax(0, keepdim=True)).sign()
    return (alignment * signs).float()


def align_to_input(network: EncoderNetwork, rows: Any, generator: torch.Generator) -> None:
    """Compute the alignment of a network's standardising head from at most 10,000 rows.

    If z is constant, the alignment is the identity, and a warning gives a likely cause.

    Parameters
    ----------
    network : EncoderNetwork
        Trained network with a :class:`sk_mige.networks.StandardizingHead`.
    rows : ndarray, tensor or ItemRows of shape (n, d)
        Rows.
    generator : torch.Generator
        Random generator for the choice of the rows.
    """
    head = network.head
    assert isinstance(head, StandardizingHead)
    order = torch.randperm(len(rows), generator=generator, device="cpu")
    parts = [part.tolist() for part in torch.split(order[:ALIGNMENT_ROWS], 512)]
    batches = (x.to(head.alignment) for x in read_parts(rows, parts))
    identity = torch.eye(head.n_components, device="cpu").to(head.alignment)
    head.alignment.copy_(identity)
    network.eval()
    with isolated(head.alignment.device):
        head.alignment.copy_(input_alignment(lambda x: network(x).z, batches))
    if torch.equal(head.alignment, identity):
        warn_user(
            "the representation has collapsed to one value for all rows, probably because features "
            "have a standard deviation far below their mean. Put a StandardScaler before the "
            "encoder, or use a smaller lr",
            ConvergenceWarning,
        )
