"""Cross-validation of whole score estimators by held-out Hyvärinen loss, sharing what can be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import fit_base
from .basis import kernel_basis
from .filters import spectral_filter
from .frame import ScoreSettings
from .kernels import median_bandwidth, squared_distances
from .spectral import leading_eigenpairs
from .sweep import GradientProducts, GradientSweep, Rows, SectionSweep
from .whitening import whitening

__all__ = ["CandidateGrid", "candidates", "cross_validate_scores", "select_candidate"]

# Standard errors by which a tamer candidate's loss may exceed the least one.
TOLERANCE = 0.5
# Bounds beyond this multiple of the mean squared score are not plausible.
IMPLAUSIBLE = 1e3
# Standard errors by which a correction's gain over the base alone must differ from 0.
CLEAR_GAIN = 2.0
# One candidate in this many, but three at least, count as the leading ones.
LEADING = 20


@dataclass(frozen=True)
class CandidateGrid:
    """What is tried: every combination, with one eigendecomposition for all filters and bases."""

    shrinkages: Sequence[float | str]
    bandwidth_factors: Sequence[float]
    curl_frees: Sequence[bool]
    bases: Sequence[str | None]
    eigen_thresholds: Sequence[float]
    alphas: Sequence[float]


def candidates(grid: CandidateGrid) -> list[ScoreSettings]:
    """Settings of every candidate, in the order in which losses are returned.

    Parameters
    ----------
    grid : CandidateGrid
        What is tried.

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
        )
        for shrinkage in grid.shrinkages
        for factor in grid.bandwidth_factors
        for curl_free in grid.curl_frees
        for base in grid.bases
        for threshold, alpha in _filter_parameters(grid)
    ]


