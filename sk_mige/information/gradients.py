"""Surrogates whose gradients estimate the gradients of entropy and of mutual information.

Each surrogate is a scalar tensor. The *gradient* of a surrogate estimates the gradient of H(z) or
of I(x; z). Gradient ascent on the surrogate therefore increases H(z) or I(x; z). The value of a
surrogate has no meaning. Second derivatives have no meaning either, because the estimated scores
are constants.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from sk_mige._arrays import check_real
from sk_mige._sizes import as_number
from sk_mige.information._samples import check_same_length
from sk_mige.information._tensors import (
    check_codes,
    check_projection,
    check_samples,
    check_score,
    warn_of_constant,
    warn_of_few_rows,
)
from sk_mige.score import ScoreFunction, median_bandwidth, squared_distances, ssge
from sk_mige.score.precision import full_precision


@full_precision
def entropy_surrogate(z: Tensor, *, score: ScoreFunction | None = None) -> Tensor:
    r"""Scalar whose gradient estimates the gradient of the entropy H(z).

    .. math:: \nabla_\phi H(z) = -\mathbb{E}[\nabla_z \log q(z)^\top \nabla_\phi z]
              \quad\Longleftarrow\quad
              -\frac1M \sum_m \mathrm{sg}[\hat g(z_m)]^\top z_m

    Here ``sg`` stops the gradient, so that the estimated score ĝ is treated as a constant.

    Parameters
    ----------
    z : tensor of shape (M, ...)
        Samples, differentiable with respect to the parameters φ and flattened to (M, d).
    score : callable, default=None
        Score function ``score(z)``, which returns scores of shape (M, d). None means
        :func:`sk_mige.score.ssge`.

    Returns
    -------
    tensor of shape ()
        Surrogate of H(z). The gradient of the surrogate is in nats per unit of the parameter. The
        value of the surrogate has no meaning.

    Notes
    -----
    The score of a smooth density on the whole space has mean 0, which is Stein's identity for f =
    1. Estimated scores satisfy Stein's identity only approximately. The surrogate therefore centres
    the scores of a batch:

    .. math:: \hat g(z_m) - \tfrac1M \textstyle\sum_l \hat g(z_l) .

    With centred scores, the derivative of the surrogate with respect to a translation of all z is
    0.

    The second derivatives of the surrogate do not estimate those of the entropy, because the scores
    are constants. The same holds for the surrogates of mutual information.

    Examples
    --------
    The entropy of a·ε is log a plus a constant, so the gradient with respect to log a is 1:

    >>> import torch
    >>> from sk_mige.information import entropy_surrogate
    >>> eps = torch.randn(400, 1, generator=torch.Generator().manual_seed(0))
    >>> log_a = torch.tensor(0.7, requires_grad=True)
    >>> entropy_surrogate(log_a.exp() * eps).backward()
    >>> bool(abs(log_a.grad - 1) < 0.1)
    True
    """
    check_score(score)
    (flat,) = check_codes(z=z)
    if is_ssge(score):
        warn_of_few_rows("z", flat)
    return -mean_inner_product(centred_scores(score, flat), flat)


@full_precision
def mutual_info_surrogate(
    x: Tensor,
    z: Tensor,
    *,
    score: ScoreFunction | None = None,
    x_scale: float = 1.0,
    projection: Tensor | None = None,
) -> Tensor:
    r"""Scalar whose gradient estimates ∇I(x; z) for a deterministic encoder z = E(x).

    .. math:: \nabla_\phi I(x; z) = \nabla_\phi H(z) - \nabla_\phi H(x, z)
              = -\mathbb{E}\big[(\nabla_z \log q(z) - \nabla_z \log q(x, z))^\top
                \nabla_\phi z\big]

    The MIGE paper treats a deterministic encoder as circumstance I. Only the z-block of the joint
    score is needed, because x does not depend on the parameters φ of the encoder. The kernel
    depends on x only through squared distances. The dimension of x therefore affects only the time
    of one matrix product.

    Parameters
    ----------
    x : tensor of shape (M, ...)
        Inputs, flattened to (M, d_x).
    z : tensor of shape (M, ...)
        Differentiable representations, flattened to (M, d).
    score : callable, default=None
        Score function, called as ``score(z)`` for the scores of z, and as
        ``score(z, sq_distances=...)`` for the z-block of the scores of the pair. None means
        :func:`sk_mige.score.ssge`. The estimated scores are centred over the batch
        (:func:`entropy_surrogate`).
    x_scale : float, default=1.0
        Weight of x relative to z in the joint kernel. The squared distances of x are scaled to a
        median of ``x_scale**2`` times the median squared distance of z
        (:func:`joint_squared_distances`).
    projection : tensor of shape (k, d_x), default=None
        Matrix, usually random, to project x before the distances are computed.

    Returns
    -------
    tensor of shape ()
        Surrogate of I(x; z), to be maximised. The value of the surrogate is not a mutual
        information.

    Notes
    -----
    For a deterministic encoder, I(x; z) is infinite if z is continuous, and equals the entropy of z
    if z is discrete. The result estimates the gradient of the information after smoothing by the
    kernel. The kernel's bandwidth sets the resolution at which z distinguishes inputs.

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
    check_score(score)
    weight = _weight(x_scale)
    (flat,) = check_codes(z=z)
    if is_ssge(score):
        warn_of_few_rows("z", flat)
    points = flat.detach()
    # Each batched call replaces two calls, because launches dominate the time on a GPU.
    both = torch.stack([squared_distances(points), _input_distances(x, points, projection)])
    sigma_z, sigma_x = median_bandwidth(both)
    joint = both[1].mul_(weight * scale_ratio(sigma_x, sigma_z)).add_(both[0])
    if is_ssge(score):
        sigmas = torch.stack([sigma_z, median_bandwidth(joint)])
        of_z, of_pair = ssge_scores(score, points.expand(2, *points.shape), both, sigmas)
    else:
        of_z = centred_scores(score, flat)
        of_pair = centred_scores(score, flat, sq_distances=joint)
    return mean_inner_product(of_pair - of_z, flat)


