"""Time of a training step in one and two processes, and predictions for more processes.

    python benchmarks/distributed_cost.py
    python benchmarks/distributed_cost.py --draw    # only the picture, from the results file

Two encoders of 64 components are trained on random rows. The first encoder is a perceptron with 784
inputs and two hidden layers of 512 units. The second encoder is convolutional, for images of 32 x
32 pixels. In one process, the time of the forward pass, backward pass and optimizer of the network
is measured for b rows. The time of the objective of a joint batch, with the gradient, is measured
for n rows. In two processes, over gloo, whole steps and sums over processes are measured. The time
of a step in k processes of b rows is modelled as

    t(k, b) = network(b) + objective(k b) + 2 (k - 1)/k gradients/bandwidth
              + (k - 1) b rows/bandwidth + calls log2(k) latency

The model assumes ring all-reduce for the sums. Every process computes the whole objective.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from report import row, write

from sk_mige.networks import ConvEncoder, EncoderNetwork, MLPEncoder, StandardizingHead
from sk_mige.objectives import MIGEInfoMax
from sk_mige.score import ssge
from sk_mige.training import Trainer
from sk_mige.training.data import ArrayDataset
from sk_mige.training.processes import make_accelerator

N_COMPONENTS = 64
KINDS = {"perceptron": (784,), "convolutional": (3, 32, 32)}
SHARES = (4, 8, 16, 32, 64, 128, 256)
JOINT = (64, 128, 256, 512, 1024, 2048)
MEASURED = (64, 128)  # rows of each process, for steps in two processes
PROCESSES = (1, 2, 4, 8, 16, 32, 64)
CALLS = 8  # collectives of a step: sizes and rows of x, y and z, batch norm's sums, gradients
CPU = torch.device("cpu")


def score(z: torch.Tensor, **kwargs: Any) -> torch.Tensor:
    return ssge(z, eigen_threshold=0.999, **kwargs)


def network(kind: str) -> EncoderNetwork:
    shape = KINDS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "perceptron":
            encoder: torch.nn.Module = MLPEncoder(shape[0], N_COMPONENTS, (512, 512))
        else:
            encoder = ConvEncoder(shape, N_COMPONENTS)
        return EncoderNetwork(encoder, StandardizingHead(N_COMPONENTS), input_shape=shape)


def rows(kind: str, n: int) -> torch.Tensor:
    width = int(np.prod(KINDS[kind]))
    return torch.randn(n, width, generator=torch.Generator().manual_seed(0))


def timed(function: Callable[[], Any], repeats: int) -> float:
    """Return the median processor time of a call in milliseconds, after a warm-up call.

    Processor time does not depend on other processes. Only one thread is used.
    """
    function()
    spans = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        spans.append(1000 * (time.process_time() - start))
    return median(spans)


def fastest(function: Callable[[], Any], repeats: int) -> float:
    """Return the shortest wall time of a call in milliseconds, for calls that mostly wait."""
    spans = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        function()
        spans.append(1000 * (time.perf_counter() - start))
    return min(spans)


def network_time(kind: str, b: int, repeats: int) -> float:
    module, x = network(kind), rows(kind, b)
    optimizer = torch.optim.Adam(module.parameters())

    def step() -> None:
        optimizer.zero_grad()
        module(x).z.square().mean().backward()
        optimizer.step()

    return timed(step, repeats)


def objective_time(n: int, repeats: int) -> float:
    module, x = network("perceptron"), rows("perceptron", n)
    with torch.no_grad():
        code = module(x)

    def evaluate() -> None:
        z = code.z.clone().requires_grad_()
        MIGEInfoMax(score)(code._replace(z=z), x, x[:, 0]).backward()

    return timed(evaluate, repeats if n <= 512 else 1)


def step_time(kind: str, b: int, repeats: int) -> float:
    """Return the shortest time of a whole step of the trainer in milliseconds."""
    accelerator = make_accelerator(CPU)
    processes = 1 if accelerator is None else accelerator.num_processes
    trainer = Trainer(
        network(kind), MIGEInfoMax(score), optimizer=torch.optim.Adam, batch_size=b,
        device=CPU, distributed=True,
    )  # fmt: skip
    steps = 4
    data = ArrayDataset(rows(kind, processes * b * steps).numpy())
    records = trainer.run(data, epochs=1 + repeats)
    return min(1000 * record["dur"] / steps for record in records[1:])


def worker(path: Path, repeats: int) -> None:
    """Measure whole steps and sums of two sizes, in two processes."""
    accelerator = make_accelerator(CPU)
    small, large = torch.zeros(1), torch.zeros(2**20)
    found = {
        "steps": {kind: [step_time(kind, b, repeats) for b in MEASURED] for kind in KINDS},
        "latency": fastest(lambda: dist.all_reduce(small), 10 * repeats),
        "large": fastest(lambda: dist.all_reduce(large), 3 * repeats),
    }
    if accelerator.is_main_process:
        path.write_text(json.dumps(found))
    accelerator.end_training()


def modelled(kind: str, k: int, b: int, parts: dict[str, Any]) -> float:
    """Return the modelled milliseconds of a step in k processes of b rows."""
    computing = parts["network"][kind][b] + parts["objective"][k * b]
    gradients = 4 * sum(p.numel() for p in network(kind).parameters())
    row_bytes = 4 * (int(np.prod(KINDS[kind])) + N_COMPONENTS + 1)
    talk = (2 * (k - 1) / k * gradients + (k - 1) * b * row_bytes) / parts["bytes_a_ms"]
    return float(computing + talk + CALLS * np.log2(k) * parts["latency"])


def rows_of(
    parts: dict[str, Any], steps: dict[str, Any], two: dict[str, Any], largest: int
) -> list[dict]:
    """Return the results for parts of a step, whole steps and modelled times."""
    out = []

    def add(method: str, feature: str, metric: str, value: float) -> None:
        value = round(value, 3 if value < 1 else 1)
        out.append(row("random rows", method, metric, value, feature=feature, seed=0))

    for kind, times in parts["network"].items():
        for b in (64, 256):
            add("1 process", f"{kind}, {b} rows", "network, ms a step", times[b])
    for n, value in parts["objective"].items():
        add("1 process", f"{n} rows", "objective, ms a step", value)
    for method, kinds in steps.items():
        for kind, values in kinds.items():
            for b, value in zip(MEASURED, values, strict=True):
                add(method, f"{kind}, {b} rows each", "whole step, ms", value)
    add("2 processes", "one number", "sum over processes, ms", two["latency"])
    add("2 processes", "2^20 numbers", "sum over processes, ms", two["large"])
    for kind, k in product(KINDS, PROCESSES):
        name = f"model, {k} process{'es' if k > 1 else ''}"
        share = f"{kind}, joint batch of 256"
        add(name, share, "whole step, ms", modelled(kind, k, 256 // k, parts))
        if k * 64 <= largest:
            value = modelled(kind, k, 64, parts)
            add(name, f"{kind}, 64 rows each", "whole step, ms", value)
    return out


def measure(repeats: int, largest: int) -> list[dict]:
    parts: dict[str, Any] = {
        "network": {k: {b: network_time(k, b, repeats) for b in SHARES} for k in KINDS},
        "objective": {n: objective_time(n, repeats) for n in JOINT if n <= largest},
    }
    alone = {kind: [step_time(kind, b, repeats) for b in MEASURED] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "two.json"
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        options = ["--worker", str(path), "--repeats", str(repeats)]
        subprocess.run([sys.executable, *launch, __file__, *options], check=True)
        two = json.loads(path.read_text())
    parts["latency"] = two["latency"]
    parts["bytes_a_ms"] = 2**22 / max(two["large"] - two["latency"], 1e-6)
    return rows_of(parts, {"1 process": alone, "2 processes": two["steps"]}, two, largest)


def draw(results: Path, picture: Path) -> None:
    """Draw the modelled time of a step against the number of processes."""
    import matplotlib.pyplot as plt

    found = json.loads(results.read_text(encoding="utf-8"))["rows"]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for ax, kind in zip(axes, KINDS, strict=True):
        for share, color in (("joint batch of 256", "C0"), ("64 rows each", "C1")):
            times = {
                int(entry["method"].split()[1]): entry["value"]
                for entry in found
                if entry["feature"] == f"{kind}, {share}" and entry["method"].startswith("model")
            }
            ax.plot(times.keys(), times.values(), f"{color}o-", label=share)
        ax.set_xscale("log", base=2)
        ax.set_xticks(PROCESSES, [str(k) for k in PROCESSES])
        ax.set(yscale="log", title=kind, xlabel="processes", ylabel="ms a step, modelled")
    axes[0].legend(frameon=False)
    figure.savefig(picture, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--largest", type=int, default=JOINT[-1])
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--draw", action="store_true", help="only draw the stored results")
    arguments = parser.parse_args()
    docs = Path(__file__).parents[1] / "docs"
    recorded, picture = docs / "results/distributed_cost.json", docs / "images/distributed_cost.png"
    if arguments.draw:
        draw(recorded, picture)
        return
    torch.set_num_threads(1)  # like each process of torchrun
    if arguments.worker:
        worker(arguments.worker, arguments.repeats)
        return
    command = "python benchmarks/distributed_cost.py"
    title = "Time of a training step in several processes"
    print(write("distributed_cost", title, command, measure(arguments.repeats, arguments.largest)))
    draw(recorded, picture)


if __name__ == "__main__":
    main()
