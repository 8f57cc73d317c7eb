"""Accuracy of bottlenecks and of other classifiers under adversarial attacks on MNIST.

The networks are those of bottleneck_trust.py, trained on eight digits. An attack changes each
pixel by at most ε, within 0 to 1. The attacks are:

- one step: the sign of the gradient, at one draw of the noise of z.
- PGD: 40 steps of the sign of the gradient, averaged over 12 new draws of the noise at each step.
  PGD runs once with the cross-entropy and once with the margin between logits. An image counts as
  correct only if the two attacks fail.
- transfer: PGD against the network without regularisation, of the same seed.
- squares: 200 random changes of squares. A change is kept if it reduces the margin between the
  predicted probabilities. The attack uses no gradients.

The result "all attacks" is the percentage of images that are classified correctly under every
attack.

    OMP_NUM_THREADS=1 python benchmarks/bottleneck_robustness.py

The results of each network are a line of docs/results/cells/bottleneck_robustness.jsonl. An
interrupted run continues after the last network.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from bottleneck_trust import CELLS as TUNED
from bottleneck_trust import NOVEL_DIGITS, best_strength, known_digits, trained
from report import RESULTS, row, write
from torch import Tensor
from torch.nn.functional import cross_entropy

from sk_mige import MIGEEncoder

CELLS = RESULTS / "cells" / "bottleneck_robustness.jsonl"
METHODS = ("Softmax", "Dropout", "DVB", "MIGE-IB")
LARGE_BETA = 0.1
EPSILONS = (0.05, 0.1)
# Epochs of bottleneck_trust.py.
EPOCHS = 10

Loss = Callable[[Tensor, Tensor], Tensor]


def log_odds(logits: Tensor, y: Tensor) -> Tensor:
    """Return the largest logit of a wrong class minus the logit of the true class."""
    true = logits.gather(-1, y[..., None])[..., 0]
    others = logits.scatter(-1, y[..., None], -torch.inf).amax(-1)
    return others - true


def of_mean_probability(logits: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy of the probabilities averaged over draws (S, M, C)."""
    return cross_entropy(logits.log_softmax(-1).logsumexp(0), y, reduction="sum")


def of_margin(logits: Tensor, y: Tensor) -> Tensor:
    """Return minus the margin, whose gradient is not 0 even if probabilities are 0 or 1."""
    return log_odds(logits, y.expand(len(logits), -1)).mean(0).sum()


LOSSES = (of_mean_probability, of_margin)
PGD = {"steps": 40, "draws": 12}


def gradient_attack(
    model: MIGEEncoder, X: Tensor, y: Tensor, epsilon: float, loss: Loss, *, steps: int, draws: int
) -> Tensor:
    """Return images moved along the sign of the gradient, averaged over draws of the noise."""
    generator = torch.Generator().manual_seed(0)
    x = X.clone()
    if steps > 1:
        x += epsilon * (2 * torch.rand(X.shape, generator=generator) - 1)
    size = epsilon if steps == 1 else epsilon / 8
    model.module_.eval()
    for _ in range(steps):
        x = x.clamp(0, 1).requires_grad_()
        noise = torch.randn(draws, model.n_components, generator=generator)
        (gradient,) = torch.autograd.grad(loss(model.module_.predictions(x, noise), y), x)
        moved = x.detach() + size * gradient.sign()
        x = X + (moved - X).clamp(-epsilon, epsilon)
    return x.clamp(0, 1).detach()


def square_attack(
    model: MIGEEncoder, X: Tensor, y: Tensor, epsilon: float, queries: int = 200
) -> Tensor:
    """Return images after random changes of squares that reduce the margin."""
    rng = np.random.default_rng(0)

    def margin(x: Tensor) -> Tensor:
        log_p = np.log(model.predict_proba(x.numpy()).clip(1e-12))
        return log_odds(torch.from_numpy(log_p), y)

    stripes = torch.from_numpy(rng.choice([-epsilon, epsilon], (len(X), 1, 28))).float()
    best = (X.view(-1, 28, 28) + stripes).clamp(0, 1)
    value = margin(best.flatten(1))
    for query in range(queries):
        side = max(1, round(28 * (0.4 * (1 - query / queries)) ** 1.5))
        tried = best.clone()
        for image, corner in enumerate(rng.integers(0, 29 - side, (len(X), 2))):
            part = np.s_[image, corner[0] : corner[0] + side, corner[1] : corner[1] + side]
            tried[part] = X.view(-1, 28, 28)[part] + float(rng.choice([-epsilon, epsilon]))
        tried.clamp_(0, 1)
        found = margin(tried.flatten(1))
        better = found > value
        best[better], value[better] = tried[better], found[better]
    return best.flatten(1)


