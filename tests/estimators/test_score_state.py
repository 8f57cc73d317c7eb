"""Fitted score estimators are stored as NumPy arrays by pickle, joblib and skops."""

from __future__ import annotations

import copy
import pickle
import pickletools
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone

from sk_mige import (
    RandomProjectionSSGE,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
)

CV: dict[str, Any] = {"bandwidth_factors": (1.0,), "bases": ("student",), "cv": 2}
ESTIMATORS = {
    "dense": SSGEScoreEstimator(),
    "landmarks": SSGEScoreEstimator(n_landmarks=20, random_state=0),
    "curl-free": SSGEScoreEstimator(curl_free=True),
    "projected": RandomProjectionSSGE(2, random_state=0),
    "cross-validated": SSGEScoreEstimatorCV(**CV),
    "stein": SteinScoreEstimator(),
    "sliced": SlicedScoreMatching(hidden_layer_sizes=(8,), max_epochs=1, random_state=0),
}
estimators = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(60, 4))


@estimators
def test_every_way_of_storing_keeps_the_scores(
    estimator: Any, X: np.ndarray, tmp_path: Path
) -> None:
    estimator = clone(estimator).fit(X)
    path = tmp_path / "estimator.joblib"
    joblib.dump(estimator, path)
    stored = skops.io.dumps(estimator)
    unknown = skops.io.get_untrusted_types(data=stored)
    assert all(name.startswith("sk_mige.") for name in unknown)
    for other in (
        copy.deepcopy(estimator),
        pickle.loads(pickle.dumps(estimator)),
        joblib.load(path),
        joblib.load(path, mmap_mode="r"),
        skops.io.loads(stored, trusted=unknown),
    ):
        np.testing.assert_array_equal(other.transform(X), estimator.transform(X))
        assert other.score(X) == estimator.score(X)


def torch_names(stored: bytes) -> list[str]:
    words = [word for _, word, _ in pickletools.genops(stored) if isinstance(word, str)]
    return [word for word in words if word.split(".")[0] == "torch"]


@estimators
def test_a_pickle_names_no_torch(estimator: Any, X: np.ndarray) -> None:
    assert not torch_names(pickle.dumps(clone(estimator).fit(X)))


@pytest.mark.parametrize("curl_free", [False, True])
def test_a_pickle_of_a_stream_names_no_torch(curl_free: bool, X: np.ndarray) -> None:
    estimator = SSGEScoreEstimator(n_landmarks=10, curl_free=curl_free, random_state=0)
    assert not torch_names(pickle.dumps(estimator.partial_fit(X)))


def test_streams_go_on_after_a_pickle(X: np.ndarray) -> None:
    estimator = SSGEScoreEstimator(n_landmarks=10, random_state=0).partial_fit(X[:30])
    loaded = pickle.loads(pickle.dumps(estimator))
    expected = estimator.partial_fit(X[30:]).transform(X)
    np.testing.assert_array_equal(loaded.partial_fit(X[30:]).transform(X), expected)


@pytest.mark.parametrize("name", ["dense", "sliced"])
def test_fitted_on_a_gpu_loads_without_one(
    name: str, X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = clone(ESTIMATORS[name]).fit(X)
    expected = estimator.transform(X)
    stored = pickle.dumps(estimator.set_params(device="cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    warned = pytest.warns(UserWarning, match="device='cuda', which is not available")
    with warned if name == "sliced" else nullcontext():
        loaded = pickle.loads(stored)
    np.testing.assert_array_equal(loaded.transform(X), expected)


def test_a_network_holds_no_data_but_landmarks_are_rows(X: np.ndarray) -> None:
    network = pickle.dumps(clone(ESTIMATORS["sliced"]).fit(X))
    assert not any(row.tobytes() in network for row in X)
    landmarks = clone(ESTIMATORS["landmarks"]).fit(X).centers_
    assert all(np.isclose(row, X, atol=1e-9).all(1).any() for row in landmarks)


def test_parameters_set_after_fit_do_not_break_the_pickle(X: np.ndarray) -> None:
    estimator = clone(ESTIMATORS["sliced"]).fit(X)
    loaded = pickle.loads(pickle.dumps(estimator.set_params(hidden_layer_sizes=(3, 3))))
    np.testing.assert_array_equal(loaded.transform(X), estimator.transform(X))
