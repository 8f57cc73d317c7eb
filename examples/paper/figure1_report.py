"""Results file and pictures of Figure 1."""

from __future__ import annotations

import json
import platform
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")  # draw to a file, without a display

import matplotlib.pyplot as plt

import sk_mige

# Relative RMSE in percent of the curves in the repository of the paper's authors.
AUTHORS = {
    ("MIGE as published", 8): 5.9, ("MIGE as published", 16): 11.6, ("MIGE as published", 32): 28.0,
    ("MINE", 8): 15.0, ("MINE", 16): 40.0, ("MINE", 32): 75.0,
}  # fmt: skip
COLORS = {
    "MIGE": "tab:red", "MIGE as published": "tab:orange", "MINE": "tab:blue",
    "MINE-f": "tab:green", "InfoNCE": "tab:purple", "SMILE": "tab:brown",
    "score-based": "tab:red", "score-based, no margins": "tab:pink",
}  # fmt: skip
NAMES = {"gaussian": "correlated Gaussians", "mixture": "two clusters"}


def write_results(results: list[dict[str, Any]], path: Path, command: str) -> None:
    """Write the results file and print a table of means."""
    rows = [row for result in results for row in result_rows(result)] + spread_rows(results)
    versions = {
        "python": platform.python_version(), "torch": torch.__version__,
        "numpy": np.__version__, "sk_mige": sk_mige.__version__,
    }  # fmt: skip
    machine = f"{platform.machine()}, {platform.system()}, one thread a curve"
    document = {"command": command, "versions": versions, "machine": machine, "rows": rows}
    path.write_text(json.dumps(document, indent=1) + "\n")
    means = defaultdict(list)
    for row in rows:
        means[row["dataset"], row["method"], row["metric"]].append(row["value"])
    for (dataset, method, metric), values in means.items():
        sys.stdout.write(f"{dataset:50} {method:24} {metric:34} {np.mean(values):10.4g}\n")


def result_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the relative errors of one curve, in percent."""
    cell = result["cell"]
    name = NAMES.get(cell["problem"], cell["problem"])
    base = {
        "dataset": f"{name}, d = {cell['d']}, n = {cell['n']:,}", "method": cell["method"],
        "feature": "dI/dρ", "metric": "", "value": 0.0, "seed": cell["seed"], "epochs": None,
        "seconds": round(result.get("seconds", 0), 3) or None, "paper": None,
    }  # fmt: skip
    if cell["panel"] == "f":
        value = round(float(np.median(result["ratios"])), 1)
        return [{**base, "metric": "times the processor seconds of MIGE's curve", "value": value}]
    if cell["panel"] == "e":
        return [
            {
                **base,
                "feature": "I",
                "metric": f"error at I = {truth:.3g} nats",
                "value": round(v - truth, 4),
            }
            for v, truth in zip(result["value"], result["true_value"], strict=True)
        ]
    gradient, truth = np.array(result["gradient"]), np.array(result["true_gradient"])
    if cell["panel"] == "c":
        value = 100 * float(np.mean(gradient / truth - 1))
        return [{**base, "metric": "error at ρ = ±0.99 (%)", "value": round(value, 3)}]
    span = {"a": "|ρ| ≤ 0.95", "b": "|ρ| ≤ 0.8", "d": "0.1 ≤ ρ ≤ 0.9"}[cell["panel"]]
    failed = int((~np.isfinite(gradient)).sum())
    if failed:  # an error over the remaining points would be too small
        return [{**base, "metric": f"points without a finite estimate, {span}", "value": failed}]
    error = 100 * float(np.sqrt(np.mean((gradient - truth) ** 2) / np.mean(truth**2)))
    paper = (
        AUTHORS.get((cell["method"], cell["d"]))
        if cell["panel"] == "b" and cell["n"] == 256
        else None
    )
    return [
        {**base, "metric": f"relative RMSE, {span} (%)", "value": round(error, 3), "paper": paper}
    ]


def spread_rows(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the standard deviation over repeats, relative to the RMS of the true curve."""
    groups = defaultdict(list)
    for result in results:
        cell = result["cell"]
        if cell["panel"] in "ab":
            groups[cell["panel"], cell["d"], cell["n"], cell["method"]].append(result)
    rows = []
    for members in groups.values():
        if len(members) < 2:
            continue
        row = result_rows(members[0])[0]
        truth = np.array(members[0]["true_gradient"])
        if not np.isfinite([m["gradient"] for m in members]).all():
            continue
        spread = np.std([m["gradient"] for m in members], axis=0, ddof=1)
        value = 100 * float(np.sqrt(np.mean(spread**2) / np.mean(truth**2)))
        metric = row["metric"].replace("relative RMSE", "spread of repeats")
        rows.append(
            {
                **row,
                "metric": metric,
                "value": round(value, 3),
                "seed": None,
                "seconds": None,
                "paper": None,
            }
        )
    return rows


