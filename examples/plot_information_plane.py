"""
The information plane
=====================

What a bottleneck keeps of the image, I(x; z), against what that tells of the digit, I(z; y), as the
price β of a nat grows. At first only what does not matter is forgotten; from the knee on every
further nat costs knowledge of the digit.
"""

# %%
# Ten bottlenecks of four dimensions. A price that is high from the start could stop z from
# carrying anything before the decoder has learned to read it, so β grows over the first epochs
# (``beta_warmup``).

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sk_mige import MIGEEncoder
from sk_mige.information import gaussian_mutual_info, mutual_info_score_based

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.5, random_state=0)
X_new, y_new = torch.as_tensor(X_test, dtype=torch.float32), torch.as_tensor(y_test)
betas = [1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0]

models = [
    MIGEEncoder(
        4, mode="ib", beta=beta, beta_warmup=10, max_epochs=40, random_state=0, output="sample"
    ).fit(X_train, y_train)
    for beta in betas
]

# %%
# Both informations are measured on images that were not trained on. I(x; z) is that of z with the
# mean of q(z | x), which here is all that matters of x: by integrating estimated scores, and as the
# upper bound that training follows. I(z; y) is at least the entropy of the digits minus the
# decoder's cross-entropy at one draw of z.

kept, bounds, told, accuracies = [], [], [], []
for model in models:
    z = model.transform(X_test)
    with torch.no_grad():
        mean, scale = model.module_(X_new).conditional
        log_p = model.module_.decoder(torch.as_tensor(z, dtype=torch.float32)).log_softmax(1)
    kept.append(mutual_info_score_based(mean, z, margins=None).value)
    bounds.append(float(gaussian_mutual_info(mean, scale)))
    told.append(np.log(10) + float(log_p.gather(1, y_new[:, None]).mean()))
    accuracies.append(model.score(X_test, y_test))
    print(
        f"β = {model.beta:<6g} I(x; z) = {kept[-1]:5.2f} nats (at most {bounds[-1]:5.2f}), "
        f"I(z; y) = {told[-1]:4.2f} nats, accuracy {accuracies[-1]:.1%}"
    )

# %%
# No representation can tell more of the digit than it keeps of the image (dotted), nor more than
# there is to know (dashed).

fig, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
ax.plot(bounds, told, "o-", ms=3, lw=0.8, color="0.7", label="upper bound of I(x; z)")
ax.plot(kept, told, "o-", label="I(x; z) from scores")
for beta, a, b in zip(betas, kept, told, strict=True):
    ax.annotate(f"{beta:g}", (a, b), textcoords="offset points", xytext=(5, -11), fontsize=8)
ax.plot([0, np.log(10)], [0, np.log(10)], ":", color="0.5")
ax.axhline(np.log(10), ls="--", lw=0.8, color="0.5")
ax.set(xlabel="I(x; z), nats", ylabel="I(z; y), nats, at least", title="β at each point")
ax.legend(loc="lower right")
plt.show()
