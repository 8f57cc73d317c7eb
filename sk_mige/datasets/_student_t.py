"""Multivariate Student-t density: elliptical, with heavy tails."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln
from sklearn.utils import check_random_state

from sk_mige._sizes import as_number, as_size

from ._exact_score import ExactScore, Seed
from ._scatter import Scatter, random_covariance


class StudentTScore(ExactScore):
    r"""Score of the multivariate Student-t with :math:`\nu` degrees of freedom.

    .. math::
        \nabla \log q(x) = -\frac{\nu + d}{\nu + \delta(x)}\, \Sigma^{-1} (x - \mu), \qquad
        \delta(x) = (x - \mu)^\top \Sigma^{-1} (x - \mu)

    Parameters
    ----------
    location : array-like of shape (d,)
        Centre :math:`\mu`. The centre is the mean if ``df`` > 1.
    scatter : float, array-like of shape (d,) or (d, d), default=1.0
        Matrix :math:`\Sigma`. If ``df`` > 2, the covariance is :math:`\nu \Sigma / (\nu - 2)`.
    df : float, default=5.0
        Degrees of freedom :math:`\nu`. Smaller values give heavier tails.

    Attributes
    ----------
    n_features : int
        Dimension :math:`d`.

    See Also
    --------
    make_student_t : Generate samples with this score.

    Examples
    --------
    >>> from sk_mige.datasets import StudentTScore
    >>> score = StudentTScore(location=[0.0], df=3.0)
    >>> score([[1.0], [3.0]])
    array([[-1.],
           [-1.]])
    """

    def __init__(self, location: ArrayLike, scatter: ArrayLike = 1.0, df: float = 5.0) -> None:
        as_number("df", df)
        self._scatter = Scatter(location, scatter, "scatter")
        self.n_features = len(self._scatter.location)
        self.df = df

    @property
    def location(self) -> NDArray[np.float64]:
        """Centre, shape (d,)."""
        return self._scatter.location

    @property
    def scatter(self) -> NDArray[np.float64]:
        """Scatter matrix, shape (d, d)."""
        return self._scatter.matrix

    def _delta(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return (self._scatter.whiten(points) ** 2).sum(axis=1)

    def _score(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        shrinkage = (self.df + self.n_features) / (self.df + self._delta(points))
        return -shrinkage[:, None] * self._scatter.solve(points)

    def _log_density(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        d, df = self.n_features, self.df
        constant = gammaln((df + d) / 2) - gammaln(df / 2) - d / 2 * np.log(df * np.pi)
        tail = (df + d) / 2 * np.log1p(self._delta(points) / df)
        return constant - self._scatter.half_log_det - tail

    def _sample(self, n_samples: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        white = rng.standard_normal((n_samples, self.n_features))
        white *= np.sqrt(self.df / rng.chisquare(self.df, size=(n_samples, 1)))
        return self._scatter.colour(white)


def make_student_t(
    n_samples: int = 100,
    n_features: int = 2,
    *,
    df: float = 5.0,
    condition_number: float = 1.0,
    random_state: Seed = None,
) -> tuple[NDArray[np.float64], StudentTScore]:
    r"""Generate samples of a multivariate Student-t, with their exact score.

    .. math::
        \nabla \log q(x) = -\frac{\nu + d}{\nu + x^\top \Sigma^{-1} x}\, \Sigma^{-1} x

    In the tails, the norm of the score decreases to zero for a Student-t, and grows for a Gaussian.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    n_features : int, default=2
        Dimension :math:`d`.
    df : float, default=5.0
        Degrees of freedom :math:`\nu`. With ``df=1``, the density is a Cauchy distribution. The
        variance is not finite if ``df`` ≤ 2. The density approaches a Gaussian as ``df`` increases.
    condition_number : float, default=1.0
        Condition number of the scatter matrix :math:`\Sigma`, whose determinant is 1. For condition
        numbers above 1, the eigenvalues are log-spaced and the eigenvectors are random.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the scatter matrix and the samples, drawn in this order.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Samples.
    score : StudentTScore
        Callable that evaluates the exact score at any points.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> from sk_mige.datasets import make_student_t
    >>> X, score = make_student_t(200, 5, df=3, random_state=0)
    >>> score(X).shape
    (200, 5)
    """
    as_size("n_features", n_features)
    rng = check_random_state(random_state)
    scatter = random_covariance(n_features, condition_number, rng)
    score = StudentTScore(np.zeros(n_features), scatter, df)
    return score.sample(n_samples, random_state=rng), score
