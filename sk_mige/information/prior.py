"""Adversarial matching of a representation to a prior, as in Deep InfoMax."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from sk_mige._sizes import as_size
from sk_mige.information.critics import relu_network


class PriorMatching(nn.Module):
    r"""Adversary that distinguishes representations from samples of a uniform distribution.

    Each coordinate of the prior has the distribution U(0, 1), so the encoder must end in a sigmoid.
    Let D be the discriminator's logit, u a sample of the prior, and sp(t) = log(1 + e^t). The
    discriminator minimises :math:`\mathcal{L}_D`. The encoder adds a multiple of
    :math:`\mathcal{L}_E` to its loss.

    .. math:: \mathcal{L}_D = \mathbb{E}_u\,\mathrm{sp}(-D(u))
                  + \mathbb{E}_z\,\mathrm{sp}(D(z)), \qquad
              \mathcal{L}_E = \mathbb{E}_z\,\mathrm{sp}(-D(z)) .

    Parameters
    ----------
    n_features : int
        Dimension of z.
    hidden : sequence of int, default=(1000, 200)
        Widths of the discriminator's ReLU layers. Deep InfoMax uses the default widths.

    References
    ----------
    R. D. Hjelm et al., "Learning deep representations by mutual information estimation and
    maximization", ICLR 2019, Eq. 7.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import PriorMatching
    >>> matching = PriorMatching(2)
    >>> z = torch.rand(16, 2, requires_grad=True)
    >>> discriminator_loss, encoder_loss = matching(z)
    """

    def __init__(self, n_features: int, hidden: Sequence[int] = (1000, 200)) -> None:
        super().__init__()
        self.discriminator = relu_network(as_size("n_features", n_features), hidden, 1)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return the losses of the discriminator (z fixed) and of the encoder (D fixed)."""
        flat = z.flatten(1)
        target = torch.rand(flat.shape, generator=generator, dtype=flat.dtype, device=flat.device)
        of_prior, of_z = self.discriminator(target), self.discriminator(flat.detach())
        loss = softplus(-of_prior).mean() + softplus(of_z).mean()
        fixed = {
            name: part.detach().clone() for name, part in self.discriminator.named_parameters()
        }
        logits = torch.func.functional_call(self.discriminator, fixed, (flat,))
        return loss, softplus(-logits).mean()
