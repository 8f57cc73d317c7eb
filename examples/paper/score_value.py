r"""Mutual information from scores along a path of increasing noise, for Figure 1.

Let g be the Gaussian with the mean and covariance of a distribution p. By de Bruijn's identity,
the divergence of p from g is the integral of the relative Fisher information along the
Ornstein-Uhlenbeck path. With a permutation :math:`\pi` of the samples, which makes x and y
independent,

.. math:: I(x; y) = I_\text{Gauss} + D(p_{x, y} \| g) - D(p_{x, \pi y} \| g_\pi) .

The value is accurate for pairs that are Gaussian after a map of the margins, such as the pairs of
Figure 1. For other pairs, the errors of the two divergences do not cancel, and the value is biased.
:class:`sk_mige.MutualInfoEstimator` estimates values and intervals for all pairs.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from noise_path import integrate_rates
from torch import Tensor

from sk_mige.information import (
    gaussianize_ranks,
    independent_axes,
    relative_fisher_information,
)
from sk_mige.score import whitening


def score_based_value(
    x: np.ndarray, y: np.ndarray, *, margins: bool = True, n_landmarks: int = 300, n_folds: int = 4
) -> float:
    """Return I(x; y) in nats for samples (n, d) of densities.

    With ``margins``, normal scores of independent axes replace the samples.
    """
    rows = [torch.from_numpy(z) for z in (x, y)]
    if margins:
        rows = [_normal_scores(z) for z in rows]
    left, right = (_whitened(z) for z in rows)
    generator = torch.Generator().manual_seed(0)
    shuffled = right[torch.randperm(len(right), generator=generator)]
    pairs = [_whitened(torch.cat([left, part], dim=1)) for part in (right, shuffled)]

    def rates(s: float) -> Tensor:
        # With new noise at each step, the randomness averages out over the path.
        noise = torch.randn(pairs[0].shape, generator=generator, dtype=left.dtype)
        noisy = [pair + math.sqrt(math.expm1(s)) * noise for pair in pairs]
        joint, product = (relative_fisher_information(z, n_landmarks, n_folds) for z in noisy)
        return joint - product

    return _gaussian_information(left, right) + float(integrate_rates(rates).value.mean())


def _normal_scores(z: Tensor) -> Tensor:
    """Return normal scores, in independent axes if available."""
    axes = independent_axes(z)
    return gaussianize_ranks(z if axes is None else z @ axes)


def _whitened(z: Tensor) -> Tensor:
    """Return coordinates with mean 0 and sample covariance I."""
    return whitening(z, 0.0)[0](z)


def _gaussian_information(x: Tensor, y: Tensor) -> float:
    """Return the mutual information of Gaussians for whitened x and y, minus its sampling bias."""
    n, dx, dy = len(x), x.shape[1], y.shape[1]
    rho = torch.linalg.svdvals(x.mT @ y / n)
    # The bias of the log-determinant of a Wishart matrix is a sum of digamma functions.
    dof = torch.arange(n - 1, n - 1 - dx - dy, -1, dtype=x.dtype) / 2
    psi = torch.digamma(dof)
    bias = 0.5 * (psi[:dx].sum() + psi[:dy].sum() - psi.sum())
    return float(-0.5 * torch.log1p(-rho.square()).sum() - bias)
