"""Networks are float32, whatever dtype torch makes tensors of by default."""

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

from sk_mige import MIGEEncoder, NonLinearProbe, RandomProjectionSSGE, SlicedScoreMatching

SMALL: dict[str, Any] = {"max_epochs": 2, "device": "cpu", "random_state": 0}
X = np.random.default_rng(0).normal(size=(64, 64))
Y = np.arange(64) % 2
IMAGES: dict[str, Any] = {"encoder": "conv", "input_shape": (1, 8, 8)}


def infomax(**parameters: Any) -> MIGEEncoder:
    return MIGEEncoder(2, **{**SMALL, "hidden_layer_sizes": (16,), **parameters})


def factory(width: int, k: int) -> nn.Module:
    return nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, k))


ESTIMATORS = {
    "infomax": infomax(),
    "projected": infomax(score_estimator=RandomProjectionSSGE(4)),
    "images": infomax(**IMAGES, feature_layer="conv", n_views=1, mixed_precision=True),
    "critic": infomax(mi_estimator="jsd", prior_weight=0.1),
    "critic of pairs": infomax(mi_estimator="infonce", critic="concatenated"),
    "critic of a layer": infomax(feature_layer="hidden1", mi_estimator="jsd"),
    "mine": infomax(mi_estimator="mine", weight_averaging=0.9),
    "club": infomax(mode="ib", mi_estimator="club"),
    "views": infomax(n_views=2),
    "factory": infomax(encoder=factory),
    "one draw": infomax(output="sample"),
    "a layer": infomax(output="hidden1"),
    "classes": infomax(mode="ib", class_weight="balanced"),
    "values": infomax(mode="ib", task="regression", max_information=1.0),
    "implicit": infomax(mode="ib", head="implicit"),
    "deterministic": infomax(mode="ib", head="deterministic"),
    "variational": infomax(mode="ib", mi_estimator="variational", marginal="learned"),
    "probe": NonLinearProbe(**SMALL),
    "sliced": SlicedScoreMatching(hidden_layer_sizes=(8,), **SMALL),
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
