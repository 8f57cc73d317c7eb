"""Rows of integers are converted batch by batch, not as a whole."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sk_mige import MIGEEncoder, NonLinearProbe
from sk_mige.estimators._rows import check_rows, to_rows
from sk_mige.training.data import resident

from .conftest import small

ESTIMATORS = {
    "infomax": small(n_components=2, max_epochs=1, batch_size=256),
    "ib": small("ib", n_components=2, max_epochs=1, batch_size=256),
    "probe": NonLinearProbe(8, max_epochs=1, device="cpu", random_state=0),
}
estimators = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)


@pytest.fixture
def mapped(tmp_path: Path) -> Callable[[Any], np.ndarray]:
    def stored(rows: np.ndarray) -> np.ndarray:
        np.save(tmp_path / "rows.npy", rows)
        return np.load(tmp_path / "rows.npy", mmap_mode="r")

    return stored


def answers(estimator: Any, X: np.ndarray) -> np.ndarray:
    name = "transform" if hasattr(estimator, "transform") else "predict_proba"
    return getattr(estimator, name)(X)


@estimators
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint16", ">i2", "int64", ">u4", "<u8"])
def test_integers_of_any_kind_are_taken_as_float32(estimator: Any, dtype: str) -> None:
    X = np.random.default_rng(0).integers(0, 100, size=(40, 6)).astype(dtype)
    y = np.arange(40) % 2
    found = answers(estimator.fit(X, y), X)
    same = X.astype(np.float32)
    np.testing.assert_array_equal(answers(estimator.fit(same, y), same), found)


@estimators
def test_memory_maps_of_bytes_give_what_their_float32_rows_give(
    estimator: Any, mapped: Callable[[Any], np.ndarray]
) -> None:
    X = np.random.default_rng(0).integers(0, 256, size=(40, 6), dtype=np.uint8)
    y = np.arange(40) % 2
    found = answers(estimator.fit(mapped(X), y), mapped(X))
    same = X.astype(np.float32)
    np.testing.assert_array_equal(answers(estimator.fit(same, y), same), found)


def test_validated_memory_maps_stay_on_disk(mapped: Callable[[Any], np.ndarray]) -> None:
    rows = to_rows(check_rows(MIGEEncoder(), mapped(np.eye(40)), reset=True))
    assert resident(rows, torch.device("meta")) is rows
    assert resident(rows, torch.device("cpu")) is rows


@estimators
def test_memory_maps_of_bytes_are_never_copied_as_a_whole(
    estimator: Any, mapped: Callable[[Any], np.ndarray]
) -> None:
    X = mapped(np.random.default_rng(0).integers(0, 256, size=(12_000, 500), dtype=np.uint8))
    estimator.fit(X[:40], np.arange(40) % 2)  # what is imported at first does not count
    tracemalloc.start()
    try:
        estimator.fit(X, np.arange(len(X)) % 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 2
