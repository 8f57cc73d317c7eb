"""Test error of information bottlenecks and other regularisers with few training rows.

Every method trains the same network on the same rows. Ten draws of rows give paired differences,
with intervals of Student's t over the draws. The strength of each regulariser is chosen among four
values on separate draws of training rows. The network is trained on four fifths of the rows. The
strength with the lowest error on the remaining fifth is chosen. If errors are equal, the lower log
loss decides. Every finished fit is a line of a file, and the next call continues an interrupted
run. The folder ``SK_MIGE_DATA`` contains MNIST.

    SK_MIGE_DATA=folder OMP_NUM_THREADS=1 python benchmarks/bottleneck_small.py
"""

from __future__ import annotations

import argparse
import functools
import json
import shlex
import time
import warnings
from functools import partial
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
from report import PROGRESS, draw_differences, interval, print_table, row, write
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sk_mige import MIGE, InformationBottleneck, MIGEEncoder
from sk_mige.datasets import fetch_mnist
from sk_mige.networks import MLPEncoder

Array = np.ndarray
DRAWS, FIRST_TUNING_DRAW = range(10), 100


class Problem(NamedTuple):
    """Number of training rows, epochs, batch size, and draws of rows for tuning."""

    n_rows: int
    epochs: int
    batch_size: int = 100
    tuning_draws: int = 4


class Method(NamedTuple):
    """Objective, tuned parameter, and candidate values."""

    mode: InformationBottleneck
    tuned: str = ""
    strengths: tuple[float, ...] = ()


PLAIN = InformationBottleneck(head="deterministic", beta=0.0)
BETAS = (1e-4, 1e-3, 1e-2, 1e-1)
METHODS = {
    "baseline": Method(PLAIN),
    "MIGE-IB": Method(InformationBottleneck(), "beta", BETAS),
    "MIGE-IB, by classes": Method(InformationBottleneck(MIGE(marginal="classes")), "beta", BETAS),
    "DVB": Method(InformationBottleneck("variational"), "beta", BETAS),
    "dropout": Method(PLAIN, "dropout", (0.1, 0.2, 0.35, 0.5)),
    "label smoothing": Method(PLAIN, "label_smoothing", (0.02, 0.05, 0.1, 0.2)),
}
PROBLEMS = {
    "breast cancer, 100 rows": Problem(100, 100, 50, tuning_draws=10),
    "noise features, 1,000 rows": Problem(1_000, 40),
    "MNIST, 1,000 rows": Problem(1_000, 60, tuning_draws=2),
    "MNIST, 6,000 rows": Problem(6_000, 20, tuning_draws=1),
}


@functools.cache
def data(name: str) -> tuple[Array, Array, Array, Array]:
    """Return rows to draw from, and test rows, which are empty for data without a test set."""
    if name.startswith("MNIST"):
        parts = [fetch_mnist(subset=s, return_X_y=True, as_float=True) for s in ("train", "test")]
        (X, y), (X_test, y_test) = parts
        return 2 * X - 1, y, 2 * X_test - 1, y_test
    if name.startswith("breast"):
        X, y = load_breast_cancer(return_X_y=True)
    else:
        X, y = make_classification(
            10_000, 100, n_informative=10, n_redundant=10, n_clusters_per_class=4, flip_y=0.02,
            random_state=0,
        )  # fmt: skip
    return X, y, X[:0], y[:0]


def rows_of(name: str, draw: int) -> tuple[Array, Array, Array, Array]:
    """Return training and test rows of a draw, with tables scaled by the training rows."""
    X, y, X_test, y_test = data(name)
    n = PROBLEMS[name].n_rows
    if len(X_test):
        X, _, y, _ = train_test_split(X, y, train_size=n, stratify=y, random_state=draw)
        return X, y, X_test, y_test
    X, X_test, y, y_test = train_test_split(X, y, train_size=n, stratify=y, random_state=draw)
    scaler = StandardScaler().fit(X)
    return (*(scaler.transform(X), y), *(scaler.transform(X_test), y_test))


def encoder_of(problem: Problem, method: Method, strength: float | None, seed: int) -> MIGEEncoder:
    """Return a small version of the paper's network, with the regularisation of one method."""
    settings = {} if method.tuned in ("", "dropout") else {f"mode__{method.tuned}": strength}
    dropout = strength if method.tuned == "dropout" else 0.0
    encoder = MIGEEncoder(
        64, mode=clone(method.mode), max_epochs=problem.epochs, batch_size=problem.batch_size,
        encoder=partial(
            MLPEncoder, hidden_layer_sizes=(256, 256), batch_norm=False, dropout=dropout
        ),
        device="cpu", random_state=seed,
    )  # fmt: skip
    return encoder.set_params(**settings)


