"""
Choosing the number of eigenfunctions
=====================================

Cross-validation chooses ``eigen_threshold``, the fraction of the kernel's spectrum to keep. This
example compares the held-out loss with the true error of the estimated scores.
"""

# %%
# ``score`` returns minus Hyvärinen's loss, which needs held-out samples but no true scores. By
# default, Hyvärinen's loss chooses a regularisation strength. In this example, the spectrum is
# instead cut off at ``eigen_threshold``.

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
# With infinitely many held-out samples, the loss is half the mean squared error plus a constant.
# The loss and the true error decrease steeply at the same thresholds. The dotted line marks the
# minimum of the loss. To the right of the dotted line, the error changes little, but the minimum of
# the error is at a different threshold.

best = search.best_index_
print(f"error at the chosen threshold {errors[best]:.2f}, smallest error {min(errors):.2f}")

fig, (top, bottom) = plt.subplots(2, 1, figsize=(6.5, 6), sharex=True, layout="constrained")
top.loglog(residuals, errors, "C0o-")
top.set(ylabel="mean squared error\n(needs true scores)")
bottom.semilogx(residuals, -search.cv_results_["mean_test_score"], "C1o-")
bottom.set(ylabel="held-out loss\n(needs samples)", xlabel="share of the spectrum left out")
for ax in (top, bottom):
    ax.axvline(1 - search.best_params_["eigen_threshold"], color="k", linestyle=":")
bottom.invert_xaxis()
plt.show()
