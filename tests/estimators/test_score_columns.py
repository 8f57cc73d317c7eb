"""Constant and collinear columns, which every kind of fit omits."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sk_mige import RandomProjectionSSGE, SSGEScoreEstimator, SSGEScoreEstimatorCV

ESTIMATORS = {
    "default": SSGEScoreEstimator(),
    "landmarks": SSGEScoreEstimator(n_landmarks=50, random_state=0),
    "curl-free": SSGEScoreEstimator(curl_free=True),
    "unwhitened": SSGEScoreEstimator(whiten=False),
    "cross-validated": SSGEScoreEstimatorCV(bandwidth_factors=(0.5, 1.0), cv=3),
    "cross-validated landmarks": SSGEScoreEstimatorCV(
        bandwidth_factors=(0.5, 1.0), cv=3, n_landmarks=50, random_state=0
    ),
}
estimators = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)


@pytest.fixture(scope="module")
def Z():
    return np.random.default_rng(0).normal(size=(200, 2))


@pytest.fixture(scope="module")
def fresh():
    return np.random.default_rng(1).normal(size=(100, 2))


@estimators
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_column_has_the_score_0_and_changes_no_other(estimator, Z, fresh, dtype):
    def wider(points):
        return np.c_[points, np.full(len(points), 7.0)].astype(dtype)

    expected = clone(estimator).fit(Z.astype(dtype).astype(float))
    fitted = clone(estimator).fit(wider(Z))
    scores = fitted.transform(wider(fresh))
    assert not scores[:, 2].any()
    np.testing.assert_allclose(scores[:, :2], expected.transform(fresh), rtol=1e-4, atol=1e-4)
    assert fitted.score(wider(fresh)) == pytest.approx(expected.score(fresh), rel=1e-4)
    np.testing.assert_allclose(fitted.centers_[:, 2], 7.0)


@estimators
@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_with_a_column_that_is_the_sum_of_others_the_score_is_in_their_plane(
    estimator, Z, fresh, unit
):
    mixing = np.array([[1.0, 0.0, unit], [0.0, 1.0, unit]])
    scores = clone(estimator).fit(Z @ mixing).transform(fresh @ mixing)
    # The score is tangent to the plane, and its products with the plane's axes are the score -z of
    # the coordinates. With whitening, the score is tangent in units of standard deviations.
    whitens = getattr(estimator, "whiten", True)
    lengths = (Z @ mixing).std(0) ** 2 if whitens else np.ones(3)
    across = np.array([unit, unit, -1.0])
    np.testing.assert_allclose((scores * lengths) @ across, 0.0, atol=1e-6 * unit)
    if getattr(estimator, "whiten", True):  # without whitening, kernels need equal units
        error = scores @ mixing.T + fresh
        assert np.square(error).sum() < 0.05 * np.square(fresh).sum()


def test_a_column_of_scale_1e_6_counts_as_varying(Z):
    for estimator in (SSGEScoreEstimator(), SSGEScoreEstimatorCV(bandwidth_factors=(1.0,), cv=3)):
        scores = estimator.fit(Z * [1.0, 1e-6]).transform(Z * [1.0, 1e-6]) * [1.0, 1e-6]
        assert np.square(scores + Z).sum() < 0.05 * np.square(Z).sum()


def test_streams_leave_out_what_the_first_batch_does_not_vary_along(Z):
    X = np.c_[Z, np.full(200, 7.0)]
    options = {"n_landmarks": 50, "random_state": 0}
    whole = SSGEScoreEstimator(**options).fit_batches([X[:120], X[120:]])
    plain = SSGEScoreEstimator(**options).fit_batches([Z[:120], Z[120:]])
    np.testing.assert_allclose(whole.transform(X)[:, :2], plain.transform(Z), atol=1e-8)
    mine = SSGEScoreEstimator(**options).partial_fit(X[:120])
    other = SSGEScoreEstimator(**options).partial_fit(X[:120]).forget().partial_fit(X[120:])
    np.testing.assert_allclose(mine.merge(other).transform(X), whole.transform(X), atol=1e-8)


@pytest.mark.parametrize("n_landmarks", [None, 50])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_projected_kernel_uses_the_varying_subspace(Z, n_landmarks, dtype):
    X = np.c_[Z, Z.sum(1), np.full(200, 7.0)].astype(dtype)
    estimator = RandomProjectionSSGE(3, n_landmarks=n_landmarks, random_state=0).fit(X)
    assert estimator.components_.shape == (3, 4)
    scores = estimator.transform(X)
    tangent = scores * X.std(0) ** 2
    np.testing.assert_allclose(tangent @ [1.0, 1.0, -1.0, 0.0], 0.0, atol=1e-4)
    assert np.isfinite(estimator.divergence(X)).all()
    assert np.isfinite(estimator.jacobian_vector_product(X, X)).all()


def test_a_search_compares_losses_of_the_plane_alone(Z):
    grid = {"alpha": [1e-4, 1e-2, 1.0]}
    plain = GridSearchCV(SSGEScoreEstimator(), grid, cv=3).fit(Z)
    wider = GridSearchCV(SSGEScoreEstimator(), grid, cv=3).fit(np.c_[Z, np.zeros(200)])
    np.testing.assert_allclose(
        wider.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )
