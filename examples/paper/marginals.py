"""Errors of estimators of the gradient of I(x; z) for Gaussian heads.

    python examples/paper/marginals.py

Batches have 100 inputs, and z = W x + σ ε has K = 2 ... 256 dimensions. The estimators differ in
their estimate of the entropy H(z). The bias is the relative error of the mean gradient with respect
to all log σ. The relative error of a single batch, and the ratio of the summed gradient to the
truth, are also measured. In every coordinate, the signal has about the same power as the noise. The
spectrum of the signal is isotropic, confined to 10 directions, or decaying like the spectrum of
images. In a fourth problem, the means form clusters around 10 distant centres, so the marginal is
not Gaussian. The estimator "classes" uses the index of the centre of each input.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor

import sk_mige
from sk_mige.information import gaussian_mutual_info, stochastic_mutual_info_surrogate

BATCH = 100
MARGINALS = ("gaussian", "classes", "whitened", "score", "stein", "mixture", "leave-one-out")
Means = tuple[Tensor, Tensor]


def signal(kind: str, k: int, generator: torch.Generator) -> Tensor:
    """Return a square root (n, k) of the covariance of the means, which has a diagonal of 1."""
    if kind == "isotropic":
        return torch.linalg.qr(torch.randn(k, k, generator=generator).double()).Q
    n = 10 if kind == "10 directions" else 300
    power = torch.ones(n) if kind == "10 directions" else torch.arange(1.0, n + 1) ** -1.5
    root = power.sqrt().double()[:, None] * torch.randn(n, k, generator=generator).double()
    return root / root.norm(dim=0)


def truth(root: Tensor, log_scale: Tensor) -> Tensor:
    """Return the gradient of ½ log det(RᵀR + Σ) − Σ log σ with respect to log σ."""
    covariance = root.mT @ root + (2 * log_scale).exp().diag()
    information = 0.5 * torch.logdet(covariance) - log_scale.sum()
    (gradient,) = torch.autograd.grad(information, log_scale)
    return gradient


def cluster_truth(
    centers: Tensor, root: Tensor, log_scale: Tensor, generator: torch.Generator
) -> Tensor:
    """Return the gradient for ten clusters of equal weight, from exact scores at 10,000 draws."""
    n, k = 10_000, len(log_scale)
    scale = log_scale.detach().exp()
    noise = torch.randn(n, k, generator=generator).double()
    spread = torch.randn(n, len(root), generator=generator).double() @ root
    z = centers[torch.arange(n) % len(centers)] + spread + scale * noise
    precision = torch.linalg.inv(root.mT @ root + scale.square().diag())
    pulls = (centers[:, None] - z) @ precision  # (10, n, k): score of each cluster
    weights = (-0.5 * (pulls * (centers[:, None] - z)).sum(-1)).softmax(0)
    score = (weights[..., None] * pulls).sum(0)
    return -(score * scale * noise).mean(0) - 1


def applicable(kind: str, k: int) -> list[str]:
    """Return the estimators for an encoder of the given kind and dimension."""
    return [
        marginal
        for marginal in MARGINALS
        if not (marginal == "whitened" and 3 * k > BATCH)
        and not (marginal == "classes" and kind != "10 clusters")
    ]


def measure(kind: str, k: int, n_batches: int) -> list[dict[str, object]]:
    """Return the errors of all estimators for one encoder, in the format of the results file."""
    generator = torch.Generator().manual_seed(k)
    log_scale = (0.3 * torch.randn(k, generator=generator)).double().requires_grad_()
    root = signal(kind if kind != "10 clusters" else "10 directions", k, generator)
    centers = 3 * torch.randn(10, k, generator=generator).double()
    if kind == "10 clusters":
        exact = cluster_truth(centers, root, log_scale, generator)
    else:
        exact = truth(root, log_scale)
    gradients: dict[str, list[Tensor]] = {marginal: [] for marginal in applicable(kind, k)}
    seconds = dict.fromkeys(MARGINALS, 0.0)
    for _ in range(n_batches):
        mean = torch.randn(BATCH, len(root), generator=generator).double() @ root
        if kind == "10 clusters":
            labels = torch.randint(0, 10, (BATCH,), generator=generator)
            mean = mean + centers[labels]
        noise = torch.randn(BATCH, k, generator=generator).double()
        for marginal in applicable(kind, k):
            start = time.perf_counter()
            scale = log_scale.exp()
            if marginal == "classes":
                surrogate = gaussian_mutual_info(mean, scale, labels=labels)
            else:
                surrogate = stochastic_mutual_info_surrogate(
                    mean + scale * noise, conditional=(mean, scale), marginal=marginal
                )
            gradients[marginal].append(torch.autograd.grad(surrogate, log_scale)[0])
            seconds[marginal] += (time.perf_counter() - start) / n_batches
    rows = []
    for marginal, found in gradients.items():
        stacked = torch.stack(found)
        mean_error = (stacked.mean(0) - exact).norm() / exact.norm()
        batch_error = ((stacked - exact).norm(dim=1) / exact.norm()).mean()
        ratio = stacked.mean(0).sum() / exact.sum()
        for metric, value in (
            ("error of the mean gradient (%)", 100 * mean_error),
            ("error of one batch (%)", 100 * batch_error),
            ("ratio to the truth", ratio),
        ):
            rows.append(
                {
                    "dataset": f"{kind}, K = {k}, batch of {BATCH}", "method": marginal,
                    "feature": "dI/dlog σ", "metric": metric, "value": round(float(value), 3),
                    "seed": 0, "epochs": None, "seconds": round(seconds[marginal], 5),
                    "paper": None,
                }
            )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).parents[2]
    parser.add_argument("--output", type=Path, default=root / "docs" / "results" / "marginals.json")
    parser.add_argument("--batches", type=int, default=50, help="batches to average over")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for kind in ("isotropic", "10 directions", "decaying", "10 clusters"):
        for k in (2, 8, 32, 128, 256):
            found = measure(kind, k, args.batches)
            rows += found
            shares = [
                f"{r['method']} {r['value']:.3g}" for r in found if "mean" in str(r["metric"])
            ]
            print(f"{kind:14} K = {k:3}  error of the mean gradient (%): {', '.join(shares)}")
    versions = {
        "python": platform.python_version(), "torch": torch.__version__,
        "numpy": np.__version__, "sk_mige": sk_mige.__version__,
    }  # fmt: skip
    document = {
        "command": "python examples/paper/marginals.py", "versions": versions,
        "machine": f"{platform.machine()}, {platform.system()}, one thread", "rows": rows,
    }  # fmt: skip
    args.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
