"""Figure 1 of the paper, gradients of mutual information, and further panels.

    python examples/paper/figure1.py                 # every panel in small: under 2 minutes
    python examples/paper/figure1.py --full          # all repeats: some hours; may be interrupted

Panels:

- (a) dI/dρ and mutual information of correlated Gaussians with d = 5, 10, 20, as in the paper
- (b) relative errors of dI/dρ with d = 8, 16, 32
- (c) relative errors of dI/dρ at ρ = ±0.99
- (d) dI/dρ of non-Gaussian pairs
- (e) mutual information from 0.1 to 20 nats
- (f) processor time of MINE, divided by that of MIGE

The result of each method and repeat is a line of the file ``--cells``. An interrupted run continues
after the last line. Critics are trained as in the code of the paper's authors, by 200 steps of Adam
at 1e-4 for each ρ. The critics are separable, with 512 hidden units and embeddings of 128 values.
Critics are trained on new samples in each step, but MIGE uses one set of 256 or 1,000 samples. In
panel (e), critics are trained on the 4,000 samples of the score-based estimate, by up to 2,000
steps of Adam at 5e-4. Training stops early if the bound on held-out pairs no longer increases.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: the processes share the cores

import numpy as np
import torch
from figure1_problems import PROBLEMS, Problem
from figure1_report import draw, write_results
from score_value import score_based_value

from sk_mige.information import (
    SeparableCritic,
    fit_critic,
    make_bound,
    mutual_info_gradient,
)
from sk_mige.score import ssge

ROOT = Path(__file__).parents[2]
BOUNDS = {"MINE": "mine", "MINE-f": "mine-f", "InfoNCE": "infonce", "SMILE": "smile"}
# Panel (e): number of held-out samples among 4,000, and number of steps without improvement after
# which the training of a critic stops.
N_VALIDATION = 1024
PATIENCE_STEPS = 250
MIGE = ("exact scores", "MIGE as published", "MIGE")


def cells(full: bool) -> Iterator[dict[str, Any]]:
    """Yield the runs, which compute a curve for one method and one repeat."""

    def curves(
        panel: str, problem: str, dims: Any, methods: Any, seeds: int, rhos: Any, n: int = 256
    ) -> Iterator[dict[str, Any]]:
        for seed in range(seeds):
            for d in dims:
                for method in methods:
                    yield {
                        "panel": panel, "problem": problem, "d": d, "method": method,
                        "seed": seed, "rhos": np.round(rhos, 6).tolist(), "n": n,
                    }  # fmt: skip

    critics = ("MINE", "MINE-f")
    wide = np.linspace(-0.95, 0.95, 21 if full else 9)
    narrow = np.linspace(-0.8, 0.8, 32 if full else 16)
    half = np.linspace(0.1, 0.9, 9 if full else 3)
    repeats = 20 if full else 2
    others = [problem for problem in PROBLEMS if problem != "gaussian"]

    yield from curves("b", "gaussian", (8, 16, 32), MIGE, repeats, narrow)
    yield from curves("b", "gaussian", (8, 16, 32), MIGE[2:], 5 if full else 0, narrow, 1000)
    yield from curves("c", "gaussian", (20,), MIGE, repeats, [-0.99, 0.99], 1000)
    yield from curves("a", "gaussian", (5, 10, 20), MIGE[1:], repeats, wide)
    for problem in others:
        yield from curves("d", problem, (2, 10), MIGE[1:], 10 if full else 1, half)
    for problem in ("gaussian", "rotated", "rotated cubic") if full else ("gaussian",):
        yield from value_cells(problem, "score-based", 10 if full else 1, full)
        yield from value_cells(problem, "score-based, no margins", 3 if full else 0, full)
    yield from curves(
        "b", "gaussian", (8, 16, 32), critics, 2 if full else 1, narrow[:: 1 if full else 15]
    )
    yield from curves("f", "gaussian", (8, 16, 32) if full else (16,), ["MINE"], 1, narrow)
    for method in ("InfoNCE", "MINE", "MINE-f", "SMILE"):
        yield from value_cells("gaussian", method, 1, full)
    for problem in others:
        dims = (2, 10) if full else (10,)
        yield from curves("d", problem, dims, (*critics, "InfoNCE"), 1, half if full else half[1:])
    yield from curves("a", "gaussian", (5, 10, 20), critics, 20 if full else 1, wide[::2])


def value_cells(problem: str, method: str, seeds: int, full: bool) -> Iterator[dict[str, Any]]:
    """Yield the runs of panel (e), with 4,000 samples in 20 dimensions."""
    information = (0.1, 0.5, 1, 2, 5, 10, 20) if full else (0.5, 5, 20)
    rhos = np.sqrt(-np.expm1(-2 * np.asarray(information) / 20)).round(9).tolist()
    for seed in range(seeds):
        yield {
            "panel": "e", "problem": problem, "d": 20, "method": method, "seed": seed,
            "rhos": rhos, "n": 4000, "steps": 2000 if full else 300,
        }  # fmt: skip


def measure(cell: dict[str, Any]) -> dict[str, Any]:
    """Return the gradients along the curve, and the values if the method has values."""
    torch.set_num_threads(1)
    problem = PROBLEMS[cell["problem"]](cell["d"])
    if cell["panel"] == "f":
        return {"cell": cell, "ratios": [times_slower(cell, problem, k) for k in range(3)]}
    start = time.perf_counter()
    points = [point(cell, problem, rho, k) for k, rho in enumerate(cell["rhos"])]
    seconds = time.perf_counter() - start
    return {
        "cell": cell,
        "gradient": [None if g is None else float(g) for g, _ in points],
        "value": [None if v is None else float(v) for _, v in points],
        "true_gradient": [problem.slope(rho) for rho in cell["rhos"]],
        "true_value": [problem.information(rho) for rho in cell["rhos"]],
        "seconds": seconds,
    }


def times_slower(cell: dict[str, Any], problem: Problem, turn: int) -> float:
    """Return the processor time of a curve, divided by that of MIGE."""
    seconds = {}
    for method, step in (("MIGE", 1), (cell["method"], 16)):  # two points of a critic's curve
        rhos = cell["rhos"][turn::step]
        start = time.process_time()
        for k, rho in enumerate(rhos):
            point({**cell, "method": method}, problem, rho, k)
        seconds[method] = (time.process_time() - start) / len(rhos)
    return seconds[cell["method"]] / seconds["MIGE"]


def point(
    cell: dict[str, Any], problem: Problem, rho: float, k: int
) -> tuple[float | None, float | None]:
    """Return gradient and value at one ρ, from the same samples for all methods."""
    seed = [cell["seed"], k, cell["d"]]
    x, y, dy = problem.sample(rho, cell["n"], np.random.default_rng(seed))
    method, panel = cell["method"], cell["panel"]
    if method in BOUNDS:
        return critic_point(cell, problem, rho, seed, (x, y, dy))
    if panel == "e":
        return None, score_based_value(x, y, margins="no margins" not in method)
    if method == "exact scores":
        return problem.exact_gradient(rho, x, y, dy), None
    if method == "MIGE as published":
        options: dict[str, Any] = {"score": ssge, "margins": None, "joint": "coordinates"}
        return mutual_info_gradient(x, y, dy, standard_error="batch", **options).gradient, None
    value = score_based_value(x, y, n_landmarks=100) if panel == "a" else None
    return mutual_info_gradient(x, y, dy, standard_error="batch").gradient, value


def critic_point(
    cell: dict[str, Any], problem: Problem, rho: float, seed: list[int], samples: Any
) -> tuple[float, float]:
    """Train a new critic, and return derivative and value of its bound on the common samples."""
    rng = np.random.default_rng([1, *seed])
    x, y, dy = (torch.from_numpy(part).float() for part in samples)
    scale_x, scale_y = x.std(0), y.std(0)  # cubes have a large scale
    values_only = cell["panel"] == "e"
    steps = cell.get("steps", 200)

    def batches(steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(steps):
            if values_only:  # the samples of the score-based estimate
                rows = torch.from_numpy(rng.choice(len(x) - N_VALIDATION, 256, replace=False))
                yield x[rows] / scale_x, y[rows] / scale_y
            else:
                fresh = problem.sample(rho, 256, rng)[:2]
                u, v = (torch.from_numpy(part).float() for part in fresh)
                yield u / scale_x, v / scale_y

    bound = make_bound(BOUNDS[cell["method"]])
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(int(rng.integers(2**31)))
        critic = SeparableCritic(cell["d"], cell["d"], n_embedding=128)
    if values_only:
        held = [x[-N_VALIDATION:] / scale_x, y[-N_VALIDATION:] / scale_y]
        train_with_early_stopping(critic, bound, batches, held, cell)
        fresh = [torch.from_numpy(p).float() for p in problem.sample(rho, 1024, rng)[:2]]
        fresh = [fresh[0] / scale_x, fresh[1] / scale_y]
        return float("nan"), mean_bound(critic, fresh, cell)
    fit_critic(critic, bound, batches(steps), learning_rate=1e-4)
    evaluated = make_bound(BOUNDS[cell["method"]])
    shift = torch.zeros((), requires_grad=True)
    estimate = evaluated(critic(x / scale_x, (y + shift * dy) / scale_y))
    (gradient,) = torch.autograd.grad(estimate.objective, shift)
    return float(gradient), float(estimate.value)


def mean_bound(critic: torch.nn.Module, pairs: list[torch.Tensor], cell: dict[str, Any]) -> float:
    """Return the mean of the bound over batches of 256."""
    bound = make_bound(BOUNDS[cell["method"]])
    with torch.no_grad():
        batches = zip(pairs[0].split(256), pairs[1].split(256), strict=True)
        parts = [bound(critic(u, v)).value for u, v in batches]
    return float(torch.stack(parts).mean())


def train_with_early_stopping(
    critic: torch.nn.Module,
    bound: Any,
    batches: Any,
    held: list[torch.Tensor],
    cell: dict[str, Any],
) -> None:
    """Train a critic, and keep the weights with the best bound on held-out pairs."""
    best, weights, last_gain = -np.inf, copy.deepcopy(critic.state_dict()), 0
    for step in range(PATIENCE_STEPS // 5, cell["steps"] + 1, PATIENCE_STEPS // 5):
        fit_critic(critic, bound, batches(PATIENCE_STEPS // 5), learning_rate=5e-4)
        value = mean_bound(critic, held, cell)
        if value > best:
            best, weights, last_gain = value, copy.deepcopy(critic.state_dict()), step
        if step - last_gain >= PATIENCE_STEPS:
            break
    critic.load_state_dict(weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="all repeats, as in the documentation")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--cells", type=Path, help="file of finished cells, which are skipped")
    parser.add_argument("--output", type=Path, help="file of results; pictures in its folder")
    args = parser.parse_args()
    name = "figure1" if args.full else "figure1-quick"
    folder = ROOT / "docs" / "results" if args.full else Path()
    output = args.output or folder / f"{name}.json"
    images = ROOT / "docs" / "images" if args.full and not args.output else output.parent
    path = args.cells or output.with_suffix(".jsonl")
    if not args.full:
        path.unlink(missing_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    finished = {json.dumps(json.loads(line)["cell"]): json.loads(line) for line in lines}
    wanted = [json.dumps(cell) for cell in cells(args.full)]
    todo = [json.loads(key) for key in wanted if key not in finished]
    print(f"{len(wanted) - len(todo)} of {len(wanted)} cells are finished")
    start = time.perf_counter()
    with ProcessPoolExecutor(args.jobs) as pool, path.open("a") as stream:
        for done, future in enumerate(as_completed(pool.submit(measure, cell) for cell in todo), 1):
            result = future.result()
            stream.write(json.dumps(result) + "\n")
            stream.flush()
            finished[json.dumps(result["cell"])] = result
            if done % 20 == 0 or done == len(todo):
                print(f"{done} of {len(todo)} cells in {time.perf_counter() - start:.0f} s")
    results = [finished[key] for key in wanted]
    command = "python examples/paper/figure1.py" + (" --full" if args.full else "")
    write_results(results, output, command)
    draw(results, images / f"{name}.png", images / f"{name}-values.png")


if __name__ == "__main__":
    main()
