"""
Handwritten digits in two dimensions
====================================

An encoder with two components, trained to keep as much information about the images as it can,
beside the first two principal components. Neither has seen a label; the colours are there for the
reader.
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
# How well do the neighbours in the map agree about the digit? That is the accuracy in the titles.

fig, axes = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained")
for ax, (name, Z) in zip(axes, maps.items(), strict=True):
    accuracy = cross_val_score(KNeighborsClassifier(10), Z, y, cv=5).mean()
    RepresentationDisplay.from_predictions(Z, y, ax=ax)
    ax.set(title=f"{name}: {accuracy:.0%}", xticks=[], yticks=[])
axes[0].get_legend().remove()
plt.show()

# %%
# The objective is a surrogate: its gradient is that of the information, its value is not, and need
# not fall while the information rises. See the user guide.

fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
TrainingCurveDisplay.from_estimator(encoder, ax=ax)
plt.show()
