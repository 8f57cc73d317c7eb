"""Table 3's cells as a file of results: means, and differences on the same test images."""

from __future__ import annotations

import json
import platform
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from table3_training import METHODS, PAPER

import sk_mige

Result = dict[str, Any]


def tuned_strengths(finished: list[Result]) -> dict[str, float]:
    """For each method the strength with the fewest errors on the validation images."""
    errors: dict[str, dict[float, float]] = defaultdict(dict)
    for result in finished:
        cell = result["cell"]
        if cell["part"] == "validation":
            errors[cell["method"]][cell["strength"]] = result["error"]
    return {method: min(found, key=found.__getitem__) for method, found in errors.items()}


def row(result: Result, metric: str, value: float) -> Result:
    """One row of the standard file of results."""
    cell = result["cell"]
    tuned = METHODS[cell["method"]][1]
    n = min(cell["subset"], 60_000 if cell["part"] == "test" else 50_000)
    feature = "" if tuned is None else f"{tuned.replace('_', ' ')} = {cell['strength']:g}"
    test = cell["part"] == "test" and metric == "test error (%)"
    return {
        "dataset": f"MNIST, {n:,} images", "method": cell["method"],
        "feature": feature.replace("beta", "β"), "metric": metric,
        "value": round(value, 3), "seed": cell["seed"], "epochs": cell["epochs"],
        "seconds": result["seconds"], "paper": PAPER.get(cell["method"]) if test else None,
    }  # fmt: skip


def difference_rows(tests: list[Result]) -> list[Result]:
    """MIGE-IB's error minus each rival's, on the same images, with half its 95 % interval."""
    rows = []

    def setting(cell: dict[str, Any]) -> tuple[Any, ...]:
        return cell["epochs"], cell["subset"], cell["mixed"], cell["seed"]

    ours = {setting(r["cell"]): r for r in tests if r["cell"]["method"] == "MIGE-IB"}
    for result in tests:
        rival = ours.get(setting(result["cell"]))
        if rival is None or rival is result:
            continue
        mine, theirs = set(rival["wrong"]), set(result["wrong"])
        only_mine, only_theirs = len(mine - theirs), len(theirs - mine)
        discordant = only_mine + only_theirs
        difference = (only_mine - only_theirs) / 100
        half = 1.96 * np.sqrt(max(discordant - (only_mine - only_theirs) ** 2 / 1e4, 1)) / 100
        rows.append(row(result, "MIGE-IB's error minus this (points)", difference))
        rows.append(row(result, "half of its 95 % interval (points)", float(half)))
    return rows


def write_results(finished: list[Result], path: Path) -> None:
    """Write the standard file: test errors, differences, and what tuning found."""
    order = list(METHODS)
    finished = sorted(finished, key=lambda r: order.index(r["cell"]["method"]))
    tests = [r for r in finished if r["cell"]["part"] == "test"]
    rows = [row(r, "test error (%)", r["error"]) for r in tests]
    rows += [
        row(r, "test error, z at its mean (%)", r["error_at_mean"])
        for r in tests
        if METHODS[r["cell"]["method"]][0].get("head") != "deterministic"
    ]
    rows += difference_rows(tests)
    rows += [
        row(r, "validation error (%)", r["error"])
        for r in finished
        if r["cell"]["part"] == "validation"
    ]
    document = {
        "command": "python examples/paper/table3.py --tune; python examples/paper/table3.py",
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__,
            "numpy": np.__version__, "sk_mige": sk_mige.__version__,
        },
        "machine": f"{platform.machine()}, {platform.system()}, one thread, bfloat16 products",
        "rows": rows,
    }  # fmt: skip
    path.write_text(json.dumps(document, indent=1) + "\n")
