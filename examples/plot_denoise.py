"""
Denoising by Tweedie's formula
==============================

This example removes Gaussian noise from images by Tweedie's formula with the score of noisy
images. For comparison, the example also uses the score of clean images and the Wiener filter.
"""

# %%
# The rows are 20 principal components of handwritten digits. The noise has the standard deviation
# :math:`\sigma = 4` in each component. Tweedie's formula
# :math:`x + \sigma^2\, \nabla \log q_\sigma(x)` needs the score of *noisy* rows, and does not hold
# for the score of clean rows. The score estimators are fitted to half of the images, and errors are
# measured on the remaining half.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from sk_mige import SSGEScoreEstimator

images = load_digits().data
pca = PCA(20, random_state=0).fit(images[::2])
rng = np.random.default_rng(0)
train, test = pca.transform(images[::2]), pca.transform(images[1::2])
sigma = 4.0
noisy_train = train + sigma * rng.normal(size=train.shape)
noisy = test + sigma * rng.normal(size=test.shape)

by_noisy = SSGEScoreEstimator().fit(noisy_train)
by_clean = SSGEScoreEstimator().fit(train)

# %%
# The Wiener filter is the linear filter with the smallest mean squared error. For Gaussian data,
# Tweedie's formula is identical to the Wiener filter.

mean, covariance = noisy_train.mean(0), np.cov(noisy_train.T)
wiener = mean + (noisy - mean) @ np.linalg.solve(covariance, covariance - sigma**2 * np.eye(20))
denoised = {
    "noisy": noisy,
    "score of clean rows": by_clean.denoise(noisy, sigma),
    "Wiener filter": wiener,
    "score of noisy rows": by_noisy.denoise(noisy, sigma),
}
errors = {name: np.mean((rows - test) ** 2) for name, rows in denoised.items()}
for name, error in errors.items():
    print(f"{name:20s} mean squared error {error:6.2f}")

fig, axes = plt.subplots(5, 8, figsize=(8, 5.4), layout="constrained")
for row, (name, values) in zip(axes, {"clean": test, **denoised}.items(), strict=True):
    for ax, image in zip(row, pca.inverse_transform(values[:8]), strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()

# %%
# Tweedie's formula with the score of noisy rows has the smallest error. The log-density of clean
# rows is steeper than that of noisy rows. With the score of clean rows, the correction by Tweedie's
# formula is therefore too large. The result has a larger error than the noisy images.

assert errors["score of noisy rows"] < errors["Wiener filter"] < errors["noisy"]
assert errors["score of clean rows"] > errors["noisy"]
