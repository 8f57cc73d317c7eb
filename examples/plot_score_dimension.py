"""
Error against the dimension
===========================

This example shows the relative error of score estimates from 256 samples with 2 to 512 features.
The relative error is E‖ĝ − g‖² / E‖g‖² at new points.
"""

# %%
# The densities are a standard normal distribution and a grid of Gaussians, with means at the
# corners of a cube. The default estimator adds a kernel expansion to the score of a base density.
# The published estimator has no base density.

import matplotlib.pyplot as plt
import numpy as np

from sk_mige import SSGEScoreEstimator
from sk_mige.datasets import make_gaussian, make_gaussian_grid

published = {"whiten": False, "base": None}
estimators = {
    "default": SSGEScoreEstimator(),
    "published, 0.99": SSGEScoreEstimator(eigen_threshold=0.99, **published),
    "published, 0.94": SSGEScoreEstimator(eigen_threshold=0.94, **published),
}
densities = {"N(0, I)": make_gaussian, "grid of Gaussians": make_gaussian_grid}
dimensions = [2, 8, 32, 128, 512]


def error(estimator, make, d, seed):
    """Return the relative error of one fit to 256 samples, at 1,000 new points."""
    X, exact = make(256, d, random_state=seed)
    fresh = exact.sample(1000, random_state=seed + 1000)
    truth = exact(fresh)
    return np.sum((estimator.fit(X).transform(fresh) - truth) ** 2) / np.sum(truth**2)


fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
for ax, (name, make) in zip(axes, densities.items(), strict=True):
    for label, estimator in estimators.items():
        errors = [[error(estimator, make, d, seed) for seed in range(3)] for d in dimensions]
        ax.loglog(dimensions, np.exp(np.log(errors).mean(axis=1)), "o-", label=label)
    ax.axvline(256, color="0.7", linewidth=1)
    ax.set(title=name, xlabel="features", xticks=dimensions, xticklabels=dimensions)
axes[0].set(ylabel="relative error")
axes[0].legend(frameon=False)
plt.show()

# %%
# The grey line marks 256 features, the number of samples. A score estimate of zero has an error of
# 1. With 512 features, the published estimator is only slightly better than zero, and the errors of
# the default estimator are much smaller.
