"""InfoMax between several views of each row by a learned critic."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor, nn

from sk_mige.networks import Code

from .critics import CriticInformation

__all__ = ["ViewCriticInfoMax"]


class ViewCriticInfoMax(nn.Module):
    r"""A bound of the information that one view's representation has about another's.

    .. math:: \frac{1}{S (S - 1)} \sum_{s \ne t} \hat I(z_s; z_t)

    for the S views of a batch's rows, each independently augmented. Since the views are
    independent given x, :math:`I(z_s; z_t) \le I(x; z_s)`: what is bounded is information about
    x that survives augmentation. With InfoNCE and the cosine of a shared embedding that is
    SimCLR's objective [1]_ but for the negative examples: here the other rows of the other view
    alone, there those of both.

    Parameters
    ----------
    information : CriticInformation
        The bound and its critic, which takes two representations.

    References
    ----------
    .. [1] T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A Simple Framework for Contrastive
       Learning of Visual Representations", ICML 2020.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.training import CriticInformation, ViewCriticInfoMax
    >>> objective = ViewCriticInfoMax(CriticInformation("infonce", 4, 4, "cosine", shared=True))
    >>> objective(Code(torch.randn(2, 8, 4)), torch.randn(8, 5), torch.zeros(8)).shape
    torch.Size([])
    """

    def __init__(self, information: CriticInformation) -> None:
        super().__init__()
        self.information = information

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Minus the bound, for encoder and critic alike."""
        pairs = permutations(code.z.unbind(), 2)
        return torch.stack([self.information.maximise(one, other) for one, other in pairs]).mean()
