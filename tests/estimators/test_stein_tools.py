"""KernelSteinTest and SteinThinning: sources of scores, level and power, and selections."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch import from_numpy

from sk_mige import (
    KernelSteinTest,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SteinScoreEstimator,
    SteinThinning,
)
from sk_mige.datasets import GaussianMixtureScore, make_banana, make_gaussian
from sk_mige.score import stein_kernel

TOOLS = {"test": KernelSteinTest, "thinning": SteinThinning}


def minus(x):
    """Return the score of N(0, I)."""
    return -x


def minus_in_place(x):
    """Return the score of N(0, I) in the array of the argument."""
    x *= -1
    return x


def normal(n=200, d=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def p_values(make, score=minus, runs=60):
    """Return the p-values of tests on independent data sets."""
    test = KernelSteinTest(score, n_bootstrap=99, random_state=0)
    return np.array([test.fit(make(seed)).p_value_ for seed in range(runs)])


def seed(tool):
    """Return the seed of a tool, if it has one."""
    return {"random_state": 0} if tool == "test" else {}


def result(tool):
    return tool.indices_ if isinstance(tool, SteinThinning) else tool.replicates_


@pytest.mark.parametrize("d", [1, 2, 10])
def test_p_values_are_uniform_under_the_null_hypothesis(d):
    found = np.sort(p_values(lambda seed: normal(100, d, seed), runs=200))
    steps = (1 + np.arange(200)) / 200
    assert np.abs(found - steps).max() < 1.36 / 200**0.5  # Kolmogorov's 5 % quantile


def test_p_values_of_rows_in_a_plane_are_uniform():
    mixing = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    precision = np.linalg.pinv(mixing.T @ mixing)
    p = p_values(lambda seed: normal(100, seed=seed) @ mixing, lambda x: -x @ precision)
    assert 0.35 < p.mean() < 0.65
    assert (
        p_values(lambda seed: 2 * normal(100, seed=seed) @ mixing, lambda x: -x @ precision, runs=5)
        < 0.05
    ).all()


def test_estimated_scores_of_rows_in_a_plane_fit():
    mixing = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    estimator = SSGEScoreEstimator().fit(normal(500, seed=100) @ mixing)
    p = p_values(lambda seed: normal(100, seed=seed) @ mixing, estimator, runs=20)
    assert p.mean() > 0.25


def test_a_selection_of_rows_in_a_plane_is_that_of_the_plane():
    X, axes = normal(), np.linalg.qr(normal(3, 2, seed=1))[0]
    options = {"n_points": 20, "preconditioner": None}
    found = SteinThinning(**options).fit(X @ axes.T, -X @ axes.T)
    assert found.indices_.tolist() == SteinThinning(**options).fit(X, -X).indices_.tolist()


def test_power_grows_with_the_shift():
    rates = [
        (p_values(lambda seed, shift=shift: normal(100, 2, seed) + shift) <= 0.05).mean()
        for shift in (0.0, 0.1, 0.2, 0.4)
    ]
    assert rates == sorted(rates)
    assert rates[0] < 0.15
    assert rates[-1] > 0.95


@pytest.mark.parametrize("change", [lambda x: 0.7 * x, lambda x: x**3 / 15**0.5])
def test_other_variances_and_shapes_are_detected(change):
    assert (p_values(lambda seed: change(normal(200, 2, seed)), runs=20) <= 0.05).all()


def test_wrong_weights_of_far_modes_are_not_detected():
    """The score near a mode does not depend on the weights, as stated in the guide."""
    far = np.array([10.0, 0.0])
    score = GaussianMixtureScore([-far, far])
    found = p_values(lambda seed: normal(200, 2, seed) + far, score)
    assert (found <= 0.05).mean() < 0.15


def test_the_p_value_counts_replicates_above_the_statistic():
    test = KernelSteinTest(minus, n_bootstrap=49, random_state=0).fit(normal() + 0.1)
    exceeding = int((test.replicates_ >= test.statistic_).sum())
    assert test.p_value_ == (1 + exceeding) / 50


def test_repeated_rows_of_a_chain_are_warned_of():
    with pytest.warns(UserWarning, match="50 of the 250 rows are copies.*every k-th row"):
        KernelSteinTest(minus, n_bootstrap=9).fit(np.concatenate([normal(), normal()[:50]]))


def chain(n, correlation):
    """Return n states of a Markov chain whose stationary density is N(0, I)."""
    X = normal(n)
    for k in range(1, n):
        X[k] = correlation * X[k - 1] + (1 - correlation**2) ** 0.5 * X[k]
    return X


def test_autocorrelated_rows_of_a_chain_are_warned_of():
    with pytest.warns(UserWarning, match=r"of 0.[89]\d* at lag 1,.*every k-th row"):
        KernelSteinTest(minus, n_bootstrap=9).fit(chain(400, 0.9))


def test_chains_that_take_turns_are_warned_of():
    turns = np.stack([chain(100, 0.9), 1 - chain(100, 0.9)[::-1] ** 3], axis=1).reshape(200, -1)
    with pytest.warns(UserWarning, match="at lag 2, as in a Markov chain"):
        KernelSteinTest(minus, n_bootstrap=9).fit(turns)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [2, 30, 1000])
def test_independent_rows_are_not_warned_of(n):
    rows = normal(n, 4)
    KernelSteinTest(minus, n_bootstrap=9).fit(np.c_[rows, rows[:, 0] > 0, rows[:, 1] ** 3])


def test_a_test_on_the_rows_of_the_fit_is_warned_of():
    estimator = SSGEScoreEstimator().fit(normal())
    with pytest.warns(UserWarning, match="was fitted to some of the rows.*to other rows"):
        KernelSteinTest(estimator, n_bootstrap=9).fit(
            np.concatenate([normal()[:100], -normal()[:100]])
        )


def test_equal_seeds_give_equal_p_values():
    first, second = (KernelSteinTest(minus, random_state=1).fit(normal()) for _ in range(2))
    assert first.p_value_ == second.p_value_
    np.testing.assert_array_equal(first.replicates_, second.replicates_)


def test_an_estimate_from_other_rows_of_the_density_fits():
    X, _ = make_banana(2000, random_state=0)
    estimator = SSGEScoreEstimator(curl_free=True).fit(X[:1500])
    assert KernelSteinTest(estimator, random_state=0).fit(X[1500:]).p_value_ > 0.05
    assert KernelSteinTest(estimator, random_state=0).fit(normal(500)).p_value_ < 0.01


@pytest.mark.parametrize("tool", TOOLS)
def test_all_sources_of_scores_give_equal_results(tool):
    X = normal()
    estimator = SSGEScoreEstimator().fit(normal(seed=1))
    options = {"random_state": 0} if tool == "test" else {}
    given = TOOLS[tool](**options).fit(X, estimator.transform(X))
    for source in (estimator, estimator.transform):
        found = TOOLS[tool](score_estimator=source, **options).fit(X)
        np.testing.assert_array_equal(result(found), result(given))


@pytest.mark.parametrize("estimator", [SteinScoreEstimator(), SSGEScoreEstimator(curl_free=True)])
def test_an_unfitted_estimator_is_fitted_to_the_rows(estimator):
    X = normal()
    found = SteinThinning(20, estimator).fit(X)
    expected = SteinThinning(20).fit(X, clone(estimator).fit(X).transform(X))
    np.testing.assert_array_equal(found.indices_, expected.indices_)
    assert found.score_estimator_ is not estimator


def test_a_score_network_is_a_source_of_scores():
    network = SlicedScoreMatching(hidden_layer_sizes=(8,), max_epochs=2, random_state=0)
    assert SteinThinning(5, network).fit(normal()).indices_.shape == (5,)


def test_the_default_source_of_thinning_is_an_estimate_from_the_rows():
    X = normal()
    found = SteinThinning(20).fit(X)
    expected = SteinThinning(20, SSGEScoreEstimator(random_state=0)).fit(X)
    np.testing.assert_array_equal(found.indices_, expected.indices_)


def test_a_fitted_estimator_is_not_fitted_again():
    estimator = SSGEScoreEstimator().fit(normal(seed=1))
    assert SteinThinning(5, estimator).fit(normal()).score_estimator_ is estimator
    assert estimator.n_samples_seen_ == 200


def test_estimated_scores_select_nearly_as_well_as_exact_scores():
    X, score = make_gaussian(2000, 10, condition_number=5.0, random_state=0)
    exact = stein_kernel(from_numpy(X), from_numpy(score(X)), bandwidth="scaled-median")
    estimated = from_numpy(SteinThinning(50).fit(X).indices_)
    best, found = (exact.take(rows).discrepancy("v") for rows in (exact.thin(50), estimated))
    assert found**0.5 < 1.1 * best**0.5


def test_rows_with_uncertain_scores_are_not_selected():
    """Far from all rows, the estimated score is that of the base, and has a large error."""
    X, score = make_banana(1000, random_state=1)
    exact = stein_kernel(from_numpy(X), from_numpy(score(X)), bandwidth="scaled-median")
    thinning = SteinThinning(50).fit(X)
    naive = SteinThinning(50).fit(X, thinning.score_estimator_.transform(X))
    best, found, worse = (
        exact.take(rows).discrepancy("v") ** 0.5
        for rows in (exact.thin(50), from_numpy(thinning.indices_), from_numpy(naive.indices_))
    )
    assert found < 1.3 * best < worse


def test_selected_values_are_those_of_the_indices():
    X = normal()
    thinning = SteinThinning(7).fit(X)
    np.testing.assert_array_equal(thinning.points_, X[thinning.indices_])
    np.testing.assert_array_equal(thinning.select(np.arange(200)), thinning.indices_)


def test_selected_rows_of_a_data_frame_are_a_data_frame():
    frame = pd.DataFrame(normal(), columns=["a", "b"])
    thinning = SteinThinning(7).fit(frame)
    assert list(thinning.points_.columns) == ["a", "b"]
    assert list(thinning.feature_names_in_) == ["a", "b"]


class Holder:
    def __init__(self, rows):
        self.rows = rows

    def __array__(self, dtype=None, copy=None):
        return np.array(self.rows, dtype=dtype)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("container", [memoryview, Holder])
def test_rows_may_be_anything_that_numpy_reads(tool, container):
    X = normal(30)
    expected = TOOLS[tool](score_estimator=minus, **seed(tool)).fit(X)
    found = TOOLS[tool](score_estimator=minus, **seed(tool)).fit(container(X))
    np.testing.assert_array_equal(result(found), result(expected))
    if tool == "thinning":
        np.testing.assert_array_equal(found.points_, expected.points_)
        np.testing.assert_array_equal(found.select(container(X)), expected.points_)


def test_outliers_that_dominate_the_scale_are_warned_of_with_given_scores():
    X = normal(30)
    scores = -X
    X[3] = 1e4
    with pytest.warns(UserWarning, match="dominate the scale"):
        SteinThinning(5).fit(X, scores)
    assert len(set(SteinThinning(5, preconditioner=None).fit(X, scores).indices_)) == 5


def test_class_labels_are_ignored():
    X = normal()
    labels = (X[:, 0] > 0).astype(int)
    found = SteinThinning(5).fit(X, labels).indices_
    np.testing.assert_array_equal(found, SteinThinning(5).fit(X).indices_)


def test_scores_from_two_sources_are_refused():
    X = normal()
    with pytest.raises(ValueError, match="both y and score_estimator"):
        SteinThinning(5, minus).fit(X, -X)


def test_a_test_without_scores_is_refused():
    with pytest.raises(ValueError, match="needs the score"):
        KernelSteinTest().fit(normal())


def test_a_test_by_an_unfitted_estimator_is_refused():
    with pytest.raises(NotFittedError, match="rows other than those of the test"):
        KernelSteinTest(SSGEScoreEstimator()).fit(normal())


@pytest.mark.parametrize("tool", TOOLS)
def test_scores_of_the_wrong_shape_are_refused(tool):
    X = normal()
    with pytest.raises(ValueError, match=r"shape of X, \(200, 2\), got \(200, 1\)"):
        TOOLS[tool]().fit(X, -X[:, :1])


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("d", [1, 3])
def test_one_number_per_row_is_no_score(tool, d):
    X = normal(d=d)
    with pytest.raises(ValueError, match=rf"shape \(200, {d}\): pass the gradient of the log-den"):
        TOOLS[tool]().fit(X, -0.5 * (X**2).sum(axis=1))


@pytest.mark.parametrize("tool", TOOLS)
def test_scores_that_are_not_finite_are_refused(tool):
    X = normal()
    with pytest.raises(ValueError, match="scores contains NaN"):
        TOOLS[tool]().fit(X, np.where(X > 1, np.nan, -X))


@pytest.mark.parametrize("tool", TOOLS)
def test_masked_scores_are_refused(tool):
    with pytest.raises(ValueError, match="scores has masked values"):
        TOOLS[tool]().fit(normal(), np.ma.masked_greater(normal(), 1))


@pytest.mark.parametrize("tool", TOOLS)
def test_equal_rows_are_refused(tool):
    with pytest.raises(ValueError, match="constant"):
        TOOLS[tool](score_estimator=minus).fit(np.ones((5, 2)))


def test_a_selection_with_errors_does_not_depend_on_the_order_of_the_rows():
    X, _ = make_banana(300, random_state=0)
    order = np.random.default_rng(0).permutation(300)
    first, second = (SteinThinning(20).fit(rows) for rows in (X, X[order]))
    assert first.score_estimator_._score_errors(X) is not None
    np.testing.assert_array_equal(second.points_, first.points_)


def test_scores_of_rows_with_an_extreme_outlier_count_as_exact():
    """Rounding errors of the outlier exceed the distances of the other rows."""
    X, _ = make_banana(200, random_state=0)
    with pytest.warns(UserWarning, match="dominate the scale"):
        thinning = SteinThinning(20).fit(np.concatenate([X, [[1e10, 1e10]]]))
    assert np.isfinite(thinning.discrepancy_)


def test_scores_with_a_ridge_and_a_cutoff_count_as_exact():
    X, _ = make_banana(100, random_state=0)
    thinning = SteinThinning(20, SSGEScoreEstimator(n_eigen=8, alpha=0.01)).fit(X)
    exact = SteinThinning(20).fit(X, thinning.score_estimator_.transform(X))
    np.testing.assert_array_equal(thinning.indices_, exact.indices_)


@pytest.mark.parametrize("tool", TOOLS)
def test_scores_may_be_read_only(tool):
    X = normal(30)
    scores = -X
    scores.flags.writeable = False
    expected = result(TOOLS[tool](**seed(tool)).fit(X, -X))
    for given in (scores, pd.DataFrame(scores)):
        np.testing.assert_array_equal(result(TOOLS[tool](**seed(tool)).fit(X, given)), expected)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda x: -x + 0j, "scores holds complex numbers"),
        (lambda x: None, "scores contains NaN"),
        (lambda x: -x[:, :, None], r"scores must have the shape of X, .* got \(30, 2, 1\)"),
        (lambda x: "abc", "could not convert string to float: 'abc'"),
        (SSGEScoreEstimator, r"got the class SSGEScoreEstimator: pass SSGEScoreEstimator\(\)"),
    ],
)
def test_sources_without_scores_are_refused_by_name(tool, source, message):
    with pytest.raises((TypeError, ValueError), match=message):
        TOOLS[tool](score_estimator=source).fit(normal(30))


@pytest.mark.parametrize("tool", TOOLS)
def test_distances_beyond_float64_are_refused(tool):
    X = normal(30)
    with pytest.raises(ValueError, match="bandwidth=1e-200 is too small for the distances"):
        TOOLS[tool](kernel="rbf", bandwidth=1e-200).fit(X, -X)
    with pytest.raises(ValueError, match="powers of the distances are outside"):
        TOOLS[tool](preconditioner=None).fit(1e160 * X, -1e-160 * X)


def test_a_selection_from_other_rows_than_those_of_fit_is_refused():
    thinning = SteinThinning(5).fit(normal(30), -normal(30))
    for values in (np.arange(29), np.arange(31)):
        with pytest.raises(ValueError, match=f"values has {len(values)} entries, .* had 30 rows"):
            thinning.select(values)


@pytest.mark.parametrize("tool", [KernelSteinTest(n_bootstrap=9, random_state=0), SteinThinning(9)])
def test_densities_that_are_not_zero_at_an_end_are_warned_of(tool):
    """Stein's identity does not hold: the mean of exact scores of an exponential is -1."""
    X = np.random.default_rng(1).exponential(size=(1000, 1))
    with pytest.warns(UserWarning, match="probably positive, .* at the end .* Stein's identity"):
        tool.fit(X, np.full_like(X, -1.0))


@pytest.mark.parametrize("tool", TOOLS)
def test_a_score_function_may_change_its_argument(tool):
    X, make = normal(), TOOLS[tool]
    found = make(score_estimator=minus_in_place, **seed(tool)).fit(X)
    np.testing.assert_array_equal(X, normal())
    expected = make(score_estimator=minus, **seed(tool)).fit(X)
    np.testing.assert_array_equal(result(found), result(expected))
