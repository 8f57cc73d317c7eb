"""Nearest neighbours by cosine similarity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from sk_mige import NonLinearProbe, WeightedKNNClassifier

X, Y = load_digits(return_X_y=True)


def test_votes_are_those_of_the_formula() -> None:
    def votes(distances: np.ndarray) -> np.ndarray:
        return np.exp((1 - distances) / 0.1)

    reference = KNeighborsClassifier(50, metric="cosine", weights=votes).fit(X[:900], Y[:900])
    model = WeightedKNNClassifier(50).fit(X[:900], Y[:900])
    np.testing.assert_allclose(
        model.predict_proba(X[900:]), reference.predict_proba(X[900:]), atol=1e-9
    )
    assert model.score(X[900:], Y[900:]) > 0.93


def test_all_rows_vote_if_there_are_few() -> None:
    few = WeightedKNNClassifier(200).fit(X[:20], Y[:20])
    all_rows = WeightedKNNClassifier(20).fit(X[:20], Y[:20])
    np.testing.assert_array_equal(few.predict_proba(X), all_rows.predict_proba(X))


@pytest.mark.parametrize("temperature", [1e-8, 1e8])
def test_extreme_temperatures_give_the_nearest_row_or_equal_votes(temperature: float) -> None:
    model = WeightedKNNClassifier(temperature=temperature).fit(X[:100], Y[:100])
    found = model.predict_proba(X[:100])
    np.testing.assert_allclose(found.sum(1), 1)
    if temperature > 1:
        np.testing.assert_allclose(found, np.tile(np.bincount(Y[:100]) / 100, (100, 1)))
    else:
        np.testing.assert_array_equal(model.predict(X[:100]), Y[:100])


def test_labels_are_text_or_numbers() -> None:
    names = np.array(list("abcdefghij"))[Y]
    model = WeightedKNNClassifier(20).fit(X[:500], names[:500])
    expected = WeightedKNNClassifier(20).fit(X[:500], Y[:500])
    np.testing.assert_array_equal(
        model.predict(X), np.array(list("abcdefghij"))[expected.predict(X)]
    )


@pytest.mark.parametrize(
    ("unit", "dtype"),
    [
        (1e-300, "f8"),
        (1e-150, "f8"),
        (1e306, "f8"),
        (1e-37, "f4"),
        (1.6e-19, "f4"),
        (1.99e30, "f4"),
    ],
)
def test_cosines_do_not_depend_on_a_common_unit(unit: float, dtype: str) -> None:
    scaled = (X[:60] * unit).astype(dtype)
    expected = WeightedKNNClassifier(9).fit(X[:50], Y[:50]).predict_proba(X[50:60])
    found = WeightedKNNClassifier(9).fit(scaled[:50], Y[:50]).predict_proba(scaled[50:])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_changes_of_the_training_array_after_fit_have_no_effect() -> None:
    rows = X[:90].copy()
    model = WeightedKNNClassifier(9).fit(rows, Y[:90])
    expected = model.predict_proba(X[90:95])
    rows[:] = 1
    np.testing.assert_array_equal(model.predict_proba(X[90:95]), expected)


@pytest.mark.parametrize("parameters", [{"temperature": 0}, {"n_neighbors": "a"}])
def test_parameters_that_are_set_after_fit_are_checked(parameters: dict[str, Any]) -> None:
    model = WeightedKNNClassifier(9).fit(X[:90], Y[:90]).set_params(**parameters)
    with pytest.raises(ValueError, match=f"The '{next(iter(parameters))}' parameter"):
        model.predict(X)


def test_few_rows_per_label_are_no_reason_to_warn() -> None:
    X, y = np.random.default_rng(0).normal(size=(30, 3)), np.r_[np.arange(18), np.arange(12)]
    assert WeightedKNNClassifier(1).fit(X, y).score(X, y) == 1
    assert NonLinearProbe(4, max_epochs=1).fit(X, y).score(X, y) <= 1
