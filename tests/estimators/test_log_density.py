"""Log-densities of score estimators: closed forms, accuracy, invariance and the constant."""

from __future__ import annotations

import pickle

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from scipy import stats
from sklearn.base import clone
from sklearn.neighbors import KernelDensity

from sk_mige import (
    RandomProjectionSSGE,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
)
from sk_mige.datasets import (
    make_banana,
    make_gaussian,
    make_ring,
    make_student_t,
)


def error(estimated, exact):
    """Return the standard deviation of the error, which does not depend on the constant."""
    return np.std(estimated - exact)


def gaussian(n=512, d=2):
    return make_gaussian(
        n, d, condition_number=5.0 if d > 1 else 1.0, mean="random", random_state=0
    )


ESTIMATORS = {
    "default": SSGEScoreEstimator(),
    "published": SSGEScoreEstimator(eigen_threshold=0.99, whiten=False, base=None),
    "curl-free": SSGEScoreEstimator(curl_free=True),
    "landmarks": SSGEScoreEstimator(n_landmarks=60, random_state=0),
    "projection": RandomProjectionSSGE(2, random_state=0),
    "cross-validated": SSGEScoreEstimatorCV(bandwidth_factors=[1.0], cv=3),
    "Stein": SteinScoreEstimator(whiten=True),
    "imq": SSGEScoreEstimator(kernel="imq"),
    "curl-free matern": SSGEScoreEstimator(kernel="matern", curl_free=True),
}
all_estimators = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)


@all_estimators
def test_the_log_density_of_a_gaussian_is_quadratic(estimator):
    X, exact = gaussian()
    fresh = exact.sample(300, random_state=1)
    found = estimator.fit(X).log_density(fresh)
    assert error(found, exact.log_density(fresh)) < 0.35


@all_estimators
def test_the_log_density_is_zero_at_the_mean(estimator):
    estimator.fit(gaussian(100)[0])
    assert estimator.log_density(estimator.mean_[None]) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("normalize", [False, True])
def test_the_base_alone_is_the_gaussian_of_the_samples(normalize):
    X = gaussian(400, 3)[0]
    estimator = SSGEScoreEstimator(alpha=np.inf, base="gaussian", shrinkage=0.0).fit(X)
    density = stats.multivariate_normal(X.mean(0), np.cov(X.T, bias=True))
    expected = density.logpdf(X) - (0.0 if normalize else density.logpdf(X.mean(0)))
    found = estimator.log_density(X, normalize=normalize)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_a_heavy_tail_has_the_log_density_of_students_t():
    X, exact = make_student_t(2000, 2, df=4.0, random_state=0)
    estimator = SSGEScoreEstimator(alpha=np.inf).fit(X)
    fresh = exact.sample(500, random_state=1)
    found = estimator.log_density(fresh, normalize=True)
    np.testing.assert_allclose(found, exact.log_density(fresh), atol=0.4)


CONSERVATIVE = {
    "curl-free": (SSGEScoreEstimator(curl_free=True), make_banana(200, random_state=0)[0]),
    "curl-free, landmarks": (
        SSGEScoreEstimator(curl_free=True, n_landmarks=50, random_state=0),
        make_banana(200, random_state=0)[0],
    ),
    "curl-free, few rows": (SSGEScoreEstimator(curl_free=True), gaussian(8, 12)[0]),
    "base alone": (SSGEScoreEstimator(alpha=np.inf), make_student_t(300, 2, random_state=0)[0]),
    "base alone, few rows": (SSGEScoreEstimator(alpha=np.inf), gaussian(8, 12)[0]),
    "one dimension": (SSGEScoreEstimator(alpha=1e-3), gaussian(200, 1)[0]),
    "one dimension, no base": (SteinScoreEstimator(), gaussian(200, 1)[0]),
}


@pytest.mark.parametrize("name", CONSERVATIVE)
def test_the_gradient_of_the_log_density_is_the_score_of_a_conservative_fit(name):
    estimator, X = CONSERVATIVE[name]
    rows = estimator.fit(X).centers_[:8] + 0.1  # farther away, the potential is constant
    points = torch.from_numpy(rows).requires_grad_()
    estimator._log_density()(points).sum().backward()
    np.testing.assert_allclose(points.grad, estimator.transform(rows), atol=1e-7)


