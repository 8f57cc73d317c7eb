"""Affine-equivariant score estimate, the default for information gradients from samples."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sk_mige._arrays import check_tensor
from sk_mige._contexts import one_by_one
from sk_mige.score import ScoreSettings, whitening
from sk_mige.score.fit import fit_landmarks
from sk_mige.score.folds import sample_folds
from sk_mige.score.heldout import KernelSums, fold_losses, kernel_sums, summed
from sk_mige.score.model import KernelExpansion, build_expansion
from sk_mige.score.spectrum import ALPHAS, orthonormal_sections
from sk_mige.score.subspace import varying_directions
from sk_mige.score.whitening import Whitening

# In whitened coordinates, the base density is the standard Gaussian. The regularisation strength of
# the kernel correction is chosen on held-out folds.
SETTINGS = ScoreSettings(whiten=False, base="gaussian")
CHUNK = 8192
# Bandwidths, as multiples of the median distance. The gain of a narrower kernel over the Gaussian
# must exceed MIN_RATIO times that of the wider kernel, because narrow kernels have a larger
# variance. The surplus must exceed MIN_SHARE of d / 2, the size of the Gaussian's loss, because
# gains can be due to chance.
BANDWIDTH_FACTORS, MIN_RATIO, MIN_SHARE = (1.0, 0.5, 0.25, 0.125), 1.5, 0.5
# With fewer samples, folds are too small to choose a bandwidth.
MIN_SAMPLES_TO_NARROW = 200


@one_by_one
def whitened_scores(
    z: Tensor, *, sq_distances: Tensor | None = None, bandwidth_factor: float = 1.0
) -> Tensor:
    r"""Scores at the samples, from a Gaussian with the sample covariance plus a kernel correction.

    .. math:: \hat g(z) = W\,[-y + \textstyle\sum_m k(y, y_m)\, C_m], \qquad y = W (z - \bar z),
              \quad W = S^{-1/2}

    With n ≥ 3 d samples, S is the sample covariance without shrinkage. The estimate is then exactly
    affine equivariant, unless :func:`~sk_mige.score.whitening` leaves out outliers, as for Cauchy
    samples. The Tikhonov strength is chosen by Hyvärinen's loss on three folds in the whitened
    coordinates. All folds use the same S. At infinite strength, the estimate is the score of the
    Gaussian.

    Without shrinkage, the biases of the inverse covariances largely cancel in the difference of
    joint and marginal scores.

    Parameters
    ----------
    z : tensor of shape (n, d)
        Samples. With n < 3 d, whitening uses a shrunk covariance. A tenth of the samples are kernel
        centres, but at least 100 and at most 400 samples. With fewer than 100 samples, all samples
        are centres.
    sq_distances : None
        Squared distances, which must be None, because the estimate needs coordinates.
    bandwidth_factor : float, default=1.0
        Kernel width as a multiple of the median distance. Narrow kernels resolve clusters and
        oscillations, and have a larger variance.

    Returns
    -------
    tensor of shape (n, d)
        Detached scores in the dtype of z, or in float64 for integers. If a column of z is constant
        or a linear combination of other columns, the component across the subspace is 0. If a value
        of z is NaN or infinite, all scores are NaN.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import whitened_scores
    >>> z = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(whitened_scores(10 * z), whitened_scores(z) / 10, atol=1e-5))
    True
    """
    if sq_distances is not None:
        raise ValueError(
            "sq_distances must be None: whitened scores need coordinates; got a "
            f"{type(sq_distances).__name__}. Use sk_mige.score.ssge for distances"
        )
    # Compute on the CPU, because a GPU would wait for each of the small eigendecompositions.
    points = check_tensor("z", z).detach().cpu()
    if not bool(points.isfinite().all()):  # the loss is NaN, and training keeps the last weights
        return torch.full_like(z, torch.nan)
    points = points if points.is_floating_point() else points.double()
    varying = varying_directions(points)
    points = points.double() if varying is None else varying.coordinates(points)
    white = _whitening(points)
    y = white(points)
    centers = radial_landmarks(y, _n_landmarks(len(y)))
    settings = replace(SETTINGS, bandwidth_factor=bandwidth_factor)
    correction = fit_landmarks(*_fold_sums(y, settings, centers, sample_folds(y)), settings).model
    scores = white.scores(correction.score(y))
    scores = scores if varying is None else scores @ varying.axes.mT
    scores = scores.to(z.dtype) if z.is_floating_point() else scores
    if not bool(scores.isfinite().all()):
        raise ValueError(
            f"the scores of z exceed the range of dtype {z.dtype}: rescale the columns of z, or "
            "pass z in float64"
        )
    return scores.to(z.device)


def radial_landmarks(y: Tensor, m: int) -> Tensor:
    """Return m of the samples, evenly spaced in the order of their norms.

    The selection does not depend on the order of the rows.
    """
    return y[_radial_picks(y, m)]


def _radial_picks(y: Tensor, m: int) -> Tensor:
    order = torch.argsort(y.square().sum(1))
    places = torch.linspace(0, len(y) - 1, m, dtype=torch.float32, device=y.device)
    return order[places.round().long()]


def _n_landmarks(n: int) -> int:
    return min(n, max(100, min(n // 10, 400)))


def confirmed_bandwidth(z: Tensor) -> float:
    """Return the bandwidth factor that the held-out loss of samples z selects."""
    y = _whitening(z)(z)
    if len(y) < MIN_SAMPLES_TO_NARROW:
        return BANDWIDTH_FACTORS[0]
    chosen, gains = BANDWIDTH_FACTORS[0], _gains(y, BANDWIDTH_FACTORS[0])
    for factor in BANDWIDTH_FACTORS[1:]:
        narrower = _gains(y, factor)
        surplus = narrower - MIN_RATIO * gains
        chance = 2 * float(surplus.std()) / len(surplus) ** 0.5
        least = max(chance, MIN_SHARE * y.shape[1] / 2)
        if bool((surplus > 0).all()) and float(surplus.mean()) > least:
            chosen, gains = factor, narrower
    return chosen


def _gains(y: Tensor, bandwidth_factor: float) -> Tensor:
    """Return the decrease of each fold's loss from the Gaussian, at the best Tikhonov strength.

    Centres of the kernel are left out of the folds. A narrow kernel fits the centres, so the
    held-out loss would be biased at the centres.
    """
    picks = _radial_picks(y, min(_n_landmarks(len(y)), len(y) // 2))
    others = torch.ones(len(y), dtype=torch.bool)
    others[picks] = False
    rows = y[others]
    settings = replace(SETTINGS, bandwidth_factor=bandwidth_factor)
    gains = fold_gains(rows, settings, y[picks], sample_folds(rows))
    return gains[:, gains.mean(0).argmax()]


def fold_gains(y: Tensor, settings: ScoreSettings, centers: Tensor, fold: Tensor) -> Tensor:
    """Return the loss of the Gaussian minus that of each Tikhonov strength, for each fold."""
    expansion, sums = _fold_sums(y, settings, centers, fold)
    vectors = orthonormal_sections(expansion.gram())
    losses = torch.stack([*fold_losses(expansion, vectors, sums, ALPHAS)])
    return losses[:, -1:] - losses  # the last strength is infinite: the Gaussian alone


def _whitening(z: Tensor) -> Whitening:
    """Return the whitening by the sample covariance, or with shrinkage for few samples."""
    n, d = z.shape
    return whitening(z, 0.0 if n >= 3 * d else "auto")[0]


def _fold_sums(
    y: Tensor, settings: ScoreSettings, centers: Tensor, fold: Tensor
) -> tuple[KernelExpansion, list[KernelSums]]:
    """Return the expansion with the given centres, and the sums of each fold."""
    expansion, _ = build_expansion(y, settings, centers=centers)
    chunks = [torch.split(y[fold == k], CHUNK) for k in range(int(fold.max()) + 1)]
    return expansion, [summed(kernel_sums(expansion, rows) for rows in own) for own in chunks]
