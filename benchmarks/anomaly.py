"""Anomaly ranking on real data by log-density, norm of the score, and scikit-learn.

The inliers are rows of some classes, split in halves. A detector is fitted to the first half, and
ranks the second half together with the rows of the remaining classes. Features are standardised
with means and standard deviations of the training rows. Digits are reduced to 20 principal
components. Run::

    python benchmarks/anomaly.py
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable

import numpy as np
import report
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_mige import SSGEScoreEstimator


def data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return rows and a mask of the anomalies for each data set."""
    digits, cancer, wine = load_digits(), load_breast_cancer(), load_wine()
    found = {f"digits without {k}": (digits.data, digits.target == k) for k in (1, 4, 8)}
    found["breast cancer, malignant"] = (cancer.data, cancer.target == 0)
    for k, name in enumerate(wine.target_names):
        found[f"wine without {name}"] = (wine.data, wine.target == k)
    return found


def by_log_density(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return -SSGEScoreEstimator(random_state=0).fit(X).log_density(Y)


def by_score_norm(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    return np.linalg.norm(SSGEScoreEstimator(random_state=0).fit(X).transform(Y), axis=1)


def by_kernel_density(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Choose the bandwidth by the held-out likelihood."""
    search = GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.1, 10, 15)}).fit(X)
    return -search.best_estimator_.score_samples(Y)


def by_mixture(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Choose number and covariance of the components by BIC."""
    fits = [
        GaussianMixture(k, covariance_type=kind, reg_covar=1e-3, random_state=0).fit(X)
        for k in (1, 2, 4, 8)
        for kind in ("full", "diag")
    ]
    return -min(fits, key=lambda fit: fit.bic(X)).score_samples(Y)


METHODS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "log_density": by_log_density,
    "norm of the score": by_score_norm,
    "KernelDensity, bandwidth by cross-validation": by_kernel_density,
    "GaussianMixture, components by BIC": by_mixture,
}


def measure(name: str, X: np.ndarray, anomaly: np.ndarray, seed: int) -> list[dict]:
    """Return the area under the ROC curve of each method, in percent."""
    fitted, rest = train_test_split(X[~anomaly], test_size=0.5, random_state=seed)
    steps = [PCA(20, random_state=0)] if name.startswith("digits") else []
    prepare = make_pipeline(*steps, StandardScaler()).fit(fitted)
    ranked = prepare.transform(np.r_[rest, X[anomaly]])
    labels = np.r_[np.zeros(len(rest)), np.ones(anomaly.sum())]
    lines = []
    for method, rank in METHODS.items():
        start = time.process_time()
        auroc = 100 * roc_auc_score(labels, rank(prepare.transform(fitted), ranked))
        seconds = time.process_time() - start
        lines.append(report.row(name, method, "AUROC, %", auroc, seed=seed, seconds=seconds))
        print(json.dumps(lines[-1]), flush=True)
    return lines


def main() -> None:
    """Measure all methods, print the results and write the results file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    seeds = range(arguments.seeds)
    cells = [(name, *pair, seed) for name, pair in data().items() for seed in seeds]
    rows = [line for cell in cells for line in measure(*cell)]
    title = "Anomaly ranking by log-density and by the norm of the score"
    print(
        report.write("anomaly", title, f"python benchmarks/anomaly.py --seeds {len(seeds)}", rows)
    )


if __name__ == "__main__":
    main()
