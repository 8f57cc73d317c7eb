"""Standard errors of a gradient estimate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from sk_mige._sizes import as_size
from sk_mige._warnings import warn_user
from sk_mige.information._samples import check_choice

# Decrease of a bias of order 1 / sqrt(n) from n / 2 to n samples, relative to the bias at n.
HALVING = math.sqrt(2) - 1
# Smallest number of samples per half for an estimate of the resolution error.
FEWEST = 16
# A resolution error is large above this fraction of the estimate and this multiple of the sampling
# error.
LARGE_SHARE, LARGE_ERRORS = 0.5, 3.0


def mean_and_error(
    terms: Callable[[Tensor, Any], tuple[Tensor, Any]],
    start: Any,
    n: int,
    method: str,
    n_batches: int,
) -> tuple[Tensor, Tensor, Any]:
    """Return the mean of n terms, the standard error of the mean, and the settings used.

    Parameters
    ----------
    terms : callable
        Function that maps row indices and settings to terms (m, p) and the settings used.
    start : object
        Settings of the estimate. If a setting is None, ``terms`` chooses its value from the rows.
    n : int
        Number of rows.
    method : {"batch", "jackknife"}
        Method for the standard error. The method "batch" estimates the sampling error of the mean.
        The method "jackknife" also includes the errors due to the estimated scores and their
        resolution.
    n_batches : int
        Number of batches of consecutive rows.

    Returns
    -------
    tuple of two tensors of shape (p,) and the settings
    """
    check_choice("standard_error", method, ("batch", "jackknife"))
    n_batches = min(as_size("n_batches", n_batches, 2), n)
    batches = torch.arange(n).tensor_split(n_batches)

    def estimates(parts: Iterable[Tensor], settings: Any) -> Tensor:
        return torch.stack([terms(rows, settings)[0].mean(0) for rows in parts])

    found, used = terms(torch.arange(n), start)
    value = found.mean(0)
    if method == "batch":
        means = torch.stack([found[rows].mean(0) for rows in batches])
        return value, means.std(0) / math.sqrt(n_batches), used
    others = (torch.cat([*batches[:k], *batches[k + 1 :]]) for k in range(n_batches))
    without = estimates(others, used)
    sampling = ((n_batches - 1) * (without - without.mean(0)).square().mean(0)).sqrt()
    halves = [torch.cat(batches[k::2]) for k in (0, 1)]
    if min(map(len, halves)) < FEWEST:
        return value, sampling, used
    resolution = (value - estimates(halves, start).mean(0)).abs() / HALVING
    usual = torch.maximum(sampling, found.std(0) / math.sqrt(n))
    large = (resolution > LARGE_SHARE * value.abs()) & (resolution > LARGE_ERRORS * usual)
    if bool(large.any()):
        warn_user(
            f"{n} samples do not resolve the gradient: half of the samples "
            "give a different estimate. The standard error includes the difference. Pass more "
            "samples, or project x and y to fewer coordinates"
        )
    return value, torch.hypot(sampling, resolution), used
