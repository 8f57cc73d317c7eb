"""Selection of score models by held-out Hyvärinen loss, with shared eigendecompositions."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .base import fit_base
from .heldout import DenseSplit, WhitenedSamples, tikhonov_filters
from .kernels import Kernel, squared_distances
from .model import ScoreSettings
from .spectrum import leading_eigenpairs, spectral_filter
from .whitening import fit_whitening

# Standard errors by which the loss of a candidate with a smaller bound may exceed the lowest loss.
TOLERANCE = 0.5
# A squared norm per row is implausible above IMPLAUSIBLE times the mean squared score. Losses below
# WILD times the lowest attainable loss are due to rounding errors.
IMPLAUSIBLE, WILD = 2.0, 1e3
# Standard errors by which the gain over a simpler candidate must exceed 0.
CLEAR_GAIN = 2.0
# The best 1 / LEADING of the candidates, and at least three, are the leading candidates.
LEADING = 20


@dataclass(frozen=True)
class CandidateGrid:
    """Grid of settings, whose combinations are the candidates.

    Candidates with the same whitening, kernel and bandwidth share one eigendecomposition. The
    ``scales`` are pairs of kernel and bandwidth factor.
    """

    shrinkages: Sequence[float | str]
    scales: Sequence[tuple[Kernel, float]]
    curl_frees: Sequence[bool]
    bases: Sequence[str | None]
    eigen_thresholds: Sequence[float]
    alphas: Sequence[float]

    @property
    def filter_parameters(self) -> list[tuple[float | None, float]]:
        """Pairs (eigen_threshold, alpha): all cutoffs with alpha 0, then all strengths."""
        cutoffs: list[tuple[float | None, float]] = [(t, 0.0) for t in self.eigen_thresholds]
        return cutoffs + [(None, alpha) for alpha in self.alphas]

    def filters(self, values: Tensor, n_samples: float) -> Tensor:
        """Return the filter (r,) of each pair in ``filter_parameters``, one per row."""
        thresholds = values.new_tensor(self.eigen_thresholds)[:, None]
        kept = leading_eigenpairs(values, None, thresholds)
        cutoffs = spectral_filter(values, n_samples, 0.0, kept)
        return torch.cat([cutoffs, tikhonov_filters(values, n_samples, tuple(self.alphas))])


def candidates(grid: CandidateGrid) -> list[ScoreSettings]:
    """Return the settings of all candidates, in the order of the losses.

    Parameters
    ----------
    grid : CandidateGrid
        Grid of settings.

    Returns
    -------
    list of ScoreSettings
    """
    return [
        ScoreSettings(
            eigen_threshold=threshold,
            alpha=alpha,
            shrinkage=shrinkage,
            base=base,
            curl_free=curl_free,
            bandwidth_factor=factor,
            kernel=kernel,
        )
        for shrinkage in grid.shrinkages
        for kernel, factor in grid.scales
        for curl_free in grid.curl_frees
        for base in grid.bases
        for threshold, alpha in grid.filter_parameters
    ]


def cross_validate_scores(
    x: Tensor,
    grids: Sequence[CandidateGrid],
    splits: Iterable[tuple[Tensor, Tensor]],
    n_features: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute the held-out Hyvärinen loss of each candidate on each split.

    Whitening, bandwidth and base are refitted on each training part. Each combination of split,
    whitening, kernel and bandwidth needs one eigendecomposition. Gradient fields need a second
    eigendecomposition, of a matrix as large as the kernel's numerical rank.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    grids : sequence of CandidateGrid
        Grids of settings. The whitened samples are shared by all grids with the same bases.
    splits : iterable of pairs of index Tensors
        Training and held-out rows.
    n_features : int, default=None
        Dimension of the input space, if x holds coordinates in a subspace. If None, d is used.

    Returns
    -------
    losses : Tensor of shape (n_splits, n_candidates)
        Mean loss over each split's held-out rows, in the order of the grids.
    bounds : Tensor of shape (n_splits, n_candidates)
        Upper bounds on the squared norm of the correction to the base at any point.
    """
    parts = [_split_losses(x[train], x[held], grids, n_features) for train, held in splits]
    losses, bounds = zip(*parts, strict=True)
    return torch.stack(losses), torch.stack(bounds)


