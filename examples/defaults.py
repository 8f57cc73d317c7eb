"""Measure the effect of the encoder's default parameters on images and tables.

    python examples/defaults.py                          # everything: some hours on two cores
    python examples/defaults.py --data digits --seeds 0  # some minutes
    python examples/defaults.py --only "batch_size"      # methods with this text in their name

Three classifiers are trained on each representation: a multilayer perceptron, logistic regression
and nearest neighbours. The representations are raw values, principal components, an untrained
encoder, the default MIGEEncoder, and MIGEEncoder with changed parameters. The seed also
determines the split into training and test rows, so all representations with one seed are evaluated
on the same rows. Each finished result is appended to a file, and the next call of the script
continues an interrupted run. The results are written to docs/results/defaults.json.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

import sk_mige
from sk_mige import MIGE, InfoMax, MIGEEncoder, SSGEScoreEstimator
from sk_mige.datasets import fetch_cifar10, fetch_mnist
from sk_mige.objectives import default_training_score

ROOT = Path(__file__).resolve().parents[1]
SHRINKAGE = 0.1
BUNDLED = {"digits": load_digits, "breast cancer": load_breast_cancer, "wine": load_wine}
FETCHED = {"mnist": fetch_mnist, "cifar10": fetch_cifar10}
N_ROWS = 10_000  # training rows of the fetched images


class WhitenedMarginal(SSGEScoreEstimator):
    """Score of z by SSGE after whitening, with the default score of the pair (x, z)."""

    def _training_score(self, *_: Any) -> Callable[..., torch.Tensor]:
        def score(z: torch.Tensor, *, sq_distances: torch.Tensor | None = None) -> torch.Tensor:
            if sq_distances is not None:
                return default_training_score("infomax")(z, sq_distances=sq_distances)
            root = torch.linalg.cholesky(shrunk_covariance(z, SHRINKAGE))
            y = torch.linalg.solve_triangular(root, (z - z.mean(0)).T, upper=False).T
            s = default_training_score("infomax")(y)
            return torch.linalg.solve_triangular(root.T, s.T, upper=True).T

        return score


class GaussianMarginal(WhitenedMarginal):
    """Score of z by a Gaussian fit, with the default score of the pair (x, z)."""

    def _training_score(self, *_: Any) -> Callable[..., torch.Tensor]:
        def score(z: torch.Tensor, *, sq_distances: torch.Tensor | None = None) -> torch.Tensor:
            if sq_distances is not None:
                return default_training_score("infomax")(z, sq_distances=sq_distances)
            covariance = shrunk_covariance(z, SHRINKAGE)
            return -torch.linalg.solve(covariance, (z - z.mean(0)).T).T

        return score


def shrunk_covariance(z: torch.Tensor, shrinkage: float) -> torch.Tensor:
    covariance = torch.cov(z.T)
    ridge = shrinkage * covariance.diagonal().mean() * torch.eye(z.shape[1])
    return (1 - shrinkage) * covariance + ridge


def ssge_with(**parameters: Any) -> SSGEScoreEstimator:
    return SSGEScoreEstimator(**{"eigen_threshold": None, **parameters})


# Changed parameters, keyed by the name of the method in the results file.
VARIANTS: dict[str, dict[str, Any]] = {
    "eigen_threshold=0.8": {"score_estimator": ssge_with(eigen_threshold=0.8)},
    "eigen_threshold=0.94": {"score_estimator": ssge_with(eigen_threshold=0.94)},
    "eigen_threshold=0.99": {"score_estimator": ssge_with(eigen_threshold=0.99)},
    "eigen_threshold=0.999": {"score_estimator": ssge_with(eigen_threshold=0.999)},
    "eigen_threshold=1": {"score_estimator": ssge_with(eigen_threshold=1.0)},
    "alpha=1e-5": {"score_estimator": ssge_with(alpha=1e-5)},
    "alpha=1e-3": {"score_estimator": ssge_with(alpha=1e-3)},
    # z has unit variance, so its median distance in 64 dimensions is 11.3.
    "bandwidth=5.7 (half)": {"score_estimator": ssge_with(alpha=1e-4, bandwidth=5.7)},
    "bandwidth=22.6 (double)": {"score_estimator": ssge_with(alpha=1e-4, bandwidth=22.6)},
    "score of z whitened": {"score_estimator": WhitenedMarginal()},
    "score of z Gaussian": {"score_estimator": GaussianMarginal()},
    "x_scale=0.5": {"mode": InfoMax(MIGE(x_scale=0.5))},
    "x_scale=2": {"mode": InfoMax(MIGE(x_scale=2.0))},
    "corruption=0": {"mode": InfoMax(corruption=0.0)},
    "corruption=0.5": {"mode": InfoMax(corruption=0.5)},
    "corruption=0.7": {"mode": InfoMax(corruption=0.7)},
    'output_scale="unit"': {"mode": InfoMax(output_scale="unit")},
    'corruption=0, output_scale="unit"': {"mode": InfoMax(corruption=0.0, output_scale="unit")},
    "output_scale=None": {"mode": InfoMax(output_scale=None)},
    "batch_size=64": {"batch_size": 64},
    "batch_size=128": {"batch_size": 128},
    "batch_size=512": {"batch_size": 512},
    "lr=3e-4": {"lr": 3e-4},
    "lr=3e-3": {"lr": 3e-3},
    'lr_schedule="constant"': {"lr_schedule": "constant"},
    "max_epochs=10": {"max_epochs": 10},
    "max_epochs=50": {"max_epochs": 50},
    "hidden_layer_sizes=(1024, 1024)": {"hidden_layer_sizes": (1024, 1024)},
    "hidden_layer_sizes=()": {"hidden_layer_sizes": ()},
}


def representations(seed: int) -> dict[str, Any]:
    encoder = functools.partial(MIGEEncoder, random_state=seed, device="cpu")
    return {
        "raw pixels": FunctionTransformer(),
        "PCA(64)": PCA(64, random_state=seed),
        # With a learning rate near 0, only the statistics of batch norms change.
        "encoder, untrained": encoder(lr=1e-30, max_epochs=5),
        'encoder, untrained, output_scale="unit"': encoder(
            lr=1e-30, max_epochs=5, mode=InfoMax(output_scale="unit")
        ),
        "MIGEEncoder()": encoder(),
    } | {f"MIGEEncoder({name})": encoder(**changed) for name, changed in VARIANTS.items()}


@functools.cache
def load(name: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training rows, test rows and their labels, with values from 0 to 1."""
    if name in BUNDLED:
        X, y = BUNDLED[name](return_X_y=True)
        split = train_test_split(X, y, test_size=0.25, stratify=y, random_state=seed)
    else:
        X, y = FETCHED[name](return_X_y=True)
        rows = np.random.default_rng(seed).permutation(len(X))[:N_ROWS]
        X_test, y_test = FETCHED[name](subset="test", return_X_y=True)
        split = [X[rows], X_test, y[rows], y_test]
    scaler = MinMaxScaler().fit(split[0])
    return scaler.transform(split[0]), scaler.transform(split[1]), split[2], split[3]


