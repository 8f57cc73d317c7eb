"""skorch's callbacks, in each form that skorch takes, and the errors for other objects."""

from __future__ import annotations

import pickle
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
    TensorBoard,
)
from torch.optim.lr_scheduler import StepLR

from sk_mige import InformationBottleneck
from sk_mige.training import BetaWarmup, EffectiveRank, ExponentialDecay, WeightAveraging
from sk_mige.training.schedules import CosineDecay

from .conftest import small

QUIET = EarlyStopping(patience=1, sink=lambda text: None)


@pytest.mark.parametrize(
    "callback", [EarlyStopping, QUIET, ("stop", EarlyStopping), ("stop", QUIET)]
)
def test_a_class_an_instance_and_a_pair_are_taken(
    callback: Any, X: np.ndarray, y: np.ndarray
) -> None:
    encoder = small("ib", validation_fraction=0.2, callbacks=[callback])
    encoder.fit(X, y)
    (taken,) = (c for _, c in encoder.net_.callbacks_ if isinstance(c, EarlyStopping))
    assert taken is not callback
    assert not hasattr(QUIET, "best_epoch_")


def test_checkpoints_keep_the_best_weights(X: np.ndarray, y: np.ndarray, tmp_path: Path) -> None:
    kept = Checkpoint(dirname=tmp_path, load_best=True)
    small("ib", validation_fraction=0.2, callbacks=[kept]).fit(X, y)
    assert (tmp_path / "params.pt").exists()


def test_a_scheduler_in_callbacks_replaces_the_cosine(X: np.ndarray) -> None:
    halved = LRScheduler(policy="StepLR", step_size=1, gamma=0.5)
    for callback in (halved, ("rate", halved)):
        encoder = small(callbacks=[callback], lr=1e-3).fit(X)
        rates = [row["event_lr"] for row in encoder.history_]
        assert rates == pytest.approx([1e-3, 5e-4, 2.5e-4])


@pytest.mark.parametrize("callback", [3, "EarlyStopping", ("stop", 3), int, ProgressBar()])
def test_other_objects_than_callbacks_are_named_by_their_index(
    callback: Any, X: np.ndarray
) -> None:
    with pytest.raises(TypeError, match=r"callbacks\[1\] is .*not a skorch callback.*set_callback"):
        small(callbacks=[LRScheduler, callback]).fit(X)


@pytest.mark.parametrize("callback", [EarlyStopping, Checkpoint])
def test_monitoring_a_missing_validation_loss_names_its_parameter(
    callback: Any, X: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="monitors 'valid_loss'.*set validation_fraction, or mon"):
        small(callbacks=[callback]).fit(X)


@pytest.mark.parametrize("after", [[], [EffectiveRank(np.eye(4))]])
def test_monitoring_a_key_that_is_not_recorded_before_is_named(
    after: list[Any], X: np.ndarray
) -> None:
    callbacks = [EarlyStopping(monitor="effective_rank"), *after]
    with pytest.raises(ValueError, match="callbacks: .*'effective_rank'.*to the front"):
        small(callbacks=callbacks).fit(X[:, :4])


def test_a_misspelt_key_is_answered_with_the_recorded_keys(X: np.ndarray) -> None:
    callbacks = [EffectiveRank(X), EarlyStopping(monitor="val_loss")]
    with pytest.raises(
        ValueError, match=r"'val_loss'.*one of \[.*'train_loss', .*'valid_loss', 'e"
    ):
        small(callbacks=callbacks, validation_fraction=0.2).fit(X)


def raise_nonsense(net: Any, X: Any, y: Any) -> float:
    raise KeyError("nonsense")


def test_other_errors_of_callbacks_are_left_as_they_are(X: np.ndarray) -> None:
    with pytest.raises(KeyError, match="nonsense"):
        small(callbacks=[EpochScoring(raise_nonsense, on_train=True)]).fit(X)


def test_a_class_that_needs_arguments_is_named(X: np.ndarray) -> None:
    with pytest.raises(TypeError, match=r"callbacks\[0\] is the class EffectiveRank.*instance"):
        small(callbacks=[EffectiveRank]).fit(X)
    with pytest.raises(TypeError, match="lr_schedule is the class ExponentialDecay.*instance"):
        small(lr_schedule=ExponentialDecay).fit(X)
    with pytest.raises(TypeError, match=r"lr_schedule: .*'step_size'; .*partial\(StepLR"):
        small(lr_schedule=StepLR).fit(X)


