"""Images per second on a GPU, and times of the parts of a training step.

Steps are measured for batches of 32 × 32 images with the convolutional encoder. The losses are
MIGE with a truncated spectrum, MIGE with a ridge (the default), Deep InfoMax with infoNCE, and a
loss without information. Epochs of MIGEEncoder, which include fetching the batches, are compared
with a bare loop. The parts of a batch's scores are measured separately: medians, eigenpairs on
device or host, and Cholesky factorisation. All methods run alternately in one process, and the
table lists medians. Times are wall-clock times.

    python benchmarks/device_cost.py                    # the GPU if there is one
    python benchmarks/device_cost.py --device cpu --images 2560 --output /tmp/device_cost.json
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from report import print_table, row, write
from torch import Tensor

from sk_mige import InfoMax, MIGEEncoder, SSGEScoreEstimator
from sk_mige.information import mutual_info_surrogate
from sk_mige.networks import ConvEncoder
from sk_mige.objectives import CriticBound
from sk_mige.score import median_bandwidth, rbf_kernel, squared_distances, ssge

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "paper"))
from augmentations import crop_and_color

SHAPE = (3, 32, 32)
COMMON: dict[str, Any] = {
    "encoder": "conv", "input_shape": SHAPE, "lr": 1e-4, "lr_schedule": "constant",
    "random_state": 0,
}  # fmt: skip
CUT = partial(ssge, eigen_threshold=0.999)
RIDGE = partial(ssge, eigen_threshold=None, alpha=1e-4, solver="cholesky")


def in_turns(functions: dict[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    """Return wall-clock times of functions called alternately, without the first calls."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(1 + turns):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: seconds[1:] for name, seconds in times.items()}


def median_ratio(above: list[float], below: list[float]) -> float:
    """Return the median ratio of two times."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def waited(device: torch.device, function: Callable[[], Any]) -> Callable[[], None]:
    """Return a function that also waits until the device has finished."""

    def one() -> None:
        function()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)

    return one


def step(device: torch.device, batch: int, name: str, mixed: bool) -> Callable[[], None]:
    """Return one step of training on images that are on the device."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        encoder: torch.nn.Module = ConvEncoder(SHAPE, 64).to(device)
        critic = CriticBound("infonce", 3072, 64, mixed_precision=mixed).to(device)
        x = torch.rand(batch, *SHAPE).to(device)
    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "MIGE, cut": lambda z: -mutual_info_surrogate(x, z, score=CUT),
        "MIGE, ridge": lambda z: -mutual_info_surrogate(x, z, score=RIDGE),
        "infoNCE": lambda z: critic.maximise(x, z),
        "no information": lambda z: z.square().mean(),
    }
    parameters = [*encoder.parameters(), *(critic.parameters() if name == "infoNCE" else ())]
    optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True)

    def one() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            z = encoder(x)
        losses[name](z.float()).backward()
        optimizer.step()

    return waited(device, one)


def steps(options: argparse.Namespace, device: torch.device) -> Iterator[dict]:
    """Yield times of steps without fetching batches."""
    for mixed in (False, True):
        dataset = _images(options.batch, mixed)
        names = ("MIGE, ridge", "MIGE, cut", "infoNCE", "no information")
        times = in_turns(
            {name: step(device, options.batch, name, mixed) for name in names}, options.turns
        )
        for name, seconds in times.items():
            yield row(dataset, name, "milliseconds a step", 1e3 * statistics.median(seconds))
        for name in names[:2]:
            ratio = median_ratio(times[name], times["infoNCE"])
            target = {"target": "≤ 1.3", "reached": "yes" if ratio <= 1.3 else "no"}
            yield row(dataset, name, "times infoNCE's step", ratio, **target)


def epochs(options: argparse.Namespace, device: torch.device) -> Iterator[dict]:
    """Yield images per second of MIGEEncoder and of a bare loop, without the first epoch."""
    for mixed, augmented in ((False, False), (False, True), (True, False), (True, True)):
        yield from epochs_of(options, device, mixed, augmented)


