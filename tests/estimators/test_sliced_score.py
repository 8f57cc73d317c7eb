"""Training of SlicedScoreMatching: interruptions, divergence, verbosity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from sk_mige import SlicedScoreMatching
from sk_mige.estimators import _sliced_score
from sk_mige.networks import ScoreNetwork

from .conftest import interrupt_at

SMALL: dict[str, Any] = {
    "hidden_layer_sizes": (8,), "max_epochs": 3, "batch_size": 25, "device": "cpu",
    "random_state": 0,
}  # fmt: skip
X = np.random.default_rng(0).normal(size=(100, 2))


def test_ctrl_c_leaves_a_usable_estimator(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at(6, monkeypatch)  # four steps in an epoch
    estimator = SlicedScoreMatching(**SMALL)
    with pytest.warns(UserWarning, match="interrupted in epoch 2; the estimator keeps"):
        estimator.fit(X)
    assert estimator.n_iter_ == len(estimator.history_) == 1
    monkeypatch.undo()
    once = SlicedScoreMatching(**{**SMALL, "max_epochs": 1}).fit(X)
    assert estimator.history_[0]["train_loss"] == once.history_[0]["train_loss"]
    assert np.isfinite(estimator.transform(X)).all()


def test_a_later_loss_that_is_not_finite_keeps_the_last_good_weights() -> None:
    with pytest.warns(ConvergenceWarning, match="last finite loss are kept: use a smaller lr"):
        estimator = SlicedScoreMatching(**SMALL | {"lr": 1e30}).fit(X)
    assert np.isfinite(estimator.transform(X)).all()
    assert estimator.n_iter_ == len(estimator.history_)


def test_held_out_rows_show_that_many_epochs_on_few_rows_overfit() -> None:
    rows, fresh = np.random.default_rng(0).normal(size=(2, 500, 20))
    few, many = (SlicedScoreMatching(max_epochs=n, random_state=0).fit(rows) for n in (10, 100))
    errors = [np.mean((fitted.transform(fresh) + fresh) ** 2) for fitted in (few, many)]
    assert errors[0] < 0.03 < 1 < errors[1]  # the mean square of the scores is 1
    assert many.score(fresh) < 0 < few.score(fresh) < many.score(rows)


def test_a_first_loss_that_is_not_finite_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(output: Any, x: Any, y: Any) -> torch.Tensor:
        return output.score.sum() * torch.nan

    monkeypatch.setattr(_sliced_score, "sliced_score_matching_loss", broken)
    with pytest.raises(ValueError, match="step 1 of epoch 1, before any weight.*finite values"):
        SlicedScoreMatching(**SMALL).fit(X)


def test_verbose_shows_a_bar_or_lines(
    capfd: pytest.CaptureFixture[str],
) -> None:
    SlicedScoreMatching(**SMALL).fit(X)
    assert "".join(capfd.readouterr()) == ""
    SlicedScoreMatching(**SMALL, verbose=1).fit(X)
    assert "SlicedScoreMatching: 3.0/3 epochs" in capfd.readouterr().err
    SlicedScoreMatching(**SMALL, verbose=2).fit(X)
    assert "train_loss" in capfd.readouterr().out


def test_a_learning_rate_that_makes_the_scores_worse_than_zero_is_warned_of() -> None:
    X = np.random.default_rng(0).normal(size=(200, 2))
    with pytest.warns(ConvergenceWarning, match="diverged with lr=10: pass a smaller lr"):
        SlicedScoreMatching(max_epochs=3, lr=10.0, random_state=0).fit(X)


@pytest.mark.parametrize("sizes", [(), (5,), (5, 4), (5, 4, 6), (3, 5, 4, 2)])
def test_the_divergence_is_the_weighted_trace_of_the_jacobian(sizes: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    network = ScoreNetwork(3, sizes)
    for weight in network.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
    x, root = torch.randn(2, 7, 3, generator=generator).double()
    metric = root.mT @ root
    found = network.divergence(metric)(x)
    network = network.double()
    jacobians = torch.func.vmap(torch.func.jacrev(network.score))(x)
    torch.testing.assert_close(found, (jacobians * metric).sum((1, 2)))


def test_the_score_of_an_untrained_network_is_that_of_the_gaussian() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 3)) * [1, 10, 0.1] @ np.tri(3)
    estimator = SlicedScoreMatching(**SMALL | {"lr": 1e-12}).fit(rows)
    precision = np.linalg.inv(np.cov(rows.T, bias=True))
    # The Hyvärinen loss of N(mean, C) on its own moments is -tr(C^-1) / 2.
    assert estimator.score(rows) == pytest.approx(np.trace(precision) / 2, rel=0.05)
