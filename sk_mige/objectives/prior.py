"""Prior matching, a loss that can be added to any objective."""

from __future__ import annotations

from torch import Tensor

from sk_mige.information import PriorMatching
from sk_mige.networks import Code

from .base import Objective

__all__ = ["PriorMatched"]


class PriorMatched(Objective):
    r"""Objective plus an adversarial loss that makes the sigmoid of each code uniform.

    The adversary compares the sigmoid of each component with U(0, 1), as in Deep InfoMax.

    Parameters
    ----------
    objective : Objective
        Objective to which the prior-matching loss is added.
    n_components : int
        Dimension of z.
    weight : float
        Weight of the prior-matching loss.

    References
    ----------
    R. D. Hjelm et al., "Learning deep representations by mutual information estimation and
    maximization", ICLR 2019, Eq. 7.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import FunctionObjective, PriorMatched
    >>> objective = PriorMatched(FunctionObjective(lambda code, x, y: code.z.mean()), 2, 0.1)
    >>> objective(Code(torch.randn(8, 2)), torch.zeros(8, 5), torch.zeros(8)).shape
    torch.Size([])
    """

    def __init__(self, objective: Objective, n_components: int, weight: float) -> None:
        super().__init__()
        self.objective = objective
        self.has_value = objective.has_value
        self.matching = PriorMatching(n_components)
        self.weight = weight

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the sum of objective, adversary loss and weighted prior-matching loss."""
        z = code.z.flatten(0, -2)  # rows of all views
        adversary, encoder = self.matching(z.sigmoid())
        loss: Tensor = self.objective(code, x, y) + adversary + self.weight * encoder
        return loss

    def held_out(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of the objective, without the losses of prior matching."""
        return self.objective.held_out(code, x, y)
