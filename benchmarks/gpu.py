"""Correctness and speed on a GPU: tests, results on GPU and CPU, times, and Tables 1 and 3.

    python benchmarks/gpu.py --part tests        # also transfer, step, throughput, scores, training
    python benchmarks/gpu.py                     # all parts
    python benchmarks/gpu.py --device cpu --quick   # all parts in small; results in .benchmarks

Each part consists of several measurements. The result of each measurement is a line of
.benchmarks/gpu.jsonl, and the next run skips finished measurements. No measurement starts after
``--minutes`` minutes. An interrupted table continues after the last finished epoch. Part "training"
takes several runs, and each other part takes one run. Each run on a GPU writes all finished
measurements to docs/results/gpu.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import pickle
import re
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for deterministic products

import numpy as np
import torch
from device_cost import (
    CUT,
    RIDGE,
    SHAPE,
    epochs_of,
    in_turns,
    median_ratio,
    solvers,
    step,
    steps,
    waited,
)
from report import PROGRESS, machine, print_table, row, versions, write
from score_speed import own_peak
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from sk_mige import InformationBottleneck, MIGEEncoder, SSGEScoreEstimator
from sk_mige import information as info
from sk_mige.networks import ConvEncoder
from sk_mige.score import rbf_kernel, squared_distances

ROOT = Path(__file__).resolve().parents[1]
Cells = Iterator[tuple[str, Callable[[], list[dict]]]]


def judged(dataset: str, method: str, metric: str, value: float, limit: float) -> dict:
    """Return a measurement with an upper limit for its value."""
    reached = "yes" if value <= limit else "no"
    return row(dataset, method, metric, value, target=f"≤ {limit:g}", reached=reached)


def difference(found: Any, expected: Any) -> float:
    """Return the norm of the difference, relative to the norm of the expected values."""
    found, expected = (torch.as_tensor(v).detach().cpu().double() for v in (found, expected))
    return float((found - expected).norm() / expected.norm())


# ---------------------------------------------------------------- tests


def tests(s: argparse.Namespace) -> Cells:
    """Yield a run for each folder of tests. Tests of devices run in float32 and in float64."""
    if s.quick:
        yield (
            "tests, quick",
            partial(suite, s, "float64", "tests/devices/test_functions.py", "-kNWJ"),
        )
        return
    for dtype in ("float32", "float64"):
        yield f"tests/devices, {dtype}", partial(suite, s, dtype, "tests/devices")
    files = {path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py")}
    # Each test file directly in the folder is a separate cell.
    for name in sorted({Path(*file.parts[:2]).as_posix() for file in files} - {"tests/devices"}):
        yield f"{name}, float64", partial(suite, s, "float64", name)


def suite(s: argparse.Namespace, dtype: str, *arguments: str) -> list[dict]:
    """Run tests on the device and return the numbers of passed and failed tests."""
    command = [sys.executable, "-m", "pytest", "-q", *arguments, "--device", str(s.device)]
    if importlib.util.find_spec("xdist") and not s.quick:
        command += ["-n", "8"]
    done = subprocess.run(
        [*command, "--dtype", dtype], cwd=ROOT, capture_output=True, text=True, timeout=s.left()
    )
    print(done.stdout[-3000:], flush=True)
    summary = done.stdout.strip().rpartition("\n")[2]
    counts = {name: int(n) for n, name in re.findall(r"(\d+) (passed|failed|error)", summary)}
    if not counts.get("passed"):
        raise RuntimeError(f"no test passed: {done.stdout[-500:]}{done.stderr[-500:]}")
    failed = counts.get("failed", 0) + counts.get("error", 0)
    failures = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return [
        row(arguments[0], dtype, "tests passed", counts["passed"]),
        judged(arguments[0], dtype, "tests failed", failed, 0) | {"note": "; ".join(failures)},
    ]


# ---------------------------------------------------------------- results on GPU and CPU

MODELS: dict[str, Any] = {
    "MIGEEncoder": MIGEEncoder(8, max_epochs=2, random_state=0),
    "MIGEEncoder, bottleneck": MIGEEncoder(8, mode="ib", max_epochs=2, random_state=0),
    "MIGEEncoder, implicit head": MIGEEncoder(
        8, mode=InformationBottleneck(head="implicit"), max_epochs=2, random_state=0
    ),
    "SSGEScoreEstimator": SSGEScoreEstimator(),
    "SSGEScoreEstimator, landmarks": SSGEScoreEstimator(n_landmarks=100, random_state=0),
}
GRADIENTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "I(x; z), ridge": lambda x, z: info.mutual_info_surrogate(x, z, score=RIDGE),
    "I(x; z), cut": lambda x, z: info.mutual_info_surrogate(x, z, score=CUT),
    "I(h; z), ridge": lambda x, z: info.hidden_mutual_info_surrogate(x, z, score=RIDGE),
    "two views, ridge": lambda x, z: info.multiview_mutual_info_surrogate(
        z.reshape(2, -1, z.shape[1]), score=RIDGE
    ),
    "implicit head": lambda x, z: info.stochastic_mutual_info_surrogate(
        z.reshape(16, -1, z.shape[1])
    ),
    "Gaussian head": lambda x, z: info.gaussian_mutual_info(z, z.square() + 0.1),
}
LIMITS = {torch.float32: 1e-3, torch.float64: 1e-6}


def transfer(s: argparse.Namespace) -> Cells:
    """Yield comparisons of results on the device and on the CPU."""
    for name in list(MODELS)[:: 3 if s.quick else 1]:
        yield f"stored, {name}", partial(stored, s, name)
    for dtype in LIMITS:
        yield f"gradients, {dtype}", partial(gradients, s, dtype)
    yield "training", partial(trained, s)
    yield "compiled surrogate", partial(compiled_surrogate, s)
    yield "compiled encoder", partial(compiled_encoder, s)
    yield "deterministic", partial(deterministic, s)


def digits(s: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    n = 200 if s.quick else len(X)
    return (X[:n] / 16).astype(np.float32), y[:n]


def stored(s: argparse.Namespace, name: str) -> list[dict]:
    """Fit on the device, and load each format in a process without a GPU."""
    X, y = digits(s)
    X = X if name.startswith("MIGE") else X[:, 18:22] + 0.01 * np.arange(len(X))[:, None] / len(X)
    model = MODELS[name].set_params(device=str(s.device)).fit(X, y)
    expected = model.transform(X)
    rows = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        np.save(folder / "X.npy", X)
        (folder / "model.pickle").write_bytes(pickle.dumps(model))
        if importlib.util.find_spec("skops"):
            import skops.io

            skops.io.dump(model, folder / "model.skops")
        if importlib.util.find_spec("safetensors") and name.startswith("MIGE"):
            from safetensors.torch import save_file

            save_file(model.module_.state_dict(), folder / "model.safetensors")
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
        subprocess.run([sys.executable, __file__, "--load", made], check=True, env=environment)
        for path in sorted(folder.glob("*.result.npy")):
            kind = path.name.partition(".")[0]
            apart = difference(np.load(path), expected)
            rows.append(judged(name, f"{kind}, on the CPU", "relative difference", apart, 1e-4))
    there = pickle.loads(pickle.dumps(model.set_params(device="cpu")))
    back = pickle.loads(pickle.dumps(there.set_params(device=str(s.device))))
    apart = difference(back.transform(X), expected)
    return [*rows, judged(name, "pickle, back", "relative difference", apart, 1e-6)]


def load(folder: Path) -> None:
    """Load the stored models on the CPU, and store their results."""
    X = np.load(folder / "X.npy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the stored device is missing here
        model = pickle.loads((folder / "model.pickle").read_bytes()).set_params(device="cpu")
        np.save(folder / "pickle.result.npy", model.transform(X))
        if (path := folder / "model.skops").exists():
            import skops.io

            loaded = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
            np.save(folder / "skops.result.npy", loaded.set_params(device="cpu").transform(X))
        if (path := folder / "model.safetensors").exists():
            from safetensors.torch import load_file

            model.module_.load_state_dict(load_file(path))
            np.save(folder / "safetensors.result.npy", model.transform(X))


def samples(s: argparse.Namespace, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return x (M, 3072) and z (M, 64) on the CPU, with z a function of x and noise."""
    m, d = (64, 4) if s.quick else (256, 64)
    x, noise = (torch.randn(m, k, generator=torch.Generator().manual_seed(k)) for k in (3072, d))
    return x.to(dtype), (x[:, :d] + 0.5 * noise).to(dtype)


