"""Checkpoints: a killed fit continues, with the result of an uninterrupted fit."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, LRScheduler
from torch import nn
from torch.optim.lr_scheduler import StepLR

from sk_mige import Critic, InfoMax, InformationBottleneck, MIGEEncoder, SSGEScoreEstimator
from sk_mige.networks import Code
from sk_mige.training import BetaWarmup, Checkpoint, ExponentialDecay

SMALL: dict[str, Any] = {
    "n_components": 3, "hidden_layer_sizes": (16,), "max_epochs": 4, "batch_size": 50,
    "device": "cpu", "random_state": 0,
}  # fmt: skip


class Killed(BaseException):
    """An exception that the package does not catch."""


class KillAt(Callback):
    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        self.batch -= 1
        if self.batch == 0:
            raise Killed


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(150, 8))


@pytest.fixture(scope="module")
def y(X: np.ndarray) -> np.ndarray:
    return (X[:, 0] > 0).astype(int)


def killed_and_continued(
    X: np.ndarray, y: np.ndarray, path: Path, batch: int = 8, **parameters: Any
) -> MIGEEncoder:
    """Kill a fit, by default in the third of four epochs of three batches, and continue it."""
    settings = {**SMALL, **parameters}
    callbacks = [Checkpoint(path), *settings.pop("callbacks", [])]
    with pytest.raises(Killed):
        MIGEEncoder(**settings, callbacks=[*callbacks, KillAt(batch)]).fit(X, y)
    return MIGEEncoder(**settings, callbacks=callbacks).fit(X, y)


class Centred(nn.Module):
    """A loss with a trained parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.ones(3))

    def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (code.z - self.centre).square().mean() - code.z.std(0).log().sum()


