"""Nearest neighbours by cosine similarity."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from sk_mige import WeightedKNNClassifier

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
