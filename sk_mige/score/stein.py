"""Kernel Stein discrepancies, the wild bootstrap and Stein thinning, from samples and scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_mige._arrays import check_finite, check_tensor
from sk_mige._sizes import as_number, as_size

from .kernels import (
    Kernel,
    median_bandwidth,
    resolve_kernel,
    squared_distances,
    squares_and_norms,
)
from .posterior import ScoreErrors
from .precision import widest_dtype
from .subspace import varying_units
from .whitening import identity_whitening, whitening

# Largest number of rows from which the median distance is computed.
MEDIAN_ROWS = 1_000
# Shrinkage of the covariance to its diagonal, for each preconditioner.
SHRINKAGE = MappingProxyType({"std": 1.0, "covariance": 0.0})
# Names of bandwidths.
BANDWIDTHS = ("median", "scaled-median")
# Largest singular value of scores, relative to the first, that counts as a rounding error.
ACROSS = 1e-4
# Number of rows and of columns of a block of kernel values. Matrices of 512 KiB fit into the cache.
BLOCK_ROWS = 256


@dataclass(frozen=True)
class SteinKernel:
    r"""Langevin Stein kernel of a density p, between rows with known scores.

    With the score :math:`s = \nabla \log p` and a kernel k,

    .. math:: k_p(x, y) = \nabla_x \cdot \nabla_y k + s(x) \cdot \nabla_y k
              + s(y) \cdot \nabla_x k + k\, s(x) \cdot s(y) .

    For a smooth density on the whole space, the mean of :math:`k_p(\cdot, y)` under p is 0 for
    every y. For a radial kernel :math:`k(u)` of the squared distance :math:`u = \|x - y\|^2`,

    .. math:: k_p(x, y) = k\, s(x) \cdot s(y) - 2 k' \left[d + (s(x) - s(y)) \cdot (x - y)\right]
              - 4 u\, k'' .

    If the errors e of estimated scores have mean 0 and a known covariance, the kernel is the
    expected Stein kernel, :math:`k_p(x, y) + k\, \mathbb E[e(x) \cdot e(y)]`. The expectation is
    the inner product of additional columns of ``scores``.

    All terms are computed by matrix products, so no array of shape (n, n, d) is formed. Sums over
    all pairs of rows are computed over blocks of 256 rows and columns.

    Use :func:`stein_kernel` to construct a Stein kernel.

    Attributes
    ----------
    points : Tensor of shape (n, d)
        Rows in the coordinates of the preconditioner, in units of the bandwidth.
    scores : Tensor of shape (n, d + r)
        Scores in the coordinates of ``points``, and r ≥ 0 columns for the errors of the scores.
    kernel : Kernel
        Kernel k.
    bandwidth : float
        Bandwidth σ in the coordinates of the preconditioner.

    References
    ----------
    J. Gorham, L. Mackey, "Measuring Sample Quality with Kernels", ICML 2017.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import stein_kernel
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> stein_kernel(x, -x, bandwidth=1.0, preconditioner=None).matrix().diagonal()
    tensor([1., 2.], dtype=torch.float64)
    """

    points: Tensor
    scores: Tensor
    kernel: Kernel
    bandwidth: float

    def take(self, rows: slice | Tensor) -> SteinKernel:
        """Return the Stein kernel of selected rows, with the same coordinates and bandwidth."""
        return replace(self, points=self.points[rows], scores=self.scores[rows])

    def matrix(self, other: SteinKernel | None = None) -> Tensor:
        """Return the values (n, m) between the rows and those of ``other``, by default ``self``."""
        other = other or self
        x, s, y, t = self.points, self.scores, other.points, other.scores
        u, _ = squares_and_norms(x, y)  # distances in bandwidths need no check of their range
        k, slope, curvature = self.kernel.matrices(u, 1.0)
        inner, d = s @ t.mT, x.shape[1]
        s, t = s[:, :d], t[:, :d]
        # The products (s - t)·(x - y), without an array of differences.
        mixed = (s * x).sum(1)[:, None] + (t * y).sum(1) - s @ y.mT - x @ t.mT
        return k * inner + slope * (mixed + d) - u * curvature

    def diagonal(self) -> Tensor:
        """Return the kernel value (n,) of each row with itself."""
        return self.scores.square().sum(1) + self.kernel.steepness * self.points.shape[1]

    def discrepancy(self, statistic: str = "u") -> float:
        """Return the squared discrepancy, as in :func:`kernel_stein_discrepancy`."""
        total = self._quadratic_forms(self.points.new_ones(len(self.points), 1))
        return self._statistics(total, statistic).item()

    def bootstrap(self, n_bootstrap: int, rng: np.random.RandomState) -> tuple[float, Tensor]:
        r"""Compute the U-statistic and its distribution under the null hypothesis.

        The wild bootstrap multiplies the value of each pair of rows by random signs,

        .. math:: \frac{1}{n (n - 1)} \sum_{i \neq j} w_i w_j\, k_p(x_i, x_j),
                  \qquad w_i \in \{-1, 1\} .

        Parameters
        ----------
        n_bootstrap : int
            Number of bootstrap replicates B.
        rng : numpy.random.RandomState
            Source of the signs.

        Returns
        -------
        statistic : float
            U-statistic of the rows.
        replicates : Tensor of shape (B,)
            U-statistics with random signs.

        References
        ----------
        K. Chwialkowski, H. Strathmann, A. Gretton, "A Kernel Test of Goodness of Fit", ICML 2016.
        """
        signs = rng.randint(0, 2, size=(len(self.points), 1 + n_bootstrap), dtype=np.int8)
        signs[:, 0] = 1
        found = self._statistics(self._quadratic_forms(torch.from_numpy(2 * signs - 1)), "u")
        return float(found[0]), found[1:]

    def thin(self, n_points: int) -> Tensor:
        """Return the indices of selected rows, as in :func:`stein_thinning`."""
        objective = self.diagonal() / 2
        picked = []
        for _ in range(as_size("n_points", n_points)):
            picked.append(int(objective.argmin()))
            objective += self.matrix(self.take(slice(picked[-1], picked[-1] + 1)))[:, 0]
        return torch.tensor(picked, device=objective.device)

    def _quadratic_forms(self, weights: Tensor) -> Tensor:
        """Return the sums over all pairs of rows, weighted by each column of (n, B) weights."""
        weights = weights.to(self.points.device)
        starts = range(0, len(self.points), BLOCK_ROWS)
        blocks = [slice(start, start + BLOCK_ROWS) for start in starts]
        total = self.points.new_zeros(weights.shape[1])
        for number, rows in enumerate(blocks):
            left = weights[rows].to(total)
            for columns in blocks[number:]:
                sums = self.take(rows).matrix(self.take(columns)) @ weights[columns].to(total)
                total += (left * sums).sum(0) * (1 if columns == rows else 2)
        return total

    def _statistics(self, totals: Tensor, statistic: str) -> Tensor:
        """Return statistics from sums over all pairs of rows, with signs as weights."""
        n = len(self.points)
        if statistic not in ("u", "v"):
            raise ValueError(f"statistic must be 'u' or 'v', got {statistic!r}")
        if statistic == "v":
            return totals / n**2
        if n < 2:
            raise ValueError(f"statistic='u' needs at least 2 rows, got {n}; use statistic='v'")
        return (totals - self.diagonal().sum()) / (n * (n - 1))


def stein_kernel(
    x: Tensor,
    scores: Tensor,
    *,
    kernel: Kernel | str = "imq",
    bandwidth: float | str = "median",
    preconditioner: str | None = "std",
    errors: ScoreErrors | None = None,
) -> SteinKernel:
    r"""Construct the Langevin Stein kernel of a density p from rows and their scores.

    The distances of the kernel are :math:`\|W (x - y)\| / \sigma` with the bandwidth
    :math:`\sigma`. By default, W divides each column by its standard deviation, so that
    discrepancies do not depend on the units of the columns. Riabiz et al. use distances without
    standardisation. The choices "med" and "sclmed" of Riabiz et al. are ``bandwidth="median"`` and
    ``"scaled-median"`` with ``preconditioner=None``. The choice "smpcov" has the distances of
    ``bandwidth=1.0`` with ``preconditioner="covariance"``, but scores in the units of x. The scores
    of this function are in the coordinates of W.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Rows.
    scores : Tensor of shape (n, d)
        Scores :math:`\nabla \log p` at the rows, in units of 1 / feature. For n > d rows in a
        subspace, the kernel is the Stein kernel of a density in the subspace. Scores that span more
        directions than the rows are an exception.
    kernel : {"rbf", "imq", "matern", "multiscale"} or Kernel, default="imq"
        Kernel k(u) of :math:`u = \|W (x - y)\|^2 / \sigma^2`. The default is the inverse
        multiquadric kernel :math:`(1 + u)^{-1/2}`, with the exponent of the two references. In
        three or more dimensions, the discrepancy with ``"rbf"`` can vanish for samples that
        diverge. With the default kernel and a density with light tails, the discrepancy of
        diverging samples does not vanish.
    bandwidth : float, "median" or "scaled-median", default="median"
        Bandwidth :math:`\sigma`. ``"median"`` is the median distance between m ≤ 1,000 rows, chosen
        at regular intervals of the row index. ``"scaled-median"`` divides the median by
        :math:`\sqrt{\log m}`. Thinning needs a finer resolution, and therefore the smaller
        bandwidth. A number is in units of standard deviations, or in the units of x if
        ``preconditioner=None``.
    preconditioner : {"std", "covariance"} or None, default="std"
        Coordinates of the distances. ``"std"`` divides each column by its standard deviation, or by
        a robust estimate if outliers dominate. ``"covariance"`` whitens the rows, so that distances
        do not depend on correlations. The covariance excludes outliers that dominate a column. With
        ``"covariance"``, tests with few rows per feature are conservative. If None, rows keep the
        units of x.
    errors : ScoreErrors, default=None
        Posterior of the errors of estimated scores, from
        :func:`sk_mige.score.posterior.score_errors`. If None, the scores are exact.

    Returns
    -------
    SteinKernel
        Kernel of the rows, computed in the widest dtype of the device.

    Raises
    ------
    ValueError
        If ``x`` and ``scores`` do not share a shape (n, d), or if an option is unknown.

    References
    ----------
    J. Gorham, L. Mackey, "Measuring Sample Quality with Kernels", ICML 2017.

    M. Riabiz, W. Chen, J. Cockayne, P. Swietach, S. Niederer, L. Mackey, C. Oates, "Optimal
    Thinning of MCMC Output", JRSS B 84, 2022.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import stein_kernel
    >>> x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> values = stein_kernel(x, -x).matrix()  # the score of N(0, I) is -x
    >>> values.shape, bool(values.mean() < 0.02)
    (torch.Size([500, 500]), True)
    """
    for name, rows in {"x": x, "scores": scores}.items():
        check_finite(name, check_tensor(name, rows))
    if x.shape != scores.shape:
        raise ValueError(
            f"scores must have the shape of x, (n, d), got {tuple(scores.shape)} for x of shape "
            f"{tuple(x.shape)}"
        )
    if isinstance(bandwidth, str) and bandwidth not in BANDWIDTHS:
        raise ValueError(
            f"bandwidth must be 'median', 'scaled-median' or a number, got {bandwidth!r}"
        )
    exact = x.to(widest_dtype(x))
    if preconditioner is not None and preconditioner not in SHRINKAGE:
        raise ValueError(
            f"preconditioner must be 'std', 'covariance' or None, got {preconditioner!r}"
        )
    found = _subspace(x, scores, preconditioner)
    if found is not None:
        exact, axes = found
        x, scores = exact, scores.to(axes) @ axes
        errors = None if errors is None else replace(errors, root=errors.root.to(axes) @ axes)
        preconditioner = None if preconditioner == "std" else preconditioner
    white = (
        whitening(x, SHRINKAGE[preconditioner])[0] if preconditioner else identity_whitening(exact)
    )
    y = white(exact)
    if isinstance(bandwidth, str):
        some = y[:: math.ceil(len(y) / MEDIAN_ROWS)]
        divisor = max(1.0, math.log(len(some))) ** 0.5 if bandwidth == "scaled-median" else 1.0
        width: Any = median_bandwidth(squared_distances(some)) / divisor  # differentiable
        bandwidth = float(width.item())
    else:
        width = bandwidth = as_number("bandwidth", bandwidth)
    units = 1.0 if white.units is None else white.units.scale
    inner = white.inverse_linear(scores.to(y) * units)
    if errors is not None:
        scale = torch.linalg.norm(white.inverse_linear(errors.root.to(y) * units))
        inner = torch.cat([inner, scale * errors.draws.to(y)], dim=1)
    # Constant columns with zero scores do not count in d, because the density has no extent there.
    # For n ≤ d, _subspace does not find these columns.
    kept = (y != y[0]).any(0) | (inner[:, : y.shape[1]] != 0).any(0)
    if kept.any():
        y, inner = y[:, kept], torch.cat([inner[:, : len(kept)][:, kept], inner[:, len(kept) :]], 1)
    return SteinKernel(y / width, inner * width, resolve_kernel(kernel), bandwidth)


def _subspace(
    x: Tensor, scores: Tensor, preconditioner: str | None
) -> tuple[Tensor, Tensor] | None:
    """Return coordinates (n, r) of the subspace in which rows vary, and a map of scores (d, r).

    In the whole space, Stein's identity does not hold for a density in a subspace, because the
    divergence contains derivatives across the subspace. With a preconditioner, the coordinates are
    in units of standard deviations.

    The result is None if the rows vary in all directions. The result is also None if the scores
    span more than r directions. The density then has an extent across the subspace. Across the
    subspace, the scores can have a component that is a linear function of the other components. The
    function depends on the units of an estimator, so the component is ignored.
    """
    units, _, varying = varying_units(x.detach())
    if units is None or varying is None:
        return None
    tangents = units.scale[:, None] * varying.axes
    s = scores.detach().to(tangents) * units.scale
    sizes = torch.linalg.svdvals(s)
    if sizes[tangents.shape[1]] > ACROSS * sizes[0]:
        return None
    if preconditioner is None:
        axes = torch.linalg.qr(tangents)[0]
        return x.to(axes) @ axes, axes
    return varying.coordinates(units(x)), tangents


def kernel_stein_discrepancy(
    x: Tensor, scores: Tensor, *, statistic: str = "u", **options: Any
) -> float:
    r"""Compute the squared kernel Stein discrepancy between samples and a density p.

    The squared discrepancy of two equal densities is 0. The U-statistic is an unbiased estimate of
    the squared discrepancy between p and the density of the samples:

    .. math:: \frac{1}{n (n - 1)} \sum_{i \neq j} k_p(x_i, x_j) .

    The V-statistic :math:`n^{-2} \sum_{i, j} k_p(x_i, x_j)` is the squared discrepancy between p
    and the empirical distribution of the rows. The V-statistic is never negative. Both statistics
    are dimensionless. The time is O(n² d), and the memory is O(n d).

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples, at least 2 for the U-statistic.
    scores : Tensor of shape (n, d)
        Scores :math:`\nabla \log p` at the samples, in units of 1 / feature.
    statistic : {"u", "v"}, default="u"
        Name of the statistic.
    **options : dict
        Parameters ``kernel``, ``bandwidth`` and ``preconditioner`` of :func:`stein_kernel`.

    Returns
    -------
    float
        Squared discrepancy.

    Raises
    ------
    ValueError
        If the statistic is unknown or needs more rows, or if :func:`stein_kernel` raises an error.

    References
    ----------
    Q. Liu, J. Lee, M. Jordan, "A Kernelized Stein Discrepancy for Goodness-of-fit Tests", ICML
    2016.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import kernel_stein_discrepancy
    >>> x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> right = kernel_stein_discrepancy(x, -x)  # the score of N(0, I) is -x
    >>> shifted = kernel_stein_discrepancy(x, 0.5 - x)
    >>> bool(abs(right) < 0.02 < shifted)
    True
    """
    return stein_kernel(x, scores, **options).discrepancy(statistic)


def stein_thinning(
    x: Tensor,
    scores: Tensor,
    n_points: int,
    *,
    bandwidth: float | str = "scaled-median",
    **options: Any,
) -> Tensor:
    r"""Select rows whose empirical distribution is close to a density p.

    Each step adds the row that minimises the discrepancy of all selected rows,

    .. math:: \pi_j = \arg\min_i \tfrac12 k_p(x_i, x_i)
              + \sum_{l < j} k_p(x_{\pi_l}, x_i) .

    The sums over the selected rows are updated, so that m steps take time O(n m d). A row can be
    selected repeatedly. The candidates need not be samples of p. For example, candidates can be
    states of a Markov chain with burn-in, or samples from an approximation of p.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Candidates.
    scores : Tensor of shape (n, d)
        Scores :math:`\nabla \log p` at the candidates, in units of 1 / feature.
    n_points : int
        Number m of rows to select.
    bandwidth : float, "median" or "scaled-median", default="scaled-median"
        Bandwidth, as in :func:`stein_kernel`.
    **options : dict
        Parameters ``kernel`` and ``preconditioner`` of :func:`stein_kernel`.

    Returns
    -------
    Tensor of shape (m,)
        Indices of rows, in the order of selection. The first :math:`j` indices are the result for
        ``n_points=j``.

    References
    ----------
    M. Riabiz, W. Chen, J. Cockayne, P. Swietach, S. Niederer, L. Mackey, C. Oates, "Optimal
    Thinning of MCMC Output", JRSS B 84, 2022.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import stein_thinning
    >>> x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> indices = stein_thinning(x, -x, 20)
    >>> bool(x[indices].mean(0).norm() < 0.05)
    True
    """
    return stein_kernel(x, scores, bandwidth=bandwidth, **options).thin(n_points)
