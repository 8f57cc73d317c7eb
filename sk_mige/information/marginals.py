"""Scores of the marginal q(z) of a stochastic encoder, where few samples meet many dimensions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from sk_mige.information.gradients import _scores

if TYPE_CHECKING:
    from torch import Tensor

    from sk_mige.score import ScoreFunction

__all__ = ["gaussian_scores", "marginal_scores", "mixture_scores", "stein_rescaled"]


def marginal_scores(
    z: Tensor,
    marginal: str = "auto",
    *,
    score: ScoreFunction | None = None,
    conditional: Any = None,
) -> Tensor:
    """Scores of q(z) at its samples z (N, d) by the method named ``marginal``, detached."""
    if marginal == "auto":
        marginal = "gaussian"
    if marginal == "score":
        return _scores(score, z)
    if marginal == "stein":
        return stein_rescaled(_scores(score, z), z.detach())
    if marginal == "gaussian":
        return gaussian_scores(z.detach())
    if marginal in ("mixture", "leave-one-out"):
        if not isinstance(conditional, tuple):
            raise ValueError(
                f"marginal={marginal!r} needs a Gaussian conditional=(mean, scale); "
                f"got {type(conditional).__name__}"
            )
        mean, scale = (part.detach() for part in conditional)
        return mixture_scores(z.detach(), mean, scale, leave_one_out=marginal == "leave-one-out")
    raise ValueError(f"unknown marginal={marginal!r}")


def stein_rescaled(scores: Tensor, z: Tensor) -> Tensor:
    """Scores scaled by one number so that Stein's identity mean(ĝ·(z - z̄)) = -d holds."""
    centred = z - z.mean(-2, keepdim=True)
    trace = -(scores * centred).sum(-1).mean(-1)[..., None, None]
    tiny = torch.finfo(z.dtype).eps * z.shape[-1]
    factor = torch.where(trace > tiny, z.shape[-1] / trace.clamp_min(tiny), 1.0)
    return scores * factor


def gaussian_scores(z: Tensor) -> Tensor:
    """Scores at z (N, d) of the Gaussian with its mean and OAS-shrunk covariance."""
    n, d = z.shape
    y = z - z.mean(0)
    gram = y @ y.mT / n
    trace, trace_sq = gram.diagonal().sum(), gram.square().sum()
    mu = trace / d
    num = trace_sq / d**2 + mu**2
    den = (n + 1) * (trace_sq / d**2 - mu**2 / d)
    rho = torch.where(den > 0, (num / den).clamp(max=1.0), 1.0)
    tiny = torch.finfo(z.dtype).tiny
    ridge = (rho * mu).clamp_min(tiny)
    # (ridge I + (1 - rho) YᵀY/n)⁻¹ yᵀ by the Gram matrix: N x N, whatever d
    eye = torch.eye(n, dtype=z.dtype, device=z.device)
    solved = torch.linalg.solve((1 - rho) * gram + ridge * eye, y)
    return -solved


def mixture_scores(z: Tensor, mean: Tensor, scale: Tensor, *, leave_one_out: bool) -> Tensor:
    """Scores at z (N, d) of the equal mixture of the batch's Gaussians (mean_m, scale_m)."""
    n, d = z.shape
    mean = mean.expand(torch.broadcast_shapes(mean.shape, (1, d)))
    m = mean.shape[0]
    scale = scale.expand(m, d)
    precision = scale.square().reciprocal()
    maha = z.square() @ precision.mT - 2 * z @ (precision * mean).mT
    maha = maha + (precision * mean.square()).sum(-1)
    log_weight = -0.5 * maha - scale.log().sum(-1)
    if leave_one_out and m > 1:
        own = torch.arange(n, device=z.device) % m
        log_weight = log_weight.index_put(
            (torch.arange(n, device=z.device), own), log_weight.new_tensor(-math.inf)
        )
    weight = log_weight.softmax(-1)
    return weight @ (precision * mean) - z * (weight @ precision)
