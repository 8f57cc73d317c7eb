"""Errors of log-densities by score estimators and by kernel density estimates.

The error is the standard deviation of the difference from the exact log-density at 1,000 points.
The kernel density estimate uses the bandwidth with the lowest error at these points. Run::

    python benchmarks/log_density.py
"""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import KernelDensity

from sk_mige import SSGEScoreEstimator, SSGEScoreEstimatorCV
from sk_mige.datasets import make_banana, make_gaussian, make_gaussian_mixture, make_ring

DENSITIES = {
    "Gaussian": lambda seed: make_gaussian(512, 2, condition_number=5.0, random_state=seed),
    "mixture": lambda seed: make_gaussian_mixture(512, random_state=seed),
    "banana": lambda seed: make_banana(512, random_state=seed),
    "ring": lambda seed: make_ring(512, random_state=seed),
}
ESTIMATORS = {
    "default": SSGEScoreEstimator(),
    "curl-free": SSGEScoreEstimator(curl_free=True),
    "cross-validated": SSGEScoreEstimatorCV(),
}
SEEDS = range(3)


def errors(seed: int, make: object) -> dict[str, np.ndarray]:
    """Return the centred errors (1000,) of every estimate."""
    X, score = make(seed)
    fresh = score.sample(1000, random_state=1000 + seed)
    exact = score.log_density(fresh)
    found = {name: e.fit(X).log_density(fresh) - exact for name, e in ESTIMATORS.items()}
    widths = np.geomspace(0.05, 1.5, 25)
    kernels = [KernelDensity(bandwidth=h).fit(X).score_samples(fresh) - exact for h in widths]
    found["kernel density, best bandwidth"] = min(kernels, key=np.std)
    return {name: values - values.mean() for name, values in found.items()}


def main() -> None:
    """Print root mean squared and median absolute errors."""
    for name, make in DENSITIES.items():
        runs = [errors(seed, make) for seed in SEEDS]
        print(name)
        for method in runs[0]:
            spread = np.mean([run[method].std() for run in runs])
            middle = np.mean([np.median(np.abs(run[method])) for run in runs])
            print(f"  {method:32s} rms {spread:.3f}  median {middle:.3f}", flush=True)


if __name__ == "__main__":
    main()
