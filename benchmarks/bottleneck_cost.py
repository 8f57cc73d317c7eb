"""Time of an epoch with an information bottleneck, relative to the plain network.

The network is that of the paper for MNIST, with layers of 784, 1024, 1024 and 256 units. A batch
has 100 rows. The information is estimated by MIGE, a variational bound or MINE, with matrix
products in float32 and in bfloat16. All methods run alternately in one process, so other processes
affect all methods equally. Times are processor times of one thread. Milliseconds are medians, and
ratios are quotients of the shortest times.

    OMP_NUM_THREADS=1 python benchmarks/bottleneck_cost.py
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial

import numpy as np
from report import print_table, row, write
from score_speed import in_turns, ratio_of

from sk_mige import MIGE, InformationBottleneck, MIGEEncoder
from sk_mige.networks import MLPEncoder

METHODS = {
    "plain": InformationBottleneck(head="deterministic", beta=0.0),
    "MIGE-IB": InformationBottleneck(),
    "MIGE-IB, by classes": InformationBottleneck(MIGE(marginal="classes")),
    "DVB": InformationBottleneck("variational"),
    "MINE-IB": InformationBottleneck("mine"),
}


def encoder(mode: InformationBottleneck, mixed: bool) -> MIGEEncoder:
    """Return the network of Table 3."""
    return MIGEEncoder(
        256, mode=mode, batch_size=100, lr=2e-4, lr_schedule="constant", max_epochs=1,
        encoder=partial(MLPEncoder, hidden_layer_sizes=(1024, 1024), batch_norm=False),
        mixed_precision=mixed, device="cpu", random_state=0,
    )  # fmt: skip


def main() -> None:
    """Measure all methods, and print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--images", type=int, default=2000, help="number of rows")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(options.images, 784)).astype(np.float32)
    y = np.arange(len(X)) % 10
    rows = []
    for mixed in (False, True):
        products = "bfloat16 products" if mixed else "float32"
        models = {
            name: encoder(mode, mixed).fit(X[:200], y[:200]) for name, mode in METHODS.items()
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
            ratio = ratio_of(seconds, times["plain"])
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
