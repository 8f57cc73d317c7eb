"""Detection of separate groups of samples."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from .folds import radial_folds
from .kernels import squares_and_norms

# Number of samples that are compared, and number of neighbours of each sample, which is also the
# smallest number of compared samples in a group. With 7 neighbours, single columns and samples with
# heavy tails often have false groups.
COMPARED, NEIGHBOURS = 128, 10


def separate_groups(x: Tensor) -> tuple[Tensor, Tensor]:
    """Find groups of samples that are separated by gaps.

    Two samples are connected if each is one of the 10 nearest neighbours of the other. A sample
    between two groups is seldom a neighbour of both, so a few such samples do not connect the
    groups. Groups with fewer than 10 compared samples are left out, because most small groups are
    outliers. If all groups are smaller, the largest groups are kept.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples, whose columns have comparable units.

    Returns
    -------
    samples : Tensor of shape (m, d)
        Some of the samples, at most 128. A point belongs to the group of the nearest sample.
    labels : Tensor of int of shape (m,)
        Group of each sample.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score.groups import separate_groups
    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> len(separate_groups(x)[1].unique())
    1
    >>> x[:80] += 10.0
    >>> len(separate_groups(x)[1].unique())
    2
    """
    if len(x) > COMPARED:
        x = x[radial_folds(x, math.ceil(len(x) / COMPARED)) == 0]
    x = torch.unique(x, dim=0)  # a sample with many copies would have no other neighbours
    sq, _ = squares_and_norms(x)
    near = sq <= sq.topk(min(NEIGHBOURS + 1, len(x)), largest=False).values[:, -1:]
    _, found = connected_components((near & near.mT).cpu().numpy())
    labels = torch.from_numpy(found).to(x.device)
    sizes = (labels[:, None] == labels).sum(1)
    kept = sizes >= sizes.max().clamp_max(NEIGHBOURS)
    return x[kept], labels[kept]


def nearest_group(x: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a function that assigns points (n, d) to the groups (n,) of their nearest samples."""
    samples, labels = separate_groups(x)
    return lambda points: labels[squares_and_norms(points, samples)[0].argmin(1)]
