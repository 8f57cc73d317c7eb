"""Errors of log-densities by score estimators, kernel density estimates and true families.

The error is the standard deviation of the difference from the exact log-density at 1,000 points.
The kernel density estimate uses the bandwidth with the lowest error at these points. For Gaussian
densities and mixtures, the family of the density is also fitted by maximum likelihood. The error of
this fit shows which accuracy is possible with the samples. Run::

    python benchmarks/log_density.py
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import report
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from sk_mige import SSGEScoreEstimator, SSGEScoreEstimatorCV
from sk_mige.datasets import make_banana, make_gaussian, make_gaussian_mixture, make_ring

DENSITIES = {
    "Gaussian": lambda seed: make_gaussian(512, 2, condition_number=5.0, random_state=seed),
    "mixture": lambda seed: make_gaussian_mixture(512, random_state=seed),
    "banana": lambda seed: make_banana(512, random_state=seed),
    "ring": lambda seed: make_ring(512, random_state=seed),
}
COMPONENTS = {"Gaussian": 1, "mixture": 3}
ESTIMATORS = {
    "default": SSGEScoreEstimator(),
    "curl-free": SSGEScoreEstimator(curl_free=True),
    "cross-validated": SSGEScoreEstimatorCV(),
}
KDE = "kernel density, best bandwidth"


def best_kernel_density(X: np.ndarray, points: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Return the log-densities by the bandwidth with the lowest error at the points."""
    widths = np.geomspace(0.05, 1.5, 25)
    found = [KernelDensity(bandwidth=h).fit(X).score_samples(points) for h in widths]
    return min(found, key=lambda values: np.std(values - exact))


def measure(name: str, seed: int) -> list[dict]:
    """Return the errors of all methods on one data set."""
    X, score = DENSITIES[name](seed)
    points = score.sample(1000, random_state=1000 + seed)
    exact = score.log_density(points)
    methods: dict[str, Callable[[], np.ndarray]] = {
        method: lambda e=e: e.fit(X).log_density(points) for method, e in ESTIMATORS.items()
    }
    methods[KDE] = lambda: best_kernel_density(X, points, exact)
    if name in COMPONENTS:
        family = GaussianMixture(COMPONENTS[name], n_init=3, random_state=seed)
        methods["true family, maximum likelihood"] = lambda: family.fit(X).score_samples(points)
    found: list[tuple[str, np.ndarray, float]] = []
    for method, log_density in methods.items():
        start = time.process_time()
        found.append((method, log_density() - exact, time.process_time() - start))
    unit = next(errors.std() for method, errors, _ in found if method == KDE)
    return [
        report.row(name, method, metric, float(value), seed=seed, seconds=seconds)
        for method, errors, seconds in found
        for metric, value in {
            "error": errors.std(),
            "error over kernel density": errors.std() / unit,
            "median absolute error": np.median(np.abs(errors - errors.mean())),
        }.items()
    ]


def main() -> None:
    """Measure all methods and write the results file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    warnings.simplefilter("ignore")
    rows = []
    for name in DENSITIES:
        for seed in range(seeds):
            rows += measure(name, seed)
            print(name, seed, flush=True)
    title = "Errors of log-densities from 512 rows in two dimensions"
    print(
        report.write(
            "log_density", title, f"python benchmarks/log_density.py --seeds {seeds}", rows
        )
    )


if __name__ == "__main__":
    main()
