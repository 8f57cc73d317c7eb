"""Directions of two variables with significant canonical correlations."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sk_mige.information.references import whitener

# Significant canonical correlations exceed the largest correlation of independent data by this
# factor.
MARGIN = 1.1
# Directions with a relative weight below this value are noise.
MIN_WEIGHT = 0.1


def related_directions(x: Tensor, y: Tensor) -> list[Tensor] | None:
    r"""Return the directions of x and y with significant canonical correlations.

    Canonical correlations are computed between :math:`(x, \rho x)` and :math:`(y, \rho y)`. For
    each variable z, :math:`\rho = (\lVert z \rVert^2 - d) / \sqrt{2 d}` is the standardised squared
    radius. A correlation is significant if it exceeds 1.1 times the largest correlation expected
    for independent Gaussian data [1]_.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Whitened rows of x.
    y : tensor of shape (n, q)
        Whitened rows of y.

    Returns
    -------
    list of two tensors of shapes (p, k) and (q, m), or None
        Orthonormal directions of x and of y. The result is None if no correlation is significant
        or n ≤ 2 (p + q).

    References
    ----------
    .. [1] K. W. Wachter, "The Limiting Empirical Measure of Multiple Discriminant Ratios",
       Annals of Statistics 8, 1980.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.directions import related_directions
    >>> x, y = torch.randn(2, 9000, 10, generator=torch.Generator().manual_seed(0)).double()
    >>> related_directions(x, y) is None
    True
    >>> y[:, :1] += x[:, :1]
    >>> [tuple(axes.shape) for axes in related_directions(x, y)]
    [(10, 1), (10, 1)]
    """
    features = [_with_radius(z) for z in (x, y)]
    n, (p, q) = len(x), (f.shape[1] for f in features)
    if p + q >= n:
        return None
    whiten = [whitener(torch.cov(f.mT))[0] for f in features]
    white = [(f - f.mean(0)) @ w for f, w in zip(features, whiten, strict=True)]
    left, correlations, right = torch.linalg.svd(white[0].mT @ white[1] / n)
    edge = (math.sqrt(p * (n - q)) + math.sqrt(q * (n - p))) / n
    k = int((correlations > MARGIN * edge).sum())
    if k == 0:
        return None
    weights = [vectors[:, :k] * correlations[:k] for vectors in (left, right.mT)]
    return [_span(w @ own) for w, own in zip(whiten, weights, strict=True)]


def _with_radius(z: Tensor) -> Tensor:
    d = z.shape[1]
    radius = (z.square().sum(1, keepdim=True) - d) / math.sqrt(2 * d)
    return torch.cat([z, radius * z], dim=1)


def _span(coefficients: Tensor) -> Tensor:
    """Return leading left singular vectors of the coefficients (2 d, k) for z and ρz."""
    both = torch.cat(coefficients.chunk(2), dim=1)
    directions, weights, _ = torch.linalg.svd(both, full_matrices=False)
    return directions[:, weights > MIN_WEIGHT * weights[0]]
