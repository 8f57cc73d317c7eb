"""
Score fields of samples
=======================

This example compares scores estimated from 500 samples with the exact scores.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from sk_mige import SSGEScoreEstimator
from sk_mige.datasets import make_banana, make_gaussian_mixture
from sk_mige.inspection import ScoreFieldDisplay

fig, axes = plt.subplots(2, 2, figsize=(9, 8), sharex="row", sharey="row", layout="constrained")
for row, (name, make) in zip(
    axes, {"banana": make_banana, "three modes": make_gaussian_mixture}.items(), strict=True
):
    X, exact = make(500, random_state=0)
    estimator = SSGEScoreEstimator().fit(X)

    fresh = make(1000, random_state=1)[0]
    error = np.mean((estimator.transform(fresh) - exact(fresh)) ** 2) / np.mean(exact(fresh) ** 2)

    titles = (f"{name}: estimate, relative error {error:.2f}", f"{name}: truth")
    for ax, title, score in zip(row, titles, (estimator, exact), strict=True):
        ScoreFieldDisplay.from_estimator(
            score, X, grid_resolution=22, ax=ax, quiver_kw={"scale": 120, "width": 0.003}
        )
        ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %%
# :class:`~sk_mige.inspection.ScoreFieldDisplay` draws arrows only near samples, because estimates
# far from all samples are unreliable. :doc:`plot_sample_size` shows errors for different numbers
# of samples.
