"""Standard errors of a gradient estimate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sk_mige._warnings import warn_user

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
    found, used = terms(torch.arange(n), start)
    batches = torch.arange(n).tensor_split(min(n_batches, n))
    if method == "batch":
        return found.mean(0), _batch_error(found, batches), used
    error = _full_error(
        found,
        batches,
        again=lambda rows: terms(rows, used)[0].mean(0),
        anew=lambda rows: terms(rows, start)[0].mean(0),
    )
    return found.mean(0), error, used


def _batch_error(terms: Tensor, batches: Sequence[Tensor]) -> Tensor:
    """Return the standard error of the mean of terms (n, p), by batch means."""
    means = torch.stack([terms[rows].mean(0) for rows in batches])
    return means.std(0) / math.sqrt(len(batches))


def _full_error(
    terms: Tensor,
    batches: Sequence[Tensor],
    again: Callable[[Tensor], Tensor],
    anew: Callable[[Tensor], Tensor],
) -> Tensor:
    """Combine the jackknife and resolution errors, and warn of a large resolution error.

    Parameters
    ----------
    terms : tensor of shape (n, p)
        Terms of all rows, whose mean is the estimate.
    batches : sequence of tensors
        Indices of disjoint batches of rows.
    again : callable
        Function that repeats the estimate for given row indices, with the same settings.
    anew : callable
        Function that repeats the estimate for given row indices, with settings chosen from the
        rows.

    Returns
    -------
    tensor of shape (p,)
    """
    value = terms.mean(0)
    sampling = _jackknife_error(again, batches)
    resolution = _resolution_error(anew, value, batches)
    usual = torch.maximum(sampling, terms.std(0) / math.sqrt(len(terms)))
    large = (resolution > LARGE_SHARE * value.abs()) & (resolution > LARGE_ERRORS * usual)
    if bool(large.any()):
        warn_user(
            f"{len(terms)} samples do not resolve the gradient: half of the samples "
            "give a different estimate. The standard error includes the difference. Pass more "
            "samples, or project x and y to fewer coordinates"
        )
    return torch.hypot(sampling, resolution)


def _jackknife_error(estimate: Callable[[Tensor], Tensor], batches: Sequence[Tensor]) -> Tensor:
    """Return the jackknife standard error of leave-one-batch-out estimates."""
    without = [torch.cat([*batches[:k], *batches[k + 1 :]]) for k in range(len(batches))]
    values = torch.stack([estimate(rows) for rows in without])
    return ((len(batches) - 1) * (values - values.mean(0)).square().mean(0)).sqrt()


def _resolution_error(
    estimate: Callable[[Tensor], Tensor], value: Tensor, batches: Sequence[Tensor]
) -> Tensor:
    """Return the bias, extrapolated from the mean estimate of two halves of the batches."""
    halves = [torch.cat(list(batches[k::2])) for k in (0, 1)]
    if min(map(len, halves)) < FEWEST:
        return torch.zeros_like(value)
    mean = torch.stack([estimate(rows) for rows in halves]).mean(0)
    return (value - mean).abs() / HALVING
