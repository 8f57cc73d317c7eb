"""Correlated Gaussians with known mutual information and known gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sk_mige._sizes import as_number, as_size

from ._exact_score import ExactScore, Seed
from ._gaussian import GaussianScore


class CorrelatedGaussianScore(ExactScore):
    r"""Joint score of :math:`x` and :math:`y = \rho x + \sqrt{1 - \rho^2}\, \varepsilon`.

    The vectors :math:`x` and :math:`\varepsilon` are independent samples of
    :math:`\mathcal N(0, I_d)`. A point is a row :math:`(x, y)` of :math:`2 d` numbers. The score at
    a point is

    .. math::
        \nabla \log q(x, y) = \Bigl(\frac{\rho y - x}{1 - \rho^2},\;
        \frac{\rho x - y}{1 - \rho^2}\Bigr).

    Parameters
    ----------
    n_features : int, default=1
        Dimension :math:`d` of :math:`x` and of :math:`y`.
    rho : float, default=0.5
        Correlation :math:`\rho` of each pair :math:`(x_i, y_i)`, strictly between −1 and 1.

    Attributes
    ----------
    n_features : int
        Number of columns of a point, :math:`2 d`.
    rho : float
        Correlation.

    See Also
    --------
    make_correlated_gaussian : Generate samples with this score.

    Examples
    --------
    >>> from sk_mige.datasets import CorrelatedGaussianScore
    >>> score = CorrelatedGaussianScore(n_features=4, rho=0.8)
    >>> f"{score.mutual_info:.4f} nats, {score.mutual_info_gradient:.4f} nats per unit of rho"
    '2.0433 nats, 8.8889 nats per unit of rho'
    """

    def __init__(self, n_features: int = 1, rho: float = 0.5) -> None:
        n_features = as_size("n_features", n_features)
        as_number("rho", rho, -1, 1)
        self._half = n_features
        self.n_features = 2 * self._half
        self.rho = rho

    @property
    def mutual_info(self) -> float:
        r"""Mutual information :math:`I(x; y) = -\frac d2 \log(1 - \rho^2)`, in nats."""
        return float(-self._half / 2 * np.log1p(-(self.rho**2)))

    @property
    def mutual_info_gradient(self) -> float:
        r"""Gradient of the information, :math:`\partial I/\partial\rho = d\rho/(1 - \rho^2)`."""
        return float(self._half * self.rho / (1 - self.rho**2))

    @property
    def marginal(self) -> GaussianScore:
        r"""Score of :math:`\mathcal N(0, I_d)`, the distribution of :math:`x` and of :math:`y`."""
        return GaussianScore(np.zeros(self._half))

    def split(self, XY: ArrayLike) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        r"""Split rows into the columns of :math:`x` and the columns of :math:`y`.

        Parameters
        ----------
        XY : array-like of shape (n, 2 d)
            Points, or scores at points.

        Returns
        -------
        X : ndarray of shape (n, d)
            First half of the columns.
        Y : ndarray of shape (n, d)
            Second half of the columns.
        """
        points = np.asarray(XY)
        return points[:, : self._half], points[:, self._half :]

    def pathwise_gradient(self, XY: ArrayLike) -> NDArray[np.float64]:
        r"""Return :math:`\partial y / \partial \rho` at fixed :math:`x` and :math:`\varepsilon`.

        .. math::
            \frac{\partial y}{\partial \rho} = x - \frac{\rho}{\sqrt{1 - \rho^2}}\, \varepsilon
            = \frac{x - \rho y}{1 - \rho^2}

        With the joint score :math:`s_{xy}` and the score :math:`s_y` of y, the gradient of the
        mutual information is :math:`\partial I / \partial \rho = E[(s_{xy})_y^\top \partial_\rho y
        - s_y^\top \partial_\rho y]`.

        Parameters
        ----------
        XY : array-like of shape (n, 2 d)
            Samples :math:`(x, y)`.

        Returns
        -------
        ndarray of shape (n, d)
            Derivatives.
        """
        x, y = self.split(self._check_points(XY)[0])
        return np.asarray((x - self.rho * y) / (1 - self.rho**2), dtype=np.float64)

    def _score(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = self.split(points)
        return np.hstack([self.rho * y - x, self.rho * x - y]) / (1 - self.rho**2)

    def _log_density(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = self.split(points)
        variance = 1 - self.rho**2
        squares = x**2 + (y - self.rho * x) ** 2 / variance
        constant = self._half * (np.log(2 * np.pi) + np.log(variance) / 2)
        return -squares.sum(axis=1) / 2 - constant

    def _sample(self, n_samples: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        x, epsilon = rng.standard_normal((2, n_samples, self._half))
        return np.hstack([x, self.rho * x + np.sqrt(1 - self.rho**2) * epsilon])


def make_correlated_gaussian(
    n_samples: int = 100, n_features: int = 1, *, rho: float = 0.5, random_state: Seed = None
) -> tuple[NDArray[np.float64], CorrelatedGaussianScore]:
    r"""Generate pairs of correlated Gaussians, with their joint score and mutual information.

    The pairs are :math:`(x, y)` with :math:`y = \rho x + \sqrt{1 - \rho^2}\, \varepsilon`, where
    :math:`x, \varepsilon \sim \mathcal N(0, I_d)` are independent. The mutual information and its
    gradient are

    .. math::
        I(x; y) = -\tfrac d2 \log(1 - \rho^2), \qquad
        \frac{\partial I}{\partial \rho} = \frac{d \rho}{1 - \rho^2}.

    The attributes ``mutual_info`` and ``mutual_info_gradient`` of the returned score contain the
    mutual information and its gradient. The method ``split`` of the score splits rows into
    :math:`x` and :math:`y`. The method ``pathwise_gradient`` differentiates :math:`y` with respect
    to :math:`\rho`.

    Parameters
    ----------
    n_samples : int, default=100
        Number of pairs.
    n_features : int, default=1
        Dimension :math:`d` of :math:`x` and of :math:`y`.
    rho : float, default=0.5
        Correlation :math:`\rho`, strictly between −1 and 1.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the samples. The same seed gives the same :math:`x` and
        :math:`\varepsilon` for every ``rho``.

    Returns
    -------
    XY : ndarray of shape (n_samples, 2 * n_features)
        Samples. The first ``n_features`` columns are :math:`x`, and the last ones are :math:`y`.
    score : CorrelatedGaussianScore
        Callable that evaluates the exact joint score at points :math:`(x, y)`.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> from sk_mige.datasets import make_correlated_gaussian
    >>> XY, score = make_correlated_gaussian(256, 8, rho=0.6, random_state=0)
    >>> X, Y = score.split(XY)
    >>> X.shape, Y.shape
    ((256, 8), (256, 8))
    >>> f"{score.mutual_info:.3f}"
    '1.785'

    Estimate the gradient from samples and exact scores:

    >>> joint_y = score.split(score(XY))[1]
    >>> marginal_y = score.marginal(Y)
    >>> gradient = ((joint_y - marginal_y) * score.pathwise_gradient(XY)).sum(axis=1).mean()
    >>> f"{gradient:.1f}, truth {score.mutual_info_gradient:.1f}"
    '7.5, truth 7.5'
    """
    score = CorrelatedGaussianScore(n_features, rho)
    return score.sample(n_samples, random_state=random_state), score
