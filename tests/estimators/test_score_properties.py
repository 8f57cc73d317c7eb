"""Properties of estimated scores that hold for every density: convergence, equivariance, safety."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis.extra import numpy as hnp

from sk_mige import RandomProjectionSSGE, SSGEScoreEstimator
from sk_mige.datasets import make_banana, make_gaussian

ESTIMATORS = [
    SSGEScoreEstimator(),
    SSGEScoreEstimator(eigen_threshold=0.99, whiten=False, base=None),
    SSGEScoreEstimator(curl_free=True),
    SSGEScoreEstimator(n_landmarks=2, random_state=0),
    RandomProjectionSSGE(random_state=0),
]


def relative_error(estimated, exact):
    return np.sum((estimated - exact) ** 2) / np.sum(exact**2)


def seeds():
    return st.integers(0, 2**31 - 1)


@settings(max_examples=5)
@given(
    seed=st.integers(0, 2**31 - 6),
    d=st.integers(2, 12),
    n=st.sampled_from([100, 200, 400]),
    log_condition=st.floats(0, 1),
)
@example(seed=300, d=2, n=400, log_condition=1.0)
def test_gaussians_are_estimated_with_an_error_of_order_d_over_n(seed, d, n, log_condition):
    """The estimation of mean and covariance adds an error of about (d + 2) / n.

    In a few per cent of the samples, a correction to the Gaussian validates better by chance. A
    single error can then be 25 (d + 2) / n, so the median of five samples is tested.
    """
    errors = []
    for k in range(5):
        X, exact = make_gaussian(
            n, d, mean="random", condition_number=10**log_condition, random_state=seed + k
        )
        fresh = exact.sample(400, random_state=1)
        errors.append(relative_error(SSGEScoreEstimator().fit(X).transform(fresh), exact(fresh)))
    assert np.median(errors) < 8 * (d + 2) / n


def test_the_error_falls_with_the_number_of_samples_as_its_inverse():
    errors = []
    sizes = (60, 200, 600)
    for n in sizes:
        drawn = []
        for seed in range(4):
            X, exact = make_gaussian(n, 6, mean="random", condition_number=5.0, random_state=seed)
            fresh = exact.sample(500, random_state=99)
            drawn.append(relative_error(SSGEScoreEstimator().fit(X).transform(fresh), exact(fresh)))
        errors.append(np.median(drawn))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -1.4 < slope < -0.7


@settings(max_examples=12)
@given(seed=seeds(), scale=st.sampled_from([1e-6, 0.1, 7.0, 1e6]), shift=st.floats(-1e5, 1e5))
def test_similarities_of_the_data_transform_the_score(seed, scale, shift):
    """If y = s Q x + b with Q orthogonal, then s_y(y) = Q s_x(x) / s."""
    rng = np.random.default_rng(seed)
    X = rng.gamma(2.0, size=(45, 3)) @ rng.normal(size=(3, 3))
    fresh = X[:10] + 0.1
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]

    def mapped(points):
        return scale * (points @ rotation.T + shift)

    # Shrinkage keeps the variances of the features, which a rotation mixes.
    plain = SSGEScoreEstimator(alpha=1e-2, shrinkage=0.0).fit(X)
    moved = SSGEScoreEstimator(alpha=1e-2, shrinkage=0.0).fit(mapped(X))
    expected = plain.transform(fresh) @ rotation.T / scale
    assert relative_error(moved.transform(mapped(fresh)), expected) < 1e-6


@settings(max_examples=12)
@given(
    seed=seeds(),
    units=hnp.arrays(float, 3, elements=st.sampled_from([-1e-2, 0.1, 1.0, 40.0, 1e3])),
    estimator=st.sampled_from([
        SSGEScoreEstimator(),
        SSGEScoreEstimator(shrinkage=0.3, curl_free=True),
        SSGEScoreEstimator(shrinkage=1.0, n_landmarks=20, random_state=0),
    ]),
)  # fmt: skip
def test_units_of_the_features_transform_the_score(seed, units, estimator):
    """If y = D x with D diagonal, then s_y(y) = s_x(x) / D, with the same chosen strength."""
    X = np.random.default_rng(seed).gamma(2.0, size=(45, 3))
    X[:, 1] += X[:, 0]
    fresh = X[:10] + 0.1
    plain = estimator.fit(X)
    alpha, expected = plain.alpha_, plain.transform(fresh) / units
    moved = estimator.fit(X * units)
    assert moved.alpha_ == alpha
    assert relative_error(moved.transform(fresh * units) * units, expected * units) < 1e-6


@settings(max_examples=12)
@given(
    seed=seeds(),
    scale=st.sampled_from([1e-3, 0.1, 255.0]),
    alpha=st.sampled_from(["auto", 1e-3]),
    kind=st.sampled_from([{}, {"curl_free": True}, {"base": None}, {"n_landmarks": 20}]),
)
def test_without_whitening_the_common_unit_does_not_matter(seed, scale, alpha, kind):
    X = np.random.default_rng(seed).gamma(2.0, size=(45, 2))
    options = {"whiten": False, "random_state": 0, "alpha": alpha} | kind
    plain, moved = (SSGEScoreEstimator(**options).fit(X * s) for s in (1.0, scale))
    assert moved.alpha_ == plain.alpha_
    assert relative_error(moved.transform(X * scale) * scale, plain.transform(X)) < 1e-6


@pytest.mark.parametrize("n_landmarks", [None, 200])
def test_projected_scores_converge_to_the_best_function_of_the_projection(n_landmarks):
    """For N(0, I) the score at fresh points is the projection of -x onto the rows of R."""
    errors = []
    for n in (200, 1600):
        X, exact = make_gaussian(n, 30, random_state=0)
        fresh = exact.sample(500, random_state=1)
        estimator = RandomProjectionSSGE(
            4, whiten=False, base=None, alpha=1e-3, n_landmarks=n_landmarks, random_state=0
        ).fit(X)
        rows = np.linalg.qr(estimator.components_.T)[0]
        errors.append(relative_error(estimator.transform(fresh), -fresh @ rows @ rows.T))
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.15


@pytest.mark.filterwarnings("ignore:.*interquartile ranges from the median")
@settings(max_examples=10)
@given(seed=seeds())
def test_the_order_of_the_samples_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_t(5, size=(50, 3))
    order = rng.permutation(50)
    plain = SSGEScoreEstimator().fit(X).transform(X)
    permuted = SSGEScoreEstimator().fit(X[order]).transform(X)
    assert relative_error(permuted, plain) < 1e-10


@pytest.mark.filterwarnings("ignore:.*interquartile ranges from the median")
@settings(max_examples=60)
@given(
    X=hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(2, 25), st.integers(1, 30)),
        # Few distinct values make duplicates, ties and constant columns frequent.
        elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1e3]),
    ).filter(lambda X: (X[0] != X).any()),
    estimator=st.sampled_from(ESTIMATORS),
)
def test_duplicates_constant_columns_and_few_samples_never_give_nan(X, estimator):
    scores = estimator.fit(X).transform(X)
    assert scores.shape == X.shape
    assert scores.dtype == X.dtype
    assert np.isfinite(scores).all()
    assert np.isfinite(estimator.score(X))
    assert np.isfinite(estimator.divergence(X + 0.25)).all()


@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(10, 10), (25, 25), (25, 30)])
def test_a_single_row_that_differs_from_equal_rows_counts(shape, dtype, whiten):
    X = np.zeros(shape, dtype)
    X[0, 0] = -1
    scores = SSGEScoreEstimator(whiten=whiten).fit(X).transform(X)
    assert np.abs(scores).max() < 1e3


@pytest.mark.parametrize("transform", [lambda X: X + 1e5, lambda X: 1e-6 * X, lambda X: 1e6 * X])
@pytest.mark.parametrize("estimator", ESTIMATORS[:3])
def test_units_and_origin_leave_the_relative_error_alone(transform, estimator):
    X, exact = make_banana(150, random_state=0)
    fresh = exact.sample(200, random_state=1)
    scale = float(transform(1.0) - transform(0.0))
    plain = relative_error(estimator.fit(X).transform(fresh), exact(fresh))
    moved = estimator.fit(transform(X)).transform(transform(fresh)) * scale
    assert relative_error(moved, exact(fresh)) == pytest.approx(plain, rel=1e-2)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(("n", "d"), [(80, 3), (20, 50)])
@pytest.mark.parametrize("shift", [0.0, 50.0])
def test_float32_input_gives_float32_scores_within_a_thousandth(estimator, n, d, shift):
    X = (np.random.default_rng(0).normal(size=(n, d)) + shift).astype(np.float32)
    fresh = X[:7] + np.float32(0.1)
    single = estimator.fit(X).transform(fresh)
    double = estimator.fit(X.astype(float)).transform(fresh.astype(float))
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    assert relative_error(single.astype(float), double) < 1e-6


def test_hyvarinens_score_is_highest_for_the_estimate_closest_to_the_truth():
    X, exact = make_banana(300, random_state=0)
    held_out = exact.sample(5000, random_state=1)
    candidates = [SSGEScoreEstimator(bandwidth=b, alpha=1e-3).fit(X) for b in (0.1, 1.0, 10.0)]
    scores = [candidate.score(held_out) for candidate in candidates]
    errors = [np.mean((c.transform(held_out) - exact(held_out)) ** 2) for c in candidates]
    assert np.argmax(scores) == np.argmin(errors)
    assert scores == pytest.approx(
        [np.mean(exact(held_out) ** 2) - error for error in errors], rel=0.3
    )


def test_langevin_steps_along_the_score_draw_from_the_density():
    X, _ = make_gaussian(300, 2, mean=[5.0, -1.0], covariance=[[2.0, 0.5], [0.5, 0.7]],
                         random_state=0)  # fmt: skip
    estimator = SSGEScoreEstimator().fit(X)
    for adjusted in (False, True):
        drawn = estimator.sample(1000, n_steps=80, adjusted=adjusted, random_state=0)
        np.testing.assert_allclose(drawn.mean(0), X.mean(0), atol=0.15)
        np.testing.assert_allclose(np.cov(drawn.T), np.cov(X.T), atol=0.3)
    again = estimator.sample(5, n_steps=30, random_state=7)
    np.testing.assert_array_equal(again, estimator.sample(5, n_steps=30, random_state=7))
