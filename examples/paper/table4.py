"""Table 4 of the paper: Deep InfoMax with a local critic, and MIGE of patches.

    python examples/paper/table4.py --quick               # every method in small: some minutes
    python examples/paper/table4.py                       # CIFAR-10, 20 epochs, 3 seeds
    python examples/paper/table4.py --data cifar100

The next call continues an interrupted run after the last finished epoch.
"""

from __future__ import annotations

from infomax_cells import run_table

ORDER = [
    "MIGE of patches and Y", "DIM(L) (JSD)", "DIM(L) (infoNCE)", "DIM(L) (JSD + PM)",
    "DIM(L) (infoNCE + PM)", "MIGE of conv and Y", "MIGE, two views",
]  # fmt: skip
FIGURES = {
    "DIM(L) (JSD)": (72.16, 67.99, 66.35, 41.65, 39.60, 39.66),
    "DIM(L) (JSD + PM)": (73.25, 73.62, 66.96, 48.13, 45.92, 39.6),
    "DIM(L) (infoNCE)": (75.05, 70.68, 69.24, 44.11, 42.97, 42.74),
    "DIM(L) (infoNCE + PM)": (75.21, 75.57, 69.13, 49.74, 47.72, 41.61),
    "MIGE of patches and Y": (59.72, 56.14, 54.01, 30.0, 28.96, 27.65),
}
COLUMNS = [(data, feature) for data in ("cifar10", "cifar100") for feature in ("conv", "fc", "Y")]
PAPER = {
    (data, method, feature): value
    for method, values in FIGURES.items()
    for (data, feature), value in zip(COLUMNS, values, strict=True)
}

if __name__ == "__main__":
    run_table("table4", __doc__, data=["cifar10"], methods=ORDER, paper=PAPER)
