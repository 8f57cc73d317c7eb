"""Objectives with MIGE's gradient of information."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sk_mige.information import (
    gaussian_mutual_info,
    hidden_mutual_info_surrogate,
    multiview_mutual_info_surrogate,
    mutual_info_surrogate,
    stochastic_mutual_info_surrogate,
)
from sk_mige.information.hidden import mean_hidden_mutual_info_surrogate
from sk_mige.networks import Code
from sk_mige.score import ScoreFunction

from .base import InformationTerm, Objective


class MIGEInfoMax(Objective):
    r"""Objective of InfoMax with MIGE, for one or several views.

    .. math:: -\nabla I(x; z) = -\nabla H(z) + \nabla H(x, z) = -\nabla H(z) + \nabla H(z | x)

    Parameters
    ----------
    score : callable
        Function that estimates the scores of z and of the pair (x, z).
    x_scale : float, default=1.0
        Weight of x relative to z in the kernel of the joint score.
    projection : tensor of shape (k, d), default=None
        Random projection of x, drawn once for the whole fit. The representation z is not projected.
        With several views, ``x_scale`` and ``projection`` have no effect.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import MIGEInfoMax
    >>> from sk_mige.score import ssge
    >>> z = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    >>> MIGEInfoMax(ssge)(Code(z), z.detach() @ torch.ones(2, 5), torch.zeros(50)).backward()
    >>> z.grad.shape
    torch.Size([50, 2])
    """

    has_value = False
    projection: Tensor | None

    def __init__(
        self, score: ScoreFunction, *, x_scale: float = 1.0, projection: Tensor | None = None
    ) -> None:
        super().__init__()
        self.score = score
        self.x_scale = x_scale
        self.register_buffer("projection", projection, persistent=False)

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return a surrogate whose gradient estimates −∇I(x; z)."""
        if code.z.ndim == 3:
            return -multiview_mutual_info_surrogate(code.z, score=self.score)
        return -mutual_info_surrogate(
            x, code.z, score=self.score, x_scale=self.x_scale, projection=self.projection
        )


class FeatureInfoMax(Objective):
    r"""Objective of InfoMax with MIGE for I(h; z), where h is the output of an inner layer.

    .. math:: -\nabla I(h; z) = -\nabla H(h) - \nabla H(z) + \nabla H(h, z)

    With ``local=True``, the objective is the average of :math:`I(h_p; z)` over the locations p of
    a feature map.

    Parameters
    ----------
    score : callable
        Function that estimates the scores of h, of z and of the pair (h, z).
    local : bool, default=False
        Whether h is the feature vector at a single location. If False, h is the whole feature map.
    n_locations : int, default=4
        Number of locations drawn at random for each batch. The average gradient over the drawn
        locations is an unbiased estimate of the average over all locations.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import FeatureInfoMax
    >>> from sk_mige.score import ssge
    >>> h = torch.randn(50, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    >>> code = Code(h.mean((2, 3)).requires_grad_(), features=h)
    >>> FeatureInfoMax(ssge, local=True)(code, h.flatten(1), torch.zeros(50)).shape
    torch.Size([])
    """

    has_value = False

    def __init__(self, score: ScoreFunction, *, local: bool = False, n_locations: int = 4) -> None:
        super().__init__()
        self.score = score
        self.local = local
        self.n_locations = n_locations

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return a surrogate whose gradient estimates −∇I(h; z)."""
        assert code.features is not None
        if not self.local:
            return -hidden_mutual_info_surrogate(code.features, code.z, score=self.score)
        here = patches(code.features)
        drawn = torch.randperm(here.shape[1], device="cpu")[: self.n_locations].tolist()
        parts = torch.stack([here[:, p] for p in drawn])
        return -mean_hidden_mutual_info_surrogate(parts, code.z, score=self.score)


class MIGETerm(InformationTerm):
    r"""Information term of a bottleneck, with MIGE's gradient of I(x; z).

    If q(z | x) is Gaussian, H(z | x) is computed in closed form by default. If q(z | x) is unknown,
    H(z | x) is estimated from several draws of z for each x.

    Parameters
    ----------
    score : callable
        Function that estimates the scores of z, of z given x, and of the pair (x, z).
    marginal : str, default="auto"
        Estimate of the entropy of z, as in
        :func:`sk_mige.information.stochastic_mutual_info_surrogate`. With "classes",
        the term is the bound of I(x; z | y) in :func:`sk_mige.information.gaussian_mutual_info`.
        The value "classes" requires a Gaussian code and class indices as targets.
    closed_form : bool, default=True
        Whether H(z | x) is computed in closed form if q(z | x) is known.
    x_scale : float, default=1.0
        Weight of x relative to z in the kernel of the joint score, for a deterministic code.
    projection : tensor of shape (k, d), default=None
        Random projection of x, for a deterministic code.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import MIGETerm
    >>> from sk_mige.score import ssge
    >>> mean = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    >>> code = Code(mean, (mean, torch.ones(200, 1)))
    >>> round(float(MIGETerm(ssge).upper_bound(code)), 1)  # ½ log 2 = 0.35
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
        super().__init__()
        self.score = score
        self.marginal: Any = marginal
        self.closed_form = closed_form
        by_value = closed_form and marginal in ("auto", "gaussian")
        self.is_upper_bound = by_value or marginal == "classes"
        self.joint = MIGEInfoMax(score, x_scale=x_scale, projection=projection)

    def forward(self, code: Code, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, None]:
        """Return a surrogate of I(x; z), and None because the term has no learned parts."""
        if self.marginal == "classes":
            return _within_classes(code, y), None
        if code.conditional is None and code.z.ndim == 2:
            return -self.joint(code, x, y), None
        surrogate = stochastic_mutual_info_surrogate(
            code.z,
            conditional=code.conditional if self.closed_form else None,
            marginal=self.marginal,
            score=self.score,
        )
        return surrogate, None


def _within_classes(code: Code, y: Tensor | None) -> Tensor:
    """Return an upper bound of I(x; z | y) in nats, without the entropy H(y) of the classes."""
    assert code.conditional is not None
    assert y is not None
    ordered = y.sort().values
    size = torch.searchsorted(ordered, y, right=True) - torch.searchsorted(ordered, y)
    entropy = -(size / len(y)).log().mean()  # H(y)
    return gaussian_mutual_info(*code.conditional, labels=y) - entropy


def patches(features: Tensor) -> Tensor:
    """Reshape feature maps (M, C, ...) to (M, P, C), where P is the number of locations.

    Parameters
    ----------
    features : tensor of shape (M, C, ...)
        Feature maps, whose last dimensions are locations.

    Returns
    -------
    tensor of shape (M, P, C)
        Values of the C channels at each of P locations.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.objectives import patches
    >>> patches(torch.zeros(5, 3, 4, 4)).shape
    torch.Size([5, 16, 3])
    """
    return features.flatten(2).mT
