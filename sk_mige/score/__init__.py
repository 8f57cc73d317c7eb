"""Scores ∇ log q(x) from samples: pure torch functions, tensors in, tensors out."""

from .base import RadialBase as RadialBase
from .base import fit_base
from .expansion import KernelExpansion as KernelExpansion
from .expansion import ScoreModel
from .filters import spectral_filter
from .fitting import ScoreFit as ScoreFit
from .fitting import fit_dense
from .fitting import fit_landmarks as fit_landmarks
from .frame import ScoreSettings
from .frame import fit_frame as fit_frame
from .kernels import median_bandwidth, rbf_kernel, squared_distances
from .shrinkage import ledoit_wolf_shrinkage
from .solvers import subspace_eigh
from .spectral import ScoreFunction, leading_eigenpairs, ssge
from .stein import fit_stein
from .sums import KernelSums as KernelSums
from .sums import kernel_sums as kernel_sums
from .whitening import Whitening as Whitening
from .whitening import identity_whitening as identity_whitening
from .whitening import whitening

# What users of torch need; the rest above serves the layers above.
__all__ = [
    "ScoreFunction",
    "ScoreModel",
    "ScoreSettings",
    "fit_base",
    "fit_dense",
    "fit_stein",
    "leading_eigenpairs",
    "ledoit_wolf_shrinkage",
    "median_bandwidth",
    "rbf_kernel",
    "spectral_filter",
    "squared_distances",
    "ssge",
    "subspace_eigh",
    "whitening",
]
