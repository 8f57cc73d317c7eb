"""Arena: MIGE and other objectives of several views, with equal images, encoders and time.

    python examples/paper/arena.py --quick                # every method in small: some minutes
    python examples/paper/arena.py --tune --minutes 10    # choose settings on training images
    python examples/paper/arena.py --minutes 120 --seeds 0 1 2   # two hours per method and seed

The next call continues an interrupted run after the last finished epoch. On a CPU, minutes are
processor time divided by the number of threads, so other programs do not change the results. On a
GPU, minutes are wall time.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import shlex
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from infomax_cells import FEATURES, ROOT, Images, load
from infomax_methods import mige
from infomax_report import dataset_name, layer_name
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

import sk_mige
from sk_mige import BarlowTwins, CodingRate, Critic, InfoMax, MIGEEncoder, SIGReg, VICReg
from sk_mige.information import SeparableCritic
from sk_mige.training import Checkpoint, ImageAugmentation

Parameters = dict[str, Any]
RESULTS = ROOT / "docs" / "results"
MANY = 8
AUGMENTATION = ImageAugmentation(scale=(0.3, 1.0))
OURS = ("MIGE, two views", f"MIGE, {MANY} views")
# Accuracies are measured at these fractions of the time.
MEASURED = (0.5, 1.0)
views = partial(InfoMax, corruption=0.0, output_scale=None, augmentation=AUGMENTATION)


def candidates(mode: Parameters, other: Parameters) -> list[Parameters]:
    """Return three settings, which differ in the learning rate or in one other parameter."""
    return [{"lr": 5e-4, **mode}, {"lr": 1e-3, **mode}, {"lr": 5e-4, **other}]


def scores(n_views: int) -> list[Parameters]:
    settings = {"augmentation": AUGMENTATION, "n_views": n_views}
    return candidates(mige(0.999, **settings), mige(0.99, **settings))


def without_scores(first: Any, other: Any, n_views: int = 2) -> list[Parameters]:
    modes = [{"mode": views(information, n_views=n_views)} for information in (first, other)]
    return candidates(*modes)


def simclr(temperature: float) -> Critic:
    make = partial(SeparableCritic, n_embedding=128, temperature=temperature, shared=True)
    return Critic("infonce", make)


# All methods have the same number of settings, so that the search has the same budget for each.
METHODS: dict[str, list[Parameters]] = {
    "MIGE, two views": scores(2),
    f"MIGE, {MANY} views": scores(MANY),
    "Barlow Twins": without_scores(BarlowTwins(), BarlowTwins(2e-2)),
    "VICReg": without_scores(VICReg(), VICReg(covariance=4.0)),
    "log-determinant, two views": without_scores(CodingRate(), CodingRate(invariance=50.0)),
    f"log-determinant, {MANY} views": without_scores(
        CodingRate(), CodingRate(invariance=50.0), MANY
    ),
    "SimCLR": without_scores(simclr(0.1), simclr(0.5)),
    "SIGReg": without_scores(SIGReg(), SIGReg(0.02)),
}


class Clock(Callback):
    """Record the seconds of each epoch: processor time per thread, or wall time on a GPU."""

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        self.start_ = now(net.device)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        net.history.record("clock", now(net.device) - self.start_)


def now(device: Any) -> float:
    if torch.device(device).type == "cpu":
        return time.process_time() / torch.get_num_threads()
    return time.perf_counter()


def encoder(cell: Parameters, device: str, shape: tuple[int, ...]) -> MIGEEncoder:
    """Return Deep InfoMax's encoder with the settings of one run."""
    return MIGEEncoder(
        64, encoder="conv", input_shape=shape, batch_size=192, lr_schedule="constant",
        device=device, mixed_precision=cell["mixed"], random_state=cell["seed"],
    ).set_params(**METHODS[cell["method"]][cell["setting"]])  # fmt: skip


def measure(cell: Parameters, images: Images, device: str, path: Path) -> dict[str, Any]:
    """Train for the time of one run, and return accuracies against time."""
    budget = 60 * cell["minutes"]
    model = encoder(cell, device, images.shape)
    model.set_params(callbacks=[Clock(), Checkpoint(path)])
    notes = path.with_suffix(".json")
    epoch, curve = json.loads(notes.read_text()) if notes.exists() else (1, [])
    while True:
        model.set_params(max_epochs=epoch).fit(images.unlabeled)
        spent = sum(record["clock"] for record in model.history_)
        if spent * (1 + 0.5 / epoch) >= budget:
            break
        if len(curve) < len(MEASURED) - 1 and spent >= MEASURED[len(curve)] * budget:
            curve.append(result(model, images, spent, epoch))
        epoch += 1
        notes.write_text(json.dumps((epoch, curve)))
    curve.append(result(model, images, spent, epoch))
    notes.unlink(missing_ok=True)
    return {"cell": cell, "accuracy": curve[-1]["accuracy"], "seconds": spent, "curve": curve}


