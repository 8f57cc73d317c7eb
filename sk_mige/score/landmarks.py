"""Additive sums over streams of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .fit import (
    MIN_SAMPLES_TO_CHOOSE,
    ScoreFit,
    choose_over_landmarks,
    fit_landmarks,
    lift_expansion,
)
from .folds import N_FOLDS, hashed_folds
from .heldout import KernelSums, float32_resolves, kernel_sums, summed
from .model import KernelExpansion, ScoreSettings, build_expansion
from .spectrum import FLOAT32_RESOLUTION, exceeds
from .subspace import varying_units
from .units import FeatureUnits

# Number of elements of a chunk's Gram matrix, 16 MiB in float64.
CHUNK_ELEMENTS = 2**21
# Smallest fixed strength for float32 sums of chunks. Totals are always float64.
FLOAT32_ALPHA = 1e-3
# Rows and landmarks on which kernels are compared.
COMPARED_ROWS, COMPARED_LANDMARKS = 2_000, 300
# A batch is outside the data if its median distance from the mean exceeds the quantile OUTER of the
# landmarks' distances. The test needs at least FEWEST rows and landmarks.
FEWEST, OUTER = 20, 0.99
# A row is outside a subspace if its distance exceeds this share of its displacement from the mean.
OUTSIDE = 1e-6


@dataclass
class LandmarkAccumulator:
    """Kernel sums of each fold, to which rows can be added at any time.

    Attributes
    ----------
    expansion : KernelExpansion
        Landmarks, whitening, base and bandwidth, fixed by the first rows.
    fold_sums : list of KernelSums
        Sums of each fold, empty before the first rows.
    units : FeatureUnits or None
        Units of the features in the sums. None means input units.
    single : bool
        Whether chunks are summed in float32.
    """

    expansion: KernelExpansion
    fold_sums: list[KernelSums]
    units: FeatureUnits | None = None
    single: bool = False

    @classmethod
    def from_rows(
        cls, x: Tensor, picked: Tensor, settings: ScoreSettings, projection: Tensor | None
    ) -> LandmarkAccumulator:
        """Create an accumulator, with whitening, base and bandwidth estimated from x."""
        units, points, varying = varying_units(x, settings.whiten)
        exact, restricted = points.to(torch.float64), projection
        if varying is not None:
            exact, restricted = varying.coordinates(exact), varying.restrict(projection)
        settings = _with_kernel(exact, settings, restricted)
        landmarks = exact[picked]
        expansion, sq = build_expansion(exact, settings, centers=landmarks, projection=restricted)
        if varying is not None:
            expansion = lift_expansion(varying, expansion, projection)
        single = x.dtype == torch.float32 and _suits_float32(settings)
        single = single and float32_resolves(expansion.bandwidth, sq)
        gram = expansion.matrices_at(sq).values
        single = single and exceeds(gram, FLOAT32_RESOLUTION * len(picked))
        return cls(expansion, [], units, single)

    @property
    def n_samples(self) -> int:
        """Number of rows summed so far."""
        return sum(sums.n_samples for sums in self.fold_sums)

    def excludes(self, x: Tensor) -> bool:
        """Return whether most rows are farther from the mean than nearly all landmarks.

        The coordinates are not whitened. Whitening with few rows would increase the distances of
        all other rows.
        """
        if min(len(x), len(self.expansion.centers)) < FEWEST:
            return False
        white = self.expansion.whitening
        landmarks, rows = white.inverse_linear(self.expansion.centers), self._in_units(x)
        most = torch.linalg.vector_norm(landmarks, dim=1).quantile(OUTER)
        return bool(torch.linalg.vector_norm(rows - white.mean, dim=1).median() > most)

    def leaves_subspace(self, x: Tensor) -> bool:
        """Return whether a row is outside the subspace in which the first rows vary."""
        white = self.expansion.whitening
        if white.vectors is None or white.rest != 0.0 or white.vectors.shape[1] == x.shape[1]:
            return False
        moved = self._in_units(x) - white.mean
        away = moved - moved @ white.vectors @ white.vectors.mT
        rounding = torch.finfo(x.dtype).eps * x.abs().amax(0).to(moved)
        rounding = rounding if self.units is None else rounding / self.units.scale
        resolved = OUTSIDE * torch.linalg.vector_norm(moved, dim=1) + 50 * rounding.norm()
        return bool((torch.linalg.vector_norm(away, dim=1) > resolved).any())

    def _in_units(self, x: Tensor) -> Tensor:
        """Return rows in float64 and in the units of the sums."""
        points = x.to(self.expansion.whitening.mean)
        return points if self.units is None else self.units(points)

    def _keys(self, points: Tensor) -> Tensor:
        """Return the distance (n,) of each row from the first landmark, in bandwidths.

        Equal rows have equal distances. Distances from the mean are not used, because all rows on a
        sphere have the same distance.
        """
        ex = self.expansion
        distances: Tensor = (ex.whitening(points) - ex.centers[0]).square().sum(1).sqrt()
        return distances / ex.bandwidth

    def sums_of(self, x: Tensor) -> list[KernelSums]:
        """Return the sums of each fold. Equal rows, such as copies, belong to the same fold."""
        ex, mean = self.expansion, self.expansion.whitening.mean
        if self.single:  # rows are centred in float64, which loses no digits of a far-away mean
            ex = ex.to(torch.float32)
            ex = replace(ex, whitening=replace(ex.whitening, mean=torch.zeros_like(mean).float()))
        rows = max(N_FOLDS, CHUNK_ELEMENTS // max(len(ex.centers), x.shape[1]))
        folds: list[KernelSums] = []
        for start in range(0, len(x), rows):
            part = self._in_units(x[start : start + rows])
            fold = hashed_folds(self._keys(part))
            part = (part - mean).float() if self.single else part
            rows_of = [part[fold == k] for k in range(N_FOLDS)]
            sums = [kernel_sums(ex, own).to(torch.float64) for own in rows_of]
            folds = joined(folds, sums)
        return folds

    def add(self, x: Tensor) -> None:
        """Add rows, or leave the sums unchanged if an exception occurs."""
        found = self.sums_of(x)
        if not all(bool(sums.fit.quadratic.isfinite().all()) for sums in found):
            raise ValueError(
                "X has rows so far from the first rows that squared distances exceed the range of "
                "floating-point numbers: drop rows with extreme values"
            )
        self.join(found)

    def join(self, fold_sums: list[KernelSums]) -> None:
        """Add the kernel sums of another accumulator with the same expansion."""
        self.fold_sums = joined(self.fold_sums, fold_sums)

    def solve(self, settings: ScoreSettings) -> ScoreFit:
        """Fit a model to all rows added so far."""
        fit = fit_landmarks(self.expansion, self.fold_sums, settings)
        return replace(fit, model=replace(fit.model, units=self.units))

    def difference(self, other: LandmarkAccumulator) -> str | None:
        """Return the name of the first attribute that differs between two accumulators, or None."""
        mine, theirs = self.expansion, other.expansion
        scales = (a.units.scale if a.units is not None else None for a in (self, other))
        parts = {
            "landmarks": _equal(mine.centers, theirs.centers),
            "units": _equal(*scales),
            "bandwidths": mine.bandwidth == theirs.bandwidth,
            "whitenings": _equal(mine.whitening.mean, theirs.whitening.mean)
            and _equal(mine.whitening.gains, theirs.whitening.gains),
            "bases": mine.base == theirs.base,
            "kernels": mine.kernel == theirs.kernel,
            "values of curl_free": mine.curl_free == theirs.curl_free,
            "projections": _equal(mine.projection, theirs.projection),
        }
        return next((name for name, equal in parts.items() if not equal), None)


def joined(*parts: list[KernelSums]) -> list[KernelSums]:
    """Return the kernel sums of each fold over all parts, some of which may be empty."""
    return [summed(sums) for sums in zip(*filter(None, parts), strict=True)]


def _with_kernel(x: Tensor, settings: ScoreSettings, projection: Tensor | None) -> ScoreSettings:
    """Return settings with a single kernel and shrinkage, chosen on a part of the rows."""
    if len(settings.kernels) == 1 or len(x) < MIN_SAMPLES_TO_CHOOSE:
        return replace(settings, kernel=settings.kernels[0])
    x = x[:: math.ceil(len(x) / COMPARED_ROWS)]
    return choose_over_landmarks(x, settings, projection, x.shape[1], x, COMPARED_LANDMARKS)[0]


def _suits_float32(settings: ScoreSettings) -> bool:
    """Return whether the regularisation exceeds the rounding errors of float32 sums."""
    if settings.curl_free or settings.truncates:
        return False
    return settings.chooses_alpha or float(settings.alpha) >= FLOAT32_ALPHA


def _equal(first: Tensor | None, second: Tensor | None) -> bool:
    if first is None or second is None:
        return first is second
    return torch.equal(first, second)
