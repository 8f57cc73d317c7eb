"""Detection of pairs without noise, whose mutual information is infinite."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sk_mige._warnings import warn_user
from sk_mige.information.margins import gaussianize_ranks
from sk_mige.information.neighbours import local_dimension
from sk_mige.information.residuals import LinearResiduals
from sk_mige.score import whitening
from sk_mige.score.subspace import varying_units

# Smallest decrease of the dimension, compared with shuffled pairs, for pairs on a surface. Largest
# number of columns, and smallest number of rows, for an estimate of the dimension.
MISSING_DIMENSION, MAX_DIMENSION, FEWEST = 0.5, 10, 100
# Three standard errors of the decrease for independent pairs, divided by dimension / sqrt(n).
NOISE = 1.7


def check_noise(x: Tensor, y: Tensor) -> None:
    """Raise ValueError for linear relations of x and y, and warn about nonlinear relations.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Samples of x without redundant columns.
    y : tensor of shape (n, q)
        Samples of y without redundant columns.
    """
    scores = gaussianize_ranks(x), gaussianize_ranks(y)
    if LinearResiduals(x, y).is_exact or _share_columns(*scores):
        raise ValueError(
            "y must contain noise: a linear combination of columns of y, or of their normal "
            "scores, is a linear combination of x. The mutual information is infinite and has no "
            "gradient. Add the noise of the measurement, or remove the shared columns"
        )
    if on_a_surface(x, y):
        warn_user(
            "the pairs (x, y) lie close to a surface, so the mutual information may be infinite. "
            "The result is the gradient at the resolution of the samples. Add the measurement "
            "noise to y"
        )


def on_a_surface(x: Tensor, y: Tensor, seed: int = 0) -> bool:
    """Return whether the local dimension of pairs is lower than that of shuffled pairs.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Samples of x.
    y : tensor of shape (n, q)
        Samples of y.
    seed : int, default=0
        Seed of the permutation.

    Returns
    -------
    bool
        True for pairs near a surface. The result is False for fewer than 100 rows or more than 10
        columns, because the dimension cannot be estimated.
    """
    n, d = len(x), x.shape[1] + y.shape[1]
    if n < FEWEST or d > MAX_DIMENSION:
        return False
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    pairs = [torch.cat([x, other], dim=1) for other in (y, y[order])]
    joint, product = (local_dimension(whitening(z, 0.0)[0](z)) for z in pairs)
    return joint < product - max(MISSING_DIMENSION, NOISE * product / math.sqrt(n))


def _share_columns(x: Tensor, y: Tensor) -> bool:
    """Return whether x and y together have an exact linear relation that neither has alone."""
    alone, other, both = (varying_units(z)[2] for z in (x, y, torch.cat([x, y], dim=1)))
    return alone is None and other is None and both is not None
