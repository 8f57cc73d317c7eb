"""Whitening: affine equivariance of the score, with a shrinkage that holds for n < d."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .shrinkage import ledoit_wolf_shrinkage, loo_radii, loo_shrinkage

__all__ = ["Whitening", "identity_whitening", "principal_axes", "whitening"]


@dataclass(frozen=True)
class Whitening:
    r"""Symmetric affine map :math:`y = W (x - \mu)` with :math:`W = \hat\Sigma^{-1/2}`.

    ``W = rest * I + vectors @ diag(gains) @ vectors.T``, so that for fewer samples than features
    nothing of shape (d, d) is formed. If x has the score s, y has :math:`W^{-1} s`; scores
    estimated for y are therefore mapped back by W itself.

    Attributes
    ----------
    mean : Tensor of shape (d,)
        Mean :math:`\mu`.
    vectors : Tensor of shape (d, r) or None
        Orthonormal directions whose gain differs from the rest's; r may be 0. None stands for the
        coordinate axes.
    gains : Tensor of shape (r,)
        Gain along each of them, less ``rest``.
    rest : float
        Gain in the complement, and 0 where the directions span everything.
    n_features : int
        Dimension d of the space, of which the coordinates given may be a subspace.
    shrinkage : float
        Intensity :math:`\rho` of :math:`\hat\Sigma = (1 - \rho) S + \rho\, (\mathrm{tr} S / d) I`.
    """

    mean: Tensor
    vectors: Tensor | None
    gains: Tensor
    rest: float
    n_features: int
    shrinkage: float

    def linear(self, x: Tensor) -> Tensor:
        """Product with W: whitens displacements and, W being symmetric, maps scores back."""
        if self.gains.numel() == 0:
            return x if self.rest == 1.0 else x * self.rest
        if self.vectors is None:
            return x * (self.gains + self.rest)
        inside = ((x @ self.vectors) * self.gains) @ self.vectors.mT
        return inside if self.rest == 0.0 else inside + self.rest * x

    def __call__(self, x: Tensor) -> Tensor:
        """Whitened coordinates of the rows of x, shape (n, d)."""
        return self.linear(x - self.mean)

    def to(self, target: torch.dtype | torch.device) -> Whitening:
        """The same map in another dtype or on another device."""
        vectors = None if self.vectors is None else self.vectors.to(target)
        return replace(
            self, mean=self.mean.to(target), vectors=vectors, gains=self.gains.to(target)
        )

    def inverse(self, y: Tensor) -> Tensor:
        """Points whose whitened coordinates are the rows of y."""
        if self.gains.numel() == 0:
            return y / self.rest + self.mean
        if self.vectors is None:
            return y / (self.gains + self.rest) + self.mean
        inside = y @ self.vectors
        x = (inside / (self.gains + self.rest)) @ self.vectors.mT
        if self.rest != 0.0:
            x = x + (y - inside @ self.vectors.mT) / self.rest
        return x + self.mean

    def measured(self, y: Tensor, units: Tensor | None) -> Tensor:
        """Products with W, their components in multiples of 1 / ``units``."""
        return self.linear(y) if units is None else self.linear(y) * units

    def measured_trace(self, units: Tensor | None) -> float:
        r"""Trace of :math:`D W^2 D`, D the diagonal matrix of the units."""
        if units is None:
            return self.precision_trace
        squares = units.square()
        if self.gains.numel() == 0:
            return self.rest**2 * float(squares.sum())
        gains = (self.gains + self.rest).square()
        if self.vectors is None:
            return float((gains * squares).sum())
        shares = squares @ self.vectors.square()
        return float((gains * shares).sum()) + self.rest**2 * float(squares.sum() - shares.sum())

    @property
    def largest_gain(self) -> float:
        """Largest singular value of W."""
        return float(max([self.rest, *(self.gains + self.rest).tolist()]))

    @property
    def precision_trace(self) -> float:
        r"""Trace of :math:`W^2 = \hat\Sigma^{-1}`."""
        inside = (self.gains + self.rest).square().sum()
        return float(inside) + self.rest**2 * (self.n_features - self.gains.numel())


def identity_whitening(x: Tensor, n_features: int | None = None) -> Whitening:
    """Translation to the mean alone: W = I.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    n_features : int, default=None
        Dimension of the space of which x gives coordinates; d by default.

    Returns
    -------
    Whitening
    """
    empty = x.new_empty((x.shape[1], 0))
    # In float32 the mean itself would be lost to rounding where it is large.
    dtype = x.dtype if x.device.type == "mps" else torch.float64
    mean = x.mean(0, dtype=dtype).to(x.dtype)
    return Whitening(mean, empty, x.new_empty(0), 1.0, n_features or x.shape[1], 1.0)


def whitening(
    x: Tensor,
    shrinkage: float | str = "auto",
    n_features: int | None = None,
    *,
    principal: bool = False,
) -> tuple[Whitening, Tensor]:
    r"""Fit a whitening, and give each sample's leave-one-out squared Mahalanobis distance.

    The covariance is :math:`\hat\Sigma = (1-\rho) S + \rho m I` with :math:`m = \mathrm{tr} S/d`.
    For ``"auto"``, :math:`\rho` maximises the leave-one-out Gaussian likelihood over a grid. In
    the eigenbasis of S every candidate is diagonal, with unbiased moments of n - 1 rows
    :math:`G = (1-\rho) \tfrac{n}{n-2} S + \rho \tfrac{n}{n-1} m I`, and leaving a row out of S is a
    downdate of rank one: with :math:`r_i = x_i^\top G^{-1} x_i` and
    :math:`b = (1 - \rho)\, n / ((n-1)(n-2))`,

    .. math:: 2\,\mathrm{loss}_i = \log|G| + \log(1 - b r_i)
              + \left(\tfrac{n}{n-1}\right)^2 \frac{r_i}{1 - b r_i},

    so that the whole grid costs no further eigendecomposition. (The sphere's size m stays that of
    all rows.) For d > n the Gram matrix
    (n, n) is decomposed instead of the covariance.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples, n ≥ 2, float64 recommended.
    shrinkage : float in [0, 1], "auto" or "ledoit-wolf", default="auto"
        Intensity, or the rule that chooses it.
    n_features : int, default=None
        Dimension of the space of which x gives coordinates; d by default.
    principal : bool, default=False
        Whether the columns of x are its principal components already, the last one zero: those of
        :func:`sk_mige.score.span.sample_span`. Nothing is decomposed then.

    Returns
    -------
    whitening : Whitening
        The map.
    radii : Tensor of shape (n,)
        Squared Mahalanobis distance of each sample from a mean and covariance fitted without it.

    References
    ----------
    J. Theiler, "The incredible shrinking covariance estimator", SPIE 8391, 2012.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import whitening
    >>> x = torch.randn(500, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> white, _ = whitening(x * torch.tensor([1.0, 1000.0]), shrinkage=0.0)
    >>> torch.cov(white(x * torch.tensor([1.0, 1000.0])).mT, correction=0).round(decimals=6)
    tensor([[1., 0.],
            [0., 1.]], dtype=torch.float64)
    """
    n, rows_dim = x.shape
    d = n_features or rows_dim
    mean = x.mean(0)
    centred = x - mean
    vectors: Tensor | None = None
    if principal:
        components = centred[:, :-1]
        spectrum = components.square().mean(0)
    else:
        spectrum, vectors = principal_axes(centred)
        components = centred @ vectors
    scale = float(spectrum.sum()) / d  # mean variance, m
    if scale <= 0.0:  # constant rows: nothing to whiten
        return identity_whitening(x, d), x.new_zeros(n)
    squares = components.square()
    outside = d - spectrum.numel()
    if shrinkage == "auto":
        rho = loo_shrinkage(spectrum, squares, scale, n, outside)
    elif shrinkage == "ledoit-wolf":
        rho = ledoit_wolf_shrinkage(centred, spectrum, d)
    else:
        rho = float(shrinkage)
    radii = loo_radii(spectrum, squares, scale, n, rho)
    shrunk = (1 - rho) * spectrum + rho * scale
    # A direction without variance (a constant or duplicated column, at shrinkage 0) would get an
    # infinite gain. Nothing varies along it, so a large finite one serves.
    shrunk = shrunk.clamp_min(1e-14 * float(shrunk.max()))
    rest = (rho * scale) ** -0.5 if outside and rho > 0 else 0.0
    if rho == 1.0:
        vectors, shrunk = x.new_empty((rows_dim, 0)), shrunk[:0]
        rest = scale**-0.5
    gains = shrunk.rsqrt() - rest
    if vectors is None:
        gains = torch.cat([gains, gains.new_zeros(1)])  # the column of zeros is outside the span
    return Whitening(mean, vectors, gains, rest, d, rho), radii


def principal_axes(centred: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (divisor n) and eigenvectors of the covariance, by its smaller Gram matrix."""
    n, d = centred.shape
    if d < n:
        values, vectors = torch.linalg.eigh(centred.mT @ centred / n)
        return values.clamp_min(0), vectors
    values, left = torch.linalg.eigh(centred @ centred.mT / n)
    # Centring leaves rank n - 1 at most; what rounding makes of the null space is dropped.
    kept = values > n * torch.finfo(values.dtype).eps * values[-1]
    values, left = values[kept], left[:, kept]
    return values, centred.mT @ (left / (n * values).sqrt())
