"""SlicedScoreMatching while it trains: interrupted, and telling of its epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sk_mige import SlicedScoreMatching

from .conftest import interrupt_at

SMALL: dict[str, Any] = {
    "hidden_layer_sizes": (8,), "max_epochs": 3, "batch_size": 25, "device": "cpu",
    "random_state": 0,
}  # fmt: skip
X = np.random.default_rng(0).normal(size=(100, 2))


def test_ctrl_c_leaves_a_usable_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at(6, monkeypatch)  # of four steps an epoch
    estimator = SlicedScoreMatching(**SMALL)
    with pytest.warns(UserWarning, match="interrupted in epoch 2; the estimator keeps"):
        estimator.fit(X)
    assert estimator.n_iter_ == len(estimator.history_) == 1
    monkeypatch.undo()
    once = SlicedScoreMatching(**{**SMALL, "max_epochs": 1}).fit(X)
    assert estimator.history_[0]["train_loss"] == once.history_[0]["train_loss"]
    assert np.isfinite(estimator.transform(X)).all()


def test_the_bar_or_the_lines_are_shown_that_are_asked_for(
    capfd: pytest.CaptureFixture[str],
) -> None:
    SlicedScoreMatching(**SMALL).fit(X)
    assert "".join(capfd.readouterr()) == ""
    SlicedScoreMatching(**SMALL, verbose=1).fit(X)
    assert "SlicedScoreMatching: 3.0/3 epochs" in capfd.readouterr().err
    SlicedScoreMatching(**SMALL, verbose=2).fit(X)
    assert "train_loss" in capfd.readouterr().out