def epochs_of(
    options: argparse.Namespace, device: torch.device, mixed: bool, augmented: bool
) -> Iterator[dict]:
    """Yield images per second with one precision, with or without random crops and colours."""
    X = torch.rand(options.images, 3072, generator=torch.Generator().manual_seed(0)).numpy()
    augmentation = crop_and_color if augmented else None
    n_epochs = 1 + max(3, options.turns // 3)
    mode = InfoMax(corruption=0.0, output_scale=None, augmentation=augmentation)
    model = MIGEEncoder(
        64, batch_size=options.batch, device=str(device), mixed_precision=mixed,
        max_epochs=n_epochs, score_estimator=SSGEScoreEstimator(eigen_threshold=None, alpha=1e-4),
        mode=mode, **COMMON,
    ).fit(X)  # fmt: skip
    durations = [epoch["dur"] for epoch in model.history_[1:]]
    bare = bare_epochs(X, options.batch, device, mixed, augmentation, n_epochs)
    dataset = _images(options.batch, mixed) + (", cropped and coloured" if augmented else "")
    rate = len(X) / statistics.median(durations)
    target = {"target": "≥ 20,000", "reached": "yes" if rate >= 20_000 else "no"}
    yield row(dataset, "MIGEEncoder", "images a second", rate,
              **(target if device.type == "cuda" else {}))  # fmt: skip
    yield row(dataset, "bare loop", "images a second", len(X) / statistics.median(bare))
    share = statistics.median(bare) / statistics.median(durations)
    yield row(dataset, "MIGEEncoder", "times the bare loop's rate", share, target="≥ 0.95",
              reached="yes" if share >= 0.95 else "no")  # fmt: skip


def bare_epochs(
    X: Any,
    batch: int,
    device: torch.device,
    mixed: bool,
    augmentation: Callable[[Tensor], Tensor] | None,
    n_epochs: int,
) -> list[float]:
    """Return the seconds of an epoch without an estimator, for all epochs but the first."""
    images = torch.as_tensor(X).to(device).view(-1, *SHAPE)
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        encoder: torch.nn.Module = ConvEncoder(SHAPE, 64).to(device)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-4, fused=True)

    def epoch() -> None:
        for index in torch.randperm(len(images), device=device).split(batch):
            x = images[index]
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
                z = encoder(x if augmentation is None else augmentation(x))
            (-mutual_info_surrogate(x.flatten(1), z.float(), score=RIDGE)).backward()
            optimizer.step()

    return in_turns({"epoch": waited(device, epoch)}, n_epochs - 1)["epoch"]


def solvers(options: argparse.Namespace, device: torch.device) -> Iterator[dict]:
    """Yield times of the linear algebra of a batch's scores."""
    z = torch.randn(options.batch, 64, generator=torch.Generator().manual_seed(0)).double()
    gram = rbf_kernel(squared_distances(z), z.new_tensor(8.0)).to(device)
    z = z.to(device)
    sq = squared_distances(z)
    pairs = sq[*torch.triu_indices(len(z), len(z), 1, device=device)]
    middle = (pairs.numel() - 1) // 2
    functions: dict[str, Callable[[], Any]] = {
        "median, median_bandwidth": lambda: median_bandwidth(sq),
        "median, sort of all pairs": lambda: pairs.sort().values[middle],
        "median, torch.median": lambda: pairs.median(),
        "median, torch.kthvalue": lambda: pairs.kthvalue(middle + 1).values,
        "median, torch.topk": lambda: pairs.topk(middle + 1, largest=False, sorted=False)[0].amax(),
        "eigenpairs on the device": lambda: torch.linalg.eigh(gram),
        "two at once": lambda: torch.linalg.eigh(torch.stack([gram, gram])),
        "eigenpairs on the host, and back": lambda: torch.linalg.eigh(gram.cpu())[1].to(device),
        "scores, eigenpairs": lambda: CUT(z),
        "scores, Cholesky": lambda: RIDGE(z),
        # A step needs two scores, those of z and of the pair. Batched solvers are made for many
        # small problems.
        "two scores, Cholesky, batched": lambda: RIDGE(z.expand(2, *z.shape)),
        "two scores, Cholesky, in turn": lambda: (RIDGE(z), RIDGE(z)),
    }
    waiting = {name: waited(device, function) for name, function in functions.items()}
    for name, seconds in in_turns(waiting, options.turns).items():
        yield row(f"a batch of {options.batch}", name, "milliseconds",
                  1e3 * statistics.median(seconds))  # fmt: skip


def main() -> None:
    """Run all parts, and print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    there = torch.accelerator.current_accelerator()
    parser.add_argument("--device", default=str(there or "cpu"))
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--images", type=int, default=51_200, help="images of an epoch")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--output", type=Path, help="file of results")
    options = parser.parse_args()
    device = torch.device(options.device)
    rows = []
    for part in (solvers, steps, epochs):
        for measured in part(options, device):
            rows.append(measured)
            print(measured["dataset"], measured["method"], measured["metric"],
                  f"{measured['value']:.3g}", flush=True)  # fmt: skip
    columns = ["dataset", "method", "metric", "value"]
    print_table(columns, [[str(r[c]) for c in columns] for r in rows])
    title = f"Cost of a step on {_name(device)}"
    command = "python benchmarks/device_cost.py"
    path = write("device_cost", title, command, rows, options.output)
    print("written to", path)


def _images(batch: int, mixed: bool) -> str:
    return f"32 × 32 × 3, batch {batch}, {'bfloat16' if mixed else 'float32'}"


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


if __name__ == "__main__":
    main()
