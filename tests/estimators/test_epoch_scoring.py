"""skorch's scoring of predicted classes, predicted values, or representations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skorch.callbacks import EpochScoring

from sk_mige import InfoMax, InformationBottleneck, MIGEEncoder, SSGEScoreEstimator

SMALL: dict[str, Any] = {
    "n_components": 2, "hidden_layer_sizes": (8,), "max_epochs": 3, "batch_size": 32,
    "device": "cpu", "random_state": 0,
}  # fmt: skip


@pytest.fixture
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(160, 4)).astype(np.float32)


@pytest.mark.parametrize("head", ["gaussian", "implicit"])
def test_accuracy_of_held_out_rows_is_recorded(X: np.ndarray, head: str) -> None:
    y = np.where(X[:, 0] > 0, "b", "a")
    scoring = EpochScoring("accuracy", lower_is_better=False, name="valid_acc")
    encoder = MIGEEncoder(
        **SMALL | {"lr": 1e-2, "max_epochs": 20}, mode=InformationBottleneck(beta=0.0, head=head),
        validation_fraction=0.25, callbacks=[scoring],
    ).fit(X, y)  # fmt: skip
    accuracies = [row["valid_acc"] for row in encoder.history_]
    assert len(accuracies) == 20
    assert accuracies[-1] > 0.9
    assert all(0 <= accuracy <= 1 for accuracy in accuracies)


def test_errors_of_values_in_training_are_recorded(X: np.ndarray) -> None:
    scoring = EpochScoring("neg_mean_squared_error", on_train=True, name="mse")
    encoder = MIGEEncoder(
        **SMALL | {"lr": 1e-2, "max_epochs": 20},
        mode=InformationBottleneck(task="regression", beta=0.0),
        callbacks=[scoring],
    ).fit(X, 100 + X[:, 0])  # fmt: skip
    errors = [-row["mse"] for row in encoder.history_]
    assert errors[-1] < 0.5 * errors[0]  # of targets at mean 0 and variance 1


def test_a_users_score_is_of_the_representation(X: np.ndarray) -> None:
    seen = []

    def spread(net: Any, rows: Any, y: Any) -> float:
        seen.append(net.predict(rows))
        return float(seen[-1].std())

    scoring = EpochScoring(spread, on_train=True, use_caching=False, name="spread")
    MIGEEncoder(**SMALL, callbacks=[scoring]).fit(X)
    assert {z.shape for z in seen} == {(160, 2)}


@pytest.mark.parametrize(
    "score_estimator",
    [None, SSGEScoreEstimator(eigen_threshold=None, alpha=1e-4)],
    ids=["cut", "ridge"],
)
def test_a_run_that_diverges_ends_at_the_last_good_weights(
    X: np.ndarray, score_estimator: Any
) -> None:
    with pytest.warns(match="training stopped and the weights of the last finite loss are kept"):
        encoder = MIGEEncoder(
            **SMALL | {"lr": 1e30, "max_epochs": 5}, score_estimator=score_estimator,
            mode=InfoMax(output_scale=None), lr_schedule="constant", optimizer="adam",
        ).fit(X)  # fmt: skip
    for weights in encoder.module_.parameters():
        assert weights.isfinite().all()


def test_the_net_answers_in_the_order_of_the_rows(X: np.ndarray) -> None:
    y = np.where(X[:, 0] > 0, 1, 0)
    encoder = MIGEEncoder(**SMALL, mode=InformationBottleneck(n_prediction_samples=0)).fit(X, y)
    np.testing.assert_allclose(
        encoder.net_.predict_proba(X), encoder.predict_proba(X), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_array_equal(encoder.net_.predict(X), encoder.predict(X))
