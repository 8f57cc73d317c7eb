"""Objectives with a critic that is trained with the encoder."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from itertools import permutations
from typing import Any

import torch
from torch import Tensor, nn

from sk_mige._sizes import as_size
from sk_mige.information import ConcatenatedCritic, GaussianCritic, SeparableCritic, make_bound
from sk_mige.networks import Code

from .base import InformationTerm, Objective
from .mige import patches

CRITICS: dict[str, Callable[..., nn.Module]] = {
    "separable": SeparableCritic,
    "concatenated": ConcatenatedCritic,
    # 0.5 is the best temperature on CIFAR-10 in the SimCLR paper.
    "cosine": partial(SeparableCritic, temperature=0.5),
}


class CriticBound(nn.Module):
    r"""Bound of I(x; z) whose critic is trained on the same batches as the encoder.

    Parameters
    ----------
    bound : {"mine", "mine-f", "jsd", "smile", "infonce", "club"}
        Name of the bound, as in :func:`sk_mige.information.make_bound`.
    n_features, n_components : int
        Dimensions of x and z.
    critic : {"separable", "concatenated", "cosine"} or callable, default="separable"
        Form of the critic. By default, each named critic has a hidden layer of 512 units. A
        callable takes (n_features, n_components) and returns a critic. The bound "club" learns a
        conditional Gaussian instead of a critic.
    normalize : bool, default=True
        Whether x is standardised over the batch, so that the units of x do not matter.
    mixed_precision : bool, default=False
        Whether the critic multiplies matrices in bfloat16. The output of the critic has the dtype
        of z. The critic of "club" is a density and always has full precision.
    **sizes : dict
        Further arguments of a named critic, such as ``hidden=(512, 512)`` or ``n_embedding=128``.

    Notes
    -----
    InfoMax uses the bounds as published. A bottleneck needs an estimate in nats, because β is a
    weight per nat. The objective of "jsd" and "smile" is a Jensen-Shannon divergence, which is not
    in nats. In a bottleneck, the Jensen-Shannon divergence trains the critic, and the encoder
    minimises an estimate in nats:

    .. math:: \hat I = \mathbb{E}_p[T] - \log \mathbb{E}_{p \otimes p}[e^T] .

    For "smile", the critic T is clipped in the second term of the formula. If the critic is
    optimal, the expected gradient of the estimate equals the gradient of I. The bound "infonce" is
    at most log M for batches of M rows. The bound "club" is an upper bound of I if the conditional
    density is exact.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.objectives import CriticBound
    >>> information = CriticBound("infonce", 5, 2)
    >>> information.maximise(torch.randn(8, 5), torch.randn(8, 2)).shape
    torch.Size([])
    """

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
        self.bound = make_bound(bound)
        n_features = as_size("n_features", n_features)
        n_components = as_size("n_components", n_components)
        self.normalize = nn.BatchNorm1d(n_features, affine=False) if normalize else nn.Identity()
        if self.bound.critic == "density":
            self.critic: nn.Module = GaussianCritic(n_features, n_components)
        elif isinstance(critic, str):
            self.critic = CRITICS[critic](n_features, n_components, **sizes)
        else:
            self.critic = _made(critic, n_features, n_components)
        # A log-density is a difference of squares, and bfloat16 has too few digits for differences.
        self.mixed_precision = mixed_precision and self.bound.critic != "density"

    def scores(self, x: Tensor, z: Tensor, parameters: dict[str, Tensor] | None = None) -> Tensor:
        """Return the critic's scores of all pairs (x, z), optionally for given parameters."""
        # Inside another autocast context, the cache would remain after the training step.
        with torch.autocast(
            z.device.type, torch.bfloat16, enabled=self.mixed_precision, cache_enabled=False
        ):
            scores = torch.func.functional_call(self.critic, parameters or {}, (x, z))
        if scores.shape != (len(x), len(z)):
            raise ValueError(
                f"critic must return the scores of all pairs, a tensor of shape ({len(x)}, "
                f"{len(z)}); got {tuple(scores.shape)}"
            )
        return scores.to(z.dtype)

    def maximise(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the loss that trains critic and encoder to maximise I(x; z)."""
        x = self.normalize(x.flatten(1))
        estimate = self.bound(self.scores(x, z))
        if estimate.objective is estimate.critic_objective:
            return -estimate.objective
        # The objectives of z and of the critic differ. z is trained with a fixed critic, and the
        # critic is trained with a fixed z.
        return -self.bound(self._scores_of_fixed_critic(x, z)).objective + self._critic_loss(x, z)

    def minimise(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bound in nats, to be minimised by the encoder, and the critic's loss.

        Mutual information is never negative. A negative bound shows that the critic is not trained
        enough, and minimising a negative bound would diverge. A negative bound therefore has no
        gradient with respect to z.
        """
        x = self.normalize(x.flatten(1))
        nats = self.bound.nats(self._scores_of_fixed_critic(x, z))
        # torch.where stays on the device. A Python condition would wait for the device.
        return torch.where(nats > 0, nats, nats.detach()), self._critic_loss(x, z)

    def held_out(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the value of the bound on held-out rows, without training the critic."""
        return self.bound.held_out(self.scores(self.normalize(x.flatten(1)), z))

    def _scores_of_fixed_critic(self, x: Tensor, z: Tensor) -> Tensor:
        fixed = {name: part.detach() for name, part in self.critic.named_parameters()}
        return self.scores(x, z, fixed)

    def _critic_loss(self, x: Tensor, z: Tensor) -> Tensor:
        return -self.bound(self.scores(x.detach(), z.detach())).critic_objective


class CriticInfoMax(Objective):
    """InfoMax with a learned critic, as in Deep InfoMax.

    Parameters
    ----------
    information : CriticBound
        Bound and critic.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import CriticInfoMax, CriticBound
    >>> objective = CriticInfoMax(CriticBound("jsd", 5, 2))
    >>> objective(Code(torch.randn(8, 2)), torch.randn(8, 5), torch.zeros(8)).shape
    torch.Size([])
    """

    def __init__(self, information: CriticBound) -> None:
        super().__init__()
        self.information = information

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the negative bound, the loss of encoder and critic."""
        return self.information.maximise(x, code.z)

    def held_out(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the negative bound on held-out rows."""
        return -self.information.held_out(x, code.z)


class CriticTerm(InformationTerm):
    """Information term of a bottleneck, with a critic's bound of I(x; z).

    Parameters
    ----------
    information : CriticBound
        Bound and critic.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import CriticBound, CriticTerm
    >>> term = CriticTerm(CriticBound("infonce", 5, 2))
    >>> nats, critic_loss = term(Code(torch.randn(8, 2)), torch.randn(8, 5))
    """

    def __init__(self, information: CriticBound) -> None:
        super().__init__()
        self.information = information

    def forward(self, code: Code, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the bound in nats, to be minimised by the encoder, and the critic's loss."""
        return self.information.minimise(x, code.z if code.z.ndim == 2 else code.z[0])


class FeatureCriticInfoMax(Objective):
    r"""Deep InfoMax (DIM): a critic's bound of I(h; z) for features h of an inner layer.

    In DIM(G), h is the whole feature map. In DIM(L), h is a single location of the feature map. All
    locations share one critic, and the bounds are averaged over the locations. A negative example
    pairs features h with the code z of another row in the batch. For DIM(L) with InfoNCE, all
    locations of all other rows are the negative examples for a code z.

    Parameters
    ----------
    information : CriticBound
        Bound of I(h; z), with a critic. With ``local=True``, the critic takes one location of h.
    local : bool, default=False
        Whether h is a single location, as in DIM(L). If False, h is the whole map, as in DIM(G).

    References
    ----------
    R. D. Hjelm et al., "Learning deep representations by mutual information estimation and
    maximization", ICLR 2019.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import CriticBound, FeatureCriticInfoMax
    >>> code = Code(torch.randn(8, 2), features=torch.randn(8, 3, 4, 4))
    >>> objective = FeatureCriticInfoMax(CriticBound("jsd", 3, 2), local=True)
    >>> objective(code, torch.randn(8, 5), torch.zeros(8)).shape
    torch.Size([])
    """

    has_value = False  # features of an inner layer exist in training only

    def __init__(self, information: CriticBound, *, local: bool = False) -> None:
        super().__init__()
        self.information = information
        self.local = local

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the negative bound, the loss of encoder and critic."""
        assert code.features is not None
        if not self.local:
            return self.information.maximise(code.features, code.z)
        here = patches(code.features)
        m, locations, width = here.shape
        scores = self.information.scores(here.reshape(-1, width), code.z).view(m, locations, m)
        return -self.information.bound.local(scores)


class ViewCriticInfoMax(Objective):
    r"""Bound of the mutual information between the representations of different views.

    .. math:: \frac{1}{S (S - 1)} \sum_{s \ne t} \hat I(z_s; z_t)

    Each of the S views of a row is augmented independently. Given x, the views are independent, and
    therefore :math:`I(z_s; z_t) \le I(x; z_s)`. The bound measures information that the
    augmentation does not change. With InfoNCE and the cosine of a shared embedding, the objective
    differs from SimCLR [1]_ only in the negative examples. The negative examples of row m in view s
    are the other rows of view t. SimCLR uses the other rows of both views s and t.

    Parameters
    ----------
    information : CriticBound
        Bound of mutual information, with a critic for pairs of representations.

    References
    ----------
    .. [1] T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A Simple Framework for Contrastive
       Learning of Visual Representations", ICML 2020.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import CriticBound, ViewCriticInfoMax
    >>> objective = ViewCriticInfoMax(CriticBound("infonce", 4, 4, "cosine", shared=True))
    >>> objective(Code(torch.randn(2, 8, 4)), torch.randn(8, 5), torch.zeros(8)).shape
    torch.Size([])
    """

    has_value = False  # there are several views in training only

    def __init__(self, information: CriticBound) -> None:
        super().__init__()
        self.information = information

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the negative mean bound over pairs of views, the loss of encoder and critic."""
        pairs = permutations(code.z.unbind(), 2)
        return torch.stack([self.information.maximise(one, other) for one, other in pairs]).mean()


def _made(critic: Any, n_features: int, n_components: int) -> nn.Module:
    """Return the critic that the user's function ``critic`` creates."""
    made = None if isinstance(critic, nn.Module) else critic(n_features, n_components)
    if not isinstance(made, nn.Module):
        got = f"the function returned {type(made).__name__}"
        if made is None:
            got = f"got the module {type(critic).__name__} itself"
        raise TypeError(
            "critic must be a name, or a function of (n_features, n_components) that returns a "
            f"torch.nn.Module: {got}"
        )
    return copy.deepcopy(made)  # the function may return the same module in every call