def measure(part: str, name: str, method: str, strength: float | None, draw: int) -> dict[str, Any]:
    """Train one network, and return error in percent and log loss on held-out rows."""
    X, y, X_held, y_held = rows_of(name, draw)
    if part == "validation":
        X, X_held, y, y_held = train_test_split(X, y, test_size=0.2, stratify=y, random_state=draw)
    start = time.process_time()
    encoder = encoder_of(PROBLEMS[name], METHODS[method], strength, draw).fit(X, y)
    seconds = time.process_time() - start
    p = encoder.predict_proba(X_held).astype(float)
    return {
        "error": 100 * float((encoder.classes_[p.argmax(1)] != y_held).mean()),
        "log loss": float(log_loss(y_held, p / p.sum(1, keepdims=True))),
        "seconds": seconds,
    }


class Log:
    """Finished fits, which are lines of a file."""

    def __init__(self) -> None:
        PROGRESS.mkdir(exist_ok=True)
        self.path = PROGRESS / "bottleneck_small.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.done = {tuple(line["cell"]): line for line in map(json.loads, lines)}

    def measured(self, *cell: Any) -> dict[str, Any]:
        """Return the results of a fit, from the file if it is stored."""
        if cell not in self.done:
            self.done[cell] = {"cell": cell, **measure(*cell)}
            with self.path.open("a") as file:
                file.write(json.dumps(self.done[cell]) + "\n")
            print(*cell, f"{self.done[cell]['error']:.2f} %", flush=True)
        return self.done[cell]

    def chosen(self, name: str, method: str) -> float | None:
        """Return the strength with the lowest error, or log loss, on held-out training rows."""

        def error(strength: float) -> tuple[float, float]:
            draws = range(FIRST_TUNING_DRAW, FIRST_TUNING_DRAW + PROBLEMS[name].tuning_draws)
            runs = [self.measured("validation", name, method, strength, draw) for draw in draws]
            return mean(run["error"] for run in runs), mean(run["log loss"] for run in runs)

        return min(METHODS[method].strengths, key=error, default=None)


def differences(values: dict[str, Array]) -> list[tuple[str, str, float, list[float]]]:
    """Return paired mean differences with 95 % intervals, to the baseline and to DVB."""
    pairs = [(method, "baseline") for method in values if method != "baseline"]
    pairs += [(method, "DVB") for method in values if method.startswith("MIGE")]
    found = []
    for method, other in pairs:
        difference = values[method] - values[other]
        found.append((method, other, float(difference.mean()), interval(difference)))
    return found


def report(log: Log, names: list[str]) -> None:
    """Write errors, log losses and paired differences, and draw the picture."""
    rows, compared, shown = [], [], []
    for name in names:
        runs = {
            method: [log.measured("test", name, method, log.chosen(name, method), draw)
                     for draw in DRAWS]
            for method in METHODS
        }  # fmt: skip
        for method, made in runs.items():
            for key, metric in (("error", "test error, %"), ("log loss", "test log loss, nats")):
                rows += [
                    row("ten draws of rows", method, metric, run[key], feature=name, seed=draw,
                        seconds=round(run["seconds"], 2))
                    for draw, run in zip(DRAWS, made, strict=True)
                ]  # fmt: skip
        for key, metric in (("error", "error, points"), ("log loss", "log loss, nats")):
            values = {m: np.array([run[key] for run in made]) for m, made in runs.items()}
            for method, other, centre, limits in differences(values):
                extra = {"compared with": other, "interval": limits}
                extra["strength"] = log.chosen(name, method)
                compared.append(row(name, method, f"difference in {metric}", centre, **extra))
                shown_limits = "{:+.3f} {:+.3f}".format(*limits)
                shown.append([name, method, other, metric, f"{centre:+.3f}", shown_limits])
    print_table(["data", "method", "minus", "metric", "mean", "interval"], shown)
    command = f"python benchmarks/bottleneck_small.py --data {shlex.join(names)}"
    print(write("bottleneck_small", "Bottlenecks with few training rows", command, rows + compared))
    drawn = [r for r in compared if r["compared with"] == "baseline"]
    xlabel = "minus the baseline, mean over draws"
    draw_differences("bottleneck_small", drawn, ("metric", "dataset"), xlabel)


def main() -> None:
    """Measure the missing fits, and print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", default=list(PROBLEMS), choices=PROBLEMS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    report(Log(), options.data)


if __name__ == "__main__":
    main()
