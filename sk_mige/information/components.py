"""Linear maps to independent components, applied before margins are mapped to normal scores."""

from __future__ import annotations

import torch
from torch import Tensor

from sk_mige.information.axes import fast_ica
from sk_mige.information.margins import gaussianize_ranks
from sk_mige.score.units import feature_units

__all__ = ["independent_components"]

# Smallest gain of the mean log-density in nats, for each component of several columns. The gain
# expected from free parameters is added.
MIN_GAIN = 0.01
# Loadings below this multiple of 1 / sqrt(n) are noise.
MIN_LOADING = 4.0
FEWEST_ROWS = 50


def independent_components(z: Tensor) -> Tensor | None:
    r"""Return a linear map to independent components, or None if a copula describes z better.

    Two models of z are compared by their mean log-density. The first model has independent
    components :math:`z A`. The second model is a Gaussian copula of the columns. The entropies of
    margins are estimated from spacings of sorted values [1]_. The loadings of each component are
    scaled to unit norm, for columns of unit variance. Loadings below 4 / sqrt(n) are set to zero if
    the mean log-density increases.

    Parameters
    ----------
    z : tensor of shape (n, d)
        Columns with finite values.

    Returns
    -------
    tensor of shape (d, d) or None
        Matrix A of the components :math:`z A`. The result is None if d is 1, or if n is less than
        50 or 5 d. Let m be the number of nonzero loadings, and k the number of components with
        several nonzero loadings. The result is also None if the mean log-density exceeds that of
        the copula by less than .01 k + m / n nats.

    References
    ----------
    .. [1] O. Vasicek, "A Test for Normality Based on Sample Entropy", Journal of the Royal
       Statistical Society B 38, 1976.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.components import independent_components
    >>> z = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0)).double()
    >>> independent_components(z) is None
    True
    >>> mixed = z @ torch.tensor([[1.0, 1.0], [-1.0, 1.0]]).double()
    >>> independent_components(mixed).shape
    torch.Size([2, 2])
    """
    n, d = z.shape
    if d < 2 or n < max(FEWEST_ROWS, 5 * d):
        return None
    # Columns of positive skewness: the result of ICA does not depend on the signs of the columns.
    units = feature_units(z)
    deviation = units(z).std(0)
    columns, scale = units(z) / deviation, units.scale * deviation
    values, vectors = torch.linalg.eigh(torch.cov(columns.mT))
    if float(values[0]) < 1e-10 * float(values[-1]):
        return None
    white = vectors / values.sqrt()
    dense = white @ fast_ica(columns @ white)
    few = dense * (dense.abs() > MIN_LOADING / n**0.5 * dense.norm(dim=0))
    gain, mixing = max(((_gain(columns, m), m) for m in (few, dense)), key=lambda pair: pair[0])
    # A gain that is not finite, for example of columns with ties, counts as no gain.
    return mixing / scale[:, None] if gain > 0 else None


def _gain(columns: Tensor, mixing: Tensor) -> float:
    """Return the increase of the mean log-density by components, minus the required increase."""
    by_components = torch.linalg.slogdet(mixing)[1] - _entropies(columns @ mixing).sum()
    correlations = torch.corrcoef(gaussianize_ranks(columns).mT)
    by_copula = -0.5 * torch.linalg.slogdet(correlations)[1] - _entropies(columns).sum()
    loadings = (mixing != 0).sum(0)
    required = MIN_GAIN * (loadings > 1).sum() + loadings.sum() / len(columns)
    return float(by_components - by_copula - required)


def _entropies(z: Tensor) -> Tensor:
    """Return the differential entropy of each column from spacings of order sqrt(n) / 2."""
    n = len(z)
    m = round(0.5 * n**0.5)
    ordered = z.sort(dim=0).values
    spacings = ordered[2 * m :] - ordered[: -2 * m]
    # Spacings are at least 1e-12, because ties have no density.
    entropies: Tensor = (spacings.clamp_min(1e-12) * n / (2 * m)).log().mean(0)
    return entropies
