"""The gradient of I(h; z) where h is a layer inside the encoder: circumstance II."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sk_mige.information.gradients import _inner, _is_ssge, _rows, _scale_ratio, _scores
from sk_mige.score import median_bandwidth, squared_distances
from sk_mige.score.precision import full_precision

if TYPE_CHECKING:
    from torch import Tensor

    from sk_mige.score import ScoreFunction

__all__ = ["hidden_mutual_info_surrogate", "mean_hidden_mutual_info_surrogate"]


@full_precision
def hidden_mutual_info_surrogate(
    h: Tensor,
    z: Tensor,
    *,
    score: ScoreFunction | None = None,
    hidden_score: ScoreFunction | None = None,
    joint_score: ScoreFunction | None = None,
) -> Tensor:
    r"""Scalar whose gradient estimates that of I(h; z), h = C(x), z = f(h): circumstance II.

    .. math:: \nabla_\phi I(h; z) = \nabla_\phi H(h) + \nabla_\phi H(z) - \nabla_\phi H(h, z)

    Both h and z depend on the parameters, so both blocks of the joint score are needed.

    Parameters
    ----------
    h : tensor of shape (M, ...)
        Hidden representations, differentiable; flattened to (M, d_h).
    z : tensor of shape (M, ...)
        Representations, differentiable; flattened to (M, d_z).
    score, hidden_score, joint_score : callable, default=None
        Score functions of z, of h and of the pair. ``None`` for ``score`` is
        :func:`sk_mige.score.ssge`; ``None`` for the others uses ``score``.

    Returns
    -------
    tensor of shape ()
        A surrogate: maximise it to maximise I(h; z).

    Notes
    -----
    Information is unchanged when h and z are each multiplied by a number, so before the joint
    score is estimated h is brought to the scale of z (equal medians of the squared distances)
    and its block of the score is scaled back.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import hidden_mutual_info_surrogate
    >>> h = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    >>> hidden_mutual_info_surrogate(h, torch.tanh(h[:, :2])).backward()
    >>> h.grad.shape
    torch.Size([50, 3])
    """
    flat_h, flat_z = _rows(h), _rows(z)
    if hidden_score is None and joint_score is None and _is_ssge(score):
        return _of_distances(flat_h, flat_z, score)
    points_h, points_z = flat_h.detach(), flat_z.detach()
    medians = [median_bandwidth(squared_distances(rows)) for rows in (points_h, points_z)]
    ratio = _scale_ratio(*medians).sqrt()
    joint = _scores(joint_score or score, torch.cat([ratio * points_h, points_z], dim=1))
    joint_h, joint_z = ratio * joint[:, : flat_h.shape[1]], joint[:, flat_h.shape[1] :]
    h_part = _inner(_scores(hidden_score or score, flat_h) - joint_h, flat_h)
    z_part = _inner(_scores(score, flat_z) - joint_z, flat_z)
    return -(h_part + z_part)


@full_precision
def mean_hidden_mutual_info_surrogate(
    h: Tensor, z: Tensor, *, score: ScoreFunction | None = None
) -> Tensor:
    r"""Scalar whose gradient estimates that of the mean of :math:`I(h_p; z)` over parts p of h.

    Parameters
    ----------
    h : tensor of shape (P, M, d_h)
        P parts of hidden representations, such as locations of a feature map, differentiable.
    z : tensor of shape (M, d_z)
        Representations, differentiable.
    score : callable, default=None
        Score function of z, of h and of the pair; None is :func:`sk_mige.score.ssge`, by which
        all parts are scored at once, and z but once.

    Returns
    -------
    tensor of shape ()
        A surrogate: maximise it to maximise the mean.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.hidden import mean_hidden_mutual_info_surrogate
    >>> h = torch.randn(4, 50, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    >>> mean_hidden_mutual_info_surrogate(h, h.mean(0)).backward()
    >>> h.grad.shape
    torch.Size([4, 50, 3])
    """
    if _is_ssge(score):
        return _of_distances(h, z, score)
    parts = [hidden_mutual_info_surrogate(part, z, score=score) for part in h]
    return torch.stack(parts).mean()


def _of_distances(h: Tensor, z: Tensor, score: ScoreFunction | None) -> Tensor:
    """The surrogate for sets h (..., M, d_h) and z (M, d_z) by SSGE, which sees distances alone."""
    sq_h, sq_z = squared_distances(h.detach()), squared_distances(z.detach())
    ratio = _scale_ratio(median_bandwidth(sq_h), median_bandwidth(sq_z))[..., None, None]
    root = ratio.sqrt()
    pair = torch.cat([root * h, z.expand(*h.shape[:-1], -1)], dim=-1)
    joint = _scores(score, pair, sq_distances=ratio * sq_h + sq_z)
    joint_h, joint_z = root * joint[..., : h.shape[-1]], joint[..., h.shape[-1] :]
    h_part = _inner(_scores(score, h, sq_distances=sq_h) - joint_h, h)
    z_part = _inner(_scores(score, z, sq_distances=sq_z) - joint_z, z)
    return -(h_part + z_part)
