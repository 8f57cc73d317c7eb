"""Chunks of rows: their size in transform, and the memory of predictions and dense fits."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from sk_mige import (
    MIGEEncoder,
    NonLinearProbe,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
    WeightedKNNClassifier,
)
from sk_mige.estimators import _score_base
from sk_mige.networks import evaluation

SMALL: dict[str, Any] = {"max_epochs": 1, "device": "cpu", "random_state": 0}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"hidden_layer_sizes": (8,)}, [640, 160]),
        ({"hidden_layer_sizes": (8, 128)}, [320, 320, 160]),
        ({"encoder": "conv", "input_shape": (1, 8, 8)}, [256, 256, 256, 32]),
    ],
    ids=["narrow", "wide", "images"],
)
def test_chunks_hold_so_many_values(
    parameters: dict[str, Any], expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    X = np.random.default_rng(0).normal(size=(800, 64))
    encoder = MIGEEncoder(2, **parameters, **SMALL).fit(X[:32])
    whole = encoder.transform(X)
    sizes: list[int] = []
    encoder.module_.register_forward_pre_hook(lambda _module, rows: sizes.append(len(rows[0])))
    for limit in ("CHUNK_VALUES", "CPU_CHUNK_VALUES"):
        monkeypatch.setattr(evaluation, limit, 640 * 64)
    np.testing.assert_allclose(encoder.transform(X), whole, rtol=1e-4, atol=1e-5)
    assert sizes == expected


@pytest.mark.parametrize(
    "model",
    [
        WeightedKNNClassifier(5),
        NonLinearProbe(8, **SMALL),
        MIGEEncoder(2, mode="ib", hidden_layer_sizes=(8,), **SMALL),
    ],
    ids=lambda model: type(model).__name__,
)
def test_predictions_need_less_memory_than_the_probabilities_of_all_classes(model: Any) -> None:
    X, y = np.random.default_rng(0).normal(size=(6000, 4)), np.arange(6000) % 1000
    probabilities = model.fit(X, y).predict_proba(X)
    tracemalloc.start()
    found = model.predict(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < probabilities.nbytes / 2
    np.testing.assert_array_equal(found, model.classes_[probabilities.argmax(1)])


@pytest.mark.parametrize(
    "model",
    [
        SSGEScoreEstimator(n_landmarks=None),
        SSGEScoreEstimatorCV(n_landmarks=None, cv=2),
        SteinScoreEstimator(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_dense_fits_to_many_rows_are_warned_of(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.default_rng(0).normal(size=(50, 1))
    model.fit(X)
    monkeypatch.setattr(_score_base, "LARGEST_DENSE_ROWS", 49)
    with pytest.warns(UserWarning, match="a dense fit to 50 rows needs about 0 GB"):
        model.fit(X)
