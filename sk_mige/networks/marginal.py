"""Marginal density of the codes of training rows, for the detection of novel rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .encoder import EncoderNetwork
from .evaluation import evaluate

# Largest number of rows from which the marginal is estimated, and number of rows read at once.
MARGINAL_ROWS = 10_000
PART_ROWS = 256
# Weight of the pooled variance in the variance of a class, in rows.
POOLED_ROWS = 10
# Smallest variance of a component, relative to the mean square, for codes with float32 rounding
# errors.
ROUNDING = 1e-12
LOG_2PI = math.log(2 * math.pi)


def code_moments(module: EncoderNetwork, x: Tensor) -> Tensor:
    """Return mean and scale of Gaussian codes (M, 2, K), and z of other codes (M, 1, K)."""
    code = module(x)
    return torch.stack((code.z,) if code.conditional is None else code.conditional, dim=1)


class CodeMarginal:
    r"""Mixture of Gaussians with independent components, one Gaussian for each class.

    .. math:: m(z) = \sum_c w_c \prod_k N(z_k; \mu_{ck}, v_{ck}), \qquad
              v_{ck} = \mathrm{Var}[\mu_k(x) | c] + \mathbb{E}[\sigma_k(x)^2 | c] .

    The variance of a class is the weighted mean of its sample variance and the pooled variance
    within all classes. The weights are the number of rows of the class, and 10 for the pooled
    variance.

    Parameters
    ----------
    codes : ndarray of shape (n, 1, K) or (n, 2, K)
        Means and scales of the codes of training rows, as returned by :func:`code_moments`.
    classes : ndarray of shape (n,)
        Class of each row.
    """

    def __init__(self, codes: NDArray[Any], classes: NDArray[Any]) -> None:
        mean, scale = codes[:, 0].astype(np.float64), codes[:, 1:].astype(np.float64)
        _, member, counts = np.unique(classes, return_inverse=True, return_counts=True)
        groups = [member == c for c in range(len(counts))]
        self.log_weights = np.log(counts / len(mean))
        self.centers = np.stack([mean[group].mean(0) for group in groups])
        squares = np.square(mean - self.centers[member]) + np.square(scale).sum(1)
        floor = ROUNDING * np.square(mean).mean(0)
        pooled = np.maximum(squares.mean(0), np.where(floor > 0, floor, 1.0))
        sums = np.stack([squares[group].sum(0) for group in groups])
        self.variances = (sums + POOLED_ROWS * pooled) / (counts[:, None] + POOLED_ROWS)

    def log_density(self, codes: Tensor) -> Tensor:
        r"""Return :math:`\log m(z)` of codes (M, 1, K), or minus the rate of codes (M, 2, K).

        The rate is :math:`-\log\sum_c w_c \exp(-\mathrm{KL}(q(z|x) \| m_c))`, an upper bound of the
        divergence of q(z | x) from m. The components of the mixture m are :math:`m_c`.
        """
        mean, scale = codes[:, 0].double(), codes[:, 1:].double()
        expected = []  # E_q log of the weighted density of each class
        for log_weight, center, variance in zip(
            self.log_weights, self.centers, self.variances, strict=True
        ):
            of_class = torch.from_numpy(variance).to(mean)
            distance = (mean - torch.from_numpy(center).to(mean)).square() + scale.square().sum(1)
            log_peak = log_weight - 0.5 * float(np.log(variance).sum() + LOG_2PI * len(variance))
            expected.append(log_peak - 0.5 * (distance / of_class).sum(1))
        entropy = (scale.log() + 0.5 * (1 + LOG_2PI)).sum((1, 2))
        return torch.stack(expected, 1).logsumexp(1) + entropy


def marginal_of(
    network: EncoderNetwork,
    rows: Any,
    classes: NDArray[Any] | None,
    seed: int,
    read: Callable[[Any, list[list[int]]], Iterable[Tensor]],
) -> CodeMarginal:
    """Estimate the marginal density of codes from random rows, within classes if given.

    The function ``read(rows, parts)`` yields the rows of each list of indices.
    """
    drawn = np.random.RandomState(seed).permutation(rows.shape[0])[:MARGINAL_ROWS]
    parts = [part.tolist() for part in np.array_split(drawn, -(-len(drawn) // PART_ROWS))]
    moments = partial(code_moments, network)
    codes = [evaluate(network, moments, part) for part in read(rows, parts)]
    kinds = np.zeros(len(drawn)) if classes is None else classes[drawn]
    return CodeMarginal(np.concatenate(codes), kinds)