def cross_validate_scores(
    x: Tensor,
    grid: CandidateGrid,
    splits: Iterable[tuple[Tensor, Tensor]],
    n_features: int | None = None,
    units: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Held-out Hyvärinen losses of every candidate on every split.

    Whitening, bandwidth and base are refitted on each training part. Costs, per split and
    bandwidth, one eigendecomposition for each whitening and one more, of the kernel's numerical
    rank, for gradient fields.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    grid : CandidateGrid
        What is tried.
    splits : iterable of pairs of index Tensors
        Training and held-out rows.
    n_features : int, default=None
        Dimension of the space of which x gives coordinates.
    units : Tensor of shape (d,), default=None
        What scores' components are multiplied by before they are compared, see
        :func:`sk_mige.score.strength.loss_units`; None compares in input coordinates.

    Returns
    -------
    losses : Tensor of shape (n_splits, n_candidates)
        Mean loss over each split's held-out rows.
    bounds : Tensor of shape (n_splits, n_candidates)
        Bounds on the squared correction to the base, anywhere, see :func:`select_candidate`.
    """
    parts = [_split_losses(x[train], x[held], grid, n_features, units) for train, held in splits]
    losses, bounds = zip(*parts, strict=True)
    return torch.stack(losses), torch.stack(bounds)


def select_candidate(
    losses: Tensor,
    bounds: Tensor,
    reference: Tensor | None = None,
    simplest: Tensor | None = None,
) -> int:
    """Index of the tamest candidate among those that the losses cannot tell from the best.

    The least mean loss over some thousand candidates is often luck, in one fold above all. So a
    candidate is ranked by its mean plus one standard error of its distance, fold by fold, from
    the median of the leading candidates, in which what the folds do to all alike cancels.

    A wide kernel with little regularisation fits as well as a narrower one where there are
    samples, and leaves them like a polynomial. Held-out rows hardly show it: the outermost sample
    is left out once, and what lies beyond it never. So of the candidates behind the first by at
    most half a standard error of the difference the one is taken whose correction to the base has
    the smallest bound, and none with a bound of a thousand times the mean squared score.

    Nor is the gain over no correction at all worth much where it is within two standard errors:
    structure shows by five and more, and what luck picks among thousands of candidates may be
    wild in the tails. The best of the ``simplest`` candidates is taken then.

    Parameters
    ----------
    losses : Tensor of shape (n_splits, n_candidates)
        Held-out losses; what is not finite is never chosen.
    bounds : Tensor of shape (n_splits, n_candidates)
        Bounds on the squared correction.
    reference : Tensor of shape (n_splits, 1), default=None
        Losses against which noise is measured, in place of the leading candidates' median: with
        those of the base alone, what departs from it has to be better by a standard error.

    Returns
    -------
    int
    """
    finite = losses.isfinite().all(0)
    mean = torch.where(finite, losses.mean(0), math.inf)
    if len(losses) == 1 or not bool(finite.any()):  # nothing tells noise from merit
        return int(mean.argmin())
    if reference is None:
        # The least attainable loss is -E|g|²/2: a correction that may be thirty times as long as
        # the score is on average is none, and a loss a thousand times as low is rounding's, of
        # values far from all others. Rounding's is seldom that of most folds.
        least = torch.where(finite, losses.median(0).values, math.inf).min()
        plausible = finite & (bounds.mean(0) <= IMPLAUSIBLE * -2 * least)
        plausible &= losses.amin(0) >= IMPLAUSIBLE * -least.abs()
        finite = plausible if bool(plausible.any()) else finite
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
    tamest = allowed & (bound <= bound.min())
    chosen = int(torch.where(tamest, cautious, math.inf).argmin())
    if simplest is not None and len(simplest):
        simple = int(simplest[losses.mean(0)[simplest].nan_to_num(math.inf).argmin()])
        gain = losses[:, simple] - losses[:, chosen]
        if not float(gain.mean()) > CLEAR_GAIN * float(_standard_error(gain)):
            return simple
    return chosen


def _standard_error(values: Tensor) -> Tensor:
    error: Tensor = values.std(0) / len(values) ** 0.5
    return error


def _split_losses(
    train: Tensor,
    held_out: Tensor,
    grid: CandidateGrid,
    n_features: int | None,
    units: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Losses and bounds of one split, candidate by candidate."""
    d = n_features or train.shape[1]
    known: dict[float, list[tuple[Tensor, Tensor]]] = {}
    parts: list[tuple[Tensor, Tensor]] = []
    for shrinkage in grid.shrinkages:
        white, radii = whitening(train, shrinkage, d)
        if white.shrinkage not in known:  # a rule may choose an intensity that is tried anyway
            bases = [fit_base(kind, radii, d) for kind in grid.bases]
            rows, held = (Rows(white, x, bases, units) for x in (train, held_out))
            gain = white.largest_gain * (1.0 if units is None else float(units.max()))
            known[white.shrinkage] = list(_whitened_losses(rows, held, grid, d, gain))
        parts += known[white.shrinkage]
    losses, bounds = zip(*parts, strict=True)
    return torch.cat(losses), torch.cat(bounds)


def _whitened_losses(
    train: Rows, held: Rows, grid: CandidateGrid, n_features: int, gain: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Losses and bounds over all filters for each bandwidth, kind of expansion and base."""
    n, bases = len(train.y), range(len(grid.bases))
    sq, sq_held = squared_distances(train.y), squared_distances(held.y, train.y)
    median = float(median_bandwidth(sq))
    products = GradientProducts(train, held, n_features) if any(grid.curl_frees) else None
    for factor in grid.bandwidth_factors:
        sigma = factor * median
        gram, gram_held = (torch.exp(s / (-2 * sigma**2)) for s in (sq, sq_held))
        basis = kernel_basis(gram)
        for curl_free in grid.curl_frees:
            sweep: SectionSweep | GradientSweep
            scale = 1.0
            if curl_free and products is not None:
                sweep = GradientSweep(products, sigma, gram, gram_held, basis)
                # The potential's bound; its slope, mapped back by W, is bounded by this.
                scale = gain**2
            else:
                sweep = SectionSweep(train, held, sigma, gram, gram_held, basis)
            filters = _filters(sweep.values, grid, n * sweep.operator_trace)
            for base in bases:
                losses, norms = sweep.losses(base, filters)
                yield losses, norms * scale


def _filter_parameters(grid: CandidateGrid) -> list[tuple[float | None, float]]:
    """Pairs (eigen_threshold, alpha): cutoffs without Tikhonov, then Tikhonov without cutoff."""
    cutoffs: list[tuple[float | None, float]] = [(t, 0.0) for t in grid.eigen_thresholds]
    return cutoffs + [(None, alpha) for alpha in grid.alphas]


def _filters(values: Tensor, grid: CandidateGrid, n_samples: float) -> Tensor:
    """One row for each pair of :func:`_filter_parameters`."""
    thresholds = values.new_tensor(grid.eigen_thresholds)[:, None]
    kept = leading_eigenpairs(values, None, thresholds)
    cutoffs = spectral_filter(values, n_samples, 0.0, kept)
    alphas = values.new_tensor(grid.alphas)[:, None]
    return torch.cat([cutoffs, spectral_filter(values, n_samples, alphas)])
