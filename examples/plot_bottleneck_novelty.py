"""
Novelty detection with a bottleneck
===================================

This example compares two measures of novelty, the rate of an image and the largest class
probability. The novel images belong to none of the training classes.
"""

# %%
# Bottlenecks are trained on eight of the ten digits. The novel images are the remaining two
# digits, patches of a photograph, and test images with shuffled pixels.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits, load_sample_image
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sk_mige import MIGE, InformationBottleneck, MIGEEncoder
from sk_mige.inspection import PredictionTrustDisplay
from sk_mige.training import BetaWarmup

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
known = y < 8
X_train, X_test, y_train, y_test = train_test_split(
    X[known], y[known], test_size=0.4, random_state=0
)
rng = np.random.default_rng(0)
photograph = load_sample_image("china.jpg").mean(axis=2) / 255
patches = extract_patches_2d(photograph, (8, 8), max_patches=600, random_state=0)
novel = {
    "digits 8 and 9": X[~known],
    "photographs": patches.reshape(len(patches), -1).astype(np.float32),
    "shuffled pixels": rng.permuted(X_test, axis=1),
}

# %%
# ``score_samples`` returns minus the *rate* of each image, KL(q(z | x) ‖ m(z)) in nats. The
# marginal m is a mixture of one Gaussian for each class. The rate is large if z of an image is far
# from z of all training images. The second measure of novelty is minus the largest
# class probability, a common baseline.


def rate(model, images):
    return -model.score_samples(images)


def probability(model, images):
    return -model.predict_proba(images).max(axis=1)


# %%
# The area under the ROC curve is the probability that a novel image has a larger measure than a
# test image of a known digit.

betas = [1e-3, 1e-2, 0.05, 0.1, 0.2, 0.4]
areas = {(measure, name): [] for measure in (rate, probability) for name in novel}
models = []
for beta in betas:
    model = MIGEEncoder(
        32, mode=InformationBottleneck(MIGE(marginal="classes"), beta=beta), max_epochs=40,
        callbacks=[BetaWarmup(10)], batch_size=64, hidden_layer_sizes=(128, 128), random_state=0,
    )  # fmt: skip
    models.append(model.fit(X_train, y_train))
    for (measure, name), area in areas.items():
        scores = [measure(model, part) for part in (X_test, novel[name])]
        truth = np.repeat([0, 1], [len(part) for part in scores])
        area.append(roc_auc_score(truth, np.concatenate(scores)))
    print(f"β = {beta:g}: accuracy {model.score(X_test, y_test):.1%}; area under the ROC curve:")
    for name in novel:
        print(
            f"  {name:16} rate {areas[rate, name][-1]:.3f}, "
            f"probability {areas[probability, name][-1]:.3f}"
        )

# %%
# For photographs and shuffled pixels, the rate has a larger area than the largest probability at
# every β. For digits 8 and 9, the areas of the two measures are similar. From the smallest to the
# largest β, the area of the rate decreases for digits 8 and 9, and increases for photographs and
# shuffled pixels.

fig, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
for color, name in zip(("tab:blue", "tab:orange", "tab:green"), novel, strict=True):
    ax.plot(betas, areas[rate, name], "o-", color=color, label=f"{name}: rate")
    ax.plot(betas, areas[probability, name], "o:", color=color, label=f"{name}: probability")
ax.set(xscale="log", xlabel="β", ylabel="area under the ROC curve")
ax.legend(fontsize=8)
plt.show()

# %%
# :class:`~sk_mige.inspection.PredictionTrustDisplay` draws three plots for any classifier: accuracy
# against confidence, error against coverage, and the ROC curves of the measures of novelty.

fig, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
display = PredictionTrustDisplay.from_estimator(
    models[2], X_test, y_test, np.concatenate(list(novel.values())), ax=axes[0]
)
display.plot(axes[1], kind="risk")
display.plot(axes[2], kind="novelty")
plt.show()
