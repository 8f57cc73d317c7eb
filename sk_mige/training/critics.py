"""Objectives that learn a critic, or an adversary, while the encoder learns."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sk_mige.information import (
    BoundEstimate,
    ConcatenatedCritic,
    DonskerVaradhan,
    GaussianCritic,
    PriorMatching,
    SeparableCritic,
    make_bound,
)
from sk_mige.networks import Code

from .objectives import Objective

__all__ = ["CriticInformation", "CriticInfoMax", "PriorMatched"]

CRITICS: dict[str, Callable[..., nn.Module]] = {
    "separable": SeparableCritic,
    "concatenated": ConcatenatedCritic,
    # The temperature that SimCLR's authors found best on CIFAR-10.
    "cosine": partial(SeparableCritic, temperature=0.5),
}


def _made(
    critic: str | Callable[..., nn.Module], n_features: int, n_components: int, **sizes: Any
) -> nn.Module:
    if isinstance(critic, str):
        return CRITICS[critic](n_features, n_components, **sizes)
    made = None if isinstance(critic, nn.Module) else critic(n_features, n_components)
    if not isinstance(made, nn.Module):
        got = f"it returned {type(made).__name__}"
        if made is None:
            got = f"got the module {type(critic).__name__} itself"
        raise TypeError(
            "critic must be a name or a function that, called with (n_features, n_components), "
            f"returns a torch.nn.Module: {got}"
        )
    return copy.deepcopy(made)  # the function may return a module that it keeps


def _nats(scores: Tensor, clip: float = math.inf) -> Tensor:
    """Donsker and Varadhan's value of I from scores (M, M), as SMILE clips it."""
    m = scores.shape[-1]
    apart = scores.flatten()[1:].view(m - 1, m + 1)[:, :-1].clamp(-clip, clip)
    value: Tensor = scores.diagonal().mean() - apart.flatten().logsumexp(0) + math.log(m * (m - 1))
    return value


# Bounds of another divergence, whose best critic is the log density ratio all the same.
VALUES: dict[str, Callable[[Tensor], Tensor]] = {"jsd": _nats, "smile": partial(_nats, clip=5.0)}


