"""Head that depends on the weight β of a bottleneck."""

from __future__ import annotations

import math
from numbers import Real

import torch
from torch import Tensor, nn

from .heads import Code, Head

# Multiples of GOLDEN_STEP modulo 1 are spread evenly over the unit interval.
GOLDEN_STEP = (5**0.5 - 1) / 2
N_HIDDEN = 32


class ConditionedHead(Head):
    r"""Head whose inputs are scaled and shifted by functions of a bottleneck's weight β.

    .. math:: h' = (1 + a(t)) \circ h + b(t), \qquad
              t = 2\, \frac{\log\beta - \log\beta_0}{\log\beta_1 - \log\beta_0} - 1

    A network with one hidden layer computes a and b, which are initially 0. The encoder does not
    depend on β, so any encoder can be used. For linear-Gaussian data, scales and shifts are
    sufficient, because the optimal encoders for all β have the same directions [1]_.

    In training, each batch has one β. The position t increases by :math:`\sqrt5 - 1` modulo 2 from
    batch to batch, and covers the interval from −1 to 1 evenly. The sequence of β is not random, so
    all processes that train together use the same β. In evaluation mode, β is fixed.

    Parameters
    ----------
    head : Head
        Head that receives h′.
    low, high : float
        Limits :math:`0 < \beta_0 < \beta_1` of the range of β.
    beta : float, default=None
        Fixed weight β. If ``beta`` is None, β varies in training, and is the geometric mean of
        ``low`` and ``high`` in evaluation mode.

    Attributes
    ----------
    position : tensor of shape ()
        Position (t + 1) / 2 of the next β, between 0 and 1, stored as a buffer.

    References
    ----------
    .. [1] G. Chechik, A. Globerson, N. Tishby, Y. Weiss, "Information bottleneck for Gaussian
       variables", Journal of Machine Learning Research 6, 2005.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import ConditionedHead, GaussianHead
    >>> head = ConditionedHead(GaussianHead(3), 1e-4, 1.0)
    >>> round(float(head(torch.zeros(2, 6)).beta), 4)  # the first β is the geometric mean
    0.01
    """

    def __init__(self, head: Head, low: float, high: float, beta: float | None = None) -> None:
        if not isinstance(head, Head):
            raise TypeError(f"head must be a sk_mige.networks.Head, got {head!r:.80}")
        limits = (low, high) if beta is None else (low, high, beta)
        real = all(isinstance(limit, Real) for limit in limits)
        if not real or not 0 < low < high < math.inf or not (beta is None or low <= beta <= high):
            raise ValueError(
                f"low={low!r}, high={high!r} and beta={beta!r} must be numbers with "
                "0 < low < high and low <= beta <= high, or beta=None"
            )
        super().__init__()
        self.head = head
        self.n_components, self.n_inputs = head.n_components, head.n_inputs
        self.stochastic, self.closed_form = head.stochastic, head.closed_form
        self.inputs = head.inputs
        self.center = (math.log(low) + math.log(high)) / 2
        self.half_width = (math.log(high) - math.log(low)) / 2
        self.fixed = 0.0 if beta is None else (math.log(beta) - self.center) / self.half_width
        self.varies = beta is None
        last = nn.Linear(N_HIDDEN, 2 * head.n_inputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.modulation = nn.Sequential(nn.Linear(1, N_HIDDEN), nn.Tanh(), last)
        self.position: Tensor
        self.register_buffer("position", torch.tensor(0.5, dtype=torch.float32))

    def forward(self, h: Tensor) -> Code:
        """Return the code at the next β if β varies in training, else at the fixed β."""
        if not (self.training and self.varies):
            return self.head(self._modulated(h, self._fixed()))
        t = 2 * self.position - 1
        self.position.add_(GOLDEN_STEP).remainder_(1)
        code = self.head(self._modulated(h, t))
        return code._replace(beta=torch.exp(self.center + self.half_width * t))

    def draws(self, h: Tensor, noise: Tensor) -> Tensor:
        """Return draws (S, M, K) of z at the fixed β, from standard normal noise."""
        return self.head.draws(self._modulated(h, self._fixed()), noise)

    def _fixed(self) -> Tensor:
        return torch.full_like(self.position, self.fixed)

    def _modulated(self, h: Tensor, t: Tensor) -> Tensor:
        self.check_width(h)
        gain, shift = self.modulation(t[None]).chunk(2)
        return torch.addcmul(shift, 1 + gain, h)