def gradient(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor) -> Tensor:
    z = z.clone().requires_grad_()
    return torch.autograd.grad(function(x, z), z)[0]


def gradients(s: argparse.Namespace, dtype: torch.dtype) -> list[dict]:
    """Compare gradients on the device with gradients in float64 on the CPU."""
    x, z = samples(s, dtype)
    return [
        judged(name, str(dtype), "relative difference",
               difference(gradient(function, x.to(s.device), z.to(s.device)),
                          gradient(function, x.double(), z.double())), LIMITS[dtype])
        for name, function in GRADIENTS.items()
    ]  # fmt: skip


def trained(s: argparse.Namespace) -> list[dict]:
    """Compare accuracies after training on the CPU, on the device and in bfloat16."""
    X, y = digits(s)
    half = len(X) // 2
    options = {"CPU": ("cpu", False), "device": (str(s.device), False),
               "device, bfloat16": (str(s.device), True)}  # fmt: skip
    accuracies = {}
    for name, (device, mixed) in options.items():
        model = MIGEEncoder(16, max_epochs=2 if s.quick else 30, device=device,
                            mixed_precision=mixed, random_state=0).fit(X[:half])  # fmt: skip
        probe = LogisticRegression(max_iter=2000).fit(model.transform(X[:half]), y[:half])
        accuracies[name] = 100 * probe.score(model.transform(X[half:]), y[half:])
    rows = [row("digits", name, "accuracy (%)", value) for name, value in accuracies.items()]
    apart = max(abs(value - accuracies["CPU"]) for value in accuracies.values())
    limit = 2.0 if not s.quick else 100.0
    return [*rows, judged("digits", "all", "points between accuracies", apart, limit)]


