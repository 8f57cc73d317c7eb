"""Results files of the benchmarks, with versions, machine and measurements."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy
import sklearn
import torch
from scipy.stats import t as student

import sk_mige

RESULTS = Path(__file__).parents[1] / "docs" / "results"
# Measurements of unfinished runs. Git ignores the folder.
PROGRESS = Path(__file__).parents[1] / ".benchmarks"


def row(dataset: str, method: str, metric: str, value: float | None, **others: Any) -> dict:
    """Return one measurement with all columns."""
    made = {"dataset": dataset, "method": method, "feature": None, "metric": metric}
    made |= {"value": value, "seed": None, "epochs": None, "seconds": None, "paper": None}
    return made | others


def write(name: str, title: str, command: str, rows: list[dict], path: Path | None = None) -> Path:
    """Write ``docs/results/NAME.json``, or ``path`` if given."""
    results = {
        "title": title,
        "command": command,
        "versions": versions(),
        "machine": machine(),
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    path = path or RESULTS / f"{name}.json"
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def interval(differences: Any, test_share: float = 0.0) -> list[float]:
    """Return the 95 % interval of Student's t for the mean of paired differences.

    Repeated splits of the same rows give dependent differences. ``test_share`` is then the number
    of test rows per training row, which widens the interval (Nadeau and Bengio, 2003).
    """
    n, mean = len(differences), float(numpy.mean(differences))
    error = numpy.std(differences, ddof=1) * (1 / n + test_share) ** 0.5
    half = float(student.ppf(0.975, n - 1) * error)
    return [mean - half, mean + half]


def repeated(
    data: str,
    found: dict[str, list[dict[str, float]]],
    accuracies: tuple[str, ...],
    baseline: str,
    test_share: float,
) -> tuple[list[dict], list[dict]]:
    """Return measurements of repeated splits, and paired differences from a baseline.

    ``found`` holds one dictionary of measurements for each method and split.
    """
    rows, compared = [], []
    for method, runs in found.items():
        for key in runs[0]:
            values = [run[key] for run in runs]
            metric = "accuracy, %" if key in accuracies else key
            rows += [
                row(data, method, metric, value, feature=key, seed=seed)
                for seed, value in enumerate(values)
                if value is not None
            ]
            if key in accuracies and method != baseline:
                change = numpy.subtract(values, [run[key] for run in found[baseline]])
                extra = {"feature": key, "interval": interval(change, test_share)}
                metric = f"difference from {baseline}, points"
                compared.append(row(data, method, metric, float(change.mean()), **extra))
    return rows, compared


def draw_differences(name: str, rows: list[dict], panels: tuple[str, str], xlabel: str) -> None:
    """Draw values with intervals into ``docs/images/NAME.png``, one panel for each data set.

    ``panels`` are two keys of the measurements, for the rows and for the columns of panels.
    """
    from matplotlib import pyplot as plt

    down, over = (list(dict.fromkeys(r[key] for r in rows)) for key in panels)
    methods = list(dict.fromkeys(r["method"] for r in rows))
    figure, axes = plt.subplots(
        len(down), len(over), sharey=True, layout="constrained", squeeze=False,
        figsize=(2 + 3 * len(over), 0.5 + len(down) * (0.7 + 0.26 * len(methods))),
    )  # fmt: skip
    for r in rows:
        ax = axes[down.index(r[panels[0]]), over.index(r[panels[1]])]
        place, colour = methods.index(r["method"]), "C0" if "MIGE" in r["method"] else "0.5"
        ax.plot(r["interval"], [place, place], color=colour, lw=2)
        ax.plot(r["value"], place, "o", color=colour)
        ax.set_title(f"{r[panels[0]]}\n{r[panels[1]]}", fontsize="medium")
        ax.set_yticks(range(len(methods)), methods)
    for ax in axes.flat:
        ax.axvline(0, color="k", lw=0.8)
    for ax in axes[-1]:
        ax.set_xlabel(xlabel)
    axes[0, 0].invert_yaxis()
    figure.savefig(RESULTS.parent / "images" / f"{name}.png", dpi=110)


def versions() -> dict[str, str]:
    """Return the versions of the packages that the measurements depend on."""
    return {
        "sk_mige": sk_mige.__version__,
        "numpy": numpy.__version__,
        "scikit-learn": sklearn.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def machine() -> dict[str, Any]:
    """Return the processor and the numbers of cores and threads."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def print_table(header: list[str], lines: list[list[str]]) -> None:
    """Print aligned columns."""
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    for cells in (header, ["-" * width for width in widths], *lines):
        shown = zip(cells, widths, strict=True)
        print("  ".join(cell.ljust(width) for cell, width in shown).rstrip(), flush=True)
