"""Table 1 of the paper: MIGE and Deep InfoMax with a global critic on CIFAR.

    python examples/paper/table1.py --quick               # every method in small: some minutes
    python examples/paper/table1.py                       # CIFAR-10, 20 epochs, 3 seeds: a day
    python examples/paper/table1.py --data cifar100 --seeds 0

The next call continues an interrupted run after the last finished epoch.
"""

from __future__ import annotations

from infomax_cells import run_table

ORDER = [
    "MIGE as published", "DIM (JSD)", "MIGE, two views", "DIM (infoNCE)", "MIGE",
    "DIM (JSD + PM)", "DIM (infoNCE + PM)", "MIGE, cropped and coloured", "infoNCE, two views",
]  # fmt: skip
FIGURES = {
    "DIM (JSD)": (55.81, 45.73, 40.67, 28.41, 22.16, 16.50),
    "DIM (JSD + PM)": (52.2, 52.84, 43.17, 24.40, 18.22, 15.22),
    "DIM (infoNCE)": (51.82, 42.81, 37.79, 24.60, 16.54, 12.96),
    "DIM (infoNCE + PM)": (56.77, 49.42, 42.68, 25.51, 20.15, 15.35),
    "MIGE as published": (57.95, 57.09, 53.75, 29.86, 27.91, 25.84),
}
COLUMNS = [(data, feature) for data in ("cifar10", "cifar100") for feature in ("conv", "fc", "Y")]
PAPER = {
    (data, method, feature): value
    for method, values in FIGURES.items()
    for (data, feature), value in zip(COLUMNS, values, strict=True)
}

if __name__ == "__main__":
    run_table("table1", __doc__, data=["cifar10"], methods=ORDER, paper=PAPER)
