"""Surrogates whose gradients are those of entropy and of mutual information.

Each function returns a scalar tensor whose *gradient* is an estimate of that of H(z) or of I(x; z):
maximise it to maximise the information. Nothing here estimates a mutual information.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from sk_mige.score import median_bandwidth, squared_distances, ssge
from sk_mige.score.precision import full_precision

if TYPE_CHECKING:
    from torch import Tensor

    from sk_mige.score import ScoreFunction

__all__ = [
    "entropy_surrogate",
    "joint_squared_distances",
    "mutual_info_surrogate",
]


@full_precision
def entropy_surrogate(z: Tensor, *, score: ScoreFunction | None = None) -> Tensor:
    r"""Scalar whose gradient estimates that of the entropy H(z).

    .. math:: \nabla_\phi H(z) = -\mathbb{E}[\nabla_z \log q(z)^\top \nabla_\phi z]
              \quad\Longleftarrow\quad
              -\frac1M \sum_m \mathrm{sg}[\hat g(z_m)]^\top z_m

    where ``sg`` stops the gradient: the estimated score ĝ is a constant.

    Parameters
    ----------
    z : tensor of shape (M, ...)
        Samples, differentiable with respect to the parameters of interest; flattened to (M, d).
    score : callable, default=None
        ``score(z) -> (M, d)``, the scores of the samples' own density. By default
        :func:`sk_mige.score.ssge`.

    Returns
    -------
    tensor of shape ()
        A surrogate: its gradient means something (nats per unit of the parameter), its value
        does not.

    Notes
    -----
    A score has mean 0 (Stein's identity for f = 1), which SSGE's in a batch have only nearly. Here,
    and in every surrogate of this package, SSGE's are taken as

    .. math:: \hat g(z_m) - \tfrac1M \textstyle\sum_l \hat g(z_l) ,

    so that moving all of z gains nothing, and nothing depends on where its mean is. Scores of a
    function of one's own are taken as they are.

    Examples
    --------
    The entropy of a·ε grows like log a, so the gradient with respect to log a is 1:

    >>> import torch
    >>> from sk_mige.information import entropy_surrogate
    >>> eps = torch.randn(400, 1, generator=torch.Generator().manual_seed(0))
    >>> log_a = torch.tensor(0.7, requires_grad=True)
    >>> entropy_surrogate(log_a.exp() * eps).backward()
    >>> bool(abs(log_a.grad - 1) < 0.1)
    True
    """
    flat = _rows(z)
    return -_inner(_scores(score, flat), flat)


@full_precision
def mutual_info_surrogate(
    x: Tensor | None,
    z: Tensor,
    *,
    score: ScoreFunction | None = None,
    joint_score: ScoreFunction | None = None,
    x_scale: float = 1.0,
    projection: Tensor | None = None,
    sq_distances_x: Tensor | None = None,
) -> Tensor:
    r"""Scalar whose gradient estimates that of I(x; z), z = E(x): circumstance I.

    .. math:: \nabla_\phi I(x; z) = \nabla_\phi H(z) - \nabla_\phi H(x, z)
              = -\mathbb{E}\big[(\nabla_z \log q(z) - \nabla_z \log q(x, z))^\top
                \nabla_\phi z\big]

    Only the z-block of the joint score is needed, because x does not depend on φ. So x enters
    through the kernel's squared distances alone and its dimension costs one matrix product.

    Parameters
    ----------
    x : tensor of shape (M, ...) or None
        Inputs; flattened. May be None when ``sq_distances_x`` is given.
    z : tensor of shape (M, ...)
        Representations, differentiable; flattened to (M, d).
    score, joint_score : callable, default=None
        Score functions of z and of the pair, ``score(z)`` and
        ``joint_score(z, sq_distances=...)``. ``score=None`` is :func:`sk_mige.score.ssge`;
        ``joint_score=None`` uses ``score``.
    x_scale : float, default=1.0
        Weight of x against z in the joint kernel: x's squared distances are scaled so that their
        median is ``x_scale**2`` times that of z's (:func:`joint_squared_distances`). Equal
        weights give the best gradients of linear channels, in few dimensions and in many.
    projection : tensor of shape (k, d_x), default=None
        Distances of x are taken after this projection, usually a random one.
    sq_distances_x : tensor of shape (M, M), default=None
        Squared distances of x, computed elsewhere; ``x`` and ``projection`` are then not read.

    Returns
    -------
    tensor of shape ()
        A surrogate: maximise it to maximise I(x; z). Its value is not a mutual information.

    Notes
    -----
    For a deterministic encoder I(x; z) is infinite or, for discrete x, the entropy of z's values.
    What is followed is the gradient of a smoothed information: the kernel's bandwidth sets the
    resolution at which z distinguishes inputs.

    References
    ----------
    L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
    Representation Learning", ICLR 2020, Eqs. 9-11.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import mutual_info_surrogate
    >>> generator = torch.Generator().manual_seed(0)
    >>> images = torch.rand(32, 3, 8, 8, generator=generator)
    >>> encoder = torch.nn.Linear(192, 4)
    >>> loss = -mutual_info_surrogate(images, encoder(images.flatten(1)))
    >>> loss.backward()
    >>> encoder.weight.grad.shape
    torch.Size([4, 192])
    """
    flat = _rows(z)
    points = flat.detach()
    if sq_distances_x is None:
        if x is None:
            raise ValueError("x=None needs sq_distances_x; pass one of them")
        sq_distances_x = _input_distances(x, points, projection)
    sq_z = squared_distances(points)
    sigma_x, sigma_z = median_bandwidth(torch.stack([sq_distances_x.to(sq_z), sq_z]))
    joint = x_scale**2 * _scale_ratio(sigma_x, sigma_z) * sq_distances_x + sq_z
    if joint_score is None and _is_ssge(score):
        # Both at once, from what is known: a card spends its time on launches.
        known = {"sq_distances": torch.stack([sq_z, joint])}
        if isinstance(getattr(score, "keywords", {}).get("bandwidth", "median"), str):
            known["bandwidth"] = torch.stack([sigma_z, median_bandwidth(joint)])
        both = _scores(score, flat.expand(2, *flat.shape), **known)
        return -_inner(both[0] - both[1], flat)
    marginal_scores = _scores(score, flat)
    joint_scores = _scores(joint_score or score, flat, sq_distances=joint)
    return -_inner(marginal_scores - joint_scores, flat)


def joint_squared_distances(sq_x: Tensor, sq_z: Tensor, *, x_scale: float = 1.0) -> Tensor:
    r"""Squared distances of the pairs (x, z), with x brought to the scale of z.

    .. math:: D = c\,D_x + D_z, \qquad
              c = \mathtt{x\_scale}^2\; \mathrm{median}(D_z) / \mathrm{median}(D_x)

    Matching medians makes the joint kernel, and with it the MI gradient, independent of the
    units of x, of its dimension and of any constant in a projection's norm: a random projection
    to k dimensions gives the same result for every k, up to its own noise.

    Parameters
    ----------
    sq_x, sq_z : tensors of shape (..., M, M)
        Squared distances.
    x_scale : float, default=1.0
        Weight of x's distances against z's. Larger values ask z to tell apart inputs that lie
        closer together; 0 leaves z alone.

    Returns
    -------
    tensor of shape (..., M, M)

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import joint_squared_distances
    >>> from sk_mige.score import squared_distances
    >>> x = torch.tensor([[0.0], [1.0], [3.0]])
    >>> sq = joint_squared_distances(squared_distances(100 * x), squared_distances(x))
    >>> bool(torch.allclose(sq, 2 * squared_distances(x)))
    True
    """
    ratio = _scale_ratio(median_bandwidth(sq_x), median_bandwidth(sq_z))[..., None, None]
    return x_scale**2 * ratio * sq_x + sq_z


def _scale_ratio(median_x: Tensor, median_z: Tensor) -> Tensor:
    """Squared ratio of z's median distance to x's; finite for collapsed batches."""
    return torch.nan_to_num((median_z / median_x).square(), nan=1.0, posinf=1.0)


def _input_distances(x: Tensor, like: Tensor, projection: Tensor | None) -> Tensor:
    """Squared distances (M, M) of the flattened inputs, in the dtype and on the device of z."""
    flat = _rows(x.detach()).to(like)
    if projection is not None:
        flat = flat @ projection.to(like).mT
    return squared_distances(flat)


def _rows(values: Tensor) -> Tensor:
    """Samples as rows (M, d); single numbers have d = 1."""
    return values.reshape(values.shape[0], -1)


def _is_ssge(score: ScoreFunction | None) -> bool:
    """Whether it is :func:`ssge`, which sees distances alone and takes leading dimensions."""
    function = score.func if isinstance(score, partial) else score
    return function is None or function is ssge


def _scores(score: ScoreFunction | None, z: Tensor, **known: Tensor) -> Tensor:
    """Scores (..., M, d) at the samples z, as constants; SSGE's less their mean."""
    with torch.no_grad():
        scores = (score or ssge)(z.detach(), **known).detach()
        return _centred(scores) if _is_ssge(score) else scores


def _centred(scores: Tensor) -> Tensor:
    """Scores whose mean over the samples is 0, as that of a density's own is."""
    return scores - scores.mean(-2, keepdim=True)


def _inner(scores: Tensor, z: Tensor) -> Tensor:
    """Mean over samples of ⟨scores, z⟩."""
    return (scores * z).sum(-1).mean()
