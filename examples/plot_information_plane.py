"""
The information plane
=====================

The information plane shows the information about the digit, I(z; y), against the information about
the image, I(x; z). Each point is a bottleneck with a different β.
"""

# %%
# Ten bottlenecks with four-dimensional z are trained. If β is large from the start, training can
# stop at an encoder whose z does not depend on x. :class:`~sk_mige.training.BetaWarmup` therefore
# increases β over the first ten epochs.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_mige import InformationBottleneck, MIGEEncoder
from sk_mige.information import gaussian_mutual_info
from sk_mige.inspection import InformationPlaneDisplay
from sk_mige.training import BetaWarmup

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.5, random_state=0)
betas = [1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0]

models = [
    MIGEEncoder(
        4,
        mode=InformationBottleneck(beta=beta),
        callbacks=[BetaWarmup(10)],
        max_epochs=40,
        output="sample",
        random_state=0,
    ).fit(X_train, y_train)
    for beta in betas
]

# %%
# I(x; z) and I(z; y) are estimated from n = 899 images that were not used in training. The display
# shows lower bounds of the two values. The lower bound of I(z; y) is the entropy of the digits
# minus the decoder's cross-entropy. The lower bound of I(x; z) cannot exceed log n = 6.8 nats, so
# the plot also shows an upper bound.

fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
display = InformationPlaneDisplay.from_estimators(
    models, X_test, y_test, labels=[""] * len(models), ax=ax, label="lower bound"
)
upper = []
for model in models:
    with torch.no_grad():
        mean, scale = model.module_(torch.as_tensor(X_test, dtype=torch.float32)).conditional
    upper.append(float(gaussian_mutual_info(mean, scale)))

ax.plot(upper, display.information_y, ".-", label="upper bound")
ax.axvline(np.log(len(X_test)), color="0.7", linewidth=1, label="log n")
points = ax.scatter(display.information_x, display.information_y, c=betas, norm="log", zorder=3)
fig.colorbar(points, label="β")
ax.legend(loc="lower right")
plt.show()

# %%
# As β increases from 0.01 to 0.1, z loses information about the image, but little information about
# the digit. A β above 0.1 reduces the information about the image and about the digit.

for k, model in enumerate(models):
    print(
        f"β = {model.beta_:g}: I(x; z) from {display.information_x[k]:.2f} to {upper[k]:.2f} nats, "
        f"I(z; y) at least {display.information_y[k]:.2f} nats, "
        f"accuracy {model.score(X_test, y_test):.1%}"
    )
