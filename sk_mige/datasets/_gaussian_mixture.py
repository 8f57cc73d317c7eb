"""Mixtures of Gaussians with any means, covariances and weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, softmax

from ._exact_score import ExactScore, Seed
from ._gaussian import GaussianScore
from ._scatter import as_floats


class GaussianMixtureScore(ExactScore):
    r"""Score of a mixture of Gaussians :math:`q_k`.

    With responsibilities :math:`r_k(x) = w_k q_k(x) / \sum_l w_l q_l(x)`, the score is

    .. math:: \nabla \log q(x) = -\sum_k r_k(x)\, \Sigma_k^{-1} (x - \mu_k).

    Parameters
    ----------
    means : array-like of shape (K, d)
        Means :math:`\mu_k`.
    covariances : float, array-like of shape (K,), (d, d) or (K, d, d), default=1.0
        Covariances: one variance or one matrix, either for all components or for each component.
    weights : array-like of shape (K,), default=None
        Positive weights :math:`w_k`, which are divided by their sum. None means equal weights.

    Attributes
    ----------
    n_features : int
        Dimension :math:`d`.
    weights : ndarray of shape (K,)
        Weights, with sum 1.

    See Also
    --------
    make_gaussian_mixture : Generate samples with this score.

    Examples
    --------
    >>> from sk_mige.datasets import GaussianMixtureScore
    >>> score = GaussianMixtureScore(means=[[-1.0], [1.0]], covariances=0.25)
    >>> score([[0.0], [9.0]])
    array([[  0.],
           [-32.]])
    """

    def __init__(
        self, means: ArrayLike, covariances: ArrayLike = 1.0, weights: ArrayLike | None = None
    ) -> None:
        centres = as_floats("means", means)
        if centres.ndim != 2 or 0 in centres.shape:
            raise ValueError(f"means must have shape (K, d); got {centres.shape}.")
        k, d = centres.shape
        given = as_floats("covariances", covariances)
        if given.shape not in [(), (k,), (d, d), (k, d, d)]:
            raise ValueError(
                f"covariances must be a number or have shape ({k},), ({d}, {d}) or ({k}, {d}, {d}) "
                f"for {k} means in {d} dimensions; got {given.shape}."
            )
        each = given if given.ndim in (1, 3) else [given] * k
        self._components = [GaussianScore(m, c) for m, c in zip(centres, each, strict=True)]
        shares = np.ones(k) if weights is None else as_floats("weights", weights)
        if shares.shape != (k,) or not (np.isfinite(shares).all() and (shares > 0).all()):
            raise ValueError(
                f"weights must be {k} positive numbers, one per mean; got {weights!r}."
            )
        self.weights = shares / shares.sum()
        self.n_features = d

    @property
    def means(self) -> NDArray[np.float64]:
        """Means, shape (K, d)."""
        return np.stack([component.mean for component in self._components])

    @property
    def covariances(self) -> NDArray[np.float64]:
        """Covariances, shape (K, d, d)."""
        return np.stack([component.covariance for component in self._components])

    def _log_joint(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log(w_k q_k(x)) as an array of shape (n, K)."""
        each = [component._log_density(points) for component in self._components]
        return np.stack(each, axis=1) + np.log(self.weights)

    def _score(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        responsibilities = softmax(self._log_joint(points), axis=1)
        score = np.zeros_like(points)
        for share, component in zip(responsibilities.T, self._components, strict=True):
            score += share[:, None] * component._score(points)
        return score

    def _log_density(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return logsumexp(self._log_joint(points), axis=1)

    def _sample(self, n_samples: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        chosen = rng.choice(len(self.weights), size=n_samples, p=self.weights)
        samples = rng.standard_normal((n_samples, self.n_features))
        for k, component in enumerate(self._components):
            rows = chosen == k
            samples[rows] = component._scatter.colour(samples[rows])
        return samples


def make_gaussian_mixture(
    n_samples: int = 100,
    *,
    means: ArrayLike | None = None,
    covariances: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    random_state: Seed = None,
) -> tuple[NDArray[np.float64], GaussianMixtureScore]:
    r"""Generate samples of a mixture of Gaussians, with its exact score.

    With Gaussians :math:`q_k = \mathcal N(\mu_k, \Sigma_k)` of weights :math:`w_k` and
    responsibilities :math:`r_k(x) = w_k q_k(x) / \sum_l w_l q_l(x)`, the score is

    .. math:: \nabla \log q(x) = -\sum_k r_k(x)\, \Sigma_k^{-1} (x - \mu_k).

    The default density has three modes in the plane. The modes are several standard deviations
    apart, so score estimates depend on the bandwidth of the kernel. Equal means and different
    variances give a unimodal density with heavier tails than a Gaussian.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    means : array-like of shape (K, d), default=None
        Means of the components. By default, the means are (−2, 0), (2, 0) and (0, 2.5).
    covariances : float, array-like of shape (K,), (d, d) or (K, d, d), default=None
        Covariances: one variance or one matrix, either for all components or for each component.
        None means variances of 0.36.
    weights : array-like of shape (K,), default=None
        Positive weights, which are divided by their sum. None means equal weights.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the samples.

    Returns
    -------
    X : ndarray of shape (n_samples, d)
        Samples.
    score : GaussianMixtureScore
        Callable that evaluates the exact score at any points.

    Raises
    ------
    ValueError
        If shapes do not match, a covariance is not positive definite or a weight is not positive.

    See Also
    --------
    make_gaussian_clusters : Generate separated clusters with one covariance.
    make_gaussian_grid : Generate overlapping components on the corners of a cube.

    Examples
    --------
    >>> from sk_mige.datasets import make_gaussian_mixture
    >>> X, score = make_gaussian_mixture(500, random_state=0)
    >>> score(X).shape
    (500, 2)

    Generate a density with heavier tails than a Gaussian:

    >>> X, score = make_gaussian_mixture(
    ...     500, means=[[0, 0], [0, 0]], covariances=[1, 100], weights=[0.9, 0.1], random_state=0
    ... )
    """
    if means is None:
        means = [[-2.0, 0.0], [2.0, 0.0], [0.0, 2.5]]
    score = GaussianMixtureScore(means, 0.36 if covariances is None else covariances, weights)
    return score.sample(n_samples, random_state=random_state), score
