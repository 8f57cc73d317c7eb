"""Predictions of one variable from many columns of another variable."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sk_mige._contexts import built_apart
from sk_mige.information.correction import batches
from sk_mige.information.margins import gaussianize_ranks
from sk_mige.information.residuals import copula_entropy
from sk_mige.score import squared_distances
from sk_mige.score.units import feature_units

# Variances of the noise, as multiples of the variance of the signal.
NOISE = torch.logspace(-4, 3, 71, dtype=torch.float64)[:, None, None]
# Smallest gain in log-likelihood over pure noise for a significant signal.
SIGNIFICANT = 3.0
# Smallest share of the signal-to-noise ratio. Smaller shares have a large relative error.
MIN_SHARE = 0.1
# Largest number of rows, units per layer, training steps, learning rate, and weight decay of the
# network that predicts y, and the largest absolute value of its inputs.
MAX_ROWS, N_HIDDEN, N_STEPS, LR, WEIGHT_DECAY, FARTHEST = 5000, 64, 600, 0.02, 0.5, 5.0


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


def information_by_regression(x: Tensor, y: Tensor, least: float = 0.0) -> float:
    r"""Lower bound on I(x; y) from the held-out residuals of a network that predicts y from x.

    Let :math:`r_j` be the residuals of the q columns of y, which are normal scores. Tied values
    have scores in random order, which does not increase the information. For a given variance, the
    Gaussian has the largest entropy, so

    .. math:: I(x; y) = h(y) - h(r | x) \ge h(y) - \sum_j h(r_j)
              \ge -\tfrac12 \sum_j \log \mathbb{E} r_j^2 - T(y) .

    The total correlation T(y) is minus the entropy of the copula of y
    (:func:`~sk_mige.information.residuals.copula_entropy`). The network receives columns and normal
    scores of x, and corrects a linear regression. At most 5,000 rows are used, and a third of the
    rows is held out. With m held-out rows, :math:`2 \sqrt{q / m}` is subtracted, about three
    standard errors.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Rows of x.
    y : tensor of shape (n, q)
        Rows of y.
    least : float, default=0
        Smallest bound of interest, in nats. For a bound below ``least``, the result is 0.

    Returns
    -------
    float
        Lower bound in nats, at least 0.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.prediction import information_by_regression
    >>> x = torch.randn(1000, 8, generator=torch.Generator().manual_seed(0)).double()
    >>> information_by_regression(x, x.square().sum(1, keepdim=True)) > 0.5
    True
    """
    generator = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(x), generator=generator)[:MAX_ROWS]
    x, y = x[rows], y[rows]
    # Scores of ties in random order are a function of y and of noise that is independent of x.
    noise = torch.rand(y.shape, generator=generator, device="cpu")
    places = np.lexsort((noise.numpy(), y.numpy()), axis=0).argsort(0)
    y = gaussianize_ranks(torch.from_numpy(places).to(y))
    m, q = len(x) // 3, y.shape[1]
    columns = feature_units(x)(x).clamp(-FARTHEST, FARTHEST)
    inputs = torch.cat([columns, gaussianize_ranks(x)], dim=1)
    linear = torch.cat([columns, torch.ones_like(columns[:, :1])], dim=1)
    targets = y - linear @ torch.linalg.lstsq(linear[m:], y[m:]).solution
    squares = _smallest_squares(inputs.float(), targets.float(), m, generator)
    found = -0.5 * float(squares.log().sum()) - 2 * math.sqrt(q / m)
    # The Gaussian copula has at least the entropy of the best copula, and takes less time.
    gaussian = 0.5 * float(torch.linalg.slogdet(torch.corrcoef(y.mT).reshape(q, q))[1])
    return max(0.0, found + copula_entropy(y)[0]) if found + gaussian > least else 0.0


def _smallest_squares(x: Tensor, y: Tensor, m: int, generator: torch.Generator) -> Tensor:
    """Return the smallest mean squared residuals of the first m rows while a network trains."""
    n = len(x) - m
    size = min(n, max(32, n // 10))
    squares = y[:m].square().mean(0)
    with built_apart(0):
        network = nn.Sequential(
            nn.Linear(x.shape[1], N_HIDDEN),
            nn.SiLU(),
            nn.Linear(N_HIDDEN, N_HIDDEN),
            nn.SiLU(),
            nn.Linear(N_HIDDEN, y.shape[1]),
        )
        n_epochs = N_STEPS // (n // size)
        for rows, is_first in batches(network, n_epochs, n, size, LR, WEIGHT_DECAY, generator):
            if is_first:
                with torch.no_grad():
                    found = (network(x[:m]) - y[:m]).square().mean(0)
                squares = min(found, squares, key=lambda z: float(z.log().sum()))
            (network(x[m:][rows]) - y[m:][rows]).square().mean().backward()
    return squares
