"""Landmarks drawn by ridge leverages, against their definition."""

import numpy as np
import torch

from sk_mige.estimators._score_landmarks import _leverage_sample
from sk_mige.score import median_bandwidth, squared_distances


class Recorder:
    """Stands for a random generator and keeps the probabilities that it is asked to draw by."""

    def choice(self, n, size, replace, p):
        self.probabilities = p
        assert not replace
        return np.arange(size)


def test_rows_are_drawn_in_proportion_to_their_ridge_leverages():
    """diag(K (K + μ I)⁻¹) with μ the m-th largest eigenvalue of the Gram matrix K."""
    y, m, recorder = np.random.default_rng(0).standard_normal((40, 2)), 10, Recorder()
    assert len(_leverage_sample(y, m, recorder)) == m
    sq = squared_distances(torch.from_numpy(y))
    gram = torch.exp(-sq / (2 * median_bandwidth(sq) ** 2)).numpy()
    ridge = np.linalg.eigvalsh(gram)[-m] * np.eye(40)
    leverages = np.diag(gram @ np.linalg.inv(gram + ridge))
    np.testing.assert_allclose(recorder.probabilities, leverages / leverages.sum(), rtol=1e-6)
