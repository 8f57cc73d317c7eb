"""Scores of the marginal q(z) of a stochastic encoder, where few samples meet many dimensions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from sk_mige.information.gradients import _centred, _scores
from sk_mige.information.whitened import whitened_scores

if TYPE_CHECKING:
    from torch import Tensor

    from sk_mige.score import ScoreFunction

__all__ = ["marginal_rows", "marginal_scores", "mixture_scores", "stein_rescaled"]

# Draws of z that the marginal's score is estimated from: more cost much and add little.
MAX_ROWS = 512


def marginal_rows(z: Tensor) -> Tensor:
    """Of draws (S, M, d) as many whole sets of M as hold ``MAX_ROWS``, as rows (N, d)."""
    return z[: max(1, math.ceil(MAX_ROWS / z.shape[1]))].flatten(0, 1)


def marginal_scores(
    z: Tensor,
    marginal: str,
    *,
    score: ScoreFunction | None = None,
    gaussian: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Scores of q(z) at its samples z (N, d) by the method named ``marginal``, detached."""
    if marginal == "score":
        return _scores(score, z)
    if marginal == "stein":
        return stein_rescaled(_scores(score, z), z.detach())
    if marginal == "whitened":
        return _centred(whitened_scores(z))
    if marginal in ("mixture", "leave-one-out"):
        assert gaussian is not None
        mean, scale = (part.detach() for part in gaussian)
        return mixture_scores(z.detach(), mean, scale, leave_one_out=marginal == "leave-one-out")
    raise ValueError(
        f"unknown marginal={marginal!r}; use 'auto', 'gaussian', 'whitened', 'score', 'stein', "
        "'mixture' or 'leave-one-out'"
    )


def stein_rescaled(scores: Tensor, z: Tensor, *, per_coordinate: bool = False) -> Tensor:
    """Scores (..., N, d) of the size for which Stein's identity mean(ĝ·(z - z̄)) = -d holds.

    One number multiplies them, or with ``per_coordinate`` one a coordinate, so that the identity
    mean(ĝ_k (z_k - z̄_k)) = -1 holds in each.
    """
    products = -(scores * (z - z.mean(-2, keepdim=True))).mean(-2, keepdim=True)
    if not per_coordinate:
        products = products.mean(-1, keepdim=True)
    # A collapsed set has scores of 0 and satisfies the identity at no size: it is left alone.
    small = torch.finfo(z.dtype).eps
    return scores * torch.where(products > small, 1 / products.clamp_min(small), 1.0)


def mixture_scores(z: Tensor, mean: Tensor, scale: Tensor, *, leave_one_out: bool) -> Tensor:
    """Scores at z (N, d) of the equal mixture of the batch's M Gaussians (mean_m, scale_m).

    Row n of z belongs to component n modulo M; ``leave_one_out`` leaves that one out.
    """
    n, d = z.shape
    m = mean.shape[0]
    scale = scale.expand(m, d)
    precision = scale.square().reciprocal()
    center = mean.mean(0)  # the expanded square below loses digits to a mean far from 0
    z, mean = z - center, mean - center
    distance = z.square() @ precision.mT - 2 * z @ (precision * mean).mT
    log_weight = -0.5 * (distance + (precision * mean.square()).sum(-1)) - scale.log().sum(-1)
    if leave_one_out and m > 1:
        row = torch.arange(n, device=z.device)
        log_weight[row, row % m] = -math.inf
    weight = log_weight.softmax(-1)
    return weight @ (precision * mean) - z * (weight @ precision)
