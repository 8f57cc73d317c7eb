"""
The gradient of mutual information along its curve
==================================================

Two Gaussian vectors of correlation ρ in each of d coordinates have mutual information −d/2 ·
log(1 − ρ²), whose derivative dρ / (1 − ρ²) is known. The estimate needs 256 samples, no critic
and no training: a surrogate is differentiated with respect to ρ.
"""

# %%
# Draw x and ε once for each repetition; only ρ changes along a curve.

import matplotlib.pyplot as plt
import numpy as np
import torch

from sk_mige.information import mutual_info_surrogate
from sk_mige.inspection import MutualInfoGradientDisplay

n_samples, n_repeats = 256, 5
grid = torch.linspace(-0.9, 0.9, 25)


def gradient(rho, x, eps):
    """DI/dρ from one sample of the pair (x, y), y = ρx + √(1−ρ²) ε."""
    rho = rho.clone().requires_grad_()
    y = rho * x + (1 - rho**2).sqrt() * eps
    (slope,) = torch.autograd.grad(mutual_info_surrogate(x, y), rho)
    return slope.item()


# %%
# One panel for each dimension: the truth, every repetition, and their mean in a band of two
# standard errors.

fig, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharex=True, layout="constrained")
for ax, d in zip(axes, (5, 10, 20), strict=True):
    curves = []
    for seed in range(n_repeats):
        generator = torch.Generator().manual_seed(seed)
        x, eps = torch.randn(2, n_samples, d, generator=generator, dtype=torch.float64)
        curves.append([gradient(rho.double(), x, eps) for rho in grid])
    ax.plot(grid, np.transpose(curves), color="C0", alpha=0.25, linewidth=1)
    MutualInfoGradientDisplay.from_predictions(grid, curves, truth=d * grid / (1 - grid**2), ax=ax)
    ax.set(title=f"d = {d}", xlabel="ρ", ylabel="dI / dρ  (nats)" if d == 5 else None)
plt.show()

# %%
# The estimate is smooth in ρ because nothing in it is random but the sample: neighbouring ρ see
# the same x and ε. It grows less accurate with the dimension: plain SSGE, with 256 samples in 20
# dimensions, finds scores that are somewhat too short.
