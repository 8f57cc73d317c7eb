"""Whitening with a shrunk covariance."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sk_mige._arrays import check_finite, check_tensor
from sk_mige._sizes import as_number

from .outliers import usual_rows
from .precision import TensorParts, widest_dtype
from .units import FeatureUnits, feature_units

# Candidate intensities. Intensity 0 is exactly affine equivariant, and is tried only if the sample
# covariance has full rank. Intensity 1 gives a spherical covariance.
SHRINKAGE_GRID = (0.0, *torch.logspace(-5, 0, 16, dtype=torch.float64).tolist())


@dataclass(frozen=True, eq=False)  # a hash of the fields fails in torch.compile
class Whitening(TensorParts):
    r"""Affine map :math:`y = W (z - \mu)` of features z in the given ``units``, with symmetric W.

    ``W = rest * I + vectors @ diag(gains) @ vectors.T`` is :math:`\hat\Sigma^{-1/2}`. If y has the
    score s, z has the score :math:`W s`. The features :math:`x = u z + \nu` have the score :math:`W
    s / u`.

    Attributes
    ----------
    mean : Tensor of shape (d,)
        Mean :math:`\mu`.
    vectors : Tensor of shape (d, r) or None
        Orthonormal directions with a gain that differs from ``rest``. None means the coordinate
        axes.
    gains : Tensor of shape (r,)
        Gain along each direction, minus ``rest``.
    rest : float
        Gain in the complement of the directions, which may be 0.
    n_features : int
        Dimension d of the input space. The coordinates may describe a subspace of the input space.
    shrinkage : float
        Shrinkage intensity :math:`\rho` of :math:`\hat\Sigma = (1 - \rho) S + \rho\, (\mathrm{tr} S
        / d) I`.
    units : FeatureUnits or None
        Units u and origin :math:`\nu` of the features. None means u = 1 and :math:`\nu = 0`.
    """

    mean: Tensor
    vectors: Tensor | None
    gains: Tensor
    rest: float
    n_features: int
    shrinkage: float
    units: FeatureUnits | None = None

    def linear(self, x: Tensor) -> Tensor:
        """Multiply by W."""
        if self.vectors is None:
            return x * (self.gains + self.rest)
        inside = ((x @ self.vectors) * self.gains) @ self.vectors.mT
        return inside if self.rest == 0.0 else inside + self.rest * x

    def __call__(self, x: Tensor) -> Tensor:
        """Return whitened coordinates of the rows of x, shape (n, d)."""
        z = x if self.units is None else self.units(x)
        return self.linear(z - self.mean)

    def scores(self, y_scores: Tensor) -> Tensor:
        """Convert scores of whitened coordinates to scores of the features."""
        inner = self.linear(y_scores)
        return inner if self.units is None else inner / self.units.scale

    def inverse_linear(self, y: Tensor) -> Tensor:
        """Multiply by the inverse of W, or by its pseudo-inverse in a subspace."""
        if self.vectors is None:
            return y / (self.gains + self.rest)
        inside = y @ self.vectors
        x = (inside / (self.gains + self.rest)) @ self.vectors.mT
        if self.rest != 0.0:
            x = x + (y - inside @ self.vectors.mT) / self.rest
        return x

    def trace_in(self, units: Tensor, basis: Tensor | None = None) -> float:
        r"""Return the trace of :math:`D^{-1} W^2 D^{-1}`, with D the diagonal matrix of units.

        If the map is in the coordinates of a span, pass the ``basis`` (d, r) of the span.
        """
        squares, rest = units.reciprocal().square(), self.rest**2
        gains = (self.gains + self.rest).square() - rest
        vectors = self.vectors if basis is None else basis
        if vectors is None:
            return float(squares @ gains) + rest * float(squares.sum())
        # In files of earlier versions, a common scale has no gains.
        shares, gains = vectors[:, : len(gains)].square(), gains[: vectors.shape[1]]
        return float(squares @ shares @ gains) + rest * float(squares.sum())

    @property
    def largest_gain(self) -> float:
        """Largest singular value of W."""
        return float(max([self.rest, *(self.gains + self.rest).tolist()]))

    @property
    def log_determinant(self) -> float:
        """Log-determinant of W."""
        inside = (self.gains + self.rest).log().sum()
        outside = self.n_features - self.gains.numel()
        return float(inside) + (outside * math.log(self.rest) if outside else 0.0)

    @property
    def precision_trace(self) -> float:
        r"""Trace of :math:`W^2 = \hat\Sigma^{-1}`."""
        inside = (self.gains + self.rest).square().sum()
        return float(inside) + self.rest**2 * (self.n_features - self.gains.numel())


def identity_whitening(
    x: Tensor, n_features: int | None = None, principal: bool = False
) -> Whitening:
    """Return the map that only subtracts the mean: W = I.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    n_features : int, default=None
        Dimension of the input space, if x holds coordinates in a subspace. If None, d is used.
    principal : bool, default=False
        Whether x holds principal components.

    Returns
    -------
    Whitening
    """
    # Float32 sums would lose digits of a large mean.
    mean = x[usual_rows(x, principal)].mean(0, dtype=widest_dtype(x)).to(x.dtype)
    return Whitening(mean, None, torch.zeros_like(mean), 1.0, n_features or x.shape[1], 1.0)


def whitening(x: Tensor, shrinkage: float | str = "auto") -> tuple[Whitening, Tensor]:
    r"""Fit a whitening and compute leave-one-out squared Mahalanobis distances.

    Every column is first divided by its standard deviation, so that the result does not depend on
    units. If outliers dominate a column, the interquartile range determines the divisor. An extreme
    value is more than 100 interquartile ranges from the median of a column. If a few extreme values
    dominate the variance of a column, the mean and the covariance are computed without their rows.

    Let S be the correlations of the columns. The shrunk covariance is :math:`\hat\Sigma =
    (1-\rho) S + \rho m I` with :math:`m = \mathrm{tr} S/d`. In the units of x, shrinkage keeps
    the variances and multiplies the covariances by :math:`1 - \rho`.

    For ``"auto"``, :math:`\rho` maximises the leave-one-out Gaussian likelihood over a grid.
    Without bias, the covariance of n - 1 rows is :math:`G = (1-\rho) \tfrac{n}{n-2} S + \rho
    \tfrac{n}{n-1} m I`. G is diagonal in the eigenbasis of S. Leaving out a row changes S by a
    matrix of rank one. With :math:`r_i = x_i^\top G^{-1} x_i` and :math:`b = (1 - \rho)\, n /
    ((n-1)(n-2))`,

    .. math:: 2\,\mathrm{loss}_i = \log|G| + \log(1 - b r_i)
              + \left(\tfrac{n}{n-1}\right)^2 \frac{r_i}{1 - b r_i}.

    The whole grid therefore needs only one eigendecomposition. The variance m of the spherical part
    is computed from all rows. For d ≥ n, the Gram matrix (n, n) is decomposed instead of the
    covariance.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples, n ≥ 2, preferably in float64.
    shrinkage : float in [0, 1] or "auto", default="auto"
        Shrinkage intensity, or the rule that chooses it.

    Returns
    -------
    whitening : Whitening
        Affine map.
    radii : Tensor of shape (n,)
        Squared Mahalanobis distance of each sample, with mean and covariance of the other samples.

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
    units = feature_units(check_finite("x", check_tensor("x", x)))
    white, radii = fit_whitening(units(x), shrinkage)
    return replace(white, units=units), radii


