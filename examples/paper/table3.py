"""Table 3 of the paper: permutation-invariant MNIST with an information bottleneck.

    python examples/paper/table3.py --quick            # all rows in small: under 5 minutes
    python examples/paper/table3.py --tune             # strengths, by a validation split
    python examples/paper/table3.py --epochs 60 --seeds 0
    python examples/paper/table3.py                    # 200 epochs, 3 seeds: a day on one core
    python examples/paper/table3.py --set hidden=0.1 --tune  # 10 % hidden pixels, on validation
    python examples/paper/table3.py --set hidden=0.1         # 200 epochs with 10 % hidden pixels

The network has layers of 784, 1024, 1024 and 256 units and a linear decoder. Batches have 100
images. The optimizer is Adam (β₁ = 0.5) with a learning rate of 2e-4 times 0.96 every two epochs.
Weights are averaged with a decay of 0.999. Predictions are averaged over 12 draws of z, with the
same noise for every row. ``--tune`` trains each method on 50,000 training images for 20 epochs with
each of four strengths. The chosen strength has the fewest errors on the remaining 10,000 training
images.

``--set`` changes settings of the training for all methods. ``SETTINGS`` in table3_training.py lists
the names of the settings, such as ``hidden``, the share of hidden pixels. Hidden pixels have the
value of the background. With ``--set``, ``--tune`` trains each method once, with the chosen
strength.

The next call continues an interrupted run after the last finished epoch. The results of each
trained network are a line of docs/results/cells/table3.jsonl.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from table3_report import best_on_validation, write_results
from table3_training import METHODS, SETTINGS, encoder_of, load

from sk_mige.datasets import fetch_mnist

ROOT = Path(__file__).parents[2]
VALIDATION = 10_000
TUNING_EPOCHS = 20


def cells(args: argparse.Namespace, finished: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the networks to be trained."""
    chosen = best_on_validation(finished)
    changed = {name: args.set[name] for name in SETTINGS if name in args.set}
    for seed in args.seeds:
        for method in args.methods:
            grid = METHODS[method].strengths
            strength = chosen.get(method, grid[len(grid) // 2] if grid else None)
            for tried in grid if args.tune and not changed else [strength]:
                yield {
                    "part": "validation" if args.tune else "test", "method": method,
                    "strength": tried, "seed": seed,
                    "epochs": args.epochs or (TUNING_EPOCHS if args.tune else 200),
                    "subset": args.subset, "mixed": not args.float32, **changed,
                }  # fmt: skip


def setting(text: str) -> tuple[str, float]:
    """Return the name and the value of a setting."""
    name, value = text.split("=")
    return name, type(SETTINGS[name])(json.loads(value))


def measure(cell: dict[str, Any], checkpoints: Path, device: str) -> dict[str, Any]:
    """Train one network, from its checkpoint if available, and count its errors."""
    data = fetch_mnist(subset="train", as_float=True)
    X, y = 2 * data.data - 1, data.target
    if cell["part"] == "validation":
        X, y, X_held, y_held = (
            X[:-VALIDATION], y[:-VALIDATION], X[-VALIDATION:], y[-VALIDATION:]
        )  # fmt: skip
    else:
        held = fetch_mnist(subset="test", as_float=True)
        X_held, y_held = 2 * held.data - 1, held.target
    X, y = X[: cell["subset"]], y[: cell["subset"]]
    name = hashlib.sha256(json.dumps(cell).encode()).hexdigest()[:16]
    checkpoints.mkdir(parents=True, exist_ok=True)
    path = checkpoints / f"table3-{name}.pt"
    encoder = encoder_of(cell, path, device)
    encoder.fit(X, y)
    draws = encoder.mode.n_prediction_samples
    wrong = {
        n: np.flatnonzero(
            encoder.set_params(mode__n_prediction_samples=n).predict(X_held) != y_held
        )
        for n in (draws, SETTINGS["draws"], 0)
    }
    errors = {n: 100 * len(found) / len(y_held) for n, found in wrong.items()}
    seconds = load(path)["seconds"]
    path.unlink()
    return {
        "cell": cell,
        "error": errors[draws],
        "error_at_12_draws": errors[SETTINGS["draws"]],
        "error_at_mean": errors[0],
        "wrong": wrong[draws].tolist(),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=[m for m in METHODS if "K =" not in m]
    )
    parser.add_argument("--epochs", type=int, help="200, or 20 with --tune")
    parser.add_argument("--seeds", type=int, nargs="+", help="0 1 2, or 0 with --tune")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--subset", type=int, default=60_000, help="images to train on, at most")
    parser.add_argument("--quick", action="store_true", help="10,000 images, 3 epochs, one seed")
    parser.add_argument("--tune", action="store_true", help="choose strengths by validation")
    parser.add_argument("--set", nargs="+", type=setting, default=[], help="such as hidden=0.1")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 in training")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    parser.add_argument("--cells", type=Path, help="file of finished cells")
    parser.add_argument("--output", type=Path, help="file of results")
    args = parser.parse_args()
    args.set, args.seeds = dict(args.set), args.seeds or ([0] if args.tune else [0, 1, 2])
    folder = ROOT / "docs" / "results"
    if args.quick:
        args.subset, args.epochs, args.seeds, folder = 10_000, 3, [0], Path()
    output = args.output or folder / ("table3-quick.json" if args.quick else "table3.json")
    path = args.cells or (folder if args.quick else folder / "cells") / f"{output.stem}.jsonl"
    finished = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    tuned = {method for method in args.methods if METHODS[method].strengths}
    missing = sorted(tuned - best_on_validation(finished).keys())
    if missing and not args.quick and not (args.tune and not args.set):
        parser.error(f"{path} has no validation errors of {', '.join(missing)}: run --tune first")
    known = {json.dumps(result["cell"]) for result in finished}
    todo = [cell for cell in cells(args, finished) if json.dumps(cell) not in known]
    start = time.perf_counter()
    for done, cell in enumerate(todo, 1):
        result = measure(cell, args.checkpoints, args.device)
        with path.open("a") as stream:
            stream.write(json.dumps(result) + "\n")
        finished.append(result)
        passed = time.perf_counter() - start
        print(
            f"{done} of {len(todo)}: {cell['method']} {cell['strength']}, {cell['part']} error "
            f"{result['error']:.2f} %; {passed / done * (len(todo) - done) / 60:.0f} min left",
            flush=True,
        )
        write_results(finished, output)


if __name__ == "__main__":
    main()