def compiled_surrogate(s: argparse.Namespace) -> list[dict]:
    """Compare the compiled surrogate with the plain surrogate, in result and time."""
    x, z = (part.to(s.device) for part in samples(s, torch.float32))
    plain = GRADIENTS["I(x; z), ridge"]
    return compared(s, "surrogate, torch.compile",
                    partial(gradient, plain, x, z),
                    partial(gradient, torch.compile(plain, **backend(s)), x, z))  # fmt: skip


def compiled_encoder(s: argparse.Namespace) -> list[dict]:
    """Compare the compiled encoder of Deep InfoMax with the plain encoder."""
    torch.random.default_generator.manual_seed(0)
    encoder: torch.nn.Module = ConvEncoder(SHAPE, 64).to(s.device).eval()
    compiled: Any = torch.compile(encoder, **backend(s))
    x = torch.rand(8 if s.quick else 256, *SHAPE).to(s.device)
    with torch.no_grad():
        return compared(s, "encoder, torch.compile", partial(encoder, x), partial(compiled, x))


def backend(s: argparse.Namespace) -> dict[str, str]:
    return {"backend": "eager"} if s.quick else {}


def compared(
    s: argparse.Namespace,
    name: str,
    plain: Callable[[], Tensor],
    fast: Callable[[], Tensor],
    limit: float = 5e-3,
) -> list[dict]:
    """Return the difference of the results of two functions, and the ratio of their times."""
    apart = difference(fast(), plain())
    both = {"plain": waited(s.device, plain), "fast": waited(s.device, fast)}
    times = in_turns(both, s.turns)
    return [
        judged("batch 256", name, "relative difference", apart, limit),
        row("batch 256", name, "times the plain time", median_ratio(times["fast"], times["plain"])),
    ]


def deterministic(s: argparse.Namespace) -> list[dict]:
    """Compare two fits with torch's deterministic algorithms, bit by bit."""
    X, y = digits(s)
    torch.use_deterministic_algorithms(True)
    rows = []
    try:
        for name in list(MODELS)[: 1 if s.quick else 3]:
            model = MODELS[name].set_params(device=str(s.device))
            first, second = (model.fit(X, y).transform(X) for _ in range(2))
            different = float(np.mean(first != second))
            rows.append(judged(name, "deterministic", "fraction of unequal values", different, 0))
    finally:
        torch.use_deterministic_algorithms(False)
    return rows


# ---------------------------------------------------------------- a step, and images a second


def measured(s: argparse.Namespace) -> argparse.Namespace:
    """Return the options for ``device_cost``."""
    small = {"batch": 64, "images": 128, "turns": 1} if s.quick else {}
    return argparse.Namespace(**{"batch": 256, "images": 51_200, "turns": s.turns} | small)


def step_parts(s: argparse.Namespace) -> Cells:
    """Yield linear algebra, steps, waits in a step, and a CUDA graph of the scores."""
    yield "linear algebra", lambda: list(solvers(measured(s), s.device))
    yield "steps", lambda: list(steps(measured(s), s.device))
    yield "waits", partial(waits, s)
    yield "graph", partial(graph, s)


