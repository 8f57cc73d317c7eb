"""InfoMax between an inner layer and the representation: globally, or one location at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sk_mige.information import hidden_mutual_info_surrogate
from sk_mige.information.hidden import mean_hidden_mutual_info_surrogate
from sk_mige.networks import Code
from sk_mige.score import ScoreFunction

from .critics import CriticInformation

__all__ = ["FeatureCriticInfoMax", "FeatureInfoMax", "patches"]


def patches(features: Tensor) -> Tensor:
    """Values at each location of feature maps (M, C, ...), as (M, P, C).

    Parameters
    ----------
    features : tensor of shape (M, C, ...)
        Feature maps; the other dimensions are locations.

    Returns
    -------
    tensor of shape (M, P, C)
        P is the number of locations.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training import patches
    >>> patches(torch.zeros(5, 3, 4, 4)).shape
    torch.Size([5, 16, 3])
    """
    return features.flatten(2).mT


class FeatureInfoMax:
    r"""InfoMax between features h of an inner layer and z by MIGE, circumstance II.

    .. math:: -\nabla I(h; z) = -\nabla H(h) - \nabla H(z) + \nabla H(h, z)

    With ``local=True`` the average of :math:`I(h_p; z)` over the locations p of a feature map.

    Parameters
    ----------
    score : callable
        Score function of h, of z and of the pair.
    local : bool, default=False
        Whether h is one location of the feature map at a time.
    n_locations : int, default=4
        Locations drawn at random for each batch: the gradient of their average is an unbiased
        estimate of that of the average over all, and each costs two eigendecompositions.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.score import ssge
    >>> from sk_mige.training import FeatureInfoMax
    >>> h = torch.randn(50, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    >>> code = Code(h.mean((2, 3)).requires_grad_(), features=h)
    >>> FeatureInfoMax(ssge, local=True)(code, h.flatten(1), torch.zeros(50)).shape
    torch.Size([])
    """

    def __init__(self, score: ScoreFunction, *, local: bool = False, n_locations: int = 4) -> None:
        self.score = score
        self.local = local
        self.n_locations = n_locations

    def __call__(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Surrogate of −I(h; z), whose gradient is MIGE's; its value is not an information."""
        assert code.features is not None
        if not self.local:
            return -hidden_mutual_info_surrogate(code.features, code.z, score=self.score)
        here = patches(code.features)
        drawn = torch.randperm(here.shape[1], device="cpu")[: self.n_locations].tolist()
        parts = torch.stack([here[:, p] for p in drawn])
        return -mean_hidden_mutual_info_surrogate(parts, code.z, score=self.score)


class FeatureCriticInfoMax(nn.Module):
    r"""Deep InfoMax: a bound of I(h; z) by a critic, for features h of an inner layer.

    DIM(G) takes the whole feature map as h, DIM(L) each location of it by the same critic, and
    the average of their bounds. Every pair of a batch that does not belong together is a negative
    example; for DIM(L) with InfoNCE these are, for each z, the locations of all other images.

    Parameters
    ----------
    information : CriticInformation
        The bound and its critic, which takes h (for ``local=True`` one location of it) and z.
    local : bool, default=False
        DIM(L) instead of DIM(G).

    References
    ----------
    R. D. Hjelm et al., "Learning deep representations by mutual information estimation and
    maximization", ICLR 2019.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.training import CriticInformation, FeatureCriticInfoMax
    >>> code = Code(torch.randn(8, 2), features=torch.randn(8, 3, 4, 4))
    >>> objective = FeatureCriticInfoMax(CriticInformation("jsd", 3, 2), local=True)
    >>> objective(code, torch.randn(8, 5), torch.zeros(8)).shape
    torch.Size([])
    """

    def __init__(self, information: CriticInformation, *, local: bool = False) -> None:
        super().__init__()
        self.information = information
        self.local = local

    def forward(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        """Minus the bound, for encoder and critic alike."""
        assert code.features is not None
        if not self.local:
            return self.information.maximise(code.features, code.z)
        here = patches(code.features)
        m, locations, width = here.shape
        scores = self.information.scores(here.reshape(-1, width), code.z).view(m, locations, m)
        if self.information.name == "infonce":
            return -_local_infonce(scores)
        bounds = [self.information.estimate(scores[:, p]).objective for p in range(locations)]
        return -torch.stack(bounds).mean()


def _local_infonce(scores: Tensor) -> Tensor:
    """InfoNCE for each z and each location of its image, against all of the other images."""
    m, locations, _ = scores.shape
    by_z = scores.permute(2, 0, 1)  # z_j, image i, location p
    own = torch.eye(m, dtype=torch.bool, device=scores.device)
    positive = by_z[own]
    others = by_z.masked_fill(own[:, :, None], -torch.inf).flatten(1).logsumexp(1, keepdim=True)
    n_candidates = 1 + (m - 1) * locations
    return (positive - torch.logaddexp(positive, others)).mean() + math.log(n_candidates)
