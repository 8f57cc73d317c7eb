"""
Precision of eigendecompositions
================================

This example compares eigenvalues and scores in float32 and in float64.
"""

# %%
# A score estimate divides by eigenvalues of a Gram matrix. Rounding errors of float32 are about
# :math:`10^{-7}` times the largest eigenvalue. Computed eigenvalues below the rounding errors are
# noise, and some of them are negative. :func:`~sk_mige.score.ssge` therefore decomposes the Gram
# matrix of float32 data in float64.

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
# The scores of the same float32 samples are computed twice, by the published formula in float32 and
# by this package. The two results are compared with scores computed in float64.


def in_float32(x: torch.Tensor, n_eigen: int) -> torch.Tensor:
    """Return the scores of SSGE as published, in the precision of the samples."""
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
