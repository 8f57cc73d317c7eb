"""Banana density: a Gaussian bent along a parabola."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sk_mige._sizes import as_number

from ._exact_score import LARGEST, ExactScore, Seed


class BananaScore(ExactScore):
    r"""Score of the banana density :math:`x = (u,\; c(u^2 - 1) + s\,\varepsilon)`.

    The variables :math:`u` and :math:`\varepsilon` are independent and standard normal. With the
    residual :math:`r = x_2 - c(x_1^2 - 1)`, the score is

    .. math:: \nabla \log q(x) = (-x_1 + 2 c\, x_1 r / s^2,\; -r / s^2).

    Parameters
    ----------
    curvature : float, default=1.0
        Curvature :math:`c`. With ``curvature=0``, the density is a Gaussian. Negative values bend
        the density downwards.
    noise : float, default=0.5
        Standard deviation :math:`s` of :math:`x_2`, given :math:`x_1`.

    Attributes
    ----------
    n_features : int
        Dimension, always 2.

    See Also
    --------
    make_banana : Generate samples with this score.

    Examples
    --------
    >>> from sk_mige.datasets import BananaScore
    >>> score = BananaScore()
    >>> score([[0.0, 0.0], [1.0, 0.0]])
    array([[ 0., -4.],
           [-1.,  0.]])
    """

    def __init__(self, curvature: float = 1.0, noise: float = 0.5) -> None:
        as_number("curvature", curvature, -LARGEST, LARGEST)
        as_number("noise", noise, 0, LARGEST)
        self.curvature = curvature
        self.noise = noise
        self.n_features = 2

    def _residual(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return points[:, 1] - self.curvature * (points[:, 0] ** 2 - 1)

    def _score(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        pull = self._residual(points) / self.noise**2
        u = points[:, 0]
        return np.stack([-u + 2 * self.curvature * u * pull, -pull], axis=1)

    def _log_density(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        squares = points[:, 0] ** 2 + (self._residual(points) / self.noise) ** 2
        return -squares / 2 - np.log(2 * np.pi * self.noise)

    def _sample(self, n_samples: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        u, epsilon = rng.standard_normal((2, n_samples))
        return np.stack([u, self.curvature * (u**2 - 1) + self.noise * epsilon], axis=1)


def make_banana(
    n_samples: int = 100, *, curvature: float = 1.0, noise: float = 0.5, random_state: Seed = None
) -> tuple[NDArray[np.float64], BananaScore]:
    r"""Generate samples of a Gaussian bent along a parabola, with their exact score.

    The samples :math:`x = (u,\; c(u^2 - 1) + s\,\varepsilon)` have mean 0, where
    :math:`u, \varepsilon \sim \mathcal N(0, 1)` are independent. With the residual
    :math:`r = x_2 - c(x_1^2 - 1)`, the score is

    .. math:: \nabla \log q(x) = (-x_1 + 2 c\, x_1 r / s^2,\; -r / s^2).

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    curvature : float, default=1.0
        Curvature :math:`c`. With ``curvature=0``, the density is a Gaussian. Negative values bend
        the density downwards.
    noise : float, default=0.5
        Standard deviation :math:`s` of :math:`x_2`, given :math:`x_1`.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the samples.

    Returns
    -------
    X : ndarray of shape (n_samples, 2)
        Samples.
    score : BananaScore
        Callable that evaluates the exact score at any points.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> from sk_mige.datasets import make_banana
    >>> X, score = make_banana(512, random_state=0)
    >>> score(X).shape
    (512, 2)
    """
    score = BananaScore(curvature, noise)
    return score.sample(n_samples, random_state=random_state), score
