"""Mutual information between the codes of two incomplete copies of each sample."""

from __future__ import annotations

import torch
from torch import Tensor

# Ridge on the covariance of standardised codes, and candidate factors of the correlations. The
# factor with the best held-out value is used. Few samples in many dimensions need small factors.
RIDGE = 1e-4
FACTORS = (0.999, 0.98, 0.9, 0.7, 0.4, 0.0)


def incomplete_copy(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Return rows (n, d), with each value replaced by its column's mean at probability ½.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.copies import incomplete_copy
    >>> incomplete_copy(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), torch.Generator().manual_seed(0))
    tensor([[1., 4.],
            [3., 6.]])
    """
    kept = torch.rand(rows.shape, generator=generator, dtype=torch.float32, device="cpu") < 0.5
    return torch.where(kept.to(rows.device), rows, rows.mean(0))


def other_rows(n: int) -> Tensor:
    """Return a fixed permutation of n rows that leaves no row in place.

    Examples
    --------
    >>> from sk_mige.information.copies import other_rows
    >>> import torch
    >>> bool((other_rows(50) == torch.arange(50)).any())
    False
    """
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0), device="cpu")
    return order.roll(1)[order.argsort()]  # the next row of a random cycle


def shared_information(first: Tensor, second: Tensor) -> float:
    r"""Held-out Gaussian mutual information between the codes of two copies of each sample.

    Let :math:`\rho_k` be the canonical correlations and :math:`p, q` the canonical coordinates of
    the copies' codes, each of variance 1. The value is the mean log-likelihood ratio of a dependent
    and an independent Gaussian:

    .. math:: \frac1n \sum_{i=1}^n \sum_{k=1}^K \Big[ -\tfrac12 \log(1 - \rho_k^2)
              - \frac{\rho_k^2 (p_{ik}^2 + q_{ik}^2) - 2 \rho_k p_{ik} q_{ik}}{2 (1 - \rho_k^2)}
              \Big]

    Correlations and coordinates are estimated from every second sample and evaluated on the
    remaining samples. The two sets of samples then exchange roles, and the two values are averaged.
    For each half, the correlations are multiplied by the factor from 0 to .999 that gives the
    largest value. For many samples and exchangeable Gaussian codes, the value is nearly the mutual
    information between the codes.

    Parameters
    ----------
    first, second : tensors of shape (n, K)
        Codes of the two copies, with the samples in the same order and at least four rows.

    Returns
    -------
    float
        Information in nats, at least 0. Constant codes give 0.

    Examples
    --------
    Two copies with correlation .8 have the mutual information -½ log(1 - .8²) = .51 nats:

    >>> import torch
    >>> from sk_mige.information.copies import shared_information
    >>> x, noise = torch.randn(2, 4000, 1, generator=torch.Generator().manual_seed(0))
    >>> round(shared_information(x, 0.8 * x + 0.6 * noise), 1)
    0.5
    """
    a, b = first.detach().double(), second.detach().double()
    even, odd = slice(0, None, 2), slice(1, None, 2)
    return 0.5 * (_held_out(a, b, even, odd) + _held_out(a, b, odd, even))


def _held_out(a: Tensor, b: Tensor, train: slice, test: slice) -> float:
    """Return the mean log-likelihood ratio of test rows for a Gaussian fitted to training rows."""
    both = torch.cat([a[train], b[train]])
    mean, scale = both.mean(0), both.std(0)
    varies = scale > 1e-12 * both.abs().amax(0)
    if not bool(varies.any()):
        return 0.0
    a, b = (((code - mean) / scale)[:, varies] for code in (a, b))
    correlations, axes = _canonical(a[train], b[train])
    p, q = a[test] @ axes, b[test] @ axes
    return max(_log_ratio(p, q, factor * correlations) for factor in FACTORS)


def _canonical(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return canonical correlations (K,) and canonical axes (K, K) of exchangeable copies."""
    covariance = (a.mT @ a + b.mT @ b) / (2 * len(a)) + RIDGE * torch.eye(a.shape[1]).to(a)
    cross = (a.mT @ b + b.mT @ a) / (2 * len(a))
    values, vectors = torch.linalg.eigh(covariance)
    whitening = vectors / values.sqrt()
    correlations, turns = torch.linalg.eigh(whitening.mT @ cross @ whitening)
    return correlations.clamp(0, 1), whitening @ turns


def _log_ratio(p: Tensor, q: Tensor, correlations: Tensor) -> float:
    rest = 1 - correlations.square()
    quadratic = correlations.square() * (p.square() + q.square()) - 2 * correlations * p * q
    return float((-0.5 * rest.log() - quadratic / (2 * rest)).sum(1).mean())
