"""Mutual information on the 40 tasks of `benchmark-mi`, whose truth is known.

The benchmark compares `MutualInfoEstimator` with KSG (k = 10), the Gaussian copula (CCA of normal
scores), and critics trained on InfoNCE and MINE. Each finished measurement is appended to a file,
and a second run skips the finished ones. The folder ``SK_MIGE_DATA`` holds one file
``bmi_seedN.npz`` per seed N with the keys ``TASK|x``, ``TASK|y`` and ``TASK|mi`` (nats). The arrays
are those of ``bmi.benchmark.BENCHMARK_TASKS[TASK].sample(10_000, seed=N)``.

    SK_MIGE_DATA=folder OMP_NUM_THREADS=1 python benchmarks/mutual_info.py [--seeds 0 1 2]

Published figures on these tasks: Czyż, Grabowski, Vogt, Beerenwinkel, Marx, "Beyond Normal: On the
Evaluation of Mutual Information Estimators", NeurIPS 2023.
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
from report import PROGRESS, print_table, row, write

from sk_mige import MutualInfoEstimator
from sk_mige.information import (
    ConcatenatedCritic,
    fit_critic,
    gaussianize_ranks,
    ksg_terms,
    make_bound,
)

METRIC = "mutual information"
# A measurement is repeated if one of these differs.
KEYS = ("dataset", "method", "feature", "seed")
CRITIC_STEPS, CRITIC_BATCH = 300, 128
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
    """Train a critic on half of the rows; evaluate its bound on the other half."""
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


METHODS: dict[str, Callable[[Array, Array], dict[str, Any]]] = {
    "MutualInfoEstimator": chosen,
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
    parser.add_argument("--only", default="", help="tasks whose name contains this")
    parser.add_argument("--fresh", action="store_true", help="forget an earlier run")
    options = parser.parse_args()
    PROGRESS.mkdir(exist_ok=True)
    path = PROGRESS / "mutual_info.jsonl"
    if options.fresh:
        path.unlink(missing_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    chosen(*np.random.default_rng(0).standard_normal((2, 200, 2)))  # imports on first use
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
    show(rows)
    command = "python benchmarks/mutual_info.py"
    print("written to", write("mutual_info", "Values of mutual information", command, rows))


def measure(data: Any, task: str, method: str, n: int, seed: int) -> dict[str, Any]:
    """Return the row of one measurement."""
    x, y, truth = data[f"{task}|x"][:n], data[f"{task}|y"][:n], float(data[f"{task}|mi"])
    start = time.process_time()
    found = METHODS[method](x, y)
    seconds = round(time.process_time() - start, 2)
    value = found.pop("value")
    shared = {"feature": f"n={n}", "seed": seed, "seconds": seconds, "truth": truth}
    return row(task, method, METRIC, value, **shared, **found)


def show(rows: list[dict]) -> None:
    """Print a summary by method and size, and the tasks with large errors."""
    lines = []
    for key in sorted({(made["feature"], made["method"]) for made in rows}):
        own = [made for made in rows if (made["feature"], made["method"]) == key]
        errors = [made["value"] - made["truth"] for made in own]
        right = [
            abs(error) <= 0.05 * max(1.0, made["truth"])
            for error, made in zip(errors, own, strict=True)
        ]
        lines.append(
            [
                *key,
                str(len(own)),
                f"{statistics.fmean(map(abs, errors)):.3f}",
                str(sum(right)),
                f"{max(errors):+.3f}",
                *intervals(own),
                f"{max(made['seconds'] for made in own):.1f}",
            ]
        )
        if key[1] == "MutualInfoEstimator":
            for made, correct in zip(own, right, strict=True):
                if not correct:
                    print(f"{key[0]} {made['dataset']}: {made['value']:.3f}, {made['truth']:.3f}")
    header = ["n", "method", "tasks", "mean |error|", "right", "largest error", "covered"]
    print_table([*header, "median width", "most seconds"], lines)


def intervals(rows: list[dict]) -> tuple[str, str]:
    """Return the number of intervals that contain the truth, and their median width."""
    own = [made for made in rows if made.get("low") is not None]
    if not own:
        return "", ""
    covered = sum(made["low"] <= made["truth"] <= made["high"] for made in own)
    width = statistics.median(made["high"] - made["low"] for made in own)
    return str(covered), f"{width:.3f}" if math.isfinite(width) else "inf"


if __name__ == "__main__":
    main()
