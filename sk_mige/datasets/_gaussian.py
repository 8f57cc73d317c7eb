"""Gaussian density with any mean, covariance or condition number."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from sk_mige._sizes import as_size

from ._exact_score import ExactScore, Seed
from ._scatter import Scatter, as_floats, random_covariance


class GaussianScore(ExactScore):
    r"""Score of a Gaussian, :math:`\nabla \log q(x) = -\Sigma^{-1}(x - \mu)`.

    Parameters
    ----------
    mean : array-like of shape (d,)
        Mean :math:`\mu`.
    covariance : float, array-like of shape (d,) or (d, d), default=1.0
        Covariance :math:`\Sigma`: one variance for all features, one variance for each feature, or
        a full matrix. The score at a point takes :math:`O(d)` operations for variances, and
        :math:`O(d^2)` for a matrix.

    Attributes
    ----------
    n_features : int
        Dimension :math:`d`.

    See Also
    --------
    make_gaussian : Generate samples with this score.

    Examples
    --------
    >>> from sk_mige.datasets import GaussianScore
    >>> score = GaussianScore(mean=[1.0, 0.0], covariance=[1.0, 4.0])
    >>> score([[2.0, 2.0]])
    array([[-1. , -0.5]])
    """

    def __init__(self, mean: ArrayLike, covariance: ArrayLike = 1.0) -> None:
        self._scatter = Scatter(mean, covariance, "covariance")
        self.n_features = len(self._scatter.location)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean, shape (d,)."""
        return self._scatter.location

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance, shape (d, d)."""
        return self._scatter.matrix

    def _score(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return -self._scatter.solve(points)

    def _log_density(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        squares = (self._scatter.whiten(points) ** 2).sum(axis=1)
        constant = self.n_features * np.log(2 * np.pi) / 2 + self._scatter.half_log_det
        return -squares / 2 - constant

    def _sample(self, n_samples: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        return self._scatter.colour(rng.standard_normal((n_samples, self.n_features)))


def make_gaussian(
    n_samples: int = 100,
    n_features: int = 2,
    *,
    mean: ArrayLike | Literal["random"] = 0.0,
    covariance: ArrayLike | None = None,
    condition_number: float = 1.0,
    random_state: Seed = None,
) -> tuple[NDArray[np.float64], GaussianScore]:
    r"""Generate samples of a Gaussian, with its exact score.

    .. math:: \nabla \log q(x) = -\Sigma^{-1}(x - \mu)

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    n_features : int, default=2
        Dimension :math:`d`.
    mean : float, array-like of shape (n_features,) or "random", default=0.0
        Mean :math:`\mu`. A number is the mean of every feature. The value "random" draws the mean
        from :math:`\mathcal N(0, I)`.
    covariance : float, array-like of shape (d,) or (d, d), default=None
        Covariance :math:`\Sigma`: one variance for all features, one variance for each feature, or
        a full matrix. By default, ``condition_number`` defines the matrix.
    condition_number : float, default=1.0
        Ratio of the largest to the smallest eigenvalue of the covariance. For condition numbers
        above 1, the eigenvalues are log-spaced with product 1, and the eigenvectors are random.
        The parameter is ignored if ``covariance`` is given.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the mean, the eigenvectors and the samples, drawn in this order.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Samples.
    score : GaussianScore
        Callable that evaluates the exact score at any points.

    Raises
    ------
    ValueError
        If a shape does not match ``n_features``, ``covariance`` is not symmetric and positive
        definite, or ``condition_number`` is below 1. The error is also raised for ``n_features=1``
        with a ``condition_number`` above 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige.datasets import make_gaussian
    >>> X, score = make_gaussian(
    ...     1000, 20, mean="random", condition_number=1e4, random_state=0
    ... )
    >>> X.shape, score(X).shape
    ((1000, 20), (1000, 20))
    >>> f"{np.linalg.cond(score.covariance):.0f}"
    '10000'
    """
    as_size("n_features", n_features)
    rng = check_random_state(random_state)
    if isinstance(mean, str):
        if mean != "random":
            raise ValueError(f"mean must be a number, a vector or 'random'; got {mean!r}.")
        centre = rng.standard_normal(n_features)
    else:
        given = as_floats("mean", mean)
        if given.shape not in [(), (n_features,)]:
            raise ValueError(
                f"mean must be a number or have shape ({n_features},), as set by n_features; got "
                f"shape {given.shape}."
            )
        centre = np.broadcast_to(given, (n_features,))
    if covariance is None:
        covariance = random_covariance(n_features, condition_number, rng)
    score = GaussianScore(centre, covariance)
    return score.sample(n_samples, random_state=rng), score
