"""Copies and stored files of encoders: pickle, joblib, skops, with and without a GPU."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone
from torch import nn

from sk_mige import (
    Critic,
    InfoMax,
    InformationBottleneck,
    MIGEEncoder,
    RandomProjectionSSGE,
    Variational,
    VICReg,
)

from .conftest import small

ENCODERS = {
    "infomax": small(),
    "projected": small(score_estimator=RandomProjectionSSGE(n_components=2)),
    "critic": small(InfoMax(Critic("infonce", "cosine"), n_views=2, prior_weight=0.1)),
    "views": small(InfoMax(VICReg(covariance=2.0), n_views=3)),
    "classes": small("ib"),
    "values": small(InformationBottleneck(task="regression")),
    "learned prior": small(InformationBottleneck(Variational("learned"), max_information=50.0)),
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
        if hasattr(encoder, "predict"):
            np.testing.assert_array_equal(other.predict(X), encoder.predict(X))
        assert other.partial_fit(X, y).n_iter_ == 4


@encoders
def test_skops_stores_encoders_without_types_of_other_packages(
    encoder: MIGEEncoder, X: np.ndarray, y: np.ndarray
) -> None:
    encoder = clone(encoder).fit(X, y)
    stored = skops.io.dumps(encoder)
    unknown = skops.io.get_untrusted_types(data=stored)
    assert all(name.startswith(("sk_mige.", "numpy.")) for name in unknown)
    loaded = skops.io.loads(stored, trusted=unknown)
    np.testing.assert_array_equal(loaded.transform(X), encoder.transform(X))


def test_pickle_holds_weights_but_neither_tensors_nor_data(X: np.ndarray) -> None:
    encoder = small().fit(X)
    state = encoder.__getstate__()
    assert not {"net_", "module_"} & set(state)
    assert all(isinstance(w, np.ndarray) for w in state["_stored_weights"].values())
    few = len(pickle.dumps(encoder))
    many = len(pickle.dumps(small().fit(np.tile(X, (40, 1)))))
    assert many < few + 500


def test_parameters_set_after_fit_do_not_break_the_pickle(X: np.ndarray) -> None:
    encoder = small().fit(X)
    encoder.set_params(n_components=7, hidden_layer_sizes=(5, 5))
    loaded = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(loaded.transform(X), encoder.transform(X))


def test_fitted_on_a_gpu_loads_without_one(X: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = small().fit(X)
    expected = encoder.transform(X)
    encoder.device = "cuda"
    stored = pickle.dumps(encoder)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match=r"device='cuda', which is not available"):
        loaded = pickle.loads(stored)
    np.testing.assert_array_equal(loaded.transform(X), expected)


def test_own_modules_are_stored_in_pickles(X: np.ndarray) -> None:
    encoder = small(encoder=nn.Linear(8, 3)).fit(X)
    loaded = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(loaded.transform(X), encoder.transform(X))
    # Parameter and architecture share one module, so the module is stored once.
    assert loaded.encoder is loaded._architecture.encoder


def test_loading_touches_no_global_state(
    X: np.ndarray, global_random_state_untouched: None
) -> None:
    pickle.loads(pickle.dumps(small().fit(X)))


def test_unfitted_encoders_are_stored_as_they_are() -> None:
    encoder = pickle.loads(pickle.dumps(MIGEEncoder(5)))
    assert encoder.n_components == 5
    assert not hasattr(encoder, "module_")


def test_objectives_are_copied_compared_and_shown_by_their_parameters() -> None:
    mode = InformationBottleneck(Critic("jsd"), beta=0.1)
    assert repr(mode) == "InformationBottleneck(beta=0.1, information=Critic(bound='jsd'))"
    for other in (clone(mode), copy.deepcopy(mode), pickle.loads(pickle.dumps(mode))):
        assert repr(other) == repr(mode)
        assert other.information is not mode.information
    encoder = clone(MIGEEncoder(mode=mode))
    assert encoder.mode is not mode
    assert encoder.get_params()["mode__information__bound"] == "jsd"
