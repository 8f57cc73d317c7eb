"""Accuracy of the score estimators on densities with a known score.

The relative error is E‖ĝ − g‖² / E‖g‖² at 512 fresh points, for five seeds. The methods are the
default settings, the cross-validated estimator, and SSGE as published with thresholds 0.94 and
0.99. Each measurement is stored at once, and the next run continues after the last stored
measurement. With ``--fresh``, stored measurements are deleted first. With ``--others``, the script
prints the relative errors of other kernels, of a regularised kernel density estimate and of the
ν-method.

    OMP_NUM_THREADS=1 python benchmarks/score_accuracy.py [--only banana] [--seeds 5] [--fresh]
    OMP_NUM_THREADS=1 python benchmarks/score_accuracy.py --others
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from report import PROGRESS, print_table, row, write
from scipy.spatial.distance import cdist

from sk_mige import SSGEScoreEstimator, SSGEScoreEstimatorCV
from sk_mige.datasets import (
    make_banana,
    make_funnel,
    make_gaussian,
    make_gaussian_clusters,
    make_gaussian_grid,
    make_gaussian_mixture,
    make_ring,
    make_student_t,
)
from sk_mige.score import median_bandwidth, rbf_kernel, squared_distances, whitening

N_FRESH = 512
METRIC = "relative error"
METHODS: dict[str, Callable[[], Any]] = {
    "default": SSGEScoreEstimator,
    "CV": SSGEScoreEstimatorCV,
    "SSGE .94": partial(SSGEScoreEstimator, eigen_threshold=0.94, whiten=False, base=None),
    "SSGE .99": partial(SSGEScoreEstimator, eigen_threshold=0.99, whiten=False, base=None),
}


class DensityScore:
    """Score of a regularised kernel density estimate, ∇p / max(p, ε), of Wibisono et al. (2024).

    The bandwidth is n^(-1 / (d + 4)) standard deviations, and ε is the largest density divided by
    n².
    """

    def fit(self, X: np.ndarray) -> DensityScore:
        """Store the samples in units of their standard deviations."""
        self.mean, self.scale = X.mean(0), X.std(0)
        self.samples = (X - self.mean) / self.scale
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return scores at points."""
        y, (n, d) = (X - self.mean) / self.scale, self.samples.shape
        variance = n ** (-2 / (d + 4))
        kernel = np.exp(-cdist(y, self.samples, "sqeuclidean") / (2 * variance))
        density = kernel.sum(1, keepdims=True)
        gradient = (kernel @ self.samples - density * y) / variance
        floor = max(density.max() / n**2, np.finfo(float).tiny)
        return gradient / np.maximum(density, floor) / self.scale


