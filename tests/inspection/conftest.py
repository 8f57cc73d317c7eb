"""Small fitted encoders, and a fixture that closes all figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from sk_mige import MIGEEncoder, RandomProjectionSSGE

SMALL: dict[str, Any] = {
    "n_components": 2,
    "hidden_layer_sizes": (8,),
    "max_epochs": 2,
    "batch_size": 64,
    "device": "cpu",
    "random_state": 0,
}


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(120, 6))


@pytest.fixture(scope="module")
def y(X: np.ndarray) -> np.ndarray:
    return (X[:, 0] > 0).astype(int)


@pytest.fixture(scope="module")
def encoder(X: np.ndarray) -> MIGEEncoder:
    return MIGEEncoder(**SMALL).fit(X)


@pytest.fixture(scope="module")
def bottlenecks(X: np.ndarray, y: np.ndarray) -> list[MIGEEncoder]:
    encoder = MIGEEncoder(**{**SMALL, "max_epochs": 30, "lr": 1e-2, "mode": "ib"})
    return [clone(encoder).set_params(mode__beta=beta).fit(X, y) for beta in (1e-3, 1.0)]


def searched(X: np.ndarray, y: np.ndarray, final: Any, **grid: list[Any]) -> GridSearchCV:
    encoder = MIGEEncoder(**SMALL, score_estimator=RandomProjectionSSGE())
    pipeline = Pipeline([("encode", encoder), ("final", final)])
    parameters = {f"encode__{name}": values for name, values in grid.items()}
    return GridSearchCV(pipeline, parameters, cv=2).fit(X, y)
