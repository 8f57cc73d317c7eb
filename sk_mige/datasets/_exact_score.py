"""The score of a density that is known: what every toy data set hands back beside its samples."""

from __future__ import annotations

__all__ = ["ExactScore"]

from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_random_state, check_scalar


class ExactScore(ABC):
    r"""The score of a known density: a callable that maps points to :math:`\nabla \log q`.

    Every ``make_*`` function returns one beside its samples. Calling it evaluates the score at
    any points; `log_density` and `sample` give the rest of what is known about :math:`q`, so that
    an estimate can be judged at fresh points of the very density it was fitted on. Everything is
    computed in float64, and nothing is estimated.

    Subclasses describe one density each. They hold parameters only, never samples, and can be
    pickled.

    Attributes
    ----------
    n_features : int
        Dimension :math:`d` of the points.

    See Also
    --------
    make_gaussian : The simplest one.

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
            Points, anywhere in the density's support.

        Returns
        -------
        ndarray of shape (n, d)
            Scores; float32 where ``X`` is float32 (computed in float64), float64 otherwise.
        """
        points, dtype = self._check_points(X)
        return self._score(points).astype(dtype, copy=False)

    def log_density(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        r"""Evaluate :math:`\log q`, with its normalising constant, at the rows of ``X``.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Points, anywhere in the density's support.

        Returns
        -------
        ndarray of shape (n,)
            Log-densities, in nats; float32 where ``X`` is float32, float64 otherwise.
        """
        points, dtype = self._check_points(X)
        return self._log_density(points).astype(dtype, copy=False)

    def sample(
        self,
        n_samples: int = 1,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> NDArray[np.float64]:
        """Draw independent samples of the density.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Seed or generator; an int makes the result repeatable.

        Returns
        -------
        ndarray of shape (n_samples, d)
            Samples.
        """
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        return self._sample(int(n_samples), check_random_state(random_state))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_features={self.n_features})"

    def _check_points(self, X: ArrayLike) -> tuple[NDArray[np.float64], np.dtype[Any]]:
        """Return ``X`` as float64, and the dtype that the answer is to have."""
        points = check_array(X, dtype=[np.float64, np.float32], input_name="X")
        if points.shape[1] != self.n_features:
            raise ValueError(
                f"X has {points.shape[1]} columns, but this density has {self.n_features} "
                f"dimensions: pass points of shape (n, {self.n_features})."
            )
        return points.astype(np.float64, copy=False), points.dtype

    @abstractmethod
    def _score(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores at float64 points of the right width."""

    @abstractmethod
    def _log_density(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-densities at float64 points of the right width."""

    @abstractmethod
    def _sample(self, n_samples: int, rng: np.random.RandomState) -> NDArray[np.float64]:
        """Draw samples from a checked generator."""