class NuMethod:
    """SSGE on whitened samples with the filter of the ν-method (ν = 1) of Zhou et al. (2020).

    The number of iterations is the square root of the number of samples.
    """

    def fit(self, X: np.ndarray) -> NuMethod:
        """Compute the coefficients."""
        x = torch.from_numpy(X)
        self.white = whitening(x)[0]
        self.centers = self.white(x)
        sq = squared_distances(self.centers)
        self.bandwidth = median_bandwidth(sq)
        values, vectors = torch.linalg.eigh(rbf_kernel(sq, self.bandwidth))
        h = before = torch.zeros_like(values)
        top = values[-1]
        for t in range(1, math.ceil(len(X) ** 0.5) + 1):
            ahead = 4 * (2 * t + 1) * t / ((t + 1) * (2 * t + 3))
            momentum = (t - 1) * (2 * t - 3) * (2 * t + 1) / ((t + 1) * (2 * t + 3) * (2 * t - 1))
            h, before = h + momentum * (h - before) + ahead * (1 - values / top * h), h
        gram = (vectors * values) @ vectors.mT
        moments = gram @ self.centers - gram.sum(1, keepdim=True) * self.centers
        kept = values > 1e-10 * top
        weights = torch.where(kept, h / top / values, 0.0)[:, None] / self.bandwidth**2
        self.coefficients = vectors @ (weights * (vectors.mT @ moments))
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return scores at points."""
        sq = squared_distances(self.white(torch.from_numpy(X)), self.centers)
        scores = rbf_kernel(sq, self.bandwidth) @ self.coefficients
        return (self.white.linear(scores) / self.white.units.scale).numpy()


OTHERS: dict[str, Callable[[], Any]] = {
    "default": SSGEScoreEstimator,
    **{kind: partial(SSGEScoreEstimator, kernel=kind) for kind in ("imq", "matern", "multiscale")},
    "density": DensityScore,
    "ν-method": NuMethod,
}


@dataclass(frozen=True)
class Density:
    """A density, its sample sizes, and the smallest error of eight public estimators."""

    name: str
    make: Callable[..., Any]
    sizes: tuple[int, ...]
    peers: dict[int, float] | None = None
    scale: float = 1.0
    shift: float = 0.0  # scale and shift of the samples


ANGLES = np.arange(8) * np.pi / 4
CIRCLE = 3 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
DENSITIES = [
    Density("banana, d=2", make_banana, (128, 512, 2048), {128: 0.43, 512: 0.18}),
    Density("three modes, d=2", make_gaussian_mixture, (128, 512, 2048), {512: 0.13}),
    Density("eight modes, d=2",
            partial(make_gaussian_mixture, means=CIRCLE, covariances=0.09), (512,)),
    Density("ring, d=2", make_ring, (128, 512)),
    Density("grid of Gaussians, d=32", make_gaussian_grid, (128, 512), {128: 0.21, 512: 0.16}),
    Density("N(0, 1), d=1", partial(make_gaussian, n_features=1), (128, 512)),
    Density("N(0, I), d=10", partial(make_gaussian, n_features=10), (128, 512),
            {128: 0.14, 512: 0.046}),
    Density("N(0, I), d=64", partial(make_gaussian, n_features=64), (128, 512)),
    Density("N(0, I), d=256", partial(make_gaussian, n_features=256), (128, 512), {128: 0.011}),
    # The best peer's error of .008 was measured at the training samples.
    Density("N(0, I), d=3072", partial(make_gaussian, n_features=3072), (128, 512), {128: 0.008}),
    Density("Gaussian of condition 1e4, d=20",
            partial(make_gaussian, n_features=20, condition_number=1e4), (128, 512)),
    Density("Student t, ν=5, d=5", partial(make_student_t, n_features=5, df=5), (128, 512)),
    Density("separated clusters, d=2", make_gaussian_clusters, (128, 512)),
    Density("separated clusters, d=10", partial(make_gaussian_clusters, n_features=10), (128, 512)),
    Density("funnel, d=2", make_funnel, (128, 512)),
    Density("funnel, d=5", partial(make_funnel, n_features=5), (128, 512)),
    Density("banana, mean + 1e5", make_banana, (128,), {128: 0.43}, shift=1e5),
    Density("banana × 1e-6", make_banana, (128,), {128: 0.43}, scale=1e-6),
    Density("banana × 1e6", make_banana, (128,), {128: 0.43}, scale=1e6),
]  # fmt: skip


def measure(density: Density, size: int, method: str, seed: int) -> tuple[float, float]:
    """Return the relative error of one fit, and its time in seconds."""
    X, exact = density.make(size, random_state=seed)
    fresh = exact.sample(N_FRESH, random_state=10_000 + seed)
    truth = exact(fresh) / density.scale
    estimator = (METHODS | OTHERS)[method]()
    start = time.perf_counter()
    estimator.fit(density.scale * X + density.shift)
    seconds = time.perf_counter() - start
    estimated = estimator.transform(density.scale * fresh + density.shift)
    return float(((estimated - truth) ** 2).sum() / (truth**2).sum()), seconds


def load(path: Path) -> dict[tuple, dict]:
    """Return the stored measurements of an earlier run."""
    if not path.exists():
        return {}
    made = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(m["dataset"], m["feature"], m["method"], m["seed"]): m for m in made}


def main() -> None:
    """Take the missing measurements, and print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="part of the names of densities to run")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-size", type=int, default=10**9, help="largest number of samples")
    parser.add_argument("--fresh", action="store_true", help="delete stored measurements first")
    parser.add_argument("--others", action="store_true", help="measure other kernels and methods")
    options = parser.parse_args()

    PROGRESS.mkdir(exist_ok=True)
    path = PROGRESS / "score_accuracy.jsonl"
    if options.fresh:
        path.unlink(missing_ok=True)
    done = load(path)
    problems = [
        (density, size)
        for density in DENSITIES
        for size in density.sizes
        if options.only in density.name and size <= options.max_size
    ]
    problems.sort(key=lambda problem: problem[1])  # small samples first
    if options.others:
        compare_others(problems, options.seeds)
        return
    for density, size in problems:
        for seed in range(options.seeds):
            for method in METHODS:
                key = (density.name, f"M={size}", method, seed)
                if key in done:
                    continue
                error, seconds = measure(density, size, method, seed)
                peers = (density.peers or {}).get(size)
                done[key] = row(
                    density.name, method, METRIC, error, feature=f"M={size}", seed=seed,
                    seconds=seconds, peers=peers,
                )  # fmt: skip
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[key]) + "\n")
        print_line(density, size, done, options.seeds)
        save(done, options.seeds)

    print()
    show(problems, done, options.seeds)
    print("written to", save(done, options.seeds))


