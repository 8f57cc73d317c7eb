"""Score models: settings, kernel expansions and fitted scores."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sk_mige._sizes import as_number

from .base import RadialBase, fit_base
from .kernels import (
    GAUSSIAN,
    ROUGH,
    Kernel,
    KernelMatrices,
    median_bandwidth,
    squared_distances,
    squares_and_norms,
)
from .outliers import usual_rows
from .precision import TensorParts, widest_dtype
from .spectrum import leading_eigenpairs, spectral_filter
from .subspace import SampleSubspace
from .units import FeatureUnits
from .whitening import Whitening, fit_whitening, identity_whitening

# Largest bandwidth, whose square is finite in float64.
LARGEST = 1e150


@dataclass(frozen=True)
class ScoreSettings:
    """Settings of a fit, as described in :class:`sk_mige.SSGEScoreEstimator`.

    ``bandwidth_factor`` multiplies the median bandwidth. The kernel is a :class:`Kernel` or "auto".

    Examples
    --------
    >>> from sk_mige.score import ScoreSettings
    >>> published = ScoreSettings(eigen_threshold=0.99, whiten=False, base=None)
    >>> published.truncates
    True
    """

    n_eigen: int | None = None
    eigen_threshold: float | None = None
    alpha: float | str = "auto"
    bandwidth: float | str = "median"
    whiten: bool = True
    shrinkage: float | str = "auto"
    base: str | None = "student"
    curl_free: bool = False
    bandwidth_factor: float = 1.0
    kernel: Kernel | str = "auto"

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Kernels to compare on held-out rows, or the only kernel."""
        if isinstance(self.kernel, Kernel):
            return (self.kernel,)
        return (GAUSSIAN, ROUGH) if self.chooses_alpha else (GAUSSIAN,)

    @property
    def variants(self) -> tuple[ScoreSettings, ...]:
        """Settings to compare on held-out rows, each with one kernel and one shrinkage."""
        found = [replace(self, kernel=kernel) for kernel in self.kernels]
        if len(found) > 1 and self.whiten and self.shrinkage == "auto":
            found.append(replace(found[-1], shrinkage=1.0))
        return tuple(found)

    @property
    def truncates(self) -> bool:
        """Whether the spectrum is truncated."""
        return self.n_eigen is not None or self.eigen_threshold is not None

    @property
    def chooses_alpha(self) -> bool:
        """Whether the Tikhonov strength is chosen on held-out folds."""
        return self.alpha == "auto" and not self.truncates

    def filter(self, values: Tensor, n_samples: float, alpha: float) -> Tensor:
        """Return the spectral filter (r,) of eigenvalues for a Tikhonov strength."""
        kept = None
        if self.truncates:
            kept = leading_eigenpairs(values, self.n_eigen, self.eigen_threshold)
        return spectral_filter(values, n_samples, alpha, kept)


