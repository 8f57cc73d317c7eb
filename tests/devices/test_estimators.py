"""Estimators compute on every device, with all options, and their results move to the CPU."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from torch import nn
from torch.optim.lr_scheduler import StepLR

from sk_mige import (
    MIGE,
    Critic,
    InfoMax,
    MIGEEncoder,
    NonLinearProbe,
    RandomProjectionSSGE,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
    Variational,
)
from sk_mige import InformationBottleneck as IB
from sk_mige.networks import Code
from sk_mige.objectives.views import VIEWS
from sk_mige.training import (
    BetaWarmup,
    Checkpoint,
    ExponentialDecay,
    ImageAugmentation,
    WeightAveraging,
)

SCORES = {
    "dense": SSGEScoreEstimator(),
    "published": SSGEScoreEstimator(eigen_threshold=0.99, alpha=0.0, whiten=False, base=None),
    "landmarks": SSGEScoreEstimator(n_landmarks=20, random_state=0),
    "curl-free": SSGEScoreEstimator(curl_free=True),
    "projected": RandomProjectionSSGE(2, random_state=0),
    "cross-validated": SSGEScoreEstimatorCV(bandwidth_factors=(0.5, 1.0), cv=2),
    "stein": SteinScoreEstimator(),
    "sliced": SlicedScoreMatching(hidden_layer_sizes=(8,), max_epochs=1, random_state=0),
}
SMALL: dict[str, Any] = {
    "n_components": 3, "hidden_layer_sizes": (16,), "max_epochs": 2, "batch_size": 50,
    "random_state": 0,
}  # fmt: skip
CONV: dict[str, Any] = {
    "encoder": "conv", "input_shape": (1, 8, 8), "max_epochs": 1, "hidden_layer_sizes": (512, 512),
}  # fmt: skip


def spread(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (code.z.square().mean(0) - 1).square().sum()


class Reconstruction(nn.Module):
    """A loss with parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.Linear(3, 64)

    def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (self.decoder(code.z) - x).square().mean()


ENCODERS: dict[str, dict[str, Any]] = {
    "default": {},
    "published": {"score_estimator": SSGEScoreEstimator(eigen_threshold=0.99)},
    "projected": {"score_estimator": RandomProjectionSSGE(4, random_state=0)},
    "bfloat16": {"mixed_precision": True},
    "two views": {"mode": InfoMax(n_views=2, augmentation=lambda x: x + 0.1 * torch.randn_like(x))},
    "critic of two views": {"mode": InfoMax(Critic("infonce", "cosine"), n_views=2)},
    **{name: {"mode": InfoMax(name, n_views=3)} for name in sorted(VIEWS)},
    "augmented": CONV | {"mode": InfoMax(augmentation=ImageAugmentation(blur=0.5), n_views=2)},
    "averaged": {"callbacks": [WeightAveraging(0.9)], "lr_schedule": ExponentialDecay(0.97)},
    "schedule of torch": {"lr_schedule": partial(StepLR, step_size=1)},
    "convolutions": CONV,
    "hidden layer": CONV | {"mode": InfoMax(layer="conv")},
    "patches": CONV | {"mode": InfoMax(layer="conv", local=True)},
    "JSD": CONV | {"mode": InfoMax(Critic("jsd", "concatenated"), layer="conv")},
    "InfoNCE and prior": {"mode": InfoMax("infonce", prior_weight=1.0)},
    "MINE": {"mode": InfoMax("mine")},
    "bottleneck": {"mode": "ib"},
    "bottleneck, bfloat16": {"mode": "ib", "mixed_precision": True},
    "implicit head": {"mode": IB(head="implicit")},
    "score of a Gaussian": {"mode": IB(MIGE(conditional="score"))},
    "deterministic head": {"mode": IB(head="deterministic", beta=0.0, label_smoothing=0.1)},
    "limit": {"mode": IB(max_information=50.0), "callbacks": [BetaWarmup(1)]},
    "variational": {"mode": IB(Variational("learned"))},
    "MINE-IB": {"mode": IB("mine")},
    "regression": {"mode": IB(task="regression")},
    "class weights": {"mode": IB(class_weight="balanced")},
    "held-out rows": {"mode": "ib", "validation_fraction": 0.2},
    "own loss": {"mode": spread},
    "own module": {"mode": Reconstruction()},
}


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(100, 64)).astype(np.float32)


def on_cpu(fitted: Any) -> Any:
    """Return the same model on the CPU."""
    moved = clone(fitted)
    moved.__setstate__(fitted.__getstate__() | {"device": "cpu"})
    return moved


