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
