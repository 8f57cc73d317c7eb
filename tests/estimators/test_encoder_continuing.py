"""What may be set between two calls that train one encoder, and what is refused by name."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from sk_mige import MIGEEncoder, SSGEScoreEstimator
from sk_mige.estimators import _encoder_continuing

SMALL: dict[str, Any] = {
    "n_components": 3,
    "hidden_layer_sizes": (16,),
    "max_epochs": 1,
    "batch_size": 64,
    "device": "cpu",
    "random_state": 0,
    "warm_start": True,
}


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(150, 8))


@pytest.fixture(scope="module")
def y(X: np.ndarray) -> np.ndarray:
    return (X[:, 0] > 0).astype(int)


def jitter(batch: torch.Tensor) -> torch.Tensor:
    return batch + 0.1 * torch.randn_like(batch)


def linear(n_features: int, n_outputs: int) -> nn.Module:
    return nn.Linear(n_features, n_outputs)


class Note(Callback):
    """Counts the epochs that it has seen."""

    def initialize(self) -> Note:
        self.epochs_ = 0
        return self

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self.epochs_ += 1
        net.history.record("noted", self.epochs_)


def named(value: Any) -> str:
    """Parameters by their names: a function's own text differs from process to process."""
    return "-".join(value) if isinstance(value, dict) else "refused"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 4}, "n_components=4 instead of 3"),
        ({"hidden_layer_sizes": (8, 8)}, r"hidden_layer_sizes=\(8, 8\) instead of \(16,\)"),
        ({"encoder": nn.Linear(8, 3)}, r"encoder=Linear\(.* instead of 'mlp'"),
        ({"encoder": linear}, "encoder=<.*function.* instead of 'mlp'"),
        ({"input_shape": (2, 4)}, r"input_shape=\(2, 4\) instead of None"),
        ({"output_scale": None}, "output_scale=None instead of 'input'"),
        ({"corruption": 0.5}, "corruption=0.5 instead of 0.3"),
        ({"augmentation": jitter}, "augmentation=<.* instead of None"),
        ({"n_views": 2}, "n_views=2 instead of 1"),
        ({"dropout": 0.1}, "dropout=0.1 instead of 0.0"),
        ({"feature_layer": "hidden1"}, "feature_layer='hidden1' instead of None"),
        ({"mixed_precision": True}, "mixed_precision=True instead of False"),
        ({"optimizer": "sgd"}, "optimizer='sgd' instead of 'adam'"),
        ({"distributed": True}, "distributed=True instead of False"),
        ({"mode": "ib"}, "mode='ib' instead of 'infomax'"),
        ({"corruption": 0.5, "dropout": 0.1}, "corruption=0.5 .*dropout=0.1 "),
    ],
    ids=named,
)
def test_what_the_network_cannot_follow_is_refused_and_taken_by_a_fresh_fit(
    parameters: dict[str, Any], message: str, X: np.ndarray, y: np.ndarray
) -> None:
    encoder = MIGEEncoder(**SMALL).fit(X)
    before = encoder.transform(X)
    encoder.set_params(**parameters)
    for continued in (encoder.fit, encoder.partial_fit):
        with pytest.raises(ValueError, match=f"{message}.*fit with warm_start=False"):
            continued(X, y)
    np.testing.assert_array_equal(encoder.transform(X), before)
    assert encoder.set_params(warm_start=False).fit(X, y).n_iter_ == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"head": "deterministic"}, "head='deterministic' instead of 'gaussian'"),
        ({"n_training_samples": 4}, "n_training_samples=4 .*4 draws instead of 1"),
        ({"conditional": "score"}, "conditional='score' .16 draws instead of 1"),
        ({"task": "regression"}, "task='regression' instead of 'classification'"),
        ({"mode": "infomax"}, "mode='infomax' instead of 'ib'"),
    ],
    ids=named,
)
def test_a_bottlenecks_form_is_refused_alike(
    parameters: dict[str, Any], message: str, X: np.ndarray, y: np.ndarray
) -> None:
    encoder = MIGEEncoder(mode="ib", **SMALL).fit(X, y).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        encoder.fit(X, y)
    assert encoder.set_params(warm_start=False).fit(X, y).n_iter_ == 1


