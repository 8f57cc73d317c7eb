"""Images per second of an encoder on a folder of JPEG files, relative to a DataLoader loop.

The script creates a temporary folder. The encoder and the bare loop read the folder with the same
number of worker processes, batch size and decoding. Each loop trains a linear network for one
epoch, and then computes the outputs. The bare loop shuffles, collates and steps as in PyTorch's
tutorials. The loops run alternately, and the table lists the median ratio. The ratio of
processor times, summed over the main process and its workers, depends little on other programs. For
each number of images, the memory of a new process and of its largest worker is measured.

    OMP_NUM_THREADS=1 python benchmarks/folder_throughput.py
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from report import print_table, row, write
from torch import nn
from torch.utils.data import DataLoader, Dataset

from sk_mige import MIGEEncoder

SIDE, BATCH, FILES_A_FOLDER = 32, 256, 1_000
N_PIXELS = 3 * SIDE * SIDE


class Folder(Dataset[torch.Tensor]):
    """Images of a folder as tensors of shape (3, side, side) from 0 to 1."""

    def __init__(self, folder: Path, n: int) -> None:
        self.folder = str(folder)
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(path_of(self.folder, index)) as image:
            pixels = np.array(image)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div(255)


def path_of(folder: str, index: int) -> str:
    return f"{folder}/{index // FILES_A_FOLDER}/{index}.jpg"


def make_files(folder: Path, n: int) -> None:
    """Write JPEG files of smooth random colours."""
    rng = np.random.default_rng(0)
    for index in range(n):
        path = Path(path_of(str(folder), index))
        if index % FILES_A_FOLDER == 0:
            path.parent.mkdir()
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, quality=90)


def encoder_of() -> MIGEEncoder:
    """Return a linear encoder with a loss that takes almost no time."""
    return MIGEEncoder(
        2, mode=lambda code, x, y: code.z.square().mean(), hidden_layer_sizes=(), max_epochs=1,
        batch_size=BATCH, device="cpu", random_state=0,
    )  # fmt: skip


def bare_fit(data: Folder, workers: int) -> nn.Module:
    """Train a linear network for one epoch."""
    network = nn.Linear(N_PIXELS, 2)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    for x in DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=workers):
        optimizer.zero_grad()
        loss = network(x.flatten(1)).square().mean()
        loss.backward()
        optimizer.step()
        loss.item()
    return network


@torch.inference_mode()
def bare_transform(data: Folder, workers: int, network: nn.Module) -> np.ndarray:
    """Return the outputs for all images in their order."""
    loader = DataLoader(data, batch_size=BATCH, num_workers=workers)
    return np.concatenate([network(x.flatten(1)).numpy() for x in loader])


def spent(run: Callable[[], Any]) -> tuple[float, float]:
    """Return wall-clock and processor seconds of a call, with those of its worker processes."""
    wall, processor = time.perf_counter(), processor_seconds()
    run()
    return time.perf_counter() - wall, processor_seconds() - processor


def processor_seconds() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def compare(folder: Path, n: int, workers: int, turns: int) -> list[dict[str, Any]]:
    """Return images per second of both loops and their ratios, for training and outputs."""
    data = Folder(folder, n)
    loader = DataLoader(data, batch_size=None, num_workers=workers)
    few = Folder(folder, FILES_A_FOLDER)
    fitted, network = encoder_of().fit(few), bare_fit(few, workers)  # a first call of both loops
    pairs = {
        "fit": (lambda: encoder_of().fit(loader), lambda: bare_fit(data, workers)),
        "transform": (
            lambda: fitted.transform(loader), lambda: bare_transform(data, workers, network)
        ),
    }  # fmt: skip
    rows = []
    name = f"{n:,} JPEG files, {SIDE} × {SIDE}, {workers} workers"
    for method, (ours, bare) in pairs.items():
        runs = [(spent(ours), spent(bare)) for _ in range(turns)]
        rate = n / statistics.median(ours[0] for ours, _ in runs)
        floor = n / statistics.median(bare[0] for _, bare in runs)
        ratio = statistics.median(bare[0] / ours[0] for ours, bare in runs)
        cost = statistics.median(bare[1] / ours[1] for ours, bare in runs)
        rows += [
            row(name, method, "images a second", rate),
            row(name, method, "images a second, bare loop", floor),
            row(name, method, "ratio", ratio, target="≥ 0.9",
                reached="yes" if ratio >= 0.9 else "no"),
            row(name, method, "ratio of processor times", cost),
        ]  # fmt: skip
    return rows


def memory(folder: Path, n: int, workers: int) -> list[dict[str, Any]]:
    """Return the largest resident sizes of a new process that fits and transforms."""
    arguments = ["--memory-of", str(folder), "--images", str(n), "--workers", str(workers)]
    made = subprocess.run(
        [sys.executable, __file__, *arguments], check=True, capture_output=True, text=True
    )
    sizes = json.loads(made.stdout.splitlines()[-1])
    return [
        row(f"{n:,} JPEG files", "fit and transform", f"MiB, {who}", size)
        for who, size in sizes.items()
    ]


def print_memory(folder: Path, n: int, workers: int) -> None:
    loader = DataLoader(Folder(folder, n), batch_size=None, num_workers=workers)
    encoder_of().fit(loader).transform(loader)
    whose = {"main process": resource.RUSAGE_SELF, "worker": resource.RUSAGE_CHILDREN}
    sizes = {who: resource.getrusage(usage).ru_maxrss / 1024 for who, usage in whose.items()}
    print(json.dumps(sizes))


def main() -> None:
    """Create the folder, measure, and print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        return print_memory(options.memory_of, options.images, options.workers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder, options.images)
        rows = []
        for n in (options.images // 10, options.images):
            rows += memory(folder, n, options.workers)
        rows += compare(folder, options.images, options.workers, options.turns)
    columns = ["dataset", "method", "metric", "value"]
    print_table(columns, [[str(r[c]) for c in columns] for r in rows])
    command = (
        f"python benchmarks/folder_throughput.py --images {options.images} "
        f"--workers {options.workers} --turns {options.turns}"
    )
    print(write("folder_throughput", "Images a second from a folder", command, rows))


if __name__ == "__main__":
    main()
