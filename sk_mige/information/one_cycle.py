"""Gradient descent of small networks with a one-cycle schedule."""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["OneCycleDescent"]

# Fraction of the steps with a rising learning rate, and quotients of the largest rate and the first
# and last rates.
RISING, FIRST, LAST = 0.15, 25.0, 2.5e5
# Largest and smallest decay of the mean gradient, and decay of the mean squared gradient.
DECAYS, SQUARE_DECAY = (0.95, 0.85), 0.999


class OneCycleDescent:
    """AdamW [1]_ with the one-cycle schedule [2]_, on one vector of all parameters.

    The learning rate increases and then decreases along half-cosines. The decay of the mean
    gradient decreases while the learning rate increases. For small networks, one vector is faster
    than the optimizers of torch.

    Parameters
    ----------
    network : nn.Module
        Network whose parameters are updated.
    lr : float
        Largest learning rate.
    n_steps : int
        Total number of steps.
    weight_decay : float
        Rate of the decay of all parameters, multiplied by the learning rate.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    .. [2] L. N. Smith, N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using
       Large Learning Rates", arXiv:1708.07120.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.one_cycle import OneCycleDescent
    >>> network = torch.nn.Linear(1, 1)
    >>> descent = OneCycleDescent(network, 0.1, 200, weight_decay=0.0)
    >>> for _ in range(200):
    ...     (network(torch.ones(1, 1)) - 3).square().sum().backward()
    ...     descent.step()
    >>> bool(abs(network(torch.ones(1, 1)) - 3) < 0.01)
    True
    """

    def __init__(self, network: nn.Module, lr: float, n_steps: int, weight_decay: float) -> None:
        parameters = list(network.parameters())
        self.lr, self.n_steps, self.weight_decay = lr, n_steps, weight_decay
        self.n_done = 0
        self.values = torch.cat([p.detach().flatten() for p in parameters])
        self.slopes, self.mean, self.square = (torch.zeros_like(self.values) for _ in range(3))
        sizes = [p.numel() for p in parameters]
        parts = (torch.split(z, sizes) for z in (self.values, self.slopes))
        for p, value, slope in zip(parameters, *parts, strict=True):
            p.data, p.grad = value.view_as(p), slope.view_as(p)

    def step(self) -> None:
        """Update the parameters by the accumulated gradients, and set the gradients to zero."""
        lr, decay = self._schedule()
        self.n_done += 1
        self.mean.lerp_(self.slopes, 1 - decay)
        self.square.lerp_(self.slopes.square(), 1 - SQUARE_DECAY)
        scale = (self.square / (1 - SQUARE_DECAY**self.n_done)).sqrt_().add_(1e-8)
        self.values.mul_(1 - lr * self.weight_decay)
        self.values.addcdiv_(self.mean, scale, value=-lr / (1 - decay**self.n_done))
        self.slopes.zero_()

    def _schedule(self) -> tuple[float, float]:
        """Return the learning rate and the decay of the mean gradient."""
        peak, end = RISING * self.n_steps - 1, self.n_steps - 1
        rising = self.n_done < peak
        low = self.lr / (FIRST if rising else LAST)
        share = self.n_done / peak if rising else (end - self.n_done) / (end - peak)
        height = 0.5 - 0.5 * math.cos(math.pi * share)
        return low + height * (self.lr - low), DECAYS[0] + height * (DECAYS[1] - DECAYS[0])