@pytest.mark.parametrize("base", ["student", None])
def test_far_from_the_data_the_log_density_decreases_like_the_base(base):
    X = make_banana(300, random_state=0)[0]
    estimator = SSGEScoreEstimator(base=base, alpha=1e-4).fit(X)
    direction = np.array([[0.6, 0.8]])
    far = np.array([[1000.0], [2000.0]]) * direction
    change = np.diff(estimator.log_density(far))
    alone = SSGEScoreEstimator(base=base, alpha=np.inf).fit(X)
    np.testing.assert_allclose(change, np.diff(alone.log_density(far)), atol=1e-2)


def test_the_log_density_of_the_tails_is_not_that_of_an_extrapolated_kernel():
    """With this seed, extrapolation of the kernel gives errors of up to 70 in the tails."""
    X, score = make_banana(512, random_state=4)
    fresh = score.sample(1000, random_state=1004)
    exact = score.log_density(fresh)
    found = SSGEScoreEstimator().fit(X).log_density(fresh) - exact
    assert found.std() < 0.6 * best_kernel_density(X, fresh, exact).std()


def test_between_clusters_of_one_column_the_gradient_of_the_log_density_is_the_score():
    """The gap is farther from the mean than the larger cluster."""
    generator = np.random.default_rng(0)
    X = np.concatenate([generator.normal(-5, 1, (270, 1)), generator.normal(45, 1, (30, 1))])
    estimator = SSGEScoreEstimatorCV().fit(X)
    gap = np.linspace(0, 40, 4001)[:, None]
    slopes = np.gradient(estimator.log_density(gap), gap[:, 0])[1:-1]
    np.testing.assert_allclose(slopes, estimator.transform(gap)[1:-1, 0], atol=1e-3)


@pytest.mark.parametrize("name", ["default", "landmarks", "projection"])
def test_other_log_densities_have_nearly_the_score_as_their_gradient(name):
    X, exact = gaussian()
    points = torch.from_numpy(exact.sample(200, random_state=1)).requires_grad_()
    estimator = ESTIMATORS[name].set_params(alpha=1e-3).fit(X)
    estimator._log_density()(points).sum().backward()
    scores = estimator.transform(points.detach().numpy())
    estimator.set_params(alpha="auto")
    assert np.square(points.grad.numpy() - scores).sum() < 0.05 * np.square(scores).sum()


def best_kernel_density(X, fresh, exact):
    """Return the errors of the bandwidth that is best on the evaluation points."""
    widths = np.geomspace(0.05, 1.5, 25)
    estimates = (KernelDensity(bandwidth=h).fit(X).score_samples(fresh) for h in widths)
    return min((values - exact for values in estimates), key=np.std)


@pytest.mark.parametrize(
    ("make", "statistic", "ratio"),
    [
        (lambda n, random_state: gaussian(n), np.std, 0.5),
        (make_ring, np.std, 0.7),
        (make_banana, np.std, 0.5),
    ],
)
def test_errors_are_below_those_of_the_best_kernel_density(make, statistic, ratio):
    X, score = make(512, random_state=0)
    fresh = score.sample(1000, random_state=1)
    exact = score.log_density(fresh)
    errors = SSGEScoreEstimator().fit(X).log_density(fresh) - exact
    best = best_kernel_density(X, fresh, exact)
    assert statistic(errors - errors.mean()) < ratio * statistic(best - best.mean())


def test_normalised_densities_have_the_exact_constant():
    X, score = make_banana(512, random_state=0)
    fresh = score.sample(1000, random_state=1)
    found = SSGEScoreEstimator().fit(X).log_density(fresh, normalize=True)
    assert np.mean(found - score.log_density(fresh)) == pytest.approx(0.0, abs=0.15)


def test_few_rows_of_many_features_have_a_normalised_density():
    X = gaussian(30, 40)[0]
    estimator = SSGEScoreEstimator(alpha=np.inf, base="gaussian", shrinkage=1.0).fit(X)
    density = stats.multivariate_normal(X.mean(0), np.diag(X.var(0)))
    found = estimator.log_density(X, normalize=True)
    np.testing.assert_allclose(found, density.logpdf(X), atol=1e-3)


@settings(max_examples=8)
@given(
    seed=st.integers(0, 2**31 - 1),
    units=st.tuples(*2 * [st.sampled_from([-1e3, 0.1, 1.0, 40.0])]),
    shift=st.floats(-100, 100),
    name=st.sampled_from(["default", "curl-free", "landmarks", "Stein"]),
)
@example(seed=7268, units=(-1e3, -1e3), shift=0.0, name="Stein")
def test_units_and_translations_change_only_the_constant(seed, units, shift, name):
    X = np.random.default_rng(seed).gamma(2.0, size=(45, 2))
    estimator = clone(ESTIMATORS[name])
    if name == "landmarks":
        estimator.set_params(n_landmarks=20)
    plain = estimator.fit(X).log_density(X)
    moved = estimator.fit(X * units + shift).log_density(X * units + shift)
    # The ridge of the projection amplifies rounding by up to 1 / RIDGE, and coefficients are up to
    # 1e4 times the log-density: 2e-16 / 5e-7 * 1e4 = 4e-6, times the square root of 45 rows.
    np.testing.assert_allclose(moved, plain, atol=3e-5 * np.ptp(plain))


