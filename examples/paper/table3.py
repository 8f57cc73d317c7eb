"""Table 3 of the paper: permutation-invariant MNIST with an information bottleneck.

    python examples/paper/table3.py --quick            # all rows in small: under 5 minutes
    python examples/paper/table3.py --tune             # strengths, by a validation split
    python examples/paper/table3.py --epochs 60 --seeds 1
    python examples/paper/table3.py                    # 200 epochs, 3 seeds: a day on one core
    python examples/paper/table3.py --hide --tune      # the share of hidden pixels, by validation
    python examples/paper/table3.py --hide             # 200 epochs with hidden pixels

The network has layers of 784, 1024, 1024 and 256 units and a linear decoder. Batches have 100
images. The optimizer is Adam (β₁ = 0.5) with a learning rate of 2e-4 times 0.96 every two epochs.
Weights are averaged with a decay of 0.999. Predictions are averaged over 12 draws of z, with the
same noise for every row. ``--tune`` trains each method on 50,000 training images for 20 epochs with
each of four strengths. The chosen strength has the fewest errors on the remaining 10,000 training
images. With ``--hide``, random pixels of each batch are set to the background, for all methods.
``--hide --tune`` tries three shares of pixels in the same way, at the chosen strengths.

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
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from table3_report import best_on_validation, write_results
from table3_training import METHODS, encoder_of, load

from sk_mige.datasets import fetch_mnist

ROOT = Path(__file__).parents[2]
VALIDATION = 10_000
TUNING_EPOCHS = 20
HIDDEN = (0.1, 0.2, 0.3)  # shares of pixels


def cells(args: argparse.Namespace, finished: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the networks to be trained."""
    strengths = best_on_validation(finished, "strength")
    shares = best_on_validation(finished, "hidden")
    for seed, method in product(range(1 if args.tune else args.seeds), args.methods):
        grid = METHODS[method].strengths
        chosen = strengths.get(method, grid[len(grid) // 2] if grid else None)
        for strength, share in settings(args, grid, chosen, shares.get(method, HIDDEN[1])):
            yield {
                "part": "validation" if args.tune else "test", "method": method,
                "strength": strength, "seed": seed,
                "epochs": TUNING_EPOCHS if args.tune else args.epochs,
                "subset": args.subset, "mixed": not args.float32,
                **({"hidden": share} if args.hide else {}),
            }  # fmt: skip


def settings(
    args: argparse.Namespace, grid: tuple[float, ...], strength: float | None, share: float
) -> list[tuple[float | None, float]]:
    """Return the strengths and shares of hidden pixels to train one method with."""
    if not args.tune:
        return [(strength, share)]
    return [(strength, tried) for tried in HIDDEN] if args.hide else [(s, share) for s in grid]


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
    wrong = np.flatnonzero(encoder.predict(X_held) != y_held)
    mean_wrong = np.flatnonzero(
        encoder.set_params(mode__n_prediction_samples=0).predict(X_held) != y_held
    )
    seconds = load(path)["seconds"]
    path.unlink()
    return {
        "cell": cell,
        "error": 100 * len(wrong) / len(y_held),
        "error_at_mean": 100 * len(mean_wrong) / len(y_held),
        "wrong": wrong.tolist(),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=[m for m in METHODS if "K =" not in m]
    )
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--subset", type=int, default=60_000, help="images to train on, at most")
    parser.add_argument("--quick", action="store_true", help="10,000 images, 3 epochs, one seed")
    parser.add_argument("--tune", action="store_true", help="choose strengths by validation")
    parser.add_argument("--hide", action="store_true", help="train with hidden pixels")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 in training")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    parser.add_argument("--cells", type=Path, help="file of finished cells")
    parser.add_argument("--output", type=Path, help="file of results")
    args = parser.parse_args()
    folder = ROOT / "docs" / "results"
    if args.quick:
        args.subset, args.epochs, args.seeds, folder = 10_000, 3, 1, Path()
    output = args.output or folder / ("table3-quick.json" if args.quick else "table3.json")
    path = args.cells or (folder if args.quick else folder / "cells") / f"{output.stem}.jsonl"
    finished = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
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