class CriticInformation(nn.Module):
    r"""A bound of I(x; z) whose critic learns from each batch that it is evaluated on.

    Parameters
    ----------
    bound : {"mine", "mine-f", "jsd", "smile", "infonce", "club"}
        Which bound; see :func:`sk_mige.information.make_bound`.
    n_features, n_components : int
        Dimensions of x and z.
    critic : {"separable", "concatenated", "cosine"} or callable, default="separable"
        Form of the critic, each with a hidden layer of 512 units; a callable makes another one of
        (n_features, n_components). CLUB learns a conditional Gaussian instead.
    normalize : bool, default=True
        Whether x is normalised over the batch; features of an inner layer are better left as
        they are.
    mixed_precision : bool, default=False
        Whether the critic multiplies matrices in bfloat16; its scores are in the precision of z.
        CLUB's does not.
    **sizes : sequence of int
        What the critic's constructor takes beside, such as ``hidden=(512, 512)``.

    Notes
    -----
    Where x is normalised over the batch before it enters the critic, the critic is as indifferent
    to the units of x as MIGE is.

    InfoMax follows the bounds as published. A bottleneck needs nats, for its price is one per
    nat. The objective of "jsd" and "smile" is that of a Jensen-Shannon divergence, which falls ever
    slower than I does: it trains the critic, and z has the gradient of the value in nats that
    the critic gives,

    .. math:: \hat I = \mathbb{E}_p[T] - \log \mathbb{E}_{p \otimes p}[e^T] ,

    for "smile" with the clipped T of its second term. By the envelope theorem the gradient at
    the best critic is that of I. "infonce" saturates at log M, and "club" is per nat of an upper
    bound.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training import CriticInformation
    >>> information = CriticInformation("infonce", 5, 2)
    >>> information.maximise(torch.randn(8, 5), torch.randn(8, 2)).shape
    torch.Size([])
    """

    log_average: Tensor

    def __init__(
        self,
        bound: str,
        n_features: int,
        n_components: int,
        critic: str | Callable[..., nn.Module] = "separable",
        *,
        normalize: bool = True,
        mixed_precision: bool = False,
        **sizes: Any,
    ) -> None:
        super().__init__()
        self.name = bound
        self.bound = make_bound(bound)
        # MINE's, learned as weights are: stored, and taken back, with them. NaN before a batch.
        average = torch.tensor(math.nan) if isinstance(self.bound, DonskerVaradhan) else None
        self.register_buffer("log_average", average)
        self.normalize: nn.Module = (
            nn.BatchNorm1d(n_features, affine=False) if normalize else nn.Identity()
        )
        if bound == "club":
            self.critic: nn.Module = GaussianCritic(n_features, n_components, **sizes)
        else:
            self.critic = _made(critic, n_features, n_components, **sizes)
        # CLUB's critic is a density: differences of squares, for which three digits are too few.
        self.mixed_precision = mixed_precision and bound != "club"

    def scores(self, x: Tensor, z: Tensor, parameters: dict[str, Tensor] | None = None) -> Tensor:
        """The critic's scores of all pairs, with its own parameters or others."""
        with torch.autocast(z.device.type, torch.bfloat16, enabled=self.mixed_precision):
            if parameters is None:
                scores: Tensor = self.critic(x, z)
            else:
                scores = torch.func.functional_call(self.critic, parameters, (x, z))
        if scores.shape != (len(x), len(z)):
            raise ValueError(
                f"critic must return the scores of all pairs, a tensor of shape ({len(x)}, "
                f"{len(z)}); got {tuple(scores.shape)}"
            )
        return scores.to(z.dtype)

    def estimate(self, scores: Tensor, *, seen: bool = False) -> BoundEstimate:
        """What the bound says of scores; of a batch not ``seen`` yet its average learns."""
        if not isinstance(self.bound, DonskerVaradhan):
            return self.bound(scores)
        bound = copy.copy(self.bound)
        bound.log_average = self.log_average
        result = bound(scores)
        if self.training and not seen:
            self.log_average.copy_(bound.log_average)
        return result

    def maximise(self, x: Tensor, z: Tensor) -> Tensor:
        """Loss whose descent raises I(x; z) through z and makes the bound tight."""
        x = self.normalize(x.flatten(1))
        estimate = self.estimate(self.scores(x, z))
        if estimate.objective is estimate.critic_objective:
            return -estimate.objective
        # An upper bound pulls critic and encoder apart: each sees the other as it is.
        return -self._through_z(x, z) + self._critic_loss(x, z)

    def minimise(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Bound in nats to be lowered through z, and the critic's own loss.

        No information is below 0. Where the bound is, the critic lags behind, and lowering it
        further would have z run away from the critic without end: then z has no gradient.
        """
        x = self.normalize(x.flatten(1))
        return self._through_z(x, z, lowered=True), self._critic_loss(x, z)

    def _through_z(self, x: Tensor, z: Tensor, lowered: bool = False) -> Tensor:
        fixed = {name: part.detach() for name, part in self.critic.named_parameters()}
        scores = self.scores(x, z, fixed)
        if lowered and self.name in VALUES:
            objective = value = VALUES[self.name](scores)
        else:
            # MINE's bound averages over batches: it is the critic's loss that lets it see this one.
            value, objective, _ = self.estimate(scores, seen=True)
        return objective if not lowered or value > 0 else objective.detach()

    def _critic_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return -self.estimate(self.scores(x.detach(), z.detach())).critic_objective


class CriticInfoMax(nn.Module):
    """InfoMax by a learned critic: Deep InfoMax's objectives and their successors.

    Parameters
    ----------
    information : CriticInformation
        The bound and its critic.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.training import CriticInfoMax, CriticInformation
    >>> objective = CriticInfoMax(CriticInformation("jsd", 5, 2))
    >>> objective(Code(torch.randn(8, 2)), torch.randn(8, 5), torch.zeros(8)).shape
    torch.Size([])
    """

    def __init__(self, information: CriticInformation) -> None:
        super().__init__()
        self.information = information

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Minus the bound, for encoder and critic alike."""
        return self.information.maximise(x, code.z)

    def held_out(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Minus the bound. MINE's objective has its gradient alone, CLUB's is two in one."""
        if self.information.name not in ("mine", "club"):
            return self.forward(code, x, y)
        scores = self.information.scores(self.information.normalize(x.flatten(1)), code.z)
        return -self.information.estimate(scores, seen=True).value


class PriorMatched(nn.Module):
    r"""An objective plus an adversary that draws the codes' distribution towards a prior.

    Parameters
    ----------
    objective : Objective
        The loss that prior matching is added to.
    n_components : int
        Dimension of z.
    prior : {"uniform", "normal"}
        N(0, 1) for each component, or U(0, 1) for each component's sigmoid.
    weight : float
        What matching the prior counts against the objective.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.training import PriorMatched
    >>> objective = PriorMatched(lambda code, x, y: code.z.mean(), 2, "normal", 0.1)
    >>> objective(Code(torch.randn(8, 2)), torch.zeros(8, 5), torch.zeros(8)).shape
    torch.Size([])
    """

    def __init__(self, objective: Objective, n_components: int, prior: str, weight: float) -> None:
        super().__init__()
        self.objective = objective
        self.matching = PriorMatching(n_components, prior)
        self.weight = weight

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Objective, adversary's loss and the weighted loss of being told apart."""
        z = code.z.flatten(0, -2)  # rows of all views
        z = z.sigmoid() if self.matching.prior == "uniform" else z
        adversary, encoder = self.matching(z)
        loss: Tensor = self.objective(code, x, y) + adversary + self.weight * encoder
        return loss

    def held_out(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """The objective's loss alone: an adversary that gains says nothing of the codes."""
        loss: Tensor = getattr(self.objective, "held_out", self.objective)(code, x, y)
        return loss
