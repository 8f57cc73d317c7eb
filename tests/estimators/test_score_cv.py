"""The losses reported by SSGEScoreEstimatorCV equal those of refitted estimators."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold

from sk_mige import SSGEScoreEstimator, SSGEScoreEstimatorCV
from sk_mige.datasets import (
    make_banana,
    make_gaussian,
    make_gaussian_clusters,
    make_gaussian_mixture,
    make_ring,
)
from sk_mige.score import ScoreSettings
from sk_mige.score.fit import fit_in_units
from sk_mige.score.units import feature_units

SMALL = {
    "bandwidth_factors": (0.5, 2.0),
    "eigen_thresholds": (0.9,),
    "alphas": (1e-2, np.inf),
    "bases": ("student", None),
}


def relative_error(estimated, exact):
    return np.sum((estimated - exact) ** 2) / np.sum(exact**2)


@pytest.mark.parametrize(("n", "d"), [(60, 2), (16, 30)])
def test_reported_scores_are_those_of_refitted_estimators(n, d):
    rng = np.random.default_rng(0)
    X = rng.gamma(2.0, size=(n, d)) @ rng.normal(size=(d, d))
    # Losses are reported in the units of the standard deviations of all rows.
    Z = feature_units(torch.from_numpy(X))(torch.from_numpy(X))
    splits = list(KFold(2).split(X))
    # The span of all rows and the span of a fold's rows differ by rounding only.
    search = SSGEScoreEstimatorCV(**SMALL, cv=splits).fit(X)
    results = search.cv_results_
    for i in range(0, len(results["mean_test_score"]), 5):
        for number, (train, test) in enumerate(splits):
            options = {
                name: results[f"param_{name}"][i]
                for name in ("shrinkage", "base", "curl_free", "eigen_threshold", "alpha")
            }
            options["bandwidth_factor"] = results["param_bandwidth_factor"][i]
            refitted = fit_in_units(Z[train], ScoreSettings(**options)).model
            expected = -float(refitted.hyvarinen_loss(Z[test]).mean())
            assert results[f"split{number}_test_score"][i] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"n_landmarks": 30}])
def test_the_units_of_features_do_not_matter(options):
    """All choices included."""
    X, _ = make_banana(60, random_state=0)
    units = np.array([1e4, 1e-3])
    search = SSGEScoreEstimatorCV(**SMALL, **options, random_state=0)
    plain, moved = clone(search).fit(X), clone(search).fit(X * units)
    assert moved.best_index_ == plain.best_index_
    np.testing.assert_allclose(
        moved.transform(X * units) * units, plain.transform(X), rtol=1e-6, atol=1e-8
    )


def test_a_splitter_divides_all_rows_though_fewer_are_compared(monkeypatch):
    monkeypatch.setattr("sk_mige.estimators._ssge_cv.MAX_COMPARED_ROWS", 40)
    monkeypatch.setattr("sk_mige.estimators._ssge_cv.COMPARED_ROWS", 40)
    X, _ = make_banana(120, random_state=0)
    splits = [(np.arange(60), np.arange(60, 120)), (np.arange(60, 120), np.arange(60))]
    seen, compared = [], []
    from sk_mige.estimators import _ssge_cv

    compare, coordinates = _ssge_cv.cross_validate_scores, _ssge_cv.fitting_coordinates

    def spy_rows(rows):
        compared.append(rows)
        return coordinates(rows)

    def spy(x, grid, parts, *rest):
        seen.extend(compared[0][part].numpy() for pair in parts for part in pair)
        return compare(x, grid, parts, *rest)

    monkeypatch.setattr(_ssge_cv, "fitting_coordinates", spy_rows)
    monkeypatch.setattr(_ssge_cv, "cross_validate_scores", spy)
    SSGEScoreEstimatorCV(**SMALL, cv=splits, random_state=0).fit(X)
    sizes = [len(part) for part in seen]
    assert sizes[:2] == sizes[:1:-1]
    assert sum(sizes[:2]) == 40
    for part, rows in zip(seen, (X[:60], X[60:], X[60:], X[:60]), strict=True):
        assert all((rows == point).all(1).any() for point in part)


def test_a_splitter_that_needs_labels_is_refused_by_name():
    search = SSGEScoreEstimatorCV(cv=StratifiedKFold(3))
    with pytest.raises(TypeError, match="cv=StratifiedKFold.* without labels.*such as KFold"):
        search.fit(make_banana(60, random_state=0)[0])


def test_a_split_without_compared_rows_is_refused(monkeypatch):
    monkeypatch.setattr("sk_mige.estimators._ssge_cv.MAX_COMPARED_ROWS", 20)
    monkeypatch.setattr("sk_mige.estimators._ssge_cv.COMPARED_ROWS", 20)
    X, _ = make_banana(100, random_state=0)
    one = [(np.arange(99), np.array([99])), (np.arange(1, 100), np.array([0]))]
    with pytest.raises(ValueError, match="cv: split 0 must have .*, got 20 and 0"):
        SSGEScoreEstimatorCV(**SMALL, cv=one, random_state=0).fit(X)


def test_one_outlier_does_not_ruin_the_estimate():
    rng = np.random.default_rng(0)
    clean, fresh = rng.normal(size=(200, 2)), rng.normal(size=(500, 2))
    for absurd in (-99.0, -9999.0):
        with pytest.warns(match=f"0.50% of the values of feature 0, such as {absurd:g}"):
            search = SSGEScoreEstimatorCV().fit(np.r_[clean, [[absurd, 0.0]]])
        assert relative_error(search.transform(fresh), -fresh) < 0.15


def test_summaries_are_those_of_the_splits():
    X, _ = make_banana(60, random_state=0)
    search = SSGEScoreEstimatorCV(**SMALL, cv=3).fit(X)
    results = search.cv_results_
    splits = np.stack([results[f"split{k}_test_score"] for k in range(3)])
    np.testing.assert_allclose(results["mean_test_score"], splits.mean(0))
    np.testing.assert_allclose(results["std_test_score"], splits.std(0))
    assert results["mean_test_score"][results["rank_test_score"] == 1] == splits.mean(0).max()
    for name, value in search.best_params_.items():
        if name != "bandwidth":
            assert results[f"param_{name}"][search.best_index_] == value
    assert results["param_bandwidth_factor"][search.best_index_] == search.bandwidth_factor_


@pytest.mark.parametrize("options", [{}, {"n_landmarks": 60}])
def test_the_best_score_has_the_units_of_the_score_method(options):
    X, _ = make_banana(200, random_state=0)
    X, splits = X * [10.0, 0.1], list(KFold(3, shuffle=True, random_state=0).split(X))
    search = SSGEScoreEstimatorCV(**SMALL, **options, cv=splits, random_state=0).fit(X)
    best = SSGEScoreEstimator(**search.best_params_, **options, random_state=0)
    factor, scores = search.bandwidth_factor_, []
    for train, test in splits:
        median = clone(best).set_params(bandwidth="median").fit(X[train]).bandwidth_
        scores.append(best.set_params(bandwidth=factor * median).fit(X[train]).score(X[test]))
    assert search.best_score_ == pytest.approx(np.mean(scores), rel=1e-5)


@pytest.mark.parametrize("make", [make_banana, make_ring, make_gaussian_mixture])
@pytest.mark.parametrize("n", [120, 300])
def test_the_choice_is_never_worse_than_the_default_on_the_folds(make, n):
    X, _ = make(n, random_state=0)
    search = SSGEScoreEstimatorCV().fit(X)
    results = search.cv_results_
    default = SSGEScoreEstimator().fit(X)
    usual = {"bandwidth_factor": 1.0, "shrinkage": "auto", "base": "student", "curl_free": False}
    usual |= {"kernel": default.kernel_, "alpha": default.alpha_}
    same = np.all([results[f"param_{k}"] == v for k, v in usual.items()], axis=0)
    scores = results["mean_test_score"][same]
    assert results["mean_test_score"][search.best_index_] >= scores.item() - 0.01 * abs(scores)


@pytest.mark.parametrize("n_landmarks", ["auto", 80])
def test_of_many_rows_the_finalists_are_compared_as_they_will_be_fitted(n_landmarks, monkeypatch):
    monkeypatch.setattr("sk_mige.estimators._ssge_cv.MAX_COMPARED_ROWS", 300)
    monkeypatch.setattr("sk_mige.estimators._ssge_cv.COMPARED_ROWS", 150)
    monkeypatch.setattr("sk_mige.estimators._score_base.MAX_EIGH_ROWS", 400)
    monkeypatch.setattr("sk_mige.estimators._score_base.MAX_DENSE_ROWS", 400)
    monkeypatch.setattr("sk_mige.estimators._score_base.AUTO_LANDMARKS", 80)
    monkeypatch.setattr("sk_mige.estimators._ssge_cv.MAX_LANDMARKS", 320)
    for seed, make in enumerate((make_banana, make_gaussian_mixture, make_gaussian_clusters)):
        X, exact = make(1000, random_state=seed)
        fresh = exact.sample(1000, random_state=9)
        options = {"n_landmarks": 80, "random_state": 0}
        default = SSGEScoreEstimator(**options).fit(X).score(fresh)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*serve as landmarks")
            search = SSGEScoreEstimatorCV(n_landmarks=n_landmarks, random_state=0).fit(X)
        assert search.score(fresh) >= default
        assert search.centers_.shape[0] in ((80, 160, 320) if n_landmarks == "auto" else (80,))
        assert search.best_score_ == pytest.approx(search.score(fresh), rel=0.2)


def test_the_best_parameters_make_the_same_estimator():
    X, _ = make_ring(80, random_state=0)
    search = SSGEScoreEstimatorCV().fit(X)
    again = SSGEScoreEstimator(**search.best_params_).fit(X)
    np.testing.assert_allclose(again.transform(X), search.transform(X), rtol=1e-6, atol=1e-8)


def test_the_choice_is_deterministic_and_independent_of_the_rows_order():
    X, _ = make_ring(90, random_state=0)
    first, second = (SSGEScoreEstimatorCV(**SMALL).fit(X) for _ in range(2))
    np.testing.assert_array_equal(first.transform(X), second.transform(X))
    order = np.random.default_rng(0).permutation(90)
    permuted = SSGEScoreEstimatorCV(**SMALL).fit(X[order])
    assert permuted.best_index_ == first.best_index_
    np.testing.assert_allclose(permuted.transform(X), first.transform(X), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0.0), (1e6, 0.0), (1.0, 1e5)])
def test_units_and_origin_do_not_change_the_choice(scale, shift):
    X, _ = make_ring(90, random_state=1)
    plain = SSGEScoreEstimatorCV(**SMALL).fit(X)
    moved = SSGEScoreEstimatorCV(**SMALL).fit(scale * X + shift)
    assert moved.best_index_ == plain.best_index_
    np.testing.assert_allclose(
        moved.transform(scale * X + shift) * scale, plain.transform(X), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("make", [make_banana, make_ring, make_gaussian_clusters])
def test_structured_densities_are_estimated_better_than_by_the_base_alone(make):
    errors = {"chosen": [], "base alone": [], "published": []}
    for seed in range(2):
        X, exact = make(128, random_state=seed)
        fresh = exact.sample(400, random_state=50 + seed)
        for name, estimator in {
            "chosen": SSGEScoreEstimatorCV(),
            "base alone": SSGEScoreEstimator(alpha=np.inf),
            "published": SSGEScoreEstimator(eigen_threshold=0.99, whiten=False, base=None),
        }.items():
            errors[name].append(relative_error(estimator.fit(X).transform(fresh), exact(fresh)))
    assert np.mean(errors["chosen"]) < 0.8 * np.mean(errors["base alone"])
    assert np.mean(errors["chosen"]) < 0.8 * np.mean(errors["published"])


def test_the_error_for_a_gaussian_is_small():
    X, exact = make_gaussian(150, 5, random_state=0)
    fresh = exact.sample(300, random_state=1)
    search = SSGEScoreEstimatorCV().fit(X)
    assert relative_error(search.transform(fresh), exact(fresh)) < 0.08


@pytest.mark.parametrize(("options", "message"), [
    ({"bandwidth_factors": ()}, "bandwidth_factors is empty"),
    ({"shrinkages": ()}, "shrinkages is empty"),
    ({"bases": ()}, "bases is empty"),
    ({"curl_free": ()}, "curl_free is empty"),
    ({"eigen_thresholds": (), "alphas": ()}, "eigen_thresholds and alphas are empty"),
    ({"bandwidth_factors": (1.0, -2.0)}, r"bandwidth_factors must be positive, got \[-2.0\]"),
    ({"eigen_thresholds": (1.5,)}, r"eigen_thresholds must be in \(0, 1\], got \[1.5\]"),
    ({"alphas": (-1.0,)}, r"alphas must be 0 or more, got \[-1.0\]"),
    ({"shrinkages": (2.0, "none")}, r"shrinkages must be in \[0, 1\].*got \[2.0, 'none'\]"),
    ({"bases": ("laplace",)}, "bases must be 'student', 'gaussian' or None, got"),
    ({"bandwidth_factors": ("wide",)}, r"bandwidth_factors must be numbers, got \(.wide.,\)"),
    ({"bandwidth_factors": (1.0, float("inf"))}, r"bandwidth_factors must be positive, got"),
    ({"alphas": (float("nan"),)}, r"alphas must be 0 or more, got \[nan\]"),
    ({"cv": 20}, "cv=20 needs at least 40 samples, but X has 30; use a smaller cv"),
])  # fmt: skip
def test_an_invalid_grid_is_refused_with_its_name_and_values(options, message):
    with pytest.raises(ValueError, match=message):
        SSGEScoreEstimatorCV(**options).fit(np.random.default_rng(0).normal(size=(30, 2)))


def test_only_one_of_thresholds_and_alphas_is_needed():
    X, _ = make_ring(60, random_state=0)
    cutoffs = SSGEScoreEstimatorCV(alphas=(), eigen_thresholds=(0.9, 0.99), cv=2).fit(X)
    assert cutoffs.eigen_threshold_ in (0.9, 0.99)
    assert cutoffs.alpha_ == 0.0
    strengths = SSGEScoreEstimatorCV(alphas=(0.1,), eigen_thresholds=(), cv=2).fit(X)
    assert strengths.eigen_threshold_ is None
    assert strengths.alpha_ == 0.1


@pytest.mark.parametrize("alphas", ["auto", (1e-2,)])
def test_with_landmarks_only_strengths_that_are_not_given_are_chosen_again(alphas):
    X, _ = make_ring(300, random_state=0)
    options = {"bandwidth_factors": (0.5,), "eigen_thresholds": (), "curl_free": (False,)}
    search = SSGEScoreEstimatorCV(**options, alphas=alphas, n_landmarks=60, random_state=0).fit(X)
    expected = SSGEScoreEstimator(**search.best_params_, n_landmarks=60, random_state=0)
    expected.set_params(alpha="auto" if alphas == "auto" else 1e-2)
    assert search.alpha_ == expected.fit(X).alpha_


def test_with_landmarks_the_choice_is_made_on_rows_and_refined_on_all():
    X, exact = make_ring(300, random_state=0)
    search = SSGEScoreEstimatorCV(**SMALL, n_landmarks=60, random_state=0).fit(X)
    assert search.centers_.shape == (60, 2)
    assert search.n_samples_seen_ == 300
    assert relative_error(search.transform(X), exact(X)) < 0.7


def test_clones_and_pickles(global_random_state_untouched):
    X, _ = make_ring(40, random_state=0)
    search = SSGEScoreEstimatorCV(**SMALL, cv=2).fit(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(search)).transform(X),
                                  search.transform(X))  # fmt: skip
    assert clone(search).get_params() == search.get_params()
