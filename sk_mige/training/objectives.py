"""Objectives: the loss of a batch, from the network's code, the inputs and the targets.

An objective is any callable ``objective(code, x, y) -> loss``; those with parameters to learn are
modules. The training loop knows nothing else about it.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from sk_mige.information import multiview_mutual_info_surrogate, mutual_info_surrogate
from sk_mige.networks import Code
from sk_mige.score import ScoreFunction

__all__ = ["InfoMax", "Objective"]


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
    r"""InfoMax: maximise I(x; z) by MIGE, circumstance I, or III for several views of x.

    .. math:: -\nabla I(x; z) = -\nabla H(z) + \nabla H(x, z) = -\nabla H(z) + \nabla H(z | x)

    Parameters
    ----------
    score : callable
        Score function of z and of the pair (x, z).
    x_scale : float, default=1.0
        Weight of x in the joint kernel; several views have none.
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
        if code.z.ndim == 3:
            return -multiview_mutual_info_surrogate(code.z, score=self.score)
        return -mutual_info_surrogate(
            x, code.z, score=self.score, x_scale=self.x_scale, projection=self.projection
        )
