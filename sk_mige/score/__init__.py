"""Estimators of scores ∇ log q(x) from samples, as functions of torch tensors.

A score estimate has five parts: *coordinates* (:mod:`~sk_mige.score.whitening`,
:mod:`~sk_mige.score.subspace`), a *base* density, a *kernel*, the kernel's *spectrum*, and the
fitted *model*. :func:`ssge` is the published estimator. :func:`fit_dense` adds whitening, a base
density and a regularisation strength chosen on held-out samples.
"""

from .base import fit_base
from .fit import fit_dense, fit_stein
from .kernels import (
    RBF,
    InverseMultiquadric,
    Kernel,
    Matern,
    Multiscale,
    median_bandwidth,
    rbf_kernel,
    squared_distances,
)
from .model import ScoreModel, ScoreSettings
from .spectrum import leading_eigenpairs, spectral_filter
from .ssge import ScoreFunction, ssge
from .stein import SteinKernel, kernel_stein_discrepancy, stein_kernel, stein_thinning
from .whitening import whitening

__all__ = [
    "RBF",
    "InverseMultiquadric",
    "Kernel",
    "Matern",
    "Multiscale",
    "ScoreFunction",
    "ScoreModel",
    "ScoreSettings",
    "SteinKernel",
    "fit_base",
    "fit_dense",
    "fit_stein",
    "kernel_stein_discrepancy",
    "leading_eigenpairs",
    "median_bandwidth",
    "rbf_kernel",
    "spectral_filter",
    "squared_distances",
    "ssge",
    "stein_kernel",
    "stein_thinning",
    "whitening",
]