def compare_others(problems: list[tuple[Density, int]], seeds: int) -> None:
    """Print the relative errors of other kernels and methods."""
    for density, size in problems:
        errors = [
            statistics.fmean(measure(density, size, method, seed)[0] for seed in range(seeds))
            for method in OTHERS
        ]
        found = "  ".join(f"{m} {v:.4g}" for m, v in zip(OTHERS, errors, strict=True))
        print(f"{density.name}, M={size}: {found}", flush=True)


def save(done: dict, seeds: int) -> Path:
    """Write all stored measurements."""
    rows = [
        done[key]
        for density in DENSITIES
        for size in density.sizes
        for method in METHODS
        for seed in range(seeds)
        if (key := (density.name, f"M={size}", method, seed)) in done
    ]
    command = "python benchmarks/score_accuracy.py"
    return write("score_accuracy", "Accuracy of score estimates", command, rows)


def means(density: Density, size: int, done: dict, seeds: int) -> dict[str, float]:
    """Return the mean relative error of each method over the seeds."""
    return {
        method: statistics.fmean(
            done[density.name, f"M={size}", method, seed]["value"] for seed in range(seeds)
        )
        for method in METHODS
    }


def print_line(density: Density, size: int, done: dict, seeds: int) -> None:
    """Print the relative errors for one density and sample size."""
    errors = "  ".join(f"{m} {v:.4g}" for m, v in means(density, size, done, seeds).items())
    print(f"{density.name}, M={size}: {errors}", flush=True)


def show(problems: list[tuple[Density, int]], done: dict, seeds: int) -> None:
    """Print the table, with ratios to the best public estimator and to the better published
    setting."""
    lines = []
    for density, size in problems:
        errors = means(density, size, done, seeds)
        published = min(errors["SSGE .94"], errors["SSGE .99"])
        peers = (density.peers or {}).get(size, np.nan)
        lines.append(
            [density.name, str(size), *(f"{value:.4g}" for value in errors.values()),
             "" if np.isnan(peers) else f"{peers:.3g}",
             "" if np.isnan(peers) else f"{errors['CV'] / peers:.2f}",
             f"{errors['CV'] / published:.2f}"]
        )  # fmt: skip
    header = ["density", "M", *METHODS, "best peer", "CV/peer", "CV/published"]
    print_table(header, lines)


if __name__ == "__main__":
    main()
