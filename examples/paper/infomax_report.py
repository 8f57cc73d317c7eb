"""Results file of Tables 1, 2 and 4 and Figure 2."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import sklearn
import torch

import sk_mige

NAMES = {
    "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "mnist": "MNIST", "stl10": "STL-10",
    "tinyimagenet10": "Tiny ImageNet, 10 classes",
}  # fmt: skip


# Each method in this list is compared with all methods, except the methods before it in the list.
OURS = (
    "MIGE, two views", "MIGE", "MIGE as published", "MIGE of patches and Y", "MIGE of conv and Y",
)  # fmt: skip


def write_results(
    results: list[dict[str, Any]],
    path: Path,
    script: str,
    usual: dict[str, Any],
    paper: dict[tuple[str, str, str], float],
) -> None:
    """Write the results file and print the results.

    ``usual`` contains the default settings of ``script``.
    """
    rows = [row for result in results for row in result_rows(result, paper)]
    rows += paired_differences(results)
    document = {
        "command": "; ".join(commands(results, script, usual)),
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__,
            "scikit-learn": sklearn.__version__, "sk_mige": sk_mige.__version__,
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared with other work; "
        "bfloat16 products in training unless float32 is said",
        "rows": rows,
    }  # fmt: skip
    path.write_text(json.dumps(document, indent=1) + "\n")
    for row in rows:
        sys.stdout.write(
            f"{row['dataset']:34} {row['method']:34} {row['feature']:9} {row['metric']:24} "
            f"{row['value']:8.2f}  seed {row['seed']}\n"
        )


def commands(results: list[dict[str, Any]], script: str, usual: dict[str, Any]) -> list[str]:
    """Return the commands that train exactly these encoders."""
    seeds: dict[tuple[str, str], set[int]] = {}
    for result in results:
        cell = dict(result["cell"])
        method, seed = cell.pop("method"), cell.pop("seed")
        seeds.setdefault((json.dumps(cell), method), set()).add(seed)
    methods: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for (setting, method), found in seeds.items():
        methods.setdefault((setting, tuple(sorted(found))), []).append(method)
    calls = []
    for (setting, found_seeds), names in methods.items():
        words = ["python", script]
        for key, value in json.loads(setting).items():
            if value != usual[key]:
                option = {"dataset": "data"}.get(key, key).replace("_", "-")
                words += ["--float32"] if key == "mixed" else [f"--{option}", str(value)]
        words += ["--seeds", *map(str, found_seeds), "--methods", *names]
        calls.append(shlex.join(words))
    return calls


def dataset_name(cell: dict[str, Any]) -> str:
    """Return the name of the data set with its size, subset and precision."""
    name = NAMES[cell["dataset"]]
    if cell["size"]:
        name += f", {cell['size']} × {cell['size']}"
    if cell["subset"]:
        name += f", {cell['subset']:,} images"
    return name + ("" if cell.get("mixed") else ", float32")


def result_rows(
    result: dict[str, Any], paper: dict[tuple[str, str, str], float]
) -> list[dict[str, Any]]:
    """Return the accuracies of all probes and the effective rank for one encoder."""
    cell = result["cell"]
    base = {
        "dataset": dataset_name(cell), "method": cell["method"], "feature": "", "metric": "",
        "value": 0.0, "seed": cell["seed"], "epochs": cell["epochs"],
        "seconds": result["seconds"], "paper": None,
    }  # fmt: skip
    known = {} if cell["subset"] else paper  # the paper used all images
    rows = [
        {
            **base, "feature": layer_name(feature), "metric": "accuracy (%)", "value": value,
            "paper": known.get((cell["dataset"], cell["method"], feature)),
        }
        for feature, value in result["accuracy"].items()
    ]  # fmt: skip
    # Cells of earlier runs have no further probes.
    of_codes = {**result.get("probes", {}), "effective rank": result["effective_rank"]}
    others = [{"feature": "Y(64)", "metric": k, "value": v} for k, v in of_codes.items()]
    return rows + [{**base, **other} for other in others]


def layer_name(feature: str) -> str:
    """Return the name of a layer in the paper's tables."""
    return {"conv": "conv", "fc": "fc(1024)", "Y": "Y(64)"}[feature]


def paired_differences(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the accuracies of ``OURS`` minus those of other methods.

    The two methods of a pair have the same seed, epochs and images.
    """
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for result in results:
        shared = {k: v for k, v in result["cell"].items() if k != "method"}
        groups.setdefault(json.dumps(shared), {})[result["cell"]["method"]] = result
    rows = []
    for group in groups.values():
        pairs = [(ours, theirs) for ours in OURS if ours in group for theirs in group]
        for name, method in pairs:
            if method in OURS[: OURS.index(name) + 1]:
                continue
            ours, theirs = group[name], group[method]
            cell = ours["cell"]
            rows += [
                {
                    "dataset": dataset_name(cell), "method": f"{name} minus {method}",
                    "feature": layer_name(feature), "metric": "paired difference (points)",
                    "value": round(value - theirs["accuracy"][feature], 3),
                    "seed": cell["seed"], "epochs": cell["epochs"], "seconds": None,
                    "paper": None,
                }
                for feature, value in ours["accuracy"].items()
            ]  # fmt: skip
    return rows
