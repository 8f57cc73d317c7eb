"""Folds that do not depend on the order of the rows."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["N_FOLDS", "radial_folds"]

N_FOLDS = 3


def radial_folds(x: Tensor, n_folds: int = N_FOLDS) -> Tensor:
    """Fold number of each row: dealt in turn to the rows sorted by distance from the mean.

    Every fold gets its share of centre and tails, and the folds do not depend on the order in
    which the rows come.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    n_folds : int, default=3
        Number of folds.

    Returns
    -------
    Tensor of int of shape (n,)
    """
    radii = (x - x.mean(0)).square().sum(1)
    rank = torch.argsort(torch.argsort(radii, stable=True))
    return rank % n_folds
