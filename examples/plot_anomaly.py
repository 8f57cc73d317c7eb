"""
Anomalies by log-density and by the norm of the score
=====================================================

This example ranks rows by the log-density and by the norm of the score, both from one fitted score
estimator. The anomalies are rows of a class that is not in the training data.
"""

# %%
# The score estimator is fitted to 20 principal components of handwritten digits without the
# digit 8. A low log-density is evidence of an anomaly. A large norm of the score can also be
# evidence of an anomaly, because log-densities are often steep far from a mode.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import RocCurveDisplay
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_mige import SSGEScoreEstimator

X, y = load_digits(return_X_y=True)
train, rest = train_test_split(X[y != 8], test_size=0.5, random_state=0)
prepare = make_pipeline(PCA(20, random_state=0), StandardScaler()).fit(train)
ranked = prepare.transform(np.r_[rest, X[y == 8]])
is_anomaly = np.r_[np.zeros(len(rest)), np.ones(np.sum(y == 8))]

estimator = SSGEScoreEstimator().fit(prepare.transform(train))
density = KernelDensity(bandwidth=1.0).fit(prepare.transform(train))
rankings = {
    "log_density": -estimator.log_density(ranked),
    "norm of the score": np.linalg.norm(estimator.transform(ranked), axis=1),
    "KernelDensity": -density.score_samples(ranked),
}

fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for name, values in rankings.items():
    RocCurveDisplay.from_predictions(is_anomaly, values, name=name, ax=axes[0])
axes[0].set(xlabel="false positive rate", ylabel="true positive rate", title="eights among digits")
for label, name in enumerate(("digits except 8", "eights")):
    values = rankings["log_density"][is_anomaly == label]
    axes[1].hist(-values, bins=30, density=True, alpha=0.6, label=name)
axes[1].set(xlabel="log-density relative to the mean (nats)", ylabel="frequency")
axes[1].legend(frameon=False)
plt.show()

# %%
# :doc:`/guide/anomalies` compares the rankings on seven tasks. In this example, the ranking by the
# norm of the score has a larger area under the ROC curve than the ranking by the log-density. On
# other tasks, the ranking by the norm of the score can be worse than chance.
