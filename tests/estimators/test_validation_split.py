"""Rows held out in fit, and callbacks that monitor their loss."""

from __future__ import annotations

import re
from queue import SimpleQueue
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, LRScheduler

from sk_mige import Critic, InfoMax, InformationBottleneck
from sk_mige.objectives.modes import as_description

from .conftest import small


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(200, 5))


@pytest.fixture(scope="module")
def y(X: np.ndarray) -> np.ndarray:
    return (X[:, 0] > 0).astype(int)


def test_history_has_the_loss_of_held_out_rows_as_a_column(X: np.ndarray, y: np.ndarray) -> None:
    encoder = small("ib", validation_fraction=0.25, max_epochs=15, lr=1e-2).fit(X, y)
    history = pd.DataFrame(encoder.history_)
    assert len(history) == 15
    assert history.valid_loss.iloc[-1] < 0.5 * history.valid_loss.iloc[0]
    assert "valid_loss" not in small("ib").fit(X, y).history_[0]


def test_held_out_rows_are_not_trained_on(X: np.ndarray, y: np.ndarray) -> None:
    rows = {True: 0, False: 0}

    class Count(Callback):
        def on_batch_begin(self, net: Any, batch: Any, training: bool, **kwargs: Any) -> None:
            rows[training] += len(batch[0])

    small("ib", validation_fraction=0.25, max_epochs=1, callbacks=[Count]).fit(X, y)
    assert rows == {True: 150, False: 50}


def test_early_stopping_ends_the_training_on_noise(X: np.ndarray) -> None:
    noise = np.random.default_rng(1).integers(2, size=len(X))
    stopping = EarlyStopping(monitor="valid_loss", patience=3, sink=lambda *_: None)
    encoder = small(
        InformationBottleneck(beta=0.0),
        validation_fraction=0.3,
        max_epochs=200,
        lr=1e-2,
        callbacks=[stopping],
    ).fit(X, noise)
    assert encoder.n_iter_ < 100
    losses = [row["valid_loss"] for row in encoder.history_]
    assert min(losses) == losses[-4]


def shown(mode: Any) -> str:
    """The representation of the mode without addresses of functions."""
    return re.sub(r"<function (\w+) at \w+>", r"\1", str(mode))


def constant(code: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return code.z.var() * 0 + 0.5


@pytest.mark.parametrize(
    "mode", ["ib", InfoMax("infonce"), InfoMax("jsd", prior_weight=0.1), constant], ids=shown
)
def test_losses_with_a_value_are_computed_on_held_out_rows(
    mode: Any, X: np.ndarray, y: np.ndarray
) -> None:
    encoder = small(mode, validation_fraction=0.2).fit(X, y)
    losses = [row["valid_loss"] for row in encoder.history_]
    assert np.isfinite(losses).all()
    if mode is constant:
        assert losses == [0.5] * 3


@pytest.mark.parametrize(
    "mode",
    [
        "infomax",
        InfoMax("jsd", n_views=2),
        InfoMax(Critic("jsd"), layer="hidden1"),
        InfoMax(constant, n_views=2),
    ],
    ids=shown,
)
def test_losses_without_a_value_have_minus_the_score_of_held_out_rows(
    mode: Any, X: np.ndarray
) -> None:
    mode = as_description(mode).set_params(output_scale=None)
    encoder = small(mode, validation_fraction=0.2).fit(X)
    rows = train_test_split(np.arange(len(X)), test_size=0.2, random_state=encoder._seed)[1]
    losses = [row["valid_loss"] for row in encoder.history_]
    assert losses[-1] == pytest.approx(-encoder.score(X[rows]), abs=1e-6)
    assert len(set(losses)) == 3


def test_early_stopping_follows_the_held_out_score() -> None:
    signal = np.random.default_rng(0).normal(size=(300, 2)) @ np.ones((2, 8))
    stopping = EarlyStopping(patience=2, threshold_mode="abs", sink=lambda *_: None)
    encoder = small(validation_fraction=0.2, max_epochs=60, callbacks=[stopping]).fit(signal)
    losses = [row["valid_loss"] for row in encoder.history_]
    assert encoder.n_iter_ < 60
    assert min(losses) >= losses[-3] - 1e-3


def test_rows_too_few_for_copies_are_named(X: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least 4 rows .* got 2: .*larger validation_fraction"):
        small(validation_fraction=0.01).fit(X)


def test_callbacks_are_classes_instances_or_named_pairs(X: np.ndarray, y: np.ndarray) -> None:
    def probe(net: Any, X: Any, y: Any) -> float:
        return float(net.module_.training)

    schedule = LRScheduler("StepLR", step_size=1, gamma=0.1)
    encoder = small(
        "ib",
        validation_fraction=0.2,
        lr_schedule="constant",
        callbacks=[
            schedule,
            ("probe", EpochScoring(probe, name="probe", use_caching=False)),
            EarlyStopping,
        ],
    ).fit(X, y)
    assert [row["probe"] for row in encoder.history_] == [0.0] * 3
    assert encoder.history_[0]["event_lr"] > encoder.history_[-1]["event_lr"]
    assert not hasattr(schedule, "policy_")


def test_a_callback_may_hold_an_object_that_cannot_be_copied(X: np.ndarray) -> None:
    class Log(Callback):
        def __init__(self, writer: Any) -> None:
            self.writer = writer

        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            self.writer.put(net.history[-1, "epoch"])

    queue: SimpleQueue[int] = SimpleQueue()  # no more copyable than TensorBoard's writer
    log = Log(queue)
    small(callbacks=[log, ("again", log)]).fit(X)
    assert [queue.get_nowait() for _ in range(6)] == [1, 1, 2, 2, 3, 3]


def test_classes_are_split_in_equal_proportions(X: np.ndarray, y: np.ndarray) -> None:
    encoder = small("ib", validation_fraction=0.5, max_epochs=1)
    with pytest.raises(ValueError, match="validation_fraction"):
        small("ib", validation_fraction=1.5).fit(X, y)
    rare = np.r_[np.zeros(len(y) - 4), np.ones(4)].astype(int)
    assert np.isfinite(encoder.fit(X, rare).history_[0]["valid_loss"])


def test_a_class_of_one_row_is_named_by_its_label(X: np.ndarray) -> None:
    y = np.r_[np.repeat([5, 9], 99), 77, 99]
    with pytest.raises(ValueError, match=r"validation_fraction=0\.2 .* single row of \[77, 99\]"):
        small("ib", validation_fraction=0.2).fit(X, y)


def test_a_fraction_that_leaves_no_rows_for_training_is_named(X: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"validation_fraction=0\.999 leaves fewer than two of"):
        small(validation_fraction=0.999).fit(X)
    with pytest.raises(ValueError, match=r"validation_fraction=0\.01 .* for 3 classes"):
        small("ib", validation_fraction=0.01).fit(X, np.arange(len(X)) % 3)
