"""Spectral filters: how strongly each direction of the spectrum is trusted."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["ALPHAS", "spectral_filter"]

# Tikhonov strengths tried, relative to the kernel operator's trace of 1. The last leaves the
# base alone.
ALPHAS: tuple[float, ...] = (
    *(10.0 ** (k / 2) for k in range(-12, 3)),
    math.inf,
)


def spectral_filter(
    values: Tensor, n_samples: float, alpha: float | Tensor, kept: Tensor | None = None
) -> Tensor:
    r"""Tikhonov's filter :math:`h = 1 / (a + n \alpha)`, on the kept part of the spectrum.

    Parameters
    ----------
    values : Tensor of shape (r,)
        Spectrum a of the sums, descending.
    n_samples : float
        Number of samples n that were summed, times the trace of the operator they estimate.
    alpha : float or Tensor of shape (F, 1)
        Strength; 0 is the plain inverse and infinity returns zeros. Of a column of strengths, one
        filter each.
    kept : Tensor of bool of shape (r,), default=None
        Spectral cutoff; by default nothing is cut.

    Returns
    -------
    Tensor of shape (r,) or (F, r)

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import spectral_filter
    >>> spectral_filter(torch.tensor([2.0, 1.0]), 10, 0.1)
    tensor([0.3333, 0.5000])
    """
    inverse = (values + n_samples * alpha).clamp_min(torch.finfo(values.dtype).tiny).reciprocal()
    return inverse if kept is None else inverse * kept
