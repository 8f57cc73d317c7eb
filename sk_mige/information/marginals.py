"""Scores of the marginal q(z) of a stochastic encoder, for few samples in many dimensions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sk_mige.information.gradients import centred_scores
from sk_mige.information.whitened import whitened_scores
from sk_mige.score import ScoreFunction

# Number of rows of z for the marginal score. More rows would take longer.
MAX_ROWS = 512


def marginal_rows(z: Tensor) -> Tensor:
    """Return the first draws of z (S, M, d) as rows (N, d), with N ≥ MAX_ROWS if possible."""
    return z[: max(1, math.ceil(MAX_ROWS / z.shape[1]))].flatten(0, 1)


def marginal_scores(
    z: Tensor,
    marginal: str,
    *,
    score: ScoreFunction | None = None,
    gaussian: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return detached scores of q(z) at samples z (N, d), by the method ``marginal``."""
    if marginal == "score":
        return centred_scores(score, z)
    if marginal == "stein":
        return stein_rescaled(centred_scores(score, z), z.detach())
    if marginal == "whitened":
        return centred_scores(whitened_scores, z)
    assert gaussian is not None
    mean, scale = (part.detach() for part in gaussian)
    return mixture_scores(z.detach(), mean, scale, leave_one_out=marginal == "leave-one-out")


def stein_rescaled(scores: Tensor, z: Tensor, *, per_coordinate: bool = False) -> Tensor:
    """Rescale scores (..., N, d) so that Stein's identity mean(ĝ·(z - z̄)) = -d holds.

    By default, one factor rescales all scores. With ``per_coordinate``, each coordinate k has a
    factor for which mean(ĝ_k (z_k - z̄_k)) = -1 holds.
    """
    products = -(scores * (z - z.mean(-2, keepdim=True))).mean(-2, keepdim=True)
    if not per_coordinate:
        products = products.mean(-1, keepdim=True)
    # The scores of a collapsed set are 0 and remain 0, because no factor satisfies the identity.
    small = torch.finfo(z.dtype).eps
    return scores * torch.where(products > small, 1 / products.clamp_min(small), 1.0)


def mixture_scores(z: Tensor, mean: Tensor, scale: Tensor, *, leave_one_out: bool) -> Tensor:
    """Return scores at z (N, d) of the equally weighted mixture of the batch's M Gaussians.

    Row n of z was drawn from component n modulo M. With ``leave_one_out``, the mixture for row n
    excludes the component of row n.
    """
    n, d = z.shape
    m = mean.shape[0]
    scale = scale.expand(m, d)
    precision = scale.square().reciprocal()
    center = mean.mean(0)  # a mean far from 0 would cause cancellation in the expanded square
    z, mean = z - center, mean - center
    distance = z.square() @ precision.mT - 2 * z @ (precision * mean).mT
    log_weight = -0.5 * (distance + (precision * mean.square()).sum(-1)) - scale.log().sum(-1)
    if leave_one_out and m > 1:
        row = torch.arange(n, device=z.device)
        log_weight[row, row % m] = -math.inf
    weight = log_weight.softmax(-1)
    return weight @ (precision * mean) - z * (weight @ precision)