def result(model: MIGEEncoder, images: Images, spent: float, epoch: int) -> dict[str, Any]:
    """Return the accuracies of linear probes after the given training time."""
    accuracy = {}
    train, test = (layers(model, part[0]) for part in (images.train, images.test))
    for feature in FEATURES:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=1e-2, max_iter=300, tol=1e-3))
        probe.fit(train[feature], images.train[1])
        accuracy[feature] = round(100 * float(probe.score(test[feature], images.test[1])), 3)
    print(f"  {spent:.0f} s, epoch {epoch}: {accuracy}", flush=True)
    return {"seconds": round(spent, 1), "epochs": epoch, "accuracy": accuracy}


@torch.no_grad()
def layers(model: MIGEEncoder, X: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs of the last three layers."""
    network = copy.deepcopy(model.module_.encoder).cpu()
    conv = torch.as_tensor(model.set_params(output="conv").transform(X))
    fc = network.fc(conv)
    return {"conv": conv.numpy(), "fc": fc.numpy(), "Y": network.Y(fc).numpy()}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="cifar10", choices=["cifar10", "cifar100", "stl10",
                                                             "tinyimagenet10"])  # fmt: skip
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS),
                        metavar="METHOD", help="; ".join(METHODS))  # fmt: skip
    parser.add_argument("--minutes", type=float, default=120, help="training time of each cell")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--subset", type=int, help="number of images of each part")
    parser.add_argument("--size", type=int, help="height and width in pixels after resizing")
    parser.add_argument("--held-out", type=int, default=5000, help="training images that test "
                        "the settings in --tune")  # fmt: skip
    parser.add_argument("--tune", action="store_true", help="measure all settings of each method "
                        "with the first seed; later runs use the best setting")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="a small run without a results file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--float32", action="store_true", help="no bfloat16 in training")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="folder of results")
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "examples/output/checkpoints")
    args = parser.parse_args()
    if args.quick:
        args.minutes, args.seeds, args.subset = 0.02, args.seeds[:1], args.subset or 500
        args.folder, args.held_out = Path(), min(args.held_out, 100)
    return args


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def best_settings(path: Path, data: str) -> dict[str, int]:
    """Return the setting of each method with the best mean accuracy of fc and Y, else the first."""
    found: dict[str, dict[int, float]] = {}
    for line in read(path):
        cell, accuracy = line["cell"], line["accuracy"]
        if cell["dataset"] == data:
            score = accuracy["fc"] + accuracy["Y"]
            found.setdefault(cell["method"], {})[cell["setting"]] = score
    return {m: max(found[m], key=found[m].__getitem__) if m in found else 0 for m in METHODS}


def main() -> None:
    args = parse()
    cells = args.folder / "cells" / ("arena-quick.jsonl" if args.quick else "arena.jsonl")
    tuning = cells.with_stem(cells.stem + "-tuning")
    output = tuning if args.tune else cells
    settings = best_settings(tuning, args.data)
    plan = [
        {
            "dataset": args.data, "size": args.size, "method": method, "setting": setting,
            "seed": seed, "minutes": args.minutes, "subset": args.subset,
            "mixed": not args.float32,
        }
        for seed in (args.seeds[:1] if args.tune else args.seeds) for method in args.methods
        for setting in (range(3) if args.tune else [settings[method]])
    ]  # fmt: skip
    finished = [line["cell"] for line in read(output)]
    todo = [cell for cell in plan if cell not in finished]
    print(f"{len(plan) - len(todo)} of {len(plan)} cells are finished", flush=True)
    images = load(args.data, args.subset, args.size, args.held_out if args.tune else 0)
    for number, cell in enumerate(todo, start=1):
        print(f"[{number}/{len(todo)}] {cell['method']}, setting {cell['setting']}, seed "
              f"{cell['seed']}", flush=True)  # fmt: skip
        words = [f"arena{'-tuning' * args.tune}", *(str(value) for value in cell.values())]
        checkpoint = args.checkpoints / ("-".join(words).replace(" ", "") + ".pt")
        line = measure(cell, images, args.device, checkpoint)
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        checkpoint.unlink(missing_ok=True)
    if not args.tune:
        write(read(cells), args.folder / f"{cells.stem}.json", len(read(tuning)))


def write(lines: list[dict[str, Any]], path: Path, n_tuned: int) -> None:
    """Write the results file and a plot of accuracy against time."""
    lines.sort(key=lambda line: list(METHODS).index(line["cell"]["method"]))
    rows = [
        row(line, layer_name(feature), "linear accuracy (%)", value)
        for line in lines for feature, value in line["accuracy"].items()
    ]  # fmt: skip
    rows += [row(line, "", "epochs", line["curve"][-1]["epochs"]) for line in lines]
    rows += differences(lines)
    document = {
        "command": "; ".join(commands(lines)),
        "versions": {
            "python": platform.python_version(), "torch": torch.__version__,
            "scikit-learn": sklearn.__version__, "sk_mige": sk_mige.__version__,
        },
        "machine": f"{platform.machine()}, {torch.get_num_threads()} thread, shared with other "
        "work; bfloat16 products in training unless float32 is said",
        "rows": rows,
    }  # fmt: skip
    path.write_text(json.dumps(document, indent=1) + "\n")
    for one in rows:
        print(f"{one['dataset']:40} {one['method']:50} {one['feature']:9} {one['metric']:26} "
              f"{one['value']:8.2f}  seed {one['seed']}")  # fmt: skip
    print(f"{n_tuned} settings were compared; results are in {path}", file=sys.stderr)
    folder = ROOT / "docs" / "images" if path.parent == RESULTS else path.parent
    draw(lines, folder / f"{path.stem}.png")


def row(line: dict[str, Any], feature: str, metric: str, value: float) -> dict[str, Any]:
    cell = line["cell"]
    return {
        "dataset": f"{dataset_name(cell)}, {cell['minutes']:g} minutes", "method": cell["method"],
        "feature": feature, "metric": metric, "value": value, "seed": cell["seed"],
        "seconds": round(line["seconds"], 1),
    }  # fmt: skip


def differences(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return accuracies of MIGE minus those of other methods, with equal seed and time."""
    measured = {
        json.dumps({**line["cell"], "setting": None}, sort_keys=True): line for line in lines
    }
    found = []
    for ours in lines:
        for method in list(METHODS)[len(OURS) :] if ours["cell"]["method"] in OURS else []:
            other = {**ours["cell"], "method": method, "setting": None}
            theirs = measured.get(json.dumps(other, sort_keys=True))
            for feature, value in ours["accuracy"].items() if theirs else []:
                change = round(value - theirs["accuracy"][feature], 3)
                difference = row(ours, layer_name(feature), "paired difference (points)", change)
                name = f"{ours['cell']['method']} minus {method}"
                found.append({**difference, "method": name, "seconds": None})
    return found


def commands(lines: list[dict[str, Any]]) -> list[str]:
    """Return the commands that repeat these runs."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        shared = {k: v for k, v in line["cell"].items() if k not in ("method", "seed", "setting")}
        groups.setdefault(json.dumps(shared), []).append(line["cell"])
    calls = []
    for shared, cells in groups.items():
        setting = json.loads(shared)
        words = ["python", "examples/paper/arena.py", "--data", setting["dataset"]]
        words += ["--minutes", f"{setting['minutes']:g}"]
        for key in ("subset", "size"):
            words += [f"--{key}", str(setting[key])] if setting[key] else []
        words += [] if setting["mixed"] else ["--float32"]
        words += ["--seeds", *map(str, sorted({cell["seed"] for cell in cells}))]
        methods = dict.fromkeys(cell["method"] for cell in cells)
        words += ["--methods", *methods] if len(methods) < len(METHODS) else []
        calls.append(shlex.join(words))
    return calls


def draw(lines: list[dict[str, Any]], path: Path) -> None:
    """Draw the mean accuracy of each method against the time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    for axes, feature in zip(figure.subplots(1, 3), FEATURES, strict=True):
        for method in dict.fromkeys(line["cell"]["method"] for line in lines):
            curves = [line["curve"] for line in lines if line["cell"]["method"] == method]
            length = min(map(len, curves))
            points = [[(p["seconds"] / 60, p["accuracy"][feature]) for p in curve[-length:]]
                      for curve in curves]  # fmt: skip
            minutes, accuracy = np.mean(points, axis=0).T
            style = "-" if method.startswith("MIGE") else "--"
            axes.plot(minutes, accuracy, style, marker=".", label=method)
        axes.set(title=layer_name(feature), xlabel="minutes of training")
    figure.axes[0].set_ylabel("accuracy of a linear probe (%)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
