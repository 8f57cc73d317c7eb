"""
How small may the random projection be?
=======================================

Kernels see data through pairwise distances, and a random projection nearly preserves those. Eight
Gaussians in a thousand dimensions: the error of the scores, which keep all their coordinates,
against the number of dimensions in which distances are measured.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from sk_mige import RandomProjectionSSGE, SSGEScoreEstimator
from sk_mige.datasets import make_gaussian_grid

X, exact = make_gaussian_grid(400, 1000, n_components=8, random_state=0)
truth = exact(X)
settings = {"eigen_threshold": 0.99, "whiten": False, "base": None}


def error(estimator):
    """Relative error of the scores at the samples themselves."""
    return np.sum((estimator.fit_transform(X) - truth) ** 2) / np.sum(truth**2)


dimensions = [2, 5, 10, 20, 50, 100, 200, 500]
errors = [
    [error(RandomProjectionSSGE(k, **settings, random_state=seed)) for k in dimensions]
    for seed in range(5)
]

# %%
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
ax.plot(dimensions, np.transpose(errors), color="C0", alpha=0.25, linewidth=1)
ax.plot(dimensions, np.mean(errors, axis=0), "C0o-", label="random projection")
ax.axhline(error(SSGEScoreEstimator(**settings)), color="k", linestyle="--", label="all 1,000")
ax.set(xscale="log", xlabel="dimensions of the projection", ylabel="relative error")
ax.legend(frameon=False)
plt.show()
