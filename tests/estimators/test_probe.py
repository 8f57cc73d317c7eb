"""The probe: classification of fixed features, and repeatable results."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from sk_mige import MIGEEncoder, NonLinearProbe
from sk_mige.estimators import _probe

from .conftest import interrupt_at

SMALL: dict[str, Any] = {
    "hidden_size": 32, "max_epochs": 12, "lr": 1e-2, "device": "cpu", "random_state": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X[:600].astype(np.float32), y[:600]


def test_the_network_is_deep_infomaxs_classifier() -> None:
    X = np.random.default_rng(0).normal(size=(30, 7))
    probe = NonLinearProbe(max_epochs=1, random_state=0).fit(X, np.arange(30) % 3)
    shapes = [tuple(p.shape) for p in probe.module_.parameters()]
    # Weights in, batch norm's two, weights out and their bias.
    assert shapes == [(200, 7), (200,), (200,), (3, 200), (3,)]
    (dropout,) = [m for m in probe.module_.modules() if isinstance(m, torch.nn.Dropout)]
    assert dropout.p == 0.1


def test_classes_need_not_be_linearly_separable() -> None:
    X = np.random.default_rng(0).uniform(-1, 1, size=(500, 2))
    y = np.where(X[:, 0] * X[:, 1] > 0, "same", "different")
    assert NonLinearProbe(**{**SMALL, "max_epochs": 40}).fit(X, y).score(X, y) > 0.93


def test_the_learning_rate_falls_twice(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    assert NonLinearProbe(max_epochs=150)._schedule().kwargs["milestones"] == [50, 100]
    # At the lowest rate, weights and loss change little.
    losses = [row["train_loss"] for row in NonLinearProbe(**SMALL).fit(X, y).history_]
    assert abs(losses[-1] - losses[-2]) < abs(losses[1] - losses[0])


def test_equal_seeds_give_equal_probabilities(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    state = torch.get_rng_state()
    first = NonLinearProbe(**SMALL).fit(X, y).predict_proba(X)
    second = NonLinearProbe(**SMALL).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(first, second)
    assert torch.equal(state, torch.get_rng_state())


def test_a_pickled_probe_predicts_alike(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    probe = NonLinearProbe(**SMALL).fit(X, y)
    again = pickle.loads(pickle.dumps(probe))
    np.testing.assert_array_equal(again.predict_proba(X), probe.predict_proba(X))


def test_a_pipeline_scores_representations(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = digits
    encoder = MIGEEncoder(8, hidden_layer_sizes=(64,), max_epochs=5, random_state=0)
    for output in (None, "hidden1"):
        pipeline = make_pipeline(encoder.set_params(output=output), NonLinearProbe(**SMALL))
        assert pipeline.fit(X[:400], y[:400]).score(X[400:], y[400:]) > 0.6


def test_a_first_loss_that_is_not_finite_is_an_error(
    digits: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_probe, "cross_entropy", lambda logits, y: logits.sum() * torch.nan)
    with pytest.raises(ValueError, match="step 1 of epoch 1, before any weight.*finite values"):
        NonLinearProbe(**SMALL).fit(*digits)


def test_a_later_loss_that_is_not_finite_keeps_the_last_good_weights(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = digits
    with pytest.warns(ConvergenceWarning, match="last finite loss are kept: use a smaller lr"):
        probe = NonLinearProbe(**{**SMALL, "lr": 1e30}).fit(X, y)
    assert all(weights.isfinite().all() for weights in probe.module_.parameters())
    assert probe.n_iter_ == len(probe.history_)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_frames_whose_rows_are_read_only_are_accepted(
    dtype: str, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    frame = pd.DataFrame(X, dtype=dtype).add_prefix("pixel")
    found = NonLinearProbe(**SMALL).fit(frame, y).predict(frame)
    np.testing.assert_array_equal(found, NonLinearProbe(**SMALL).fit(X, y).predict(X))


def test_ctrl_c_keeps_what_the_probe_has_learned(
    digits: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(25, monkeypatch)  # ten steps in an epoch
    probe = NonLinearProbe(**SMALL)
    with pytest.warns(UserWarning, match="interrupted in epoch 3; the estimator keeps"):
        probe.fit(*digits)
    assert probe.n_iter_ == len(probe.history_) == 2
    assert probe.score(*digits) > 0.5


def test_verbose_shows_a_bar_or_lines(
    digits: tuple[np.ndarray, np.ndarray], capfd: pytest.CaptureFixture[str]
) -> None:
    parameters = {**SMALL, "max_epochs": 2}
    NonLinearProbe(**parameters).fit(*digits)
    assert "".join(capfd.readouterr()) == ""
    NonLinearProbe(**parameters, verbose=1).fit(*digits)
    assert "NonLinearProbe: 2.0/2 epochs" in capfd.readouterr().err
    NonLinearProbe(**parameters, verbose=2).fit(*digits)
    assert "train_loss" in capfd.readouterr().out
