"""Scores ∇ log q(x) from samples: pure torch functions, tensors in, tensors out."""

from .base import RadialBase, fit_base
from .expansion import KernelExpansion, ScoreModel
from .filters import spectral_filter
from .fitting import ScoreFit, fit_dense, fit_landmarks
from .frame import ScoreSettings, fit_frame
from .kernels import median_bandwidth, rbf_kernel, squared_distances
from .solvers import subspace_eigh
from .spectral import ScoreFunction, leading_eigenpairs, ssge
from .stein import SteinModel, fit_stein
from .sums import KernelSums, kernel_sums
from .whitening import Whitening, identity_whitening, ledoit_wolf_shrinkage, whitening

__all__ = [
    "KernelExpansion",
    "KernelSums",
    "RadialBase",
    "ScoreFit",
    "ScoreFunction",
    "ScoreModel",
    "ScoreSettings",
    "SteinModel",
    "Whitening",
    "fit_base",
    "fit_dense",
    "fit_frame",
    "fit_landmarks",
    "fit_stein",
    "identity_whitening",
    "kernel_sums",
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
