"""Data and measurements of Tables 1, 2 and 4 and Figure 2.

A cell is one encoder, trained without labels, and one probe for each of its layers. A checkpoint
is written after each epoch of the encoder. The results of each cell are a line of a file, and the
next run skips finished cells.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from infomax_methods import METHODS
from infomax_report import write_results
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from torch.nn.functional import interpolate

from sk_mige import MIGEEncoder, NonLinearProbe, WeightedKNNClassifier
from sk_mige.datasets import (
    fetch_cifar10,
    fetch_cifar100,
    fetch_mnist,
    fetch_stl10,
    get_data_home,
)
from sk_mige.training import Checkpoint

ROOT = Path(__file__).resolve().parents[2]
FEATURES = ("conv", "fc", "Y")
# Further probes of Y, which train no network.
PROBES = {
    "linear probe of Y (%)": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "kNN of Y (%)": WeightedKNNClassifier(),
}
USUAL: dict[str, Any] = {"subset": None, "probe_epochs": 20, "probe_lr": 1e-3, "mixed": True}


@dataclass(frozen=True)
class Images:
    """Unlabelled, training and test images, one in each row, with pixels from 0 to 1."""

    unlabeled: np.ndarray
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    shape: tuple[int, ...]


def load(name: str, subset: int | None, size: int | None, held_out: int = 0) -> Images:
    """Return the first ``subset`` images of each part, resized to ``size`` pixels.

    ``held_out`` is a number of training images that replace the test images and are not used for
    training.
    """
    fetch: Callable[..., Any] = {
        "cifar10": fetch_cifar10, "cifar100": fetch_cifar100, "mnist": fetch_mnist,
        "stl10": fetch_stl10, "tinyimagenet10": load_tiny_imagenet10,
    }[name]  # fmt: skip
    train, test = fetch(), fetch(subset="test")
    shape = tuple(train.image_shape)
    parts = [train.data]
    if name in ("stl10", "tinyimagenet10"):
        parts = [fetch(subset="unlabeled").data, train.data]
    # Labelled rows may be sorted by class, so they are shuffled.
    order = np.random.default_rng(0).permutation(len(train.data))
    order, others = order[: len(order) - held_out][:subset], order[len(order) - held_out :]
    if held_out:
        parts[-1] = train.data[order]
    unlabeled = np.concatenate([part[:subset] for part in parts])[:subset]
    shown = partial(_prepared, shape=shape, size=size)
    if len(parts) == 1:  # all images are labelled
        unlabeled = train.data[order]
    judged = (test.data[:subset], test.target[:subset])
    if held_out:
        judged = (train.data[others], train.target[others])
    return Images(
        shown(unlabeled),
        (shown(train.data[order]), train.target[order]),
        (shown(judged[0]), judged[1]),
        (shape[0], size, size) if size else shape,
    )


def load_tiny_imagenet10(subset: str = "train") -> Bunch:
    """Return ten classes of Tiny ImageNet, from files in the folder of the image readers.

    The arrays of each file are ``images`` (n, height, width, 3), ``labels`` and ``class_names``.
    The data set is a substitute for STL-10 and cannot be downloaded.
    """
    with np.load(get_data_home() / "tinyimagenet10" / f"{subset}.npz") as arrays:
        planes = arrays["images"].transpose(0, 3, 1, 2)
        target = arrays["labels"].astype(np.int64) if subset != "unlabeled" else None
    return Bunch(data=planes.reshape(len(planes), -1), target=target, image_shape=planes.shape[1:])


def _prepared(rows: np.ndarray, shape: tuple[int, ...], size: int | None) -> np.ndarray:
    if not size or shape[1:] == (size, size):
        return np.asarray(rows, dtype=np.float32) / 255
    resized = [
        interpolate(
            torch.as_tensor(chunk.reshape(-1, *shape)).float(), (size, size), mode="bilinear",
            antialias=True, align_corners=False,
        ).flatten(1).numpy()
        for chunk in np.array_split(rows, -(-len(rows) // 500))
    ]  # fmt: skip
    return np.concatenate(resized) / 255


def encoder(cell: dict[str, Any], images: Images, device: str) -> MIGEEncoder:
    """Return the encoder of the paper: batches of 64, Adam at 1e-4, 64 components."""
    return MIGEEncoder(
        64, encoder="conv", input_shape=images.shape, batch_size=64, lr=1e-4,
        lr_schedule="constant", max_epochs=cell["epochs"], device=device,
        mixed_precision=cell["mixed"], random_state=cell["seed"], verbose=1,
    ).set_params(**METHODS[cell["method"]])  # fmt: skip


def measure(cell: dict[str, Any], images: Images, device: str, checkpoint: Path) -> dict[str, Any]:
    """Train one encoder and its probes, and return their accuracies."""
    start = time.perf_counter()
    model = encoder(cell, images, device)
    model.set_params(callbacks=[Checkpoint(checkpoint)]).fit(images.unlabeled)
    seconds = sum(row["dur"] for row in model.history_)
    print(f"  trained in {seconds:.0f} s; {time.perf_counter() - start:.0f} s since the start")
    accuracies = {}
    for feature in FEATURES:
        probe = NonLinearProbe(
            max_epochs=cell["probe_epochs"], lr=cell["probe_lr"], device=device,
            random_state=cell["seed"], verbose=1,
        )  # fmt: skip
        frozen = FrozenEstimator(model.set_params(output=feature))
        pipeline = Pipeline([("encoder", frozen), ("probe", probe)]).fit(*images.train)
        accuracies[feature] = round(100 * float(pipeline.score(*images.test)), 3)
        print(f"  {feature}: {accuracies[feature]:.2f} %", flush=True)
    known, codes = (model.transform(part[0]) for part in (images.train, images.test))
    probes = {
        name: round(100 * float(probe.fit(known, images.train[1]).score(codes, images.test[1])), 3)
        for name, probe in PROBES.items()
    }
    spectrum = eigenvalue_shares(codes)
    return {
        "cell": cell,
        "accuracy": accuracies,
        "probes": probes,
        "effective_rank": round(float(np.exp(-(spectrum * np.log(spectrum)).sum())), 2),
        "spectrum": [float(f"{share:.3g}") for share in spectrum],
        "seconds": round(seconds, 1),
        "seconds_an_epoch": round(seconds / cell["epochs"], 2),
    }


def eigenvalue_shares(Z: np.ndarray) -> np.ndarray:
    """Return the fraction of the variance of each principal component, in descending order."""
    eigenvalues = np.linalg.eigvalsh(np.cov(Z.T.astype(np.float64))).clip(1e-12)[::-1]
    return eigenvalues / eigenvalues.sum()


def parse(name: str, doc: str, data: list[str], methods: list[str], epochs: int) -> Any:
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    every = ["cifar10", "cifar100", "tinyimagenet10", "stl10", "mnist"]
    parser.add_argument("--data", nargs="+", choices=every, default=data)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=methods,
                        metavar="METHOD", help=f"one or more of {', '.join(METHODS)}")  # fmt: skip
    parser.add_argument("--epochs", type=int, default=epochs, help=f"default {epochs}")
    parser.add_argument("--probe-epochs", type=int, help="default 20")
    parser.add_argument("--probe-lr", type=float, help="default 1e-3; Deep InfoMax uses 1e-4 and "
                        "trains probes for 150 epochs or more")  # fmt: skip
    parser.set_defaults(probe_epochs=USUAL["probe_epochs"], probe_lr=USUAL["probe_lr"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--subset", type=int, help="number of images of each part")
    parser.add_argument("--size", type=int, help="height and width in pixels after resizing")
    parser.add_argument("--held-out", type=int, default=0, help="number of training images that "
                        "replace the test images; docs/results is not changed")  # fmt: skip
    parser.add_argument("--device", default="auto")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 in training")
    parser.add_argument(
        "--quick", action="store_true", help="a small run of some minutes without a results file"
    )
    parser.add_argument("--cells", type=Path, help="file of finished cells, which are skipped")
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "examples/output/checkpoints",
                        help="folder of checkpoints")  # fmt: skip
    parser.add_argument("--output", type=Path, help="file of results")
    args = parser.parse_args()
    if args.quick:
        name += "-quick"
        args.epochs, args.probe_epochs, args.seeds = 1, 3, args.seeds[:1]
        args.subset = args.subset or 500
    if args.held_out:
        name += "-held-out"
    passing = args.quick or args.held_out
    results = Path() if passing else ROOT / "docs" / "results"
    args.output = args.output or results / f"{name}.json"
    folder = results if passing else results / "cells"
    args.cells = args.cells or folder / f"{name}.jsonl"
    return args


def run_table(
    name: str,
    doc: str,
    *,
    data: list[str],
    methods: list[str],
    epochs: int = 20,
    size: int | None = None,
    paper: dict[tuple[str, str, str], float],
    finish: Callable[[list[dict[str, Any]], Path], None] | None = None,
) -> None:
    """Measure the missing cells, and write the results of all finished cells."""
    args = parse(name, doc, data, methods, epochs)
    lines = args.cells.read_text().splitlines() if args.cells.exists() else []
    finished = {json.dumps(json.loads(line)["cell"]): json.loads(line) for line in lines}
    cells = [
        {
            "dataset": dataset, "size": args.size or size, "method": method, "seed": seed,
            "epochs": args.epochs, "subset": args.subset, "probe_epochs": args.probe_epochs,
            "probe_lr": args.probe_lr, "mixed": not args.float32,
        }
        for seed in args.seeds for dataset in args.data for method in args.methods
    ]  # fmt: skip
    todo = [cell for cell in cells if json.dumps(cell) not in finished]
    print(f"{len(cells) - len(todo)} of {len(cells)} cells are finished", flush=True)
    images: tuple[str, Images] | None = None
    start = time.perf_counter()
    for number, cell in enumerate(todo):
        left = (time.perf_counter() - start) / number * (len(todo) - number) if number else None
        remaining = f"; about {left / 60:.0f} minutes left" if left else ""
        print(f"[{number + 1}/{len(todo)}] {cell['method']}, {cell['dataset']}, seed "
              f"{cell['seed']}{remaining}", flush=True)  # fmt: skip
        if images is None or images[0] != cell["dataset"]:
            found = load(cell["dataset"], args.subset, cell["size"], args.held_out)
            images = (cell["dataset"], found)
        checkpoint = args.checkpoints / (_file_name(cell) + ".pt")
        result = measure(cell, images[1], args.device, checkpoint)
        args.cells.parent.mkdir(parents=True, exist_ok=True)
        with args.cells.open("a") as stream:
            stream.write(json.dumps(result) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        checkpoint.unlink()
    # Another process may have added cells to the file, so it is read again.
    every = [json.loads(line) for line in args.cells.read_text().splitlines()]
    order = list(METHODS)
    every.sort(key=lambda result: order.index(result["cell"]["method"]))
    usual = {"dataset": data[0], "size": size, "epochs": epochs, **USUAL}
    write_results(every, args.output, f"examples/paper/{name}.py", usual, paper)
    if finish:
        finish(every, args.output)
    print(f"results are in {args.output}", file=sys.stderr)


def _file_name(cell: dict[str, Any]) -> str:
    """Return the name of a checkpoint, from the settings of the encoder without the probe."""
    parts = [str(value) for key, value in cell.items() if not key.startswith("probe")]
    return "-".join("".join(c for c in part if c.isalnum() or c in ".+()") for part in parts)
