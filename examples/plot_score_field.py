"""
Scores of a density known by its samples
========================================

Five hundred points, and nothing else: in which direction does their density grow? Arrows show the
estimated score, −∇ of the energy, over the samples; beside it the exact one, which the toy
densities know and the estimator does not.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from sk_mige import SSGEScoreEstimator
from sk_mige.datasets import make_banana, make_gaussian_mixture

fig, axes = plt.subplots(2, 2, figsize=(9, 8), sharex="row", sharey="row", layout="constrained")
for row, (name, make) in zip(
    axes, {"banana": make_banana, "three modes": make_gaussian_mixture}.items(), strict=True
):
    X, exact = make(500, random_state=0)
    estimator = SSGEScoreEstimator().fit(X)

    low, high = X.min(axis=0), X.max(axis=0)
    grid = np.stack(np.meshgrid(*np.linspace(low, high, 22).T), axis=-1).reshape(-1, 2)
    grid = grid[exact.log_density(grid) > exact.log_density(X).min()]
    fresh = make(1000, random_state=1)[0]
    error = np.mean((estimator.transform(fresh) - exact(fresh)) ** 2) / np.mean(exact(fresh) ** 2)

    fields = {
        f"{name}: estimate, relative error {error:.2f}": estimator.transform(grid),
        f"{name}: truth": exact(grid),
    }
    for ax, (title, scores) in zip(row, fields.items(), strict=True):
        ax.scatter(*X.T, s=4, color="C0", alpha=0.4)
        ax.quiver(*grid.T, *scores.T, angles="xy", scale=120, width=0.003)
        ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %%
# Where there are no samples the estimate has nothing to go by; arrows are drawn where the density
# is at least that of the rarest sample. How the relative error falls with the number of samples
# is the subject of another picture.
