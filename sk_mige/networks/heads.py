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
    z : tensor of shape (M, K)
        The representation: in training one reparameterised draw for each input, else its mean.
    conditional : tuple (mean, scale) of tensors of shape (M, K), or None
        The Gaussian q(z | x) that z was drawn from; None for a deterministic encoder.
    prediction : tensor of shape (M, n_targets), or None
        What the decoder makes of z; None where there is no decoder.

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

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.n_components = n_components
        self.n_inputs = 2 * n_components

    def forward(self, h: Tensor) -> Code:
        """Draws of z, or their means in evaluation mode, with the Gaussian they come from."""
        mean, rho = h.chunk(2, dim=-1)
        scale = softplus(rho - 5).clamp_min(1e-6)
        z = mean + scale * torch.randn_like(mean) if self.training else mean
        return Code(z, (mean, scale))
