"""
Robustness of a bottleneck
==========================

What z has forgotten cannot be used against it. Accuracy on disturbed images as β grows: under
noise, and under the disturbance that the network's own gradient proposes.
"""

# %%
# Bottlenecks of 16 dimensions at growing β, beside the same network without noise and without a
# price. Each is trained twice.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn.functional import cross_entropy

from sk_mige import MIGEEncoder

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    (X / 16).astype(np.float32), y, test_size=0.5, random_state=0
)
betas = [1e-3, 1e-2, 0.05, 0.1, 0.2, 0.4]


def train(seed, **parameters):
    model = MIGEEncoder(
        16, mode="ib", beta_warmup=10, max_epochs=40, batch_size=64, hidden_layer_sizes=(128, 128),
        random_state=seed, **parameters,
    )  # fmt: skip
    return model.fit(X_train, y_train)


# %%
# The fast gradient sign method moves every pixel by ε to where the loss grows. The gradient is
# that of the averaged predictions, which are also what is attacked.


def attacked(model, epsilon):
    x = torch.as_tensor(X_test).requires_grad_()
    noise = torch.randn(12, model.n_components, generator=torch.Generator().manual_seed(1))
    log_p = model.module_.predictions(x, noise).log_softmax(-1).logsumexp(0)
    (gradient,) = torch.autograd.grad(cross_entropy(log_p, torch.as_tensor(y_test)), x)
    return X_test + epsilon * gradient.sign().numpy()


def disturbed(scale):
    return X_test + scale * np.random.default_rng(0).normal(size=X_test.shape).astype(np.float32)


def accuracies(model):
    """Clean, under noise, attacked."""
    inputs = (X_test, disturbed(0.4), attacked(model, 0.1), attacked(model, 0.2))
    return [100 * model.score(x, y_test) for x in inputs]


seeds = range(2)
plain = np.mean([accuracies(train(s, head="deterministic", beta=0.0)) for s in seeds], axis=0)
found = np.mean([[accuracies(train(s, beta=beta)) for beta in betas] for s in seeds], axis=0)

# %%
# Up to β = 0.1 the price costs no accuracy on the images as they are, and the gradient's
# disturbance does far less harm. Noise without a plan harms all of them alike.

names = ["undisturbed", "noise of scale 0.4", "gradient sign, ε = 0.1", "gradient sign, ε = 0.2"]
for name, reference, row in zip(names, plain, found.T, strict=True):
    print(f"{name:24} plain {reference:4.1f} %, ", end="")
    print(", ".join(f"β = {b:g}: {a:4.1f} %" for b, a in zip(betas, row, strict=True)))

fig, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
for name, reference, row in zip(names, plain, found.T, strict=True):
    (line,) = ax.plot(betas, row, "o-", label=name)
    ax.axhline(reference, ls=":", color=line.get_color())
ax.set(xscale="log", xlabel="β", ylabel="accuracy, %", title="dotted: without a bottleneck")
ax.legend(loc=(0.02, 0.72), ncols=2, fontsize=8)
plt.show()
