"""Information through parametric channels: the estimator."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from sk_mige import MutualInfoGradientEstimator, SSGEScoreEstimator


def correlated(x, rho, noise):
    return rho * x + (1 - rho**2).sqrt() * noise


def test_the_curve_of_figure_one(rng):
    X = rng.standard_normal((256, 8))
    estimator = MutualInfoGradientEstimator(correlated, standard_error="batch", random_state=0)
    rhos = np.linspace(-0.8, 0.8, 5)
    curve = [clone(estimator).set_params(theta=rho).fit(X).gradient_ for rho in rhos]
    truth = 8 * rhos / (1 - rhos**2)
    assert np.linalg.norm(curve - truth) < 0.08 * np.linalg.norm(truth)


def test_every_parameter_of_a_linear_channel_has_its_derivative(rng):
    """y = diag(θ) x + ε: I = ½ Σ log(1 + θ_k²)."""
    theta = np.array([0.5, 2.0, 0.0])
    estimator = MutualInfoGradientEstimator(theta=theta, random_state=0)
    estimator.fit(rng.standard_normal((600, 3)))
    assert estimator.gradient_.shape == (3,)
    truth = theta / (1 + theta**2)
    assert (abs(estimator.gradient_ - truth) < 4 * estimator.standard_error_).all()


def test_a_score_estimator_takes_the_defaults_place(rng):
    X = rng.standard_normal((100, 2))
    published = SSGEScoreEstimator(eigen_threshold=0.99, whiten=False, base=None)
    options = {"margins": None, "standard_error": "batch", "random_state": 0}
    one = MutualInfoGradientEstimator(score_estimator=published, **options).fit(X)
    other = MutualInfoGradientEstimator(**options).fit(X)
    assert one.gradient_ != other.gradient_
    assert abs(one.gradient_ - 1.0) < 0.5


def test_one_seed_one_result(rng, global_random_state_untouched):
    X = rng.standard_normal((50, 2))
    estimator = MutualInfoGradientEstimator(random_state=3, n_batches=2)
    assert estimator.fit(X).gradient_ == clone(estimator).fit(X).gradient_


def test_a_matrix_of_parameters_is_refused(rng):
    with pytest.raises(ValueError, match="number or a vector"):
        MutualInfoGradientEstimator(theta=np.eye(2)).fit(rng.standard_normal((20, 2)))


@pytest.mark.parametrize("n_noise", [1, 2, 4])
def test_the_default_family_has_one_noise_a_feature(rng, n_noise):
    X = rng.standard_normal((20, 3))
    with pytest.raises(ValueError, match=f"n_noise must be 3 or None.*got {n_noise}"):
        MutualInfoGradientEstimator(n_noise=n_noise).fit(X)
    options = {"random_state": 0, "n_batches": 2}
    given = MutualInfoGradientEstimator(n_noise=3, **options).fit(X)
    assert given.gradient_ == MutualInfoGradientEstimator(**options).fit(X).gradient_


def test_another_family_may_have_other_noise(rng):
    def shared(x, theta, noise):
        return theta * x.sum(1, keepdim=True) + noise

    estimator = MutualInfoGradientEstimator(shared, n_noise=1, random_state=0, n_batches=2)
    assert np.isfinite(estimator.fit(rng.standard_normal((40, 3))).gradient_)
