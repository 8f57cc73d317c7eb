"""Folds that keep equal rows together."""

from __future__ import annotations

import torch
from torch import Tensor

from .folds import N_FOLDS, radial_folds

__all__ = ["sample_folds"]

# Squared distances from the mean of equal rows differ by less than this share of their average.
ROUNDING = 1e-9


def sample_folds(x: Tensor, n_folds: int = N_FOLDS, rows: Tensor | None = None) -> Tensor:
    """Fold number of each row, as :func:`radial_folds` deals them, and one for all equal rows.

    A row that is held out while its copy is not says nothing of rows to come, and the narrowest
    kernel with the least regularisation would seem the best.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    n_folds : int, default=3
        Number of folds.
    rows : Tensor of shape (n, any), default=None
        What has to be equal, where x gives coordinates with roundings of their own; x by default.

    Returns
    -------
    Tensor of int of shape (n,)
        With fewer than two distinct rows a fold, copies are dealt like others.
    """
    owner = _first_equal(x, x if rows is None else rows)
    first = (owner == torch.arange(len(x), device=x.device)).nonzero()[:, 0]
    if len(first) == len(x) or len(first) < 2 * n_folds:
        return radial_folds(x, n_folds)
    fold = torch.empty_like(owner)
    fold[first] = radial_folds(x[first], n_folds)
    return fold[owner]


def _first_equal(x: Tensor, rows: Tensor) -> Tensor:
    """Index of the first row equal to each."""
    owner = torch.arange(len(x), device=x.device)
    radii = (x - x.mean(0)).square().sum(1)
    order = radii.argsort()
    close = radii[order].diff() <= ROUNDING * radii.mean()
    # Only rows of like radius are compared: as a rule there are none, or few.
    near = torch.zeros_like(owner, dtype=torch.bool)
    near[order[1:]] |= close
    near[order[:-1]] |= close
    candidates = near.nonzero()[:, 0]
    if len(candidates):
        distinct, inverse = torch.unique(rows[candidates], dim=0, return_inverse=True)
        first = owner.new_full((len(distinct),), len(x))
        first = first.scatter_reduce(0, inverse, candidates, "amin")
        owner[candidates] = first[inverse]
    return owner
