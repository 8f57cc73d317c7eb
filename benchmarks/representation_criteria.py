"""Criteria for representations without labels, compared with the accuracy of a linear probe.

Encoders with 20 settings are trained on each data set. The accuracy of an encoder is the accuracy
of logistic regression on the representations. The criteria are computed from held-out rows without
labels. Accuracies and criteria are averaged over random splits of the rows into training rows and
held-out rows, with one encoder per split. The results are rank correlations of each criterion with
the accuracy, and the accuracy of the setting that each criterion chooses. Every finished run is
stored, and the next call continues an interrupted benchmark. The folder ``SK_MIGE_DATA`` contains
MNIST and CIFAR-10.

    SK_MIGE_DATA=folder OMP_NUM_THREADS=1 python benchmarks/representation_criteria.py

With ``--unseen``, the data sets are single cells and time series on which no criterion was
developed. They are parts of scanpy and aeon:

    pip install scanpy==1.11.5 aeon==1.6.0
    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/representation_criteria.py --unseen
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from report import PROGRESS, print_table, row, write
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_mige import MIGE, InfoMax, MIGEEncoder, SSGEScoreEstimator
from sk_mige.datasets import fetch_cifar10, fetch_mnist
from sk_mige.information.copies import incomplete_copy

Array = np.ndarray
# Numbers of random splits. Few held-out rows need many splits for an accurate mean accuracy.
SPLITS = {"digits": 3, "wine": 10, "breast cancer": 10, "MNIST": 1, "CIFAR-10": 3}
# Data sets on which no criterion was developed: single cells, and time series of the UCR archive.
SERIES = ("GunPoint", "ItalyPowerDemand", "OSULeaf", "ArrowHead", "ACSF1")
UNSEEN = {"PBMC": 3, **dict.fromkeys(SERIES, 3)}


def ssge(**parameters: Any) -> SSGEScoreEstimator:
    return SSGEScoreEstimator(**{"eigen_threshold": 0.999, **parameters})


# Settings of encoders with low and high accuracies.
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "untrained": {"lr": 1e-9, "max_epochs": 1},
    "1 epoch": {"max_epochs": 1},
    "5 epochs": {"max_epochs": 5},
    "2 components": {"n_components": 2},
    "8 components": {"n_components": 8},
    "eigen_threshold=0.8": {"score_estimator": ssge(eigen_threshold=0.8)},
    "eigen_threshold=0.94": {"score_estimator": ssge(eigen_threshold=0.94)},
    "eigen_threshold=0.999": {"score_estimator": ssge()},
    "alpha=1e-2": {"score_estimator": ssge(eigen_threshold=None, alpha=1e-2)},
    "x_scale=0.2": {"mode": InfoMax(MIGE(x_scale=0.2))},
    "x_scale=3": {"mode": InfoMax(MIGE(x_scale=3.0))},
    "jsd": {"mode": InfoMax("jsd")},
    "infonce": {"mode": InfoMax("infonce")},
    "corruption=0": {"mode": InfoMax(corruption=0.0)},
    "corruption=0.7": {"mode": InfoMax(corruption=0.7)},
    "lr=1e-2": {"lr": 1e-2},
    "16 hidden units": {"hidden_layer_sizes": (16,)},
    "linear": {"hidden_layer_sizes": ()},
    "two views": {"mode": InfoMax(n_views=2, corruption=0.5)},
}


@functools.cache
def data(name: str) -> tuple[Array, Array, int, int]:
    """Return rows and labels, the number of training rows, and the number of epochs."""
    if name == "MNIST":
        X, y = fetch_mnist(subset="train", return_X_y=True)
        X, n, epochs = X[:12_000] / 255, 8_000, 15
    elif name == "CIFAR-10":
        X, y = fetch_cifar10(subset="test", return_X_y=True)
        X, n, epochs = X / 255, 6_000, 8
    elif name in UNSEEN:
        X, y = single_cells() if name == "PBMC" else time_series(name)
        n, epochs = len(X) // 2, 60
    else:
        loader = {"digits": load_digits, "wine": load_wine, "breast cancer": load_breast_cancer}
        X, y = loader[name](return_X_y=True)
        if name != "digits":
            X = StandardScaler().fit_transform(X)
        n, epochs = (1_000, 15) if name == "digits" else (len(X) // 2, 60)
    return X.reshape(len(X), -1).astype(np.float32), y, n, epochs


def single_cells() -> tuple[Array, Array]:
    """Return standardised genes and cell types of 700 blood cells."""
    import scanpy

    cells = scanpy.datasets.pbmc68k_reduced()
    X = StandardScaler().fit_transform(cells.raw.X.toarray()).clip(-10, 10)
    return X, cells.obs["bulk_labels"].astype(str).to_numpy()


def time_series(name: str) -> tuple[Array, Array]:
    """Return standardised time series and their classes."""
    from aeon.datasets import load_classification

    X, y = load_classification(name)  # (n, 1, length)
    return StandardScaler().fit_transform(X[:, 0].T).T, y


def effective_rank(z: Array) -> float:
    """Exponential of the entropy of the singular values (RankMe)."""
    values = np.linalg.svd(z - z.mean(0), compute_uv=False)
    shares = values / values.sum() + 1e-12
    return float(np.exp(-(shares * np.log(shares)).sum()))


def decay(z: Array) -> float:
    """Minus the distance of the eigenvalues' decay exponent from 1 (α-ReQ)."""
    values = np.linalg.eigvalsh(np.cov(z.T))[::-1]
    values = values[values > 1e-9 * values[0]]
    if len(values) < 3:
        return -9.0
    slope = np.polyfit(np.log(np.arange(1, len(values) + 1)), np.log(values), 1)[0]
    return -abs(slope + 1)