def fit_whitening(
    x: Tensor,
    shrinkage: float | str = "auto",
    n_features: int | None = None,
    *,
    principal: bool = False,
) -> tuple[Whitening, Tensor]:
    """Fit a whitening like :func:`whitening`, without a change of units.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    shrinkage : float in [0, 1] or "auto", default="auto"
        Shrinkage intensity, or the rule that chooses it.
    n_features : int, default=None
        Dimension of the input space, if x holds coordinates in a subspace. If None, d is used.
    principal : bool, default=False
        Whether x holds principal components followed by a column of zeros, as returned by
        :func:`sk_mige.score.subspace.sample_subspace`. The covariance of principal components is
        diagonal.

    Returns
    -------
    whitening : Whitening
        Affine map.
    radii : Tensor of shape (n,)
        Squared Mahalanobis distance of each sample, with mean and covariance of the other samples.
    """
    n = len(x)
    d = n_features or x.shape[1]
    usual = usual_rows(x, principal)
    mean = x[usual].mean(0)
    centred = x - mean
    vectors: Tensor | None = None
    if principal:
        components = centred[:, :-1]
        spectrum = components[usual].square().mean(0)
    else:
        spectrum, vectors = principal_axes(centred[usual])
        components = centred @ vectors
    scale = spectrum.sum().item() / d  # mean variance, m
    if scale <= 0.0:  # constant rows: nothing to whiten
        return identity_whitening(x, d), x.new_zeros(n)
    squares = components.square()
    outside = d - spectrum.numel()
    if shrinkage == "auto":
        rho = loo_shrinkage(spectrum, squares[usual], scale, len(centred[usual]), outside)
    else:
        rho = as_number("shrinkage", shrinkage, 0, 1, "both")
    shrunk = (1 - rho) * spectrum + rho * scale
    # At shrinkage 0 a direction without variance, such as that of a constant column, would get an
    # infinite gain. The samples do not vary along the direction, so any large finite gain gives the
    # same y.
    shrunk = shrunk.clamp_min(1e-14 * shrunk.max().item())
    radii = loo_radii(spectrum, squares[usual], scale, len(squares[usual]), rho)
    if isinstance(usual, Tensor):  # the covariance leaves out other rows
        radii = (squares / shrunk).sum(1).masked_scatter(usual, radii)
    if rho == 1.0:  # one common scale
        return Whitening(mean, None, torch.zeros_like(mean), scale**-0.5, d, rho), radii
    rest = (rho * scale) ** -0.5 if outside and rho > 0 else 0.0
    gains = shrunk.rsqrt() - rest
    if vectors is None:
        gains = torch.cat([gains, gains.new_zeros(1)])  # for the column of zeros
    return Whitening(mean, vectors, gains, rest, d, rho), radii


