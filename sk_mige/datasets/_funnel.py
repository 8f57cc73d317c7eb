"""Neal's funnel: a density in which one variable sets the scale of all other variables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sk_mige._sizes import as_number, as_size

from ._exact_score import LARGEST, ExactScore, Seed


class FunnelScore(ExactScore):
    r"""Score of Neal's funnel, whose first variable sets the scale of all other variables.

    The variables are :math:`v \sim \mathcal N(0, s^2)` and :math:`x_i \mid v \sim \mathcal
    N(0, e^v)`. The score at the point :math:`(v, x_1, \dots, x_{d-1})` is

    .. math::
        \nabla \log q = \Bigl(-\frac{v}{s^2} + \tfrac12 \sum_i (x_i^2 e^{-v} - 1),\;
        -x_1 e^{-v}, \dots, -x_{d-1} e^{-v}\Bigr).

    Parameters
    ----------
    n_features : int, default=2
        Dimension :math:`d`, at least 2, including :math:`v`.
    scale : float, default=1.0
        Standard deviation :math:`s` of the log-variance :math:`v`.

    Attributes
    ----------
    n_features : int
        Dimension :math:`d`.

    See Also
    --------
    make_funnel : Generate samples with this score.

    Examples
    --------
    >>> from sk_mige.datasets import FunnelScore
    >>> score = FunnelScore(n_features=3)
    >>> score([[0.0, 1.0, 2.0]])
    array([[ 1.5, -1. , -2. ]])
    """

    def __init__(self, n_features: int = 2, scale: float = 1.0) -> None:
        n_features = as_size("n_features", n_features, 2)
        as_number("scale", scale, 0, LARGEST)
        self.n_features = n_features
        self.scale = scale

    def _score(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        v, x = points[:, :1], points[:, 1:]
        precision = np.exp(-v)
        of_scale = -v / self.scale**2 + (x**2 * precision - 1).sum(axis=1, keepdims=True) / 2
        return np.hstack([of_scale, -x * precision])

    def _log_density(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        v, x = points[:, 0], points[:, 1:]
        squares = (v / self.scale) ** 2 + (x**2).sum(axis=1) * np.exp(-v)
        constant = self.n_features * np.log(2 * np.pi) / 2 + np.log(self.scale)
        return -squares / 2 - (self.n_features - 1) * v / 2 - constant

    def _sample(self, n_samples: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        samples = rng.standard_normal((n_samples, self.n_features))
        samples[:, 0] *= self.scale
        samples[:, 1:] *= np.exp(samples[:, :1] / 2)
        return samples


def make_funnel(
    n_samples: int = 100, n_features: int = 2, *, scale: float = 1.0, random_state: Seed = None
) -> tuple[NDArray[np.float64], FunnelScore]:
    r"""Generate samples of Neal's funnel, with their exact score.

    The first variable :math:`v \sim \mathcal N(0, s^2)` sets the scale of all other variables
    :math:`x_i \mid v \sim \mathcal N(0, e^v)`. No single bandwidth suits both the wide and the
    narrow part of the funnel. The score is

    .. math::
        \nabla \log q = \Bigl(-\frac{v}{s^2} + \tfrac12 \sum_i (x_i^2 e^{-v} - 1),\;
        -x_1 e^{-v}, \dots, -x_{d-1} e^{-v}\Bigr).

    Neal's original funnel [1]_ has ``n_features=10, scale=3``. With ``scale=3``, rare samples in
    the narrow part dominate the second moment of the score, which is :math:`E[e^{-v}] = e^{s^2/2}`
    for each :math:`x_i`. The default ``scale=1`` gives a less extreme funnel.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    n_features : int, default=2
        Dimension :math:`d`, at least 2, including :math:`v`.
    scale : float, default=1.0
        Standard deviation :math:`s` of the log-variance :math:`v`.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the samples.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Samples, with :math:`v` in the first column.
    score : FunnelScore
        Callable that evaluates the exact score at any points.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] R. M. Neal, "Slice sampling", Annals of Statistics 31(3), 2003.

    Examples
    --------
    >>> from sk_mige.datasets import make_funnel
    >>> X, score = make_funnel(200, 10, scale=3.0, random_state=0)
    >>> score(X).shape
    (200, 10)
    """
    score = FunnelScore(n_features, scale)
    return score.sample(n_samples, random_state=random_state), score
