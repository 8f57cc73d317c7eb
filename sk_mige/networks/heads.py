"""Heads: how an encoder's last layer becomes the representation z, with or without noise."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

__all__ = ["Code", "DeterministicHead", "GaussianHead", "StandardizingHead"]


class Code(NamedTuple):
    """A representation and what is known of how it was drawn.

    Attributes
    ----------
    z : tensor of shape (M, K) or (S, M, K)
        The representation: in training one or S reparameterised draws for each input, else its
        mean.
    conditional : tuple (mean, scale) of tensors of shape (M, K), or None
        The Gaussian q(z | x) that z was drawn from; None for a deterministic encoder, and for an
        implicit one, whose density is not known.
    prediction : tensor of shape (M, n_targets) or (S, M, n_targets), or None
        What the decoder makes of z; None where there is no decoder.
    features : tensor of shape (M, ...), or None
        Output of an inner layer of the encoder, where an objective asks for one.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import Code
    >>> Code(torch.zeros(5, 2)).conditional is None
    True
    """

    z: Tensor
    conditional: tuple[Tensor, Tensor] | None = None
    prediction: Tensor | None = None
    features: Tensor | None = None


class DeterministicHead(nn.Module):
    """The encoder's output is the representation: z = h.

    Parameters
    ----------
    n_components : int
        Width K of the representation.

    Attributes
    ----------
    n_inputs : int
        Width that the encoder's output must have: K.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import DeterministicHead
    >>> DeterministicHead(2)(torch.ones(1, 2)).z
    tensor([[1., 1.]])
    """

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.n_components = n_components
        self.n_inputs = n_components

    def forward(self, h: Tensor) -> Code:
        """Representations of the encoder's outputs h, shape (M, K)."""
        return Code(h)

    def draws(self, h: Tensor, noise: Tensor) -> Tensor:
        """The one value (1, M, K) that z has, whatever the noise."""
        return self(h).z[None]  # type: ignore[no-any-return]


class StandardizingHead(DeterministicHead):
    r"""Every component at mean 0 and variance 1: :math:`z_k = (h_k - \mu_k) / \sigma_k`.

    The statistics are the batch's in training and running averages afterwards, which is a batch
    norm without weights. Mutual information does not depend on the units of z's components, so
    nothing is lost; but an *estimate* of the entropy rewards growth, and a kernel with one
    bandwidth sees only the components of largest variance. Fixing the units stops both.

    Afterwards z may be given any other units: in evaluation mode it is multiplied by
    ``alignment``, the identity until one is set.

    Parameters
    ----------
    n_components : int
        Width K of the representation.

    Attributes
    ----------
    n_inputs : int
        Width that the encoder's output must have: K.
    alignment : tensor of shape (K, K)
        Invertible map of z in evaluation mode; a buffer.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import StandardizingHead
    >>> StandardizingHead(1)(torch.tensor([[1.0], [3.0]])).z.round(decimals=3)
    tensor([[-1.],
            [ 1.]])
    """

    def __init__(self, n_components: int) -> None:
        super().__init__(n_components)
        self.norm = nn.BatchNorm1d(n_components, affine=False)
        self.alignment: Tensor
        self.register_buffer("alignment", torch.eye(n_components))

    def forward(self, h: Tensor) -> Code:
        """Standardised, in evaluation aligned, representations of the encoder's outputs (M, K)."""
        z: Tensor = self.norm(h)
        return Code(z if self.training else z @ self.alignment)


class GaussianHead(nn.Module):
    r"""A Gaussian with independent components and a learned scale.

    .. math:: z = \mu + \sigma \circ \varepsilon, \qquad (\mu, \rho) = h, \quad
              \sigma = \mathrm{softplus}(\rho - 5), \quad \varepsilon \sim N(0, I)

    Parameters
    ----------
    n_components : int
        Width K of the representation.
    n_draws : int, default=1
        Draws S of z for each input in training; z is (M, K) for one, (S, M, K) for more.

    Attributes
    ----------
    n_inputs : int
        Width that the encoder's output must have: 2 K, means first.

    Notes
    -----
    In evaluation mode z is the mean. σ starts near softplus(−5) = 0.0067, almost without noise,
    and is kept above 1e-6, where float32 still tells z from its mean.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import GaussianHead
    >>> code = GaussianHead(3).eval()(torch.zeros(2, 6))
    >>> code.z.shape, round(float(code.conditional[1][0, 0]), 4)
    (torch.Size([2, 3]), 0.0067)
    """

    def __init__(self, n_components: int, n_draws: int = 1) -> None:
        super().__init__()
        self.n_components = n_components
        self.n_draws = n_draws
        self.n_inputs = 2 * n_components

    def forward(self, h: Tensor) -> Code:
        """Draws of z, or their means in evaluation mode, with the Gaussian they come from."""
        mean, scale = self.parts(h)
        if not self.training:
            return Code(mean, (mean, scale))
        shape = mean.shape if self.n_draws == 1 else (self.n_draws, *mean.shape)
        noise = torch.randn(shape, dtype=mean.dtype, device=mean.device)
        return Code(mean + scale * noise, (mean, scale))

    def draws(self, h: Tensor, noise: Tensor) -> Tensor:
        """Draws (S, M, K) of z from standard normal noise (S, M, K) or (S, 1, K)."""
        mean, scale = self.parts(h)
        return mean + scale * noise

    @staticmethod
    def parts(h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and scale (M, K)."""
        mean, rho = h.chunk(2, dim=-1)
        return mean, softplus(rho - 5).clamp_min(1e-6)