def draw(results: list[dict[str, Any]], path: Path, values: Path) -> None:
    """Draw panel (a), arranged as in the paper, and panel (e)."""
    dims = (5, 10, 20)
    figure, axes = plt.subplots(2, 3, figsize=(11, 6.5), sharex=True, layout="constrained")
    for column, d in enumerate(dims):
        chosen = [r for r in results if r["cell"]["panel"] == "a" and r["cell"]["d"] == d]
        for row, quantity in enumerate(("value", "gradient")):
            axis = axes[row, column]
            for method in ("MINE-f", "MINE", "MIGE as published", "MIGE"):
                curves = [r for r in chosen if r["cell"]["method"] == method]
                curves = [r for r in curves if r[quantity][0] is not None]
                if not curves:
                    continue
                rhos = curves[0]["cell"]["rhos"]
                for r in curves:
                    axis.plot(rhos, r[quantity], color=COLORS[method], alpha=0.15, lw=0.7)
                mean = np.mean([r[quantity] for r in curves], axis=0)
                label = {"MIGE": "this package"}.get(method, method)
                axis.plot(rhos, mean, color=COLORS[method], lw=1.5, label=label)
            best = max(chosen, key=lambda r: len(r["cell"]["rhos"]))
            axis.plot(best["cell"]["rhos"], best[f"true_{quantity}"], "k--", lw=1, label="truth")
        top = max(chosen[0]["true_value"])
        axes[0, column].set(title=f"d = {d}", ylim=(-0.1 * top, 1.15 * top))
        axes[1, column].set_xlabel("ρ")
    axes[0, 0].set_ylabel("I(x; y), nats")
    axes[1, 0].set_ylabel("dI/dρ")
    axes[0, 2].legend(fontsize=8)
    axes[1, 0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)

    figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
    chosen = [
        r for r in results if r["cell"]["panel"] == "e" and r["cell"]["problem"] == "gaussian"
    ]
    for method in ("SMILE", "MINE-f", "MINE", "InfoNCE", "score-based"):
        curves = [r for r in chosen if r["cell"]["method"] == method]
        truth = curves[0]["true_value"]
        stacked = np.array([r["value"] for r in curves])
        for curve in stacked:
            axis.plot(truth, curve, color=COLORS[method], alpha=0.3, lw=0.7)
        axis.plot(truth, stacked.mean(0), "o-", ms=3, color=COLORS[method], label=method)
    axis.plot(truth, truth, "k--", lw=1, label="truth")
    axis.axhline(np.log(256), color="0.7", lw=0.8, zorder=0)
    axis.annotate("log 256", (truth[0], np.log(256)), fontsize=8, color="0.5", va="bottom")
    axis.set_yscale("symlog", linthresh=0.1)
    axis.set(xscale="log", ylim=(-0.2, 40), xlabel="I(x; y), nats", ylabel="estimate, nats")
    axis.legend(fontsize=8)
    figure.savefig(values, dpi=110)
    plt.close(figure)