def principal_axes(centred: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues (divisor n) and eigenvectors of the covariance.

    For d ≥ n, the Gram matrix (n, n) is decomposed instead of the covariance.
    """
    n, d = centred.shape
    if d < n:
        values, vectors = torch.linalg.eigh(centred.mT @ centred / n, UPLO="U")
        return values.clamp_min(0), vectors
    values, left = torch.linalg.eigh(centred @ centred.mT / n, UPLO="U")
    # Centring leaves rank n - 1 at most. Drop eigenvalues that are rounding errors.
    kept = values > n * torch.finfo(values.dtype).eps * values[-1]
    values, left = values[kept], left[:, kept]
    return values, centred.mT @ (left / (n * values).sqrt())


def loo_radii(spectrum: Tensor, squares: Tensor, scale: float, n: int, rho: float) -> Tensor:
    """Return the squared Mahalanobis distance of each row, (n,).

    The mean and the shrunk covariance are those of the other rows.
    """
    if n < 3:
        return squares.sum(1) / scale
    # Unbiased covariance of n - 1 rows: ((n-1) S_unbiased - n/(n-1) x x') / (n - 2).
    keep, one = (1 - rho) * n / (n - 2), (1 - rho) * n / ((n - 1) * (n - 2))
    total = spectrum.sum().item()
    # Variance of the spherical part without each row, from the trace of the covariance.
    spheres = (n * total - squares.sum(1) * n / (n - 1)).clamp_min(1e-6 * total) * scale
    least = torch.finfo(spectrum.dtype).tiny
    values = (keep * spectrum).clamp_min(least) + rho / (n - 2) / total * spheres[:, None]
    radii = (squares / values).sum(1)
    return radii / (1 - one * radii).clamp_min(1e-6) * (n / (n - 1)) ** 2


def loo_shrinkage(spectrum: Tensor, squares: Tensor, scale: float, n: int, outside: int) -> float:
    """Return the intensity in a grid that has the highest leave-one-out Gaussian likelihood.

    The variance of the spherical part is computed from all rows, so that one matrix product serves
    the whole grid.
    """
    if n < 4:
        return 1.0
    # One row for each intensity. One product gives the sums of loo_radii for all intensities.
    grid = [((1 - rho) * n / (n - 2), rho * scale * n / (n - 1)) for rho in SHRINKAGE_GRID]
    keep, sphere = torch.split(spectrum.new_tensor(grid), 1, dim=1)
    tiny = torch.finfo(spectrum.dtype).tiny
    values = torch.addcmul(sphere, keep, spectrum).clamp_min_(tiny)
    radii = values.reciprocal() @ squares.mT
    remaining = 1 - keep / (n - 1) * radii
    complement = outside * sphere.clamp_min(tiny).log()[:, 0] if outside else 0.0
    log_det = values.log().sum(1) + complement
    inside = remaining.clamp_min(1e-8)
    losses = log_det + (inside.log() + radii / inside * (n / (n - 1)) ** 2).mean(1)
    singular = (values.amin(1) <= 1e-13 * values.amax(1)) | (remaining.amin(1) <= 1e-8)
    if outside > 0:
        singular |= sphere[:, 0] <= 0
    return SHRINKAGE_GRID[int(losses.masked_fill(singular, math.inf).argmin())]
