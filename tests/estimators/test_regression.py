"""The bottleneck's regression: values in the units and the precision of the targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.metrics import r2_score

from sk_mige import InformationBottleneck, MIGEEncoder

from .conftest import small


def regressor(**parameters: Any) -> MIGEEncoder:
    return small(InformationBottleneck(task="regression"), **parameters)


@pytest.mark.parametrize("rows", ["float32", "float64", "uint8"])
@pytest.mark.parametrize(
    ("targets", "expected"), [("float32", "float32"), ("float64", "float64"), ("int64", "float64")]
)
def test_predicted_values_have_the_type_of_the_targets_not_of_the_rows(
    rng: np.random.Generator, rows: str, targets: str, expected: str
) -> None:
    X = rng.integers(0, 200, size=(60, 4)).astype(rows)
    encoder = regressor(max_epochs=1).fit(X, X[:, 0].astype(targets))
    assert encoder.predict(X).dtype == expected


def test_values_far_from_zero_are_not_rounded_to_the_precision_of_the_rows(
    rng: np.random.Generator,
) -> None:
    X = rng.normal(size=(200, 4)).astype(np.float32)
    seconds = 1.7e9 + 10 * X[:, 0].astype(np.float64)
    encoder = regressor(max_epochs=40, lr=1e-2).fit(X, seconds)
    assert encoder.score(X, seconds) > 0.9
    assert encoder.score(X, seconds) == pytest.approx(r2_score(seconds, encoder.predict(X)))


def test_the_score_of_values_is_that_of_predictions_before_they_are_rounded(
    rng: np.random.Generator,
) -> None:
    X = rng.normal(size=(200, 4)).astype(np.float32)
    y = (1e6 + X[:, 0]).astype(np.float32)
    encoder = regressor(max_epochs=20, lr=1e-2).fit(X, y)
    exact = regressor(max_epochs=20, lr=1e-2).fit(X, y.astype(np.float64))
    assert encoder.score(X, y) == exact.score(X, y)


def test_tensors_predict_tensors_of_the_targets_type(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    X = torch.as_tensor(rng.normal(size=(60, 4)), dtype=torch.float32)
    y = X[:, 0].double()
    with config_context(array_api_dispatch=True):
        encoder = regressor().fit(X, y)
        assert encoder.predict(X).dtype == torch.float64
        assert encoder.fit(X, y.float()).predict(X).dtype == torch.float32


@pytest.mark.parametrize("unit", [1e-300, 1e-150, 1e30, 1e150, 1e300])
def test_the_score_does_not_depend_on_the_unit_of_the_targets(
    rng: np.random.Generator, unit: float
) -> None:
    X = rng.normal(size=(60, 4))
    expected = regressor(max_epochs=1).fit(X, X[:, :2]).score(X, X[:, :2])
    targets = unit * X[:, :2]
    assert regressor(max_epochs=1).fit(X, targets).score(X, targets) == pytest.approx(expected)


def test_targets_far_beyond_those_of_fit_have_a_finite_score(rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 4))
    score = regressor(max_epochs=1).fit(X, X[:, 0]).score(X, 1e200 * X[:, 0])
    assert score == pytest.approx(0, abs=0.1)


def test_draws_that_are_set_after_fit_are_checked(rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 4))
    encoder = regressor(max_epochs=1).fit(X, X[:, 0]).set_params(mode__n_prediction_samples=-5)
    with pytest.raises(ValueError, match="The 'n_prediction_samples' parameter"):
        encoder.predict(X)


def test_one_absurd_target_is_warned_of(rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 4))
    y = X[:, :2].copy()
    y[0, 1] = -9999.0
    with pytest.warns(UserWarning, match="of the values of y's column 1, such as -9999"):
        regressor(max_epochs=1).fit(X, y)


@pytest.mark.parametrize("value", [1e6, 1 / 3, 0.0, 1e300])
def test_constant_targets_are_predicted_exactly(value: float, rng: np.random.Generator) -> None:
    X = rng.normal(size=(100, 3))
    y = np.full((100, 1), value)
    both = np.c_[X[:, :1], y]
    model = regressor().fit(X, both)
    np.testing.assert_array_equal(model.predict(X)[:, 1], y[:, 0])
    first = r2_score(X[:, 0], model.predict(X)[:, 0])
    assert model.score(X, both) == pytest.approx((first + 1) / 2)


def test_targets_that_vary_only_in_later_calls_are_learned(rng: np.random.Generator) -> None:
    X = rng.normal(size=(100, 3))
    warm = regressor(warm_start=True).fit(X, np.ones(100))
    stream = regressor().partial_fit(X, np.ones(100))
    for encoder in (warm.fit(X, X[:, 0]), stream.partial_fit(X, X[:, 0])):
        assert len(np.unique(encoder.predict(X))) == 100


def test_batches_with_different_constant_targets_are_learned(rng: np.random.Generator) -> None:
    X = rng.normal(size=(100, 3))
    stream = regressor().partial_fit(X, np.ones(100)).partial_fit(X, np.full(100, 5.0))
    assert len(np.unique(stream.predict(X))) == 100
