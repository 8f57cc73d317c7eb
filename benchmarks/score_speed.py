"""Time and memory of the score estimators, as ratios.

Each estimator is compared with two references. The first is the tensor formulation of public
implementations of SSGE, with arrays of shape (M, M, d). The second is a lower bound, the floor: one
eigendecomposition and the matrix products. All run in turns in one process, so that other processes
slow all of them. Ratios are medians over the turns. Times are processor times, which do not include
waiting for other processes. Peak memory is that of a fresh process.

    OMP_NUM_THREADS=1 python benchmarks/score_speed.py [--only published]
"""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from report import print_table, row, write

from sk_mige import SSGEScoreEstimator, SSGEScoreEstimatorCV

PUBLISHED = {"eigen_threshold": 0.99, "whiten": False, "base": None}


def normal(n: int, d: int, dtype: Any = np.float32) -> np.ndarray:
    """Return standard normal samples."""
    return np.random.default_rng(0).standard_normal((n, d), dtype=np.float32).astype(dtype)


def tensor_formulation(x: torch.Tensor) -> torch.Tensor:
    """Return the scores of published SSGE, from an (M, M, d) array in the dtype of x."""
    m = len(x)
    differences = x[:, None] - x[None]
    squares = differences.square().sum(-1)
    sigma = squares[~torch.eye(m, dtype=torch.bool)].sqrt().median()
    gram = torch.exp(-squares / (2 * sigma**2))
    gradients = -gram[..., None] * differences / sigma**2
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0), vectors.flip(1)
    kept = int((values.cumsum(0) / values.sum() < 0.99).sum()) + 1
    values, vectors = values[:kept], vectors[:, :kept]
    # Sum over the second point first, like the public code. The result is (M, J, d).
    beta = -torch.einsum("abd,bj->ajd", gradients, vectors).mean(0) * m**0.5 / values[:, None]
    return (m**0.5 * gram @ vectors / values) @ beta


def floor(x: torch.Tensor) -> torch.Tensor:
    """Compute one eigendecomposition in float64, and the products X X', K X and U (U' G)."""
    products = (x @ x.mT).double()
    norms = products.diagonal()
    gram = torch.exp(-(norms[:, None] + norms - 2 * products) / (2 * norms.mean() * 2))
    values, vectors = torch.linalg.eigh(gram)
    laplacian = gram.to(x.dtype) @ x
    u = vectors.to(x.dtype)
    return u @ ((u.mT @ laplacian) / values.clamp_min(1e-3).to(x.dtype)[:, None])


def seconds(function: Callable[[], Any]) -> float:
    """Return the processor time of one call in seconds."""
    start = time.process_time()
    function()
    return time.process_time() - start


