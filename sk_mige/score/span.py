"""Coordinates in the span of fewer samples than features, where everything small can happen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Span", "sample_span"]


@dataclass(frozen=True)
class Span:
    r"""Isometric coordinates of points relative to the span of n ≤ d centred samples.

    A point is described by its r coordinates in the span and by its distance from it: all that
    a radial kernel, a base and a shrunk covariance depend on. Problems with d in the thousands
    thus become problems with r + 1 ≤ n coordinates, at the price of one product each way.

    Attributes
    ----------
    origin : Tensor of shape (d,)
        Mean of the samples.
    axes : Tensor of shape (d, r)
        Orthonormal basis V of their span.
    floor : float
        Least distance from the span, tiny against the data's scale: it gives the direction away
        from the span a meaning for points inside.
    """

    origin: Tensor
    axes: Tensor
    floor: float

    def embed(self, x: Tensor) -> Tensor:
        """Coordinates (n, r + 1) of points (n, d), the last one the distance from the span."""
        centred = (x - self.origin).to(self.axes.dtype)
        inside = centred @ self.axes
        outside = centred.square().sum(1) - inside.square().sum(1)
        distance = (outside.clamp_min(0) + self.floor**2).sqrt()
        return torch.cat([inside, distance[:, None]], dim=1).to(torch.float64)

    def lift(self, x: Tensor, inner: Tensor, vectors: Tensor) -> Tensor:
        """Vectors (n, d) at x from their coordinates (n, r + 1) at ``inner = embed(x)``."""
        away = vectors[:, -1:] / inner[:, -1:]  # per unit of displacement from the span
        along = (vectors[:, :-1] - away * inner[:, :-1]).to(self.axes.dtype)
        centred = (x - self.origin).to(self.axes.dtype)
        return along @ self.axes.mT + away.to(self.axes.dtype) * centred

    def to(self, target: torch.dtype | torch.device) -> Span:
        """The same span in another dtype or on another device."""
        return Span(self.origin.to(target), self.axes.to(target), self.floor)


def sample_span(x: Tensor) -> tuple[Span, Tensor]:
    """Span of the rows of x (n ≤ d) and their coordinates (n, r + 1), the last one 0.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.

    Returns
    -------
    span : Span
        Axes in the dtype of x.
    coordinates : Tensor of shape (n, r + 1)
        float64, with the scatter of the samples diagonal.
    """
    n = x.shape[0]
    # The mean needs float64: in float32 a far-away mean would be lost with the first digits.
    origin = x.to(torch.float64).mean(0)
    centred = (x - origin).to(x.dtype)
    values, left = torch.linalg.eigh((centred @ centred.mT).to(torch.float64))
    kept = values > n * torch.finfo(x.dtype).eps * values[-1]
    roots = values[kept].sqrt()
    left = left[:, kept]
    axes = centred.mT @ (left / roots).to(x.dtype)
    coordinates = torch.cat([left * roots, left.new_zeros(n, 1)], dim=1)
    floor = 1e-7 * float((values.clamp_min(0).sum() / n).sqrt())
    return Span(origin, axes, floor), coordinates
