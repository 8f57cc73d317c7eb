"""Trust in the predictions of bottlenecks and of other classifiers on MNIST.

Networks with layers of 784, 512, 512 and 64 units are trained on eight digits. The novel images are
the remaining two digits, images of other kinds, and noise. The script measures the test error,
calibration, selective prediction, and the detection of novel images. ``--tune`` trains each method
except Softmax with four strengths. Five sixths of the training images of the first seed are used.
The chosen strength has the smallest negative log-likelihood on the remaining training images.

    OMP_NUM_THREADS=1 python benchmarks/bottleneck_trust.py --tune
    OMP_NUM_THREADS=1 python benchmarks/bottleneck_trust.py

The results of each network are a line of docs/results/cells/bottleneck_trust.jsonl. An interrupted
run continues after the last network.
"""

from __future__ import annotations

import argparse
import json
import pickle
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from report import PROGRESS, RESULTS, row, write
from scipy.stats import entropy
from sklearn.base import clone
from sklearn.metrics import log_loss, roc_auc_score

from sk_mige import MIGE, InformationBottleneck, MIGEEncoder
from sk_mige.datasets import fetch_cifar10, fetch_fashion_mnist, fetch_mnist
from sk_mige.metrics import expected_calibration_error, risk_coverage_curve
from sk_mige.networks import MLPEncoder, evaluate
from sk_mige.training import BetaWarmup

CELLS = RESULTS / "cells" / "bottleneck_trust.jsonl"
# Digits that are held out of training, for each seed.
NOVEL_DIGITS = {0: (8, 9), 1: (4, 5), 2: (0, 1)}


class Method(NamedTuple):
    """A method, with its objective, its tuned parameter and the candidate values."""

    mode: InformationBottleneck
    tuned: str | None = None
    strengths: tuple[float | None, ...] = (None,)


PLAIN = InformationBottleneck(head="deterministic", beta=0.0)
BETAS = (1e-3, 1e-2, 3e-2, 1e-1)
METHODS = {
    "MIGE-IB": Method(InformationBottleneck(), "beta", BETAS),
    "MIGE-IB, by classes": Method(
        InformationBottleneck(MIGE(marginal="classes")), "beta", BETAS
    ),
    "DVB": Method(InformationBottleneck("variational"), "beta", BETAS),
    "Dropout": Method(PLAIN, "dropout", (0.1, 0.2, 0.35, 0.5)),
    "Label smoothing": Method(PLAIN, "label_smoothing", (0.02, 0.05, 0.1, 0.2)),
    "Softmax": Method(PLAIN),
}  # fmt: skip


def make_encoder(name: str, strength: float | None, *, epochs: int, seed: int) -> MIGEEncoder:
    """Return the untrained classifier of a method."""
    method = METHODS[name]
    mode, dropout = clone(method.mode), 0.0
    if method.tuned == "dropout":
        dropout = strength or 0.0
    elif method.tuned is not None:
        mode.set_params(**{method.tuned: strength})
    return MIGEEncoder(
        64, mode=mode, encoder=partial(MLPEncoder, dropout=dropout), max_epochs=epochs,
        callbacks=[BetaWarmup(5)], mixed_precision=True, device="cpu", random_state=seed,
    )  # fmt: skip


