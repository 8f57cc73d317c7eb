"""Ridge leverage scores for the choice of landmarks, compared with their definition."""

import numpy as np
import pytest
import torch

from sk_mige.estimators._score_base import choose_landmarks
from sk_mige.score import RBF, Matern, median_bandwidth, squared_distances
from sk_mige.score.landmarks import ridge_leverages


class Recorder:
    """Random generator that records the probabilities of its draws."""

    def choice(self, n, size, replace, p=None):
        assert not replace
        self.probabilities = p
        return np.arange(size)


def definition(y, m, kernel):
    """diag(K (K + μ I)⁻¹) with μ the m-th largest eigenvalue of the Gram matrix K."""
    sq = squared_distances(torch.from_numpy(y))
    gram = kernel(sq / median_bandwidth(sq) ** 2).numpy()
    ridge = np.linalg.eigvalsh(gram)[-m] * np.eye(len(y))
    return np.diag(gram @ np.linalg.inv(gram + ridge))


@pytest.mark.parametrize("kernel", [RBF(), Matern()])
def test_leverages_are_those_of_the_definition(kernel):
    y = np.random.default_rng(0).standard_normal((40, 2))
    leverages = ridge_leverages(torch.from_numpy(y), 10, kernel)
    np.testing.assert_allclose(leverages, definition(y, 10, kernel), rtol=1e-6)


def test_rows_are_drawn_in_proportion_to_their_ridge_leverages():
    y, recorder = np.random.default_rng(0).standard_normal((40, 2)), Recorder()
    assert len(choose_landmarks(y, 10, "leverage", recorder, RBF())) == 10
    leverages = definition(y, 10, RBF())
    np.testing.assert_allclose(recorder.probabilities, leverages / leverages.sum(), rtol=1e-6)
