"""Splits into rows to fit to and rows to judge by, for SSGEScoreEstimatorCV."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import check_cv
from torch import Tensor

from sk_mige.score.repeats import sample_folds

__all__ = ["dealt_splits", "given_splits"]

Splits = list[tuple[Tensor, Tensor]]


def dealt_splits(x: Tensor, rows: Tensor, n_folds: int) -> Splits:
    """Splits of rows with coordinates x into folds, dealt within strata of distance from the mean.

    Equal rows are in one fold.
    """
    if n_folds > len(x) // 2:
        raise ValueError(
            f"cv={n_folds} folds need at least {2 * n_folds} samples, X has {len(x)}; lower cv"
        )
    fold = sample_folds(x, n_folds, rows)
    return [((fold != k).nonzero()[:, 0], (fold == k).nonzero()[:, 0]) for k in range(n_folds)]


def given_splits(cv: Any, numbers: NDArray[Any], n_samples: int, device: torch.device) -> Splits:
    """A splitter's or a list's splits of all samples, as far as their rows are compared on.

    Parameters
    ----------
    cv : cross-validation splitter or iterable
        What it splits are rows of X, all of them.
    numbers : ndarray of int of shape (n,)
        Which rows of X are compared on, ascending; the splits returned count among these.
    n_samples : int
        Number of rows of X.
    device : torch.device
        Where the splits are wanted.
    """
    place = np.full(n_samples, -1)
    place[numbers] = np.arange(len(numbers))
    splits = []
    for number, parts in enumerate(check_cv(cv).split(np.empty((n_samples, 1)))):
        found = [place[part] for part in parts]
        train, test = (torch.from_numpy(part[part >= 0]).to(device) for part in found)
        if len(train) < 2 or len(test) < 1:
            raise ValueError(
                f"cv: split {number} has {len(train)} rows to fit to and {len(test)} to judge by, "
                f"among the {len(numbers)} that are compared on; it needs 2 and 1 at least"
            )
        splits.append((train, test))
    return splits
