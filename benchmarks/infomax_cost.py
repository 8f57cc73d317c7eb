"""Time and memory of MIGE in a training step on images of up to 27,648 values.

The loss is compared with the necessary operations, its *floor*: matrix products for the distances,
exponentials of two kernels, and Cholesky factorisations. A second floor also includes the solution
of the linear systems. A step on large images is measured with exact distances of the input and with
a random projection to 512 dimensions. The tensor formulation of public code is measured for
comparison. A default fit is compared with a bare loop of the same network, optimizer, schedule and
batches. The bare loop minimises MIGE's loss, or a loss without information.

All methods run alternately in one process, so other processes affect all methods equally. Times are
processor times of one thread. The table lists medians, and ratios of the shortest times. Peak
memory is measured in a new process, minus the peak memory of the same step without MIGE.

    OMP_NUM_THREADS=1 python benchmarks/infomax_cost.py [--only default_fits]

With ``--only``, the new results replace the stored results of the same part. The images are ten
classes of Tiny ImageNet if available in ``SK_MIGE_DATA``, else noise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from report import RESULTS, print_table, row, write
from score_speed import in_turns, own_peak, ratio_of, tensor_formulation

from sk_mige import InfoMax, MIGEEncoder
from sk_mige.datasets import get_data_home
from sk_mige.information import mutual_info_surrogate
from sk_mige.networks import Architecture, ConvEncoder
from sk_mige.objectives import default_training_score
from sk_mige.score import squared_distances, ssge
from sk_mige.training.data import EqualBatchSampler

SCORE = default_training_score("infomax")
CUT = partial(ssge, eigen_threshold=0.999)
WIDE = "96 × 96 × 3, batch 64"
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def pictures(n: int, size: int) -> torch.Tensor:
    """Return an array of n flattened images, with values from 0 to 1."""
    try:
        with np.load(get_data_home() / "tinyimagenet10" / "train.npz") as arrays:
            data = arrays["images"][:n].transpose(0, 3, 1, 2)
    except FileNotFoundError:
        return torch.rand(n, 3 * size**2, generator=torch.Generator().manual_seed(0))
    images = torch.as_tensor(data).reshape(-1, 3, 64, 64).float() / 255
    resized = torch.nn.functional.interpolate(images, (size, size), mode="bilinear")
    return resized.flatten(1)


def projection(k: int, d: int) -> torch.Tensor:
    """Return a Gaussian projection that preserves squared norms on average."""
    return torch.randn(k, d, generator=torch.Generator().manual_seed(0)) / k**0.5


def tensor_loss(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Return MIGE's loss, computed from arrays of shape (M, M, d) for z and for the pair."""
    points = z.detach()
    scale = points.std() / x.std() * (points.shape[1] / x.shape[1]) ** 0.5
    joint = tensor_formulation(torch.cat([scale * x, points], 1))[:, x.shape[1] :]
    return ((tensor_formulation(points) - joint) * z).sum(1).mean()