class Writer:
    """A writer for skorch's TensorBoard, which cannot be copied, like SummaryWriter."""

    def __init__(self) -> None:
        self.tags: list[str] = []
        self.lock = threading.Lock()

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.tags.append(tag)

    def close(self) -> None:
        self.tags.append("closed")


def test_loggers_with_an_open_writer_log_every_epoch(X: np.ndarray) -> None:
    writer = Writer()
    small(callbacks=[TensorBoard(writer)]).fit(X)
    assert writer.tags.count("Loss/train_loss") == 3
    assert writer.tags[-1] == "closed"


WRITERS: dict[str, Writer] = {}


class Logger(TensorBoard):
    """A callback that opens its writer when training begins, and can be copied."""

    def __init__(self, writer: Any = None, folder: str = "runs", **kwargs: Any) -> None:
        super().__init__(writer, **kwargs)
        self.folder = folder

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        self.writer = WRITERS[self.folder] = Writer()
        super().on_train_begin(net, X, y, **kwargs)


def test_loggers_that_open_their_own_writer_can_be_searched_and_stored(
    X: np.ndarray, y: np.ndarray
) -> None:
    encoder = small("ib", callbacks=[Logger(folder="here")])
    search = GridSearchCV(encoder, {"mode__beta": [0.0, 0.1]}, cv=2).fit(X, y)
    assert WRITERS["here"].tags.count("Loss/train_loss") == 3
    stored = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(stored.transform(X), search.best_estimator_.transform(X))
    assert clone(stored).callbacks[0].folder == "here"


def test_scores_of_an_epoch_are_in_the_history(X: np.ndarray) -> None:
    rank = EpochScoring(
        lambda net, X, y: 1.0, name="rank", on_train=True, lower_is_better=False, use_caching=False
    )
    encoder = small(callbacks=[rank]).fit(X)
    assert [row["rank"] for row in encoder.history_] == [1.0, 1.0, 1.0]


class Failing(Callback):
    """A logger that fails at the end of the second epoch, or within the third epoch."""

    def __init__(self, amid: bool) -> None:
        self.amid = amid

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == 2 and not self.amid:
            raise ConnectionError("the server is gone")

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == 3:
            raise ConnectionError("the server is gone")


@pytest.mark.parametrize("amid", [False, True])
def test_epochs_before_a_callbacks_error_are_kept(amid: bool, X: np.ndarray, y: np.ndarray) -> None:
    mode = InformationBottleneck(max_information=50.0, beta=0.1)
    encoder = small(mode, max_epochs=5, callbacks=[Failing(amid)])
    with pytest.raises(ConnectionError):
        encoder.fit(X, y)
    assert encoder.n_iter_ == len(encoder.history_) == 2
    assert encoder.beta_ == encoder.net_.criterion_.current_beta != 0.1
    assert not encoder.module_.training
    encoder.set_params(callbacks=None).partial_fit(X, y)
    assert encoder.n_iter_ == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"callbacks": [BetaWarmup(0)]}, "BetaWarmup: epochs must be positive and finite; got 0"),
        (
            {"callbacks": [WeightAveraging(1.0)]},
            "WeightAveraging: decay must be a number in .0, 1",
        ),
        ({"callbacks": [WeightAveraging("1")]}, "WeightAveraging: decay must be a number in"),
        (
            {"callbacks": [CosineDecay(0)]},
            "CosineDecay: epochs must be positive and finite; got 0",
        ),
        ({"lr_schedule": ExponentialDecay(None)}, "ExponentialDecay: rate must be positive"),
        ({"input_shape": (-2, -4)}, r"input_shape must hold positive integers, got \(-2, -4\)"),
        ({"lr_schedule": ExponentialDecay(0.5, 0)}, "ExponentialDecay: epochs must be positive"),
        ({"lr_schedule": ExponentialDecay(-0.5)}, "ExponentialDecay: rate must be positive"),
        ({"lr_schedule": partial(StepLR, 1)}, r"without names.*partial\(StepLR, step_size=5\)"),
    ],
    ids=str,
)
def test_invalid_schedules_are_named(
    parameters: dict[str, Any], message: str, X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.raises(ValueError, match=message):
        small("ib", **parameters).fit(X, y)


def test_a_schedulers_class_is_an_lr_schedule(X: np.ndarray) -> None:
    schedule = partial(StepLR, step_size=1, gamma=0.5)
    encoder = small(lr_schedule=schedule, lr=1e-3).fit(X)
    assert [row["event_lr"] for row in encoder.history_] == pytest.approx([1e-3, 5e-4, 2.5e-4])
