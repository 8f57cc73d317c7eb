"""
Representations of an information bottleneck
============================================

This example shows two-dimensional representations of digits for four values of β, the weight of the
information I(x; z) in the loss.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_mige import InformationBottleneck, MIGEEncoder
from sk_mige.inspection import InformationPlaneDisplay, RepresentationDisplay
from sk_mige.training import BetaWarmup

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.4, random_state=0)
betas = [1e-3, 0.1, 0.4, 0.8]

models = []
fig, axes = plt.subplots(2, 2, figsize=(9, 8), layout="constrained")
for ax, beta in zip(axes.flat, betas, strict=True):
    model = MIGEEncoder(
        n_components=2, mode=InformationBottleneck(beta=beta), callbacks=[BetaWarmup(10)],
        max_epochs=60, batch_size=64, hidden_layer_sizes=(256, 256), random_state=0,
    )  # fmt: skip
    model.fit(X_train, y_train)
    models.append(model)
    display = RepresentationDisplay.from_estimator(model, X_test, y_test, ax=ax)
    if len(models) > 1:
        display.legend_.remove()
    ax.set(title=f"β = {beta:g}: accuracy {model.score(X_test, y_test):.1%}")
plt.show()

# %%
# The information plane shows I(z; y), the information about the digit, against I(x; z), the
# information about the image. The two values are lower bounds in nats, computed from held-out
# images.

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
InformationPlaneDisplay.from_estimators(models, X_test, y_test, ax=ax)
plt.show()
