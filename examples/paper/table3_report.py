"""Results file of Table 3: errors and paired differences of trained networks."""

from __future__ import annotations

import json
import platform
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from table3_training import METHODS, PAPER, SETTINGS

import sk_mige

Result = dict[str, Any]
# Each of these is compared with all methods of its dimension, except those before it here.
OURS = ("MIGE-IB, by classes", "MIGE-IB", "MIGE-IB, implicit, K = 16")


NAMES = {
    "hidden": "hidden pixels", "noise": "noise", "adversarial": "adversarial noise",
    "smoothing": "label smoothing", "batch": "batch size", "lr": "learning rate",
    "draws": "more draws",
}  # fmt: skip


def best_on_validation(finished: list[Result]) -> dict[str, float]:
    """Return each method's strength with the fewest validation errors in the paper's setting."""
    errors: dict[str, dict[float, float]] = defaultdict(dict)
    for result in finished:
        cell = result["cell"]
        if cell["part"] == "validation" and not changes(cell):
            errors[cell["method"]][cell["strength"]] = result["error"]
    return {method: min(found, key=found.__getitem__) for method, found in errors.items()}


def changes(cell: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of training that differ from the paper's."""
    return {name: cell[name] for name in SETTINGS if name in cell}


def name_of(cell: dict[str, Any]) -> str:
    """Return the method's name with the changed settings of training."""
    return ", ".join([cell["method"], *(NAMES.get(name, name) for name in changes(cell))])


def row(result: Result, metric: str, value: float) -> Result:
    """Return one measurement in the format of the results file."""
    cell = result["cell"]
    tuned = METHODS[cell["method"]].tuned
    n = min(cell["subset"], 60_000 if cell["part"] == "test" else 50_000)
    strength = {} if tuned is None else {tuned.replace("_", " "): cell["strength"]}
    feature = ", ".join(f"{k} = {v:g}" for k, v in {**strength, **changes(cell)}.items())
    test = cell["part"] == "test" and metric == "test error (%)" and not changes(cell)
    return {
        "dataset": f"MNIST, {n:,} images", "method": name_of(cell),
        "feature": feature.replace("beta", "β"), "metric": metric,
        "value": round(value, 3), "seed": cell["seed"], "epochs": cell["epochs"],
        "seconds": result["seconds"], "paper": PAPER.get(cell["method"]) if test else None,
    }  # fmt: skip


def difference_rows(tests: list[Result]) -> list[Result]:
    """Return the error of MIGE-IB minus that of each other method, with intervals.

    The two methods are compared on the same images and seeds. The difference for each image is
    averaged over seeds, and these averages are treated as independent.
    """
    rows = []
    runs: dict[tuple[Any, ...], dict[int, Result]] = defaultdict(dict)
    for result in tests:
        cell = result["cell"]
        key = (
            cell["method"], str(changes(cell)), cell["epochs"], cell["subset"], cell["mixed"]
        )  # fmt: skip
        runs[key][cell["seed"]] = result
    for name, key in product(OURS, runs):
        method, *setting = key
        ours, theirs = runs.get((name, *setting), {}), runs[key]
        seeds = sorted(ours.keys() & theirs.keys())
        of_one_size = ("K =" in name) == ("K =" in method)
        if method in OURS[: OURS.index(name) + 1] or not of_one_size or not seeds:
            continue
        gaps = np.mean([indicator(ours[s]) - indicator(theirs[s]) for s in seeds], axis=0)
        half = 1.96 * gaps.std(ddof=1) / np.sqrt(len(gaps))
        last = {**theirs[seeds[-1]], "seconds": None}
        counted = f"({len(seeds)} seed{'s' if len(seeds) > 1 else ''})"
        for metric, value in (
            ("difference (points)", gaps.mean()),
            ("half of its 95 % interval (points)", half),
        ):
            made = row(last, metric, 100 * float(value))
            feature = f"{made['feature']} {counted}".strip()
            rows.append(
                {
                    **made,
                    "method": f"{name} minus {name_of(last['cell'])}",
                    "feature": feature,
                    "seed": None,
                }
            )
    return rows


def indicator(result: Result, n_images: int = 10_000) -> np.ndarray:
    """Return 1 for each misclassified test image, else 0."""
    wrong = np.zeros(n_images)
    wrong[result["wrong"]] = 1
    return wrong


def command(cell: dict[str, Any]) -> str:
    """Return the command that trains the network of a cell."""
    changed = "".join(f" {name}={json.dumps(value)}" for name, value in changes(cell).items())
    tune = " --tune" if cell["part"] == "validation" else ""
    epochs = f" --epochs {cell['epochs']}"
    return f"python examples/paper/table3.py{tune}{epochs}{changed and ' --set' + changed}"


def _run(result: Result) -> tuple[str, int]:
    return name_of(result["cell"]), result["cell"]["epochs"]


def write_results(finished: list[Result], path: Path) -> None:
    """Write the results file: test errors, differences and validation errors."""
    errors: dict[tuple[str, int], list[float]] = defaultdict(list)
    for result in finished:
        if result["cell"]["part"] == "test":
            errors[_run(result)].append(result["error"])
    means = {run: float(np.mean(found)) for run, found in errors.items()}
    finished = sorted(finished, key=lambda r: means.get(_run(r), np.inf))
    tests = [r for r in finished if r["cell"]["part"] == "test"]
    rows = [row(r, "test error (%)", r["error"]) for r in tests]
    rows += [
        row(r, "test error, z at its mean (%)", r["error_at_mean"])
        for r in tests
        if METHODS[r["cell"]["method"]].mode.head != "deterministic"
    ]
    rows += [
        row(r, "test error, 12 draws of z (%)", r["error_at_12_draws"])
        for r in tests
        if "draws" in r["cell"]
    ]
    rows += difference_rows(tests)
    rows += [
        row(r, "validation error (%)", r["error"])
        for r in finished
        if r["cell"]["part"] == "validation"
    ]
    document = {
        "command": "; ".join(sorted({command(result["cell"]) for result in finished})),
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__,
            "numpy": np.__version__, "sk_mige": sk_mige.__version__,
        },
        "machine": f"{platform.machine()}, {platform.system()}, one thread, bfloat16 products",
        "rows": rows,
    }  # fmt: skip
    path.write_text(json.dumps(document, indent=1) + "\n")
