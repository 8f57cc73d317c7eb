"""Dense and landmark fits of score models, with the choice of the regularisation strength."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sk_mige._arrays import check_finite, check_tensor
from sk_mige._sizes import as_number

from .folds import N_FOLDS, radial_folds, sample_folds
from .groups import separate_groups
from .heldout import (
    DenseSplit,
    KernelSums,
    QuadraticForm,
    WhitenedSamples,
    fold_losses,
    gradient_form,
    kernel_sums,
    section_linear,
    summed,
    tikhonov_filters,
)
from .kernels import KernelMatrices, squares_and_norms
from .model import KernelExpansion, ScoreModel, ScoreSettings, build_expansion
from .precision import widest_dtype
from .select import clear_gain, select_candidate
from .spectrum import (
    ALPHAS,
    CHOLESKY_RESOLUTION,
    exceeds,
    kernel_basis,
    orthonormal_sections,
    ridge_factor,
    significant,
    spectral_basis,
)
from .ssge import stein_moments
from .subspace import VaryingSubspace, fold_coordinates, sample_subspace, varying_units

MIN_SAMPLES_TO_CHOOSE = 12  # folds of fewer samples are too small
FALLBACK_ALPHA = 0.1
# Up to this number of rows per feature, the kernel part is small compared with the base. Training
# on half of the rows then selects the strength as well as training on two thirds, in half the time.
FEW_ROWS = 4
# Dense fits to more rows choose the strength with about LANDMARKS centres and solve by a Cholesky
# factorisation. Eigendecompositions of all rows would take minutes.
MAX_EIGH_ROWS = 2_000
LANDMARKS = 800
# Strengths are left out if the squared norm of the correction, divided by the number of rows,
# exceeds this multiple of the mean squared score. With one feature, such corrections often diverge
# outside the data.
IMPLAUSIBLE = 100.0


@dataclass(frozen=True)
class ScoreFit:
    """Fitted score model and its regularisation.

    Attributes
    ----------
    model : ScoreModel
        Fitted score.
    alpha : float
        Tikhonov strength, which is infinite for the base alone.
    n_eigen : int
        Number of eigenpairs used.
    spectrum : Tensor of shape (r,) or None
        Eigenvalues of the kernel operator in descending order, divided by their sum, or None if
        the fit did not compute them.
    matrices : KernelMatrices of shape (n, n) or None
        Kernel matrices of the samples, or None if the fit did not compute them.
    coordinates : Tensor of shape (n, r + 1) or None
        Coordinates of the samples in their span, or None if the fit did not use the span.
    """

    model: ScoreModel
    alpha: float
    n_eigen: int
    spectrum: Tensor | None = None
    matrices: KernelMatrices | None = None
    coordinates: Tensor | None = None

    def scores(self, x: Tensor) -> Tensor:
        """Return scores at the samples x of a dense fit, from the stored kernel matrices."""
        if self.coordinates is None:
            return self.model.score(x, self.matrices)
        return self.model.score_samples(self.coordinates, self.matrices)


def fit_dense(x: Tensor, settings: ScoreSettings, *, projection: Tensor | None = None) -> ScoreFit:
    """Fit a score with every sample as a centre of the kernel.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    settings : ScoreSettings
        Settings of the fit.
    projection : Tensor of shape (k, d), default=None
        Matrix that projects points to the coordinates of the kernel.

    Returns
    -------
    ScoreFit
        Fitted ``model``, which can be evaluated at any point, with ``alpha``, ``n_eigen`` and
        ``spectrum``.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import ScoreSettings, fit_dense
    >>> x = 2 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> model = fit_dense(x, ScoreSettings()).model
    >>> model.score(torch.tensor([[4.0, 0.0]]).double()).round(decimals=1)  # the truth is -x / 4
    tensor([[-1., 0.]], dtype=torch.float64)
    """
    # Choices between settings have no gradient.
    x = check_finite("x", check_tensor("x", x)).detach()
    units, points, varying = varying_units(x, settings.whiten)
    fit = fit_in_units(points, settings, projection, varying, x)
    return replace(fit, model=replace(fit.model, units=units))


def fit_in_units(
    x: Tensor,
    settings: ScoreSettings,
    projection: Tensor | None = None,
    varying: VaryingSubspace | None = None,
    rows: Tensor | None = None,
) -> ScoreFit:
    """Fit a score like :func:`fit_dense`, without a change of units.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    settings : ScoreSettings
        Settings of the fit.
    projection : Tensor of shape (k, d), default=None
        Matrix that projects points to the coordinates of the kernel.
    varying : VaryingSubspace, default=None
        Subspace in which the samples vary. None means the whole space.
    rows : Tensor of shape (n, any), default=None
        Original samples, used to find equal rows. If None, x is used.

    Returns
    -------
    ScoreFit
    """
    rows = x if rows is None else rows
    if varying is None:
        return _fit_points(x, settings, projection, rows)
    restricted = varying.restrict(projection)
    inner = _fit_points(varying.coordinates(x), settings, restricted, rows)
    expansion = lift_expansion(varying, inner.model.expansion, projection)
    coefficients = inner.model.coefficients
    if not expansion.curl_free:  # curl-free models have one coefficient per centre, in any space
        coefficients = coefficients @ varying.axes.mT
    return replace(inner, model=ScoreModel(expansion, coefficients))


def _fit_points(
    x: Tensor, settings: ScoreSettings, projection: Tensor | None, rows: Tensor
) -> ScoreFit:
    """Fit a score to samples that vary in all directions."""
    n, d = x.shape
    # Repeated products of the rows are cheaper in the coordinates of their span. A fit with a
    # single product stays in input coordinates, and only its Gram matrix needs float64.
    busy = settings.whiten or settings.chooses_alpha or settings.curl_free
    wide = d >= n and projection is None
    subspace, points = None, x
    if wide and busy and n > 2:
        subspace, points = sample_subspace(x)
    elif not wide or busy:
        points = x.to(widest_dtype(x))
        projection = None if projection is None else projection.to(points)
    expansion, sq = build_expansion(
        points, settings, projection=projection, n_features=d, principal=subspace is not None
    )
    alpha = _given_alpha(settings)
    if alpha is None:
        chosen, alpha = _choose(points, settings, expansion.bandwidth, projection, d, rows)
        if chosen.shrinkage == settings.shrinkage:
            expansion = replace(expansion, kernel=chosen.kernels[0])
        else:
            spanned = subspace is not None
            expansion, sq = build_expansion(
                points, chosen, projection=projection, n_features=d, principal=spanned
            )
    if math.isinf(alpha) and not settings.curl_free:
        fit = ScoreFit(ScoreModel(expansion, torch.zeros_like(expansion.centers)), alpha, 0)
    else:
        matrices = expansion.matrices_at(sq)
        solve = _fit_gradients if settings.curl_free else _fit_sections
        fit = replace(solve(expansion, matrices, settings, alpha), matrices=matrices)
    if subspace is None:
        return fit
    away = points.new_full((n, 1), subspace.floor)
    coordinates = torch.cat([points[:, :-1], away], dim=1)
    return replace(fit, model=replace(fit.model, subspace=subspace), coordinates=coordinates)


def fit_landmarks(
    expansion: KernelExpansion, fold_sums: list[KernelSums], settings: ScoreSettings
) -> ScoreFit:
    """Fit a score with landmarks as centres, from sums over the samples.

    Parameters
    ----------
    expansion : KernelExpansion
        Expansion for which the sums were computed.
    fold_sums : list of KernelSums
        Sums of disjoint parts of the samples, one for each fold.
    settings : ScoreSettings
        Settings of the fit.

    Returns
    -------
    ScoreFit
    """
    vectors = orthonormal_sections(expansion.gram())
    total = summed(fold_sums)
    alpha = _given_alpha(settings)
    if alpha is None:
        enough = total.n_samples >= MIN_SAMPLES_TO_CHOOSE
        losses = [*fold_losses(expansion, vectors, fold_sums, ALPHAS)] if enough else []
        # If all rows are copies of one row, one fold holds all rows, and there are no losses.
        alpha = _best_alpha(torch.stack(losses))[0] if losses else FALLBACK_ALPHA
    return _solve(expansion, vectors, total.fit, total.n_samples, settings, alpha)


def fit_stein(x: Tensor, settings: ScoreSettings, eta: float) -> ScoreModel:
    r"""Fit the Stein gradient estimator with ridge parameter η.

    Stein's identity for the functions :math:`k(\cdot, y_i)` is :math:`K \hat G + \langle\nabla,
    K\rangle \approx 0` with :math:`\langle\nabla, K\rangle_i = \sum_j \nabla_{y_j} k(y_i, y_j)`.
    For the RBF, the regularised solution is

    .. math:: \hat G = -(K + \eta I)^{-1} \langle\nabla, K\rangle
              = \sigma^{-2} (K + \eta I)^{-1} \big(K Y - \operatorname{diag}(K 1)\, Y\big) .

    At every point, the score equals that of Tikhonov-regularised SSGE with :math:`n \alpha = \eta`.
    The score is the function of smallest norm in the kernel's space with the values :math:`\hat G`
    at the samples,

    .. math:: \hat g(y) = \sum_j k(y, y_j)\, (K^{-1} \hat G)_j .

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples, preferably in float64.
    settings : ScoreSettings
        Settings of the fit. Only whitening, shrinkage, bandwidth and kernel are used. There is no
        base.
    eta : float
        Ridge η > 0.

    Returns
    -------
    ScoreModel

    References
    ----------
    Y. Li, R. E. Turner, "Gradient Estimators for Implicit Models", ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import ScoreSettings, fit_stein
    >>> generator = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(2, 400, 2, dtype=torch.float64, generator=generator)
    >>> error = fit_stein(x, ScoreSettings(), 0.1).score(y) - (-y)
    >>> bool(error.square().mean() < 0.2)
    True
    """
    ridge = replace(
        settings,
        alpha=as_number("eta", eta) / len(check_tensor("x", x)),
        base=None,
        n_eigen=None,
        eigen_threshold=None,
        curl_free=False,
    )
    return fit_dense(x, ridge).model


def lift_expansion(
    varying: VaryingSubspace, expansion: KernelExpansion, projection: Tensor | None
) -> KernelExpansion:
    """Map an expansion in coordinates of the varying subspace (r) to input coordinates (d)."""
    white, axes = expansion.whitening, varying.axes
    vectors = axes if white.vectors is None else axes @ white.vectors
    gains = white.gains + white.rest  # n > r: each direction has a separate gain
    mean = varying.origin + axes @ white.mean
    return replace(
        expansion,
        whitening=replace(white, mean=mean, vectors=vectors, gains=gains, rest=0.0),
        centers=expansion.centers @ axes.mT,
        projection=None if projection is None else projection.to(axes),
    )


def _given_alpha(settings: ScoreSettings) -> float | None:
    """Return the regularisation strength, or None if the strength is chosen on held-out samples."""
    if settings.chooses_alpha:
        return None
    return 0.0 if settings.alpha == "auto" else as_number("alpha", settings.alpha, closed="both")


def _choose(
    x: Tensor,
    settings: ScoreSettings,
    bandwidth: float,
    projection: Tensor | None,
    n_features: int,
    rows: Tensor,
) -> tuple[ScoreSettings, float]:
    """Choose kernel, shrinkage and strength by Hyvärinen's loss on held-out rows.

    Parameters
    ----------
    x : Tensor of shape (n, r)
        Samples, in the coordinates of the fit.
    settings : ScoreSettings
        Settings of the fit.
    bandwidth : float
        Bandwidth for the given shrinkage. All folds use this bandwidth, because the median pairwise
        distance hardly differs between folds.
    projection : Tensor of shape (k, r) or None
        Matrix that projects points to the coordinates of the kernel.
    n_features : int
        Dimension d of the input space.
    rows : Tensor of shape (n, any)
        Original samples, used to find equal rows.
    """
    if len(x) < MIN_SAMPLES_TO_CHOOSE:
        return settings.variants[0], FALLBACK_ALPHA
    if len(x) > MAX_EIGH_ROWS:
        return choose_over_landmarks(x, settings, projection, n_features, rows, LANDMARKS)
    few = len(x) <= FEW_ROWS * n_features
    part = sample_folds(x, 2 * N_FOLDS if few else N_FOLDS, rows)
    inner = None
    # Training parts of half of the rows may have fewer rows than columns.
    if few and projection is None and 2 * x.shape[1] >= len(x):
        centred = x - x.mean(0)
        inner = centred @ centred.mT

    @functools.cache
    def fold(k: int, shrinkage: float | str) -> tuple[DenseSplit, float]:
        held, kept = part == k, part != k
        if few:
            held, left_out = part // 2 == k, (2 * k + 3) % (2 * N_FOLDS)
            kept = ~held & (part != left_out)
        if inner is None:
            train, held_out = x[kept], x[held]
        else:
            train, held_out = fold_coordinates(inner, kept, held)
        spanned = inner is not None
        used = replace(settings, shrinkage=shrinkage)
        if shrinkage == settings.shrinkage:
            used = replace(used, bandwidth=bandwidth)
        ex, sq = build_expansion(
            train, used, projection=projection, n_features=n_features, principal=spanned
        )
        ys = ex.centers, ex.whitening(held_out)
        u, u_held = map(ex.kernel_coordinates, ys)
        rows, held_rows = (WhitenedSamples(ex.whitening, y, [ex.base], projection) for y in ys)
        return DenseSplit(rows, held_rows, (sq, squares_and_norms(u_held, u)[0])), ex.bandwidth

    def losses_of(variant: ScoreSettings) -> Iterator[Tensor]:
        for k in range(N_FOLDS):
            yield _losses_of_fold(*fold(k, variant.shrinkage), variant)

    return _best_variant(_suitable_variants(x, settings, few), losses_of)


def choose_over_landmarks(
    x: Tensor,
    settings: ScoreSettings,
    projection: Tensor | None,
    n_features: int,
    rows: Tensor,
    n_landmarks: int,
) -> tuple[ScoreSettings, float]:
    """Choose kernel, shrinkage and strength, with landmarks at all radii from the mean."""
    picked = radial_folds(x, max(1, len(x) // n_landmarks)) == 0
    part = sample_folds(x, N_FOLDS, rows)

    @functools.cache
    def expansion(shrinkage: float | str) -> tuple[KernelExpansion, Tensor]:
        used = replace(settings, shrinkage=shrinkage)
        return build_expansion(
            x, used, centers=x[picked], projection=projection, n_features=n_features
        )

    def losses_of(variant: ScoreSettings) -> Iterator[Tensor]:
        ex, sq = expansion(variant.shrinkage)
        ex = replace(ex, kernel=variant.kernels[0])
        sums = [kernel_sums(ex, x[part == k]) for k in range(N_FOLDS)]
        return fold_losses(ex, orthonormal_sections(ex.matrices_at(sq).values), sums, ALPHAS)

    return _best_variant(_suitable_variants(x, settings), losses_of)


def _suitable_variants(
    x: Tensor, settings: ScoreSettings, few: bool = False
) -> tuple[ScoreSettings, ...]:
    """Return the settings to compare, with a shrinkage of 1 only if there are separate groups.

    With few rows, a second whitening takes too much time for a small gain. In one dimension, only
    the first variant is suitable, because the losses of rough kernels vary too much.
    """
    variants, kinds = settings.variants, len(settings.kernels)
    if x.shape[1] == 1:
        return variants[:1]
    if few or len(variants) == kinds:
        return variants[:kinds]
    _, labels = separate_groups(x)
    return variants if bool((labels != labels[0]).any()) else variants[:kinds]


def _best_variant(
    variants: tuple[ScoreSettings, ...],
    losses_of: Callable[[ScoreSettings], Iterator[Tensor]],
) -> tuple[ScoreSettings, float]:
    """Choose a variant and a strength by held-out losses, with a preference for the first variant.

    Another variant replaces the first only if its loss is lower by two standard errors of the
    difference. Variants with the first shrinkage are not tried if the first variant does not
    improve on the base alone.

    Two bounds on the mean over three folds make some of the fits unnecessary.

    * The mean of three numbers plus the standard error is at least the second largest number. The
      base alone is therefore chosen if, in two folds, no strength has a lower loss than the base.
    * If a gain is at most 0 in one fold, the mean gain is at most two standard errors. The
      comparison with another kernel ends if no strength has a gain in every fold so far.
    """
    chosen, *others = variants
    whitened_once = variants[-1].shrinkage == chosen.shrinkage
    first: list[Tensor] = []
    for losses in losses_of(chosen):
        first.append(losses)
        if whitened_once and sum(not bool((part < part[-1]).any()) for part in first) == 2:
            return chosen, math.inf
    alpha, least = _best_alpha(torch.stack(first))
    for other in others:
        if math.isinf(alpha) and other.shrinkage == chosen.shrinkage:
            continue
        found: list[Tensor] = []
        for losses in losses_of(other):
            found.append(losses)
            gains = torch.stack(found) < least[: len(found), None]
            if not bool(gains.all(0).any()):
                break
        else:
            strength, lower = _best_alpha(torch.stack(found))
            if clear_gain(least, lower):
                chosen, alpha, least = other, strength, lower
    return chosen, alpha


def _losses_of_fold(split: DenseSplit, bandwidth: float, settings: ScoreSettings) -> Tensor:
    """Return the held-out loss of each strength, with the training rows as centres.

    The loss is infinite for a strength with an implausible norm. The lowest attainable loss is
    -E|g|²/2 for the true score g.
    """
    kernel = settings.kernels[0]
    if settings.curl_free:
        found = split.gradients(kernel, bandwidth, None, tikhonov_filters)
    else:
        decomposed = split.decomposed(kernel, bandwidth)
        found = split.sections(kernel, bandwidth, decomposed, tikhonov_filters)
    losses, norms = found[0][0], found[1][0]
    limit = IMPLAUSIBLE * len(split.train.y) * -2 * losses.min().clamp_max(0)
    return losses.masked_fill(norms > limit, math.inf).double()


def _best_alpha(losses: Tensor) -> tuple[float, Tensor]:
    """Choose a strength from losses (n_folds, n_alphas), and return the strength and its losses.

    The bounds on the corrections are replaced by ranks, because a larger strength has a smaller
    bound.
    """
    bounds = -torch.arange(len(ALPHAS), device=losses.device).expand(len(losses), -1)
    # With only three folds, a gain over the base alone, the last column, must be significant.
    best = select_candidate(losses, bounds.to(losses), losses[:, -1:])
    return ALPHAS[best], losses[:, best]


def _fit_sections(
    ex: KernelExpansion, matrices: KernelMatrices, settings: ScoreSettings, alpha: float
) -> ScoreFit:
    r"""Fit a kernel expansion centred at the samples, without ``curl_free``.

    For n ≤ d, an operator of shape (n, n) is formed first. Only one product of size n² d remains.
    Without base and whitening, the scores equal those of :func:`sk_mige.score.ssge`.
    """
    gram, (n, d), s2 = matrices.values, ex.centers.shape, ex.bandwidth**2
    samples = WhitenedSamples(ex.whitening, ex.centers, [ex.base], ex.projection)
    if alpha > 0 and not settings.truncates:
        factor = _cholesky(gram)
        if factor is not None:
            linear = section_linear(samples, samples.projected, matrices, s2)[0]
            scores = torch.cholesky_solve(linear, ridge_factor(gram, n * alpha))
            coefficients = torch.cholesky_solve(scores, factor).to(samples.yw.dtype)
            return ScoreFit(ScoreModel(ex, coefficients), alpha, n)
    basis = kernel_basis(gram)
    h = settings.filter(basis.values, n, alpha)
    if d >= n and ex.projection is None:
        moments = stein_moments(basis.vectors, basis.values, matrices, s2, samples.weights[0])
        operator = basis.vectors @ (h[:, None] * moments)
        coefficients = operator.to(samples.yw.dtype) @ samples.yw
    else:
        linear = section_linear(samples, samples.projected, matrices, s2)[0]
        coefficients = basis.vectors @ (h[:, None] * basis.project(linear))
    model, spectrum = ScoreModel(ex, coefficients), _fractions(basis.values)
    return ScoreFit(model, alpha, int((h > 0).sum()), spectrum)


def _cholesky(gram: Tensor) -> Tensor | None:
    """Return the Cholesky factor of a Gram matrix, or None if rounding errors would dominate.

    Above MAX_EIGH_ROWS rows, a ridge as large as the smallest resolved eigenvalue is added to K.
    """
    n = len(gram)
    if n <= MAX_EIGH_ROWS and not exceeds(gram, CHOLESKY_RESOLUTION * n):
        return None
    return ridge_factor(gram, CHOLESKY_RESOLUTION * n if n > MAX_EIGH_ROWS else 0.0)


def _fit_gradients(
    expansion: KernelExpansion, matrices: KernelMatrices, settings: ScoreSettings, alpha: float
) -> ScoreFit:
    """Fit the gradient of a kernel expansion centred at the samples."""
    y, white = expansion.centers, expansion.whitening
    vectors = orthonormal_sections(matrices.values)
    weights = expansion.base.weight(y.square().sum(1))[0][None]
    fit = gradient_form(y, y, white.n_features, matrices, expansion.bandwidth**2, weights)
    return _solve(expansion, vectors, fit, len(y), settings, alpha)


def _solve(
    expansion: KernelExpansion,
    vectors: Tensor,
    form: QuadraticForm,
    n_samples: int,
    settings: ScoreSettings,
    alpha: float,
) -> ScoreFit:
    """Minimise a regularised quadratic form over combinations of orthonormal sections."""
    form = form.within(vectors)
    basis = spectral_basis(form.quadratic)
    h = settings.filter(basis.values, n_samples * expansion.operator_trace, alpha)
    coefficients = vectors @ (basis.vectors @ (h[:, None] * basis.project(form.linear)))
    model = ScoreModel(expansion, coefficients)
    return ScoreFit(model, alpha, int((h > 0).sum()), _fractions(basis.values))


def spectrum_of(expansion: KernelExpansion) -> Tensor:
    """Return the eigenvalues (r,) of the centres' Gram matrix, divided by their sum."""
    gram = expansion.gram()
    values = torch.linalg.eigvalsh(gram.to(widest_dtype(gram))).flip(0)
    return _fractions(values[significant(values)])


def _fractions(values: Tensor) -> Tensor:
    return values / values.sum().clamp_min(torch.finfo(values.dtype).tiny)
