"""Score estimators for comparison, which have the same interface."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from sk_mige import SlicedScoreMatching, SSGEScoreEstimator, SteinScoreEstimator
from sk_mige.datasets import make_banana
from sk_mige.score import ssge


@pytest.fixture(scope="module")
def banana():
    """Samples, fresh points and the true scores at the fresh points."""
    X, exact = make_banana(300, random_state=0)
    fresh = exact.sample(300, random_state=1)
    return X, fresh, exact(fresh)


@pytest.fixture(scope="module")
def fitted(banana):
    """Different estimators of the same score, fitted."""
    return [
        SlicedScoreMatching(max_epochs=1, random_state=0).fit(banana[0]),
        SlicedScoreMatching(max_epochs=30, random_state=0).fit(banana[0]),
        SteinScoreEstimator().fit(banana[0]),
        SSGEScoreEstimator().fit(banana[0]),
    ]


@pytest.mark.parametrize("eta", [0.01, 0.1, 1.0])
def test_steins_estimator_equals_ssge_at_the_samples_and_keeps_its_size_between_them(eta):
    X, Y = np.random.default_rng(0).normal(size=(2, 400, 2))
    estimator = SteinScoreEstimator(eta=eta).fit(X)
    at_samples = ssge(torch.as_tensor(X), alpha=eta / 400, eigen_threshold=None)
    np.testing.assert_allclose(estimator.transform(X), at_samples, atol=1e-5)
    slope = (estimator.transform(Y) * -Y).sum() / np.square(Y).sum()  # the truth is 1
    assert abs(slope - 1) < 0.1


def test_held_out_losses_rank_different_estimators_as_their_errors_do(fitted, banana):
    _, fresh, truth = banana
    errors = [np.square(estimator.transform(fresh) - truth).sum() for estimator in fitted]
    scores = [estimator.score(fresh) for estimator in fitted]
    assert np.array_equal(np.argsort(errors), np.argsort(scores)[::-1])


def test_a_network_learns_the_score_by_slices(fitted, banana):
    _, fresh, truth = banana
    first, last = (np.square(e.transform(fresh) - truth).sum() for e in fitted[:2])
    assert last < 0.6 * first


def test_the_networks_score_is_hyvarinens_loss_with_an_exact_divergence(fitted, banana):
    """The closed form agrees with central differences of the estimated score."""
    _, fresh, _ = banana
    network, h = fitted[1], 1e-2
    divergence = np.zeros(len(fresh))
    for axis, step in enumerate(np.eye(2) * h):
        slope = network.transform(fresh + step) - network.transform(fresh - step)
        divergence += slope[:, axis] / (2 * h)
    loss = 0.5 * np.square(network.transform(fresh)).sum(1) + divergence
    assert network.score(fresh) == pytest.approx(-loss.mean(), rel=2e-2)


def test_training_is_searched_over_by_the_same_loss(banana):
    search = GridSearchCV(SlicedScoreMatching(random_state=0), {"max_epochs": [1, 15]}, cv=2)
    assert search.fit(banana[0]).best_params_ == {"max_epochs": 15}
