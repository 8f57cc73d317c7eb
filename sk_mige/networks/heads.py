"""Heads: modules that map an encoder's output to the representation z."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from sk_mige._sizes import as_size


class Code(NamedTuple):
    """Output of a network: representation z, distribution of z, prediction and features.

    Attributes
    ----------
    z : tensor of shape (M, K) or (S, M, K)
        Representation. In training, S is the number of draws of a stochastic head, or the number of
        views. In evaluation mode, z has the shape (M, K), and stochastic heads return the mean of
        q(z | x).
    conditional : tuple (mean, scale) of tensors of shape (M, K), or None
        Gaussian q(z | x) from which z was drawn. The value is None for a deterministic head, and
        for an implicit head, whose density is unknown.
    prediction : tensor of shape (M, n_targets) or (S, M, n_targets), or None
        Output of the decoder at z, or None without a decoder.
    features : tensor of shape (M, ...), or None
        Output of an inner layer of the encoder, or None if the objective uses no inner layer.
    beta : tensor of shape (), or None
        Weight β of a training batch, if a :class:`ConditionedHead` varies β, else None.

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
    beta: Tensor | None = None


class Head(nn.Module):
    """Base class of heads. Architectures and objectives use the attributes of a head.

    Attributes
    ----------
    n_components : int
        Width K of the representation.
    n_inputs : int
        Width of the encoder's output.
    stochastic : bool
        Whether z is random given x.
    closed_form : bool
        Whether q(z | x) is a Gaussian whose mean and scale are in the code.
    inputs : str
        Description of the encoder's output in error messages.

    Examples
    --------
    >>> from sk_mige.networks import Code, Head
    >>> class Positive(Head):
    ...     def __init__(self, n_components):
    ...         super().__init__()
    ...         self.n_components = self.n_inputs = n_components
    ...     def forward(self, h):
    ...         return Code(h.exp())
    >>> Positive.build(3, n_draws=1).n_inputs
    3
    """

    n_components: int
    n_inputs: int
    stochastic: bool = False
    closed_form: bool = False
    inputs: str = ""

    def __init__(self) -> None:
        super().__init__()

    @classmethod
    def build(cls, n_components: int, n_draws: int) -> Head:
        """Return a head with ``n_draws`` draws of z for each input in training."""
        make: Any = cls  # subclasses take these arguments
        return make(n_components, n_draws) if cls.stochastic else make(n_components)

    def draws(self, h: Tensor, noise: Tensor) -> Tensor:
        """Return draws (S, M, K) of z from standard normal noise (S, M, K) or (S, 1, K).

        A deterministic head returns z as a tensor of shape (1, M, K).
        """
        if self.stochastic:
            raise NotImplementedError(f"{type(self).__name__} is stochastic and must define draws")
        return self(h).z[None]

    def check_width(self, h: Tensor) -> None:
        """Raise ValueError unless the encoder's output h has the width ``n_inputs``."""
        if h.shape[-1] != self.n_inputs:
            meaning = f" ({self.inputs})" if self.inputs else ""
            raise ValueError(
                f"{type(self).__name__} with n_components={self.n_components} needs encoder "
                f"outputs of width {self.n_inputs}{meaning}; got the shape {tuple(h.shape)}"
            )


class DeterministicHead(Head):
    """Head whose representation z is the encoder's output.

    Parameters
    ----------
    n_components : int
        Width K of the representation.

    Attributes
    ----------
    n_inputs : int
        Required width K of the encoder's output.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import DeterministicHead
    >>> DeterministicHead(2)(torch.ones(1, 2)).z
    tensor([[1., 1.]])
    """

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.n_components = self.n_inputs = as_size("n_components", n_components)

    def forward(self, h: Tensor) -> Code:
        """Return the code z = h, for encoder outputs h of shape (M, K)."""
        self.check_width(h)
        return Code(h)