RUNS: dict[str, dict[str, Any]] = {
    "mige": {},
    "constant rate": {"lr_schedule": "constant"},
    "exponential": {"lr_schedule": ExponentialDecay(0.5)},
    "torch's schedule": {"lr_schedule": partial(StepLR, step_size=1, gamma=0.5)},
    "torch's schedule of batches": {
        "lr_schedule": LRScheduler("StepLR", step_size=2, gamma=0.5, step_every="batch")
    },
    "schedule by the loss": {
        "lr_schedule": LRScheduler("ReduceLROnPlateau", monitor="train_loss", patience=0),
        "lr": 0.1,
    },
    "critic and adversary": {"mode": InfoMax("infonce", prior_weight=1.0)},
    "moving average": {"mode": InfoMax("mine")},
    "bottleneck": {"mode": "ib"},
    "warm-up": {"mode": InformationBottleneck(beta=0.5), "callbacks": [BetaWarmup(3)]},
    "dual variable": {"mode": InformationBottleneck(beta=0.1, max_information=50.0)},
    "own function": {"mode": lambda code, x, y: (code.z - y[:, None]).square().mean()},
    "own module": {"mode": Centred()},
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("batch", [5, 8], ids=["one epoch", "two epochs"])
def test_a_killed_fit_ends_as_one_that_was_not(
    X: np.ndarray, y: np.ndarray, tmp_path: Path, name: str, batch: int
) -> None:
    whole = MIGEEncoder(**{**SMALL, **RUNS[name]}).fit(X, y)
    pieces = killed_and_continued(X, y, tmp_path / "run.pt", batch, **RUNS[name])
    np.testing.assert_array_equal(pieces.transform(X), whole.transform(X))
    assert [row["epoch"] for row in pieces.history_] == [1, 2, 3, 4]
    losses = [[row["train_loss"] for row in e.history_] for e in (whole, pieces)]
    assert losses[0] == losses[1]
    criteria = [e.net_.criterion_.state_dict() for e in (whole, pieces)]
    torch.testing.assert_close(*criteria, rtol=0, atol=0, equal_nan=True)
    assert whole.net_.optimizer_.param_groups[0]["lr"] == whole.lr
    assert pieces.net_.optimizer_.param_groups[0]["lr"] == whole.lr


class Explode(Callback):
    """Set weights to infinity after the third epoch."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == 3:
            with torch.no_grad():
                next(net.module_.parameters()).fill_(torch.inf)


@pytest.mark.filterwarnings("ignore:the loss became infinite")
def test_a_continued_run_that_diverges_returns_to_its_last_good_weights(
    X: np.ndarray, tmp_path: Path
) -> None:
    encoders = [
        MIGEEncoder(**SMALL, callbacks=[Explode(), Checkpoint(tmp_path / "run.pt")]).fit(X)
        for _ in range(2)
    ]
    for ours, theirs in zip(*(encoder.module_.parameters() for encoder in encoders), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert all(p.isfinite().all() for p in encoders[1].module_.parameters())


def test_the_bar_starts_where_the_checkpoint_ends(
    X: np.ndarray, y: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_and_continued(X, y, tmp_path / "run.pt", verbose=1)
    assert "4.0/4 epochs" in capsys.readouterr().err


def test_a_checkpoint_holds_tensors_and_numbers_only(X: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "run.pt"
    MIGEEncoder(**SMALL, callbacks=[Checkpoint(path)]).fit(X)
    state = torch.load(path, weights_only=True)
    assert len(state["history"]) == 4
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"n_components": 5}, r"another module.*\(3, 16\).*\(5, 16\)"),
        ({"hidden_layer_sizes": (16, 16)}, "another module"),
        ({"mode": InfoMax("jsd")}, "another objective"),
        ({"mode": InfoMax(corruption=0.5)}, r"mode__corruption was 0\.3 .* is 0\.5 in this"),
        ({"lr": 0.02}, r"another run: lr was 0\.001 .* is 0\.02 in this"),
        ({"random_state": 1}, "random_state was 0 .* is 1 in this"),
        (
            {"score_estimator": SSGEScoreEstimator(eigen_threshold=0.9)},
            "score_estimator__eigen_threshold was",
        ),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    X: np.ndarray, tmp_path: Path, changed: dict[str, Any], named: str
) -> None:
    path = tmp_path / "run.pt"
    MIGEEncoder(**SMALL, callbacks=[Checkpoint(path)]).fit(X)
    with pytest.raises(ValueError, match=named):
        MIGEEncoder(**{**SMALL, **changed}, callbacks=[Checkpoint(path)]).fit(X)


def test_a_search_does_not_continue_one_candidate_from_another(
    X: np.ndarray, tmp_path: Path
) -> None:
    """Each fit of a search is a separate run and needs a separate file."""
    encoder = MIGEEncoder(**SMALL, mode="ib", callbacks=[Checkpoint(tmp_path / "run.pt")])
    y = (X[:, 0] > 0).astype(int)
    search = GridSearchCV(encoder, {"mode__beta": [0.0, 0.1]}, cv=2, error_score="raise")
    with pytest.raises(ValueError, match=r"another run: (rows|mode__beta) was"):
        search.fit(X, y)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"mode": "infomax"}, {"mode": InfoMax()}),
        ({"mode": InfoMax("jsd")}, {"mode": InfoMax(Critic("jsd"))}),
        ({"score_estimator": None}, {"score_estimator": SSGEScoreEstimator()}),
    ],
    ids=["mode", "information", "score estimator"],
)
def test_a_name_and_its_object_are_the_same_run(
    X: np.ndarray, tmp_path: Path, one: dict[str, Any], other: dict[str, Any]
) -> None:
    path = tmp_path / "run.pt"
    first = MIGEEncoder(**SMALL, **one, callbacks=[Checkpoint(path)]).fit(X)
    second = MIGEEncoder(**SMALL, **other, callbacks=[Checkpoint(path)]).fit(X)
    np.testing.assert_array_equal(first.transform(X), second.transform(X))


def test_a_finished_run_can_be_made_longer_and_restored_on_another_device(
    X: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "run.pt"
    MIGEEncoder(**SMALL, callbacks=[Checkpoint(path)]).fit(X)
    longer = {**SMALL, "max_epochs": 6, "device": "auto", "lr": np.float64(0.001)}
    assert MIGEEncoder(**longer, callbacks=[Checkpoint(path)]).fit(X).n_iter_ == 6


@pytest.mark.parametrize("stored", [False, True])
def test_a_warm_start_does_not_return_to_the_checkpoint(
    stored: bool, X: np.ndarray, tmp_path: Path
) -> None:
    callbacks = [Checkpoint(tmp_path / "run.pt")]
    encoder = MIGEEncoder(**SMALL, warm_start=True, callbacks=callbacks).fit(X)
    before = encoder.transform(X)
    encoder = pickle.loads(pickle.dumps(encoder)) if stored else encoder
    encoder.fit(X)
    assert [row["epoch"] for row in encoder.history_] == list(range(1, 2 * SMALL["max_epochs"] + 1))
    assert not np.allclose(encoder.transform(X), before)


def test_a_finished_run_cannot_be_made_shorter(X: np.ndarray, tmp_path: Path) -> None:
    callbacks = [Checkpoint(tmp_path / "run.pt")]
    encoder = MIGEEncoder(**SMALL, callbacks=callbacks, warm_start=True).fit(X)
    assert encoder.set_params(max_epochs=1).fit(X).n_iter_ == 5  # warm_start adds an epoch
    with pytest.raises(ValueError, match="checkpoint holds 5 epochs, more than max_epochs=3"):
        MIGEEncoder(**{**SMALL, "max_epochs": 3}, callbacks=callbacks).fit(X)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04"])
def test_a_damaged_file_is_named(X: np.ndarray, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.pt is damaged or is not a checkpoint"):
        MIGEEncoder(**SMALL, callbacks=[Checkpoint(path)]).fit(X)


def test_a_file_of_other_tensors_is_no_checkpoint(X: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="not a checkpoint of this version"):
        MIGEEncoder(**SMALL, callbacks=[Checkpoint(path)]).fit(X)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("shape", [(1,), (2, 1, 1), ()])
def test_moments_of_another_shape_are_refused(
    X: np.ndarray, tmp_path: Path, optimizer: str, shape: tuple[int, ...]
) -> None:
    encoder = MIGEEncoder(**SMALL, optimizer=optimizer, callbacks=[Checkpoint(tmp_path / "run")])
    encoder.fit(X)
    state = torch.load(tmp_path / "run", weights_only=True)
    for moments in state["optimizer"]["state"].values():
        moments.update({key: torch.zeros(shape) for key in moments if key != "step"})
    torch.save(state, tmp_path / "run")
    with pytest.raises(ValueError, match=r"run is a checkpoint of another optimizer .*strides"):
        encoder.set_params(max_epochs=5).fit(X)
