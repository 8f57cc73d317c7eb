"""Scores ∇ log q(x) from samples: pure torch functions, tensors in, tensors out."""

from .kernels import median_bandwidth, rbf_kernel, squared_distances
from .spectral import ScoreFunction, leading_eigenpairs, ssge

__all__ = [
    "ScoreFunction",
    "leading_eigenpairs",
    "median_bandwidth",
    "rbf_kernel",
    "squared_distances",
    "ssge",
]
