"""skorch's callbacks: in every form that skorch takes, and what is said of those it does not."""

from __future__ import annotations

import pickle
import threading
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

from sk_mige import MIGEEncoder

SMALL: dict[str, Any] = {
    "n_components": 3,
    "hidden_layer_sizes": (16,),
    "max_epochs": 3,
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


QUIET = EarlyStopping(patience=1, sink=lambda text: None)


@pytest.mark.parametrize(
    "callback", [EarlyStopping, QUIET, ("stop", EarlyStopping), ("stop", QUIET)]
)
def test_a_class_an_instance_and_a_pair_are_taken(
    callback: Any, X: np.ndarray, y: np.ndarray
) -> None:
    encoder = MIGEEncoder(mode="ib", validation_fraction=0.2, callbacks=[callback], **SMALL)
    encoder.fit(X, y)
    (taken,) = (c for _, c in encoder.net_.callbacks_ if isinstance(c, EarlyStopping))
    assert taken is not callback
    assert not hasattr(QUIET, "best_epoch_")


def test_checkpoints_keep_the_best_weights(X: np.ndarray, y: np.ndarray, tmp_path: Path) -> None:
    kept = Checkpoint(dirname=tmp_path, load_best=True)
    MIGEEncoder(mode="ib", validation_fraction=0.2, callbacks=[kept], **SMALL).fit(X, y)
    assert (tmp_path / "params.pt").exists()


def test_a_schedule_of_the_users_takes_the_place_of_ours(X: np.ndarray) -> None:
    halved = LRScheduler(policy="StepLR", step_size=1, gamma=0.5)
    for callback in (halved, ("rate", halved)):
        encoder = MIGEEncoder(callbacks=[callback], lr=1e-3, **SMALL).fit(X)
        rates = [row["event_lr"] for row in encoder.history_]
        assert rates == pytest.approx([1e-3, 5e-4, 2.5e-4])


@pytest.mark.parametrize("callback", [3, "EarlyStopping", ("stop", 3), int, ProgressBar()])
def test_what_is_no_callback_is_named_with_its_place(callback: Any, X: np.ndarray) -> None:
    with pytest.raises(TypeError, match=r"callbacks\[1\] is .*no callback of skorch.*set_callback"):
        MIGEEncoder(callbacks=[LRScheduler, callback], **SMALL).fit(X)


@pytest.mark.parametrize("callback", [EarlyStopping, Checkpoint])
def test_watching_a_loss_that_is_not_recorded_says_what_records_it(
    callback: Any, X: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"watches 'valid_loss'.*validation_fraction=None.*monitor"
    ):
        MIGEEncoder(callbacks=[callback], **SMALL).fit(X)


def test_other_errors_of_callbacks_are_left_as_they_are(X: np.ndarray) -> None:
    with pytest.raises(KeyError, match="nonsense"):
        MIGEEncoder(callbacks=[EarlyStopping(monitor="nonsense")], **SMALL).fit(X)


class Writer:
    """What skorch's TensorBoard asks of a writer; like the real one it cannot be copied."""

    def __init__(self) -> None:
        self.tags: list[str] = []
        self.lock = threading.Lock()

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.tags.append(tag)

    def close(self) -> None:
        self.tags.append("closed")


def test_loggers_with_an_open_writer_are_told_every_epoch(X: np.ndarray) -> None:
    writer = Writer()
    MIGEEncoder(callbacks=[TensorBoard(writer)], **SMALL).fit(X)
    assert writer.tags.count("Loss/train_loss") == 3
    assert writer.tags[-1] == "closed"


WRITERS: dict[str, Writer] = {}


class Logger(TensorBoard):
    """Opens its writer when training begins: the form that searches and pickles can copy."""

    def __init__(self, writer: Any = None, folder: str = "runs", **kwargs: Any) -> None:
        super().__init__(writer, **kwargs)
        self.folder = folder

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        self.writer = WRITERS[self.folder] = Writer()
        super().on_train_begin(net, X, y, **kwargs)


def test_loggers_that_open_their_own_writer_can_be_searched_and_stored(
    X: np.ndarray, y: np.ndarray
) -> None:
    encoder = MIGEEncoder(mode="ib", callbacks=[Logger(folder="here")], **SMALL)
    search = GridSearchCV(encoder, {"beta": [0.0, 0.1]}, cv=2).fit(X, y)
    assert WRITERS["here"].tags.count("Loss/train_loss") == 3
    stored = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(stored.transform(X), search.best_estimator_.transform(X))
    assert clone(stored).callbacks[0].folder == "here"


def test_scores_of_an_epoch_are_in_the_history(X: np.ndarray) -> None:
    rank = EpochScoring(
        lambda net, X, y: 1.0, name="rank", on_train=True, lower_is_better=False, use_caching=False
    )
    encoder = MIGEEncoder(callbacks=[rank], **SMALL).fit(X)
    assert [row["rank"] for row in encoder.history_] == [1.0, 1.0, 1.0]


class Failing(Callback):
    """A logger whose server goes away at the end of the second epoch, or amid the next one."""

    def __init__(self, amid: bool) -> None:
        self.amid = amid

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == 2 and not self.amid:
            raise ConnectionError("the server is gone")

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == 3:
            raise ConnectionError("the server is gone")


@pytest.mark.parametrize("amid", [False, True])
def test_epochs_before_an_error_of_a_callback_are_told_of(
    amid: bool, X: np.ndarray, y: np.ndarray
) -> None:
    parameters = {**SMALL, "max_epochs": 5}
    encoder = MIGEEncoder(
        mode="ib", max_information=1.0, beta=0.1, callbacks=[Failing(amid)], **parameters
    )
    with pytest.raises(ConnectionError):
        encoder.fit(X, y)
    assert encoder.n_iter_ == len(encoder.history_) == 2
    assert encoder.beta_ == encoder.net_.criterion_.price != 0.1
    assert not encoder.module_.training
    encoder.set_params(callbacks=None).partial_fit(X, y)
    assert encoder.n_iter_ == 3
