"""Fitted estimators are stored by pickle and skops, and loaded estimators compute the same."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone
from torch import nn

import sk_mige
from sk_mige import MIGEEncoder
from sk_mige.estimators._stored import to_stored, to_tensors
from sk_mige.networks import MLPEncoder
from sk_mige.score import Matern

X = np.random.default_rng(0).normal(size=(200, 4))
Y = np.arange(200) % 2
SHORT: dict[str, Any] = {"max_epochs": 1, "device": "cpu", "random_state": 0}
CPU = torch.device("cpu")

ESTIMATORS = {
    "encoder": MIGEEncoder(2, **SHORT),
    "bottleneck": MIGEEncoder(2, mode="ib", **SHORT),
    "encoder of a function": MIGEEncoder(2, encoder=partial(MLPEncoder, dropout=0.1), **SHORT),
    "probe": sk_mige.NonLinearProbe(**SHORT),
    "neighbours": sk_mige.WeightedKNNClassifier(),
    "channel": sk_mige.MutualInfoGradientEstimator(random_state=0),
    "ssge": sk_mige.SSGEScoreEstimator(),
    "projection": sk_mige.RandomProjectionSSGE(2, random_state=0),
    "cv": sk_mige.SSGEScoreEstimatorCV(cv=2),
    "matern": sk_mige.SSGEScoreEstimator(kernel=Matern(nu=1.5)),
    "stein": sk_mige.SteinScoreEstimator(),
    "thinning": sk_mige.SteinThinning(5),
    "sliced": sk_mige.SlicedScoreMatching(**SHORT),
}


def through_skops(estimator: Any) -> Any:
    stored = skops.io.dumps(estimator)
    unknown = skops.io.get_untrusted_types(data=stored)
    assert all(name.startswith(("sk_mige.", "functools.")) for name in unknown)
    return skops.io.loads(stored, trusted=unknown)


def results(estimator: Any) -> list[Any]:
    methods = ("transform", "predict", "predict_proba")
    found = [getattr(estimator, name)(X) for name in methods if hasattr(estimator, name)]
    if isinstance(estimator, sk_mige.SteinThinning):
        return [estimator.select(X)]
    return found or [estimator.gradient_]


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), through_skops])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_stored_estimator_computes_the_same(name: str, copied: Callable[[Any], Any]) -> None:
    estimator = clone(ESTIMATORS[name]).fit(X, Y)
    for found, expected in zip(results(copied(estimator)), results(estimator), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_modules_and_tables_of_a_model_are_stored_without_tensors() -> None:
    frozen = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)).requires_grad_(False).eval()
    model = {"networks": (frozen, nn.Linear(4, 2)), "table": {(0, 1): torch.ones(2)}}
    stored = skops.io.dumps(to_stored(model))
    unknown = skops.io.get_untrusted_types(data=stored)
    loaded = to_tensors(skops.io.loads(stored, trusted=unknown), CPU)
    x = torch.as_tensor(X, dtype=torch.float32)
    for own, other in zip(model["networks"], loaded["networks"], strict=True):
        assert torch.equal(own(x), other(x))
    assert [p.requires_grad for part in loaded["networks"] for p in part.parameters()] == (
        [False] * 4 + [True] * 2
    )
    assert torch.equal(loaded["table"][0, 1], torch.ones(2))
