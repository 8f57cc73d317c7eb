"""Circumstance III: the gradient of I(x; z) for encoders z = E(x, ε) that draw noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import torch
from torch.distributions import Distribution

from sk_mige.information.gradients import _inner, _scores
from sk_mige.information.marginals import marginal_scores

if TYPE_CHECKING:
    from torch import Tensor

    from sk_mige.score import ScoreFunction

__all__ = ["conditional_scores", "stochastic_mutual_info_surrogate"]

Conditional = tuple["Tensor", "Tensor"] | Distribution | Callable[["Tensor"], "Tensor"]
Marginal = Literal["auto", "score", "stein", "gaussian", "mixture", "leave-one-out"]


def stochastic_mutual_info_surrogate(
    z: Tensor,
    *,
    conditional: Conditional | None = None,
    marginal: Marginal = "auto",
    score: ScoreFunction | None = None,
    conditional_score: ScoreFunction | None = None,
) -> Tensor:
    r"""Scalar whose gradient estimates that of I(x; z), z = E(x, ε): circumstance III.

    .. math:: \nabla_\phi I(x; z) = \nabla_\phi H(z) - \nabla_\phi H(z \mid x)
              = -\mathbb{E}\big[(\nabla_z \log q(z) - \nabla_z \log q(z \mid x))^\top
                \nabla_\phi z\big]

    Parameters
    ----------
    z : tensor of shape (M, d) or (S, M, d)
        One or S reparameterised draws of z for each of M inputs, differentiable.
    conditional : tuple (mean, scale), Distribution, callable or None, default=None
        What is known of q(z | x). A pair of tensors (mean, standard deviation), each
        broadcastable to (M, d), is a Gaussian with independent coordinates. A
        ``torch.distributions.Distribution`` or a callable ``log_prob(z)`` is differentiated at
        z. None is an implicit encoder, whose conditional score is estimated from the S draws of
        each x: it needs S of 8 and more, and d below S.
    marginal : {"auto", "score", "stein", "gaussian", "mixture", "leave-one-out"}, default="auto"
        How the score of the marginal q(z) is found; see :func:`marginal_scores`.
    score, conditional_score : callable, default=None
        Score functions of the marginal and of an implicit conditional; None is
        :func:`sk_mige.score.ssge`, and for the conditional ``score``.

    Returns
    -------
    tensor of shape ()
        A surrogate: its gradient is that of I(x; z), in nats.

    References
    ----------
    L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
    Representation Learning", ICLR 2020, Eqs. 14-16.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import stochastic_mutual_info_surrogate
    >>> generator = torch.Generator().manual_seed(0)
    >>> mean = torch.randn(200, 2, generator=generator)
    >>> scale = torch.tensor(0.5, requires_grad=True)
    >>> z = mean + scale * torch.randn(200, 2, generator=generator)
    >>> stochastic_mutual_info_surrogate(z, conditional=(mean, scale)).backward()
    >>> bool(scale.grad < 0)  # noise destroys information
    True
    """
    given_x = conditional_scores(z, conditional, score=conditional_score or score)
    rows = z.reshape(-1, z.shape[-1])
    of_z = marginal_scores(rows, marginal, score=score, conditional=conditional)
    return -_inner(of_z - given_x.reshape(rows.shape), rows)


def conditional_scores(
    z: Tensor,
    conditional: Conditional | None = None,
    *,
    score: ScoreFunction | None = None,
) -> Tensor:
    """Scores of q(z | x) at z, detached, in the shape of z.

    Parameters
    ----------
    z : tensor of shape (M, d) or (S, M, d)
        Draws of z.
    conditional : tuple (mean, scale), Distribution, callable or None, default=None
        As in :func:`stochastic_mutual_info_surrogate`.
    score : callable, default=None
        Score function of an implicit conditional, batched over x; None is
        :func:`sk_mige.score.ssge`.

    Returns
    -------
    tensor of the shape of z

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import conditional_scores
    >>> conditional_scores(torch.ones(1, 2), (torch.zeros(1, 2), torch.tensor(2.0)))
    tensor([[-0.2500, -0.2500]])
    """
    points = z.detach()
    if conditional is None:
        if z.ndim != 3 or z.shape[0] < 2:
            raise ValueError(
                "an implicit conditional needs several draws of z for each x, shape (S, M, d) "
                f"with S >= 2; got shape {tuple(z.shape)}. Draw more, or pass conditional=..."
            )
        return _scores(score, points.transpose(0, 1)).transpose(0, 1)
    if isinstance(conditional, tuple):
        mean, scale = (part.detach() for part in conditional)
        return (mean - points) / scale.square()
    log_prob = conditional.log_prob if isinstance(conditional, Distribution) else conditional
    with torch.enable_grad():
        points = points.requires_grad_(True)
        (scores,) = torch.autograd.grad(log_prob(points).sum(), points)
    return scores.detach()
