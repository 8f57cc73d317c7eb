"""Fit a score model: frame, bandwidth, spectral filter; dense, or over landmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .basis import SpectralBasis, kernel_basis, section_moments, significant, spectral_basis
from .expansion import KernelExpansion, ScoreModel
from .filters import spectral_filter
from .frame import ScoreSettings, frame_expansion
from .span import sample_span
from .spectral import leading_eigenpairs
from .strength import choose_alpha, choose_alpha_of_sums, dense_problem
from .sums import KernelSums
from .varying import varying_directions

__all__ = ["ScoreFit", "fit_dense", "fit_landmarks"]


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
    gram : Tensor of shape (n, n) or None
        Kernel between the samples, where each of them is a centre.
    coordinates : Tensor of shape (n, r + 1) or None
        The samples in the coordinates of their span, where the model has one.
    """

    model: ScoreModel
    alpha: float
    eigenvalues: Tensor
    n_eigen: int
    gram: Tensor | None = None
    coordinates: Tensor | None = None

    def scores(self, x: Tensor) -> Tensor:
        """Scores at the samples x of a dense fit, by a product or two with what is known."""
        assert self.gram is not None  # dense
        if self.coordinates is None:
            return self.model.score_samples(x.to(self.model.coefficients), self.gram)
        return self.model.score_samples(self.coordinates, self.gram)


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
        ``model``, which can be evaluated anywhere, and what was chosen: ``alpha``,
        ``eigenvalues``, ``n_eigen``.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import ScoreSettings, fit_dense
    >>> x = 2 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> model = fit_dense(x, ScoreSettings()).model
    >>> model.score(torch.tensor([[4.0, 0.0]]).double()).round(decimals=1)  # the truth is -x / 4
    tensor([[-1., 0.]], dtype=torch.float64)
    """
    n, d = x.shape
    varying = varying_directions(x)
    if varying is not None:
        inner = fit_dense(varying.coordinates(x), settings, projection=varying.seen(projection))
        return replace(inner, model=varying.lift_model(inner.model, projection))
    # Fits that form many products of the rows form them in the span's few coordinates.
    busy = settings.whiten or settings.chooses_alpha or settings.curl_free
    wide = d >= n and projection is None and not busy
    reduces = d >= n > 2 and projection is None and busy
    if reduces:
        span, points = sample_span(x)
    else:
        # Of wide data only the Gram matrix needs float64: no column is ever inverted.
        span, points = None, x if wide else x.to(_working_dtype(x))
        projection = None if projection is None else projection.to(points)
    expansion, gram = frame_expansion(
        points, settings, projection=projection, n_features=d, principal=reduces
    )
    if wide:
        return replace(_fit_sections(expansion, gram, settings, _alpha(settings)), gram=gram)
    alpha = _alpha(settings)
    if math.isnan(alpha):
        # The folds share the bandwidth: a median of pairs hardly differs between them.
        fixed = replace(settings, bandwidth=expansion.bandwidth)
        alpha = choose_alpha(points, fixed, projection, d, x)
    if math.isinf(alpha) and not settings.curl_free:
        fit = _base_alone(expansion, gram)
    elif projection is None and not settings.curl_free:
        fit = _fit_sections(expansion, gram, settings, alpha)
    else:
        basis, sums = dense_problem(expansion, points, gram)
        fit = _solve(expansion, basis, sums, settings, alpha)
    fit = replace(fit, model=replace(fit.model, span=span), gram=gram)
    if span is None:
        return fit
    away = points.new_full((n, 1), span.floor)
    return replace(fit, coordinates=torch.cat([points[:, :-1], away], dim=1))


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
        alpha = choose_alpha_of_sums(expansion, kernel, fold_sums, total)
    return _solve(expansion, spectral_basis(kernel, total.fit[0]), total, settings, alpha)


def _alpha(settings: ScoreSettings) -> float:
    """Strength where the settings fix it, else NaN."""
    if settings.chooses_alpha:
        return math.nan
    return 0.0 if settings.alpha == "auto" else float(settings.alpha)


def _filter(basis: SpectralBasis, settings: ScoreSettings, n: float, alpha: float) -> Tensor:
    kept = None
    if settings.truncates:
        kept = leading_eigenpairs(basis.values, settings.n_eigen, settings.eigen_threshold)
    return spectral_filter(basis.values, n, alpha, kept)


def _solve(
    expansion: KernelExpansion,
    basis: SpectralBasis,
    sums: KernelSums,
    settings: ScoreSettings,
    alpha: float,
) -> ScoreFit:
    """Coefficients C = S diag(h) S' R."""
    filter_ = _filter(basis, settings, sums.n_samples * expansion.operator_trace, alpha)
    coefficients = basis.vectors @ (filter_[:, None] * (basis.vectors.mT @ sums.fit[1]))
    return _report(ScoreModel(expansion, coefficients), alpha, basis, filter_)


def _base_alone(expansion: KernelExpansion, gram: Tensor) -> ScoreFit:
    """No correction: the spectrum is told, its vectors are not needed."""
    values = torch.linalg.eigvalsh(gram).flip(0)
    values = values[significant(values)]
    model = ScoreModel(expansion, torch.zeros_like(expansion.centers))
    return _report(model, math.inf, SpectralBasis(values[:0], values), torch.zeros_like(values))


def _fit_sections(
    expansion: KernelExpansion, gram: Tensor, settings: ScoreSettings, alpha: float
) -> ScoreFit:
    r"""Dense fit of the score, linear in the whitened samples: :math:`C = S h T\, Y W`.

    Of fewer samples than features the operator of shape (n, n) is formed first, so that nothing
    but one product is of size n² d.
    """
    y = expansion.centers
    basis = kernel_basis(gram)
    filter_ = _filter(basis, settings, len(y), alpha)
    if expansion.base.dof is None:
        weight = gram.new_zeros(len(y))
    else:
        weight = expansion.base.weight(y.square().sum(1))[0].to(gram)
    moments = section_moments(basis, gram, weight, expansion.bandwidth**2)
    yw = expansion.whitening.linear(y)
    if y.shape[1] >= len(y):
        coefficients = (basis.vectors @ (filter_[:, None] * moments)).to(yw.dtype) @ yw
    else:
        coefficients = basis.vectors @ (filter_[:, None] * (moments @ yw.to(gram.dtype)))
    return _report(ScoreModel(expansion, coefficients.to(yw.dtype)), alpha, basis, filter_)


def _report(model: ScoreModel, alpha: float, basis: SpectralBasis, filter_: Tensor) -> ScoreFit:
    total = basis.values.sum().clamp_min(torch.finfo(basis.values.dtype).tiny)
    return ScoreFit(model, alpha, basis.values / total, int((filter_ > 0).sum()))


def _working_dtype(x: Tensor) -> torch.dtype:
    return torch.float32 if x.device.type == "mps" else torch.float64
