"""Landmarks: choosing them, summing over streams of rows, merging what others summed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sk_mige.score import (
    KernelExpansion,
    KernelSums,
    ScoreFit,
    ScoreSettings,
    fit_landmarks,
    kernel_sums,
    median_bandwidth,
    rbf_kernel,
    squared_distances,
)
from sk_mige.score.folds import N_FOLDS
from sk_mige.score.frame import frame_expansion
from sk_mige.score.strength import loss_units
from sk_mige.score.varying import varying_directions

from ._rows import CHUNK_ELEMENTS

__all__ = ["LandmarkAccumulator", "choose_landmarks", "frame_rows"]

FRAME_ROWS = 10_000


def frame_rows(
    n_samples: int, n_features: int, n_landmarks: int, rng: np.random.RandomState
) -> NDArray[Any]:
    """Rows from which whitening, base and landmarks are taken: all, or a sample of them.

    A covariance of so many rows, or four per feature, is as good as any here, and does not ask
    for memory in proportion to the data.
    """
    wanted = max(FRAME_ROWS, 4 * n_features, n_landmarks)
    if n_samples <= wanted:
        return np.arange(n_samples)
    return np.sort(rng.choice(n_samples, wanted, replace=False))


def choose_landmarks(
    y: NDArray[Any], n_landmarks: int, method: str, rng: np.random.RandomState
) -> NDArray[Any]:
    """Indices of the rows of y that become landmarks.

    ``"random"`` draws them evenly, ``"kmeans++"`` far from one another (scikit-learn's seeding),
    ``"leverage"`` with probability proportional to ridge leverage scores, which favours rows that
    the others do not explain.
    """
    n = len(y)
    if method == "kmeans++":
        # Imported here: it brings half of scikit-learn, which nobody else waits for.
        from sklearn.cluster import kmeans_plusplus

        # The seeding passes over its rows once for each landmark: a sample of them will do.
        pool = rng.choice(n, min(n, 10 * n_landmarks), replace=False)
        _, picked = kmeans_plusplus(y[pool], n_landmarks, random_state=rng)
        return np.sort(pool[picked])
    if method == "leverage":
        pool = rng.choice(n, min(n, 4 * n_landmarks), replace=False)
        return np.sort(pool[_leverage_sample(y[pool], n_landmarks, rng)])
    return np.sort(rng.choice(n, n_landmarks, replace=False))


def _leverage_sample(y: NDArray[Any], n_landmarks: int, rng: np.random.RandomState) -> NDArray[Any]:
    """Draw by the ridge leverages diag(K (K + mu I)^-1), mu the m-th eigenvalue."""
    sq = squared_distances(torch.from_numpy(y))
    values, vectors = torch.linalg.eigh(rbf_kernel(sq, median_bandwidth(sq)))
    values = values.clamp_min(0)
    ridge = values[max(0, len(values) - n_landmarks)].clamp_min(1e-12)
    leverage = (vectors.square() @ (values / (values + ridge))).clamp_min(1e-12).numpy()
    return rng.choice(len(y), n_landmarks, replace=False, p=leverage / leverage.sum())


@dataclass
class LandmarkAccumulator:
    """Sums over an expansion, kept by fold, to which rows can be added for as long as they come.

    Attributes
    ----------
    expansion : KernelExpansion
        Landmarks, whitening, base and bandwidth: frozen.
    fold_sums : list of KernelSums
        One entry a fold; empty before the first rows.
    """

    expansion: KernelExpansion
    fold_sums: list[KernelSums]

    @classmethod
    def from_rows(
        cls, x: Tensor, picked: Tensor, settings: ScoreSettings, projection: Tensor | None
    ) -> LandmarkAccumulator:
        """Freeze whitening, base and bandwidth on these rows, some of which are the landmarks.

        So are the directions along which the rows vary, and scores can differ from zero.
        """
        varying = varying_directions(x)
        units = loss_units(x.to(torch.float64), settings, x.shape[1])
        if varying is None:
            x = x.to(torch.float64)
            expansion, _ = frame_expansion(x, settings, centers=x[picked], projection=projection)
        else:
            x = varying.coordinates(x)
            seen = varying.seen(projection)
            inner, _ = frame_expansion(x, settings, centers=x[picked], projection=seen)
            expansion = varying.lift(inner, projection)
        return cls(replace(expansion, units=units), [])

    @property
    def n_samples(self) -> int:
        """Rows summed so far."""
        return sum(sums.n_samples for sums in self.fold_sums)

    def sums_of(self, x: Tensor, offset: int = 0) -> list[KernelSums]:
        """Sums of these rows, dealt to the folds in turn, starting at fold ``offset``."""
        ex = self.expansion
        rows = max(N_FOLDS, CHUNK_ELEMENTS // max(len(ex.centers), x.shape[1]))
        folds: list[KernelSums] = []
        for start in range(0, len(x), rows):
            part = x[start : start + rows].to(ex.centers)
            for k in range(N_FOLDS):
                sums = kernel_sums(ex, part[(k - offset - start) % N_FOLDS :: N_FOLDS])
                if len(folds) < N_FOLDS:
                    folds.append(sums)
                else:
                    folds[k] = folds[k] + sums
        return folds

    def add(self, x: Tensor) -> None:
        """Add rows. Interrupted, it leaves the sums as they were."""
        self.join(self.sums_of(x, self.n_samples))

    def join(self, fold_sums: list[KernelSums]) -> None:
        """Add sums taken elsewhere over the same expansion."""
        if not self.fold_sums:
            self.fold_sums = fold_sums
            return
        joined = [mine + other for mine, other in zip(self.fold_sums, fold_sums, strict=True)]
        self.fold_sums = joined

    def solve(self, settings: ScoreSettings) -> ScoreFit:
        """Model of everything added so far."""
        return fit_landmarks(self.expansion, self.fold_sums, settings)

    def difference(self, other: LandmarkAccumulator) -> str | None:
        """What keeps two accumulators from being merged, in words; None when nothing does."""
        mine, theirs = self.expansion, other.expansion
        if mine.centers.shape != theirs.centers.shape or not torch.equal(
            mine.centers, theirs.centers
        ):
            return "landmarks"
        if mine.bandwidth != theirs.bandwidth:
            return "bandwidths"
        if not torch.equal(mine.whitening.mean, theirs.whitening.mean) or not torch.equal(
            mine.whitening.gains, theirs.whitening.gains
        ):
            return "whitenings"
        if mine.base != theirs.base:
            return "bases"
        if mine.curl_free != theirs.curl_free:
            return "values of curl_free"
        if (mine.projection is None) != (theirs.projection is None) or (
            mine.projection is not None
            and theirs.projection is not None
            and not torch.equal(mine.projection, theirs.projection)
        ):
            return "projections"
        return None