def in_turns(functions: dict[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    """Return the times of all functions, which are called in turns, several times."""
    for function in functions.values():
        function()  # warm-up
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(turns):
        for name, function in functions.items():
            times[name].append(seconds(function))
    return times


def median_ratio(above: list[float], below: list[float]) -> float:
    """Return the median over the turns of the ratio of two times."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def peak_bytes(job: str) -> int:
    """Return the peak memory of a job in a fresh process, minus that of an idle process."""
    peaks = []
    for name in (job, "nothing"):
        command = [sys.executable, __file__, "--job", name]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        peaks.append(json.loads(output.splitlines()[-1])["peak"])
    return peaks[0] - peaks[1]


def run_job(name: str) -> None:
    """Run a job and print the peak memory of the process in bytes, for :func:`peak_bytes`."""
    kind, *numbers = name.split(":")
    if kind == "tensor":
        tensor_formulation(torch.from_numpy(normal(int(numbers[0]), int(numbers[1]))))
    elif kind == "published":
        SSGEScoreEstimator(**PUBLISHED).fit_transform(normal(int(numbers[0]), int(numbers[1])))
    elif kind == "default":
        SSGEScoreEstimator().fit_transform(normal(int(numbers[0]), int(numbers[1])))
    elif kind == "stream":
        SSGEScoreEstimator(n_landmarks=512, random_state=0).fit_batches(batches(int(numbers[0])))
    elif kind == "nothing":
        torch.linalg.eigh(torch.eye(8))
    print(json.dumps({"peak": own_peak()}))


def own_peak() -> int:
    """Return the peak memory of this process; on Linux, getrusage would include the parent."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def batches(n: int, d: int = 64, size: int = 10_000) -> Any:
    """Yield batches of rows, which are not kept in memory."""
    rng = np.random.default_rng(0)
    for _ in range(n // size):
        yield rng.standard_normal((size, d))


def against_tensors(rows: list[dict]) -> None:
    """Measure speed and peak memory relative to the tensor formulation."""
    problems = [(512, 3072, 100, None), (128, 3072, 60, None), (1024, 256, 20, 50)]
    for m, d, speed, memory in problems:
        X = normal(m, d)
        x = torch.from_numpy(X)
        functions = {
            "tensor": lambda x=x: tensor_formulation(x),
            "published": lambda X=X: SSGEScoreEstimator(**PUBLISHED).fit_transform(X),
        }
        times = in_turns(functions, 3)
        ratio = median_ratio(times["tensor"], times["published"])
        add(rows, f"M={m}, d={d}", "published settings", "times faster than tensors", ratio,
            f"≥ {speed}", ratio >= speed,
            seconds=statistics.median(times["published"]))  # fmt: skip
        if memory is not None:
            larger, smaller = (peak_bytes(f"{kind}:{m}:{d}") for kind in ("tensor", "published"))
            add(rows, f"M={m}, d={d}", "published settings", "times less peak memory",
                larger / smaller, f"≥ {memory}", larger >= memory * smaller)  # fmt: skip


def against_floor(rows: list[dict]) -> None:
    """Measure times relative to one eigendecomposition and the matrix products."""
    for m, d in [(256, 64), (512, 64), (1024, 64), (256, 3072), (512, 3072), (1024, 256)]:
        X = normal(m, d)
        x = torch.from_numpy(X)
        times = in_turns(
            {
                "floor": lambda x=x: floor(x),
                "published": lambda X=X: SSGEScoreEstimator(**PUBLISHED).fit_transform(X),
                "default": lambda X=X: SSGEScoreEstimator().fit_transform(X),
            },
            7,
        )
        for name, limit in (("published", 1.5), ("default", 3.0)):
            ratio = median_ratio(times[name], times["floor"])
            add(rows, f"M={m}, d={d}", f"{name} settings", "times the floor", ratio,
                f"≤ {limit}", ratio <= limit, seconds=statistics.median(times[name]))  # fmt: skip


def wide(rows: list[dict]) -> None:
    """Measure the peak memory for colour images of 96 × 96 pixels."""
    for name in ("published", "default"):
        gigabytes = peak_bytes(f"{name}:1024:27648") / 1e9
        add(rows, "M=1024, d=27648", f"{name} settings", "peak memory / GB", gigabytes,
            "< 1.5", gigabytes < 1.5)  # fmt: skip


def growth(rows: list[dict]) -> None:
    """Measure streams of 10⁴ to 10⁶ rows with 512 landmarks, and the fitted model."""
    sizes = (10_000, 100_000, 1_000_000)
    taken = []
    for n in sizes:
        start = time.process_time()
        SSGEScoreEstimator(n_landmarks=512, random_state=0).fit_batches(batches(n))
        taken.append(time.process_time() - start)
        gigabytes = peak_bytes(f"stream:{n}") / 1e9
        add(rows, f"n={n:,}, d=64", "512 landmarks", "processor seconds", taken[-1],
            "≤ 120" if n == sizes[-1] else "", taken[-1] < 120)  # fmt: skip
        add(rows, f"n={n:,}, d=64", "512 landmarks", "peak memory / GB", gigabytes,
            "< 1.5", gigabytes < 1.5)  # fmt: skip
    slopes = [(taken[i + 1] - taken[i]) / (sizes[i + 1] - sizes[i]) for i in (0, 1)]
    add(rows, "10⁴ → 10⁶, d=64", "512 landmarks", "seconds a row: last part / first",
        slopes[1] / slopes[0], "within 20 %", abs(slopes[1] / slopes[0] - 1) < 0.2)  # fmt: skip
    X = np.concatenate(list(batches(1_000_000)))
    estimator = SSGEScoreEstimator(n_landmarks=512, random_state=0).fit(X)
    megabytes = len(pickle.dumps(estimator)) / 1e6
    add(rows, "n=1,000,000, d=64", "512 landmarks", "pickle / MB", megabytes,
        "< 2", megabytes < 2)  # fmt: skip
    duration = seconds(lambda: estimator.transform(X))
    add(rows, "1,000,000 points, d=64", "512 landmarks", "transform / s", duration, "", True)


def selection(rows: list[dict]) -> None:
    """Measure times of cross-validation relative to single fits with a fixed strength."""
    # The candidates share one whitening, and their scores need not be gradients.
    lean = {"shrinkages": ("auto",), "curl_free": (False,)}
    # For columns of one scale, "auto" may choose the spherical whitening, which other candidates
    # use anyway. Columns of different scales need two whitenings.
    for m, d, spread in ((512, 2, 1.0), (512, 64, 1.0), (512, 2, 10.0), (512, 64, 10.0)):
        X = normal(m, d, np.float64) * np.linspace(1.0, spread, d)
        dataset = f"M={m}, d={d}" + (", unlike scales" if spread > 1 else "")
        for kind, options in (("default grid", {}), ("one whitening, no gradient fields", lean)):
            search = SSGEScoreEstimatorCV(**options)
            count = search.cv * len(search.bandwidth_factors)
            functions = {
                "search": partial(search.fit, X),
                "fit": partial(SSGEScoreEstimator(alpha=1e-2).fit, X),
            }
            times = in_turns(functions, 3)
            ratio = median_ratio(times["search"], times["fit"]) / count
            add(rows, dataset, f"CV, {kind}", "fits a fold and bandwidth", ratio,
                "≤ 2.5", ratio <= 2.5, seconds=statistics.median(times["search"]))  # fmt: skip


def add(rows: list[dict], dataset: str, method: str, metric: str, value: float, target: str,
        met: bool, **others: Any) -> None:  # fmt: skip
    """Add a measurement to the rows and print it."""
    reached = "" if not target else "yes" if met else "no"
    rows.append(row(dataset, method, metric, value, target=target, reached=reached, **others))
    print(f"{dataset}, {method}: {value:.3g} {metric} (target {target or 'none'})", flush=True)


PARTS = [against_floor, selection, wide, growth, against_tensors]


def main() -> None:
    """Run all parts, and print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="parts whose name contains this")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        run_job(options.job)
        return
    rows: list[dict] = []
    for part in PARTS:
        if options.only in part.__name__:
            part(rows)
    print()
    columns = ("dataset", "method", "metric", "value", "target", "reached")
    print_table(
        list(columns),
        [[f"{r[c]:.3g}" if c == "value" else str(r[c]) for c in columns] for r in rows],
    )
    if not options.only:
        command = "python benchmarks/score_speed.py"
        print("written to", write("score_speed", "Speed of score estimates", command, rows))


if __name__ == "__main__":
    main()
