"""De Bruijn's integral over geometrically decreasing noise levels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["PathIntegral", "integrate_rates"]

# The relative Fisher information to a Gaussian of equal mean and covariance decreases like
# exp(-3 s). The integral from s = 2 to infinity is therefore negligible.
FIRST = 2.0
# Rates are smooth in log s, so quadrature with equal steps converges fast. With steps of log 3, the
# error is 0.2 % for the rate exp(-3 s), and for a rate of 1/s above a small s.
RATIO = 3.0
MIN_STEPS, MAX_STEPS = 6, 16  # down to s = 0.008 and to 1.4e-7
# The path ends when another step changes the value by less than 1 % plus 2 millinats.
SETTLED, SETTLED_NATS = 0.01, 0.002
# Below this s, the variance of the added noise is less than half a percent of the total.
FINE = 0.005


class PathIntegral(NamedTuple):
    """Integral along the path.

    Attributes
    ----------
    value : tensor
        Integral, in the shape of the rates.
    fine : tensor
        Part of the integral from s < 0.005.
    """

    value: Tensor
    fine: Tensor


def integrate_rates(rates: Callable[[float], Tensor]) -> PathIntegral:
    r"""Compute half the integral of a rate over the times s of the Ornstein-Uhlenbeck path.

    The trapezoidal rule in :math:`\log s` has the nodes :math:`s_k = 2 \cdot 3^{-k}`. The remainder
    is a geometric series, because the rate becomes constant as s decreases:

    .. math:: \tfrac12 \int_0^\infty r(s)\, ds = \tfrac12 \int s\, r(s)\; d \log s
              \approx \tfrac{\log 3}{2} \Big[\sum_{k \le K} s_k r(s_k)
              + \tfrac12 s_K r(s_K)\Big] ,

    where K increases until the value converges.

    Parameters
    ----------
    rates : callable
        Function ``rates(s)`` that returns a tensor of any shape. The mean of the integral
        determines K.

    Returns
    -------
    PathIntegral
        Integral, and the part of the integral from s < 0.005.
    """
    parts: list[Tensor] = []
    fine = 0
    before = math.inf
    while True:
        s = FIRST * RATIO ** -len(parts)
        parts.append(0.5 * math.log(RATIO) * s * rates(s))
        fine += s < FINE
        rest = parts[-1] / (RATIO - 1)
        value = torch.stack(parts).sum(0) + rest
        mean = float(value.mean())
        settled = abs(mean - before) < SETTLED * abs(mean) + SETTLED_NATS
        if len(parts) == MAX_STEPS or (settled and len(parts) >= MIN_STEPS):
            return PathIntegral(value, value - torch.stack(parts[: len(parts) - fine]).sum(0))
        before = mean