def joint_squared_distances(sq_x: Tensor, sq_z: Tensor, *, x_scale: float = 1.0) -> Tensor:
    r"""Squared distances between pairs (x, z), with x rescaled to the scale of z.

    .. math:: D = c\,D_x + D_z, \qquad
              c = \mathtt{x\_scale}^2\; \mathrm{median}(D_z) / \mathrm{median}(D_x)

    The joint kernel therefore does not depend on the units of x, or on the scale of a random
    projection of x.

    Parameters
    ----------
    sq_x, sq_z : tensors of shape (..., M, M)
        Squared distances.
    x_scale : float, default=1.0
        Weight of the distances of x relative to those of z. A larger ``x_scale`` gives the joint
        kernel a finer resolution of x. With ``x_scale=0``, x is ignored.

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
    check_real("sq_x", sq_x)
    check_real("sq_z", sq_z)
    if sq_x.shape[-2:] != sq_z.shape[-2:] or sq_z.ndim < 2 or sq_z.shape[-1] != sq_z.shape[-2]:
        raise ValueError(
            "sq_x and sq_z must both have shape (..., M, M); got "
            f"{tuple(sq_x.shape)} and {tuple(sq_z.shape)}"
        )
    ratio = scale_ratio(median_bandwidth(sq_x), median_bandwidth(sq_z))[..., None, None]
    return _weight(x_scale) * ratio * sq_x + sq_z


def _weight(x_scale: Any) -> float:
    """Return the square of ``x_scale``. Beyond 1e15, rounding would remove the distances of z."""
    return as_number("x_scale", x_scale, 0, 1e15, "left") ** 2


def centred_scores(score: ScoreFunction | None, z: Tensor, **known: Any) -> Tensor:
    """Return detached scores (..., M, d) at the samples z, minus their mean over the M samples.

    The score of a smooth density on the whole space has mean 0.
    """
    scores = checked_scores(score or ssge, z, **known)
    return scores - scores.mean(-2, keepdim=True)


@torch.no_grad()
def checked_scores(score: ScoreFunction, z: Tensor, **known: Any) -> Tensor:
    """Return detached scores at the samples z, or raise ValueError for another type or shape."""
    scores: Any = score(z.detach(), **known)
    if not isinstance(scores, Tensor) or scores.shape != z.shape:
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(
            f"score must return a tensor of the shape of z, {tuple(z.shape)}; it returned {got}"
        )
    return scores.detach()


def is_ssge(score: ScoreFunction | None) -> bool:
    """Return whether ``score`` is None, :func:`ssge` or a ``partial`` of :func:`ssge`.

    :func:`ssge` scores several sets of samples, stacked along leading dimensions, in one call.
    """
    function = score.func if isinstance(score, partial) else score
    return function is None or function is ssge


def ssge_scores(
    score: ScoreFunction | None, z: Tensor, sq_distances: Tensor, medians: Tensor
) -> Tensor:
    """Return centred scores by :func:`ssge`, for squared distances with known medians."""
    given = score.keywords.get("bandwidth", "median") if isinstance(score, partial) else "median"
    bandwidth = medians if isinstance(given, str) else given
    return centred_scores(score, z, sq_distances=sq_distances, bandwidth=bandwidth)


def mean_inner_product(scores: Tensor, z: Tensor) -> Tensor:
    """Return the mean over samples of the inner product ⟨scores, z⟩."""
    m = scores.shape[:-1].numel()
    return ((scores / m) * z).sum()


def scale_ratio(median_x: Tensor, median_z: Tensor) -> Tensor:
    """Return the squared ratio of the median distances of z and x, or 1 if not finite."""
    return torch.nan_to_num((median_z / median_x).square(), nan=1.0, posinf=1.0)


def _input_distances(x: Tensor, like: Tensor, projection: Tensor | None) -> Tensor:
    """Return squared distances (M, M) of the flattened inputs, with the dtype and device of z."""
    rows = check_samples("x", x, floating=False)
    check_same_length({"x": rows, "z": like})
    warn_of_constant("x", rows)
    rows = rows.detach().to(like)
    if projection is not None:
        rows = rows @ check_projection(projection, rows.shape[1]).to(like).mT
    return squared_distances(rows)
