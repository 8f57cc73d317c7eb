"""
Thinning and a goodness-of-fit test
===================================

This example selects rows that represent a density, and tests whether rows are samples of a density.
"""

# %%
# Stein thinning
# --------------
#
# The candidates are samples of a density that is wider than the target density and has a different
# mean. With the exact score of the target density, the selected rows represent the target density.
# The score does not depend on the normalising constant of the target density.

import matplotlib.pyplot as plt
import numpy as np

from sk_mige import KernelSteinTest, SteinThinning
from sk_mige.datasets import make_banana

X, score = make_banana(3000, random_state=0)
candidates = 1.3 * X + [0.3, 0.5]
rng = np.random.default_rng(0)
random = candidates[rng.choice(3000, 60, replace=False)]
thinning = SteinThinning(60, score).fit(candidates)
# If no score is passed, the selected rows represent the rows that are passed to ``fit``.
from_rows = SteinThinning(60).fit(X)

fig, axes = plt.subplots(1, 3, figsize=(10, 3.6), sharex=True, sharey=True, layout="constrained")
grid = np.stack(np.meshgrid(np.linspace(-4, 4, 90), np.linspace(-4, 9, 90)), axis=-1)
density = np.exp(score.log_density(grid.reshape(-1, 2))).reshape(90, 90)
selections = {
    "60 random candidates": random,
    "60 candidates, exact score": thinning.points_,
    "60 rows, estimated score": from_rows.points_,
}
for ax, (title, rows) in zip(axes, selections.items(), strict=True):
    ax.contour(grid[..., 0], grid[..., 1], density, levels=6, colors="0.8")
    ax.plot(*rows.T, "k.", markersize=4)
    ax.set(title=title, xlabel="x₁")
axes[0].set(ylabel="x₂")
plt.show()

# %%
# Goodness-of-fit test
# --------------------
#
# The null hypothesis of the test is that rows are samples of the density with a given score. Under
# the null hypothesis, about 5 % of the p-values are at most 0.05. The power of the test grows with
# the shift of the rows from the mean of the density.

shifts = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


def rejected(shift, runs=60):
    """Return the fraction of tests with 100 shifted rows that reject N(0, I) at 5 %."""
    test = KernelSteinTest(lambda x: -x, n_bootstrap=199, random_state=0)
    rows = np.random.default_rng(1).normal([shift, 0.0], size=(runs, 100, 2))
    return np.mean([test.fit(x).p_value_ <= 0.05 for x in rows])


rates = [rejected(shift) for shift in shifts]
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
axes[0].plot(shifts, rates, "o-")
axes[0].axhline(0.05, color="0.7", linewidth=1)
axes[0].set(xlabel="shift of one feature (standard deviations)", ylabel="rejected at 5 %")
test = KernelSteinTest(lambda x: -x, random_state=0).fit(rng.normal([0.25, 0.0], size=(100, 2)))
axes[1].hist(test.replicates_, bins=40, color="0.7", label="bootstrap replicates")
axes[1].axvline(test.statistic_, color="C3", label=f"statistic, p = {test.p_value_:.3f}")
axes[1].set(xlabel="squared discrepancy", ylabel="count")
axes[1].legend(frameon=False)
plt.show()
