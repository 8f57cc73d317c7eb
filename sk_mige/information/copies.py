"""Information that the codes of two incomplete copies of each sample share."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["incomplete_copy", "shared_information"]

# Ridge on the covariance of standardised codes, and factors of the correlations, of which the best
# one on held-out samples is used: few samples in many dimensions need small ones.
RIDGE = 1e-4
FACTORS = (0.999, 0.98, 0.9, 0.7, 0.4, 0.0)


def incomplete_copy(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Copy of rows (n, d) in which a random half of the values are the means of their columns.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.copies import incomplete_copy
    >>> incomplete_copy(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), torch.Generator().manual_seed(0))
    tensor([[1., 4.],
            [3., 6.]])
    """
    kept = torch.rand(rows.shape, generator=generator, device="cpu") < 0.5
    return torch.where(kept.to(rows.device), rows, rows.mean(0))


def shared_information(first: Tensor, second: Tensor) -> float:
    r"""Gaussian information between the codes of two copies of each sample, on held-out samples.

    With canonical correlations :math:`\rho_k` and canonical coordinates :math:`p, q` of the
    copies' codes, each of variance 1, this is the mean log-likelihood ratio of a dependent and an
    independent Gaussian:

    .. math:: \frac1n \sum_{i=1}^n \sum_{k=1}^K \Big[ -\tfrac12 \log(1 - \rho_k^2)
              - \frac{\rho_k^2 (p_{ik}^2 + q_{ik}^2) - 2 \rho_k p_{ik} q_{ik}}{2 (1 - \rho_k^2)}
              \Big]

    Correlations and coordinates come from every second sample. The other samples are evaluated.
    The two sets then change roles, and the two values are averaged. For Gaussian codes of many
    samples, the value is their mutual information. Invertible linear maps of the codes do not
    change it, up to a small ridge.

    Parameters
    ----------
    first, second : tensors of shape (n, K)
        Codes of two copies, in the same order; at least four rows.

    Returns
    -------
    float
        Information in nats, at least 0; 0 for constant codes.

    Examples
    --------
    Two copies with correlation .8 share -½ log(1 - .8²) = .51 nats:

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
    """Mean log-likelihood ratio of the test rows for a Gaussian fitted to the training rows."""
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
    """Canonical correlations (K,) of exchangeable copies, and their axes (K, K)."""
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
