"""Networks are float32, whatever torch's default dtype is."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from sk_mige import (
    Critic,
    InfoMax,
    InformationBottleneck,
    MIGEEncoder,
    NonLinearProbe,
    RandomProjectionSSGE,
    SlicedScoreMatching,
    Variational,
)
from sk_mige.training import WeightAveraging

from .conftest import small

X = np.random.default_rng(0).normal(size=(64, 64))
Y = np.arange(64) % 2
IMAGES: dict[str, Any] = {"encoder": "conv", "input_shape": (1, 8, 8)}


def encoder(mode: Any = "infomax", **parameters: Any) -> MIGEEncoder:
    return small(mode, **{"n_components": 2, "max_epochs": 2, **parameters})


def spread(code: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -code.z.var()


class Spread(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.goal = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, code: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (code.z.var() - self.goal).square()


def factory(width: int, k: int) -> nn.Module:
    return nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, k))


ESTIMATORS = {
    "infomax": encoder(),
    "projected": encoder(score_estimator=RandomProjectionSSGE(4)),
    "images": encoder(InfoMax(layer="conv"), **IMAGES, mixed_precision=True),
    "critic": encoder(InfoMax("jsd", prior_weight=0.1)),
    "critic of pairs": encoder(InfoMax(Critic("infonce", "concatenated"))),
    "critic of a layer": encoder(InfoMax("jsd", layer="hidden1")),
    "mine": encoder(InfoMax("mine"), callbacks=[WeightAveraging(0.9)]),
    "club": encoder(InformationBottleneck("club")),
    "views": encoder(InfoMax(n_views=2)),
    "factory": encoder(encoder=factory),
    "one draw": encoder(output="sample"),
    "a layer": encoder(output="hidden1"),
    "classes": encoder(InformationBottleneck(class_weight="balanced")),
    "values": encoder(InformationBottleneck(task="regression", max_information=50.0)),
    "implicit": encoder(InformationBottleneck(head="implicit")),
    "deterministic": encoder(InformationBottleneck(head="deterministic")),
    "variational": encoder(InformationBottleneck(Variational("learned"))),
    "own loss": encoder(spread),
    "own module": encoder(Spread()),
    "probe": NonLinearProbe(max_epochs=2, device="cpu", random_state=0),
    "sliced": SlicedScoreMatching(
        hidden_layer_sizes=(8,), max_epochs=2, device="cpu", random_state=0
    ),
}
estimators = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def answers(estimator: Any) -> list[np.ndarray]:
    names = ("transform", "predict", "predict_proba")
    return [getattr(estimator, name)(X) for name in names if hasattr(estimator, name)]


def floats(estimator: Any) -> set[torch.dtype]:
    net = getattr(estimator, "net_", None)
    parts = [getattr(estimator, "module_", None) or net.module_, getattr(net, "criterion_", None)]
    tensors = [t for p in parts if isinstance(p, nn.Module) for t in p.state_dict().values()]
    return {tensor.dtype for tensor in tensors if tensor.is_floating_point()}


@estimators
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
def test_networks_are_trained_in_float32(estimator: Any, dtype: torch.dtype) -> None:
    with default(dtype):
        fitted = clone(estimator).fit(X, Y)
        assert all(np.isfinite(answer).all() for answer in answers(fitted))
        assert torch.get_default_dtype() == dtype
    assert floats(fitted) == {torch.float32}


@estimators
def test_stored_networks_are_loaded_in_float32(estimator: Any) -> None:
    fitted = clone(estimator).fit(X, Y)
    stored = pickle.dumps(fitted)
    with default(torch.float64):
        loaded = pickle.loads(stored)
        found = answers(loaded)
    assert floats(loaded) == {torch.float32}
    for answer, known in zip(found, answers(fitted), strict=True):
        np.testing.assert_array_equal(answer, known)
