"""The variational bound of a bottleneck's information."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from sk_mige._sizes import as_size
from sk_mige.networks import Code

from .base import InformationTerm


class VariationalTerm(InformationTerm):
    r"""Upper bound of I(x; z) from a model r(z) of the marginal distribution of z.

    .. math:: I(x; z) \le \mathbb{E}_x D\big(q(z \mid x) \,\|\, r(z)\big)

    D is the Kullback-Leibler divergence, as in the deep variational information bottleneck. The
    bound is tight if r is the marginal q(z). The distributions q(z | x) and r are Gaussians with
    independent components, so the divergence has a closed form.

    Parameters
    ----------
    n_components : int
        Dimension of z.
    learned : bool, default=False
        Whether the mean and scale of r are learned. If False, the mean is 0 and the scale is 1.

    References
    ----------
    A. A. Alemi, I. Fischer, J. V. Dillon, K. Murphy, "Deep variational information bottleneck",
    ICLR 2017.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> from sk_mige.objectives import VariationalTerm
    >>> mean, scale = torch.ones(5, 2), torch.ones(5, 2)
    >>> VariationalTerm(2).upper_bound(Code(mean, (mean, scale)))
    tensor(1.)
    """

    is_upper_bound = True

    def __init__(self, n_components: int, *, learned: bool = False) -> None:
        super().__init__()
        n_components = as_size("n_components", n_components)
        self.center = nn.Parameter(torch.zeros(n_components)) if learned else None
        self.rho = nn.Parameter(torch.full((n_components,), 0.5413)) if learned else None

    def forward(self, code: Code, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, None]:
        """Return the mean divergence over rows in nats, and None because r has no separate loss."""
        assert code.conditional is not None
        mean, scale = code.conditional
        if self.center is not None and self.rho is not None:
            width = softplus(self.rho) + 1e-4
            mean, scale = (mean - self.center) / width, scale / width
        return (0.5 * (mean.square() + scale.square() - 1) - scale.log()).sum(-1).mean(), None
