"""
What a bottleneck has never seen
================================

How surprising an image's code is under the codes of the training images tells whether the image is
one of their kind: as long as the bottleneck has not forgotten what would give a stranger away.
"""

# %%
# Bottlenecks learn eight of the ten digits. Held out, and never seen: two more digits, patches of
# photographs, and images of noise with the pixels' own brightness.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits, load_sample_image
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from sk_mige import MIGEEncoder

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
known = y < 8
X_train, X_test, y_train, y_test = train_test_split(
    X[known], y[known], test_size=0.4, random_state=0
)
rng = np.random.default_rng(0)
photograph = load_sample_image("china.jpg").mean(axis=2) / 255
patches = extract_patches_2d(photograph, (8, 8), max_patches=600, random_state=0)
strangers = {
    "digits 8 and 9": X[~known],
    "photographs": patches.reshape(len(patches), -1).astype(np.float32),
    "shuffled pixels": rng.permuted(X_test, axis=1),
}

# %%
# The code of an image is q(z | x). Its *rate* log q(z | x) - log q(z), averaged over z, is what the
# image alone contributes to I(x; z): many nats for an image whose code lies where no other's does.
# The marginal q(z) is the mixture of the training images' codes. Beside it the usual measure: the
# probability of the most probable class.


def rate(model, X_new, n_draws=12):
    with torch.no_grad():
        mean, scale = model.module_(torch.as_tensor(X_new)).conditional
        center, width = model.module_(torch.as_tensor(X_train)).conditional
        marginal = torch.distributions.Normal(center, width)
        rates = torch.zeros(len(X_new))
        for seed in range(n_draws):
            noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))
            z = mean + scale * noise
            log_q = marginal.log_prob(z[:, None]).sum(-1).logsumexp(1) - np.log(len(X_train))
            rates += torch.distributions.Normal(mean, scale).log_prob(z).sum(-1) - log_q
    return (rates / n_draws).numpy()


def unsure(model, X_new):
    return -model.predict_proba(X_new).max(axis=1)


# %%
# Area under the curve: the chance that a stranger is more surprising than a held-out image of the
# kind that was trained on.
betas = [1e-3, 1e-2, 0.05, 0.1, 0.2, 0.4]
areas = {(measure, name): [] for measure in (rate, unsure) for name in strangers}
for beta in betas:
    model = MIGEEncoder(
        8, mode="ib", beta=beta, beta_warmup=10, max_epochs=40, batch_size=64,
        hidden_layer_sizes=(128, 128), random_state=0,
    )  # fmt: skip
    model.fit(X_train, y_train)
    for (measure, name), area in areas.items():
        scores = [measure(model, part) for part in (X_test, strangers[name])]
        truth = np.repeat([0, 1], [len(part) for part in scores])
        area.append(roc_auc_score(truth, np.concatenate(scores)))
    print(
        f"β = {beta:<5g} accuracy {model.score(X_test, y_test):.1%}; area under the curve: ", end=""
    )
    print(", ".join(f"{m.__name__} {n} {a[-1]:.3f}" for (m, n), a in areas.items()))

# %%
# At a low price both measures know nearly every stranger. A high one sends most strangers where
# some class is: their rates are no longer unusual, though the probability still tells. Novelty
# wants a smaller β than robustness does.

fig, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
for color, name in zip(("tab:blue", "tab:orange", "tab:green"), strangers, strict=True):
    ax.plot(betas, areas[rate, name], "o-", color=color, label=f"{name}: rate")
    ax.plot(betas, areas[unsure, name], "o:", color=color, label=f"{name}: probability")
ax.set(xscale="log", xlabel="β", ylabel="area under the ROC curve")
ax.legend(fontsize=8)
plt.show()
