"""Directions along which samples vary: along the others there is no density, and no score."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .expansion import KernelExpansion, ScoreModel
from .span import sample_span

__all__ = ["Varying", "fitting_coordinates", "varying_directions"]

# Standard deviations up to this many roundings of the values are the roundings' own.
ROUNDINGS = 4.0
# Smallest eigenvalue of the correlations, relative to the largest, that is told from zero.
RESOLUTION = 1e-13


@dataclass(frozen=True)
class Varying:
    r"""Isometric coordinates :math:`V^\top (x - \mu)` of the plane that the samples lie in.

    Samples with a constant column, or with one that is a sum of others, have no density in all of
    their space, but one in the plane. Its score is estimated there and has no component across;
    at a point off the plane it is that of the nearest point in it.

    Attributes
    ----------
    origin : Tensor of shape (d,)
        Mean of the samples.
    axes : Tensor of shape (d, r)
        Orthonormal V.
    """

    origin: Tensor
    axes: Tensor

    def coordinates(self, x: Tensor) -> Tensor:
        """Coordinates (n, r) of points (n, d), in float64."""
        return (x.to(self.axes) - self.origin) @ self.axes

    def seen(self, projection: Tensor | None) -> Tensor | None:
        """What a projection (k, d) does to coordinates, (k, r)."""
        return None if projection is None else projection.to(self.axes) @ self.axes

    def lift(self, expansion: KernelExpansion, projection: Tensor | None = None) -> KernelExpansion:
        """An expansion over coordinates (r) as one over points (d), with their projection."""
        white = expansion.whitening
        if white.gains.numel() == 0:  # one common scale
            vectors, gains = self.axes, self.axes.new_full((self.axes.shape[1],), white.rest)
        else:  # of more samples than coordinates every direction has its own gain
            assert white.vectors is not None
            vectors, gains = self.axes @ white.vectors, white.gains + white.rest
        mean = self.origin + self.axes @ white.mean
        lifted = replace(white, mean=mean, vectors=vectors, gains=gains, rest=0.0)
        centers = expansion.centers @ self.axes.mT
        projection = None if projection is None else projection.to(self.axes)
        return replace(expansion, whitening=lifted, centers=centers, projection=projection)

    def lift_model(self, model: ScoreModel, projection: Tensor | None = None) -> ScoreModel:
        """A model over coordinates as one over points, with their projection."""
        expansion = self.lift(model.expansion, projection)
        if expansion.curl_free:  # one coefficient a centre, whatever the space
            return ScoreModel(expansion, model.coefficients)
        return ScoreModel(expansion, model.coefficients @ self.axes.mT)


def varying_directions(x: Tensor) -> Varying | None:
    """The plane of samples whose variance along some direction is zero to rounding.

    Columns are brought to unit variance first, so that units do not matter: a column of scale 1e-6
    beside one of scale 1 varies as well as any.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples, in the dtype that they were rounded to.

    Returns
    -------
    Varying or None
        None where the samples vary along all directions, and where that cannot be known: n ≤ d.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score.varying import varying_directions
    >>> x = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    >>> varying_directions(x * torch.tensor([1.0, 1e-6])) is None
    True
    >>> varying_directions(torch.cat([x, x.sum(1, keepdim=True)], 1)).axes.shape
    torch.Size([3, 2])
    """
    n, d = x.shape
    if n <= d or x.device.type == "mps":
        return None
    points = x.to(torch.float64)
    origin = points.mean(0)
    centred = points - origin
    deviation = centred.square().mean(0).sqrt()
    rounding = ROUNDINGS * torch.finfo(x.dtype).eps * points.abs().amax(0)
    varies = deviation > rounding
    kept = centred[:, varies] / deviation[varies]
    correlation = kept.mT @ kept / n
    shares = (rounding / deviation)[varies].square()
    if varies.all() and _exceeds(correlation, max(float(shares.amax()), RESOLUTION * d)):
        return None
    values, vectors = torch.linalg.eigh(correlation)
    # What rounding alone would make of the variance along each eigenvector.
    noise = shares @ vectors.square()
    real = values > torch.maximum(noise, RESOLUTION * values.amax(0) if len(values) else noise)
    rank = int(real.sum())
    if rank in (0, d):
        return None
    axes = torch.eye(d, dtype=torch.float64, device=x.device)[:, varies]
    if rank < len(values):
        axes = torch.linalg.qr(axes * deviation[varies] @ vectors[:, real])[0]
    return Varying(origin, axes)


def _exceeds(correlation: Tensor, bound: float) -> bool:
    """Whether all eigenvalues exceed a bound: Cholesky tells in a tenth of the time of eigh."""
    shifted = correlation.clone()
    shifted.diagonal().sub_(bound)
    return not bool(torch.linalg.cholesky_ex(shifted).info)


def fitting_coordinates(x: Tensor) -> tuple[Tensor, int]:
    """Coordinates in which :func:`sk_mige.score.fit_dense` fits whitened samples, in float64.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.

    Returns
    -------
    coordinates : Tensor of shape (n, r)
        Those of the span of n ≤ d samples, or of the plane that the samples lie in.
    n_features : int
        Dimension of the space in which they are coordinates: d, or r of a plane.
    """
    if x.shape[1] >= x.shape[0]:
        return sample_span(x)[1], x.shape[1]
    varying = varying_directions(x)
    inner = x.to(torch.float64) if varying is None else varying.coordinates(x)
    return inner, inner.shape[1]
