"""The information bottleneck: predictions, tasks, classes, and stability in β."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import is_classifier, is_regressor
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from sk_mige import InfoMax, InformationBottleneck, MIGEEncoder

from .conftest import small

REGRESSION = InformationBottleneck(task="regression")


def sigma(encoder: MIGEEncoder, X: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        code = encoder.module_(torch.as_tensor(X, dtype=torch.float32))
    return code.conditional[1].numpy()


@pytest.mark.parametrize("head", ["gaussian", "deterministic"])
def test_bottleneck_classifies_held_out_digits(
    head: str, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits
    mode = InformationBottleneck(head=head)
    encoder = small(mode, n_components=8, hidden_layer_sizes=(64,), max_epochs=15, lr=3e-3)
    encoder.fit(X[:1200], y[:1200])
    assert encoder.score(X[1200:], y[1200:]) > 0.85
    assert encoder.transform(X).shape == (1797, 8)
    probabilities = encoder.predict_proba(X[1200:])
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_array_equal(
        encoder.classes_[probabilities.argmax(1)], encoder.predict(X[1200:])
    )


def test_a_larger_beta_leaves_less_information(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    noise = []
    for beta in (0.0, 1e-2, 1.0):
        encoder = small(InformationBottleneck(beta=beta), max_epochs=15, lr=1e-2)
        encoder.fit(X[:600], y[:600])
        # Noise against the differences between rows.
        noise.append(float((sigma(encoder, X) / encoder.transform(X).std(0)).mean()))
    assert noise[0] < noise[1] < noise[2]


# Ten epochs are too few to reach every limit.
@pytest.mark.filterwarnings("ignore:I.z; x. is .* nats:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("head", ["gaussian", "deterministic", "implicit"])
@settings(max_examples=4)
@given(
    beta=st.floats(0, 1),
    n_components=st.sampled_from([2, 16, 256]),
    options=st.sampled_from(
        [{}, {"information": "variational"}, {"max_information": 1.0}, {"task": "regression"}]
    ),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_training_is_stable_for_any_beta_and_width(
    head: str, beta: float, n_components: int, options: dict[str, Any], dtype: type
) -> None:
    X = np.random.default_rng(0).normal(size=(256, 5)).astype(dtype)
    if head == "implicit":
        n_components, options = min(n_components, 16), {}
    elif head == "deterministic":
        options = {name: options[name] for name in options if name == "task"}
    y = X[:, 0] if "task" in options else (X[:, 0] > 0).astype(int)
    mode = InformationBottleneck(beta=beta, head=head, **options)
    encoder = small(mode, n_components=n_components, max_epochs=10, lr=1e-2).fit(X, y)
    assert np.isfinite(encoder.history_[-1]["train_loss"])
    Z = encoder.transform(X)
    assert Z.dtype == dtype
    assert np.abs(Z).max() < 1e3
    if head == "gaussian":
        # Without a bound on the noise's entropy, σ grew to 40 and more.
        assert sigma(encoder, X).max() < 10


def test_regression_returns_to_the_units_of_its_targets(rng: np.random.Generator) -> None:
    X = rng.normal(size=(300, 4))
    y = 1e4 + 1e3 * X[:, :2]
    encoder = small(REGRESSION, max_epochs=60, lr=1e-2).fit(X, y)
    assert encoder.task_ == "regression"
    assert encoder.predict(X).shape == (300, 2)
    assert encoder.score(X, y) > 0.8
    assert encoder.fit(X, y[:, 0]).predict(X).shape == (300,)


def test_predictions_are_absent_without_a_bottleneck_and_without_classes(
    rng: np.random.Generator,
) -> None:
    for name in ("predict", "predict_proba"):
        assert not hasattr(MIGEEncoder(), name)
        assert not hasattr(MIGEEncoder(mode="unknown"), name)
        assert not hasattr(MIGEEncoder(mode=lambda code, x, y: code.z.mean()), name)
        assert hasattr(MIGEEncoder(mode="ib"), name)
    with pytest.raises(AttributeError) as caught:
        MIGEEncoder().predict  # noqa: B018
    assert "use mode='ib'" in f"{caught.value} {caught.value.__cause__}"
    assert hasattr(MIGEEncoder(mode=REGRESSION), "predict")
    assert not hasattr(MIGEEncoder(mode=REGRESSION), "predict_proba")
    fitted = small(REGRESSION).fit(rng.normal(size=(50, 2)), rng.normal(size=50))
    assert not hasattr(fitted, "predict_proba")


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.arange(60) % 3, "classification"),
        (np.array(["b", "a"] * 30), "classification"),
        (np.arange(60) % 2 == 0, "classification"),
        (np.linspace(0, 1, 60), "regression"),
        (np.arange(60) % 3, "regression"),
        (np.random.default_rng(0).normal(size=(60, 2)), "regression"),
    ],
    ids=["integers", "strings", "booleans", "values", "whole values", "several values"],
)
def test_each_task_takes_its_targets(y: np.ndarray, task: str, rng: np.random.Generator) -> None:
    encoder = small(InformationBottleneck(task=task)).fit(rng.normal(size=(60, 2)), y)
    assert encoder.task_ == task
    assert is_classifier(encoder) == (task == "classification")
    assert is_regressor(encoder) == (task == "regression")
    assert hasattr(encoder, "classes_") == (task == "classification")
    expected = "f" if task == "regression" else y.dtype.kind
    assert encoder.predict(rng.normal(size=(5, 2))).dtype.kind == expected


def test_tags_have_the_task_before_and_after_fit(X: np.ndarray, y: np.ndarray) -> None:
    classifiers = (MIGEEncoder(mode="ib"), MIGEEncoder(mode=InformationBottleneck()))
    for encoder in (*classifiers, small("ib", max_epochs=1).fit(X, y)):
        assert is_classifier(encoder)
        assert not is_regressor(encoder)
        assert get_tags(encoder).target_tags.required
    for encoder in (MIGEEncoder(mode=REGRESSION), small(REGRESSION, max_epochs=1).fit(X, X[:, 0])):
        assert is_regressor(encoder)
        assert not is_classifier(encoder)
        assert get_tags(encoder).target_tags.multi_output
    for mode in ("infomax", InfoMax(), lambda code, x, y: code.z.mean()):
        assert get_tags(MIGEEncoder(mode=mode)).estimator_type is None
        assert not get_tags(MIGEEncoder(mode=mode)).target_tags.required


def test_predictions_do_not_vary_between_calls_or_batches(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = digits
    encoder = small("ib").fit(X, y)
    together = encoder.predict_proba(X[:9])
    np.testing.assert_array_equal(together, encoder.predict_proba(X[:9]))
    np.testing.assert_array_equal(together[4:5], encoder.predict_proba(X[4:5]))
    at_the_mean = encoder.set_params(mode__n_prediction_samples=0).predict_proba(X[:9])
    assert not np.array_equal(together, at_the_mean)


def test_scores_may_be_weighted(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    encoder = small("ib").fit(X, y)
    right = encoder.predict(X) == y
    assert encoder.score(X, y, sample_weight=right) == 1.0


def test_partial_fit_takes_all_classes_in_the_first_call(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = digits
    encoder = small("ib").partial_fit(X[:50], y[:50], classes=np.arange(10))
    encoder.partial_fit(X[50:], y[50:])
    assert encoder.n_iter_ == 2
    assert encoder.predict_proba(X).shape == (1797, 10)


def test_unseen_classes_are_named() -> None:
    X = np.random.default_rng(0).normal(size=(30, 2))
    encoder = small("ib").partial_fit(X, np.arange(30) % 2, classes=[0, 1])
    with pytest.raises(ValueError, match=r"did not receive: \[7\].*fit with warm_start=False"):
        encoder.partial_fit(X, np.full(30, 7))
    with pytest.raises(ValueError, match="differs from the classes of the earlier calls"):
        encoder.partial_fit(X, np.arange(30) % 2, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        small("ib").partial_fit(X, np.arange(30) % 2)


def test_partial_fit_of_values_keeps_their_number_and_scale() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), rng.normal(size=(60, 2))
    encoder = small(REGRESSION).partial_fit(X, y)
    likelihood = encoder.net_.criterion_.likelihood
    encoder.partial_fit(X, 5 * y)
    assert encoder.net_.criterion_.likelihood is likelihood
    assert encoder.predict(X).shape == (60, 2)
    with pytest.raises(ValueError, match="y has 1 targets, but fit received 2"):
        encoder.partial_fit(X, y[:, 0])


@pytest.mark.parametrize("dtype", [float, int])
def test_whole_numbers_are_classes_in_any_type(dtype: type) -> None:
    X = np.random.default_rng(0).normal(size=(60, 4))
    y = (np.arange(60) // 3).astype(dtype)
    encoder = small("ib", max_epochs=1).fit(X, y)
    assert encoder.task_ == "classification"
    np.testing.assert_array_equal(encoder.classes_, np.arange(20))
    assert encoder.predict(X).dtype == dtype


def test_folds_of_rows_sorted_by_class_hold_all_classes() -> None:
    X, y = load_iris(return_X_y=True)
    model = small("ib", max_epochs=40, lr=1e-2)
    assert (np.diff(y) >= 0).all()
    scores = cross_validate(model, X, y, cv=3, return_estimator=True)
    assert [fitted.classes_.tolist() for fitted in scores["estimator"]] == [[0, 1, 2]] * 3
    assert scores["test_score"].min() > 0.85
    np.testing.assert_array_equal(cross_val_score(model, X, y, cv=3), scores["test_score"])


def test_beta_set_between_calls_is_used(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits
    encoder = small(InformationBottleneck(beta=0.0), warm_start=True).fit(X, y)
    assert encoder.net_.criterion_.beta == 0
    encoder.set_params(mode__beta=0.5, lr=1e-4).fit(X, y)
    assert encoder.net_.criterion_.beta == 0.5
    assert encoder.net_.optimizer_.param_groups[0]["lr"] == 1e-4


def test_grid_search_over_beta_in_a_pipeline(digits: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = digits[0][:300], digits[1][:300]
    pipeline = make_pipeline(StandardScaler(), small("ib", max_epochs=10, lr=1e-2))
    search = GridSearchCV(pipeline, {"migeencoder__mode__beta": [0, 1e-2]}, cv=2).fit(X, y)
    assert search.predict(X).shape == (300,)
    assert search.best_score_ > 0.3
