r"""
Toy densities and their exact scores
====================================

This example shows densities with known scores :math:`\nabla \log q`, which can be used to test
score estimators.
"""

# %%
# Each ``make_*`` function of :mod:`sk_mige.datasets` returns samples and a callable that computes
# the exact score. Arrows show the score, colours show the log-density, and dots show 300 samples.
# The length of an arrow is proportional to the square root of the norm of the score. Arrows are
# omitted where the density is below a thousandth of its maximum.

import matplotlib.pyplot as plt
import numpy as np

from sk_mige.datasets import (
    make_banana,
    make_correlated_gaussian,
    make_funnel,
    make_gaussian_clusters,
    make_gaussian_grid,
    make_gaussian_mixture,
    make_ring,
    make_student_t,
)

toys = {
    "Three modes": make_gaussian_mixture(300, random_state=0),
    "Banana": make_banana(300, random_state=0),
    "Ring": make_ring(300, random_state=0),
    "Funnel": make_funnel(300, random_state=0),
    "Student-t, 3 degrees of freedom": make_student_t(300, df=3, random_state=0),
    "Clusters of one covariance": make_gaussian_clusters(300, condition_number=3.0, random_state=5),
    "Corners of a square": make_gaussian_grid(
        300, 2, n_components=16, std=0.3, spacing=2.0, random_state=0
    ),
    "Correlated pair, ρ = 0.8": make_correlated_gaussian(300, rho=0.8, random_state=0),
}


def field(ax, X, score, n_arrows=17):
    """Draw log-density, samples and scores in a square that contains most samples."""
    low, high = np.quantile(X, [0.01, 0.99], axis=0)
    centre, reach = (low + high) / 2, 0.62 * (high - low).max()

    def grid(n):
        axes = [np.linspace(c - reach, c + reach, n) for c in centre]
        return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)

    points = grid(150)
    log_density = score.log_density(points)
    log_density = np.maximum(log_density - log_density.max(), np.log(1e-3))
    x, y = points.T.reshape(2, 150, 150)
    ax.contourf(x, y, log_density.reshape(150, 150), levels=12, cmap="Blues", alpha=0.6)
    ax.scatter(*X.T, s=5, color="0.1", linewidths=0)

    points = grid(n_arrows)
    inside = score.log_density(points) - score.log_density(grid(150)).max() > np.log(1e-3)
    points = points[inside]
    arrows = score(points)
    arrows /= np.sqrt(np.linalg.norm(arrows, axis=1, keepdims=True)) + 1e-12
    ax.quiver(*points.T, *arrows.T, color="C1", width=0.006, pivot="tail")
    ax.set(
        xlim=(centre[0] - reach, centre[0] + reach),
        ylim=(centre[1] - reach, centre[1] + reach),
        xticks=[],
        yticks=[],
        aspect="equal",
    )


figure, axes = plt.subplots(2, 4, figsize=(12, 6.4), layout="constrained")
for ax, (title, (X, score)) in zip(axes.flat, toys.items(), strict=True):
    field(ax, X, score)
    ax.set_title(title, fontsize=11)

# %%
# Every score satisfies Stein's identity, :math:`E[\nabla \log q(x)\, x^\top] = -I`. The table lists
# the largest deviation of an entry from −I for the mean of 100,000 samples.

for title, (_, score) in toys.items():
    X = score.sample(100_000, random_state=1)
    deviation = np.abs(score(X).T @ X / len(X) + np.eye(2)).max()
    print(f"{title:32s} {deviation:.3f}")

plt.show()