@dataclass(frozen=True)
class KernelExpansion(TensorParts):
    r"""Function space of a score: coordinates, base, centres and kernel, without coefficients.

    Let :math:`y = W(x - \mu)`, and let :math:`u = P y` be the kernel coordinates with projection P,
    or I. Scores have the form

    .. math:: g(x) = W \Big[ -w(\|y\|^2)\, y \Big] + \sum_m k(u, u_m)\, C_m
              \qquad\text{or, curl-free,}\qquad
              g(x) = W \Big[ -w(\|y\|^2)\, y + \nabla_y \sum_m \alpha_m k(y, y_m) \Big] .

    Attributes
    ----------
    whitening : Whitening
        Affine map to y.
    base : RadialBase
        Base with weight w.
    centers : Tensor of shape (m, d)
        Whitened centres :math:`y_m`, which are the samples or the landmarks.
    bandwidth : float
        Kernel width :math:`\sigma`, in units of u.
    projection : Tensor of shape (k, d) or None
        Matrix P that projects whitened points to the coordinates of the kernel. The base depends on
        all d coordinates. The correction depends only on coordinates along the rows of P.
    curl_free : bool
        Whether the correction to the base is a gradient field.
    kernel : Kernel
        Profile of the kernel.
    """

    whitening: Whitening
    base: RadialBase
    centers: Tensor
    bandwidth: float
    projection: Tensor | None = None
    curl_free: bool = False
    kernel: Kernel = GAUSSIAN

    @property
    def operator_trace(self) -> float:
        r"""Trace of the operator A / n: -2 k'(0) d / σ² for gradient fields, else 1."""
        if not self.curl_free:
            return 1.0
        return self.kernel.steepness * self.whitening.n_features / self.bandwidth**2

    def kernel_coordinates(self, y: Tensor) -> Tensor:
        """Return kernel coordinates u (n, k) of whitened points (n, d)."""
        return y if self.projection is None else y @ self.projection.mT

    def directions(self, y: Tensor) -> Tensor:
        """Project whitened points (n, d) onto the directions along which the kernel varies."""
        return y if self.projection is None else y @ self.projection.mT @ self.projection

    def matrices(self, y: Tensor | None = None) -> KernelMatrices:
        """Return kernel matrices (n, m) of whitened points, or (m, m) of the centres."""
        centers = self.kernel_coordinates(self.centers)
        if y is None:
            return self.matrices_at(squared_distances(centers))
        return self.kernel.between(self.kernel_coordinates(y), centers, self.bandwidth**2)

    def matrices_at(self, sq: Tensor) -> KernelMatrices:
        """Return kernel matrices at squared distances of kernel coordinates, in their dtype."""
        return self.kernel.matrices(sq, self.bandwidth**2)

    def gram(self, y: Tensor | None = None) -> Tensor:
        """Return kernel values (n, m) of whitened points, or (m, m) of the centres."""
        return self.matrices(y).values


def build_expansion(
    x: Tensor,
    settings: ScoreSettings,
    *,
    centers: Tensor | None = None,
    projection: Tensor | None = None,
    n_features: int | None = None,
    principal: bool = False,
) -> tuple[KernelExpansion, Tensor]:
    """Estimate whitening, base and bandwidth, and compute the squared distances of the centres.

    The first kernel of the settings is used.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples that determine whitening and base.
    settings : ScoreSettings
        Settings of the fit.
    centers : Tensor of shape (m, d), default=None
        Landmarks in input coordinates. If None, the rows of x are the centres.
    projection : Tensor of shape (k, d), default=None
        Matrix that projects points to the coordinates of the kernel.
    n_features : int, default=None
        Dimension of the input space, if x holds coordinates in a subspace. If None, d is used.
    principal : bool, default=False
        Whether the columns of x are principal components, as in
        :func:`~sk_mige.score.whitening.fit_whitening`.

    Returns
    -------
    expansion : KernelExpansion
    sq : Tensor of shape (m, m)
        Squared distances of the centres in the coordinates of the kernel, in the widest dtype.
    """
    white, base = _whitening_and_base(x, settings, n_features or x.shape[1], principal)
    y = white(x if centers is None else centers)
    kernel = settings.kernels[0]
    expansion = KernelExpansion(white, base, y, 1.0, projection, settings.curl_free, kernel)
    sq = squared_distances(expansion.kernel_coordinates(y))
    if isinstance(settings.bandwidth, str):
        sigma = as_number("bandwidth_factor", settings.bandwidth_factor) * float(
            median_bandwidth(sq)
        )
    else:
        sigma = as_number("bandwidth", settings.bandwidth, 0, LARGEST)
    return replace(expansion, bandwidth=sigma), sq.to(widest_dtype(sq))


def _whitening_and_base(
    x: Tensor, settings: ScoreSettings, d: int, principal: bool
) -> tuple[Whitening, RadialBase]:
    if settings.whiten:
        white, radii = fit_whitening(x, settings.shrinkage, d, principal=principal)
        return white, fit_base(settings.base, radii, d)
    white = identity_whitening(x, d, principal)
    if settings.base is None:
        return white, fit_base(None, white.mean, d)
    squares = (x - white.mean).square().sum(1)
    variance = float(squares[usual_rows(x, principal)].mean()) / d or 1.0
    return white, fit_base(settings.base, squares / variance, d, variance)


