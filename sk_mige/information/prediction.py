"""Leave-one-out predictions of one variable from many columns of another variable."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sk_mige.score import squared_distances
from sk_mige.score.units import feature_units

# Variances of the noise, as multiples of the variance of the signal.
NOISE = torch.logspace(-4, 3, 71, dtype=torch.float64)[:, None, None]
# Smallest gain in log-likelihood over pure noise for a significant signal.
SIGNIFICANT = 3.0
# Smallest share of the signal-to-noise ratio. Smaller shares have a large relative error.
MIN_SHARE = 0.1


class Predictions(NamedTuple):
    """Leave-one-out predictions, and the fraction of the signal-to-noise ratio that they capture.

    The field ``share`` is the captured fraction for the columns of y, at least 0.1. If no
    prediction of a column of y is significant, ``share`` is 1. The field ``resolved`` is False if
    the fraction is at most 0.1, or if no prediction of a column of y is significant.
    """

    columns: Tensor
    share: float
    resolved: bool


def leave_one_out_predictions(x: Tensor, y: Tensor) -> Predictions:
    r"""Predict the columns of y and their squares from x, with the predicted row left out.

    Each target is modelled as a Gaussian process with the linear kernel of the standardised rows of
    x, plus noise of variance δ. Maximum likelihood estimates δ, so 1/δ estimates
    the signal-to-noise ratio of the target. The estimate is valid for more columns than rows [1]_,
    although the predictions capture only a fraction of the signal. A Gaussian kernel replaces the
    linear kernel if the predictions with the Gaussian kernel have a significantly smaller error.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Rows of x. The number of columns may exceed the number of rows.
    y : tensor of shape (n, q)
        Normal scores of y.

    Returns
    -------
    Predictions
        Significant predictions (n, k), or the best prediction if none is significant. The number
        k is at most n / 3 - q, but at least 1.

    References
    ----------
    .. [1] J. Yang et al., "Common SNPs explain a large proportion of the heritability for human
       height", Nature Genetics 42, 2010.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.prediction import leave_one_out_predictions
    >>> x, noise = torch.randn(2, 300, 500, generator=torch.Generator().manual_seed(0)).double()
    >>> found = leave_one_out_predictions(x, x[:, :1] + noise[:, :1])
    >>> found.columns.shape, 0.1 < found.share < 0.5
    (torch.Size([300, 1]), True)
    """
    n, q = y.shape
    targets = torch.cat([y, y.square()], dim=1)
    deviations = targets.std(0)
    targets = (targets - targets.mean(0)) / deviations.clamp_min(1e-12)
    rows = feature_units(x)(x)
    rows = rows - rows.mean(0)
    sq = squared_distances(rows)
    gaussian = torch.exp(-sq / sq.mean().clamp_min(1e-300))
    linear, ratio, gain = _fit(rows @ rows.mT, targets)
    other, _, other_gain = _fit(gaussian, targets)
    smaller = (targets - linear).square() - (targets - other).square()
    better = smaller.mean(0) > 2 * smaller.std(0) / n**0.5
    columns = torch.where(better, other, linear)
    gain = torch.where(better, other_gain, gain)
    # If a column has two opposite values, the squares are constant, and the gain is a rounding
    # error.
    gain = torch.where(deviations > 1e-12, gain, -torch.inf)
    products = (columns * targets).mean(0).clamp_min(0)
    explained = products.square() / columns.square().mean(0).clamp_min(1e-12)
    seen = explained / (1 - explained)
    own = gain[:q] > SIGNIFICANT
    total = torch.where(better, seen, torch.maximum(seen, ratio))[:q][own].sum()
    best = gain.argsort(descending=True)[: max(1, min(int((gain > SIGNIFICANT).sum()), n // 3 - q))]
    share = float(seen[:q][own].sum() / total) if bool(own.any()) else 1.0
    resolved = bool(own.any()) and share > MIN_SHARE
    return Predictions(columns[:, best], max(share, MIN_SHARE), resolved)


def _fit(kernel: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return predictions, signal-to-noise ratios and gains in log-likelihood of each target."""
    n = len(kernel)
    kernel = kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
    # The mean diagonal is scaled to 1. Adding 1 / n gives the constant direction the eigenvalue 1.
    kernel = kernel / kernel.diagonal().mean().clamp_min(1e-300) + 1 / n
    values, vectors = torch.linalg.eigh(kernel)
    values = values.clamp_min(0)[:, None]
    turned = vectors.mT @ targets
    variances = values + NOISE
    scales = (1 / variances[..., 0]) @ turned.square() / n  # without an array (71, n, targets)
    losses = 0.5 * n * scales.log() + 0.5 * variances.log().sum(1)
    smallest, best = losses.min(0)
    noise = NOISE[best, 0, 0]
    inverse = 1 / (values + noise)
    residuals = vectors @ (turned * inverse) / (vectors.square() @ inverse)
    return targets - residuals, 1 / noise, losses[-1] - smallest