@pytest.mark.parametrize("name", SCORES)
def test_scores_on_the_device_and_on_the_cpu_are_equal(
    name: str, X: np.ndarray, device: torch.device
) -> None:
    X = X[:, :4]
    fitted = clone(SCORES[name]).set_params(device=str(device)).fit(X)
    here = on_cpu(fitted)
    np.testing.assert_allclose(here.transform(X), fitted.transform(X), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(here.score(X), fitted.score(X), rtol=1e-4)


def test_streamed_scores(X: np.ndarray, device: torch.device) -> None:
    estimator = SSGEScoreEstimator(n_landmarks=10, random_state=0, device=str(device))
    estimator.partial_fit(X[:50, :4]).partial_fit(X[50:, :4])
    np.testing.assert_allclose(
        on_cpu(estimator).transform(X[:, :4]), estimator.transform(X[:, :4]), rtol=1e-4
    )


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_are_trained_on_the_device_and_move_to_the_cpu(
    name: str, X: np.ndarray, device: torch.device
) -> None:
    parameters = ENCODERS[name]
    y = np.arange(100) % 3
    y = y + 0.5 if name == "regression" else y
    encoder = MIGEEncoder(**SMALL | parameters, device=str(device)).fit(X, y)
    Z = encoder.transform(X)
    assert np.isfinite(Z).all()
    assert Z.shape == (100, 3)
    assert next(encoder.module_.parameters()).device.type == device.type
    here = on_cpu(encoder)
    np.testing.assert_allclose(here.transform(X), Z, rtol=1e-4, atol=1e-5)
    if hasattr(encoder, "task_"):
        assert np.isfinite(here.predict(X)).all()
        assert np.isfinite(encoder.score(X, y))
    else:
        encoder.partial_fit(X)


@pytest.mark.skipif("config.getoption('device') == 'simulated'", reason="stores no tensors")
def test_an_interrupted_run_continues_on_the_device(
    X: np.ndarray, device: torch.device, tmp_path: Path
) -> None:
    path = tmp_path / "run.pt"
    encoder = MIGEEncoder(**SMALL, device=str(device), callbacks=[Checkpoint(path)])
    encoder.fit(X)
    longer = clone(encoder).set_params(max_epochs=3, callbacks=[Checkpoint(path)]).fit(X)
    assert len(longer.history_) == 3


def test_rows_in_any_memory_layout_are_read(X: np.ndarray, device: torch.device) -> None:
    small = (255 * (X - X.min()) / np.ptp(X)).astype(np.uint8)
    for rows in (X[::-1], X.T.copy().T, small):
        encoder = MIGEEncoder(**SMALL, device=str(device)).fit(rows)
        assert np.isfinite(encoder.transform(rows)).all()


@pytest.mark.parametrize("name", ["default", "JSD", "bottleneck"])
@pytest.mark.parametrize("where", ["cpu", "there"])
def test_torchs_default_device_has_no_effect(
    name: str, where: str, X: np.ndarray, device: torch.device
) -> None:
    chosen = "cpu" if where == "cpu" else str(device)
    models = [
        MIGEEncoder(**SMALL | ENCODERS[name], device=chosen),
        SSGEScoreEstimator(device=chosen),
    ]
    for model in models:
        rows = X if isinstance(model, MIGEEncoder) else X[:, :4]
        with torch.device(device):
            found = clone(model).fit(rows, np.arange(100) % 3).transform(rows)
        expected = clone(model).fit(rows, np.arange(100) % 3).transform(rows)
        if where == "cpu":
            np.testing.assert_array_equal(found, expected)
        else:
            assert np.isfinite(found).all()


def test_a_probe_is_trained_on_the_device(X: np.ndarray, device: torch.device) -> None:
    probe = NonLinearProbe(max_epochs=2, device=str(device), random_state=0)
    probe.fit(X, (X[:, 0] > 0).astype(int))
    assert np.isfinite(probe.predict_proba(X)).all()
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(probe.set_params(device="cpu"))).predict(X), probe.predict(X)
    )


@pytest.mark.parametrize("model", [SSGEScoreEstimator(), MIGEEncoder(**SMALL)])
def test_tensors_on_the_device_are_read_as_arrays(
    model: Any, X: np.ndarray, device: torch.device
) -> None:
    there = torch.as_tensor(X[:, :4], device=device).requires_grad_()
    model = clone(model).set_params(device="cpu")
    expected = model.fit(X[:, :4]).transform(X[:, :4])
    found = model.fit(there).transform(there)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("model", [SSGEScoreEstimator(), MIGEEncoder(**SMALL)])
def test_tensors_stay_on_the_device_under_dispatch(
    model: Any, X: np.ndarray, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # scikit-learn requires it
    there = torch.as_tensor(X[:, :4], device=device)
    with config_context(array_api_dispatch=True):
        found = clone(model).set_params(device=str(device)).fit(there).transform(there)
    assert found.device == there.device
    assert found.dtype == there.dtype
