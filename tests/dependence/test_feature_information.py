"""feature_information: a score function that detects nonlinear dependence."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sk_mige import MutualInfoEstimator, feature_information

QUICK = MutualInfoEstimator(
    ["gaussian", "neighbors", "linear", "boosting"], random_state=0, device="cpu"
)
# Small samples keep the tests fast.
pytestmark = pytest.mark.filterwarnings("ignore:.*has a wide 90 % interval with 1?[0-9]00 rows")

score = partial(feature_information, estimator=QUICK)


def oscillation(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return six features and the sign of sin(8 x) of the third."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 6))
    return X, np.where(np.sin(8 * X[:, 2]) > 0, "high", "low")


def parity(n: int) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).integers(2, size=(n, 6))
    return X, X[:, 2] ^ X[:, 3]


def test_an_oscillation_is_selected_where_linear_scores_fail() -> None:
    X, y = oscillation(500)
    assert SelectKBest(score, k=1).fit(X, y).get_support(indices=True) == [2]
    assert 0.4 < score(X, y)[2] <= np.log(2)
    assert f_classif(X, y)[0].argmax() != 2


def test_an_oscillating_target_may_be_continuous() -> None:
    X, _ = oscillation(1000)
    y = np.sin(8 * X[:, 2]) + 0.2 * np.random.default_rng(1).standard_normal(1000)
    scores = score(X[:, 1:4], y)
    assert scores[1] > 0.5
    assert max(scores[0], scores[2]) < 0.05


def test_a_parity_is_detected_in_its_group_only() -> None:
    X, y = parity(800)
    groups = ["a", "a", "b", "b", "c", "c"]
    np.testing.assert_allclose(score(X, y), np.zeros(6), atol=0.01)
    np.testing.assert_allclose(
        score(X, y, groups=groups), [0, 0, np.log(2), np.log(2), 0, 0], atol=0.01
    )
    assert f_classif(X, y)[1].min() > 0.05


def test_selection_is_searched_inside_a_pipeline() -> None:
    X, y = parity(300)
    X = np.hstack([X, np.random.default_rng(1).integers(2, size=X.shape)])
    pairs = partial(score, groups=np.arange(12) // 2)
    pipeline = make_pipeline(SelectKBest(pairs), KNeighborsClassifier())
    search = GridSearchCV(pipeline, {"selectkbest__k": [2, 12]}, cv=3).fit(X, y)
    assert search.best_params_ == {"selectkbest__k": 2}
    assert search.best_score_ > 0.99


def test_groups_may_mix_labels_and_numbers() -> None:
    rng = np.random.default_rng(0)
    k, x = rng.integers(2, size=1000), rng.standard_normal(1000)
    y = np.where(k, x, -x) + 0.5 * rng.standard_normal(1000)
    single, pair = (score(np.column_stack([k, x]), y, groups=g) for g in (None, [0, 0]))
    assert pair.min() > single.max() + 0.2


def test_units_change_no_score() -> None:
    X, y = oscillation(200)
    np.testing.assert_allclose(score(X * [1e9, 1, 1e-9, 1, 1, 1], y), score(X, y), atol=1e-9)
    # The thresholds of random trees depend on the sign of a column.
    np.testing.assert_allclose(score(X * [1, 1, 1, 1, 1, -1], y), score(X, y), atol=1e-3)


def test_constant_features_have_no_information() -> None:
    y = oscillation(100)[1]
    assert score(np.ones((100, 2)), y).tolist() == [0, 0]


def test_unresolved_and_infinite_information_is_warned_of() -> None:
    X, _ = oscillation(200)
    with pytest.warns(UserWarning, match=r"X's columns \[1\] is infinite"):
        assert np.isinf(score(X[:, :2], X[:, 1] ** 3)[1])
    with pytest.warns(
        UserWarning, match=r"X's columns \[0\] has a wide 90 % interval with 30 rows"
    ):
        score(X[:30, :1], np.exp(X[:30, 0] + 0.05 * X[:30, 1]))


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (np.zeros((20, 3)), {"groups": [0, 1]}, r"each of the 3 features; got shape \(2,\)"),
        (np.zeros((19, 3)), {}, "X, y must have the same number of rows; got 19, 20"),
        (np.zeros((20, 3)), {"groups": [0, None, 1]}, "groups contains None in 1 of 3 places"),
        (np.zeros((20, 3)), {"groups": [0, np.nan, 1]}, "groups contains NaN in 1 of 3 places"),
        (np.full((20, 3), np.nan), {}, "X contains NaN"),
        (sp.csr_array((20, 3)), {}, "X is a sparse matrix; pass X.toarray()"),
    ],
)
def test_bad_input_is_named(X, options: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        score(X, np.arange(20.0), **options)
