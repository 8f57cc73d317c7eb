"""
Handwritten digits in two dimensions
====================================

This example compares a two-dimensional representation learned by InfoMax with the first two
principal components. Labels are used only for the colours and the accuracies in the plots.
"""

# %%
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from sk_mige import MIGEEncoder
from sk_mige.inspection import RepresentationDisplay, TrainingCurveDisplay

X, y = load_digits(return_X_y=True)
X = X / 16

encoder = MIGEEncoder(n_components=2, max_epochs=30, random_state=0)
maps = {
    "PCA": PCA(n_components=2, random_state=0).fit_transform(X),
    "MIGEEncoder": encoder.fit_transform(X),
}

# %%
# The titles show the accuracy of a nearest-neighbour classifier on the two dimensions.

fig, axes = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained")
for ax, (name, Z) in zip(axes, maps.items(), strict=True):
    accuracy = cross_val_score(KNeighborsClassifier(10), Z, y, cv=5).mean()
    RepresentationDisplay.from_predictions(Z, y, ax=ax)
    ax.set(title=f"{name}: {accuracy:.0%}", xticks=[], yticks=[])
axes[0].get_legend().remove()
plt.show()

# %%
# The training loss has a meaningful gradient, but no meaningful value (:doc:`/guide/mi_gradients`).

fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
TrainingCurveDisplay.from_estimator(encoder, ax=ax)
plt.show()
