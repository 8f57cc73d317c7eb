"""Pairs (x, y) with known mutual information and known dI/dρ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Samples = tuple[Array, Array, Array]


class Problem:
    """Pair y = ρ x + √(1 − ρ²) ε in d dimensions, after an invertible map of x and of y.

    Parameters
    ----------
    d : int
        Dimension of each variable.
    map, derivative : callable
        Increasing map of every coordinate, and its derivative.
    rotated : bool
        Whether x and y are rotated afterwards.
    """

    def __init__(
        self,
        d: int,
        map: Callable[[Array], Array] = lambda y: y,
        derivative: Callable[[Array], Array] = np.ones_like,
        rotated: bool = False,
    ) -> None:
        self.d, self.map, self.derivative = d, map, derivative
        rng = np.random.default_rng(d)
        turn = [np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(2)]
        self.turn_x, self.turn_y = turn if rotated else [np.eye(d), np.eye(d)]

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """Return samples of x with mean 0 and variance 1."""
        return rng.standard_normal((n, self.d))

    def sample(self, rho: float, n: int, rng: np.random.Generator) -> Samples:
        """Return samples of x and y, and dy/dρ at fixed noise."""
        x, noise = self.draw(n, rng), rng.standard_normal((n, self.d))
        scale = np.sqrt(1 - rho**2)
        y, dy = rho * x + scale * noise, x - rho / scale * noise
        return (
            self.map(x) @ self.turn_x,
            self.map(y) @ self.turn_y,
            (self.derivative(y) * dy) @ self.turn_y,
        )

    def information(self, rho: float) -> float:
        """Return I(x; y) in nats."""
        return -0.5 * self.d * np.log1p(-(rho**2))

    def slope(self, rho: float) -> float:
        """Return dI/dρ."""
        return self.d * rho / (1 - rho**2)

    def exact_gradient(self, rho: float, x: Array, y: Array, dy: Array) -> float:
        """Return dI/dρ as a sample mean with the true scores, for Gaussians only."""
        score_y, score_y_given_x = -y, -(y - rho * x) / (1 - rho**2)
        return float(-((score_y - score_y_given_x) * dy).sum(1).mean())


class Mixture(Problem):
    """The Gaussian channel for two clusters, where each coordinate of x is ±0.95 plus noise."""

    center = 0.95

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        sign = rng.choice([-1.0, 1.0], (n, self.d))
        return sign * self.center + np.sqrt(1 - self.center**2) * rng.standard_normal((n, self.d))

    def information(self, rho: float) -> float:
        """Return H(y) − H(y | x), with H(y) by quadrature."""
        variance = rho**2 * (1 - self.center**2) + 1 - rho**2
        grid = np.linspace(-8, 8, 40001)
        density = sum(
            0.5 * np.exp(-((grid - sign * rho * self.center) ** 2) / (2 * variance))
            for sign in (-1, 1)
        ) / np.sqrt(2 * np.pi * variance)
        entropy = -np.sum(density * np.log(density + 1e-300)) * (grid[1] - grid[0])
        return float(self.d * (entropy - 0.5 * np.log(2 * np.pi * np.e * (1 - rho**2))))

    def slope(self, rho: float) -> float:
        """Return dI/dρ by central differences."""
        step = 1e-4
        return (self.information(rho + step) - self.information(rho - step)) / (2 * step)


PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "gaussian": Problem,
    "cubic": lambda d: Problem(d, lambda y: y**3, lambda y: 3 * y**2),
    "asinh": lambda d: Problem(d, np.arcsinh, lambda y: 1 / np.sqrt(1 + y**2)),
    "half-cube": lambda d: Problem(
        d, lambda y: np.sign(y) * np.abs(y) ** 1.5, lambda y: 1.5 * np.abs(y) ** 0.5
    ),
    "exponential": lambda d: Problem(d, np.exp, np.exp),
    "rotated": lambda d: Problem(d, rotated=True),
    "rotated cubic": lambda d: Problem(d, lambda y: y**3, lambda y: 3 * y**2, rotated=True),
    "mixture": Mixture,
}
