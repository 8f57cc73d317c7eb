"""Subspaces of samples: the span of n ≤ d samples, and the directions in which samples vary."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .outliers import usual_rows
from .precision import TensorParts
from .spectrum import exceeds
from .units import BLOCK_ELEMENTS, ROUNDINGS, FeatureUnits, feature_units

# Smallest eigenvalue of the correlations, relative to the largest, that counts as nonzero.
RESOLUTION = 1e-13


@dataclass(frozen=True)
class SampleSubspace(TensorParts):
    r"""Isometric coordinates of points relative to the span of n ≤ d centred samples.

    A point has r coordinates in the span, and the distance from the span is a further coordinate. A
    radial kernel, a base and a shrunk covariance depend only on the r + 1 ≤ n coordinates. One
    matrix product maps thousands of features to the coordinates, and a second product maps back.

    Attributes
    ----------
    origin : Tensor of shape (d,)
        Mean of the samples.
    rows : Tensor of shape (n, d)
        Centred samples R.
    mixing : Tensor of shape (n, r)
        Matrix M for which :math:`V = R^\top M` is an orthonormal basis of the span. The matrix V is
        not stored, because computing V takes n² d operations.
    floor : float
        Lower bound on the distance from the span, small relative to the scale of the data. The
        bound defines the direction away from the span for points inside the span.
    """

    origin: Tensor
    rows: Tensor
    mixing: Tensor
    floor: float

    def embed(self, x: Tensor) -> Tensor:
        """Return coordinates (n, r + 1) of points (n, d), with the distance from the span last."""
        moved = centred(x, self.origin).to(self.rows.dtype)
        inside = (moved @ self.rows.mT).to(self.mixing.dtype) @ self.mixing
        outside = moved.square().sum(1).to(inside.dtype) - inside.square().sum(1)
        distance = (outside.clamp_min(0) + self.floor**2).sqrt()
        return torch.cat([inside, distance[:, None]], dim=1).to(torch.float64)

    def lift(self, x: Tensor, inner: Tensor, vectors: Tensor) -> Tensor:
        """Map vectors at x from coordinates (n, r + 1) to (n, d). ``inner`` is ``embed(x)``."""
        weights, away = self._weights(inner, vectors)
        moved = centred(x, self.origin).to(self.rows.dtype)
        return weights.to(self.rows.dtype) @ self.rows + away.to(self.rows.dtype) * moved

    def lift_samples(self, inner: Tensor, vectors: Tensor) -> Tensor:
        """Return vectors (n, d) at the samples from their coordinates, by one matrix product."""
        weights, away = self._weights(inner, vectors)
        weights.diagonal().add_(away[:, 0])
        return weights.to(self.rows.dtype) @ self.rows

    def lift_inside(self, vectors: Tensor) -> Tensor:
        """Return vectors (n, d) of the span from their coordinates (n, r + 1)."""
        weights = vectors[:, :-1].to(self.mixing.dtype) @ self.mixing.mT
        return weights.to(self.rows.dtype) @ self.rows

    @property
    def basis(self) -> Tensor:
        """Orthonormal basis V (d, r) of the span."""
        return self.rows.to(self.mixing).mT @ self.mixing

    def _weights(self, inner: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights for which a sum of rows of R and the displacement is the given vector."""
        away = vectors[:, -1:] / inner[:, -1:]  # per unit of displacement from the span
        along = (vectors[:, :-1] - away * inner[:, :-1]).to(self.mixing.dtype)
        return along @ self.mixing.mT, away


def centred(x: Tensor, origin: Tensor) -> Tensor:
    """Return displacements from a float64 origin, exact up to rounding in the dtype of x."""
    coarse = origin.to(x.dtype)
    moved = x - coarse
    # Add the digits that float32 loses of a far-away mean, without a float64 copy of all rows.
    return moved if x.dtype == origin.dtype else moved.sub_((origin - coarse).to(x.dtype))


def sample_subspace(x: Tensor) -> tuple[SampleSubspace, Tensor]:
    """Return the span of n ≤ d samples, and the coordinates of the samples in the span.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.

    Returns
    -------
    subspace : SampleSubspace
        Span, with rows in the dtype of x.
    coordinates : Tensor of shape (n, r + 1)
        Principal components of the samples in float64, followed by a column of zeros.
    """
    n = x.shape[0]
    # Float32 would lose digits of a far-away mean.
    origin = x.mean(0, dtype=torch.float64)
    rows = centred(x, origin)
    inner = (rows @ rows.mT).to(torch.float64)
    left, roots = _principal_components(inner, torch.finfo(x.dtype).eps)
    coordinates = torch.cat([left * roots, left.new_zeros(n, 1)], dim=1)
    floor = 1e-7 * float((inner.trace() / n).sqrt())
    return SampleSubspace(origin, rows, left / roots, floor), coordinates