@dataclass(frozen=True)
class ScoreModel(TensorParts):
    r"""Fitted score :math:`\nabla \log q` that can be evaluated at any point.

    Attributes
    ----------
    expansion : KernelExpansion
        Coordinates, base, centres and kernel.
    coefficients : Tensor of shape (m, d), or (m, 1) when curl-free
        Coefficients C in the coordinates of the fit, or :math:`\alpha` of a curl-free model.
    subspace : SampleSubspace or None
        Span of the samples, or None. If a span is given, the expansion and the coefficients are in
        coordinates of the span.
    units : FeatureUnits or None
        Units of the features in which the model was fitted. None means input units.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import ScoreSettings, fit_dense
    >>> x = torch.randn(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> model = fit_dense(x, ScoreSettings()).model
    >>> model.divergence(torch.zeros(1, 2).double()).round()  # the score -x has divergence -2
    tensor([-2.], dtype=torch.float64)
    """

    expansion: KernelExpansion
    coefficients: Tensor
    subspace: SampleSubspace | None = None
    units: FeatureUnits | None = None

    @property
    def mean(self) -> Tensor:
        """Mean (d,) of the samples, in input coordinates."""
        mean = self.expansion.whitening.mean if self.subspace is None else self.subspace.origin
        return mean if self.units is None else self.units.inverse(mean)

    @property
    def centers(self) -> Tensor:
        """Centres (m, d) of the kernel, in input coordinates."""
        white = self.expansion.whitening
        x = white.inverse_linear(self.expansion.centers) + white.mean
        x = x if self.subspace is None else self.subspace.lift_inside(x) + self.subspace.origin
        return x if self.units is None else self.units.inverse(x)

    def score(self, x: Tensor, matrices: KernelMatrices | None = None) -> Tensor:
        r"""Return scores :math:`\hat g(x)`, shape (n, d), at any points (n, d).

        By default, the kernel ``matrices`` (n, m) between points and centres are computed.
        """
        z, inner = self.coordinates(x)
        scores = self._score(inner, matrices)
        if self.subspace is not None:
            scores = self.subspace.lift(z, inner, scores)
        return self._in_input(scores)

    @property
    def base_alone(self) -> ScoreModel:
        """Return the model of the base alone, without a correction."""
        alone = replace(self.expansion, centers=self.expansion.centers[:1])
        return replace(self, expansion=alone, coefficients=self.coefficients[:1] * 0)

    def radii(self, x: Tensor) -> Tensor:
        """Return distances (n,) of points (n, d) from the mean, in whitened coordinates."""
        return self.expansion.whitening(self.coordinates(x)[1]).square().sum(1).sqrt()

    def score_samples(self, coordinates: Tensor, matrices: KernelMatrices | None) -> Tensor:
        """Return scores at the samples of a dense fit, from coordinates and kernel matrices.

        The base alone needs no kernel matrices.
        """
        scores = self._score(coordinates, matrices)
        if self.subspace is not None:
            scores = self.subspace.lift_samples(coordinates, scores)
        return scores if self.units is None else self.units.scores(scores)

    def coordinates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return points in the units of the fit, and points in the expansion's coordinates."""
        z = x if self.units is None else self.units(x)
        if self.subspace is None:
            z = z.to(self.coefficients.dtype)
            return z, z
        return z, self.subspace.embed(z).to(self.coefficients)

    def _in_input(self, scores: Tensor) -> Tensor:
        """Convert scores (n, d) from the units of the fit to input coordinates."""
        if self.units is None:
            return scores
        scale = self.units.scale
        return scores.to(scale) / scale  # dividing tensors of two dtypes is slow

    def _score(self, x: Tensor, matrices: KernelMatrices | None = None) -> Tensor:
        ex = self.expansion
        if ex.base.dof is None and not ex.curl_free and matrices is not None:
            return matrices.values.to(self.coefficients) @ self.coefficients
        y = ex.whitening(x)
        weight, _ = ex.base.weight(y.square().sum(1))
        if not bool(self.coefficients.any()):  # the base alone
            return -ex.whitening.linear(weight[:, None] * y)
        values, slopes, _ = ex.matrices(y) if matrices is None else matrices.to(y.dtype)
        if not ex.curl_free:
            return values @ self.coefficients - ex.whitening.linear(weight[:, None] * y)
        sections = slopes * self.coefficients[:, 0]
        gradient = (sections @ ex.centers - sections.sum(1, keepdim=True) * y) / ex.bandwidth**2
        return ex.whitening.linear(gradient - weight[:, None] * y)

    def divergence(self, x: Tensor) -> Tensor:
        r"""Return the divergence :math:`\nabla \cdot \hat g(x)` in input coordinates, shape (n,).

        For terms :math:`k(u, u_m)\, C_m`, the correction to the base has the divergence

        .. math:: \nabla\cdot = -\sigma^{-2} \sum_m D(u, u_m)\,
                  \langle W P^\top (u - u_m), C_m \rangle .

        Here D are the slopes of the kernel. The two vectors in the inner product are divided by the
        units of the features.
        """
        points = self.coordinates(x)
        ex = self.expansion
        white, s2 = ex.whitening, ex.bandwidth**2
        y = white(points[1])
        yw = white.linear(y)
        weight, slope = ex.base.weight(y.square().sum(1))
        measured, trace = self._lengths(yw, points), self._trace()
        divergence = -(weight * trace + 2 * slope * measured.square().sum(1))
        _, slopes, curvatures = ex.matrices(y)
        if not ex.curl_free:
            moved = yw if ex.projection is None else white.linear(ex.directions(y))
            centers = white.linear(ex.directions(ex.centers))
            moved, centers = self._lengths(moved, points), self._lengths(centers)
            pushed = self._lengths(self.coefficients)
            products = ((slopes @ pushed) * moved).sum(1) - slopes @ (centers * pushed).sum(1)
            return divergence - products / s2
        alpha = self.coefficients[:, 0]
        distances, _ = squares_and_norms(measured, self._lengths(white.linear(ex.centers)))
        laplacian = (curvatures * distances) @ alpha / s2**2
        return divergence + laplacian - slopes @ alpha * trace / s2

    def _lengths(self, vectors: Tensor, points: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Map vectors so that inner products equal those in input coordinates.

        The vectors are at ``points``, given by :meth:`coordinates`. Without points, the vectors
        lie in the span of the samples. Without units, the map is the identity, because coordinates
        of a span are isometric.
        """
        if self.units is None:
            return vectors
        if self.subspace is not None:
            inside = self.subspace.lift_inside
            vectors = self.subspace.lift(*points, vectors) if points else inside(vectors)
        return self._in_input(vectors)

    def _trace(self) -> float:
        """Return the trace of the squared whitening matrix in input coordinates."""
        white = self.expansion.whitening
        if self.units is None:
            return white.precision_trace
        if self.subspace is None:
            return white.trace_in(self.units.scale)
        return white.trace_in(self.units.scale, self.subspace.basis.to(self.units.scale))

    def jvp(self, x: Tensor, v: Tensor) -> Tensor:
        r"""Return directional derivatives :math:`J_{\hat g}(x)\, v`, shape (n, d)."""
        if self.subspace is not None:
            jvp = torch.autograd.functional.jvp
            with torch.inference_mode(False):  # in inference mode, the derivative would be 0
                return jvp(self.score, x.clone(), v.clone())[1]  # type: ignore[no-untyped-call]
        ex = self.expansion
        white, s2 = ex.whitening, ex.bandwidth**2
        y = white(self.coordinates(x)[1])
        dy = white.linear((v if self.units is None else v / self.units.scale).to(y))
        weight, slope = ex.base.weight(y.square().sum(1))
        radial = 2 * slope * (y * dy).sum(1)
        base = -white.linear(weight[:, None] * dy + radial[:, None] * y)
        u, du = ex.kernel_coordinates(y), ex.kernel_coordinates(dy)
        centers = ex.kernel_coordinates(ex.centers)
        _, slopes, curvatures = ex.matrices(y)
        along = (du @ centers.mT - (u * du).sum(1, keepdim=True)) / s2
        if not ex.curl_free:
            return self._in_input(base + (slopes * along) @ self.coefficients)
        alpha = self.coefficients[:, 0]
        change = curvatures * along  # change of the slopes along v
        moved = (change * alpha) @ ex.centers - (change @ alpha)[:, None] * y
        return self._in_input(base + white.linear((moved - (slopes @ alpha)[:, None] * dy) / s2))

    def hyvarinen_loss(self, x: Tensor) -> Tensor:
        r"""Return Hyvärinen's loss :math:`\tfrac12\|\hat g\|^2 + \nabla\cdot\hat g`, (n,)."""
        return 0.5 * self.score(x).square().sum(1) + self.divergence(x)
