"""Time and memory of the score estimators, relative to references in the same run.

The references alternate with each problem in the same process, so other processes affect all times
equally:

- the tensor formulation of public implementations of SSGE, with arrays of shape (M, M, d);
- the floor, which is one eigendecomposition and the matrix products, without a choice of settings;
- for streams and queries, the products and the exponentials of the kernel alone.

A ratio is the quotient of the shortest times. Times are processor times, which exclude waiting for
other processes. Peak memory is measured in a new process, minus the peak memory of an idle process.

    OMP_NUM_THREADS=1 python benchmarks/score_speed.py [--only floor]
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
from sk_mige.datasets import make_banana
from sk_mige.score import squared_distances

PUBLISHED = {"eigen_threshold": 0.99, "whiten": False, "base": None}


def normal(n: int, d: int, dtype: Any = np.float32) -> np.ndarray:
    """Return standard normal samples."""
    return np.random.default_rng(0).standard_normal((n, d), dtype=np.float32).astype(dtype)


def tensor_formulation(x: torch.Tensor) -> torch.Tensor:
    """Return SSGE's scores from the kernel's gradients in one (M, M, d) array."""
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
    # Sum over the second point first, as the public code does: (M, J, d).
    beta = -torch.einsum("abd,bj->ajd", gradients, vectors).mean(0) * m**0.5 / values[:, None]
    return (m**0.5 * gram @ vectors / values) @ beta


def floor(x: torch.Tensor) -> torch.Tensor:
    """Run one eigendecomposition in float64, and the products X X', K X and U (U' G)."""
    products = (x @ x.mT).double()
    norms = products.diagonal()
    gram = torch.exp(-(norms[:, None] + norms - 2 * products) / (2 * norms.mean() * 2))
    values, vectors = torch.linalg.eigh(gram)
    laplacian = gram.to(x.dtype) @ x
    u = vectors.to(x.dtype)
    return u @ ((u.mT @ laplacian) / values.clamp_min(1e-3).to(x.dtype)[:, None])


def seconds(function: Callable[[], Any]) -> float:
    """Return the processor time of one call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def in_turns(functions: dict[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    """Return the times of functions that are called alternately."""
    for function in functions.values():
        function()  # the first call allocates memory and starts threads
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(turns):
        for name, function in functions.items():
            times[name].append(seconds(function))
    return times


def ratio_of(above: list[float], below: list[float]) -> float:
    """Return the ratio of the shortest times, which depend least on other processes."""
    return min(above) / min(below)


def peak_bytes(job: str) -> int:
    """Return the peak memory of a job in a new process, minus that of an idle process."""
    peaks = []
    for name in (job, "nothing"):
        command = [sys.executable, __file__, "--job", name]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        peaks.append(json.loads(output.splitlines()[-1])["peak"])
    return peaks[0] - peaks[1]


def run_job(name: str) -> None:
    """Do one job and print the process's peak memory in bytes, for :func:`peak_bytes`."""
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
    """Return the peak memory of this process, from ``/proc`` if available.

    The value of ``getrusage`` includes the peak memory of the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def batches(n: int, d: int = 64, size: int = 10_000) -> Any:
    """Yield batches of rows that are not stored."""
    rng = np.random.default_rng(0)
    for _ in range(n // size):
        yield rng.standard_normal((size, d))


def against_tensors(rows: list[dict]) -> None:
    """Compare time and memory with those of (M, M, d) arrays."""
    problems = [(512, 3072, 100, None), (128, 3072, 60, None), (1024, 256, 20, 50)]
    for m, d, speed, memory in problems:
        X = normal(m, d)
        x = torch.from_numpy(X)
        functions = {
            "tensor": lambda x=x: tensor_formulation(x),
            "published": lambda X=X: SSGEScoreEstimator(**PUBLISHED).fit_transform(X),
        }
        times = in_turns(functions, 3)
        ratio = ratio_of(times["tensor"], times["published"])
        add(rows, f"M={m}, d={d}", "published settings", "times faster than tensors", ratio,
            f"≥ {speed}", ratio >= speed,
            seconds=statistics.median(times["published"]))  # fmt: skip
        if memory is not None:
            larger, smaller = (peak_bytes(f"{kind}:{m}:{d}") for kind in ("tensor", "published"))
            add(rows, f"M={m}, d={d}", "published settings", "times less peak memory",
                larger / smaller, f"≥ {memory}", larger >= memory * smaller)  # fmt: skip


dense = partial(SSGEScoreEstimator, n_landmarks=None)


def modes(n: int, d: int) -> np.ndarray:
    """Return samples of five separate modes."""
    rng = np.random.default_rng(0)
    centers = 2 * rng.standard_normal((5, d))
    samples = centers[rng.integers(0, 5, n)] + rng.standard_normal((n, d))
    return samples.astype(np.float32)


def against_floor(rows: list[dict]) -> None:
    """Compare fits with one eigendecomposition and the products.

    The default needs more than the floor. To choose the strength for each kernel, the default fit
    decomposes up to three Gram matrices of a half or two thirds of the rows. The kernels of a
    Gaussian sample are not compared, because the base alone is chosen. The comparison is measured
    on separate modes, without a target.
    """
    problems = {
        (256, 64): (1.4, 2.0),
        (512, 64): (1.2, 1.5),
        (1024, 256): (1.2, 1.5),
        (512, 3072): (1.2, 1.5),
        (4096, 16): (1.2, 1.5),
    }
    for (m, d), limits in problems.items():
        X = normal(m, d)
        x = torch.from_numpy(X)
        functions = {
            "floor": lambda x=x: floor(x),
            "published": lambda X=X: dense(**PUBLISHED).fit_transform(X),
            "default": lambda X=X: dense().fit_transform(X),
        }
        times = in_turns(functions, 9 if m <= 1024 else 1)
        for name, limit in zip(("published", "default"), limits, strict=True):
            ratio = ratio_of(times[name], times["floor"])
            add(rows, f"M={m}, d={d}", f"{name} settings", "times the floor", ratio,
                f"≤ {limit}", ratio <= limit, seconds=min(times[name]))  # fmt: skip
    for m, d in ((512, 8), (512, 64)):
        X = modes(m, d)
        x = torch.from_numpy(X)
        functions = {
            "floor": lambda x=x: floor(x),
            "kernel='rbf'": lambda X=X: dense(kernel="rbf").fit_transform(X),
            "default": lambda X=X: dense().fit_transform(X),
        }
        times = in_turns(functions, 9)
        for name in ("kernel='rbf'", "default"):
            ratio = ratio_of(times[name], times["floor"])
            add(rows, f"M={m}, d={d}, five modes", f"{name} settings", "times the floor", ratio,
                "", True, seconds=min(times[name]))  # fmt: skip


def many_rows(rows: list[dict]) -> None:
    """Time default fits to thousands of rows, below and above the limit of dense fits."""
    for n in (2_000, 4_000, 5_000, 5_001):
        X, score = make_banana(n, random_state=0)
        fresh = score.sample(1000, random_state=1)
        landmarks = 1_000 if n > 5_000 else None
        estimator = SSGEScoreEstimator(n_landmarks=landmarks, random_state=0)
        duration = seconds(partial(estimator.fit, X))
        error = ((estimator.transform(fresh) - score(fresh)) ** 2).sum()
        add(rows, f"banana, n={n:,}", "default settings", "processor seconds", duration,
            "≤ 4", duration <= 4)  # fmt: skip
        add(rows, f"banana, n={n:,}", "default settings", "relative error",
            error / (score(fresh) ** 2).sum(), "", True)  # fmt: skip


def streams(rows: list[dict]) -> None:
    """Compare the time of streams and queries of 50,000 rows with that of the products."""
    parts = list(batches(50_000))
    X = np.concatenate(parts)
    x = torch.from_numpy(X)
    estimator = SSGEScoreEstimator(n_landmarks=512, random_state=0)

    def products(dtype: torch.dtype, *, quadratic: bool) -> None:
        centers = x[:512].to(dtype)
        for chunk in x.split(1024):
            chunk = chunk.to(dtype)
            gram = (chunk @ centers.mT).mul_(1e-3).exp_()
            gram.mT @ chunk if quadratic else gram @ centers
            if quadratic:
                gram.mT @ gram

    estimator.fit_batches(parts)
    times = in_turns(
        {
            "stream": partial(estimator.fit_batches, parts),
            "float64": partial(products, torch.float64, quadratic=True),
            "float32": partial(products, torch.float32, quadratic=True),
            "transform": partial(estimator.transform, X),
            "kernel": partial(products, torch.float64, quadratic=False),
        },
        3,
    )
    for name, against, metric in (
        ("stream", "float64", "times the products in float64"),
        ("stream", "float32", "times the products in float32"),
        ("transform", "kernel", "times the products in float64"),
    ):
        ratio = ratio_of(times[name], times[against])
        add(rows, "50,000 rows, d=64", f"512 landmarks, {name}", metric, ratio, "", True,
            seconds=min(times[name]))  # fmt: skip


def projections(rows: list[dict]) -> None:
    """Compare distances of a training batch after a projection with exact distances."""
    for d in (3_072, 27_648):
        x = torch.from_numpy(normal(256, d))
        functions = {"exact": partial(squared_distances, x)}
        for k in (64, 128, 256, 512):
            matrix = torch.from_numpy(normal(k, d))
            functions[f"k={k}"] = lambda x=x, m=matrix: squared_distances(x @ m.mT)
        times = in_turns(functions, 9)
        for name in list(functions)[1:]:
            ratio = ratio_of(times[name], times["exact"])
            add(rows, f"M=256, d={d}", f"projection, {name}", "times exact distances", ratio, "",
                True, seconds=min(times[name]))  # fmt: skip


def wide(rows: list[dict]) -> None:
    """Measure the peak memory of fits to rows as wide as colour images of 96 × 96 pixels."""
    for name in ("published", "default"):
        gigabytes = peak_bytes(f"{name}:1024:27648") / 1e9
        add(rows, "M=1024, d=27648", f"{name} settings", "peak memory / GB", gigabytes,
            "< 1.5", gigabytes < 1.5)  # fmt: skip


def growth(rows: list[dict]) -> None:
    """Measure fits with 512 landmarks to streams of 10⁴ to 10⁶ rows."""
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
    """Compare cross-validation with single fits of a fixed strength."""
    # The smaller grid has one whitening and no curl-free candidates.
    lean = {"shrinkages": ("auto",), "curl_free": (False,)}
    # For columns of one scale, "auto" may choose a shrinkage of 1, which is also in the grid. One
    # whitening is then enough. Columns of different scales need two whitenings.
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
            ratio = ratio_of(times["search"], times["fit"]) / count
            add(rows, dataset, f"CV, {kind}", "fits a fold and bandwidth", ratio,
                "≤ 2.5", ratio <= 2.5, seconds=statistics.median(times["search"]))  # fmt: skip


def add(rows: list[dict], dataset: str, method: str, metric: str, value: float, target: str,
        met: bool, **others: Any) -> None:  # fmt: skip
    """Record and print a measurement."""
    reached = "" if not target else "yes" if met else "no"
    rows.append(row(dataset, method, metric, value, target=target, reached=reached, **others))
    print(f"{dataset}, {method}: {value:.3g} {metric} (target {target or 'none'})", flush=True)


PARTS = [
    against_floor,
    many_rows,
    streams,
    projections,
    selection,
    wide,
    growth,
    against_tensors,
]


def main() -> None:
    """Run all parts, and print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="part of the names of parts to run")
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
