"""Accuracy of the score estimators on densities whose score is known.

The relative error is E‖ĝ − g‖² / E‖g‖² at 512 fresh points, for five seeds. The methods are the
default settings, the cross-validated estimator, and SSGE as published with thresholds 0.94 and
0.99. Each measurement is stored at once, and a second run continues after the last stored
measurement. With ``--fresh``, stored measurements are deleted first.

    OMP_NUM_THREADS=1 python benchmarks/score_accuracy.py [--only banana] [--seeds 5] [--fresh]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from report import PROGRESS, print_table, row, write

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

N_FRESH = 512
METRIC = "relative error"
METHODS: dict[str, Callable[[], Any]] = {
    "default": SSGEScoreEstimator,
    "CV": SSGEScoreEstimatorCV,
    "SSGE .94": partial(SSGEScoreEstimator, eigen_threshold=0.94, whiten=False, base=None),
    "SSGE .99": partial(SSGEScoreEstimator, eigen_threshold=0.99, whiten=False, base=None),
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


DENSITIES = [
    Density("banana, d=2", make_banana, (128, 512, 2048), {128: 0.43, 512: 0.18}),
    Density("three modes, d=2", make_gaussian_mixture, (128, 512, 2048), {512: 0.13}),
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
    estimator = METHODS[method]()
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
    """Make the missing measurements, and print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="densities whose name contains this")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-size", type=int, default=10**9, help="largest number of samples")
    parser.add_argument("--fresh", action="store_true", help="forget an earlier run")
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
    for density, size in sorted(problems, key=lambda problem: problem[1]):  # small samples first
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


def save(done: dict, seeds: int) -> Path:
    """Write all measurements made so far."""
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
    """Return the mean error of each method over the seeds."""
    return {
        method: statistics.fmean(
            done[density.name, f"M={size}", method, seed]["value"] for seed in range(seeds)
        )
        for method in METHODS
    }


def print_line(density: Density, size: int, done: dict, seeds: int) -> None:
    """Print the errors of one density and sample size."""
    errors = "  ".join(f"{m} {v:.4g}" for m, v in means(density, size, done, seeds).items())
    print(f"{density.name}, M={size}: {errors}", flush=True)


def show(problems: list[tuple[Density, int]], done: dict, seeds: int) -> None:
    """Print the table, with ratios to the best peer and to the better published setting."""
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
