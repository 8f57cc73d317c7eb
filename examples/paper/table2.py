"""Table 2 of the paper: images of 27,648 values, with and without random projection.

    python examples/paper/table2.py --quick               # every method in small: some minutes
    python examples/paper/table2.py                       # the substitute for STL-10, 8 epochs
    python examples/paper/table2.py --data stl10          # STL-10

The substitute for STL-10 has ten classes of Tiny ImageNet, resized to 96 × 96 pixels. Accuracies
on the substitute cannot be compared with those on STL-10. The next call continues an interrupted
run after the last finished epoch.
"""

from __future__ import annotations

from infomax_cells import run_table

ORDER = ["MIGE", "DIM (JSD)", "DIM (infoNCE)", "MIGE as published", "MIGE + RP to 512d"]
FIGURES = {
    "DIM (JSD)": (42.03, 30.28, 28.09),
    "DIM (infoNCE)": (43.13, 35.80, 34.44),
    "MIGE + RP to 512d": (52.00, 48.14, 44.89),
}
PAPER = {
    ("stl10", method, feature): value
    for method, values in FIGURES.items()
    for feature, value in zip(("conv", "fc", "Y"), values, strict=True)
}

if __name__ == "__main__":
    run_table(
        "table2", __doc__, data=["tinyimagenet10"], methods=ORDER, epochs=8, size=96, paper=PAPER
    )
