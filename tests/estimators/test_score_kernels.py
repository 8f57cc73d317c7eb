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
from sk_mige.datasets import make_banana, make_gaussian_mixture
from sk_mige.score import RBF, InverseMultiquadric, Matern, ssge
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


@pytest.mark.parametrize("kernel", ["imq", "matern", "multiscale"])
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


def separate_modes(n_samples, n_features=2):
    """Return samples of eight modes on a circle, or of eight modes on a line."""
    angles = np.arange(8) * np.pi / 4
    means = (
        3 * np.stack([np.cos(angles), np.sin(angles)], 1) if n_features == 2 else angles[:, None]
    )
    return make_gaussian_mixture(n_samples, means=means, covariances=0.09, random_state=0)


@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30])
@pytest.mark.parametrize("options", [{}, {"curl_free": True}, {"n_landmarks": 200}])
def test_separate_modes_have_the_rough_kernel_by_default(options, scale):
    modes, exact = separate_modes(400)
    fresh = exact.sample(300, random_state=1)
    estimator = SSGEScoreEstimator(random_state=0, **options).fit(scale * modes)
    assert estimator.kernel_ == Matern(nu=1.5)
    error = np.square(scale * estimator.transform(scale * fresh) - exact(fresh)).sum()
    assert error < 0.25 * np.square(exact(fresh)).sum()


def test_smooth_densities_have_the_rbf_by_default():
    assert SSGEScoreEstimator().fit(X).kernel_ == RBF()
    assert SSGEScoreEstimator(n_landmarks=100, random_state=0).fit(X).kernel_ == RBF()


def test_more_rows_than_a_dense_choice_allows_have_a_chosen_kernel():
    modes, _ = separate_modes(2_100)
    assert SSGEScoreEstimator().fit(modes).kernel_ == Matern(nu=1.5)


def test_a_single_feature_has_the_rbf_by_default():
    assert SSGEScoreEstimator().fit(separate_modes(300, 1)[0]).kernel_ == RBF()


@pytest.mark.parametrize("options", [{"alpha": 1e-3}, {"eigen_threshold": 0.99}])
def test_a_given_regularisation_has_the_rbf_by_default(options):
    modes, _ = separate_modes(300)
    found = SSGEScoreEstimator(**options).fit_transform(modes)
    expected = SSGEScoreEstimator(kernel="rbf", **options).fit_transform(modes)
    np.testing.assert_array_equal(found, expected)


def test_the_first_batch_of_a_stream_chooses_the_kernel():
    modes, _ = separate_modes(400)
    estimator = SSGEScoreEstimator(n_landmarks=200, random_state=0).partial_fit(modes)
    assert estimator.partial_fit(X).kernel_ == Matern(nu=1.5)


def test_cross_validation_compares_the_kernels_of_the_default():
    search = SSGEScoreEstimatorCV(bandwidth_factors=(0.5, 1.0), cv=3).fit(X)
    kernels, factors = (search.cv_results_[f"param_{n}"] for n in ("kernel", "bandwidth_factor"))
    assert set(zip(kernels, factors, strict=True)) == {
        (RBF(), 0.5),
        (RBF(), 1.0),
        (Matern(nu=1.5), 1.0),
    }


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
