"""Log-densities of score models, with closed forms, a curl-free projection and a normaliser."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .folds import radial_folds
from .heldout import gradient_form
from .kernels import RBF, neighbour_squares, squares_and_norms
from .model import KernelExpansion, ScoreModel
from .precision import widest_dtype

# Largest number of centres of a projected potential.
MAX_CENTERS = 2_000
# Ridge of the projection, relative to the trace of the least-squares problem.
RIDGE = 5e-7
# Ridge of the Gram matrix, relative to its trace. The ridge exceeds rounding errors of equal rows.
JITTER = 1e-7
# Largest distance from the nearest centre at which the potential is evaluated, in bandwidths and in
# median nearest-neighbour distances of the centres. The larger limit is used.
REACH, SPACINGS = 0.5, 2.0
# A centre is beyond a point if the cosine of the angle at the point exceeds this value.
BEYOND = 0.5
# Number of draws from the base, and smallest effective sample size. With an effective sample size
# of 100, the standard error of the log-normaliser is 0.1.
N_DRAWS, MIN_EFFECTIVE = 16_384, 100


@dataclass(frozen=True, eq=False)  # a hash of the fields fails in torch.compile
class LogDensity:
    r"""Log-density :math:`\log b(y) + \phi(y)` of a score model, shifted to 0 at the mean.

    The model is the score of a base density b plus a kernel expansion. The gradient of the
    potential :math:`\phi` is the expansion, or the gradient closest to the expansion. In whitened
    coordinates,

    .. math:: \phi(y) = \sum_m \alpha_m\, \kappa(y, y_m) .

    Here :math:`\kappa` is the kernel k. For the RBF in one dimension without ``curl_free``,
    :math:`\kappa` is the integral of k, an error function. In this case, and for curl-free models,
    the gradient of :math:`\phi` is exactly the expansion.

    Other expansions :math:`c(y)` are not gradients in general. The coefficients :math:`\alpha` then
    minimise

    .. math:: \sum_i \|\nabla \phi(y_i) - c(y_i)\|^2 + \lambda\, \alpha^\top K \alpha

    over the centres :math:`y_i`, with a small ridge :math:`\lambda`.

    Outside the data, the extrapolation of a wide kernel is unreliable. Let y be at a distance r
    from the nearest centre z. A centre c is beyond y if the angle between :math:`y - z` and
    :math:`c - y` is below 60 degrees. With a base, let r exceed :math:`r_0`, and let no centre be
    beyond y. The potential at y is then replaced by the potential at :math:`z + (y - z)\, r_0 / r`.
    Only the base then changes the density along a line away from z. In two or more dimensions, the
    density can jump where the nearest centre changes. The distance :math:`r_0` is the larger of
    half a bandwidth and twice the median distance of centres to their nearest neighbours.

    Attributes
    ----------
    model : ScoreModel
        Fitted score.
    centers : Tensor of shape (m, d)
        Centres of the terms of the potential, in whitened coordinates.
    coefficients : Tensor of shape (m, 1)
        Coefficients :math:`\alpha`.
    integrated : bool
        Whether :math:`\kappa` is the integral of the kernel.
    """

    model: ScoreModel
    centers: Tensor
    coefficients: Tensor
    integrated: bool = False

    @classmethod
    def of(cls, model: ScoreModel) -> LogDensity:
        """Construct the log-density of a model in the widest dtype."""
        wide = widest_dtype(model.coefficients)
        ex = model.expansion.to(wide)
        model = replace(model, expansion=ex, coefficients=model.coefficients.to(wide))
        if ex.curl_free:
            return cls(model, ex.centers, model.coefficients)
        if not model.coefficients.any():
            return cls(model, ex.centers[:1], ex.centers.new_zeros(1, 1))
        flat = ex.centers.shape[1] == 1 and ex.projection is None
        if flat and isinstance(ex.kernel, RBF):
            return cls(model, ex.centers, ex.whitening.inverse_linear(model.coefficients), True)
        picked = radial_folds(ex.centers, math.ceil(len(ex.centers) / MAX_CENTERS)) == 0
        potential = replace(ex, centers=ex.centers[picked])
        correction = ex.whitening.inverse_linear(ex.gram() @ model.coefficients)
        alpha = _projected(potential, ex.centers, correction)
        return cls(model, potential.centers, alpha)

    def __call__(self, x: Tensor) -> Tensor:
        """Return log-densities (n,) at points (n, d), relative to the value at the sample mean."""
        white = self.model.expansion.whitening
        _, inner = self.model.coordinates(x)
        return self._at(white(inner)) - self._at(torch.zeros_like(white.mean)[None])

    def _at(self, y: Tensor) -> Tensor:
        """Return log-densities (n,) at whitened points, up to a constant."""
        base = self.model.expansion.base.log_density(y.square().sum(1))
        return base + (self._features(self._within_reach(y)) @ self.coefficients)[:, 0]

    @cached_property
    def _kernel_centers(self) -> Tensor:
        return self.model.expansion.kernel_coordinates(self.centers)

    @cached_property
    def _reach(self) -> float:
        """Largest distance from the nearest centre at which the potential is evaluated."""
        spacing = math.sqrt(float(neighbour_squares(self._kernel_centers).median()))
        return max(REACH * self.model.expansion.bandwidth, SPACINGS * spacing)

    def _within_reach(self, y: Tensor) -> Tensor:
        """Move points (n, d) outside the data towards the nearest centre."""
        ex = self.model.expansion
        if ex.base.dof is None or not bool(self.coefficients.any()):
            return y
        u, centers = ex.kernel_coordinates(y), self._kernel_centers
        sq, nearest = squares_and_norms(u, centers)[0].min(1)
        far = (sq > self._reach**2).nonzero()[:, 0]
        away = u[far] - centers[nearest[far]]
        along = away @ centers.mT - (away * u[far]).sum(1, keepdim=True)
        distance = squares_and_norms(u[far], centers)[0].sqrt() * away.norm(dim=1, keepdim=True)
        far = far[(along <= BEYOND * distance).all(1)]
        near = self.centers[nearest[far]]
        y = y.clone()
        y[far] = near + (y[far] - near) * (self._reach / sq[far].sqrt())[:, None]
        return y

    def _features(self, y: Tensor) -> Tensor:
        """Return the values (n, m) of κ between points and centres."""
        expansion = replace(self.model.expansion, centers=self.centers)
        if not self.integrated:
            return expansion.gram(y)
        width = expansion.bandwidth * math.sqrt(2.0)
        return torch.erf((y - self.centers.mT) / width) * (width * math.sqrt(math.pi) / 2)

    def log_normalizer(self) -> float:
        r"""Estimate the logarithm of the integral of :math:`e^\ell`, with ℓ the log-density.

        Importance sampling draws y from the base density b in whitened coordinates:

        .. math:: \int e^{\ell(x)} dx = |\det W|^{-1}\; \mathbb E_{y \sim b}\, e^{\ell(y)} / b(y) .

        Every call uses the same draws. If all coefficients are 0, the result is exact.

        Returns
        -------
        float
            Logarithm of the integral, in nats.

        Raises
        ------
        ValueError
            If the model has no base, or if the density exists only in a subspace. The error is also
            raised if the effective sample size :math:`(\sum w)^2 / \sum w^2` is below 100, where w
            are the importance weights.
        """
        base, white = self.model.expansion.base, self.model.expansion.whitening
        self._check_integrable()
        y = self._draws()
        at_mean = self._at(torch.zeros_like(white.mean)[None])
        weights = self._at(y) - at_mean - base.log_density(y.square().sum(1))
        effective = float((2 * weights.logsumexp(0) - (2 * weights).logsumexp(0)).exp())
        if not effective >= MIN_EFFECTIVE:
            raise ValueError(
                f"normalize=True: {len(y)} draws from the base have an effective sample size of "
                f"{effective:.0f}, below the smallest valid size {MIN_EFFECTIVE}. The density "
                "differs too much from the elliptical base. Use fewer features of X, or "
                "normalize=False"
            )
        mean_weight = float(weights.logsumexp(0)) - math.log(len(y))
        units = self.model.units
        log_units = 0.0 if units is None else float(units.scale.abs().log().sum())
        return mean_weight + base.log_constant - white.log_determinant + log_units

    def _check_integrable(self) -> None:
        """Raise ValueError if the density has no finite integral over the whole space."""
        white = self.model.expansion.whitening
        if self.model.expansion.base.dof is None:
            raise ValueError(
                "normalize=True needs an estimate with a base. Without a base, the log-density is "
                "constant far from X, so the density has no finite integral. Fit an estimator with "
                "base='student', or use normalize=False"
            )
        if self.model.subspace is None and len(white.mean) != white.n_features:
            raise ValueError(
                f"normalize=True needs rows of X that vary in all directions, but X varies along "
                f"{white.n_features} of {len(white.mean)} directions. Drop constant and redundant "
                "columns, or use normalize=False"
            )

    def _draws(self) -> Tensor:
        """Draw whitened coordinates from the base.

        For a span, the last coordinate is the distance from the span.
        """
        ex, rng = self.model.expansion, np.random.RandomState(0)
        width, d = len(ex.whitening.mean), ex.whitening.n_features
        y = rng.standard_normal((N_DRAWS, width))
        if self.model.subspace is not None:
            y[:, -1] = np.sqrt(rng.chisquare(d - width + 1, N_DRAWS))
        scale = np.full(N_DRAWS, ex.base.variance)
        if ex.base.dof is not None and math.isfinite(ex.base.dof):
            scale *= (ex.base.dof - 2) / rng.chisquare(ex.base.dof, N_DRAWS)
        return torch.from_numpy(y * np.sqrt(scale)[:, None]).to(self.centers)


def _projected(potential: KernelExpansion, points: Tensor, correction: Tensor) -> Tensor:
    """Return coefficients (m, 1) of the potential whose gradient is closest to a correction."""
    s2 = potential.bandwidth**2
    v, z = potential.directions(points), potential.directions(potential.centers)
    matrices, kernel = potential.matrices(points), potential.gram()
    trace = len(points) * potential.kernel_coordinates(points).shape[1] / s2
    trace *= potential.kernel.steepness
    no_base = v.new_zeros(1, len(v))
    form = gradient_form(v, z, points.shape[1], matrices, s2, no_base)
    offsets = correction @ z.mT - (correction * v).sum(1, keepdim=True)
    linear = (matrices.slopes * offsets).sum(0)[:, None] / s2
    kernel.diagonal().add_(JITTER * len(kernel))
    # In the coordinates L' alpha, the ridge is a multiple of the identity.
    root = torch.linalg.cholesky(kernel)
    half = torch.linalg.solve_triangular(root, form.quadratic, upper=False)
    quadratic = torch.linalg.solve_triangular(root, half.mT, upper=False)
    quadratic.diagonal().add_(RIDGE * trace)
    inner = torch.linalg.solve_triangular(root, linear, upper=False)
    return torch.linalg.solve_triangular(root.mT, torch.linalg.solve(quadratic, inner), upper=True)