class StandardizingHead(DeterministicHead):
    r"""Head that standardises each component, :math:`z_k = (h_k - \mu_k) / \sigma_k`.

    In training, μ and σ are computed from the batch. In evaluation mode, μ and σ are running
    averages, as in batch normalisation without weights. Mutual information does not depend on the
    scale of z, but the gradient estimated by MIGE increases the scale. A kernel with a single
    bandwidth is mainly sensitive to the components with the largest variance. Standardisation fixes
    the scale of each component.

    In evaluation mode, z is multiplied by ``alignment``, which is initially the identity.

    Parameters
    ----------
    n_components : int
        Width K of the representation.

    Attributes
    ----------
    n_inputs : int
        Required width K of the encoder's output.
    alignment : tensor of shape (K, K)
        Invertible linear map of z in evaluation mode, stored as a buffer.

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
        """Return standardised representations (M, K), aligned in evaluation mode."""
        self.check_width(h)
        z: Tensor = self.norm(h)
        return Code(z if self.training else z @ self.alignment)


class GaussianHead(Head):
    r"""Head that draws z from a Gaussian with independent components and learned parameters.

    .. math:: z = \mu + \sigma \circ \varepsilon, \qquad (\mu, \rho) = h, \quad
              \sigma = \mathrm{softplus}(\rho - 5), \quad \varepsilon \sim N(0, I)

    Parameters
    ----------
    n_components : int
        Width K of the representation.
    n_draws : int, default=1
        Number S of draws of z for each input in training. The shape of z is (M, K) for one draw
        and (S, M, K) for several draws.

    Attributes
    ----------
    n_inputs : int
        Required width 2 K of the encoder's output: K means, then K values for the scales.

    Notes
    -----
    In evaluation mode, z is the mean μ. The scale σ is initially near softplus(−5) = 0.0067. The
    scale is at least 1e-6.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import GaussianHead
    >>> code = GaussianHead(3).eval()(torch.zeros(2, 6))
    >>> code.z.shape, round(float(code.conditional[1][0, 0]), 4)
    (torch.Size([2, 3]), 0.0067)
    """

    stochastic = True
    closed_form = True
    inputs = "means and scales of a Gaussian head"

    def __init__(self, n_components: int, n_draws: int = 1) -> None:
        super().__init__()
        self.n_components = as_size("n_components", n_components)
        self.n_draws = as_size("n_draws", n_draws)
        self.n_inputs = 2 * self.n_components

    def forward(self, h: Tensor) -> Code:
        """Return z with its mean and scale: draws of z in training, the mean in evaluation mode."""
        mean, scale = self.parts(h)
        if not self.training:
            return Code(mean, (mean, scale))
        shape = mean.shape if self.n_draws == 1 else (self.n_draws, *mean.shape)
        noise = torch.randn(shape, dtype=mean.dtype, device=mean.device)
        return Code(mean + scale * noise, (mean, scale))

    def draws(self, h: Tensor, noise: Tensor) -> Tensor:
        """Return draws (S, M, K) of z from standard normal noise (S, M, K) or (S, 1, K)."""
        mean, scale = self.parts(h)
        return mean + scale * noise

    def parts(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and scale (M, K)."""
        self.check_width(h)
        mean, rho = h.chunk(2, dim=-1)
        return mean, softplus(rho - 5).clamp_min(1e-6)


class ImplicitHead(Head):
    r"""Head that maps noise through hidden units whose thresholds depend on x.

    .. math:: z = \mu + V \, \mathrm{ReLU}(a + U \varepsilon), \qquad (\mu, a) = h, \quad
              \varepsilon \sim N(0, I_K)

    The conditional distribution q(z | x) can be skewed, bounded, correlated or nearly degenerate.
    The density q(z | x) is unknown, so the gradient of H(z | x) is estimated from the scores of
    several draws.

    Parameters
    ----------
    n_components : int
        Width K of the representation and of the noise.
    n_draws : int, default=16
        Number S of draws of z for each input in training. The encoder is evaluated once for all
        draws.
    n_hidden : int, default=64
        Number of hidden units.

    Attributes
    ----------
    n_inputs : int
        Required width K + n_hidden of the encoder's output: K means, then the thresholds.

    Notes
    -----
    In evaluation mode, z is the average over 64 draws of ε. The 64 draws are the same for every
    input and are stored with the weights.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import ImplicitHead
    >>> head = ImplicitHead(3, n_draws=5)
    >>> head(torch.zeros(2, head.n_inputs)).z.shape, head.eval()(torch.zeros(2, 67)).z.shape
    (torch.Size([5, 2, 3]), torch.Size([2, 3]))
    """

    stochastic = True
    inputs = "means, and thresholds of an implicit head's hidden units"

    def __init__(self, n_components: int, n_draws: int = 16, n_hidden: int = 64) -> None:
        super().__init__()
        self.n_components = as_size("n_components", n_components)
        self.n_draws = as_size("n_draws", n_draws)
        self.n_inputs = self.n_components + as_size("n_hidden", n_hidden)
        self.inject = nn.Linear(n_components, n_hidden, bias=False)
        self.spread = nn.Linear(n_hidden, n_components, bias=False)
        self.noise: Tensor
        self.register_buffer("noise", torch.randn(64, n_components))

    def forward(self, h: Tensor) -> Code:
        """Return draws of z in training, and the average over draws in evaluation mode."""
        if self.training:
            shape = (self.n_draws, h.shape[0], self.n_components)
            draws = self.draws(h, torch.randn(shape, dtype=h.dtype, device=h.device))
            return Code(draws[0] if self.n_draws == 1 else draws)
        mean, threshold = self._split(h)
        units = torch.zeros_like(threshold)
        for shift in self.inject(self.noise):  # all draws at once would need much memory
            units = units + relu(threshold + shift)
        return Code(mean + self.spread(units / len(self.noise)))

    def draws(self, h: Tensor, noise: Tensor) -> Tensor:
        """Return draws (S, M, K) of z for standard normal noise (S, M, K) or (S, 1, K)."""
        mean, threshold = self._split(h)
        return mean + self.spread(relu(threshold + self.inject(noise)))

    def _split(self, h: Tensor) -> tuple[Tensor, Tensor]:
        self.check_width(h)
        return h[..., : self.n_components], h[..., self.n_components :]
