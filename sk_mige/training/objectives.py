"""Objectives: the loss of a batch, from the network's code, the inputs and the targets.

An objective is any callable ``objective(code, x, y) -> loss``; those with parameters to learn are
modules. The training loop knows nothing else about it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from sk_mige.information import mutual_info_surrogate, stochastic_mutual_info_surrogate
from sk_mige.information.stochastic import Marginal
from sk_mige.networks import Code
from sk_mige.score import ScoreFunction

__all__ = ["Bottleneck", "GaussianLikelihood", "InfoMax", "Objective", "class_likelihood"]

Likelihood = Callable[[Tensor, Tensor], Tensor]


class Rival(Protocol):
    """Another estimate of I(x; z), with losses for z and for what it learns itself."""

    def minimise(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate, to be lowered through z, and the loss of its own parameters."""
        ...


class Objective(Protocol):
    """The loss of one batch, as a scalar tensor.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.training import Objective
    >>> def small_codes(code, x, y):
    ...     return code.z.square().mean()
    >>> objective: Objective = small_codes
    >>> objective(Code(torch.ones(5, 2)), torch.ones(5, 3), torch.zeros(5))
    tensor(1.)
    """

    def __call__(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Loss of the code of inputs x (M, d) with targets y."""
        ...


class InfoMax:
    r"""InfoMax: maximise I(x; z) by MIGE, circumstance I.

    .. math:: -\nabla I(x; z) = -\nabla H(z) + \nabla H(x, z)

    Parameters
    ----------
    score : callable
        Score function of z and of the pair (x, z).
    x_scale : float, default=1.0
        Weight of x in the joint kernel.
    projection : tensor of shape (k, d), default=None
        Random projection of x, drawn once for the whole fit; applied once a batch, to x only.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.score import ssge
    >>> from sk_mige.training import InfoMax
    >>> z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    >>> InfoMax(ssge)(Code(z), z.detach() @ torch.ones(2, 5), torch.zeros(50)).backward()
    >>> z.grad.shape
    torch.Size([50, 2])
    """

    def __init__(
        self, score: ScoreFunction, *, x_scale: float = 1.0, projection: Tensor | None = None
    ) -> None:
        self.score = score
        self.x_scale = x_scale
        self.projection = projection

    def __call__(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Surrogate of −I(x; z), whose gradient is MIGE's; its value is not an information."""
        return -mutual_info_surrogate(
            x, code.z, score=self.score, x_scale=self.x_scale, projection=self.projection
        )


class Bottleneck(nn.Module):
    r"""Information bottleneck: minimise :math:`-\mathbb{E}\log p(y | z) + \beta\, I(z; x)`.

    For a stochastic head the gradient of I is that of circumstance III, with H(z | x) in closed
    form; for a deterministic one it is circumstance I.

    Parameters
    ----------
    likelihood : callable
        ``likelihood(prediction, y)``, the mean negative log-likelihood in nats; a module's
        parameters are learned.
    information : InfoMax
        Objective of a deterministic head and the score function of either.
    beta : float
        Weight of the information, per nat.
    marginal : str, default="auto"
        How the score of q(z) is estimated, see
        :func:`sk_mige.information.stochastic_mutual_info_surrogate`.
    critic : CriticInformation, default=None
        A bound of I(z; x) that takes the place of MIGE, as in MINE's bottleneck.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.score import ssge
    >>> from sk_mige.training import Bottleneck, InfoMax, class_likelihood
    >>> objective = Bottleneck(class_likelihood, InfoMax(ssge), beta=0.0)
    >>> code = Code(torch.zeros(4, 2), prediction=torch.zeros(4, 2))
    >>> objective(code, torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]))  # log 2
    tensor(0.6931)
    """

    def __init__(
        self,
        likelihood: Likelihood,
        information: InfoMax,
        beta: float,
        *,
        marginal: Marginal = "auto",
        critic: Rival | None = None,
    ) -> None:
        super().__init__()
        self.critic = critic
        self.likelihood = likelihood
        self.information = information
        self.beta = beta
        self.marginal = marginal

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Loss of a batch; the information's share of the *value* is a surrogate."""
        assert code.prediction is not None
        loss = self.likelihood(code.prediction, y)
        if self.beta == 0:
            return loss
        if self.critic is not None:
            bound, critic_loss = self.critic.minimise(x, code.z)
            return loss + self.beta * bound + critic_loss
        if code.conditional is None:
            return loss + self.beta * self.information(code, x, y)
        return loss + self.beta * stochastic_mutual_info_surrogate(
            code.z,
            conditional=code.conditional,
            marginal=self.marginal,
            score=self.information.score,
        )


def class_likelihood(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of class indices y (M,) in nats, from logits (M, n_classes).

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training import class_likelihood
    >>> class_likelihood(torch.zeros(1, 4), torch.tensor([2]))  # log 4
    tensor(1.3863)
    """
    return cross_entropy(logits, y)


class GaussianLikelihood(nn.Module):
    r"""Negative log-likelihood of a Gaussian whose variance is learned, one a target.

    .. math:: \frac{(y - \hat y)^2}{2 v} + \frac12 \log 2 \pi v,
              \qquad v = \mathrm{softplus}(\rho) + 10^{-4}

    Targets are expected at variance 1; the floor keeps a network that fits its training data
    exactly from following log v to minus infinity.

    Parameters
    ----------
    n_targets : int
        Number of targets.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training import GaussianLikelihood
    >>> likelihood = GaussianLikelihood(1)  # starts at variance 1: ½ log 2π
    >>> likelihood(torch.zeros(3, 1), torch.zeros(3, 1)).detach().round(decimals=3)
    tensor(0.9190)
    """

    def __init__(self, n_targets: int) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((n_targets,), 0.5413))  # softplus⁻¹(1)

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Mean over rows, sum over targets, in nats."""
        variance = softplus(self.rho) + 1e-4
        constant = torch.log(2 * torch.pi * variance)
        return 0.5 * ((prediction - y).square() / variance + constant).sum(-1).mean()
