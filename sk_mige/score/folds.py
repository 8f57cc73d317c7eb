"""Folds that are independent of the order of the rows and keep equal rows together."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["N_FOLDS", "radial_folds", "sample_folds"]

N_FOLDS = 3
# Rows per fold in each stratum of neighbouring radii. Rows of a stratum are dealt at random.
STRATUM = 16
# Equal rows have squared distances from the mean that differ by less than this fraction of the
# average squared distance.
ROUNDING = 1e-9


def radial_folds(x: Tensor, n_folds: int = N_FOLDS) -> Tensor:
    """Deal rows to folds at random within strata of distance from the mean.

    Every fold has rows near the mean and in the tails. The random numbers are always the same and
    act on ranks. The folds are therefore independent of the order of the rows.

    Assigning ranks to folds in turn would bias the loss. In one dimension both neighbours of every
    held-out row would be training rows. The narrowest kernels would then have the lowest loss.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    n_folds : int, default=3
        Number of folds.

    Returns
    -------
    Tensor of int of shape (n,)
        Fold number of each row.
    """
    n, size = len(x), STRATUM * n_folds
    radii = (x - x.mean(0)).square().sum(1)
    rank = torch.argsort(torch.argsort(radii, stable=True))
    generator = torch.Generator().manual_seed(0)
    dealt = torch.cat(
        [
            start + torch.randperm(min(size, n - start), generator=generator, device="cpu")
            for start in range(0, n, size)
        ]
    )
    return dealt.to(x.device)[rank] % n_folds


def sample_folds(x: Tensor, n_folds: int = N_FOLDS, rows: Tensor | None = None) -> Tensor:
    """Deal rows to folds by :func:`radial_folds`, with equal rows in the same fold.

    The loss of a held-out row that has a copy in the training set does not predict the loss of new
    rows. With such rows the narrowest kernel with the least regularisation would be chosen.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    n_folds : int, default=3
        Number of folds.
    rows : Tensor of shape (n, any), default=None
        Rows to compare for equality, in the order of x; x by default. Pass the original samples
        if x holds coordinates with rounding errors.

    Returns
    -------
    Tensor of int of shape (n,)
        Fold number of each row. If there are fewer than two distinct rows per fold, equal rows
        are not kept together.
    """
    owner = _first_equal(x, x if rows is None else rows)
    first = (owner == torch.arange(len(x), device=x.device)).nonzero()[:, 0]
    if len(first) == len(x) or len(first) < 2 * n_folds:
        return radial_folds(x, n_folds)
    fold = torch.empty_like(owner)
    fold[first] = radial_folds(x[first], n_folds)
    return fold[owner]


def _first_equal(x: Tensor, rows: Tensor) -> Tensor:
    """Return, for each row, the index of the first row equal to it."""
    owner = torch.arange(len(x), device=x.device)
    radii = (x - x.mean(0)).square().sum(1)
    order = radii.argsort()
    close = radii[order].diff() <= ROUNDING * radii.mean()
    # Only rows of nearly equal radius are compared. Usually there are few such rows.
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
