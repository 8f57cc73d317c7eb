"""A fit that was killed goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from sk_mige import MIGEEncoder, SSGEScoreEstimator
from sk_mige.training import Checkpoint

SMALL: dict[str, Any] = {
    "n_components": 3, "hidden_layer_sizes": (16,), "max_epochs": 4, "batch_size": 50,
    "device": "cpu", "random_state": 0,
}  # fmt: skip


class Killed(BaseException):
    """Nothing in the package catches it."""


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


def killed_and_continued(X: np.ndarray, path: Path, **parameters: Any) -> MIGEEncoder:
    """Killed in the third of four epochs of three batches."""
    settings = {**SMALL, **parameters}
    with pytest.raises(Killed):
        MIGEEncoder(**settings, callbacks=[Checkpoint(path), KillAt(8)]).fit(X)
    return MIGEEncoder(**settings, callbacks=[Checkpoint(path)]).fit(X)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"lr_schedule": "exponential", "lr_decay": 0.5},
        {"mi_estimator": "infonce", "prior_weight": 1.0},
        {"mi_estimator": "mine"},
    ],
    ids=["mige", "exponential", "critic and adversary", "moving average"],
)
def test_a_killed_fit_ends_as_one_that_was_not(
    X: np.ndarray, tmp_path: Path, parameters: dict[str, Any]
) -> None:
    whole = MIGEEncoder(**{**SMALL, **parameters}).fit(X)
    pieces = killed_and_continued(X, tmp_path / "run.pt", **parameters)
    np.testing.assert_array_equal(pieces.transform(X), whole.transform(X))
    assert [row["epoch"] for row in pieces.history_] == [1, 2, 3, 4]
    losses = [[row["train_loss"] for row in e.history_] for e in (whole, pieces)]
    assert losses[0] == losses[1]


class Explode(Callback):
    """Stands for a third epoch whose last step sent a weight to infinity."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == 3:
            with torch.no_grad():
                next(net.module_.parameters()).fill_(torch.inf)


@pytest.mark.filterwarnings("ignore:the loss became infinite")
def test_a_run_that_diverges_after_going_on_returns_to_its_last_good_weights(
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
    X: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_and_continued(X, tmp_path / "run.pt", verbose=1)
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
        ({"mi_estimator": "jsd"}, "another objective"),
        ({"lr": 0.02}, r"another run: its lr was 0\.001, here it is 0\.02"),
        ({"random_state": 1}, "its random_state was 0, here it is 1"),
        ({"score_estimator": SSGEScoreEstimator(eigen_threshold=0.9)}, "its score_estimator"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    X: np.ndarray, tmp_path: Path, changed: dict[str, Any], named: str
) -> None:
    path = tmp_path / "run.pt"
    MIGEEncoder(**SMALL, callbacks=[Checkpoint(path)]).fit(X)
    with pytest.raises(ValueError, match=named):
        MIGEEncoder(**{**SMALL, **changed}, callbacks=[Checkpoint(path)]).fit(X)


def test_a_search_does_not_take_one_candidate_for_another(X: np.ndarray, tmp_path: Path) -> None:
    """Each of its fits is a run of its own; the first one's file is not theirs."""
    encoder = MIGEEncoder(**SMALL, mode="ib", callbacks=[Checkpoint(tmp_path / "run.pt")])
    y = (X[:, 0] > 0).astype(int)
    search = GridSearchCV(encoder, {"beta": [0.0, 0.1]}, cv=2, error_score="raise")
    with pytest.raises(ValueError, match=r"another run: its (rows|beta) was"):
        search.fit(X, y)


def test_a_finished_run_can_be_made_longer_and_seen_elsewhere(
    X: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "run.pt"
    MIGEEncoder(**SMALL, callbacks=[Checkpoint(path)]).fit(X)
    longer = {**SMALL, "max_epochs": 6, "device": "auto", "lr": np.float64(0.001)}
    assert MIGEEncoder(**longer, callbacks=[Checkpoint(path)]).fit(X).n_iter_ == 6


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04"])
def test_a_damaged_file_is_named(X: np.ndarray, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.pt is damaged or no checkpoint"):
        MIGEEncoder(**SMALL, callbacks=[Checkpoint(path)]).fit(X)


def test_a_file_of_other_tensors_is_no_checkpoint(X: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="no checkpoint of this version"):
        MIGEEncoder(**SMALL, callbacks=[Checkpoint(path)]).fit(X)
