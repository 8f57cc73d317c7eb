"""Folds that do not depend on the order of the rows."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["N_FOLDS", "radial_folds"]

N_FOLDS = 3
# Rows of each fold in a stratum of neighbouring radii, within which they are dealt at random.
STRATUM = 16


def radial_folds(x: Tensor, n_folds: int = N_FOLDS) -> Tensor:
    """Fold number of each row: dealt at random within strata of distance from the mean.

    Every fold gets its share of centre and tails, and the folds do not depend on the order in
    which the rows come: chance, always the same, acts on ranks. Dealing the ranks in turn would
    not do. In one dimension each row would be held out amid neighbours that are not, more
    regularly so than independent samples are, and the narrowest kernels would seem the best.

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
