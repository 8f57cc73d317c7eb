"""Folds that are independent of the order of the rows and keep equal rows together."""

from __future__ import annotations

import torch
from torch import Tensor

N_FOLDS = 3
# Rows per fold in each stratum of neighbouring radii. Rows of a stratum are assigned at random.
STRATUM = 16
# Odd multipliers of the hash splitmix64, as signed integers.
MIX = (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
# Resolution and largest value of hashed numbers.
RESOLUTION, LARGEST = 1e-7, 1e11


def radial_folds(x: Tensor, n_folds: int = N_FOLDS) -> Tensor:
    """Assign rows to folds at random within strata of distance from the mean.

    Every fold has rows near the mean and rows in the tails. Fixed random numbers are assigned to
    the ranks of the distances, so the folds do not depend on the order of the rows.

    Assigning consecutive ranks to different folds would favour narrow kernels, because the
    neighbours of held-out rows would mostly be training rows.

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
    strata = torch.split(torch.arange(n, device="cpu"), size)
    dealt = [part[torch.randperm(len(part), generator=generator, device="cpu")] for part in strata]
    return torch.cat(dealt).to(x.device)[rank] % n_folds


def sample_folds(x: Tensor, n_folds: int = N_FOLDS, rows: Tensor | None = None) -> Tensor:
    """Assign rows to folds by :func:`radial_folds`, with equal rows in the same fold.

    If a held-out row has a copy in the training set, its loss does not predict the loss of new
    rows. Copies would favour the narrowest kernel and the weakest regularisation.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    n_folds : int, default=3
        Number of folds.
    rows : Tensor of shape (n, any), default=None
        Rows to compare for equality, in the order of x. If None, the rows of x are compared. Pass
        the original samples if x holds coordinates with rounding errors.

    Returns
    -------
    Tensor of int of shape (n,)
        Fold number of each row. Equal rows may be in different folds if there are fewer than two
        distinct rows per fold.
    """
    rows = x if rows is None else rows
    column = rows[:, 0].sort().values
    if bool((column[1:] != column[:-1]).all()):  # then no two rows are equal
        return radial_folds(x, n_folds)
    owner = _first_equal(rows)
    first = (owner == torch.arange(len(x), device=x.device)).nonzero()[:, 0]
    if len(first) == len(x) or len(first) < 2 * n_folds:
        return radial_folds(x, n_folds)
    fold = torch.empty_like(owner)
    fold[first] = radial_folds(x[first], n_folds)
    return fold[owner]


def hashed_folds(keys: Tensor, n_folds: int = N_FOLDS) -> Tensor:
    """Assign rows to folds by a hash of a number, so that equal rows are in the same fold.

    The fold of a row does not depend on other rows. Rows of a stream or of several machines can
    therefore be assigned separately.

    Parameters
    ----------
    keys : Tensor of shape (n,)
        Numbers without unit, such as distances in bandwidths, so that folds do not depend on the
        units of the rows.
    n_folds : int, default=3
        Number of folds.

    Returns
    -------
    Tensor of int of shape (n,)
        Fold number of each row.
    """
    # Keys of equal rows may have different rounding errors.
    bits = (keys.clamp_max(LARGEST) / RESOLUTION).round().to(torch.int64)
    for shift, factor in zip((30, 27), MIX, strict=True):  # as in splitmix64
        bits = (bits ^ (bits >> shift)) * factor
    return (bits ^ (bits >> 31)) % n_folds


def _first_equal(rows: Tensor) -> Tensor:
    """Return the index of the first equal row for each row."""
    distinct, inverse = torch.unique(rows, dim=0, return_inverse=True)
    numbers = torch.arange(len(rows), device=rows.device)
    first = numbers.new_full((len(distinct),), len(rows))
    return first.scatter_reduce(0, inverse, numbers, "amin")[inverse]
