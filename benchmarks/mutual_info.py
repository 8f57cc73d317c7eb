"""Mutual information on the 40 tasks of `benchmark-mi`, with known values.

The benchmark compares `MutualInfoEstimator` with KSG (k = 10), the Gaussian copula (CCA of normal
scores), and critics trained on InfoNCE and MINE. Each finished measurement is appended to a file,
and the next run skips finished measurements. The folder ``SK_MIGE_DATA`` contains one file
``bmi_seedN.npz`` per seed N with the keys ``TASK|x``, ``TASK|y`` and ``TASK|mi`` (nats). The
arrays are those of ``bmi.benchmark.BENCHMARK_TASKS[TASK].sample(10_000, seed=N)``.

``--part digits`` uses pairs of images of MNIST. The classes of a pair have a known joint
distribution, so the information of the classes is known. An image determines its class, and the
images are independent given the classes. The information of the images is therefore equal to that
of the classes. The estimator receives 8 features of each image. Features cannot have more
information than the images, so an estimate should be near the true value or below.

    SK_MIGE_DATA=folder OMP_NUM_THREADS=1 python benchmarks/mutual_info.py [--seeds 0 1 2]
    SK_MIGE_DATA=folder python benchmarks/mutual_info.py --part digits

The tasks are those of P. Czyż, F. Grabowski, J. Vogt, N. Beerenwinkel, A. Marx, "Beyond Normal: On
the Evaluation of Mutual Information Estimators", NeurIPS 2023.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from report import PROGRESS, row, write
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from sk_mige import MutualInfoEstimator
from sk_mige.datasets import fetch_mnist
from sk_mige.information import (
    ConcatenatedCritic,
    fit_critic,
    gaussianize_ranks,
    ksg_terms,
    make_bound,
)

METRIC = "mutual information (nats)"
N_TASKS = 40
# Keys of a measurement that are not written to docs/results.
DETAILS = ("candidates", "warned", "sampling")
# Number of tasks right to one decimal at n = 10,000. MMG: L. Yu et al., "MMG: Mutual Information
# Estimation via the MMSE Gap in Diffusion", arXiv:2509.20609. The others: G. Franzese, M. Bounoua,
# P. Michiardi, "MINDE: Mutual Information Neural Diffusion Estimation", ICLR 2024.
PUBLISHED = {
    "MMG, published": 39,
    "MINDE, published": 35,
    "InfoNCE, published": 33,
    "MINE, published": 30,
    "NWJ, published": 30,
}
# A measurement is repeated if one of these entries differs.
KEYS = ("dataset", "method", "feature", "seed")
CRITIC_STEPS, CRITIC_BATCH = 300, 128
# Probabilities that both images of a pair show the same digit.
DIGITS, AGREEMENT = "digits", (0.1, 0.4, 0.7, 0.9, 1.0)
N_DIGIT_PAIRS, N_DIGIT_FEATURES = 3000, 8
Array = np.ndarray


def chosen(x: Array, y: Array) -> dict[str, Any]:
    """Estimate by `MutualInfoEstimator` on the CPU."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator = MutualInfoEstimator(random_state=0, device="cpu").fit(x, y)
    low, high = estimator.interval_
    results = {k: v.tolist() for k, v in estimator.results_.items()}
    return {
        "value": estimator.mutual_info_,
        "low": low,
        "high": high,
        "sampling": float(estimator.pointwise_.std() / len(x) ** 0.5),
        "warned": bool(caught),
        "candidates": results,
    }


def ksg(x: Array, y: Array) -> dict[str, Any]:
    """Estimate by KSG on normal scores."""
    return {"value": float(ksg_terms(scores(x), scores(y), 10).mean())}


def copula(x: Array, y: Array) -> dict[str, Any]:
    """Estimate by the canonical correlations of normal scores."""
    left, right = (torch.linalg.qr(scores(z))[0] for z in (x, y))
    correlations = torch.linalg.svdvals(left.mT @ right)
    return {"value": float(-0.5 * torch.log1p(-correlations.square()).sum())}


