"""Densities on spherical shells, and on rings in the plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, log_ndtr

from sk_mige._sizes import as_number, as_size

from ._exact_score import LARGEST, ExactScore, Seed


class SphericalShellScore(ExactScore):
    r"""Score of :math:`q(x) \propto \exp(-(\lVert x \rVert - R)^2 / 2 s^2)`.

    .. math:: \nabla \log q(x) = -\frac{\lVert x \rVert - R}{s^2} \frac{x}{\lVert x \rVert}

    The density is a Gaussian function of the *distance to the sphere* of radius R. For d ≥ 2, a
    density with normally distributed radii would have a pole at the origin and infinite Fisher
    information. Near the origin, the score is bounded, but the direction of the score is
    discontinuous. At the origin, the score is set to 0.

    Parameters
    ----------
    n_features : int, default=3
        Dimension :math:`d`.
    radius : float, default=3.0
        Radius :math:`R`. With ``radius=0``, the density is a Gaussian.
    noise : float, default=0.3
        Thickness :math:`s`. If ``noise`` is small compared with ``radius``, the standard deviation
        of the radii is close to :math:`s`.

    Attributes
    ----------
    n_features : int
        Dimension :math:`d`.

    See Also
    --------
    make_spherical_shell : Generate samples with this score.

    Examples
    --------
    >>> from sk_mige.datasets import SphericalShellScore
    >>> score = SphericalShellScore(n_features=2, radius=2.0, noise=0.5)
    >>> score([[2.0, 0.0], [0.0, 3.0]])
    array([[ 0.,  0.],
           [-0., -4.]])
    """

    def __init__(self, n_features: int = 3, radius: float = 3.0, noise: float = 0.3) -> None:
        n_features = as_size("n_features", n_features)
        as_number("radius", radius, 0, LARGEST, "left")
        as_number("noise", noise, 0, LARGEST)
        self.n_features = n_features
        self.radius = radius
        self.noise = noise

    def _score(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        norms = np.linalg.norm(points, axis=1, keepdims=True)
        directions = np.divide(points, norms, out=np.zeros_like(points), where=norms > 0)
        return (self.radius - norms) / self.noise**2 * directions

    def _log_density(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        distances = np.linalg.norm(points, axis=1) - self.radius
        return -((distances / self.noise) ** 2) / 2 - self._log_normaliser()

    def _log_normaliser(self) -> float:
        """Return the log of the unit sphere's area times ∫ r^(d−1) exp(−(r−R)²/2s²) dr.

        Integration by parts gives I_n = R I_{n−1} + (n−1) s² I_{n−2} for the integrals of r^n.
        The integrals themselves can overflow, but ratios of successive integrals do not.
        """
        d, radius, variance = self.n_features, self.radius, self.noise**2
        log_integral = np.log(2 * np.pi * variance) / 2 + log_ndtr(radius / self.noise)
        ratio = radius + variance * np.exp(-((radius / self.noise) ** 2) / 2 - log_integral)
        for n in range(1, d):
            log_integral += np.log(ratio)
            ratio = radius + n * variance / ratio
        log_area = np.log(2) + d / 2 * np.log(np.pi) - gammaln(d / 2)
        return float(log_area + log_integral)

    def _sample(self, n_samples: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        directions = rng.standard_normal((n_samples, self.n_features))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        return self._sample_radii(n_samples, rng)[:, None] * directions

    def _sample_radii(self, n_samples: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        """Draw exact samples of r^(d−1) exp(−(r−R)²/2s²) on r > 0, by rejection.

        The tangent of log r at the mode r₀ gives log r ≤ log r₀ + r/r₀ − 1. The density is
        therefore bounded by a multiple of N(r₀, s²) for every d.
        """
        n = self.n_features - 1
        mode = (self.radius + np.sqrt(self.radius**2 + 4 * n * self.noise**2)) / 2
        radii = np.empty(0)
        while len(radii) < n_samples:
            proposed = mode + self.noise * rng.standard_normal(2 * n_samples)
            proposed = proposed[proposed > 0]
            if n > 0:
                ratio = proposed / mode
                accepted = np.log(rng.uniform(size=len(ratio))) < n * (np.log(ratio) + 1 - ratio)
                proposed = proposed[accepted]
            radii = np.concatenate([radii, proposed])
        return radii[:n_samples]


def make_spherical_shell(
    n_samples: int = 100,
    n_features: int = 3,
    *,
    radius: float = 3.0,
    noise: float = 0.3,
    random_state: Seed = None,
) -> tuple[NDArray[np.float64], SphericalShellScore]:
    r"""Generate samples of a spherical shell, with their exact score.

    The density is :math:`q(x) \propto \exp(-(\lVert x \rVert - R)^2 / 2 s^2)`. The score is

    .. math:: \nabla \log q(x) = -\frac{\lVert x \rVert - R}{s^2} \frac{x}{\lVert x \rVert}.

    The mean is 0 and the covariance is a multiple of the identity. Mean and covariance therefore
    contain no information about the shape of the shell.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    n_features : int, default=3
        Dimension :math:`d`.
    radius : float, default=3.0
        Radius :math:`R`. With ``radius=0``, the density is a Gaussian.
    noise : float, default=0.3
        Thickness :math:`s`.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the samples.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Samples.
    score : SphericalShellScore
        Callable that evaluates the exact score at any points.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    See Also
    --------
    make_ring : Generate samples of the shell in the plane.

    Examples
    --------
    >>> from sk_mige.datasets import make_spherical_shell
    >>> X, score = make_spherical_shell(200, 5, random_state=0)
    >>> score(X).shape
    (200, 5)
    """
    score = SphericalShellScore(n_features, radius, noise)
    return score.sample(n_samples, random_state=random_state), score


def make_ring(
    n_samples: int = 100, *, radius: float = 3.0, noise: float = 0.3, random_state: Seed = None
) -> tuple[NDArray[np.float64], SphericalShellScore]:
    r"""Generate samples of a ring in the plane, with their exact score.

    The density is :math:`q(x) \propto \exp(-(\lVert x \rVert - R)^2 / 2 s^2)`. The score is

    .. math:: \nabla \log q(x) = -\frac{\lVert x \rVert - R}{s^2} \frac{x}{\lVert x \rVert}.

    Parameters
    ----------
    n_samples : int, default=100
        Number of samples.
    radius : float, default=3.0
        Radius :math:`R`. With ``radius=0``, the density is a Gaussian.
    noise : float, default=0.3
        Thickness :math:`s`.
    random_state : int, RandomState instance or None, default=None
        Seed or generator for the samples.

    Returns
    -------
    X : ndarray of shape (n_samples, 2)
        Samples.
    score : SphericalShellScore
        Callable that evaluates the exact score at any points.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    See Also
    --------
    make_spherical_shell : Generate samples of a shell in any dimension.

    Examples
    --------
    >>> from sk_mige.datasets import make_ring
    >>> X, score = make_ring(200, random_state=0)
    >>> score(X).shape
    (200, 2)
    """
    return make_spherical_shell(n_samples, 2, radius=radius, noise=noise, random_state=random_state)