def select_candidate(
    losses: Tensor, bounds: Tensor, reference: Tensor | None = None, simplest: Tensor | None = None
) -> int:
    """Select a candidate by held-out losses, with rules against overfitting.

    Among many candidates, the candidate with the lowest mean loss is often overfitted. Estimates
    with very wide kernels can have low held-out losses, but diverge outside the data. A single
    split gives no standard error, so the candidate with the lowest loss is selected. With more
    splits, three rules reduce overfitting.

    * Candidates are ranked by mean loss plus one standard error. The standard error is computed
      from each fold's difference between the candidate's loss and the median loss of the leading
      candidates.
    * Among candidates within half a standard error of the top candidate, the candidate with the
      smallest norm of its correction is selected. Without a ``reference``, candidates are
      excluded if their squared norm exceeds 2 n times the mean squared score, for n rows.
    * The best ``simplest`` candidate is used if its loss exceeds that of the selected candidate by
      at most two standard errors of the difference.

    Parameters
    ----------
    losses : Tensor of shape (n_splits, n_candidates)
        Held-out losses. Candidates with a loss that is not finite are never selected.
    bounds : Tensor of shape (n_splits, n_candidates)
        Bounds of :func:`cross_validate_scores`, divided by the number of rows.
    reference : Tensor of shape (n_splits, 1), default=None
        Losses that the first rule subtracts from each fold's losses. If None, the median of the
        leading candidates is used. If the reference is the base alone, the mean loss of a
        correction must be lower by one standard error.
    simplest : Tensor of int of shape (any,), default=None
        Indices of the simplest candidates, used by the third rule.

    Returns
    -------
    int
    """
    finite = losses.isfinite().all(0)
    mean = torch.where(finite, losses.mean(0), math.inf)
    if len(losses) == 1 or not bool(finite.any()):  # one split gives no standard error
        return int(mean.argmin())
    if reference is None:
        finite = _plausible(losses, bounds, finite)
        mean = torch.where(finite, mean, math.inf)
        n_leading = min(int(finite.sum()), max(3, losses.shape[1] // LEADING))
        leading = losses[:, mean.argsort(stable=True)[:n_leading]]
        reference = leading.median(1, keepdim=True).values
    cautious = torch.where(finite, mean + _standard_error(losses - reference), math.inf)
    best = int(cautious.argmin())
    error = _standard_error(losses - losses[:, [best]])
    allowed = finite & (cautious - cautious[best] <= TOLERANCE * error)
    allowed[best] = True
    bound = torch.where(allowed, bounds.mean(0), math.inf)
    smallest = allowed & (bound <= bound.min())
    chosen = int(torch.where(smallest, cautious, math.inf).argmin())
    if simplest is not None and len(simplest):
        simple = int(simplest[losses.mean(0)[simplest].nan_to_num(math.inf).argmin()])
        if not clear_gain(losses[:, simple], losses[:, chosen]):
            return simple
    return chosen


def clear_gain(losses: Tensor, lower: Tensor) -> bool:
    """Return whether ``lower`` is below ``losses`` by more than two standard errors of the gain."""
    gain = losses - lower
    return float(gain.mean()) > CLEAR_GAIN * float(_standard_error(gain))


def finalists(losses: Tensor, bounds: Tensor, settings: list[ScoreSettings]) -> list[int]:
    """Return the selected candidate, the default, and the best candidate for each ``curl_free``.

    :func:`select_candidate` selects the candidate and the strength of the default settings. The
    default settings replace the selected candidate if their mean loss is lower.

    Parameters
    ----------
    losses : Tensor of shape (n_splits, n_candidates)
        Losses of :func:`cross_validate_scores`.
    bounds : Tensor of shape (n_splits, n_candidates)
        Bounds of :func:`cross_validate_scores`, divided by the number of rows.
    settings : list of ScoreSettings
        Settings of the candidates.

    Returns
    -------
    list of int
        Indices of candidates, without repetition.
    """
    mean = losses.mean(0).nan_to_num(math.inf)
    strengths = [float(s.alpha) for s in settings]

    def best_of(group: list[int]) -> int:
        alone = [i for i, k in enumerate(group) if math.isinf(strengths[k])]
        simplest = torch.tensor(alone, dtype=torch.long, device=losses.device)
        return group[select_candidate(losses[:, group], bounds[:, group], simplest=simplest)]

    numbers = list(range(len(settings)))
    best = best_of(numbers)
    default = ScoreSettings()
    usual = [
        k
        for k in numbers
        if settings[k].kernel in default.kernels
        and replace(settings[k], alpha="auto", kernel="auto") == default
    ]
    if usual and mean[best_of(usual)] < mean[best]:
        best = best_of(usual)
    # The base alone is the same candidate for every kind of expansion.
    corrected = [k for k in numbers if math.isfinite(strengths[k])]
    kinds = [[k for k in corrected if settings[k].curl_free == kind] for kind in (False, True)]
    groups = ([k for k in usual if k in corrected], *kinds)
    return list(dict.fromkeys([best, *(best_of(group) for group in groups if group)]))


def _plausible(losses: Tensor, bounds: Tensor, finite: Tensor) -> Tensor:
    """Return a mask of plausible candidates, or of all finite candidates if none is plausible.

    The lowest attainable loss is -E|g|²/2, where g is the score. A correction with independent
    values at n rows far from each other has a squared norm of n times its mean square. A correction
    is implausible if its squared norm exceeds 2 n E|g|². A loss a thousand times below the lowest
    attainable loss is due to rounding errors at rows far from all other rows. The lowest loss is
    taken from medians over folds, because rounding errors seldom affect most folds.
    """
    least = torch.where(finite, losses.median(0).values, math.inf).min()
    plausible = finite & (bounds.mean(0) <= IMPLAUSIBLE * -2 * least)
    plausible &= losses.amin(0) >= WILD * -least.abs()
    return plausible if bool(plausible.any()) else finite


def _standard_error(values: Tensor) -> Tensor:
    return values.std(0) / len(values) ** 0.5


def _split_losses(
    train: Tensor, held_out: Tensor, grids: Sequence[CandidateGrid], n_features: int | None
) -> tuple[Tensor, Tensor]:
    """Return the losses and bounds of all candidates on one split."""
    d = n_features or train.shape[1]

    @functools.cache
    def whitened(shrinkage: float | str, kinds: tuple[str | None, ...]) -> DenseSplit:
        white, radii = fit_whitening(train, shrinkage, d)
        bases = [fit_base(kind, radii, d) for kind in kinds]
        rows, held = (WhitenedSamples(white, white(x), bases) for x in (train, held_out))
        sq = squared_distances(rows.y), squared_distances(held.y, rows.y)
        return DenseSplit(rows, held, sq)

    parts: list[tuple[Tensor, Tensor]] = []
    for grid in grids:
        known: dict[float, list[tuple[Tensor, Tensor]]] = {}
        for shrinkage in grid.shrinkages:
            split = whitened(shrinkage, tuple(grid.bases))
            chosen = split.train.white.shrinkage
            if chosen not in known:  # "auto" may choose an intensity of the grid
                known[chosen] = list(_whitened_losses(split, grid))
            parts += known[chosen]
    losses, bounds = zip(*parts, strict=True)
    return torch.cat(losses), torch.cat(bounds)


def _whitened_losses(split: DenseSplit, grid: CandidateGrid) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield losses and bounds for each kernel, bandwidth and value of curl_free."""
    for kernel, factor in grid.scales:
        sigma = factor * split.median
        found = split.decomposed(kernel, sigma)
        for curl_free in grid.curl_frees:
            method = split.gradients if curl_free else split.sections
            losses, bounds = method(kernel, sigma, found, grid.filters)
            yield losses.flatten(), bounds.flatten()