def critic(name: str, x: Array, y: Array) -> dict[str, Any]:
    """Train a critic on half of the rows, and evaluate its bound on the second half."""
    u, v = (scores(z).float() for z in (x, y))
    half = len(u) // 2
    bound = make_bound(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ConcatenatedCritic(u.shape[1], v.shape[1])
        batches = (torch.randperm(half)[:CRITIC_BATCH] for _ in range(CRITIC_STEPS))
        fit_critic(network, bound, ((u[r], v[r]) for r in batches), learning_rate=1e-3)
    with torch.no_grad():
        parts = zip(u[half:].split(CRITIC_BATCH), v[half:].split(CRITIC_BATCH), strict=True)
        values = [float(bound(network(*pair)).value) for pair in parts if len(pair[0]) > 1]
    return {"value": statistics.fmean(values)}


def scores(z: Array) -> torch.Tensor:
    return gaussianize_ranks(torch.from_numpy(z.astype(np.float64)))


OWN = "MutualInfoEstimator"
# Commands for the stored results.
COMMANDS = (
    "python benchmarks/mutual_info.py; "
    "python benchmarks/mutual_info.py --seeds 1 2 --sizes 10000 --methods MutualInfoEstimator; "
    "python benchmarks/mutual_info.py --sizes 10000 --methods InfoNCE MINE; "
    "python benchmarks/mutual_info.py --part digits"
)
METHODS: dict[str, Callable[[Array, Array], dict[str, Any]]] = {
    OWN: chosen,
    "KSG, k = 10": ksg,
    "Gaussian copula": copula,
    "InfoNCE": partial(critic, "infonce"),
    "MINE": partial(critic, "mine"),
}


def main() -> None:
    """Run the missing measurements, print a summary and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 1000, 5000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS)[:3], choices=list(METHODS))
    parser.add_argument("--part", default="tasks", choices=("tasks", "digits"))
    parser.add_argument("--only", default="", help="part of the names of tasks to run")
    parser.add_argument("--report", action="store_true", help="only write stored results")
    parser.add_argument("--fresh", action="store_true", help="delete stored measurements first")
    options = parser.parse_args()
    PROGRESS.mkdir(exist_ok=True)
    path = PROGRESS / "mutual_info.jsonl"
    if options.fresh:
        path.unlink(missing_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    if options.report:
        return report(rows)
    chosen(*np.random.default_rng(0).standard_normal((2, 200, 2)))  # imports on first use
    if options.part == "digits":
        made = digits(options.seeds[0])
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in made)
        return report([*rows, *made])
    done = {tuple(made[key] for key in KEYS) for made in rows}
    for seed in options.seeds:
        data = np.load(Path(os.environ["SK_MIGE_DATA"]) / f"bmi_seed{seed}.npz")
        tasks = [key.removesuffix("|mi") for key in data.files if key.endswith("|mi")]
        cells = product(options.sizes, options.methods, (t for t in tasks if options.only in t))
        for n, method, task in cells:
            if (task, method, f"n={n}", seed) not in done:
                made = measure(data, task, method, n, seed)
                rows.append(made)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(made) + "\n")
    return report(rows)


def report(measured: list[dict]) -> None:
    """Print the summary, write the results and draw the picture."""
    unique = {tuple(made[key] for key in KEYS): made for made in measured}
    every = [{key: made[key] for key in made if key not in DETAILS} for made in unique.values()]
    tasks = [made for made in every if made["metric"] == METRIC]
    images = [made for made in every if made["metric"] == DIGITS]
    groups: dict[tuple, list[dict]] = {}
    for made in tasks:
        groups.setdefault((made["feature"], made["method"], made["seed"]), []).append(made)
    # A group with missing tasks has no comparable mean.
    summaries = [line for own in groups.values() if len(own) == N_TASKS for line in summary(own)]
    rows = [*summaries, *published(), *images, *tasks]
    for line in summaries:
        cells = (line["dataset"], line["method"], str(line["seed"]), line["feature"])
        print("; ".join([*cells, f"{line['value']:.3f}"]))
    path = write("mutual_info", "Values of mutual information", COMMANDS, rows)
    draw(tasks, path.parents[1] / "images" / "mutual_info.png")


def measure(data: Any, task: str, method: str, n: int, seed: int) -> dict[str, Any]:
    """Return one measurement in the format of the results file."""
    x, y, truth = data[f"{task}|x"][:n], data[f"{task}|y"][:n], float(data[f"{task}|mi"])
    start = time.process_time()
    found = METHODS[method](x, y)
    seconds = round(time.process_time() - start, 2)
    value = found.pop("value")
    shared = {"feature": f"n={n}", "seed": seed, "seconds": seconds, "truth": truth}
    return row(task, method, METRIC, value, **shared, **found)


def summary(own: list[dict]) -> list[dict[str, Any]]:
    """Return the summary of one method, for one sample size and seed."""
    errors = np.array([made["value"] - made["truth"] for made in own])
    truth = np.array([made["truth"] for made in own])
    rounded = [round(made["value"], 1) == round(made["truth"], 1) for made in own]
    columns = {
        "mean absolute error (nats)": float(np.abs(errors).mean()),
        "right": int((np.abs(errors) <= 0.05 * np.maximum(1, truth)).sum()),
        "right to one decimal": sum(rounded),
        "largest overestimate (nats)": float(errors.max()),
        "most seconds": max(made["seconds"] for made in own),
    }
    if own[0].get("low") is not None:
        low, high = (np.array([made[end] for made in own]) for end in ("low", "high"))
        columns["intervals with the truth"] = int(((low <= truth) & (truth <= high)).sum())
        columns["median width (nats)"] = float(np.median(high - low))
    rows = f"{N_TASKS} tasks, {own[0]['feature']}"
    return [
        row(rows, own[0]["method"], "summary", value, feature=name, seed=own[0]["seed"])
        for name, value in columns.items()
    ]


def digits(seed: int) -> list[dict[str, Any]]:
    """Return the results for pairs of images whose classes have a known joint distribution."""
    train, test = fetch_mnist(subset="train"), fetch_mnist(subset="test")
    shown = train.data[:20_000].reshape(20_000, -1) / np.float32(255)
    images = test.data.reshape(len(test.data), -1) / np.float32(255)
    encoders = {
        "PCA": PCA(N_DIGIT_FEATURES, random_state=seed),
        "LDA": LinearDiscriminantAnalysis(n_components=N_DIGIT_FEATURES),
    }
    rows = []
    for name, encoder in encoders.items():
        encoder.fit(shown, train.target[:20_000])
        for agreement in AGREEMENT:
            pairs = digit_pairs(test.target, agreement, np.random.default_rng(seed))
            x, y = (encoder.transform(images[k]) for k in pairs)
            found = chosen(x, y)
            title = f"equal with probability {agreement}, {digit_information(agreement):.2f} nats"
            rows += [
                row(title, name, DIGITS, found[feature], feature=feature, seed=seed)
                for feature in ("low", "value", "high")
            ]
    return rows


def digit_pairs(classes: Array, agreement: float, generator: Any) -> tuple[Array, Array]:
    """Return indices of pairs of images, which have equal classes with a given probability."""
    half = len(classes) // 2
    left = generator.permutation(half)[:N_DIGIT_PAIRS]
    own = classes[left].astype(int)
    other = (own + generator.integers(1, 10, len(own))) % 10
    wanted = np.where(generator.random(len(own)) < agreement, own, other)
    right = np.empty_like(left)
    for k in range(10):
        rows = np.flatnonzero(wanted == k)
        known = half + np.flatnonzero(classes[half:].astype(int) == k)
        right[rows] = generator.choice(known, len(rows), replace=False)
    return left, right


def digit_information(agreement: float) -> float:
    """Return I(k; k') in nats for ten equally frequent classes."""
    rest = (1 - agreement) / 9
    terms = [p * math.log(10 * p) for p in (agreement, *[rest] * 9) if p > 0]
    return sum(terms)


def published() -> list[dict[str, Any]]:
    """Return the published counts in the format of the results file."""
    return [
        row(f"{N_TASKS} tasks, n=10000", name, "published", count, feature="right to one decimal")
        for name, count in PUBLISHED.items()
    ]


def draw(tasks: list[dict], picture: Path) -> None:
    """Draw estimates with intervals against the truth, and the error of each task."""
    import matplotlib.pyplot as plt

    chosen_rows = [made for made in tasks if made["method"] == OWN and made["seed"] == 0]
    own = sorted(
        (made for made in chosen_rows if made["feature"] == "n=10000"),
        key=lambda made: (made["truth"], made["dataset"]),
    )
    figure, axes = plt.subplots(1, 2, figsize=(9, 6.5), layout="constrained", width_ratios=(1, 1.2))
    low, high, value, truth = (
        np.array([made[key] for made in own], dtype=float)
        for key in ("low", "high", "value", "truth")
    )
    ends = np.maximum([value - low, high - value], 0)
    style: dict[str, Any] = {"fmt": "o", "markersize": 3, "elinewidth": 1}
    axes[0].errorbar(truth, value, yerr=ends, **style)
    axes[0].plot([0, 1.8], [0, 1.8], color="gray", linewidth=0.8)
    axes[0].set(xlabel="mutual information (nats)", ylabel="estimate (nats)")
    places = np.arange(len(own))
    axes[1].errorbar(value - truth, places, xerr=ends, **style)
    axes[1].axvline(0, color="gray", linewidth=0.8)
    axes[1].set_yticks(places, [made["dataset"] for made in own], fontsize=6)
    axes[1].set(xlabel="estimate minus truth (nats)")
    figure.savefig(picture, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
