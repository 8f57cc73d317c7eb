"""What a bottleneck costs: an epoch of the paper's network for MNIST beside the plain one's.

784-1024-1024-256, batches of 100, with the information's gradient by MIGE, by a variational bound
and by MINE, in float32 and with bfloat16 products. All run in turns in one process; figures are
medians of the ratios, turn by turn.

    OMP_NUM_THREADS=1 python benchmarks/bottleneck_cost.py
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial
from typing import Any

import numpy as np
from report import print_table, row, write
from score_speed import in_turns, median_ratio

from sk_mige import MIGEEncoder
from sk_mige.networks import MLPEncoder

METHODS: dict[str, dict[str, Any]] = {
    "plain": {"head": "deterministic", "beta": 0.0},
    "MIGE-IB": {},
    "MIGE-IB, by classes": {"marginal": "classes"},
    "DVB": {"mi_estimator": "variational"},
    "MINE-IB": {"mi_estimator": "mine"},
}


def encoder(mixed: bool, **parameters: Any) -> MIGEEncoder:
    """The network of Table 3."""
    return MIGEEncoder(
        256, mode="ib", task="classification", batch_size=100, lr=2e-4, lr_schedule="constant",
        encoder=partial(MLPEncoder, hidden_layer_sizes=(1024, 1024), batch_norm=False),
        mixed_precision=mixed, device="cpu", random_state=0, **parameters,
    )  # fmt: skip


def main() -> None:
    """Measure, print the table, write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--images", type=int, default=6000, help="a tenth of MNIST's")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(options.images, 784)).astype(np.float32)
    y = np.arange(len(X)) % 10
    rows = []
    for mixed in (False, True):
        products = "bfloat16 products" if mixed else "float32"
        models = {
            name: encoder(mixed, max_epochs=1, **parameters).fit(X[:200], y[:200])
            for name, parameters in METHODS.items()
        }
        epochs = {
            name: (lambda model=model: model.partial_fit(X, y)) for name, model in models.items()
        }
        times = in_turns(epochs, options.turns)
        for name, seconds in times.items():
            step = 1e3 * statistics.median(seconds) / (len(X) / 100)
            rows.append(row(f"K = 256, batch 100, {products}", name, "milliseconds a step", step))
            if name == "plain":
                continue
            ratio = median_ratio(seconds, times["plain"])
            target = {}
            if name.startswith("MIGE-IB"):
                target = {"target": "≤ 1.25", "reached": "yes" if ratio <= 1.25 else "no"}
            rows.append(
                row(f"K = 256, batch 100, {products}", name, "times the plain epoch", ratio,
                    **target)
            )  # fmt: skip
    columns = ["dataset", "method", "metric", "value"]
    print_table(columns, [[str(r[c]) for c in columns] for r in rows])
    command = "python benchmarks/bottleneck_cost.py"
    print("written to", write("bottleneck_cost", "Cost of a bottleneck", command, rows))


if __name__ == "__main__":
    main()
