"""
Why eigendecompositions run in float64
======================================

A score estimate divides by eigenvalues, and the more of the spectrum it keeps, the smaller they
are. In float32 the smallest of them are rounding errors. So the estimates take float32 in and give
float32 back, but decompose in float64 in between.
"""

# %%
# The spectrum of one Gram matrix, computed in either precision. Rounding in float32 is about the
# largest eigenvalue times :math:`10^{-7}`, and below that its eigenvalues are noise, some of them
# negative.

import matplotlib.pyplot as plt
import numpy as np
import torch

from sk_mige.inspection import EigenvalueDisplay
from sk_mige.score import median_bandwidth, rbf_kernel, squared_distances, ssge

x = torch.from_numpy(np.random.default_rng(0).normal(size=(256, 3)))
sq = squared_distances(x)
gram = rbf_kernel(sq, median_bandwidth(sq))
spectra = {
    "float32": torch.linalg.eigvalsh(gram.float()).double(),
    "float64": torch.linalg.eigvalsh(gram),
}

fig, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for color, (name, eigenvalues) in zip(("C1", "C0"), spectra.items(), strict=True):
    EigenvalueDisplay.from_predictions(
        eigenvalues.clamp_min(0), ax=ax, color=color, label=name, markersize=3
    )
ax.set_ylim(1e-16, 1)
ax.legend(frameon=False)
plt.show()

# %%
# What that does to the scores: the published formula in float32 throughout, and this package's,
# from the same float32 samples. Both are compared with the estimate in float64 throughout.


def in_float32(x: torch.Tensor, n_eigen: int) -> torch.Tensor:
    """SSGE as published, without a digit more than the samples have."""
    sq = squared_distances(x)
    bandwidth = median_bandwidth(sq)
    gram = rbf_kernel(sq, bandwidth)
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values[-n_eigen:], vectors[:, -n_eigen:]
    form = (gram @ x - gram.sum(1, keepdim=True) * x) / bandwidth**2
    return gram @ (vectors / values**2 @ (vectors.T @ form))


kept = [5, 10, 20, 40, 60, 80, 100]
errors: dict[str, list[float]] = {"float32 throughout": [], "float64 inside": []}
for n_eigen in kept:
    exact = ssge(x, n_eigen=n_eigen)
    for name, estimate in (
        ("float32 throughout", in_float32(x.float(), n_eigen)),
        ("float64 inside", ssge(x.float(), n_eigen=n_eigen)),
    ):
        errors[name].append(float((estimate.double() - exact).norm() / exact.norm()))

fig, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for color, (name, curve) in zip(("C1", "C0"), errors.items(), strict=True):
    ax.semilogy(kept, curve, f"{color}o-", label=name)
ax.set(xlabel="eigenfunctions kept, of 256", ylabel="relative difference to float64")
ax.legend(frameon=False)
plt.show()
