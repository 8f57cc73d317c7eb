"""How much to shrink a covariance: by leave-one-out likelihood, or by Ledoit and Wolf's formula."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["ledoit_wolf_shrinkage", "loo_radii", "loo_shrinkage"]

# Intensities tried by leave-one-out likelihood. 0, exact equivariance, joins them where the
# sample covariance has full rank; 1 is a spherical covariance.
SHRINKAGE_GRID = (0.0, *torch.logspace(-5, 0, 16, dtype=torch.float64).tolist())


def ledoit_wolf_shrinkage(centred: Tensor, spectrum: Tensor, n_features: int) -> float:
    r"""Ledoit and Wolf's asymptotically optimal intensity from the covariance's spectrum.

    .. math:: \rho = \min\left(1, \frac{\frac1n\big(\frac1n\sum_i \|x_i\|^4 - \|S\|_F^2\big)}
              {\|S\|_F^2 - (\mathrm{tr} S)^2 / d}\right)

    Equals :func:`sklearn.covariance.ledoit_wolf_shrinkage` without forming S, which for thousands
    of features takes seconds.

    Parameters
    ----------
    centred : Tensor of shape (n, r)
        Centred samples.
    spectrum : Tensor of shape (r,)
        Eigenvalues of their covariance S (divisor n).
    n_features : int
        Dimension d.

    Returns
    -------
    float
        Intensity in [0, 1].

    References
    ----------
    O. Ledoit, M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
    Journal of Multivariate Analysis 88, 2004.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import ledoit_wolf_shrinkage
    >>> x = torch.tensor([[-3.0, 0.0], [3.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
    >>> round(ledoit_wolf_shrinkage(x, torch.tensor([4.5, 0.5]), 2), 4)
    0.6406
    """
    n = centred.shape[0]
    frobenius = float(spectrum.square().sum())
    fourth = float(centred.square().sum(1).square().mean())
    distance = frobenius - float(spectrum.sum()) ** 2 / n_features
    if distance <= 0:
        return 1.0
    return min(1.0, max(0.0, (fourth - frobenius) / n / distance))


def loo_radii(spectrum: Tensor, squares: Tensor, scale: float, n: int, rho: float) -> Tensor:
    """Squared Mahalanobis distances, each from the moments of the other rows."""
    if n < 3:
        return squares.sum(1) / scale
    # Unbiased covariance of n - 1 rows: ((n-1) S_unbiased - n/(n-1) x x') / (n - 2).
    keep, one = (1 - rho) * n / (n - 2), (1 - rho) * n / ((n - 1) * (n - 2))
    total = float(spectrum.sum())
    # The sphere's size without each row, by the trace of that covariance.
    spheres = (n * total - squares.sum(1) * n / (n - 1)).clamp_min(1e-6 * total) * scale
    values = keep * spectrum + rho / (n - 2) / total * spheres[:, None]
    radii = (squares / values.clamp_min(torch.finfo(values.dtype).tiny)).sum(1)
    return radii / (1 - one * radii).clamp_min(1e-6) * (n / (n - 1)) ** 2


def loo_shrinkage(spectrum: Tensor, squares: Tensor, scale: float, n: int, outside: int) -> float:
    """Intensity of the grid with the highest leave-one-out Gaussian likelihood.

    The sphere's size is that of all rows, whose own shrinking by one row changes no choice of
    note, and would cost the whole grid its one product.
    """
    if n < 4:
        return 1.0
    rho = torch.tensor(SHRINKAGE_GRID, dtype=spectrum.dtype, device=spectrum.device)[:, None]
    # One row an intensity; the sums are those of loo_radii, all by one product.
    values = (1 - rho) * n / (n - 2) * spectrum + rho * scale * n / (n - 1)
    complement = rho[:, 0] * scale * n / (n - 1)
    tiny = torch.finfo(values.dtype).tiny
    radii = values.clamp_min(tiny).reciprocal() @ squares.mT
    remaining = 1 - (1 - rho) * n / ((n - 1) * (n - 2)) * radii
    log_det = values.clamp_min(tiny).log().sum(1) + outside * complement.clamp_min(tiny).log()
    inside = remaining.clamp_min(1e-8)
    losses = log_det + (inside.log() + radii / inside * (n / (n - 1)) ** 2).mean(1)
    singular = (values.amin(1) <= 1e-13 * values.amax(1)) | (remaining.amin(1) <= 1e-8)
    if outside > 0:
        singular |= complement <= 0
    best: float = SHRINKAGE_GRID[int(losses.masked_fill(singular, math.inf).argmin())]
    return best