def test_what_the_objective_and_the_optimizer_read_may_change(X: np.ndarray, y: np.ndarray) -> None:
    encoder = MIGEEncoder(mode="ib", **SMALL).fit(X, y)
    encoder.set_params(
        lr=1e-4, batch_size=32, max_epochs=2, beta=0.1, x_scale=2.0, marginal="classes",
        class_weight={0: 1.0, 1: 2.0}, label_smoothing=0.1, confidence_penalty=0.1,
        score_estimator=SSGEScoreEstimator(), lr_schedule="constant", weight_averaging=0.9,
        validation_fraction=0.2, random_state=1, n_prediction_samples=0, task="classification",
    )  # fmt: skip
    assert encoder.fit(X, y).n_iter_ == 3
    assert encoder.net_.criterion_.beta == 0.1
    assert "valid_loss" in encoder.history_[-1]


def test_new_callbacks_count_from_the_next_call_on_and_old_ones_keep_what_they_know(
    X: np.ndarray,
) -> None:
    encoder = MIGEEncoder(**SMALL, callbacks=[Note]).fit(X).fit(X)
    assert [row["noted"] for row in encoder.history_] == [1, 2]
    encoder.set_params(callbacks=[Note, ("stop", EarlyStopping("train_loss"))]).fit(X)
    assert encoder.history_[-1]["noted"] == 1
    encoder.set_params(callbacks=None).partial_fit(X)
    assert "noted" not in encoder.history_[-1]
    encoder.set_params(callbacks=[3])
    for _ in range(2):
        with pytest.raises(TypeError, match=r"callbacks\[0\] is 3"):
            encoder.partial_fit(X)


def test_verbosity_counts_from_the_next_call_on(
    X: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = MIGEEncoder(**SMALL).fit(X)
    assert capsys.readouterr().out == ""
    encoder.set_params(verbose=2).fit(X)
    assert "train_loss" in capsys.readouterr().out
    encoder.set_params(verbose=0).fit(X)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("own", [nn.Linear(8, 3), linear], ids=["module", "function"])
def test_copies_and_pickles_go_on_with_the_users_own_parts(own: Any, X: np.ndarray) -> None:
    encoder = MIGEEncoder(
        **SMALL, encoder=own, augmentation=jitter, n_views=2, optimizer=torch.optim.SGD
    ).fit(X)
    for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert other.fit(X).partial_fit(X).n_iter_ == 3
        # A pickle's optimizer is a fresh one, of the class that is asked for by then.
        renewed = pickle.loads(pickle.dumps(other.set_params(optimizer="adam")))
        assert renewed.partial_fit(X).n_iter_ == 4


def test_training_stays_on_its_device_by_whatever_name(
    X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = MIGEEncoder(**SMALL).fit(X)
    assert encoder.set_params(device=torch.device("cpu")).fit(X).n_iter_ == 2
    encoder.set_params(device="meta")
    with pytest.raises(RuntimeError, match="device='meta' was asked for"):
        encoder.fit(X)
    monkeypatch.setattr(_encoder_continuing, "resolve_device", torch.device)
    with pytest.raises(ValueError, match="device='meta' instead of 'cpu'"):
        encoder.fit(X)


def test_predictions_of_a_representation_that_became_a_bottleneck_ask_for_a_fit(
    X: np.ndarray, y: np.ndarray
) -> None:
    encoder = MIGEEncoder(**SMALL).fit(X).set_params(mode="ib", warm_start=False)
    for method in (encoder.predict, encoder.predict_proba, lambda rows: encoder.score(rows, y)):
        with pytest.raises(ValueError, match=r"fitted with mode='infomax'.*call fit\(X, y\) again"):
            method(X)
    assert encoder.fit(X, y).predict(X).shape == y.shape
