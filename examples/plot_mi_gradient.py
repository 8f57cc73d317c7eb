"""
Gradient of mutual information
==============================

This example estimates the derivative of the mutual information of two Gaussian vectors with
respect to their correlation ρ, from 256 samples.
"""

# %%
# With d coordinates, the mutual information is −d/2 · log(1 − ρ²), and its derivative is dρ / (1 −
# ρ²). The estimate is the derivative of a surrogate with respect to ρ. For each repetition, x and ε
# are drawn once and used for all values of ρ.

import matplotlib.pyplot as plt
import numpy as np
import torch

from sk_mige.information import mutual_info_surrogate

n_samples, n_repeats = 256, 5
grid = torch.linspace(-0.9, 0.9, 25)


def gradient(rho, x, eps):
    """Return dI/dρ from samples of x and y = ρx + √(1−ρ²) ε."""
    rho = rho.clone().requires_grad_()
    y = rho * x + (1 - rho**2).sqrt() * eps
    (slope,) = torch.autograd.grad(mutual_info_surrogate(x, y), rho)
    return slope.item()


# %%
# Each panel shows the exact derivative, the estimates of all repetitions, and their mean with a
# band of two standard errors.

fig, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharex=True, layout="constrained")
for ax, d in zip(axes, (5, 10, 20), strict=True):
    curves = []
    for seed in range(n_repeats):
        generator = torch.Generator().manual_seed(seed)
        x, eps = torch.randn(2, n_samples, d, generator=generator, dtype=torch.float64)
        curves.append([gradient(rho.double(), x, eps) for rho in grid])
    mean, error = np.mean(curves, axis=0), np.std(curves, axis=0, ddof=1) / n_repeats**0.5
    ax.plot(grid, np.transpose(curves), color="C0", alpha=0.25, linewidth=1)
    ax.plot(grid, mean, label="estimate")
    ax.fill_between(grid, mean - 2 * error, mean + 2 * error, color="C0", alpha=0.2, linewidth=0)
    ax.plot(grid, d * grid / (1 - grid**2), "k--", linewidth=1, label="truth")
    ax.legend(frameon=False)
    ax.set(title=f"d = {d}", xlabel="ρ", ylabel="dI / dρ  (nats)" if d == 5 else None)
plt.show()

# %%
# The curves are smooth, because all points of a curve are computed from the same x and ε. In 20
# dimensions, 256 samples are too few for SSGE. The norm of the estimated scores is therefore too
# small, and the estimated derivative is too small for large ρ.
