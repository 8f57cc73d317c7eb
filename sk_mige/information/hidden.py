"""Surrogate of I(h; z) for a layer h inside the encoder, circumstance II of the MIGE paper."""

from __future__ import annotations

import torch
from torch import Tensor

from sk_mige._arrays import check_real
from sk_mige.information._tensors import check_codes, check_score
from sk_mige.information.gradients import (
    centred_scores,
    is_ssge,
    mean_inner_product,
    scale_ratio,
    ssge_scores,
)
from sk_mige.score import ScoreFunction, median_bandwidth, squared_distances
from sk_mige.score.precision import full_precision


@full_precision
def hidden_mutual_info_surrogate(
    h: Tensor, z: Tensor, *, score: ScoreFunction | None = None
) -> Tensor:
    r"""Scalar whose gradient estimates ∇I(h; z) for a layer h = C(x) and z = f(h).

    .. math:: \nabla_\phi I(h; z) = \nabla_\phi H(h) + \nabla_\phi H(z) - \nabla_\phi H(h, z)

    The MIGE paper treats a layer inside the encoder as circumstance II. Both h and z depend on the
    parameters φ, so both blocks of the joint score are needed.

    Parameters
    ----------
    h : tensor of shape (M, ...)
        Differentiable hidden representations, flattened to (M, d_h).
    z : tensor of shape (M, ...)
        Differentiable representations, flattened to (M, d_z).
    score : callable, default=None
        Score function of z, of h and of the pair. None means :func:`sk_mige.score.ssge`. The
        estimated scores are centred over the batch (:func:`entropy_surrogate`).

    Returns
    -------
    tensor of shape ()
        Surrogate of I(h; z), to be maximised. The value of the surrogate has no meaning.

    Notes
    -----
    Multiplying h or z by a number does not change I(h; z). Before the joint score is estimated, h
    is rescaled so that the squared distances of h and of z have equal medians. After the
    estimation, the h-block of the joint score is scaled back.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import hidden_mutual_info_surrogate
    >>> h = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    >>> hidden_mutual_info_surrogate(h, torch.tanh(h[:, :2])).backward()
    >>> h.grad.shape
    torch.Size([50, 3])
    """
    check_score(score)
    h, z = check_codes(h=h, z=z)
    return _surrogate(h, z, score)


@full_precision
def mean_hidden_mutual_info_surrogate(
    h: Tensor, z: Tensor, *, score: ScoreFunction | None = None
) -> Tensor:
    r"""Scalar whose gradient estimates the mean of :math:`\nabla I(h_p; z)` over parts h_p.

    Parameters
    ----------
    h : tensor of shape (P, M, d_h)
        Differentiable hidden representations of P parts, such as locations of a feature map.
    z : tensor of shape (M, d_z)
        Representations, differentiable.
    score : callable, default=None
        Score function of z, of h and of the pair. None means :func:`sk_mige.score.ssge`, which
        scores all parts by one batched call.

    Returns
    -------
    tensor of shape ()
        Surrogate of the mean information, to be maximised. The value of the surrogate has no
        meaning.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.hidden import mean_hidden_mutual_info_surrogate
    >>> h = torch.randn(4, 50, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    >>> mean_hidden_mutual_info_surrogate(h, h.mean(0)).backward()
    >>> h.grad.shape
    torch.Size([4, 50, 3])
    """
    check_score(score)
    if check_real("h", h, floating=True).ndim != 3:
        raise ValueError(f"h must have shape (P, M, d_h), P parts of M rows; got {tuple(h.shape)}")
    check_codes(h=h.transpose(0, 1), z=z)
    if is_ssge(score):
        return _surrogate(h, z, score)
    parts = [hidden_mutual_info_surrogate(part, z, score=score) for part in h]
    return torch.stack(parts).mean()


def _surrogate(h: Tensor, z: Tensor, score: ScoreFunction | None) -> Tensor:
    """Return the surrogate for h (..., M, d_h) and z (M, d_z)."""
    sq_h, sq_z = squared_distances(h.detach()), squared_distances(z.detach())
    sigma_h, sigma_z = median_bandwidth(sq_h), median_bandwidth(sq_z)
    ratio = scale_ratio(sigma_h, sigma_z)[..., None, None]
    root, d = ratio.sqrt(), h.shape[-1]
    pair = torch.cat([root * h, z.expand(*h.shape[:-1], -1)], dim=-1)
    sq_pair = ratio * sq_h + sq_z
    joint = _scores(score, pair, sq_pair, median_bandwidth(sq_pair))
    h_part = mean_inner_product(_scores(score, h, sq_h, sigma_h) - root * joint[..., :d], h)
    return -(h_part + mean_inner_product(_scores(score, z, sq_z, sigma_z) - joint[..., d:], z))


def _scores(score: ScoreFunction | None, z: Tensor, sq_distances: Tensor, median: Tensor) -> Tensor:
    """Return the centred scores. Only :func:`ssge` uses the known distances and median."""
    if is_ssge(score):
        return ssge_scores(score, z, sq_distances, median)
    return centred_scores(score, z)
