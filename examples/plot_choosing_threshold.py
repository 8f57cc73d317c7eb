"""
Choosing the number of eigenfunctions without knowing the density
=================================================================

The share of the spectrum that is kept decides between bias and noise. The error against the truth
shows where to stop, but nobody knows the truth; minus Hyvärinen's loss, which ``score`` returns,
shows the same from held-out samples alone.
"""

# %%
# Three modes, a median bandwidth, and a threshold to be chosen. Asking for a threshold switches
# the default regularisation off, which chooses its own strength in the same way.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV

from sk_mige import SSGEScoreEstimator
from sk_mige.datasets import make_gaussian_mixture

X, exact = make_gaussian_mixture(500, random_state=0)
fresh, _ = make_gaussian_mixture(4000, random_state=1)
truth = exact(fresh)

residuals = np.geomspace(0.3, 1e-6, 20)
thresholds = 1 - residuals
search = GridSearchCV(SSGEScoreEstimator(), {"eigen_threshold": thresholds}, cv=5).fit(X)

errors = [
    np.mean(np.sum((SSGEScoreEstimator(eigen_threshold=t).fit(X).transform(fresh) - truth) ** 2, 1))
    for t in thresholds
]

# %%
# Half the mean squared error is the loss up to a constant, so both curves have the same shape,
# and the same place to stop.

fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.5, 6), sharex=True, layout="constrained")
top.loglog(residuals, errors, "C0o-")
top.set(ylabel="mean squared error\n(needs the truth)")
bottom.semilogx(residuals, -search.cv_results_["mean_test_score"], "C1o-")
bottom.set(ylabel="held-out loss\n(needs samples)", xlabel="share of the spectrum left out")
for ax in (top, bottom):
    ax.axvline(1 - search.best_params_["eigen_threshold"], color="k", linestyle=":")
bottom.invert_xaxis()
plt.show()