def lidar(a: Array, b: Array) -> float:
    """Effective rank of the discriminant analysis of copies of the same row (LiDAR)."""
    difference, centre = (a - b) / np.sqrt(2), (a + b) / 2
    within = np.cov(difference.T) + 1e-4 * np.trace(np.cov(difference.T)) * np.eye(a.shape[1])
    values, vectors = np.linalg.eigh(within)
    roots = vectors / np.sqrt(values)
    values = np.linalg.eigvalsh(roots.T @ np.cov(centre.T) @ roots)
    shares = values / values.sum() + 1e-12
    return float(np.exp(-(shares * np.log(shares)).sum()))


def reconstruction(z: Array, x: Array) -> float:
    """Fraction of the variance of held-out rows that ridge regression on the codes predicts."""
    half = len(z) // 2
    model = make_pipeline(StandardScaler(), Ridge(1.0)).fit(z[:half], x[:half])
    error = ((model.predict(z[half:]) - x[half:]) ** 2).sum()
    return float(1 - error / ((x[half:] - x[:half].mean(0)) ** 2).sum())


def information_in_values(z: Array, x: Array) -> float:
    """Gaussian information between the codes z of incomplete copies and other copies of rows x.

    For columns of unit variance and with covariance C, another copy has the covariance (C + I) / 4.
    Given z, another copy has the covariance (R + I) / 4, where R is the covariance of x given z.
    The information is therefore (log det(C + I) - log det(R + I)) / 2.
    """
    half, x = len(z) // 2, x[:, x.std(0) > 1e-3]
    x = (x - x.mean(0)) / x.std(0)
    model = make_pipeline(StandardScaler(), RidgeCV((1.0, 10.0, 100.0))).fit(z[:half], x[:half])
    parts = (x[half:] - x[:half].mean(0), x[half:] - model.predict(z[half:]))
    grams = [m @ m.T if len(m) < m.shape[1] else m.T @ m for m in parts]
    before, after = (np.linalg.slogdet(np.eye(len(g)) + g / len(parts[0]))[1] for g in grams)
    return float(before - after) / 2


