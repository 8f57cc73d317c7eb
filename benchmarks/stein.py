"""Stein thinning with estimated and exact scores, and level and power of the test.

Thinning selects 100 of 10,000 rows. The reference is the literal greedy algorithm with exact
scores, which computes all sums anew in each step. The selection of the package with exact scores
must be equal to the reference. Each discrepancy is the square root of the V-statistic of the
selected rows, with exact scores and the kernel of all rows. Estimated scores are used with and
without the estimate of their errors. Run::

    python benchmarks/stein.py
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import report
import torch

from sk_mige import KernelSteinTest, SSGEScoreEstimator, SteinThinning
from sk_mige.datasets import (
    GaussianMixtureScore,
    make_banana,
    make_gaussian,
    make_gaussian_grid,
    make_gaussian_mixture,
    make_ring,
    make_spherical_shell,
)
from sk_mige.score import SteinKernel, stein_kernel, stein_thinning

DENSITIES = {
    "Gaussian, d = 2": lambda n, s: make_gaussian(n, 2, condition_number=5.0, random_state=s),
    "Gaussian, d = 10": lambda n, s: make_gaussian(n, 10, condition_number=5.0, random_state=s),
    "mixture, d = 2": lambda n, s: make_gaussian_mixture(n, random_state=s),
    "mixture, d = 10": lambda n, s: make_gaussian_grid(n, 10, random_state=s),
    "banana, d = 2": lambda n, s: make_banana(n, random_state=s),
    "ring, d = 2": lambda n, s: make_ring(n, random_state=s),
    "shell, d = 10": lambda n, s: make_spherical_shell(n, 10, random_state=s),
}
ROWS, POINTS = 10_000, 100
RUNS, TEST_ROWS = 200, 200


def literal_thinning(kernel: SteinKernel, n_points: int) -> list[int]:
    """Select rows by the definition, with the sum over the selected rows computed in each step."""
    picked: list[int] = []
    for _ in range(n_points):
        sums = kernel.matrix(kernel.take(torch.tensor(picked, dtype=torch.long))).sum(1)
        picked.append(int((kernel.diagonal() / 2 + sums).argmin()))
    return picked


def thinning(name: str, seed: int) -> list[dict]:
    """Return the discrepancies of all selections from one data set."""
    X, score = DENSITIES[name](ROWS, seed)
    x, exact = torch.from_numpy(X), torch.from_numpy(score(X))
    kernel = stein_kernel(x, exact, bandwidth="scaled-median")
    start = time.process_time()
    picked = stein_thinning(x, exact, POINTS)
    seconds = time.process_time() - start
    assert picked.tolist() == literal_thinning(kernel, POINTS), f"{name}: not the reference"
    reference = kernel.take(picked).discrepancy("v") ** 0.5

    def line(method: str, rows: torch.Tensor | slice, seconds: float) -> list[dict]:
        found = kernel.take(rows).discrepancy("v") ** 0.5
        values = {"discrepancy": found, "discrepancy over reference": found / reference}
        return [
            report.row(name, method, metric, value, seed=seed, seconds=seconds)
            for metric, value in values.items()
        ]

    lines = line("exact scores", picked, seconds) + line("100 random rows", slice(POINTS), 0.0)
    start = time.process_time()
    estimator = SSGEScoreEstimator(n_landmarks=1000, random_state=seed)
    thinned = SteinThinning(POINTS, estimator).fit(X)
    seconds = time.process_time() - start
    lines += line("estimated scores", torch.from_numpy(thinned.indices_), seconds)
    start = time.process_time()
    scores = torch.from_numpy(thinned.score_estimator_.fit(X).transform(X))
    chosen = stein_thinning(x, scores, POINTS)
    seconds = time.process_time() - start
    lines += line("estimated scores, without their errors", chosen, seconds)
    return lines


def rejections(
    name: str, score: object, make: Callable[[np.random.Generator], object]
) -> list[dict]:
    """Return the percentage of p-values up to 0.05 on independent data sets."""
    start = time.process_time()
    found = [
        KernelSteinTest(score, n_bootstrap=199, random_state=seed)
        .fit(make(np.random.default_rng(seed)))
        .p_value_
        for seed in range(RUNS)
    ]
    rate = 100 * float(np.mean(np.array(found) <= 0.05))
    seconds = (time.process_time() - start) / RUNS
    return [report.row(name, "KernelSteinTest", "rejected at 5 %, %", rate, seconds=seconds)]


def normal(rng: np.random.Generator, d: int, shift: object = 0.0, scale: float = 1.0) -> np.ndarray:
    """Draw rows of a shifted and scaled normal distribution."""
    return scale * rng.normal(size=(TEST_ROWS, d)) + shift


def tests() -> dict[str, tuple]:
    """Return score and sampler of each test, under the null hypothesis and alternatives."""
    made: dict[str, tuple] = {
        f"N(0, I), d = {d}": (np.negative, partial(normal, d=d)) for d in (1, 2, 10)
    }
    for shift in (0.1, 0.2):
        rows = partial(normal, d=2, shift=shift)
        made[f"shift {shift} of each feature, d = 2"] = (np.negative, rows)
    made["standard deviation 0.8, d = 2"] = (np.negative, partial(normal, d=2, scale=0.8))
    for distance in (2, 4, 10):
        score = GaussianMixtureScore([[-distance / 2, 0.0], [distance / 2, 0.0]])
        rows = partial(normal, d=2, shift=np.array([distance / 2, 0.0]))
        made[f"one of two modes at distance {distance}"] = (score, rows)
    return made


def cells(seeds: range) -> dict[str, Callable[[], list[dict]]]:
    """Return functions that compute the results of one part, keyed by the name of the part."""
    found: dict[str, Callable[[], list[dict]]] = {
        f"{name}, seed {seed}": partial(thinning, name, seed)
        for seed in seeds
        for name in DENSITIES
    }
    return found | {name: partial(rejections, name, *case) for name, case in tests().items()}


def main() -> None:
    """Compute the results of unfinished parts, store each at once, and write the results file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    report.PROGRESS.mkdir(exist_ok=True)
    path = report.PROGRESS / "stein.jsonl"
    path.touch()
    lines = path.read_text(encoding="utf-8").splitlines()
    done = {cell["name"]: cell["rows"] for cell in map(json.loads, lines)}
    wanted = cells(range(arguments.seeds))
    for name, measure in wanted.items():
        if name not in done:
            done[name] = measure()
            with path.open("a", encoding="utf-8") as file:
                print(json.dumps({"name": name, "rows": done[name]}), file=file)
            print(name, flush=True)
    title = f"Stein thinning of {ROWS} rows to {POINTS}, and the kernel Stein test"
    command = f"python benchmarks/stein.py --seeds {arguments.seeds}"
    print(report.write("stein", title, command, [row for name in wanted for row in done[name]]))


if __name__ == "__main__":
    main()
