"""A fitted score: base plus kernel sections at centres, with its divergence and derivatives."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .base import RadialBase
from .kernels import squared_distances
from .span import Span
from .whitening import Whitening

__all__ = ["KernelExpansion", "ScoreModel"]


@dataclass(frozen=True)
class KernelExpansion:
    r"""The function space: coordinates, base, centres and kernel, before any coefficient.

    With :math:`y = W(x - \mu)` and kernel coordinates :math:`u = P y` (P the projection, or I),
    scores are sought in

    .. math:: g(x) = W \Big[ -w(\|y\|^2)\, y \Big] + \sum_m k(u, u_m)\, C_m
              \qquad\text{or, curl-free,}\qquad
              g(x) = W \Big[ -w(\|y\|^2)\, y + \nabla_y \sum_m \alpha_m k(y, y_m) \Big] .

    Attributes
    ----------
    whitening : Whitening
        The affine map to y.
    base : RadialBase
        The base's weight w.
    centers : Tensor of shape (m, d)
        Whitened centres :math:`y_m`: the samples, or landmarks among them.
    bandwidth : float
        Kernel width :math:`\sigma`, in units of u.
    projection : Tensor of shape (k, d) or None
        P. It serves the kernel only: the base has all d coordinates, the correction varies along
        the rows of P.
    curl_free : bool
        Whether the correction to the base is a gradient field.
    units : Tensor of shape (d,) or None
        What the components of scores are multiplied by where losses are compared: the features'
        standard deviations, so that no feature's unit decides. None compares in input coordinates.
    """

    whitening: Whitening
    base: RadialBase
    centers: Tensor
    bandwidth: float
    projection: Tensor | None = None
    curl_free: bool = False
    units: Tensor | None = None

    @property
    def operator_trace(self) -> float:
        r"""Trace of the operator that A is n times of: of sections 1, of gradients d / σ²."""
        return self.whitening.n_features / self.bandwidth**2 if self.curl_free else 1.0

    def kernel_coordinates(self, y: Tensor) -> Tensor:
        """Coordinates u (n, k) of whitened points (n, d)."""
        return y if self.projection is None else y @ self.projection.mT

    def gram(self, y: Tensor | None = None) -> Tensor:
        """Kernel values (n, m) of whitened points, or (m, m) of the centres themselves."""
        centers = self.kernel_coordinates(self.centers)
        if y is None:
            sq = squared_distances(centers)
        else:
            sq = squared_distances(self.kernel_coordinates(y), centers)
        # In place: for long streams the passes over this matrix are the cost.
        return sq.mul_(-0.5 / self.bandwidth**2).exp_()


@dataclass(frozen=True)
class ScoreModel:
    r"""A score :math:`\nabla \log q` that can be evaluated anywhere.

    Attributes
    ----------
    expansion : KernelExpansion
        Coordinates, base, centres, kernel.
    coefficients : Tensor of shape (m, d), or (m, 1) when curl-free
        C in input coordinates, or :math:`\alpha`.
    span : Span or None
        With fewer samples than features, everything above is in coordinates of their span.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import ScoreSettings, fit_dense
    >>> x = torch.randn(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> model = fit_dense(x, ScoreSettings()).model
    >>> model.divergence(torch.zeros(1, 2).double()).round()  # of -x: -2
    tensor([-2.], dtype=torch.float64)
    """

    expansion: KernelExpansion
    coefficients: Tensor
    span: Span | None = None

    def score(self, x: Tensor, gram: Tensor | None = None) -> Tensor:
        r"""Scores :math:`\hat g(x)`, shape (n, d), at any points (n, d).

        ``gram`` is the kernel (n, m) between the points and the centres, where it is known.
        """
        if self.span is not None:
            inner = self.span.embed(x).to(self.coefficients)
            return self.span.lift(x, inner, self._score(inner, gram))
        return self._score(x, gram)

    def score_samples(self, coordinates: Tensor, gram: Tensor) -> Tensor:
        """Scores at the samples of a dense fit, whose coordinates and kernel are known."""
        scores = self._score(coordinates, gram)
        if self.span is None:
            return scores
        return self.span.lift_samples(coordinates, scores)

    def _score(self, x: Tensor, gram: Tensor | None = None) -> Tensor:
        ex = self.expansion
        if ex.base.dof is None and not ex.curl_free and gram is not None:
            return gram.to(self.coefficients) @ self.coefficients
        y = ex.whitening(x)
        weight, _ = ex.base.weight(y.square().sum(1))
        gram = ex.gram(y) if gram is None else gram.to(y)
        if not ex.curl_free:
            return gram @ self.coefficients - ex.whitening.linear(weight[:, None] * y)
        sections = gram * self.coefficients[:, 0]
        gradient = (sections @ ex.centers - sections.sum(1, keepdim=True) * y) / ex.bandwidth**2
        return ex.whitening.linear(gradient - weight[:, None] * y)

    def divergence(self, x: Tensor) -> Tensor:
        r"""Divergence :math:`\nabla \cdot \hat g(x)` in input coordinates, shape (n,).

        For sections :math:`k(u, u_m) C_m`,

        .. math:: \nabla\cdot = -\sigma^{-2} \sum_m k(u, u_m)\, \langle u - u_m, P W C_m \rangle .
        """
        x = x if self.span is None else self.span.embed(x).to(self.coefficients)
        ex = self.expansion
        white, s2 = ex.whitening, ex.bandwidth**2
        y = white(x)
        yw = white.linear(y)
        squares = yw.square().sum(1)
        weight, slope = ex.base.weight(y.square().sum(1))
        divergence = -(weight * white.precision_trace + 2 * slope * squares)
        gram = ex.gram(y)
        if not ex.curl_free:
            u, centers = ex.kernel_coordinates(y), ex.kernel_coordinates(ex.centers)
            pushed = ex.kernel_coordinates(white.linear(self.coefficients))
            inner = ((gram @ pushed) * u).sum(1) - gram @ (centers * pushed).sum(1)
            return divergence - inner / s2
        centers_w = white.linear(ex.centers)
        sections = gram * self.coefficients[:, 0]
        distances = squared_distances(yw, centers_w)
        laplacian = (sections * distances).sum(1) / s2**2
        return divergence + laplacian - sections.sum(1) * white.precision_trace / s2

    def jvp(self, x: Tensor, v: Tensor) -> Tensor:
        r"""Directional derivatives :math:`J_{\hat g}(x)\, v`, shape (n, d), in closed form."""
        if self.span is not None:
            jvp = torch.autograd.functional.jvp
            derivative: Tensor = jvp(self.score, x, v)[1]  # type: ignore[no-untyped-call]
            return derivative
        ex = self.expansion
        white, s2 = ex.whitening, ex.bandwidth**2
        y, dy = white(x), white.linear(v)
        weight, slope = ex.base.weight(y.square().sum(1))
        radial = 2 * slope * (y * dy).sum(1)
        base = -white.linear(weight[:, None] * dy + radial[:, None] * y)
        u, du = ex.kernel_coordinates(y), ex.kernel_coordinates(dy)
        centers = ex.kernel_coordinates(ex.centers)
        gram = ex.gram(y)
        change = gram * (du @ centers.mT - (u * du).sum(1, keepdim=True)) / s2  # dk along v
        if not ex.curl_free:
            return base + change @ self.coefficients
        alpha = self.coefficients[:, 0]
        moved = (change * alpha) @ ex.centers - (change @ alpha)[:, None] * y
        return base + white.linear((moved - (gram @ alpha)[:, None] * dy) / s2)

    def hyvarinen_loss(self, x: Tensor) -> Tensor:
        r"""Hyvärinen's loss :math:`\tfrac12\|\hat g\|^2 + \nabla\cdot\hat g` at each row, (n,)."""
        return 0.5 * self.score(x).square().sum(1) + self.divergence(x)

    def to(self, target: torch.dtype | torch.device) -> ScoreModel:
        """The same model in another dtype or on another device."""
        ex = self.expansion
        white = ex.whitening.to(target)
        projection = None if ex.projection is None else ex.projection.to(target)
        units = None if ex.units is None else ex.units.to(target)
        moved = replace(
            ex,
            whitening=white,
            centers=ex.centers.to(target),
            projection=projection,
            units=units,
        )
        span = None if self.span is None else self.span.to(target)
        return ScoreModel(moved, self.coefficients.to(target), span)