def waits(s: argparse.Namespace) -> list[dict]:
    """Count the operations of a step that wait for the device, as torch reports them."""
    rows = []
    for name in ("MIGE, ridge", "MIGE, cut", "infoNCE", "no information"):
        # The step ends with another wait, which torch does not report.
        one = step(s.device, measured(s).batch, name, False)
        one()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if s.device.type == "cuda":
                torch.cuda.set_sync_debug_mode("warn")
            one()
            if s.device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")
        found = [w for w in caught if "synchronizing" in str(w.message)]
        places = sorted({f"{Path(w.filename).name}:{w.lineno}" for w in found})
        limit = 1 if name == "MIGE, cut" else 0  # an eigendecomposition is checked by the processor
        rows.append(judged(f"batch {measured(s).batch}", name, "waits in a step", len(found), limit)
                    | {"note": "; ".join(places)})  # fmt: skip
    return rows


def graph(s: argparse.Namespace) -> list[dict]:
    """Capture the gradient of information in a CUDA graph, and compare results on other samples."""
    x, z = (part.to(s.device) for part in samples(s, torch.float32))
    z.requires_grad_()

    def score_part() -> Tensor:
        return torch.autograd.grad(info.mutual_info_surrogate(x, z, score=RIDGE), z)[0]

    replay = captured(score_part) if s.device.type == "cuda" else score_part
    with torch.no_grad():  # the graph reads its inputs at the same addresses
        x.copy_(x.flip(0) * 1.5)
        z.copy_(z.roll(1, 0) + 0.1)
    return compared(s, "scores and surrogate, CUDA graph", score_part, replay, 1e-5)


