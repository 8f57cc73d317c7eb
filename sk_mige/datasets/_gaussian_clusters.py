"""Random mixtures of Gaussians: separated clusters, and corners of a cube."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from sklearn.utils import check_random_state

from sk_mige._sizes import as_number, as_size

from ._exact_score import LARGEST, Seed
from ._gaussian_mixture import GaussianMixtureScore
from ._scatter import Scatter, random_covariance


def make_gaussian_clusters(
    n_samples: int = 100,
    n_features: int = 2,
    *,
    n_clusters: int = 3,
    separation: float = 6.0,
    condition_number: float = 10.0,
    random_state: Seed = None,
) -> tuple[NDArray[np.float64], GaussianMixtureScore]:
    r"""Generate separated Gaussian clusters with one shared covariance, and their exact score.

    The means :math:`\mu_k` are Gaussian draws, rescaled so that the distance between the two
    closest means is ``separation``. The distance is measured in standard deviations of a cluster,
    :math:`\lVert L^{-1}(\mu_k - \mu_l) \rVert` with the covariance :math:`\Sigma = L L^\top`.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    n_features : int, default=2
        Dimension :math:`d`.
    n_clusters : int, default=3
        Number of clusters, at least 2, with equal probabilities.
    separation : float, default=6.0
        Distance between the two closest means, in standard deviations of a cluster.
    condition_number : float, default=10.0
        Condition number of the shared covariance, whose determinant is 1 and whose eigenvectors are
        random. The parameter is ignored if ``n_features`` is 1.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the covariance, the means and the samples, drawn in this order.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Samples.
    score : GaussianMixtureScore
        Callable that evaluates the exact score at any points.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    See Also
    --------
    make_gaussian_mixture : Generate samples of any mixture.

    Examples
    --------
    >>> from sk_mige.datasets import make_gaussian_clusters
    >>> X, score = make_gaussian_clusters(300, 5, random_state=0)
    >>> score.means.shape
    (3, 5)
    """
    as_size("n_features", n_features)
    as_size("n_clusters", n_clusters, 2)
    as_number("separation", separation, 0, LARGEST)
    rng = check_random_state(random_state)
    covariance = random_covariance(n_features, condition_number if n_features > 1 else 1.0, rng)
    white = rng.standard_normal((n_clusters, n_features))
    white *= separation / pdist(white).min()
    means = Scatter(np.zeros(n_features), covariance, "covariance").colour(white)
    shared = np.diag(covariance) if covariance.ndim == 1 else covariance
    score = GaussianMixtureScore(means, shared)
    return score.sample(n_samples, random_state=rng), score


def make_gaussian_grid(
    n_samples: int = 100,
    n_features: int = 32,
    *,
    n_components: int = 32,
    std: float = 1.0,
    spacing: float = 1.0,
    random_state: Seed = None,
) -> tuple[NDArray[np.float64], GaussianMixtureScore]:
    r"""Generate samples of Gaussians on random corners of a cube, with their exact score.

    Each mean is drawn uniformly from the corners :math:`\{0, \text{spacing}\}^d`, with replacement.
    With the default parameters, the components overlap, and the density is smooth and
    high-dimensional, but not Gaussian [1]_.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    n_features : int, default=32
        Dimension :math:`d` of the cube.
    n_components : int, default=32
        Number of Gaussians, with equal probabilities.
    std : float, default=1.0
        Standard deviation of each Gaussian.
    spacing : float, default=1.0
        Length of the cube's edges.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the corners and the samples, drawn in this order.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Samples.
    score : GaussianMixtureScore
        Callable that evaluates the exact score at any points.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] Y. Zhou, J. Shi, J. Zhu, "Nonparametric Score Estimators", ICML 2020.

    Examples
    --------
    >>> from sk_mige.datasets import make_gaussian_grid
    >>> X, score = make_gaussian_grid(128, random_state=0)
    >>> X.shape, score.means.shape
    ((128, 32), (32, 32))
    """
    as_size("n_features", n_features)
    as_size("n_components", n_components)
    as_number("std", std, 0, LARGEST)
    as_number("spacing", spacing, 0, LARGEST, "left")
    rng = check_random_state(random_state)
    corners = spacing * rng.randint(2, size=(n_components, n_features))
    score = GaussianMixtureScore(corners, std**2)
    return score.sample(n_samples, random_state=rng), score
