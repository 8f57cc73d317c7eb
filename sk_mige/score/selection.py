"""Cross-validation of whole score estimators by held-out Hyvärinen loss, sharing what can be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .base import fit_base
from .expansion import KernelExpansion
from .filters import spectral_filter
from .frame import ScoreSettings
from .kernels import median_bandwidth, squared_distances
from .spectral import leading_eigenpairs
from .sums import (
    SpectralBasis,
    kernel_basis,
    kernel_sums,
    path_losses,
    path_norms,
    spectral_basis,
)
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
) -> tuple[Tensor, Tensor]:
    """Held-out Hyvärinen losses, in input coordinates, of every candidate on every split.

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

    Returns
    -------
    losses : Tensor of shape (n_splits, n_candidates)
        Mean loss over each split's held-out rows.
    bounds : Tensor of shape (n_splits, n_candidates)
        Bounds on the squared correction to the base, anywhere, see :func:`select_candidate`.
    """
    parts = [
        list(_split_losses(x[train], x[held_out], grid, n_features)) for train, held_out in splits
    ]
    losses, bounds = (
        torch.stack([torch.cat([pair[kind] for pair in split]) for split in parts])
        for kind in (0, 1)
    )
    return losses, bounds


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
        # the score is on average is none.
        plausible = finite & (bounds.mean(0) <= IMPLAUSIBLE * -2 * mean.min())
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
    train: Tensor, held_out: Tensor, grid: CandidateGrid, n_features: int | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Losses and bounds of one split: tensors over all filters for each other combination."""
    d = n_features or train.shape[1]
    for shrinkage in grid.shrinkages:
        white, radii = whitening(train, shrinkage, d)
        bases = [fit_base(kind, radii, d) for kind in grid.bases]
        y, y_held = white(train), white(held_out)
        sq, sq_held = squared_distances(y), squared_distances(y_held, y)
        median = float(median_bandwidth(sq))
        for factor in grid.bandwidth_factors:
            sigma = factor * median
            gram, gram_held = (torch.exp(s / (-2 * sigma**2)) for s in (sq, sq_held))
            kernel = kernel_basis(gram)
            for curl_free in grid.curl_frees:
                expansion = KernelExpansion(white, bases[0], y, sigma, None, curl_free)
                basis, held_matrix = kernel, None
                for number, base in enumerate(bases):
                    expansion = replace(expansion, base=base)
                    first = number == 0  # A does not depend on the base
                    sums = kernel_sums(
                        expansion, train, quadratic=first and curl_free, gram=gram, purpose="fit"
                    )
                    if first and curl_free:
                        basis = spectral_basis(kernel, sums.fit[0])
                    held = kernel_sums(
                        expansion,
                        held_out,
                        quadratic=first and curl_free,
                        gram=gram_held,
                        purpose="loss",
                    )
                    held_matrix = held.loss[0] if held_matrix is None else held_matrix
                    held = replace(held, loss=(held_matrix, held.loss[1]))
                    sections = None if curl_free else gram_held
                    filters = _filters(basis, grid, len(train))
                    bounds = path_norms(basis, sums.fit[1], filters)
                    if curl_free:  # of the potential; its slope, mapped back, is bounded by this
                        bounds = bounds * (white.largest_gain / sigma) ** 2
                    yield path_losses(basis, sums.fit[1], filters, held, sections), bounds


def _filter_parameters(grid: CandidateGrid) -> list[tuple[float | None, float]]:
    """Pairs (eigen_threshold, alpha): cutoffs without Tikhonov, then Tikhonov without cutoff."""
    cutoffs: list[tuple[float | None, float]] = [(t, 0.0) for t in grid.eigen_thresholds]
    return cutoffs + [(None, alpha) for alpha in grid.alphas]


def _filters(basis: SpectralBasis, grid: CandidateGrid, n_samples: int) -> Tensor:
    """One row for each pair of :func:`_filter_parameters`."""
    rows = []
    for threshold, alpha in _filter_parameters(grid):
        kept = None
        if threshold is not None:
            kept = leading_eigenpairs(basis.values, None, threshold)
        rows.append(spectral_filter(basis.values, n_samples, alpha, kept))
    return torch.stack(rows)
