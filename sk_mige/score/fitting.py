"""Fit a score model: frame, bandwidth, spectral filter; dense, or over landmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .base import RadialBase, fit_base
from .expansion import KernelExpansion, ScoreModel
from .kernels import median_bandwidth, squared_distances
from .span import sample_span
from .spectral import leading_eigenpairs
from .sums import (
    KernelSums,
    SpectralBasis,
    kernel_basis,
    kernel_sums,
    path_losses,
    spectral_basis,
)
from .whitening import Whitening, identity_whitening, whitening

__all__ = [
    "ALPHAS",
    "ScoreFit",
    "ScoreSettings",
    "fit_dense",
    "fit_frame",
    "fit_landmarks",
    "frame_expansion",
    "radial_folds",
    "spectral_filter",
]

# Tikhonov strengths tried, relative to the kernel operator's trace of 1. The last leaves the
# base alone.
ALPHAS: tuple[float, ...] = (
    *(10.0 ** (k / 2) for k in range(-14, 3)),
    math.inf,
)
N_FOLDS = 3
MIN_SAMPLES_TO_CHOOSE = 12  # below, folds are too small to say anything
FALLBACK_ALPHA = 0.1


@dataclass(frozen=True)
class ScoreSettings:
    """What determines a fit; see :class:`sk_mige.SSGEScoreEstimator` for the meanings."""

    n_eigen: int | None = None
    eigen_threshold: float | None = None
    alpha: float | str = "auto"
    bandwidth: float | str = "median"
    whiten: bool = True
    shrinkage: float | str = "auto"
    base: str | None = "student"
    curl_free: bool = False
    bandwidth_factor: float = 1.0  # multiplies the median

    @property
    def truncates(self) -> bool:
        """Whether the spectrum is cut off."""
        return self.n_eigen is not None or self.eigen_threshold is not None

    @property
    def chooses_alpha(self) -> bool:
        """Whether the Tikhonov strength is chosen on held-out folds."""
        return self.alpha == "auto" and not self.truncates


@dataclass(frozen=True)
class ScoreFit:
    """A model and what was chosen on the way to it.

    Attributes
    ----------
    model : ScoreModel
        The fitted score.
    alpha : float
        Tikhonov strength; 0 where the spectrum was cut off, infinite for the base alone.
    eigenvalues : Tensor of shape (r,)
        Spectrum, descending, as fractions of its sum.
    n_eigen : int
        Number of eigenpairs used.
    """

    model: ScoreModel
    alpha: float
    eigenvalues: Tensor
    n_eigen: int


def spectral_filter(
    values: Tensor, n_samples: int, alpha: float, kept: Tensor | None = None
) -> Tensor:
    r"""Tikhonov's filter :math:`h = 1 / (a + n \alpha)`, on the kept part of the spectrum.

    Parameters
    ----------
    values : Tensor of shape (r,)
        Spectrum a of the sums, descending.
    n_samples : int
        Number of samples n that were summed.
    alpha : float
        Strength; 0 is the plain inverse and infinity returns zeros.
    kept : Tensor of bool of shape (r,), default=None
        Spectral cutoff; by default nothing is cut.

    Returns
    -------
    Tensor of shape (r,)

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import spectral_filter
    >>> spectral_filter(torch.tensor([2.0, 1.0]), 10, 0.1)
    tensor([0.3333, 0.5000])
    """
    if math.isinf(alpha):
        return torch.zeros_like(values)
    inverse = (values + n_samples * alpha).clamp_min(torch.finfo(values.dtype).tiny).reciprocal()
    return inverse if kept is None else inverse * kept


def radial_folds(x: Tensor, n_folds: int = N_FOLDS) -> Tensor:
    """Fold number of each row: dealt in turn to the rows sorted by distance from the mean.

    Every fold gets its share of centre and tails, and the folds do not depend on the order in
    which the rows come.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    n_folds : int, default=3
        Number of folds.

    Returns
    -------
    Tensor of int of shape (n,)
    """
    radii = (x - x.mean(0)).square().sum(1)
    rank = torch.argsort(torch.argsort(radii, stable=True))
    return rank % n_folds


def fit_frame(
    x: Tensor, settings: ScoreSettings, n_features: int | None = None
) -> tuple[Whitening, RadialBase]:
    """Whitening and base, all that is estimated before the kernel.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    settings : ScoreSettings
        Choices.
    n_features : int, default=None
        Dimension of the space of which x gives coordinates.

    Returns
    -------
    whitening : Whitening
    base : RadialBase
    """
    d = n_features or x.shape[1]
    if settings.whiten:
        white, radii = whitening(x, settings.shrinkage, d)
        return white, fit_base(settings.base, radii, d)
    white = identity_whitening(x, d)
    squares = (x - white.mean).square().sum(1)
    variance = float(squares.mean()) / d or 1.0
    return white, fit_base(settings.base, squares / variance, d, variance)


def frame_expansion(
    x: Tensor,
    settings: ScoreSettings,
    *,
    centers: Tensor | None = None,
    projection: Tensor | None = None,
    n_features: int | None = None,
) -> tuple[KernelExpansion, Tensor]:
    """Expansion over the rows of x, or over other centres, and the Gram matrix of its centres.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples that determine whitening and base.
    settings : ScoreSettings
        Choices.
    centers : Tensor of shape (m, d), default=None
        Landmarks in input coordinates; the rows of x by default.
    projection : Tensor of shape (k, d), default=None
        Projection of the kernel's coordinates.
    n_features : int, default=None
        Dimension of the space of which x gives coordinates.

    Returns
    -------
    expansion : KernelExpansion
    gram : Tensor of shape (m, m)
    """
    white, base = fit_frame(x, settings, n_features)
    y = white(x if centers is None else centers)
    expansion = KernelExpansion(white, base, y, 1.0, projection, settings.curl_free)
    sq = squared_distances(expansion.kernel_coordinates(y))
    if isinstance(settings.bandwidth, str):
        sigma = settings.bandwidth_factor * float(median_bandwidth(sq))
    else:
        sigma = float(settings.bandwidth)
    gram = sq.div_(-2 * sigma**2).exp_()
    return replace(expansion, bandwidth=sigma), gram


def fit_dense(x: Tensor, settings: ScoreSettings, *, projection: Tensor | None = None) -> ScoreFit:
    """Fit with every sample a centre.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    settings : ScoreSettings
        Choices.
    projection : Tensor of shape (k, d), default=None
        Projection of the kernel's coordinates.

    Returns
    -------
    ScoreFit
    """
    n, d = x.shape
    reduces = d >= n > 2 and projection is None and (settings.whiten or settings.chooses_alpha)
    if reduces:
        span, points = sample_span(x)
    else:
        span, points = None, x.to(_working_dtype(x))
        projection = None if projection is None else projection.to(points)
    expansion, gram = frame_expansion(points, settings, projection=projection, n_features=d)
    alpha = _alpha(settings)
    if math.isnan(alpha):
        alpha = _choose_alpha_dense(points, settings, projection, d)
    basis, sums = _dense_problem(expansion, points, gram)
    fit = _solve(expansion, basis, sums, settings, alpha)
    return replace(fit, model=replace(fit.model, span=span))


def fit_landmarks(
    expansion: KernelExpansion, fold_sums: list[KernelSums], settings: ScoreSettings
) -> ScoreFit:
    """Fit from sums over landmarks, one for each fold.

    Parameters
    ----------
    expansion : KernelExpansion
        What the sums were taken over.
    fold_sums : list of KernelSums
        Sums of disjoint parts of the samples; together all of them.
    settings : ScoreSettings
        Choices.

    Returns
    -------
    ScoreFit
    """
    gram = expansion.gram()
    kernel = kernel_basis(gram)
    total = fold_sums[0]
    for sums in fold_sums[1:]:
        total = total + sums
    alpha = _alpha(settings)
    if math.isnan(alpha):
        losses = torch.zeros(len(ALPHAS), dtype=gram.dtype, device=gram.device)
        for held_out in fold_sums:
            if 0 < held_out.n_samples < total.n_samples:
                train = total - held_out
                basis = spectral_basis(kernel, train.fit[0])
                filters = _alpha_filters(basis, train.n_samples)
                part = path_losses(basis, train.fit[1], filters, held_out)
                losses += part * held_out.n_samples
        alpha = _best_alpha(losses) if total.n_samples >= MIN_SAMPLES_TO_CHOOSE else FALLBACK_ALPHA
    return _solve(expansion, spectral_basis(kernel, total.fit[0]), total, settings, alpha)


def _alpha(settings: ScoreSettings) -> float:
    """Strength where the settings fix it, else NaN."""
    if settings.chooses_alpha:
        return math.nan
    return 0.0 if settings.alpha == "auto" else float(settings.alpha)


def _dense_problem(
    expansion: KernelExpansion, x: Tensor, gram: Tensor
) -> tuple[SpectralBasis, KernelSums]:
    """Basis and sums at the centres themselves; A = K² stays unformed for the score itself."""
    sums = kernel_sums(expansion, x, quadratic=expansion.curl_free, gram=gram, purpose="fit")
    basis = kernel_basis(gram)
    return (spectral_basis(basis, sums.fit[0]) if expansion.curl_free else basis), sums


def _choose_alpha_dense(
    x: Tensor, settings: ScoreSettings, projection: Tensor | None, n_features: int
) -> float:
    """Strength with the least Hyvärinen loss over folds, everything refitted in each."""
    if len(x) < MIN_SAMPLES_TO_CHOOSE:
        return FALLBACK_ALPHA
    fold = radial_folds(x)
    losses = torch.zeros(len(ALPHAS), dtype=x.dtype, device=x.device)
    for k in range(N_FOLDS):
        train, held_out = x[fold != k], x[fold == k]
        expansion, gram = frame_expansion(
            train, settings, projection=projection, n_features=n_features
        )
        basis, sums = _dense_problem(expansion, train, gram)
        filters = _alpha_filters(basis, len(train))
        measured = kernel_sums(expansion, held_out, purpose="loss")
        part = path_losses(basis, sums.fit[1], filters, measured)
        losses += part * len(held_out)
    return _best_alpha(losses)


def _alpha_filters(basis: SpectralBasis, n_samples: int) -> Tensor:
    return torch.stack([spectral_filter(basis.values, n_samples, a) for a in ALPHAS])


def _best_alpha(losses: Tensor) -> float:
    """Least loss; of equals the strongest, and never one that is not finite."""
    order = torch.nan_to_num(losses, nan=math.inf).flip(0)
    return ALPHAS[len(ALPHAS) - 1 - int(order.argmin())]


def _solve(
    expansion: KernelExpansion,
    basis: SpectralBasis,
    sums: KernelSums,
    settings: ScoreSettings,
    alpha: float,
) -> ScoreFit:
    """Coefficients C = S diag(h) S' R."""
    kept = None
    if settings.truncates:
        kept = leading_eigenpairs(basis.values, settings.n_eigen, settings.eigen_threshold)
    filter_ = spectral_filter(basis.values, sums.n_samples, alpha, kept)
    coefficients = basis.vectors @ (filter_[:, None] * (basis.vectors.mT @ sums.fit[1]))
    total = basis.values.sum().clamp_min(torch.finfo(basis.values.dtype).tiny)
    n_eigen = int((filter_ > 0).sum())
    return ScoreFit(ScoreModel(expansion, coefficients), alpha, basis.values / total, n_eigen)


def _working_dtype(x: Tensor) -> torch.dtype:
    return torch.float32 if x.device.type == "mps" else torch.float64
