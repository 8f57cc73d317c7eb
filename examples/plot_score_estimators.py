"""
Published, default and cross-validated score estimators
=======================================================

This example compares three estimates of the score of a ring from 250 samples.
"""

# %%
# The covariance of the ring is a multiple of the identity, so a Gaussian fit does not describe the
# shape of the ring. The published estimator keeps a given fraction of the spectrum. The default
# estimator chooses the kernel and the regularisation strength on held-out samples. The
# cross-validated estimator also chooses the bandwidth, the base, the shrinkage and ``curl_free``.

import matplotlib.pyplot as plt
import numpy as np

from sk_mige import SSGEScoreEstimator, SSGEScoreEstimatorCV
from sk_mige.datasets import make_ring
from sk_mige.inspection import EigenvalueDisplay, ScoreCVDisplay, ScoreFieldDisplay

X, exact = make_ring(250, random_state=0)
fresh = exact.sample(2000, random_state=1)
truth = exact(fresh)

estimators = {
    "published, .99": SSGEScoreEstimator(eigen_threshold=0.99, whiten=False, base=None),
    "default": SSGEScoreEstimator(),
    "cross-validated": SSGEScoreEstimatorCV(),
}
fields = {"truth": exact}
for name, estimator in estimators.items():
    estimator.fit(X)
    error = np.sum((estimator.transform(fresh) - truth) ** 2) / np.sum(truth**2)
    fields[f"{name}: relative error {error:.2f}"] = estimator

axis = np.linspace(-4, 4, 21)
grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
grid = grid[exact.log_density(grid) > exact.log_density(X).min()]

fig, axes = plt.subplots(2, 2, figsize=(8, 8), sharex=True, sharey=True, layout="constrained")
for ax, (title, field) in zip(axes.flat, fields.items(), strict=True):
    ScoreFieldDisplay.from_estimator(field, X, points=grid, ax=ax, quiver_kw={"scale": 160})
    ax.set(title=title, xticks=[], yticks=[], aspect="equal")
plt.show()

# %%
# The cross-validated estimator chose the following parameters:

print(estimators["cross-validated"].best_params_)

# %%
# The left panel shows the held-out loss against the regularisation strength, with one line for each
# bandwidth. For each point, all other parameters have their best values. The right panel
# shows the eigenvalues of the published estimator's kernel matrix, and the number of eigenfunctions
# that the estimator keeps.

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
ScoreCVDisplay.from_estimator(estimators["cross-validated"], param="alpha", ax=left)
EigenvalueDisplay.from_estimator(estimators["published, .99"], ax=right)
plt.show()
