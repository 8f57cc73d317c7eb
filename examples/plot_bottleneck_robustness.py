"""
Robustness of a bottleneck
==========================

This example measures the accuracy on images with Gaussian noise and with adversarial
perturbations, for several values of β.
"""

# %%
# Bottlenecks with 16-dimensional z are compared with a network without a bottleneck, which has no
# noise and β = 0. Each network is trained with two seeds.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn.functional import cross_entropy, one_hot

from sk_mige import InformationBottleneck, MIGEEncoder
from sk_mige.training import BetaWarmup

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    (X / 16).astype(np.float32), y, test_size=0.5, random_state=0
)
betas = [1e-3, 1e-2, 0.05, 0.1, 0.2, 0.4]


def train(seed, **parameters):
    model = MIGEEncoder(
        16, mode=InformationBottleneck(**parameters), callbacks=[BetaWarmup(10)], max_epochs=40,
        batch_size=64, hidden_layer_sizes=(128, 128), random_state=seed,
    )  # fmt: skip
    return model.fit(X_train, y_train)


# %%
# Projected gradient descent changes every pixel by at most ε to increase a loss. The attack takes
# 40 steps in the direction of the sign of the gradient, which is averaged over 12 new draws of z.
# ``predict`` averages over separate draws of z. The loss of the first attack is the cross-entropy,
# whose gradient vanishes if probabilities are 0 or 1. The loss of the second attack is the largest
# logit of a wrong class minus the logit of the true class.


def likelihood_loss(logits, target):
    return cross_entropy(logits.log_softmax(-1).logsumexp(0), target)


def margin_loss(logits, target):
    true = one_hot(target, 10).bool()
    return (logits.masked_fill(true, -torch.inf).amax(-1) - logits[:, true]).mean()


def attacked(model, epsilon, loss, n_steps=40):
    clean, target = torch.as_tensor(X_test), torch.as_tensor(y_test)
    generator = torch.Generator().manual_seed(1)
    x = clean.clone()
    for _ in range(n_steps):
        x.requires_grad_()
        noise = torch.randn(12, model.n_components, generator=generator)
        (gradient,) = torch.autograd.grad(loss(model.module_.predictions(x, noise), target), x)
        moved = x.detach() + epsilon / 8 * gradient.sign()
        x = clean + (moved - clean).clamp(-epsilon, epsilon)
    return x.numpy()


def noisy(scale):
    return X_test + scale * np.random.default_rng(0).normal(size=X_test.shape).astype(np.float32)


# %%
# The third attack, the transfer attack, uses adversarial images of the network without a
# bottleneck. The accuracy under attack is the fraction of images that are classified correctly
# under every attack.

sources = [train(seed, head="deterministic", beta=0.0) for seed in range(2)]


def accuracies(model, source):
    """Return the accuracies on clean, noisy and attacked images, in percent."""
    correct = [model.predict(x) == y_test for x in (X_test, noisy(0.4))]
    for epsilon in (0.05, 0.1):
        images = [
            attacked(network, epsilon, loss)
            for network in (model, source) for loss in (likelihood_loss, margin_loss)
        ]  # fmt: skip
        correct.append(np.all([model.predict(x) == y_test for x in images], axis=0))
    return [100 * c.mean() for c in correct]


plain = np.mean([accuracies(source, source) for source in sources], axis=0)
found = np.mean(
    [[accuracies(train(s, beta=beta), sources[s]) for beta in betas] for s in range(2)], axis=0
)

# %%
# The accuracies are means over the two seeds. The row *plain* and the dotted lines are for the
# network without a bottleneck.

names = ["clean", "noise of scale 0.4", "attacks, ε = 0.05", "attacks, ε = 0.1"]
for name, reference, row in zip(names, plain, found.T, strict=True):
    print(f"{name:20} plain {reference:4.1f} %, ", end="")
    print(", ".join(f"β = {b:g}: {a:4.1f} %" for b, a in zip(betas, row, strict=True)))

fig, ax = plt.subplots(figsize=(6.5, 4.5), layout="constrained")
for name, reference, row in zip(names, plain, found.T, strict=True):
    (line,) = ax.plot(betas, row, "o-", label=name)
    ax.axhline(reference, ls=":", color=line.get_color())
ax.set(xscale="log", xlabel="β", ylabel="accuracy, %", title="dotted: without a bottleneck")
ax.legend(ncols=2, fontsize=8)
plt.show()
