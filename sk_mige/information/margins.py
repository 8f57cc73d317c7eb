"""Monotone maps that make every coordinate Gaussian: they leave mutual information as it is."""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor

__all__ = ["gaussianize_margins", "gaussianize_ranks"]


def gaussianize_margins(z: Tensor, n_knots: int | None = None) -> tuple[Tensor, Tensor]:
    r"""Smooth increasing map T of each coordinate towards N(0, 1), with its derivative.

    I(x; T(y)) = I(x; y) for every invertible T, so T need not be exact, only smooth: it is the
    monotone cubic interpolation (Fritsch and Carlson) that takes a few sample quantiles to those
    of N(0, 1).

    Parameters
    ----------
    z : tensor of shape (n, d)
        Samples.
    n_knots : int, default=None
        Number of quantiles; 1.25 n^(1/3) by default, 8 at n = 256. More follow the margin more
        closely, but their derivative is noisier.

    Returns
    -------
    values : tensor of shape (n, d)
        T(z). A coordinate with fewer than two distinct quantiles is only centred.
    derivative : tensor of shape (n, d)
        T'(z), positive.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import gaussianize_margins
    >>> z = torch.randn(500, 1, generator=torch.Generator().manual_seed(0)).exp()
    >>> values, derivative = gaussianize_margins(z)
    >>> bool((values - z.log()).abs().median() < 0.1)
    True
    """
    n = z.shape[0]
    if n_knots is None:
        n_knots = max(5, round(1.25 * n ** (1 / 3)))
    edge = float(torch.special.ndtri(torch.tensor(0.5 / n, dtype=torch.float64)))
    targets = np.linspace(edge, -edge, n_knots)
    levels = (torch.special.ndtr(torch.from_numpy(targets)) * n - 0.5) / (n - 1)
    samples = z.detach().cpu().double()
    knots = torch.quantile(samples, levels.clamp(0, 1), dim=0).numpy()
    values, derivative = np.empty_like(samples.numpy()), np.ones_like(samples.numpy())
    for k, column in enumerate(samples.numpy().T):
        # Ties would make the map jump: of equal quantiles the middle one stays.
        places, owner = np.unique(knots[:, k], return_inverse=True)
        if len(places) < 2:
            values[:, k] = column - column.mean()
            continue
        heights = np.bincount(owner, weights=targets) / np.bincount(owner)
        smooth = PchipInterpolator(places, heights)
        inside = column.clip(places[0], places[-1])  # rounding may put an end point outside
        values[:, k], derivative[:, k] = smooth(inside), smooth.derivative()(inside)
    return torch.from_numpy(values).to(z), torch.from_numpy(derivative).to(z)


def gaussianize_ranks(z: Tensor) -> Tensor:
    """Normal scores: each coordinate's ranks, mapped to the quantiles of N(0, 1).

    Parameters
    ----------
    z : tensor of shape (n, d)
        Samples. Ties share the mean of their ranks.

    Returns
    -------
    tensor of shape (n, d)

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import gaussianize_ranks
    >>> gaussianize_ranks(torch.tensor([[10.0], [-3.0], [0.0]])).flatten()
    tensor([ 0.9674, -0.9674,  0.0000])
    """
    n = z.shape[0]
    ranks = torch.empty_like(z, dtype=torch.float64)
    for k, column in enumerate(z.detach().mT.contiguous()):
        _, owner, counts = torch.unique(column, return_inverse=True, return_counts=True)
        first = counts.cumsum(0) - counts
        ranks[:, k] = (first + 0.5 * (counts - 1))[owner]
    scores: Tensor = torch.special.ndtri((ranks + 0.5) / n)
    return scores.to(z)
