r"""
Gradient ascent on mutual information
=====================================

Gradient ascent on mutual information optimises the powers of four sensors, and a projection of five
variables to one variable. The results are compared with the exact maxima.
"""

# %%
# Powers of sensors
# -----------------
#
# Sensor i measures :math:`y_i = \sqrt{p_i}\, x_i + \sigma_i \varepsilon_i`, where signal and noise
# are standard normal. The powers :math:`p_i` sum to 4. The mutual information is
# :math:`\frac12 \sum_i \log(1 + p_i / \sigma_i^2)`. The maximum is at :math:`p_i = \max(0, \mu -
# \sigma_i^2)` (water-filling), with μ such that the powers sum to 4.

import matplotlib.pyplot as plt
import numpy as np
import torch

from sk_mige import MutualInfoEstimator
from sk_mige.information import channel_gradient, mutual_info_gradient

sigma, total = np.array([0.4, 0.7, 1.0, 1.6]), 4.0
level = (total + (sigma[:3] ** 2).sum()) / 3  # the last sensor has power 0
optimum = np.maximum(0, level - sigma**2)


def powers(theta):
    """Return positive powers with the given sum."""
    return total * torch.softmax(theta, 0)


def sensors(x, theta, noise):
    return powers(theta).sqrt() * x + torch.from_numpy(sigma) * noise


def information(p):
    return 0.5 * np.log1p(p / sigma**2).sum()


# %%
# Each step of the ascent draws 500 new samples. The estimated gradient does not use the formula of
# the mutual information.

rng = np.random.default_rng(0)
theta = torch.zeros(4, dtype=torch.float64)
allocation = [powers(theta).numpy()]
for step in range(40):
    x = rng.standard_normal((500, 4))
    gradient, _ = channel_gradient(
        sensors, theta.numpy(), x, random_state=step, standard_error="batch"
    )
    theta = theta + 2 * torch.from_numpy(gradient)
    allocation.append(powers(theta).numpy())
allocation = np.array(allocation)

print(f"water-filling: {optimum.round(2)}, information {information(optimum):.3f} nats")
print(f"ascent:        {allocation[-1].round(2)}, information {information(allocation[-1]):.3f}")

# %%
# Nonlinear dependence on a projection
# ------------------------------------
#
# The target is :math:`y = (w_0^\top x)^2 + \frac12 \varepsilon` with a standard normal x in five
# dimensions. Principal components and canonical correlations cannot find :math:`w_0`, because all
# variances of x are equal and y is uncorrelated with x. Gradient ascent maximises
# :math:`I(w^\top x; y)` over unit vectors w, from four random directions.

n, d = 2000, 5
x = rng.standard_normal((n, d))
w_true = np.ones(d) / np.sqrt(d)
y = (x @ w_true) ** 2 + 0.5 * rng.standard_normal(n)


def ascend(w, n_steps=20):
    """Return the unit vector w after each step."""
    path = [w / np.linalg.norm(w)]
    for step in range(n_steps):
        w = path[-1]
        gradient, _ = mutual_info_gradient(
            y, (x @ w)[:, None], x[:, None, :], standard_error="batch"
        )
        tangent = gradient - w * (w @ gradient)
        w = w + 0.3 * 0.9**step * tangent / np.linalg.norm(tangent)
        path.append(w / np.linalg.norm(w))
    return np.array(path)


paths = [ascend(w) for w in rng.standard_normal((4, d))]

# %%
# The projection with the largest estimated information is selected from the four results.
# Quadrature over the density of y gives the true maximum. Two ascents fail, because the gradient is
# nearly zero at projections with almost no information. In practice, use several starts. The
# direction of the linear fit is random, because x and y are uncorrelated.

grid, u = np.linspace(-3, 40, 4001), np.linspace(-6, 6, 2001)
weight = np.exp(-(u**2) / 2) / np.exp(-(u**2) / 2).sum()
density = np.exp(-2 * (grid[:, None] - u**2) ** 2) @ weight * np.sqrt(2 / np.pi)
entropy = -np.trapezoid(density * np.log(density + 1e-300), grid)
truth = entropy - 0.5 * np.log(2 * np.pi * np.e * 0.25)

estimates = [
    MutualInfoEstimator(["gaussian", "mixture", "neighbors"], random_state=0).fit(x @ path[-1], y)
    for path in paths
]
best = max(range(len(paths)), key=lambda k: estimates[k].mutual_info_)
low, high = estimates[best].interval_
print(f"best projection: cosine {abs(paths[best][-1] @ w_true):.4f} with the true direction")
print(
    f"information {estimates[best].mutual_info_:.2f} ({low:.2f} to {high:.2f}), truth {truth:.2f}"
)

# %%

linear = np.linalg.lstsq(x, y - y.mean())[0]
fig, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
for k, color in enumerate(("C0", "C1", "C2", "C3")):
    axes[0].plot(allocation[:, k], color=color, label=f"σ = {sigma[k]}")
    axes[0].axhline(optimum[k], color=color, linestyle="--", linewidth=1)
    axes[1].plot(np.abs(paths[k] @ w_true), color=color, label=f"start {k + 1}")
    value, interval = estimates[k].mutual_info_, estimates[k].interval_
    errors = [[value - interval[0]], [interval[1] - value]]
    axes[2].errorbar(k + 1, value, errors, fmt="o", color=color, capsize=4)
axes[0].set(title="powers (dashed: water-filling)", xlabel="step", ylabel="power", ylim=(-0.1, 2.6))
axes[0].legend(frameon=False, ncols=2, loc="upper center")
axes[1].axhline(
    abs(linear @ w_true) / np.linalg.norm(linear), color="0.5", linestyle=":", label="linear fit"
)
axes[1].set(title="projection", xlabel="step", ylabel="|cosine| with the true direction")
axes[1].legend(frameon=False)
axes[2].axhline(truth, color="0.3", linestyle="--", label="truth")
axes[2].set(title="information of the results", xlabel="start", ylabel="nats", xticks=range(1, 5))
axes[2].legend(frameon=False)
plt.show()

# %%
# The powers approach those of water-filling. The optimal power of the last sensor is zero, but the
# softmax keeps its power positive.
