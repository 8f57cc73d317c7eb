"""Score estimators with kernels other than the RBF."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sk_mige import (
    MIGEEncoder,
    RandomProjectionSSGE,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
)
from sk_mige.datasets import make_banana
from sk_mige.score import InverseMultiquadric, Matern, ssge
from sk_mige.score.kernels import KERNELS

X, EXACT = make_banana(300, random_state=0)
FRESH = EXACT.sample(300, random_state=1)
NAMED = [*KERNELS, Matern(nu=1.5), InverseMultiquadric(1.0)]
EVERY = pytest.mark.parametrize("kernel", NAMED, ids=str)


@EVERY
def test_the_published_estimator_is_ssge_with_the_kernel(kernel):
    estimator = SSGEScoreEstimator(eigen_threshold=0.99, whiten=False, base=None, kernel=kernel)
    expected = ssge(torch.from_numpy(X), kernel=kernel).numpy()
    np.testing.assert_allclose(estimator.fit_transform(X), expected, rtol=1e-6, atol=1e-6)


@EVERY
@pytest.mark.parametrize("curl_free", [False, True])
def test_scores_of_every_kernel_are_close_to_the_true_ones(kernel, curl_free):
    found = SSGEScoreEstimator(kernel=kernel, curl_free=curl_free).fit(X).transform(FRESH)
    truth = EXACT(FRESH)
    assert np.square(found - truth).sum() < 0.7 * np.square(truth).sum()


@EVERY
def test_a_stream_over_all_rows_as_landmarks_is_the_dense_fit(kernel):
    estimator = SSGEScoreEstimator(kernel=kernel, alpha=1e-2, n_landmarks=len(X))
    stream = clone(estimator).fit_batches([X])
    dense = estimator.set_params(n_landmarks=None).fit(X)
    # Sums over landmarks leave out directions below their rounding errors.
    np.testing.assert_allclose(stream.transform(FRESH), dense.transform(FRESH), atol=0.1)


@EVERY
def test_samples_have_the_moments_of_the_data(kernel):
    drawn = SSGEScoreEstimator(kernel=kernel).fit(X).sample(300, random_state=0)
    np.testing.assert_allclose(drawn.std(0), X.std(0), rtol=0.25)


@EVERY
@pytest.mark.parametrize("base", [None, "student"])
def test_float32_rows_of_many_columns_have_the_scores_of_float64(kernel, base):
    rows = np.random.default_rng(0).standard_normal((20, 40)).astype(np.float32)
    estimator = SSGEScoreEstimator(kernel=kernel, whiten=False, base=base, alpha=0.1)
    expected = estimator.fit_transform(rows.astype(np.float64))
    np.testing.assert_allclose(estimator.fit_transform(rows), expected, atol=1e-4)


def test_steins_estimator_is_regularised_ssge_with_the_kernel():
    found = SteinScoreEstimator(kernel="imq").fit_transform(X)
    expected = ssge(torch.from_numpy(X), alpha=0.1 / len(X), eigen_threshold=None, kernel="imq")
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_a_projection_to_all_dimensions_has_the_kernel():
    fits = [RandomProjectionSSGE(2, kernel=k, random_state=0).fit(X) for k in ("rbf", "matern")]
    assert not np.allclose(*(fit.transform(FRESH) for fit in fits))


def test_cross_validation_chooses_among_kernels():
    search = SSGEScoreEstimatorCV(kernels=("rbf", Matern()), bandwidth_factors=(1.0,), cv=3).fit(X)
    assert set(search.cv_results_["param_kernel"]) == {KERNELS["rbf"], Matern()}
    assert search.kernel_ == search.best_params_["kernel"]
    refitted = SSGEScoreEstimator(**search.best_params_).fit(X)
    np.testing.assert_allclose(refitted.transform(FRESH), search.transform(FRESH))


def test_sums_over_different_kernels_are_not_merged():
    first, second = (SSGEScoreEstimator(kernel=k, n_landmarks=9) for k in ("rbf", "imq"))
    first.set_params(random_state=0).partial_fit(X)
    second.set_params(random_state=0).partial_fit(X)
    with pytest.raises(ValueError, match="different"):
        first.merge(second)
    with pytest.raises(ValueError, match="kernel='imq' instead of 'rbf'"):
        first.set_params(kernel="imq").partial_fit(X)


def test_the_training_of_an_encoder_uses_the_kernel():
    options = {"max_epochs": 1, "batch_size": 64, "hidden_layer_sizes": (8,), "random_state": 0}
    codes = [
        MIGEEncoder(2, score_estimator=SSGEScoreEstimator(kernel=k), **options).fit_transform(X)
        for k in ("rbf", "matern")
    ]
    assert not np.allclose(*codes)


@pytest.mark.parametrize("estimator", [SSGEScoreEstimator(), SteinScoreEstimator()])
def test_an_unknown_kernel_is_refused_by_name(estimator):
    with pytest.raises(ValueError, match="'kernel' parameter of .* must be .*'cubic'"):
        clone(estimator).set_params(kernel="cubic").fit(X)
    with pytest.raises(ValueError, match="kernel must be one of 'rbf'.*'cubic'"):
        SSGEScoreEstimatorCV(kernels=("cubic",)).fit(X)
