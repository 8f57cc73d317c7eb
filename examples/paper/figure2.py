"""Figure 2 of the paper: accuracy of Y against the dimension of the random projection.

    python examples/paper/figure2.py --quick              # every dimension in small: some minutes
    python examples/paper/figure2.py                      # 64 × 64 pixels, 8 epochs, 3 seeds

The next call continues an interrupted run after the last finished epoch.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from infomax_cells import ROOT, run_table

matplotlib.use("Agg")  # draw to a file, without a display

import matplotlib.pyplot as plt

DIMENSIONS = (16, 64, 256, 1024)
ORDER = [*(f"MIGE + RP to {k}d" for k in DIMENSIONS), "MIGE as published"]


def draw(results: list[dict[str, Any]], output: Path) -> None:
    """Draw means and standard deviations over seeds, and exact distances as a line."""
    values: dict[str, list[float]] = defaultdict(list)
    for result in results:
        values[result["cell"]["method"]].append(result["accuracy"]["Y"])
    projected = [k for k in (16, 32, 64, 128, 256, 512, 1024) if values[f"MIGE + RP to {k}d"]]
    columns = [values[f"MIGE + RP to {k}d"] for k in projected]
    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    axis.errorbar(projected, [np.mean(c) for c in columns], capsize=3, marker="o",
                  yerr=[np.std(c, ddof=1) if len(c) > 1 else 0 for c in columns])  # fmt: skip
    if values["MIGE as published"]:
        axis.axhline(np.mean(values["MIGE as published"]), ls="--", label="exact distances")
        axis.legend()
    axis.set(xscale="log", xlabel="dimension of the projection", ylabel="accuracy of Y(64) (%)")
    axis.set_xticks(projected, [str(k) for k in projected])
    axis.minorticks_off()  # their labels would overlap
    full = output.parent == ROOT / "docs" / "results"
    folder = ROOT / "docs" / "images" if full else output.parent
    figure.savefig(folder / f"{output.stem}.png", dpi=110)


if __name__ == "__main__":
    run_table(
        "figure2", __doc__, data=["tinyimagenet10"], methods=ORDER, epochs=8, size=64, paper={},
        finish=draw,
    )  # fmt: skip
