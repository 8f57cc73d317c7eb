"""Elliptical copula with a radial law that is estimated from the rows."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betainc, gammaln, ndtr, stdtrit
from torch import Tensor

from sk_mige.information._samples import check_pair
from sk_mige.information.references import (
    HELD_OUT,
    MAX_ROWS,
    GaussianReference,
    log_normal,
    pair_sums,
    whitener,
)

# Degrees of freedom and numbers of bins to compare on held-out rows.
DEGREES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0)
BINS = (16, 32, 64, 128)
# Fewest rows per bin on average, fewest rows of any bin, and number of subdivisions of a bin.
ROWS_PER_BIN, MIN_ROWS, SUBDIVISIONS = 16, 4, 3
# Largest numbers of alternations between the map of the columns and the radial law, in a fit and in
# a comparison, and change of the map at which alternations stop.
MAX_STEPS, FEW_STEPS, MIN_CHANGE = 20, 8, 0.01
# Normal scores at which the map of the columns is tabulated, and numbers of radii in tables of the
# margins and of the radial law.
SCORES = np.linspace(-7, 7, 2001)
N_RADII, N_CELLS = 801, 4096

Array = NDArray[Any]
Pair = tuple[Tensor, Tensor]


class EllipticalReference(GaussianReference):
    r"""Elliptical copula of normal scores.

    The columns are mapped to the margins of an elliptical density. Let :math:`t_{d}` be the density
    of the d-dimensional t distribution with ν degrees of freedom. At whitened rows of squared norm
    s, the elliptical density is :math:`t_d(s) h(s)`. The factor h is constant in each bin of s.
    With many bins, h describes any radial law. With one bin, the model is a t-copula. Fixed-point
    iterations fit the scatter matrix of a t density, which is proportional to that of the
    elliptical density.

    Let :math:`h_b` be the factor in the bin that ends at :math:`s_b`. The marginal density of k
    coordinates of squared norm s is

    .. math:: t_k(s) \sum_b h_b (w_b - w_{b-1}), \quad
              w_b = I_{(s_b - s)_+ / (\nu + s_b)} \Big(\frac{d - k}{2}, \frac{\nu + k}{2}\Big),

    where I is the regularised incomplete beta function. The map of the columns depends on h, and
    the norms depend on the map. The map and h are therefore updated in turn.

    Parameters
    ----------
    degrees : float, default=None
        Degrees of freedom ν. If None, the held-out likelihood selects the degrees of freedom.
    n_bins : int, default=None
        Approximate number of bins. If None, the held-out likelihood selects the number of bins.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import EllipticalReference, gaussianize_ranks
    >>> generator = torch.Generator().manual_seed(0)
    >>> x, y, scale = torch.randn(3, 2000, 1, generator=generator).double()
    >>> x, y = gaussianize_ranks(x / scale), gaussianize_ranks(y / scale)
    >>> f = EllipticalReference().fit(x, y).pointwise(x, y)
    >>> bool(abs(f.mean() - 0.22) < 0.05)  # uncorrelated, but not independent
    True
    """

    def __init__(self, degrees: float | None = None, n_bins: int | None = None) -> None:
        self.degrees = degrees
        self.n_bins = n_bins

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit the degrees of freedom, the scatter matrix and the radial law.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.

        Returns
        -------
        self : EllipticalReference
            The fitted reference.
        """
        check_pair(x, y)
        n = min(len(x), MAX_ROWS)
        m = int(n * (1 - HELD_OUT))
        some, others = (x[:m], y[:m]), (x[m:n], y[m:n])
        degrees, n_bins, scatter, quantiles = self.degrees, self.n_bins, None, None
        if degrees is None:
            degrees, scatter = self._best_degrees(some, others)
        if n_bins is None:
            self._fit_student(*some, degrees, scatter)
            n_bins, quantiles = self._best_bins(some, others)
        self._fit_student(x, y, degrees, scatter)
        if n_bins > 1:
            if quantiles is not None:
                self.quantiles_ = quantiles
            self._fit_radial_law(x, y, n_bins, MAX_STEPS)
        self.n_bins_ = n_bins
        return self

    def coordinates(self, z: Tensor) -> Tensor:
        """Map normal scores to quantiles of the margins of the elliptical density.

        Parameters
        ----------
        z : tensor of shape (n, d)
            Normal scores.

        Returns
        -------
        tensor of shape (n, d)
        """
        # A table suffices because the arcsinh of the quantiles is nearly linear.
        return torch.from_numpy(np.sinh(np.interp(z.detach().numpy(), SCORES, self.quantiles_)))

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the pointwise information of all pairs.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Coordinates of x, in the dtype of the result.
        y : tensor of shape (m, q)
            Coordinates of y.

        Returns
        -------
        tensor of shape (n, m)
        """
        p, d = x.shape[1], x.shape[1] + y.shape[1]
        precision = self.precision_.to(x) / self.degrees_
        left, right = (
            ((z @ own) * z).sum(1) for z, own in ((x, precision[:p, :p]), (y, precision[p:, p:]))
        )
        norms = pair_sums(2 * x @ precision[:p, p:], y, 1 + left, right).clamp_min_(1)
        logs = norms.log_()
        factors: Tensor | float = 0.0
        if len(self.ends_):  # a table is several times faster than a search
            cells = (logs.sqrt() * self.n_per_root_).clamp_(max=N_CELLS - 1)
            factors = self.cells_.to(x)[cells.int()]
        joint = logs.mul_(-(self.degrees_ + d) / 2).add_(factors)
        left, right = self._margin(x, True), self._margin(y, False)
        constant = self.information_ + self._log_student(x.new_zeros(()), d)
        return joint.add_((constant - left)[:, None]).sub_(right)

    def log_density(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the log-density of rows.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.

        Returns
        -------
        tensor of shape (n,)
        """
        scores = torch.cat([x, y], dim=1)
        z = self.coordinates(scores)
        joint = (
            self._log_radial((z @ self.whiten_).square().sum(1), z.shape[1]) - self.half_log_det_
        )
        # Divide by the margins, and multiply by the N(0, 1) margins of the scores.
        scale = self.scatter_.diagonal().sqrt()
        margins = (self._log_radial((z / scale).square(), 1) - scale.log()).sum(1)
        return joint - margins + log_normal(scores, 0.0)

    def _best_degrees(self, some: Pair, others: Pair) -> tuple[float, Tensor | None]:
        """Return the degrees of freedom with the best held-out likelihood, and the scatter."""
        best, chosen, scatter = -math.inf, DEGREES[-1], None
        for degrees in reversed(DEGREES):  # the likelihood has one mode, often at large degrees
            self._fit_student(*some, degrees, scatter)
            held_out = float(self.log_density(*others).mean())
            if held_out < best:
                break
            best, chosen, scatter = held_out, degrees, self.scatter_
        return chosen, scatter

    def _best_bins(self, some: Pair, others: Pair) -> tuple[int, Tensor]:
        """Return the number of bins with the best held-out likelihood, and the quantiles.

        More bins must increase the log-likelihood by two standard errors of the increase.
        """
        best, chosen, quantiles = self.log_density(*others), 1, self.quantiles_
        for n_bins in BINS:
            if len(some[0]) < ROWS_PER_BIN * n_bins:
                break
            self._fit_radial_law(*some, n_bins, FEW_STEPS)
            held_out = self.log_density(*others)
            gain = held_out - best
            if gain.mean() < 2 * gain.std() / math.sqrt(len(gain)):
                break
            best, chosen, quantiles = held_out, n_bins, self.quantiles_
        return chosen, quantiles

    def _fit_student(
        self, x: Tensor, y: Tensor, degrees: float, start: Tensor | None = None
    ) -> Self:
        """Fit a t-copula."""
        self.degrees_ = degrees
        self.quantiles_ = torch.from_numpy(np.arcsinh(stdtrit(degrees, ndtr(SCORES))))
        self.ends_ = x.new_zeros(0)
        scores = torch.cat([x, y], dim=1)
        scatter = scores.mT @ scores / len(x) if start is None else start
        d = len(scatter)
        scatter = scatter + 1e-10 * torch.eye(d, dtype=scatter.dtype, device=scatter.device)
        self._fit_scatter(self.coordinates(scores), scatter, x.shape[1], 30)
        return self

    def _fit_scatter(self, z: Tensor, scatter: Tensor, p: int, n_steps: int) -> None:
        """Fit the scatter matrix of a t density by fixed-point iterations."""
        n, d = z.shape
        for _ in range(n_steps):
            whiten, _ = whitener(scatter)
            weight = (self.degrees_ + d) / (self.degrees_ + (z @ whiten).square().sum(1))
            updated = (weight[:, None] * z).mT @ z / n
            change = float((updated - scatter).abs().max())
            scatter = updated
            if change < 1e-4:
                break
        self._set_scatter(scatter, p)
        self.scatter_ = scatter

    def _fit_radial_law(self, x: Tensor, y: Tensor, n_bins: int, n_steps: int) -> None:
        """Update the radial law and the map of the columns in turn."""
        scores = torch.cat([x, y], dim=1)
        self.d_, p = scores.shape[1], x.shape[1]
        self.widths_ = sorted({1, p, self.d_ - p})
        middle = abs(SCORES) < 3
        for step in range(n_steps):
            z = self.coordinates(scores)
            self._fit_scatter(z, self.scatter_, p, 3)
            self._set_factors((z @ self.whiten_).square().sum(1).numpy(), n_bins)
            if step == n_steps - 1:
                break
            before, self.quantiles_ = self.quantiles_, self._quantiles()
            if float((self.quantiles_ - before)[middle].abs().max()) < MIN_CHANGE:
                break

    def _set_factors(self, norms: Array, n_bins: int) -> None:
        """Set the factors of the bins from the squared norms of the rows.

        The factor is the share of the rows divided by the share of the t distribution. Neighbouring
        bins are averaged. The logarithm of the factor is interpolated at subdivisions of bins,
        because the density can change by a large factor within a bin. Above the largest norm, the
        factor is that of the last bin, but the mass is at most that of one row.
        """
        n, norms = len(norms), np.sort(norms)
        # Inner limits have equal steps in the sum of rank and log-norm, both scaled to [0, 1].
        # Ranks alone would not resolve gaps between scales.
        logs = np.log(norms + norms[n // 2] / n + 1e-300)
        levels = np.arange(n) / n + (logs - logs[0]) / max(logs[-1] - logs[0], 1e-300)
        inner = np.searchsorted(levels / 2, np.arange(1, n_bins) / n_bins)
        # The last bins are narrow, because the density can have an edge.
        outer = n - 0.5 ** np.arange(1, 20) * n / n_bins
        rows = MIN_ROWS * np.unique((np.append(inner, outer) / MIN_ROWS).round().astype(int))
        rows = rows[(rows > 0) & (rows < n)]
        # The last end is above the largest norm, so rounding errors do not change the row's bin.
        ends = np.unique(np.append((norms[rows - 1] + norms[rows]) / 2, 1.001 * norms[-1]))
        ends = ends[ends > 0]
        counts = np.diff(np.searchsorted(norms, ends, side="right"), prepend=0)
        window = (0.5, 1.0, 0.5)
        smooth = [np.convolve(v, window)[1:-1] for v in (counts, self._shares(ends))]
        logs = np.log(np.append(ends[0] / 2, ends))
        widths = np.diff(logs)[:, None] / SUBDIVISIONS
        fine = logs[:-1, None] + widths * np.arange(1, SUBDIVISIONS + 1)
        middle = (logs[1:] + logs[:-1]) / 2
        factors = np.interp((fine - widths / 2).ravel(), middle, np.log(smooth[0] / smooth[1]))
        ends, factors = np.exp(fine.ravel()), np.exp(factors)
        shares = self._shares(ends)
        rest = max(1e-300, 1 - shares.sum())
        factors = np.append(factors, min(factors[-1], 1 / rest))
        factors /= factors @ np.append(shares, rest)
        self.ends_, self.factors_ = torch.from_numpy(ends), torch.from_numpy(np.log(factors))
        # Factors at equal steps of the root of log(1 + s / ν), and beyond the last end.
        self.n_per_root_ = (N_CELLS - 1) / math.sqrt(math.log1p(ends[-1] / self.degrees_))
        roots = (np.arange(N_CELLS) + 0.5) / self.n_per_root_
        self.cells_ = self._log_factor(
            torch.from_numpy(self.degrees_ * np.expm1(roots**2)), self.d_
        )
        largest = max(1e3 * math.sqrt(ends[-1]), float(stdtrit(self.degrees_, ndtr(SCORES[-1]))))
        self.radii_ = torch.linspace(0, math.asinh(largest), N_RADII, dtype=torch.float64)
        norms = np.sinh(self.radii_.numpy()) ** 2
        tables = [self._marginal_factor(norms, k) for k in self.widths_]
        self.tables_ = torch.from_numpy(np.stack(tables))

    def _shares(self, ends: Array) -> Array:
        """Return the share of the t distribution in each bin."""
        below = betainc(self.d_ / 2, self.degrees_ / 2, ends / (self.degrees_ + ends))
        return np.maximum(np.diff(below, prepend=0), 1e-300)

    def _marginal_factor(self, norms: Array, k: int) -> Array:
        """Return the log-ratio of the densities of k coordinates to those of the t distribution."""
        ends, nu = self.ends_.numpy()[:, None], self.degrees_
        below = betainc((self.d_ - k) / 2, (nu + k) / 2, np.maximum(ends - norms, 0) / (nu + ends))
        shares = np.diff(below, axis=0, prepend=0, append=1)
        return np.log(np.maximum(self.factors_.exp().numpy() @ shares, 1e-300))

    def _quantiles(self) -> Tensor:
        """Return the arcsinh of the quantiles of the margins at ``SCORES``.

        The upper quartile is that of the t distribution, because a copula has no scale.
        """
        z = np.sinh(self.radii_.numpy())
        density = self._log_radial(torch.from_numpy(z).square(), 1).exp().numpy()
        cells = (density[1:] + density[:-1]) / 2 * np.diff(z)
        above = np.append(np.cumsum(cells[::-1])[::-1], 0.0) + 1e-300
        levels = np.log(2 * above[0]) - np.log(above)
        half = len(SCORES) // 2
        upper = np.interp(-np.log(ndtr(-SCORES[half:])), levels, z)
        upper *= stdtrit(self.degrees_, 0.75) / np.interp(math.log(4), levels, z)
        upper = np.arcsinh(upper)
        return torch.from_numpy(np.concatenate([-upper[:0:-1], upper]))

    def _log_radial(self, squared_norm: Tensor, d: int) -> Tensor:
        """Return the log-density of d whitened coordinates from squared norms."""
        student = self._log_student(squared_norm, d)
        return student + self._log_factor(squared_norm, d) if len(self.ends_) else student

    def _log_factor(self, squared_norm: Tensor, d: int) -> Tensor:
        """Return the log-ratio of the density to that of the t distribution."""
        if d == self.d_:
            bins = torch.bucketize(squared_norm.contiguous(), self.ends_.to(squared_norm))
            return self.factors_.to(squared_norm)[bins]
        table = self.tables_[self.widths_.index(d)]
        places = np.arcsinh(np.sqrt(squared_norm.numpy()))
        return torch.from_numpy(np.interp(places, self.radii_, table)).to(squared_norm)

    def _log_student(self, squared_norm: Tensor, d: int) -> Tensor:
        """Return the log-density of a d-dimensional t distribution from squared norms."""
        nu = self.degrees_
        constant = float(gammaln((nu + d) / 2) - gammaln(nu / 2)) - d / 2 * math.log(nu * math.pi)
        return constant - (nu + d) / 2 * torch.log1p(squared_norm / nu)