@cache
def attacked_images(seed: int, images: int) -> tuple[Tensor, Tensor, MIGEEncoder]:
    """Return test images, the indices of their classes, and the network without regularisation."""
    X, y = known_digits("test", seed)
    plain = trained("Softmax", None, EPOCHS, seed)
    index = np.searchsorted(plain.classes_, y[:images])
    return torch.from_numpy(X[:images]), torch.from_numpy(index), plain


@cache
def transfers(seed: int, images: int, epsilon: float) -> list[Tensor]:
    """Return adversarial images of the network without regularisation by PGD."""
    X, y, plain = attacked_images(seed, images)
    return [gradient_attack(plain, X, y, epsilon, loss, **PGD) for loss in LOSSES]


def attacks(
    model: MIGEEncoder, X: Tensor, y: Tensor, epsilon: float
) -> Iterator[tuple[str, Tensor]]:
    """Yield the name of each attack and the attacked images. Two attacks have the name "PGD"."""
    yield "one step", gradient_attack(model, X, y, epsilon, LOSSES[0], steps=1, draws=1)
    for loss in LOSSES:
        yield "PGD", gradient_attack(model, X, y, epsilon, loss, **PGD)
    yield "squares", square_attack(model, X, y, epsilon)


def measure(cell: dict[str, Any], images: int) -> dict[str, Any]:
    """Return the accuracies of one network in percent, clean and under attack."""
    seed = cell["seed"]
    X, y, _ = attacked_images(seed, images)
    model = trained(cell["method"], cell["strength"], EPOCHS, seed)

    def resists(x: Tensor) -> np.ndarray:
        return model.predict(x.numpy()) == model.classes_[y.numpy()]

    clean = resists(X)
    accuracy = {"clean": float(100 * clean.mean())}
    for epsilon in EPSILONS:
        kept = {}
        made = list(attacks(model, X, y, epsilon))
        if cell["method"] != "Softmax":
            made += [("transfer", x) for x in transfers(seed, images, epsilon)]
        for name, x in made:
            kept[name] = kept.get(name, clean) & resists(x)
        kept["all attacks"] = np.logical_and.reduce(list(kept.values()))
        accuracy |= {f"{name}, ε = {epsilon}": float(100 * k.mean()) for name, k in kept.items()}
    return {"cell": cell, "accuracy": accuracy}


def cells() -> Iterator[dict[str, Any]]:
    """Yield the networks to be measured, including bottlenecks with MIGE at a second, larger β."""
    results = [json.loads(line) for line in TUNED.read_text(encoding="utf-8").splitlines()]
    for seed in NOVEL_DIGITS:
        for name in METHODS:
            strengths = [best_strength(name, results)]
            if name == "MIGE-IB":
                strengths.append(LARGE_BETA)
            for strength in strengths:
                yield {"method": name, "strength": strength, "seed": seed, "epochs": EPOCHS}


def main() -> None:
    """Measure the missing networks, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=200, help="number of attacked images")
    options = parser.parse_args()
    lines = CELLS.read_text(encoding="utf-8").splitlines() if CELLS.exists() else []
    results = [json.loads(line) for line in lines]
    known = [result["cell"] for result in results]
    for cell in cells():
        if cell in known:
            continue
        results.append(measure(cell, options.images))
        with CELLS.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(results[-1], ensure_ascii=False) + "\n")
        print(results[-1], flush=True)
    rows = []
    for result in results:
        cell = result["cell"]
        name = (
            cell["method"] if cell["strength"] is None else f"{cell['method']}, {cell['strength']}"
        )
        for attack, accuracy in result["accuracy"].items():
            rows.append(
                row("MNIST, eight digits", name, "accuracy (%)", accuracy, feature=attack,
                    seed=cell["seed"], epochs=cell["epochs"])
            )  # fmt: skip
    command = "python benchmarks/bottleneck_robustness.py"
    print(write("bottleneck_robustness", "Accuracy under attacks", command, rows))


if __name__ == "__main__":
    main()
