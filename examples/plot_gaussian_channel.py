"""
A noisy channel: how fast information is lost
=============================================

A signal passes a channel that adds noise of standard deviation σ. How much information does a
little more noise cost? The estimate knows the channel, as a stochastic encoder knows its own
noise, but not the signal: it sees samples of the output.
"""

# %%
# Two signals: a Gaussian one, of which ½ log(1 + 1/σ²) nats survive, and one that takes the
# values ±1. As long as the noise is small the latter is read without error, and a little more
# noise costs nothing; the most is lost where the two values begin to overlap. Its truth is found
# by quadrature.

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch

from sk_mige.information import stochastic_mutual_info_surrogate
from sk_mige.score import ssge

gaussian, noise = torch.randn(2, 500, 1, generator=torch.Generator().manual_seed(0)).double()
binary = gaussian.sign()
noise = (noise - noise.mean()) / noise.std()
grid = np.linspace(0.2, 2.0, 25)


def binary_information(sigma):
    """I(x; x + σε) for x = ±1: the output's entropy less the noise's."""
    z = np.linspace(-12, 12, 20_001)
    density = sum(np.exp(-((z - x) ** 2) / (2 * sigma**2)) for x in (-1, 1)) / 2
    density /= sigma * np.sqrt(2 * np.pi)
    entropy = -np.trapezoid(density * np.log(density + 1e-300), z)
    return entropy - 0.5 * np.log(2 * np.pi * np.e * sigma**2)


truths = {
    "Gaussian": -1 / (grid * (1 + grid**2)),
    "binary": np.gradient([binary_information(sigma) for sigma in grid], grid),
}

# %%
# The two modes of the binary signal lie far apart beside their width. The eigenfunctions that
# tell the shape of one mode have small eigenvalues, so the threshold is raised.

score = partial(ssge, eigen_threshold=0.9999)


def slope(sigma, signal):
    """Estimate dI/dσ from one sample of the channel's output."""
    sigma = torch.tensor(sigma, dtype=torch.float64, requires_grad=True)
    z = signal + sigma * noise
    surrogate = stochastic_mutual_info_surrogate(
        z, conditional=(signal, sigma), marginal="score", score=score
    )
    (gradient,) = torch.autograd.grad(surrogate, sigma)
    return gradient.item()


fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for color, (name, signal) in zip(
    ("C0", "C1"), {"Gaussian": gaussian, "binary": binary}.items(), strict=True
):
    ax.plot(grid, truths[name], "--", color=color, label=f"{name} signal, truth")
    ax.plot(grid, [slope(s, signal) for s in grid], color=color, label=f"{name} signal, estimate")
ax.set(xlabel="standard deviation σ of the noise", ylabel="dI / dσ  (nats)")
ax.legend(frameon=False)
plt.show()