def measure(name: str, setting: str, split: int) -> dict[str, float]:
    """Train one encoder, and return its accuracy and all criteria on held-out rows."""
    X, y, n, epochs = data(name)
    order = np.random.default_rng(split).permutation(len(X))
    X, y = X[order], y[order]
    parameters = {
        "n_components": min(32, max(2, X.shape[1] // 2)),
        "max_epochs": epochs,
        "batch_size": 256 if n > 400 else 128,
        "random_state": split,
        "device": "cpu",
    } | SETTINGS[setting]
    encoder = MIGEEncoder(**parameters).fit(X[:n])
    z, held_out = (np.asarray(encoder.transform(part), float) for part in (X[:n], X[n:]))
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(z, y[:n])
    generator = torch.Generator().manual_seed(0)
    rows = torch.from_numpy(X[n:])
    a, b = (encoder.transform(incomplete_copy(rows, generator).numpy()) for _ in range(2))
    return {
        "accuracy": probe.score(held_out, y[n:]),
        "score": encoder.score(X[n:]),
        "information in values of copies": information_in_values(np.asarray(a, float), X[n:]),
        "linear reconstruction": reconstruction(held_out, X[n:]),
        "effective rank (RankMe)": effective_rank(held_out),
        "decay of eigenvalues (α-ReQ)": decay(held_out),
        "LiDAR": lidar(np.asarray(a, float), np.asarray(b, float)),
    }


def main() -> None:
    """Measure the missing runs, and print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--unseen", action="store_true", help="use the sets of scanpy and aeon")
    options = parser.parse_args()
    splits = UNSEEN if options.unseen else SPLITS
    PROGRESS.mkdir(exist_ok=True)
    log = PROGRESS / "representation_criteria.jsonl"
    done = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    warnings.simplefilter("ignore")
    for name in splits:
        for run in itertools.product([name], SETTINGS, range(splits[name])):
            if any((d["data"], d["setting"], d["split"]) == run for d in done):
                continue
            keys = dict(zip(("data", "setting", "split"), run, strict=True))
            done.append(keys | measure(*run))
            with log.open("a") as file:
                file.write(json.dumps(done[-1]) + "\n")
    report(done, options.unseen)


def report(done: list[dict[str, Any]], unseen: bool) -> None:
    """Write rank correlations, accuracies of the chosen settings, and means of all settings."""
    splits, suffix = (UNSEEN, "_unseen") if unseen else (SPLITS, "")
    names = [name for name in splits if any(d["data"] == name for d in done)]
    criteria = [k for k in done[0] if k not in ("data", "setting", "split", "accuracy")]
    rows, table = [], []
    for criterion in criteria:
        cells = []
        for name in names:
            of_data = [d for d in done if d["data"] == name]
            mean = averages(of_data)
            accuracy, values = mean("accuracy"), mean(criterion)
            found = {
                "rank correlation": float(spearmanr(accuracy, values)[0]),
                "accuracy of the choice": float(accuracy[values.argmax()]),
                "best accuracy": float(accuracy.max()),
            }
            rows += [row(name, criterion, k, v, runs=len(of_data)) for k, v in found.items()]
            cells.append("{:.2f} ({:.3f} of {:.3f})".format(*found.values()))
        table.append([criterion, *cells])
    for name in (name for name in names if splits[name] > 1):
        value = limit([d for d in done if d["data"] == name])
        rows.append(row(name, "limit by the noise of the accuracy", "rank correlation", value))
    for name, key in itertools.product(names, ("accuracy", "score")):
        means = averages([d for d in done if d["data"] == name])(key)
        rows += [row(name, k, f"mean {key}", v) for k, v in zip(SETTINGS, means, strict=True)]
    print_table(["criterion", *names], table)
    path = write(
        f"representation_criteria{suffix}",
        "Criteria without labels, beside a linear probe",
        f"python benchmarks/representation_criteria.py{' --unseen' if unseen else ''}",
        rows,
    )
    print(path)


def limit(runs: list[dict[str, Any]]) -> float:
    """Return the expected rank correlation of a perfect criterion with the mean accuracy.

    The Spearman-Brown formula gives the reliability of the mean over S splits from the mean
    correlation of two splits. The limit is the square root of the reliability.
    """
    splits = sorted({run["split"] for run in runs})
    accuracy = [averages([r for r in runs if r["split"] == split])("accuracy") for split in splits]
    between = np.mean([spearmanr(a, b)[0] for a, b in itertools.combinations(accuracy, 2)])
    return math.sqrt(len(splits) * between / (1 + (len(splits) - 1) * between))


def averages(runs: list[dict[str, Any]]) -> Callable[[str], Array]:
    """Return a function from a key to its means over splits, with one mean for each setting."""

    def mean(key: str) -> Array:
        return np.array([
            np.mean([run[key] for run in runs if run["setting"] == setting])
            for setting in SETTINGS
        ])  # fmt: skip

    return mean


if __name__ == "__main__":
    main()
