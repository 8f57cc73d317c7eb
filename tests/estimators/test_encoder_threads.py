"""Encoders in several threads of Python, and in several threads of torch."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from torch import nn

from sk_mige import (
    Critic,
    InfoMax,
    InformationBottleneck,
    MIGEEncoder,
    NonLinearProbe,
    SlicedScoreMatching,
    Variational,
)
from sk_mige.networks import Code
from sk_mige.training.device import seeded

SMALL: dict[str, Any] = {"max_epochs": 1, "device": "cpu", "random_state": 0}


@pytest.mark.parametrize("output", ["hidden1", "Y", None])
def test_each_thread_gets_the_layers_output_for_its_own_rows(output: str | None) -> None:
    rng = np.random.default_rng(0)
    encoder = MIGEEncoder(
        2, hidden_layer_sizes=(64,), max_epochs=1, output=output, device="cpu", random_state=0
    ).fit(rng.normal(size=(100, 8)))
    # Equal sizes, so that only the values differ.
    parts = rng.normal(size=(8, 200, 8))
    alone = [encoder.transform(part) for part in parts]

    def agree(k: int) -> bool:
        return all(np.array_equal(encoder.transform(parts[k]), alone[k]) for _ in range(40))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(agree, range(8)))


def square(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return code.z.square().mean()


class Scaled(nn.Module):
    """A loss with parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Linear(2, 1)

    def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.scale(code.z).square().mean()


KINDS: dict[str, Any] = {
    "perceptron": MIGEEncoder(2, hidden_layer_sizes=(8,), **SMALL),
    "images": MIGEEncoder(2, encoder="conv", input_shape=(1, 8, 8), **SMALL),
    "module": MIGEEncoder(2, encoder=nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 2)), **SMALL),
    "function": MIGEEncoder(2, encoder=nn.Linear, **SMALL),
    "critic": MIGEEncoder(2, mode=InfoMax("jsd", prior_weight=0.1), **SMALL),
    "critic of pairs": MIGEEncoder(
        2, mode=InfoMax(Critic("mine", "concatenated"), layer="hidden1"), **SMALL
    ),
    "club": MIGEEncoder(2, mode=InformationBottleneck("club"), **SMALL),
    "classes": MIGEEncoder(2, mode="ib", **SMALL),
    "implicit": MIGEEncoder(2, mode=InformationBottleneck(head="implicit"), **SMALL),
    "learned marginal": MIGEEncoder(2, mode=InformationBottleneck(Variational("learned")), **SMALL),
    "own loss": MIGEEncoder(2, mode=square, **SMALL),
    "own module": MIGEEncoder(2, mode=Scaled(), **SMALL),
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
def test_loading_does_not_wait_for_the_training_of_another_thread(kind: str) -> None:
    pickled = stored(kind)
    with ThreadPoolExecutor(1) as pool, seeded(0, torch.device("cpu")):
        before = torch.get_rng_state()
        pool.submit(pickle.loads, pickled).result(timeout=60)
        assert torch.equal(torch.get_rng_state(), before)


def results(estimator: Any, n_threads: int) -> np.ndarray:
    """Return what an estimator computes after a fit in this number of torch's threads."""
    X, y = load_digits(return_X_y=True)
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        estimator.fit(X, y)
        return getattr(estimator, "predict_proba", getattr(estimator, "transform", None))(X)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "estimator",
    [
        MIGEEncoder(16, **SMALL),
        MIGEEncoder(16, mode=InfoMax("jsd"), **SMALL),
        MIGEEncoder(16, mode="ib", **SMALL),
        MIGEEncoder(16, mode=InformationBottleneck(head="implicit"), **SMALL),
        NonLinearProbe(1024, **SMALL),
    ],
    ids=["infomax", "critic", "bottleneck", "implicit", "probe"],
)
def test_results_do_not_depend_on_the_number_of_torch_threads(estimator: Any) -> None:
    np.testing.assert_array_equal(results(estimator, 1), results(estimator, 2))


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_parallel_search_equals_a_serial_search(backend: str) -> None:
    X, y = load_digits(return_X_y=True)
    search = GridSearchCV(MIGEEncoder(8, mode="ib", **SMALL), {"lr": [1e-3, 1e-2]}, cv=2)
    serial = clone(search).fit(X, y).cv_results_["mean_test_score"]
    with parallel_config(backend, n_jobs=2):
        parallel = clone(search).fit(X, y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(parallel, serial)
