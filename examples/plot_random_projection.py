"""
Dimension of the random projection
==================================

This example shows the relative error of scores in 1,000 dimensions against the number of
dimensions of the random projection.
"""

# %%
# The kernel depends only on distances, and a random projection approximately preserves distances.
# The data are samples of a mixture of eight Gaussians.

import matplotlib.pyplot as plt
import numpy as np

from sk_mige import RandomProjectionSSGE, SSGEScoreEstimator
from sk_mige.datasets import make_gaussian_grid

X, exact = make_gaussian_grid(400, 1000, n_components=8, random_state=0)
fresh = exact.sample(500, random_state=1)
truth = exact(fresh)


def error(estimator):
    """Return the relative error of the scores at new points."""
    return np.sum((estimator.fit(X).transform(fresh) - truth) ** 2) / np.sum(truth**2)


dimensions = [2, 5, 10, 20, 50, 100, 200, 500]
errors = [
    [error(RandomProjectionSSGE(k, random_state=seed)) for k in dimensions] for seed in range(5)
]

# %%
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
ax.plot(dimensions, np.transpose(errors), color="C0", alpha=0.25, linewidth=1)
ax.plot(dimensions, np.mean(errors, axis=0), "C0o-", label="random projection")
ax.axhline(error(SSGEScoreEstimator()), color="k", linestyle="--", label="no projection")
ax.axhline(
    error(SSGEScoreEstimator(alpha=np.inf)), color="C7", linestyle=":", label="only the base"
)
ax.set(xscale="log", xlabel="dimensions of the projection", ylabel="relative error", ylim=0)
ax.legend(frameon=False)
plt.show()

# %%
# The kernel expansion depends only on the projected coordinates. With more projected dimensions,
# the error approaches the error without a projection.
