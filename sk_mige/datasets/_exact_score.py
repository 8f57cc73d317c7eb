"""Base class of the exact scores of toy densities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_random_state

from sk_mige._sizes import as_size

Seed: TypeAlias = int | np.random.RandomState | None

# Limit of parameters, so that their squares are finite.
LARGEST = 1e100


class ExactScore(ABC):
    r"""Score of a known density: a callable that maps points to :math:`\nabla \log q`.

    Every ``make_*`` function returns samples and the exact score of their density. Calling the
    score object evaluates the score at any points. `log_density` evaluates the log-density.
    The method `sample` draws new samples, for example to test an estimate. All computations are
    exact up to rounding in float64.

    Attributes
    ----------
    n_features : int
        Dimension :math:`d` of the points.

    See Also
    --------
    make_gaussian : Generate samples of the simplest density.

    Examples
    --------
    >>> from sk_mige.datasets import ExactScore, make_banana
    >>> X, score = make_banana(n_samples=100, random_state=0)
    >>> isinstance(score, ExactScore)
    True
    >>> score(X).shape
    (100, 2)
    >>> X_test = score.sample(512, random_state=1)
    >>> score.log_density(X_test).shape
    (512,)
    """

    n_features: int

    def __call__(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        r"""Evaluate the score :math:`\nabla \log q` at the rows of ``X``.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Points in the support of the density.

        Returns
        -------
        ndarray of shape (n, d)
            Scores, computed in float64. The dtype of the scores is float32 if ``X`` is float32,
            otherwise float64.
        """
        points, dtype = self._check_points(X)
        return self._score(points).astype(dtype, copy=False)

    def log_density(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        r"""Evaluate :math:`\log q`, with its normalising constant, at the rows of ``X``.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Points in the support of the density.

        Returns
        -------
        ndarray of shape (n,)
            Log-densities in nats, in float32 if ``X`` is float32, otherwise in float64.
        """
        points, dtype = self._check_points(X)
        return self._log_density(points).astype(dtype, copy=False)

    def sample(self, n_samples: int = 1, *, random_state: Seed = None) -> NDArray[np.float64]:
        """Draw independent samples of the density.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Seed or generator. Pass an int for repeatable results.

        Returns
        -------
        ndarray of shape (n_samples, d)
            Samples.
        """
        n_samples = as_size("n_samples", n_samples)
        return self._sample(n_samples, check_random_state(random_state))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_features={self.n_features})"

    def _check_points(self, X: ArrayLike) -> tuple[NDArray[np.float64], np.dtype[Any]]:
        """Return ``X`` as float64, and the dtype of the result."""
        points = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        if points.shape[1] != self.n_features:
            raise ValueError(
                f"X must have shape (n, {self.n_features}) for this density; got "
                f"{points.shape[1]} columns."
            )
        return points.astype(np.float64, copy=False), points.dtype

    @abstractmethod
    def _score(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores at validated float64 points."""

    @abstractmethod
    def _log_density(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-densities at validated float64 points."""

    @abstractmethod
    def _sample(self, n_samples: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        """Draw samples with a validated random generator."""
