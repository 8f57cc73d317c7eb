"""A single training run for a range of weights β, compared with a run for each β.

``InformationBottleneck(beta=(1e-4, 1.0))`` is trained once and evaluated at five weights. For
comparison, an encoder is trained for each weight. The network is 784-512-512 with 64 components,
and MNIST has 10,000 or 60,000 training images. The rate is the upper bound of I(x; z) by
``gaussian_mutual_info`` on test images.

    OMP_NUM_THREADS=1 python benchmarks/bottleneck_curve.py

Each finished run is a line of ``.benchmarks/bottleneck_curve.jsonl``, and the next call skips
finished runs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

import torch
from report import PROGRESS, print_table, row, write

from sk_mige import InformationBottleneck, MIGEEncoder
from sk_mige.datasets import fetch_mnist
from sk_mige.information import gaussian_mutual_info
from sk_mige.networks import evaluate

RANGE = (1e-4, 1.0)
BETAS = (1e-4, 1e-3, 1e-2, 1e-1, 0.5)


def cells(images: int, epochs: int, seeds: int) -> Iterator[dict[str, Any]]:
    """Yield the training runs, one for the range and one for each weight."""
    for seed in range(seeds):
        for beta in (list(RANGE), *BETAS):
            yield {"images": images, "epochs": epochs, "seed": seed, "beta": beta}


def measure(cell: dict[str, Any]) -> dict[str, Any]:
    """Train one encoder, and return its test error and rate at each of its weights."""
    train, test = (fetch_mnist(subset=part, as_float=True) for part in ("train", "test"))
    X, y = train.data[: cell["images"]], train.target[: cell["images"]]
    beta = cell["beta"]
    is_range = isinstance(beta, list)
    mode = InformationBottleneck(beta=tuple(beta) if is_range else beta)
    encoder = MIGEEncoder(
        64, mode=mode, max_epochs=cell["epochs"], device="cpu", random_state=cell["seed"]
    )
    start = time.process_time()
    encoder.fit(X, y)
    seconds = time.process_time() - start
    at = {b: encoder.at_beta(b) for b in BETAS} if is_range else {beta: encoder}
    results = [
        {"beta": b, "error": 100 * (1 - one.score(test.data, test.target)),
         "rate": rate(one, test.data)}
        for b, one in at.items()
    ]  # fmt: skip
    return {"cell": cell, "seconds": round(seconds, 1), "results": results}


def rate(encoder: MIGEEncoder, X: Any) -> float:
    """Return the upper bound of I(x; z) in nats."""

    def conditional(x: torch.Tensor) -> torch.Tensor:
        return torch.stack(encoder.module_(x).conditional, 1)

    values = evaluate(encoder.module_, conditional, X)
    return float(gaussian_mutual_info(*torch.from_numpy(values).double().unbind(1)))


def results_rows(finished: list[dict[str, Any]]) -> list[dict]:
    """Return the entries of the results file, one for each measured number."""
    rows = []
    for result in finished:
        cell = result["cell"]
        method = "one training" if isinstance(cell["beta"], list) else "separate trainings"
        others = {"seed": cell["seed"], "epochs": cell["epochs"], "seconds": result["seconds"]}
        dataset = f"MNIST, {cell['images']:,} images"
        for part in result["results"]:
            others["feature"] = f"β = {part['beta']:g}"
            rows.append(row(dataset, method, "test error (%)", round(part["error"], 2), **others))
            rows.append(
                row(dataset, method, "information (nats)", round(part["rate"], 2), **others)
            )
    return rows


def main() -> None:
    """Train the missing encoders, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    path = PROGRESS / "bottleneck_curve.jsonl"
    PROGRESS.mkdir(exist_ok=True)
    path.touch()
    known = {json.dumps(json.loads(line)["cell"]) for line in path.read_text().splitlines()}
    for cell in cells(options.images, options.epochs, options.seeds):
        if json.dumps(cell) not in known:
            line = json.dumps(measure(cell))
            print(line, flush=True)
            with path.open("a") as file:
                file.write(line + "\n")
    finished = [json.loads(line) for line in path.read_text().splitlines()]
    rows = results_rows(finished)
    columns = ["dataset", "method", "feature", "metric", "seed", "value"]
    print_table(columns, [[str(r[c]) for c in columns] for r in rows])
    command = "; ".join(
        f"python benchmarks/bottleneck_curve.py --images {images} --epochs {epochs} --seeds {seeds}"
        for images, epochs, seeds in runs(finished)
    )
    print("written to", write("bottleneck_curve", "One training, the whole curve", command, rows))


def runs(finished: list[dict[str, Any]]) -> list[tuple[int, int, int]]:
    """Return number of images, epochs and seeds of each finished run."""
    seeds: dict[tuple[int, int], int] = {}
    for cell in (result["cell"] for result in finished):
        kind = cell["images"], cell["epochs"]
        seeds[kind] = max(seeds.get(kind, 0), cell["seed"] + 1)
    return [(*kind, number) for kind, number in sorted(seeds.items())]


if __name__ == "__main__":
    main()
