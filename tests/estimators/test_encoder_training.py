"""Training: continuing, interruptions, divergence, reports."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from sklearn.callback import ProgressBar
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import nn

from sk_mige import MIGE, InfoMax, InformationBottleneck
from sk_mige.information.stochastic import Marginal

from .conftest import small


class At(Callback):
    """Call a function at a given batch, counted over all epochs."""

    def __init__(self, batch: int, action: Any) -> None:
        self.batch = batch
        self.action = action

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.seen_ = 0

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        self.seen_ += 1
        if self.seen_ == self.batch:
            self.action(net)


def interrupt(net: Any) -> None:
    raise KeyboardInterrupt


def overflow(net: Any) -> None:
    with torch.no_grad():
        net.module_.encoder.Y.weight.fill_(torch.inf)


def test_history_has_a_record_an_epoch(X: np.ndarray) -> None:
    encoder = small().fit(X)
    assert [row["epoch"] for row in encoder.history_] == [1, 2, 3]
    assert all(isinstance(row["train_loss"], float) for row in encoder.history_)
    assert encoder.n_iter_ == 3


def test_interruption_leaves_a_usable_encoder(X: np.ndarray) -> None:
    encoder = small(callbacks=[At(5, interrupt)])
    with pytest.warns(UserWarning, match="interrupted in epoch 2"):
        encoder.fit(X)
    assert encoder.n_iter_ == 1
    assert np.isfinite(encoder.transform(X)).all()
    encoder.set_params(callbacks=None, warm_start=True, max_epochs=1)
    assert encoder.fit(X).n_iter_ == 2


@pytest.mark.parametrize(
    "mode",
    [
        "infomax",
        InfoMax(n_views=2),
        InformationBottleneck(head="deterministic"),
        InformationBottleneck(head="implicit", n_draws=8),
        *(InformationBottleneck(MIGE(marginal=name)) for name in get_args(Marginal)),
    ],
    ids=str,
)
def test_non_finite_loss_stops_with_the_last_good_weights(mode: Any, X: np.ndarray) -> None:
    encoder = small(mode, n_components=8, max_epochs=9, callbacks=[At(5, overflow)])
    with pytest.warns(ConvergenceWarning, match=r"at step 2 of epoch 2.*last finite loss"):
        encoder.fit(X, X[:, 0] > 0)
    assert encoder.n_iter_ == 1
    assert np.isfinite(encoder.transform(X)).all()


def test_non_finite_loss_of_the_first_step_is_an_error(X: np.ndarray) -> None:
    encoder = small(callbacks=[At(1, overflow)])
    with pytest.raises(ValueError, match=r"step 1 of epoch 1, before any weight changed"):
        encoder.fit(X)


def test_early_stopping_is_no_interruption(X: np.ndarray) -> None:
    stopping = EarlyStopping(
        monitor="train_loss",
        patience=2,
        threshold=1e9,
        threshold_mode="abs",
        sink=lambda text: None,
    )
    encoder = small(max_epochs=30, callbacks=[stopping]).fit(X)
    assert encoder.n_iter_ == 3
    assert not hasattr(stopping, "best_epoch_")


def test_callbacks_may_be_named_and_scheduled(X: np.ndarray) -> None:
    scheduler = LRScheduler(policy=torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1)
    encoder = small(lr_schedule="constant", callbacks=[("schedule", scheduler)])
    encoder.fit(X)
    assert encoder.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(1e-6)
    assert [row["event_lr"] for row in encoder.history_] == pytest.approx([1e-3, 1e-4, 1e-5])


def test_warm_start_continues_and_a_cold_start_begins_again(X: np.ndarray) -> None:
    encoder = small().fit(X)
    first = encoder.transform(X)
    assert encoder.fit(X).n_iter_ == 3
    np.testing.assert_array_equal(encoder.transform(X), first)
    assert encoder.set_params(warm_start=True).fit(X).n_iter_ == 6
    assert not np.allclose(encoder.transform(X), first)


def test_partial_fit_makes_one_pass(X: np.ndarray) -> None:
    encoder = small()
    for chunk in np.array_split(X, 3):
        encoder.partial_fit(chunk)
    assert encoder.n_iter_ == 3
    assert encoder.transform(X).shape == (150, 3)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", torch.optim.RMSprop])
def test_optimizers_are_names_or_classes(optimizer: Any, X: np.ndarray) -> None:
    encoder = small(optimizer=optimizer).fit(X)
    assert type(encoder.net_.optimizer_).__name__.lower().startswith(str(optimizer)[:3]) or (
        optimizer is type(encoder.net_.optimizer_)
    )


def test_text_is_printed_only_if_verbose(X: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    small().fit(X)
    assert "".join(capfd.readouterr()) == ""
    small(verbose=1).fit(X)
    assert "MIGEEncoder: 3.0/3 epochs" in capfd.readouterr().err
    small(verbose=2).fit(X)
    assert "train_loss" in capfd.readouterr().out


class Tasks:
    """A scikit-learn callback that records finished tasks, and can request a stop."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.finished: list[str] = []
        self.stop_after = stop_after

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing at the end."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing at the start of a task."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        self.finished.append(context.task_name)
        return self.finished.count("epoch") == self.stop_after


def test_epochs_report_to_scikit_learns_callbacks(X: np.ndarray) -> None:
    tasks = Tasks()
    small().set_callbacks(tasks).fit(X)
    assert tasks.finished == ["epoch"] * 3 + ["fit"]


def test_scikit_learns_callbacks_can_stop_training(X: np.ndarray) -> None:
    encoder = small().set_callbacks(Tasks(stop_after=2)).fit(X)
    assert encoder.n_iter_ == 2


def test_progress_bars_reach_into_a_grid_search(
    X: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    y = np.arange(150) % 2
    encoder = small("ib")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), encoder), {"migeencoder__mode__beta": [0.0, 0.1]}, cv=2
    )
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    assert "MIGEEncoder" in capsys.readouterr().out


def test_lazy_and_dropping_modules_are_trained_repeatably(
    X: np.ndarray, global_random_state_untouched: None
) -> None:
    def factory(width: int, k: int) -> nn.Module:
        return nn.Sequential(nn.LazyLinear(16), nn.Dropout(0.5), nn.ReLU(), nn.LazyLinear(k))

    first, second = (small(encoder=factory).fit_transform(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)
