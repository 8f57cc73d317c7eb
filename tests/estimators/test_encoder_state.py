"""Fitted encoders travel: copies, pickles, joblib, skops; between machines with and without GPU."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone
from torch import nn

from sk_mige import MIGEEncoder, RandomProjectionSSGE

SMALL: dict[str, Any] = {
    "n_components": 3,
    "hidden_layer_sizes": (16,),
    "max_epochs": 2,
    "batch_size": 64,
    "device": "cpu",
    "random_state": 0,
}


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(150, 8))


@pytest.fixture(scope="module")
def y(X: np.ndarray) -> np.ndarray:
    return (X[:, 0] > 0).astype(int)


ENCODERS = {
    "infomax": MIGEEncoder(**SMALL),
    "projected": MIGEEncoder(**SMALL, score_estimator=RandomProjectionSSGE(n_components=2)),
    "classes": MIGEEncoder(mode="ib", **SMALL),
    "values": MIGEEncoder(mode="ib", task="regression", **SMALL),
}
encoders = pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)


@encoders
def test_copies_and_pickles_compute_the_same(
    encoder: MIGEEncoder, X: np.ndarray, y: np.ndarray, tmp_path: Path
) -> None:
    encoder = clone(encoder).fit(X, y)
    joblib.dump(encoder, tmp_path / "encoder.joblib")
    for other in (
        copy.deepcopy(encoder),
        pickle.loads(pickle.dumps(encoder)),
        joblib.load(tmp_path / "encoder.joblib"),
        joblib.load(tmp_path / "encoder.joblib", mmap_mode="r"),
    ):
        np.testing.assert_array_equal(other.transform(X), encoder.transform(X))
        if encoder.mode == "ib":
            np.testing.assert_array_equal(other.predict(X), encoder.predict(X))
        assert other.partial_fit(X, y).n_iter_ == 3


@encoders
def test_skops_stores_what_it_can_read_again(
    encoder: MIGEEncoder, X: np.ndarray, y: np.ndarray
) -> None:
    encoder = clone(encoder).fit(X, y)
    stored = skops.io.dumps(encoder)
    unknown = skops.io.get_untrusted_types(data=stored)
    assert all(name.startswith(("sk_mige.", "numpy.")) for name in unknown)
    loaded = skops.io.loads(stored, trusted=unknown)
    np.testing.assert_array_equal(loaded.transform(X), encoder.transform(X))


def test_pickle_holds_weights_but_neither_tensors_nor_data(X: np.ndarray) -> None:
    encoder = MIGEEncoder(**SMALL).fit(X)
    state = encoder.__getstate__()
    assert not {"net_", "module_"} & set(state)
    assert all(isinstance(w, np.ndarray) for w in state["_stored_weights"].values())
    small = len(pickle.dumps(encoder))
    large = len(pickle.dumps(MIGEEncoder(**SMALL).fit(np.tile(X, (40, 1)))))
    assert large < small + 500


def test_parameters_set_after_fit_do_not_break_the_pickle(X: np.ndarray) -> None:
    encoder = MIGEEncoder(**SMALL).fit(X)
    encoder.set_params(n_components=7, hidden_layer_sizes=(5, 5))
    loaded = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(loaded.transform(X), encoder.transform(X))


def test_fitted_on_a_gpu_loads_without_one(X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = MIGEEncoder(**SMALL).fit(X)
    expected = encoder.transform(X)
    encoder.device = "cuda"
    stored = pickle.dumps(encoder)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match=r"device='cuda', which this machine lacks"):
        loaded = pickle.loads(stored)
    np.testing.assert_array_equal(loaded.transform(X), expected)


def test_own_modules_travel_in_pickles(X: np.ndarray) -> None:
    encoder = MIGEEncoder(**SMALL, encoder=nn.Linear(8, 3)).fit(X)
    loaded = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(loaded.transform(X), encoder.transform(X))
    # Parameter and architecture are one object still: it is stored once.
    assert loaded.encoder is loaded._architecture.encoder


def test_loading_touches_no_global_state(
    X: np.ndarray, global_random_state_untouched: None
) -> None:
    pickle.loads(pickle.dumps(MIGEEncoder(**SMALL).fit(X)))


def test_unfitted_encoders_are_stored_as_they_are() -> None:
    encoder = pickle.loads(pickle.dumps(MIGEEncoder(5)))
    assert encoder.n_components == 5
    assert not hasattr(encoder, "module_")