def exact_loss(x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Return MIGE's loss, computed from a matrix of squared distances of the input."""
    return -mutual_info_surrogate(x, z, score=SCORE)


def losses(d: int) -> dict[str, Loss]:
    """Return the losses to compare. The first loss estimates no scores."""
    matrix = projection(512, d)
    return {
        "no MIGE": lambda x, z: z.square().mean(),
        "MIGE, exact distances": exact_loss,
        "MIGE, projection to 512": lambda x, z: (
            -mutual_info_surrogate(x, z, score=SCORE, projection=matrix)
        ),
        "MIGE, tensor formulation": tensor_loss,
    }


def step(size: int, loss: Loss, x: torch.Tensor) -> Callable[[], None]:
    """Return one step of training with the loss."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        encoder = ConvEncoder((3, size, size), 64)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-4, fused=True)

    def one() -> None:
        optimizer.zero_grad()
        loss(x, encoder(x.reshape(-1, 3, size, size))).backward()
        optimizer.step()

    return one


def peak_bytes(name: str) -> int:
    """Return the peak memory of two steps in a separate process."""
    command = [sys.executable, __file__, "--job", name]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(json.loads(output.splitlines()[-1]))


def run_job(name: str) -> None:
    x = pictures(64, 96)
    one = step(96, losses(x.shape[1])[name], x)
    one()
    one()
    print(json.dumps(own_peak()))


def floor(x: torch.Tensor, z: torch.Tensor, *, solve: bool) -> Callable[[], None]:
    """Return the products, exponentials and factorisations that MIGE's ridge loss needs."""
    m = len(x)
    kernels = squared_distances(z).div(-z.shape[1]).exp() + 1e-4 * m * torch.eye(m)
    kernels, both = kernels.expand(2, m, m).clone(), z.detach().expand(2, *z.shape).clone()

    def one() -> None:
        with torch.no_grad():
            for part in (x, z):
                (part @ part.mT).exp()
            factors = torch.linalg.cholesky_ex(kernels)[0]
            if solve:
                torch.cholesky_solve(both, factors)

    return one


def losses_and_floors(turns: int) -> Iterator[dict]:
    """Yield times of the loss and its gradient, alone and as multiples of the floor."""
    generator = torch.Generator().manual_seed(0)
    for m in (64, 128, 256, 512):
        x = torch.rand(m, 784, generator=generator)
        z = torch.randn(m, 64, generator=generator, requires_grad=True)
        functions = {
            "MIGE": lambda x=x, z=z: (-mutual_info_surrogate(x, z, score=SCORE)).backward(),
            "MIGE, cut": lambda x=x, z=z: (-mutual_info_surrogate(x, z, score=CUT)).backward(),
            "floor": floor(x, z, solve=False),
            "floor with solves": floor(x, z, solve=True),
        }
        times = in_turns(functions, 10 * turns)
        data = f"{m} rows of 784, 64 components"
        for name, seconds in times.items():
            yield row(data, name, "milliseconds a loss", 1e3 * statistics.median(seconds))
        ratio = ratio_of(times["MIGE"], times["floor"])
        yield row(data, "MIGE", "times the floor", ratio,
                  target="≤ 1.5", reached="yes" if ratio <= 1.5 else "no")  # fmt: skip
        ratio = ratio_of(times["MIGE"], times["floor with solves"])
        yield row(data, "MIGE", "times the floor with solves", ratio)


def wide_steps(turns: int) -> Iterator[dict]:
    """Yield times of steps at 27,648 values, and their peak memory."""
    x = pictures(64, 96)
    steps = {name: step(96, loss, x) for name, loss in losses(x.shape[1]).items()}
    times = in_turns(steps, turns)
    bare = peak_bytes("no MIGE")
    for name, seconds in times.items():
        yield row(WIDE, name, "seconds a step", statistics.median(seconds))
        if name != "no MIGE":
            share = peak_bytes(name) - bare
            yield row(WIDE, name, "peak memory beyond the step's own (MiB)", share / 2**20)
    projected = times["MIGE, projection to 512"]
    ratio = ratio_of(times["MIGE, exact distances"], projected)
    yield row(WIDE, "MIGE, exact distances", "times the step with a projection", ratio,
              target="≤ 1.3", reached="yes" if ratio <= 1.3 else "no")  # fmt: skip


def distances(turns: int) -> Iterator[dict]:
    """Yield times of distances with and without a projection, for several batch sizes."""
    matrix = projection(512, 27_648)

    def after_projection(x: torch.Tensor) -> torch.Tensor:
        projected = x @ matrix.mT
        return projected @ projected.mT

    for m in (64, 256, 512, 1024):
        x = torch.rand(m, 27_648, generator=torch.Generator().manual_seed(0))
        functions = {
            "exact": lambda x=x: x @ x.mT,
            "after a projection to 512": lambda x=x: after_projection(x),
        }
        times = in_turns(functions, turns)
        for name, seconds in times.items():
            yield row(f"distances of {m:,} rows of 27,648", name, "milliseconds",
                      1e3 * statistics.median(seconds))  # fmt: skip


def narrow_steps(turns: int) -> Iterator[dict]:
    """Yield the loss's share of a step's time at 32 × 32 pixels, and the time of MIGEEncoder."""
    x = pictures(64, 32)
    z = torch.randn(64, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    functions = {"step": step(32, exact_loss, x), "loss": lambda: exact_loss(x, z).backward()}
    times = in_turns(functions, turns)
    share = 100 * ratio_of(times["loss"], times["step"])
    yield row("32 × 32 × 3, batch 64", "MIGE's loss", "share of a step (%)", share,
              target="≤ 10", reached="yes" if share <= 10 else "no")  # fmt: skip
    X = pictures(1280, 32).numpy()
    common: dict[str, Any] = {
        "mode": InfoMax(corruption=0.0, output_scale=None), "encoder": "conv",
        "input_shape": (3, 32, 32), "batch_size": 64, "lr": 1e-4, "lr_schedule": "constant",
        "device": "cpu",
    }  # fmt: skip
    model = MIGEEncoder(64, random_state=0, max_epochs=1, **common).fit(X[:128])
    loops = {"MIGEEncoder": lambda: model.partial_fit(X), "bare loop": lambda: bare_epoch(X)}
    times = in_turns(loops, max(3, turns // 2))
    ratio = ratio_of(times["MIGEEncoder"], times["bare loop"])
    yield row("32 × 32 × 3, batch 64", "MIGEEncoder", "times a bare loop", ratio,
              target="≤ 1.15", reached="yes" if ratio <= 1.15 else "no")  # fmt: skip


def default_fits(turns: int) -> Iterator[dict]:
    """Yield the time of the default fit, relative to bare loops of the same network."""
    for d, limit in ((784, 1.6), (64, 1.9)):
        X = np.random.default_rng(0).uniform(size=(1280, d)).astype(np.float32)
        model = MIGEEncoder(max_epochs=10, device="cpu", random_state=0)
        loops = {
            "MIGEEncoder().fit": lambda X=X, model=model: model.fit(X),
            "bare loop": lambda X=X: bare_fit(X, 10, lambda x, z: z.square().mean()),
            "bare loop with MIGE's loss": lambda X=X: bare_fit(X, 10, exact_loss),
        }
        times = in_turns(loops, turns)
        data = f"{d} values, batch 256"
        for name, seconds in times.items():
            yield row(data, name, "milliseconds a step, shortest", 1e3 * min(seconds) / 50)
        for name in ("MIGEEncoder().fit", "bare loop with MIGE's loss"):
            ratio = ratio_of(times[name], times["bare loop"])
            target = {}
            if name == "MIGEEncoder().fit":
                target = {"target": f"≤ {limit}", "reached": "yes" if ratio <= limit else "no"}
            yield row(data, name, "times a bare loop without information", ratio, **target)


def bare_fit(X: np.ndarray, epochs: int, loss: Loss) -> None:
    """Train the default network without net, callbacks and history."""
    network = Architecture(X.shape[1], 64, head="standardizing", corruption=0.3).build().train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    batches = EqualBatchSampler(len(X), 256, torch.Generator().manual_seed(0))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(batches))
    for _ in range(epochs):
        for rows in batches:
            x = torch.as_tensor(X[rows])
            optimizer.zero_grad()
            loss(x, network(x).z).backward()
            optimizer.step()
            schedule.step()


def bare_epoch(X: np.ndarray) -> None:
    """Train for one epoch without net, callbacks and history."""
    encoder = ConvEncoder((3, 32, 32), 64)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-4, fused=True)
    for rows in EqualBatchSampler(len(X), 64, torch.Generator().manual_seed(0)):
        x = torch.as_tensor(X[rows])
        optimizer.zero_grad()
        exact_loss(x, encoder(x.reshape(-1, 3, 32, 32))).backward()
        optimizer.step()


def main() -> None:
    """Run all parts, and print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", default="", help="part of the names of parts to run")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        run_job(options.job)
        return
    rows = []
    parts = (default_fits, losses_and_floors, distances, narrow_steps, wide_steps)
    for part in (part for part in parts if options.only in part.__name__):
        for measured in part(options.turns):
            rows.append(measured)
            print(measured["dataset"], measured["method"], measured["metric"],
                  f"{measured['value']:.3g}", flush=True)  # fmt: skip
    columns = ["dataset", "method", "metric", "value"]
    if options.only:
        stored = json.loads((RESULTS / "infomax_cost.json").read_text(encoding="utf-8"))["rows"]
        renewed = {measured["dataset"] for measured in rows}
        rows += [kept for kept in stored if kept["dataset"] not in renewed]
    print_table(columns, [[str(r[c]) for c in columns] for r in rows])
    command = "python benchmarks/infomax_cost.py"
    print("written to", write("infomax_cost", "Cost of MIGE in a step of training", command, rows))


if __name__ == "__main__":
    main()
