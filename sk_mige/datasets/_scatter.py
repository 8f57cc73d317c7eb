"""Location and scatter matrix of elliptical densities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.stats import ortho_group

from sk_mige._sizes import as_number


class Scatter:
    """Location and positive definite matrix of an elliptical density.

    A diagonal matrix is stored as a vector. Operations with a diagonal matrix take O(d) instead of
    O(d²) time, so d can be the number of pixels of an image.
    """

    def __init__(self, location: ArrayLike, matrix: ArrayLike, name: str) -> None:
        self.location = np.atleast_1d(as_floats("location", location))
        if self.location.ndim != 1 or not np.isfinite(self.location).all():
            raise ValueError(
                "mean or location must be a finite vector of shape (d,); got "
                f"{self.location!s:.80}."
            )
        d = len(self.location)
        given = as_floats(name, matrix)
        if given.shape not in [(), (d,), (d, d)]:
            raise ValueError(_matrix_error(name, d, f"shape {given.shape}"))
        if given.ndim < 2:
            if not (np.isfinite(given).all() and (given > 0).all()):
                raise ValueError(_matrix_error(name, d, "a variance that is not positive"))
            # The factor L with L Lᵀ = matrix: a vector of standard deviations, or triangular.
            self.factor = np.asarray(np.sqrt(np.broadcast_to(given, (d,))), dtype=np.float64)
        else:
            # Products such as Q diag(v) Qᵀ are symmetric up to rounding only.
            if not np.allclose(given, given.T, rtol=0, atol=1e-10 * np.abs(given).max()):
                raise ValueError(_matrix_error(name, d, "a matrix that is not symmetric"))
            try:
                self.factor = np.asarray(np.linalg.cholesky(given), dtype=np.float64)
            except np.linalg.LinAlgError as error:
                raise ValueError(
                    _matrix_error(name, d, "a matrix that is not positive definite")
                ) from error

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Matrix, shape (d, d)."""
        if self.factor.ndim == 1:
            return np.diag(self.factor**2)
        return self.factor @ self.factor.T

    @property
    def half_log_det(self) -> float:
        """½ log det of the matrix."""
        scales = self.factor if self.factor.ndim == 1 else np.diag(self.factor)
        return float(np.log(scales).sum())

    def whiten(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return L⁻¹ (x − location), shape (n, d)."""
        centred = points - self.location
        if self.factor.ndim == 1:
            return centred / self.factor
        return solve_triangular(self.factor, centred.T, lower=True).T

    def colour(self, white: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return location + L w, the inverse of `whiten`."""
        if self.factor.ndim == 1:
            return self.location + white * self.factor
        return self.location + white @ self.factor.T

    def solve(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return matrix⁻¹ (x − location), shape (n, d)."""
        centred = points - self.location
        if self.factor.ndim == 1:
            return centred / self.factor**2
        return cho_solve((self.factor, True), centred.T).T


def as_floats(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return a new array of floats, or raise an error that names the argument."""
    try:
        return np.asarray(values, dtype=np.float64).copy()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers, got {values!r:.80}") from error


def random_covariance(
    n_features: int, condition_number: float, rng: np.random.RandomState
) -> NDArray[np.float64]:
    """Return a covariance with log-spaced eigenvalues, random eigenvectors and determinant 1.

    For the condition number 1, the result is the identity, as a vector of ones.
    """
    condition_number = as_number("condition_number", condition_number, 1, closed="left")
    if condition_number == 1:
        return np.ones(n_features)
    if n_features == 1:
        raise ValueError(
            "condition_number must be 1 for n_features=1; got "
            f"{condition_number}. Use n_features >= 2."
        )
    directions = ortho_group.rvs(n_features, random_state=rng)
    root = np.sqrt(condition_number)
    eigenvalues = np.geomspace(1 / root, root, n_features)
    covariance = (directions * eigenvalues) @ directions.T
    return (covariance + covariance.T) / 2


def _matrix_error(name: str, d: int, got: str) -> str:
    return (
        f"{name} must be a positive number, {d} positive variances, or a symmetric positive "
        f"definite matrix of shape ({d}, {d}); got {got}."
    )
