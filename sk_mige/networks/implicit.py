"""Head with an implicit conditional: z is drawn by a network and has no known density."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from .heads import Code, Head

__all__ = ["ImplicitHead"]


class ImplicitHead(Head):
    r"""Head that maps noise through hidden units whose thresholds depend on x.

    .. math:: z = \mu + V \, \mathrm{ReLU}(a + U \varepsilon), \qquad (\mu, a) = h, \quad
              \varepsilon \sim N(0, I_K)

    The conditional q(z | x) can be skewed, bounded, correlated or nearly degenerate. Its density
    is unknown, so the gradient of H(z | x) is estimated from the scores of several draws.

    Parameters
    ----------
    n_components : int
        Width K of the representation and of the noise.
    n_draws : int, default=16
        Number S of draws of z for each input in training. The encoder is evaluated once.
    n_hidden : int, default=64
        Number of hidden units.

    Attributes
    ----------
    n_inputs : int
        Width of the encoder's output, K + n_hidden: first the means, then the thresholds.

    Notes
    -----
    In evaluation mode, z is the average over 64 draws of ε. They are the same for every input
    and are stored with the weights.

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
        self.n_components = n_components
        self.n_draws = n_draws
        self.n_inputs = n_components + n_hidden
        self.inject = nn.Linear(n_components, n_hidden, bias=False)
        self.spread = nn.Linear(n_hidden, n_components, bias=False)
        self.noise: Tensor
        self.register_buffer("noise", torch.randn(64, n_components))

    def forward(self, h: Tensor) -> Code:
        """Return draws of z, or their averages in evaluation mode."""
        if not self.training:
            return Code(self._mean(h))
        shape = (self.n_draws, h.shape[0], self.n_components)
        draws = self.draws(h, torch.randn(shape, dtype=h.dtype, device=h.device))
        return Code(draws[0] if self.n_draws == 1 else draws)

    def draws(self, h: Tensor, noise: Tensor) -> Tensor:
        """Return draws (S, M, K) of z for standard normal noise (S, M, K) or (S, 1, K)."""
        mean, threshold = self._split(h)
        draws: Tensor = mean + self.spread(relu(threshold + self.inject(noise)))
        return draws

    def _mean(self, h: Tensor) -> Tensor:
        mean, threshold = self._split(h)
        units = torch.zeros_like(threshold)
        for shift in self.inject(self.noise):  # a loop, because one batch would take much memory
            units = units + relu(threshold + shift)
        averages: Tensor = mean + self.spread(units / len(self.noise))
        return averages

    def _split(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return h[..., : self.n_components], h[..., self.n_components :]