def fold_coordinates(inner: Tensor, kept: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
    """Return coordinates relative to the span of some of the samples, from inner products.

    The coordinates equal those of :func:`sample_subspace` for the kept samples, and those of
    :meth:`SampleSubspace.embed` for the held-out samples. Products of size n² d are not repeated.

    Parameters
    ----------
    inner : Tensor of shape (n, n)
        Inner products of samples, with the origin near their mean.
    kept, held : Tensors of bool of shape (n,)
        Masks of the samples that span the subspace, and of the held-out samples.

    Returns
    -------
    kept_coordinates : Tensor of shape (n_kept, r + 1)
    held_coordinates : Tensor of shape (n_held, r + 1)
    """
    columns = inner[:, kept]
    mean = columns.mean(1)  # inner products with the mean of the kept samples
    square = mean[kept].mean()
    columns.sub_(mean[:, None]).sub_(mean[kept] - square)
    left, roots = _principal_components(columns[kept], torch.finfo(inner.dtype).eps)
    train = torch.cat([left * roots, left.new_zeros(len(left), 1)], dim=1)
    inside = columns[held] @ (left / roots)
    squares = inner.diagonal()[held] - 2 * mean[held] + square
    away = (squares - inside.square().sum(1)).clamp_min(0).sqrt()
    return train, torch.cat([inside, away[:, None]], dim=1)


def _principal_components(inner: Tensor, resolution: float) -> tuple[Tensor, Tensor]:
    """Return left singular vectors (n, r) and singular values (r,) of rows, from inner products."""
    n = len(inner)
    values, left = torch.linalg.eigh(inner, UPLO="U")
    first = n - int((values > n * resolution * values[-1]).sum())
    return left[:, first:], values[first:].sqrt()


@dataclass(frozen=True)
class VaryingSubspace:
    r"""Isometric coordinates :math:`V^\top (x - \mu)` of the subspace in which samples vary.

    If a column is constant or a linear combination of other columns, the samples have a density
    only in a subspace. The score is estimated in the subspace, and the orthogonal component of the
    score is zero. A point outside the subspace has the score of the nearest point inside.

    Attributes
    ----------
    origin : Tensor of shape (d,)
        Mean of the samples.
    axes : Tensor of shape (d, r)
        Orthonormal directions V.
    """

    origin: Tensor
    axes: Tensor

    def coordinates(self, x: Tensor) -> Tensor:
        """Return coordinates (n, r) of points (n, d), in float64."""
        return (x.to(self.axes) - self.origin) @ self.axes

    def restrict(self, projection: Tensor | None) -> Tensor | None:
        """Convert a projection (k, d) of points to a projection (k, r) of coordinates."""
        return None if projection is None else projection.to(self.axes) @ self.axes


def varying_directions(x: Tensor, rounding: Tensor | None = None) -> VaryingSubspace | None:
    """Find the directions along which samples vary by more than rounding errors.

    Columns are scaled to unit variance first, so that the result does not depend on units. For
    example, a column of scale 1e-6 next to a column of scale 1 counts as varying.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    rounding : Tensor of shape (d,), default=None
        Bound on the rounding errors of each column. If None, the bound follows from the dtype of x.

    Returns
    -------
    VaryingSubspace or None
        None if the samples vary along all directions. The result is also None for n ≤ d, on MPS,
        and if no column varies.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score.subspace import varying_directions
    >>> x = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    >>> varying_directions(x * torch.tensor([1.0, 1e-6])) is None
    True
    >>> varying_directions(torch.cat([x, x.sum(1, keepdim=True)], 1)).axes.shape
    torch.Size([3, 2])
    """
    n, d = x.shape
    if n <= d or x.device.type == "mps":
        return None
    points = x[usual_rows(x)].to(torch.float64)
    n, origin = len(points), points.mean(0)
    displacements = points - origin
    deviation = displacements.square().mean(0).sqrt()
    if rounding is None:
        rounding = ROUNDINGS * torch.finfo(x.dtype).eps * points.abs().amax(0)
    full = bool((deviation > rounding).all())
    varies: Tensor | slice = slice(None) if full else deviation > rounding  # a slice does not copy
    kept = displacements[:, varies] / deviation[varies]
    correlation = kept.mT @ kept / n
    shares = (rounding / deviation)[varies].square()
    if full and exceeds(correlation, max(float(shares.amax()), RESOLUTION * d)):
        return None
    values, vectors = torch.linalg.eigh(correlation)
    # Variance along each eigenvector caused by rounding alone.
    noise = shares @ vectors.square()
    real = values > torch.maximum(noise, RESOLUTION * values.amax(0) if len(values) else noise)
    rank = int(real.sum())
    if rank in (0, d):
        return None
    axes = torch.eye(d, dtype=torch.float64, device=x.device)[:, varies]
    if rank < len(values):
        axes = torch.linalg.qr(axes * deviation[varies] @ vectors[:, real])[0]
    return VaryingSubspace(origin, axes)


def varying_units(
    x: Tensor, whiten: bool = True
) -> tuple[FeatureUnits | None, Tensor, VaryingSubspace | None]:
    """Return units of the columns, the samples in the units, and the varying subspace.

    For n ≤ d, products of size n² d take most of the time, so the samples keep the dtype of x.
    Otherwise, the samples have the widest dtype. Without ``whiten``, the samples stay in input
    units, and the returned units are None.
    """
    if not whiten:
        return None, x, varying_directions(x)
    units = feature_units(x)
    n, d = x.shape
    if n > d:
        points = units(x)
        return units, points, varying_directions(points, units.rounding)
    # Blocks of rows stay in the processor's cache.
    blocks = torch.split(x, max(1, BLOCK_ELEMENTS // d))
    return units, torch.cat([units(block).to(x.dtype) for block in blocks]), None


def fitting_coordinates(x: Tensor) -> tuple[Tensor, int]:
    """Return the float64 coordinates of samples for a fit with whitening.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.

    Returns
    -------
    coordinates : Tensor of shape (n, r)
        Coordinates in the span of n ≤ d samples, or in the subspace in which samples vary.
    n_features : int
        Dimension of the described space: d for a span, r for a varying subspace.
    """
    _, points, varying = varying_units(x)
    if x.shape[1] >= x.shape[0]:
        return sample_subspace(points)[1], x.shape[1]
    inner = points if varying is None else varying.coordinates(points)
    return inner, inner.shape[1]
