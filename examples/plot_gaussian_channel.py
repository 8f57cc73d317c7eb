"""
Information of a noisy channel
==============================

This example estimates a derivative of the mutual information between the input and the output of a
channel. The derivative is taken with respect to the standard deviation σ of the channel's noise.
"""

# %%
# The output of the channel is the signal plus Gaussian noise. The estimate uses samples of the
# output, and the known distribution of the output given the signal. For a Gaussian signal, the
# mutual information is ½ log(1 + 1/σ²) nats. For a binary signal of ±1, the mutual information is
# computed by quadrature.

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
    """Return I(x; x + σε) for x = ±1, the entropy of the output minus the entropy of the noise."""
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
# For a binary signal and small σ, the output has two narrow modes far apart. The eigenfunctions
# that describe one mode then have small eigenvalues, so ``eigen_threshold`` is larger than the
# default.

score = partial(ssge, eigen_threshold=0.9999)


def slope(sigma, signal):
    """Estimate dI/dσ from samples of the channel's output."""
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

# %%
# For the binary signal, the mutual information decreases fastest at the σ where the two modes of
# the output begin to overlap. For smaller σ, the derivative is near 0, and the estimate is less
# accurate.
