"""Encoders in several threads: one that all of them read, and one that trains meanwhile."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from sk_mige import MIGEEncoder, NonLinearProbe, SlicedScoreMatching
from sk_mige.training import seeded

SMALL: dict[str, Any] = {"max_epochs": 1, "device": "cpu", "random_state": 0}


@pytest.mark.parametrize("output", ["hidden1", "Y", None])
def test_threads_read_a_layer_each_for_its_own_rows(output: str | None) -> None:
    rng = np.random.default_rng(0)
    encoder = MIGEEncoder(
        2, hidden_layer_sizes=(64,), max_epochs=1, output=output, device="cpu", random_state=0
    ).fit(rng.normal(size=(100, 8)))
    # All of one size: only their values tell whose they are.
    parts = rng.normal(size=(8, 200, 8))
    alone = [encoder.transform(part) for part in parts]

    def agree(k: int) -> bool:
        return all(np.array_equal(encoder.transform(parts[k]), alone[k]) for _ in range(40))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(agree, range(8)))


KINDS: dict[str, Any] = {
    "perceptron": MIGEEncoder(2, hidden_layer_sizes=(8,), **SMALL),
    "images": MIGEEncoder(2, encoder="conv", input_shape=(1, 8, 8), **SMALL),
    "module": MIGEEncoder(2, encoder=nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 2)), **SMALL),
    "function": MIGEEncoder(2, encoder=nn.Linear, **SMALL),
    "critic": MIGEEncoder(2, mi_estimator="jsd", prior_weight=0.1, **SMALL),
    "critic of pairs": MIGEEncoder(
        2, mi_estimator="mine", critic="concatenated", feature_layer="hidden1", **SMALL
    ),
    "club": MIGEEncoder(2, mode="ib", mi_estimator="club", **SMALL),
    "classes": MIGEEncoder(2, mode="ib", **SMALL),
    "implicit": MIGEEncoder(2, mode="ib", head="implicit", **SMALL),
    "learned marginal": MIGEEncoder(
        2, mode="ib", mi_estimator="variational", marginal="learned", **SMALL
    ),
    "probe": NonLinearProbe(8, **SMALL),
    "sliced": SlicedScoreMatching(hidden_layer_sizes=(8,), **SMALL),
}


def stored(kind: str) -> bytes:
    X = np.random.default_rng(0).normal(size=(32, 64))
    return pickle.dumps(clone(KINDS[kind]).fit(X, np.arange(32) % 2))


@pytest.mark.parametrize("kind", KINDS)
def test_loading_draws_nothing_from_the_global_generators(
    kind: str, global_random_state_untouched: None
) -> None:
    pickle.loads(stored(kind))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "function"])
def test_loading_does_not_wait_for_another_threads_training(kind: str) -> None:
    pickled = stored(kind)
    with ThreadPoolExecutor(1) as pool, seeded(0, torch.device("cpu")):
        before = torch.get_rng_state()
        pool.submit(pickle.loads, pickled).result(timeout=60)
        assert torch.equal(torch.get_rng_state(), before)