def known_digits(subset: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of the trained digits, with values from 0 to 1, and their digits."""
    data = fetch_mnist(subset=subset, as_float=True)
    known = ~np.isin(data.target, NOVEL_DIGITS[seed])
    return data.data[known], data.target[known]


def trained(name: str, strength: float | None, epochs: int, seed: int) -> MIGEEncoder:
    """Return the classifier of a method, from the file of an earlier run if there is one."""
    path = PROGRESS / f"bottleneck-{name}-{strength}-{epochs}-{seed}.pkl"
    if path.exists():
        return pickle.loads(path.read_bytes())
    X, y = known_digits("train", seed)
    model = make_encoder(name, strength, epochs=epochs, seed=seed).fit(X, y)
    PROGRESS.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(model))
    return model


def novel_images(X: np.ndarray, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield images of other kinds, as many as in X if available."""
    rng = np.random.default_rng(seed)
    squares = X.reshape(-1, 28, 28)
    data = fetch_mnist(subset="test", as_float=True)
    yield "held-out digits", data.data[np.isin(data.target, NOVEL_DIGITS[seed])]
    photos = fetch_cifar10(subset="test", as_float=True).data[: len(X)].reshape(-1, 3, 32, 32)
    yield "CIFAR-10, grey", photos.mean(1)[:, 2:30, 2:30].reshape(len(photos), -1)
    yield "Gaussian noise", rng.normal(size=X.shape).clip(0, 1).astype(np.float32)
    yield "uniform noise", rng.uniform(size=X.shape).astype(np.float32)
    yield "rotated by 90°", np.rot90(squares, axes=(1, 2)).reshape(len(X), -1).copy()
    yield "inverted", 1 - X
    try:
        clothes = fetch_fashion_mnist(subset="test", as_float=True, download_if_missing=False)
    except OSError:
        return
    yield "Fashion-MNIST", clothes.data


def gaussian_rate(codes: np.ndarray, center: Any, variance: Any) -> np.ndarray:
    """Return KL(q(z | x) || N(center, variance)) in nats, for codes (n, 2, K)."""
    mean, variances = codes[:, 0].astype(float), codes[:, 1].astype(float) ** 2
    ratio = variances / variance
    return 0.5 * ((mean - center) ** 2 / variance + ratio - 1 - np.log(ratio)).sum(1)


def novelty_measures(model: MIGEEncoder, X: np.ndarray) -> dict[str, Any]:
    """Return the functions from images to their measures of novelty, for training images X."""
    measures = {
        "score_samples": lambda x: -model.score_samples(x),
        "largest probability": lambda x: -model.predict_proba(x).max(1),
        "entropy": lambda x: entropy(model.predict_proba(x), axis=1),
    }
    if not model.module_.head.closed_form:
        return measures

    def codes(x: np.ndarray) -> np.ndarray:
        return evaluate(model.module_, lambda t: torch.stack(model.module_(t).conditional, 1), x)

    of_training = codes(X)
    center = of_training[:, 0].mean(0)
    variance = of_training[:, 0].var(0) + (of_training[:, 1] ** 2).mean(0)
    measures["rate, prior N(0, I)"] = lambda x: gaussian_rate(codes(x), 0.0, 1.0)
    measures["rate, one Gaussian"] = lambda x: gaussian_rate(codes(x), center, variance)
    return measures


def detection(model: MIGEEncoder, seed: int) -> dict[str, dict[str, float]]:
    """Return the areas under the ROC curves in percent, for each measure and kind of image."""
    known, _ = known_digits("test", seed)
    known = known[:2000]
    measures = novelty_measures(model, known_digits("train", seed)[0][:10_000])
    usual = {name: measure(known) for name, measure in measures.items()}
    areas: dict[str, dict[str, float]] = {name: {} for name in measures}
    for kind, images in novel_images(known, seed):
        truth = np.repeat([0, 1], [len(known), len(images)])
        for name, measure in measures.items():
            values = np.concatenate([usual[name], measure(images)])
            areas[name][kind] = 100 * float(roc_auc_score(truth, values))
    return areas


def measure(cell: dict[str, Any]) -> dict[str, Any]:
    """Train one network and measure its predictions."""
    start = time.perf_counter()
    name, strength, seed = cell["method"], cell["strength"], cell["seed"]
    if cell["part"] == "validation":
        X, y = known_digits("train", seed)
        n = len(X) * 5 // 6
        model = make_encoder(name, strength, epochs=cell["epochs"], seed=seed).fit(X[:n], y[:n])
        X, y = X[n:], y[n:]
    else:
        model = trained(name, strength, cell["epochs"], seed)
        X, y = known_digits("test", seed)
    proba = model.predict_proba(X)
    _, risk = risk_coverage_curve(y, proba)
    result: dict[str, Any] = {
        "cell": cell,
        "metrics": {
            "error (%)": 100 * float(risk[-1]),
            "negative log-likelihood (nats)": float(log_loss(y, proba)),
            "calibration error (%)": 100 * expected_calibration_error(y, proba),
            "area under risk-coverage (%)": 100 * float(risk.mean()),
        },
        "seconds": round(time.perf_counter() - start, 1),
    }
    if cell["part"] == "test":
        result["areas"] = detection(model, seed)
    return result


def best_strength(name: str, results: list[dict[str, Any]]) -> float | None:
    """Return the strength with the smallest negative log-likelihood on validation images."""
    tried = {
        r["cell"]["strength"]: r["metrics"]["negative log-likelihood (nats)"]
        for r in results
        if r["cell"]["part"] == "validation" and r["cell"]["method"] == name
    }
    return min(tried, key=tried.__getitem__) if tried else METHODS[name].strengths[0]


def cells(results: list[dict[str, Any]], *, tune: bool, epochs: int) -> Iterator[dict[str, Any]]:
    """Yield the networks to be measured."""
    if tune:
        for name, method in METHODS.items():
            for strength in method.strengths if method.tuned else ():
                yield {
                    "part": "validation", "method": name, "strength": strength, "seed": 0,
                    "epochs": epochs,
                }  # fmt: skip
        return
    for seed in NOVEL_DIGITS:
        for name in METHODS:
            yield {
                "part": "test", "method": name, "strength": best_strength(name, results),
                "seed": seed, "epochs": epochs,
            }  # fmt: skip


def rows_of(results: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the entries of the results file, with the mean area over the kinds of images."""
    for result in results:
        cell = result["cell"]
        others = {"seed": cell["seed"], "epochs": cell["epochs"]}
        if cell["part"] == "validation":
            value = result["metrics"]["negative log-likelihood (nats)"]
            yield row("validation digits", cell["method"], "validation NLL (nats)", value,
                      feature=cell["strength"], **others)  # fmt: skip
            continue
        for metric, value in result["metrics"].items():
            yield row("known digits", cell["method"], "value", value, **others, feature=metric)
        for name, areas in result["areas"].items():
            for kind, area in {**areas, "mean": float(np.mean(list(areas.values())))}.items():
                yield row(name, cell["method"], "AUROC (%)", area, feature=kind, **others)


def draw(rows: list[dict[str, Any]], picture: Path) -> None:
    """Draw calibration errors and mean areas of all methods, with one point for each seed."""
    names = list(METHODS)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")

    def points(ax: Any, key: str, chosen: dict[str, Any], **style: Any) -> None:
        found = [r for r in rows if all(r[k] == v for k, v in chosen.items())]
        ax.plot(
            [r["value"] for r in found], [names.index(r["method"]) for r in found], key, **style
        )

    points(left, "o", {"feature": "calibration error (%)"})
    for key, measure in (("o", "score_samples"), ("x", "largest probability"), ("+", "entropy")):
        points(right, key, {"dataset": measure, "feature": "mean"}, label=measure)
    left.set(xlabel="calibration error, %", xlim=(0, None), yticks=range(len(names)))
    left.set_yticklabels(names)
    left.invert_yaxis()
    right.set(xlabel="mean area under the ROC curve, %")
    right.legend(fontsize="small")
    figure.savefig(picture, dpi=110)


def main() -> None:
    """Measure the missing networks, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tune", action="store_true", help="choose strengths by validation")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    lines = CELLS.read_text(encoding="utf-8").splitlines() if CELLS.exists() else []
    results = [json.loads(line) for line in lines]
    known = [result["cell"] for result in results]
    for cell in cells(results, tune=options.tune, epochs=options.epochs):
        if cell in known:
            continue
        results.append(measure(cell))
        with CELLS.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(results[-1], ensure_ascii=False) + "\n")
        print(cell, results[-1]["metrics"], flush=True)
    command = "python benchmarks/bottleneck_trust.py"
    rows = list(rows_of(results))
    draw(rows, RESULTS.parent / "images" / "bottleneck_trust.png")
    print(write("bottleneck_trust", "Trust in predictions", command, rows))


if __name__ == "__main__":
    main()