def effective_rank(Z: np.ndarray) -> float:
    """Return the exponential of the entropy of the normalised eigenvalues of the covariance."""
    eigenvalues = np.linalg.eigvalsh(np.cov(Z.T)).clip(1e-12)
    share = eigenvalues / eigenvalues.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def classifiers(seed: int) -> dict[str, Any]:
    """Return the classifiers, keyed by the name of the metric in the results file."""
    return {
        "accuracy": MLPClassifier(random_state=seed),
        "accuracy of logistic regression": make_pipeline(
            StandardScaler(), LogisticRegression(max_iter=300)
        ),
        "accuracy of nearest neighbours": KNeighborsClassifier(),
    }


def measure(dataset: str, method: str, seed: int) -> list[dict[str, Any]]:
    """Return accuracies and effective ranks, in the format of the results file."""
    X_train, X_test, y_train, y_test = load(dataset, seed)
    before = representations(seed)[method]
    start = time.perf_counter()
    Z_train = before.fit_transform(X_train)
    seconds = time.perf_counter() - start
    Z_test = before.transform(X_test)
    shared = {
        "dataset": dataset,
        "method": method,
        "seed": seed,
        "epochs": getattr(before, "n_iter_", None),
        "seconds": round(seconds, 1),
        "paper": None,
    }
    rows = []
    for metric, classifier in classifiers(seed).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            accuracy = 100 * classifier.fit(Z_train, y_train).score(Z_test, y_test)
        rows.append(shared | {"feature": "z", "metric": metric, "value": round(accuracy, 3)})
    for feature, Z in directions(before, Z_train).items():
        rank = round(effective_rank(Z), 2)
        rows.append(shared | {"feature": feature, "metric": "effective rank", "value": rank})
    return rows


def directions(before: Any, Z: np.ndarray) -> dict[str, np.ndarray]:
    """Return z and, if the network rescales z to the units of the input, z before rescaling."""
    head = getattr(getattr(before, "module_", None), "head", None)
    if not hasattr(head, "alignment"):
        return {"z": Z}
    standardised = Z @ np.linalg.inv(head.alignment.cpu().numpy())
    return {"z": Z, "z, standardised": standardised}


def gather(log: Path, path: Path) -> None:
    """Write all finished results to the results file, in the order of the methods."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    order = list(representations(0))
    rows = [row for line in lines for row in line["rows"] if row["method"] in order]
    rows.sort(key=lambda row: (row["dataset"], order.index(row["method"]), row["seed"]))
    content = {
        "command": "python examples/defaults.py",
        "versions": {
            "python": platform.python_version(),
            "scikit-learn": sklearn.__version__,
            "sk_mige": sk_mige.__version__,
            "torch": torch.__version__,
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared with other work",
        "rows": rows,
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=[*BUNDLED, *FETCHED])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--only", default="", help="part of the names of the methods to run")
    parser.add_argument("--log", type=Path, default=ROOT / "examples/output/defaults.jsonl")
    parser.add_argument("--results", type=Path, default=ROOT / "docs/results/defaults.json")
    arguments = parser.parse_args()
    arguments.log.parent.mkdir(parents=True, exist_ok=True)
    arguments.log.touch()
    done = {tuple(json.loads(line)["key"]) for line in arguments.log.read_text().splitlines()}
    keys = [
        (dataset, method, seed)
        for seed in arguments.seeds
        for dataset in arguments.data or [*BUNDLED, *FETCHED]
        for method in representations(seed)
        if arguments.only in method and (dataset, method, seed) not in done
    ]
    for number, key in enumerate(keys, start=1):
        rows = measure(*key)
        with arguments.log.open("a") as file:
            file.write(json.dumps({"key": key, "rows": rows}) + "\n")
        values = ", ".join(f"{row['metric']} {row['value']:.2f}" for row in rows)
        print(f"[{number}/{len(keys)}] {key[0]}, seed {key[2]}, {key[1]}: {values}", flush=True)
    gather(arguments.log, arguments.results)
    print(f"gathered in {arguments.results}", file=sys.stderr)


if __name__ == "__main__":
    main()