def captured(function: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Return a function that replays a CUDA graph of the given function."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        result = function()

    def replay() -> Tensor:
        recorded.replay()
        return result

    return replay


def throughput(s: argparse.Namespace) -> Cells:
    """Yield images per second in both precisions, with and without augmentation."""
    for mixed, augmented in ((False, False), (False, True), (True, False), (True, True)):
        if not s.quick or (mixed == augmented):
            name = f"images a second, bfloat16 {mixed}, augmented {augmented}"
            yield name, lambda m=mixed, a=augmented: list(epochs_of(measured(s), s.device, m, a))


# ---------------------------------------------------------------- score estimates


def scores(s: argparse.Namespace) -> Cells:
    """Yield dense fits, batches of small problems, and streams over landmarks."""
    for m in (64, 128) if s.quick else (1024, 2048, 4096, 8192, 16384):
        yield f"dense, M={m}", partial(dense, s, m)
    yield "batched", partial(batched, s)
    for n in (2_000, 4_000) if s.quick else (1_000_000, 10_000_000):
        yield f"landmarks, n={n}", partial(landmarks, s, n)


def against_floors(s: argparse.Namespace, dataset: str, z: Tensor, turns: int) -> list[dict]:
    """Compare the time of ssge with that of its products and one decomposition."""

    wide = z.double()
    kernel = rbf_kernel(squared_distances(wide), z.shape[-1] ** 0.5)
    kernel.diagonal(dim1=-2, dim2=-1).add_(1e-2 * z.shape[-2])
    single = kernel.to(z.dtype)

    def by_eigh() -> tuple[Tensor, Tensor]:
        values, u = torch.linalg.eigh(kernel)
        return z @ z.mT, u @ ((u.mT @ (kernel @ wide)) / values[..., None])

    def by_cholesky() -> tuple[Tensor, Tensor]:
        factor = torch.linalg.cholesky_ex(single)[0]
        return z @ z.mT, torch.cholesky_solve(z, factor)

    functions: dict[str, Callable[[], Any]] = {
        "floor, Cholesky": by_cholesky, "ssge, Cholesky": lambda: RIDGE(z),
        "floor, eigh": by_eigh, "ssge, eigh": lambda: CUT(z),
    }  # fmt: skip
    if z.ndim == 2:
        X = z.cpu().numpy()
        model = SSGEScoreEstimator(device=str(s.device))
        functions["SSGEScoreEstimator, default"] = lambda: model.fit_transform(X)
    times = in_turns({name: waited(s.device, f) for name, f in functions.items()}, turns)
    rows = [row(dataset, name, "milliseconds", 1e3 * statistics.median(seconds))
            for name, seconds in times.items()]  # fmt: skip
    for name in [name for name in times if not name.startswith("floor")]:
        floor = "floor, Cholesky" if name == "ssge, Cholesky" else "floor, eigh"
        rows.append(
            judged(dataset, name, "times the floor", median_ratio(times[name], times[floor]), 2)
        )
    return rows


def dense(s: argparse.Namespace, m: int) -> list[dict]:
    """Compare dense estimates of M samples with the necessary operations, once for large M."""
    z = torch.randn(m, 64, generator=torch.Generator().manual_seed(0)).to(s.device)
    turns = max(1, min(s.turns, 8192 // m))
    return against_floors(s, f"M={m:,}, d=64", z, turns)


def batched(s: argparse.Namespace) -> list[dict]:
    """Compare 256 problems of 64 samples in 64 dimensions with the necessary operations."""
    shape = (4, 16, 8) if s.quick else (256, 64, 64)
    z = torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(s.device)
    return against_floors(s, f"shape {shape}", z, s.turns)


def landmarks(s: argparse.Namespace, n: int, m: int = 1000, size: int = 100_000) -> list[dict]:
    """Compare the time of a fit with landmarks to n rows with that of its kernel products."""
    m, size = (50, 1000) if s.quick else (m, size)
    generator = torch.Generator(s.device).manual_seed(0)
    part = torch.randn(size, 64, generator=generator, device=s.device)

    def stream() -> Iterator[Tensor]:
        for k in range(n // size):
            yield part.roll(k, 1) + 0.01 * k / (n / size)

    def floor() -> Tensor:
        centers, total = part[:m], torch.zeros(m, m, dtype=torch.float64, device=s.device)
        for rows in stream():
            kernel = rbf_kernel(squared_distances(rows, centers), 8.0).double()
            total += kernel.mT @ kernel
        return torch.linalg.eigh(total)[0]

    model = SSGEScoreEstimator(n_landmarks=m, random_state=0, device=str(s.device))
    functions = {"fit": lambda: model.fit_batches(stream()), "floor": floor}
    peaks = {}
    times = {}
    for name, function in functions.items():
        if s.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        waited(s.device, function)()
        times[name] = time.perf_counter() - start
        peaks[name] = torch.cuda.max_memory_allocated() if s.device.type == "cuda" else own_peak()
    dataset = f"n={n:,}, d=64, {m} landmarks"
    return [
        judged(dataset, "fit_batches", "seconds", times["fit"], 60),
        row(dataset, "fit_batches", "times the floor", times["fit"] / times["floor"]),
        row(dataset, "fit_batches", "peak memory / GB", peaks["fit"] / 1e9),
    ]


# ---------------------------------------------------------------- Tables 1 and 3


def training(s: argparse.Namespace) -> Cells:
    """Yield the two tables, which are finished when all networks are trained."""
    for table in ("table1", "table3"):
        yield table, partial(trained_table, s, table)


def commands(s: argparse.Namespace, table: str) -> list[list[str]]:
    """Return a command for each method and seed of Table 1 and each method of Table 3."""
    paper = ROOT / "examples" / "paper"
    sys.path.insert(0, str(paper))
    from table1 import ORDER
    from table3_training import METHODS

    common = [sys.executable, str(paper / f"{table}.py"), "--device", str(s.device)]
    common += ["--cells", str(s.folder / f"gpu-{table}.jsonl")]
    common += ["--output", str(s.folder / f"gpu-{table}.json")]
    common += ["--checkpoints", str(s.folder / "checkpoints")]
    common += ["--quick"] if s.quick else ["--epochs", "200"]
    if table == "table3":
        names = [name for name in METHODS if "K =" not in name][: 1 if s.quick else None]
        return [[*common, "--methods", name] for name in names]
    if s.quick:
        return [[*common, "--data", "tinyimagenet10", "--size", "32", "--methods", "MIGE"]]
    seeds = [(name, str(seed)) for seed in range(3) for name in ORDER]
    return [[*common, "--methods", name, "--seeds", seed] for name, seed in seeds]


def trained_table(s: argparse.Namespace, table: str) -> list[dict]:
    """Train networks in parallel, and raise if the time ends before all are trained."""

    def run(command: list[str]) -> None:
        name = " ".join(command[command.index("--methods") :])
        with (s.folder / "gpu-training.log").open("a") as log:
            subprocess.run(command, check=True, cwd=s.folder, stdout=log, stderr=log,
                           timeout=s.left())  # fmt: skip
        print(f"{table} {name}: finished", flush=True)

    with ThreadPoolExecutor(s.jobs) as pool:
        for finished in [pool.submit(run, command) for command in commands(s, table)]:
            finished.result()
    return []


def table_rows(s: argparse.Namespace) -> list[dict]:
    """Return the results of all trained networks, including those of unfinished tables."""
    rows = []
    for line in lines(s.folder / "gpu-table1.jsonl"):
        cell = line["cell"]
        for feature, value in line["accuracy"].items():
            rows.append(row(cell["dataset"], cell["method"], "accuracy (%)", value, feature=feature,
                            seed=cell["seed"], epochs=cell["epochs"],
                            seconds=line["seconds"]))  # fmt: skip
    for line in lines(s.folder / "gpu-table3.jsonl"):
        cell = line["cell"]
        rows.append(row("MNIST", cell["method"], "error (%)", line["error"], seed=cell["seed"],
                        epochs=cell["epochs"], seconds=line["seconds"]))  # fmt: skip
    return rows


# ---------------------------------------------------------------- cells that are finished

PARTS: dict[str, Callable[[argparse.Namespace], Cells]] = {
    "tests": tests, "transfer": transfer, "step": step_parts, "throughput": throughput,
    "scores": scores, "training": training,
}  # fmt: skip


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run_part(s: argparse.Namespace, part: str) -> bool:
    """Take the missing measurements of a part, and return whether the part is finished."""
    known = {(line["part"], line["cell"], line["card"]) for line in lines(s.cells)}
    complete = True
    for name, measure in PARTS[part](s):
        if (part, name, s.card) in known:
            continue
        if s.left() <= 0:
            print(f"{part}, {name}: not started, the time is over", flush=True)
            return False
        start = time.perf_counter()
        try:
            rows = measure()
        except Exception:  # continue with the other cells
            traceback.print_exc()
            complete = False
            continue
        seconds = round(time.perf_counter() - start, 2)
        line = {"part": part, "cell": name, "card": s.card, "seconds": seconds, "rows": rows,
                "finished": time.strftime("%Y-%m-%d %H:%M"),
                "command": s.command, "versions": versions(), "machine": machine()}  # fmt: skip
        with s.cells.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        print(f"{part}, {name}: {seconds} s", flush=True)
    return complete


def main() -> None:
    """Run the parts, and write all finished measurements."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--device", default=str(torch.accelerator.current_accelerator() or "cpu"))
    parser.add_argument("--quick", action="store_true", help="small sizes, to test the script")
    parser.add_argument("--minutes", type=float, default=9.0, help="latest start of a cell")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--jobs", type=int, default=6, help="networks trained at the same time")
    parser.add_argument("--folder", type=Path, default=PROGRESS, help="folder of finished cells")
    parser.add_argument("--output", type=Path, help="file of results")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    s = parser.parse_args()
    if s.load:
        load(s.load)
        return
    s.folder = s.folder.resolve()
    s.folder.mkdir(parents=True, exist_ok=True)
    s.device = torch.device(s.device)
    s.card = torch.cuda.get_device_name(s.device) if s.device.type == "cuda" else str(s.device)
    s.command = " ".join(["python benchmarks/gpu.py", *sys.argv[1:]])
    end = time.monotonic() + 60 * s.minutes
    s.left = lambda: end - time.monotonic()
    s.cells = s.folder / ("gpu-quick.jsonl" if s.quick else "gpu.jsonl")
    if s.output is None and (s.quick or s.device.type == "cpu"):
        s.output = s.cells.with_suffix(".json")  # docs/results has full results of a GPU
    if s.quick:
        s.turns = 1
    complete = [run_part(s, part) for part in s.part]
    finished = [line for line in lines(s.cells) if line["card"] == s.card]
    rows = [r | {"seconds": r["seconds"] or line["seconds"], "part": line["part"]}
            for line in finished for r in line["rows"]] + table_rows(s)  # fmt: skip
    columns = ["dataset", "method", "metric", "value", "target", "reached"]
    print_table(columns, [[_shown(r.get(column)) for column in columns] for r in rows])
    path = write("gpu", f"Measurements on {s.card}", s.command, rows, s.output)
    print("written to", path)
    sys.exit(0 if all(complete) else 1)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if math.isfinite(value) else str(value)
    return "" if value is None else str(value)


if __name__ == "__main__":
    main()