def test_units_change_a_normalised_density_by_their_product():
    X = make_banana(300, random_state=0)[0]
    plain, moved = (
        SSGEScoreEstimator().fit(X * u).log_density(X * u, normalize=True)
        for u in (1.0, np.array([-10.0, 0.02]))
    )
    np.testing.assert_allclose(moved, plain - np.log(0.2), atol=1e-4)


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (gaussian(60)[0], {"base": None}, "needs an estimate with a base.*base='student'"),
        (np.c_[gaussian(60)[0], np.ones(60)], {}, "X varies along 2 of 3 directions. Drop"),
    ],
)
def test_densities_without_an_integral_are_not_normalised(X, options, message):
    estimator = SSGEScoreEstimator(**options).fit(X)
    assert np.isfinite(estimator.log_density(X)).all()
    with pytest.raises(ValueError, match=message):
        estimator.log_density(X, normalize=True)


def test_too_few_effective_draws_are_refused_with_their_number():
    rng = np.random.default_rng(0)
    X = rng.choice([-30.0, 30.0], size=(300, 8)) + rng.normal(size=(300, 8))
    estimator = SSGEScoreEstimator(alpha=1e-5).fit(X)
    with pytest.raises(ValueError, match=r"effective sample size of \d+, below .* 100"):
        estimator.log_density(X, normalize=True)


def test_a_new_fit_and_a_stored_estimator_have_their_own_log_density():
    X = gaussian(80)[0]
    estimator = SSGEScoreEstimator().fit(3 * X)
    estimator.log_density(X)
    expected = estimator.fit(X).log_density(X)
    np.testing.assert_allclose(SSGEScoreEstimator().fit(X).log_density(X), expected)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(estimator)).log_density(X), expected)


@pytest.mark.parametrize("noise", [0.7, [0.7, 0.2]])
def test_denoised_gaussian_rows_are_those_of_the_wiener_filter(noise):
    rng = np.random.default_rng(0)
    noisy = gaussian(1000)[0] + rng.normal(size=(1000, 2)) * noise
    covariance, variance = np.cov(noisy.T, bias=True), np.square(noise) * np.eye(2)
    wiener = noisy - (noisy - noisy.mean(0)) @ np.linalg.inv(covariance) @ variance
    estimator = SSGEScoreEstimator(alpha=np.inf, base="gaussian", shrinkage=0.0).fit(noisy)
    np.testing.assert_allclose(estimator.denoise(noisy, noise), wiener)


def test_scores_of_noisy_rows_denoise_better_than_scores_of_clean_rows():
    clean, noise = make_ring(1000, random_state=0)[0], 0.7
    noisy = clean + noise * np.random.default_rng(0).normal(size=clean.shape)
    errors = [
        np.square(SSGEScoreEstimator().fit(rows).denoise(noisy, noise) - clean).mean()
        for rows in (noisy, clean)
    ]
    assert errors[0] < min(errors[1], 0.8 * noise**2)


@pytest.mark.parametrize("noise", [-1.0, np.nan, np.inf, [1.0, 2.0, 3.0], None, "a", 1 + 1j])
def test_impossible_noise_is_refused(noise):
    with pytest.raises(ValueError, match="noise must be a standard deviation >= 0"):
        SSGEScoreEstimator().fit(gaussian(50)[0]).denoise(gaussian(50)[0], noise)


@pytest.mark.parametrize(("noise", "feature"), [(10.0, 0), ([0.1, 5.0], 1)])
def test_noise_larger_than_the_rows_of_the_fit_is_warned_of(noise, feature):
    estimator = SSGEScoreEstimator().fit(np.random.default_rng(0).normal(size=(200, 2)))
    with pytest.warns(UserWarning, match=f"deviation .* of feature {feature} .* not the variance"):
        estimator.denoise(np.zeros((1, 2)), noise)


def test_rows_of_pure_noise_are_denoised_without_a_warning():
    for n in (20, 1000):
        noise = np.random.default_rng(0).normal(size=(n, 3))
        assert np.mean(SSGEScoreEstimator().fit(noise).denoise(noise, 1.0) ** 2) < 0.5
