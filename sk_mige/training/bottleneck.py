"""The information bottleneck's loss: likelihood, and information at a price or under a ceiling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sk_mige.information import (
    gaussian_mutual_info,
    mutual_info_surrogate,
    stochastic_mutual_info_surrogate,
)
from sk_mige.networks import Code
from sk_mige.score import ScoreFunction

__all__ = ["Bottleneck", "MIGEInformation"]

# Relative step of the price when information is far from its ceiling: e-fold in 20 batches.
DUAL_RATE = 0.05
LOG_PRICES = (math.log(1e-7), math.log(1e3))


class Information(Protocol):
    """An estimate of I(x; z) to be lowered through z."""

    def __call__(self, code: Code, x: Tensor, y: Tensor | None = None) -> Tensor:
        """A scalar with the estimate's gradient."""
        ...

    def value(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Nats, for the constrained form."""
        ...


class Rival(Protocol):
    """An estimate with a critic, with losses for z and for what it learns itself."""

    def minimise(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate, to be lowered through z, and the loss of its own parameters."""
        ...


class MIGEInformation:
    r"""The gradient of I(x; z) by MIGE, of the circumstance that suits the code.

    Circumstance I for a deterministic code; III for a drawn one, with H(z | x) in closed form
    where q(z | x) is known, and from several draws of each z where it is not.

    Parameters
    ----------
    score : callable
        Score function of z and of the pair (x, z).
    marginal : str, default="auto"
        How the entropy of z is followed, see
        :func:`sk_mige.information.stochastic_mutual_info_surrogate`; or "classes", for a Gaussian
        code and targets that are class indices: :func:`sk_mige.information.gaussian_mutual_info`
        with labels.
    closed_form : bool, default=True
        Whether H(z | x) is taken in closed form where it is known.
    x_scale : float, default=1.0
        Weight of x in the joint kernel of circumstance I.
    projection : tensor of shape (k, d), default=None
        Random projection of x in circumstance I.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.score import ssge
    >>> from sk_mige.training import MIGEInformation
    >>> mean = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    >>> code = Code(mean, (mean, torch.ones(200, 1)))
    >>> round(float(MIGEInformation(ssge).value(code)), 1)  # ½ log 2 = 0.35
    0.3
    """

    def __init__(
        self,
        score: ScoreFunction,
        *,
        marginal: str = "auto",
        closed_form: bool = True,
        x_scale: float = 1.0,
        projection: Tensor | None = None,
    ) -> None:
        self.score = score
        self.marginal: Any = marginal
        self.closed_form = closed_form
        self.x_scale = x_scale
        self.projection = projection

    def __call__(self, code: Code, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Surrogate of I(x; z): its gradient is MIGE's."""
        if self.marginal == "classes":
            assert code.conditional is not None
            return gaussian_mutual_info(*code.conditional, labels=y)
        if code.conditional is None and code.z.ndim == 2:
            return mutual_info_surrogate(
                x, code.z, score=self.score, x_scale=self.x_scale, projection=self.projection
            )
        return stochastic_mutual_info_surrogate(
            code.z,
            conditional=code.conditional if self.closed_form else None,
            marginal=self.marginal,
            score=self.score,
        )

    def value(self, code: Code, y: Tensor | None = None) -> Tensor:
        """Upper bound of I(x; z) for a Gaussian code."""
        assert code.conditional is not None
        with torch.no_grad():
            labels = y if self.marginal == "classes" else None
            return gaussian_mutual_info(*code.conditional, labels=labels)


class Bottleneck(nn.Module):
    r"""Information bottleneck: minimise :math:`-\mathbb{E}\log p(y | z) + \beta\, I(z; x)`.

    With ``max_information`` c it is the constrained problem
    :math:`\min -\mathbb{E}\log p(y | z)` subject to :math:`I(z; x) \le c`: β is its dual
    variable, which grows while information exceeds c and shrinks while it does not,

    .. math:: \log\beta \leftarrow \log\beta + \eta\, \frac{I - c}{|I| + c} .

    Parameters
    ----------
    likelihood : callable
        ``likelihood(prediction, y)``, the mean negative log-likelihood in nats; a module's
        parameters are learned.
    information : callable
        ``information(code, x, y)``, a scalar with the gradient of I(x; z): :class:`MIGEInformation`
        or :class:`VariationalInformation`.
    beta : float
        Weight of the information, per nat; where β is a dual variable, what it starts at.
    critic : CriticInformation, default=None
        A bound of I(z; x), in nats, that takes the place of ``information``, as in MINE's
        bottleneck.
    max_information : float, default=None
        c in nats. Needs a Gaussian code, whose information has an upper bound.

    Attributes
    ----------
    ramp : float
        What β is multiplied by in the coming batch; warm-up changes it.
    price : float
        β itself, or the dual variable.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.score import ssge
    >>> from sk_mige.training import Bottleneck, ClassLikelihood, MIGEInformation
    >>> objective = Bottleneck(ClassLikelihood(), MIGEInformation(ssge), beta=0.0)
    >>> code = Code(torch.zeros(4, 2), prediction=torch.zeros(4, 2))
    >>> objective(code, torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]))  # log 2
    tensor(0.6931)
    """

    def __init__(
        self,
        likelihood: Callable[[Tensor, Tensor], Tensor],
        information: Information,
        beta: float,
        *,
        critic: Rival | None = None,
        max_information: float | None = None,
    ) -> None:
        super().__init__()
        self.critic = critic
        self.likelihood = likelihood
        self.information = information
        self.beta = beta
        self.max_information = max_information
        self.ramp = 1.0
        self.log_price: Tensor | None
        start = None
        if max_information is not None:  # a price of 0 could never grow
            start = torch.tensor(beta, dtype=torch.float32).log().clamp(*LOG_PRICES)
        self.register_buffer("log_price", start)

    @property
    def price(self) -> float:
        """What a nat costs."""
        return self.beta if self.log_price is None else float(self.log_price.exp())

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Loss of a batch; the information's share of the *value* is a surrogate."""
        assert code.prediction is not None
        loss = self.likelihood(code.prediction, y)
        price = self.ramp * self.price
        if self.log_price is not None:
            self._adjust(self.information.value(code, y))
        if price == 0:
            return loss
        if self.critic is not None:
            z = code.z if code.z.ndim == 2 else code.z[0]
            bound, critic_loss = self.critic.minimise(x, z)
            return loss + price * bound + critic_loss
        return loss + price * self.information(code, x, y)

    def held_out(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Loss of held-out rows: the likelihood alone, since the rest has no value."""
        assert code.prediction is not None
        return self.likelihood(code.prediction, y)

    def _adjust(self, information: Tensor) -> None:
        """One step of the dual variable; information that is not finite leaves it."""
        assert self.log_price is not None
        assert self.max_information is not None
        excess = (information - self.max_information) / (information.abs() + self.max_information)
        self.log_price += DUAL_RATE * torch.nan_to_num(excess.float())
        self.log_price.clamp_(*LOG_PRICES)
