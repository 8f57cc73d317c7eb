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
    rows : Tensor of shape (n, d)
        Samples less their mean, R.
    mixing : Tensor of shape (n, r)
        M, which makes :math:`V = R^\top M` an orthonormal basis of the span. V itself, a product
        of size n² d, is never formed.
    floor : float
        Least distance from the span, tiny against the data's scale: it gives the direction away
        from the span a meaning for points inside.
    """

    origin: Tensor
    rows: Tensor
    mixing: Tensor
    floor: float

    def embed(self, x: Tensor) -> Tensor:
        """Coordinates (n, r + 1) of points (n, d), the last one the distance from the span."""
        moved = centred(x, self.origin).to(self.rows.dtype)
        inside = (moved @ self.rows.mT).to(self.mixing.dtype) @ self.mixing
        outside = moved.square().sum(1).to(inside.dtype) - inside.square().sum(1)
        distance = (outside.clamp_min(0) + self.floor**2).sqrt()
        return torch.cat([inside, distance[:, None]], dim=1).to(torch.float64)

    def lift(self, x: Tensor, inner: Tensor, vectors: Tensor) -> Tensor:
        """Vectors (n, d) at x from their coordinates (n, r + 1) at ``inner = embed(x)``."""
        weights, away = self._weights(inner, vectors)
        moved = centred(x, self.origin).to(self.rows.dtype)
        return weights.to(self.rows.dtype) @ self.rows + away.to(self.rows.dtype) * moved

    def lift_samples(self, inner: Tensor, vectors: Tensor) -> Tensor:
        """Vectors (n, d) at the samples themselves: one product."""
        weights, away = self._weights(inner, vectors)
        weights = weights + torch.diag(away[:, 0])
        return weights.to(self.rows.dtype) @ self.rows

    def positions(self, inner: Tensor) -> Tensor:
        """Points (n, d) of the span from their coordinates (n, r + 1)."""
        weights = inner[:, :-1].to(self.mixing.dtype) @ self.mixing.mT
        return weights.to(self.rows.dtype) @ self.rows + self.origin

    def _weights(self, inner: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of the rows of R that a vector adds up from, and of its displacement."""
        away = vectors[:, -1:] / inner[:, -1:]  # per unit of displacement from the span
        along = (vectors[:, :-1] - away * inner[:, :-1]).to(self.mixing.dtype)
        return along @ self.mixing.mT, away

    def to(self, target: torch.dtype | torch.device) -> Span:
        """The same span in another dtype or on another device."""
        return Span(
            self.origin.to(target), self.rows.to(target), self.mixing.to(target), self.floor
        )


def centred(x: Tensor, origin: Tensor) -> Tensor:
    """Displacements from an origin in float64, in the dtype of x and as exact as it allows."""
    coarse = origin.to(x.dtype)
    moved = x - coarse
    # What float32 loses of a far-away mean, without a copy of all rows in float64.
    return moved if x.dtype == origin.dtype else moved.sub_((origin - coarse).to(x.dtype))


def sample_span(x: Tensor) -> tuple[Span, Tensor]:
    """Span of the rows of x (n ≤ d) and their coordinates (n, r + 1), the last one 0.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.

    Returns
    -------
    span : Span
        Rows in the dtype of x.
    coordinates : Tensor of shape (n, r + 1)
        float64, with the scatter of the samples diagonal.
    """
    n = x.shape[0]
    # The mean needs float64: in float32 a far-away mean would be lost with the first digits.
    origin = x.mean(0, dtype=torch.float64)
    rows = centred(x, origin)
    values, left = torch.linalg.eigh((rows @ rows.mT).to(torch.float64))
    kept = values > n * torch.finfo(x.dtype).eps * values[-1]
    roots = values[kept].sqrt()
    left = left[:, kept]
    coordinates = torch.cat([left * roots, left.new_zeros(n, 1)], dim=1)
    floor = 1e-7 * float((values.clamp_min(0).sum() / n).sqrt())
    return Span(origin, rows, left / roots, floor), coordinates
