"""Linear maps to independent components, applied before margins are mapped to normal scores."""

from __future__ import annotations

import torch
from torch import Tensor

from sk_mige.information.margins import gaussianize_ranks
from sk_mige.score.units import feature_units

# Smallest gain of the mean log-density in nats, for each component of several columns. The gain
# expected from free parameters is added.
MIN_GAIN = 0.01
# Loadings below this multiple of 1 / sqrt(n) are noise.
MIN_LOADING = 4.0
FEWEST_ROWS = 50
# Widths of the peaks in units of a component's mean absolute value, largest number of Newton steps
# for each width, and largest step of a loading.
WIDTHS = (1.0, 0.3, 0.1, 0.03)
MAX_STEPS = 40
LARGEST_STEP = 0.1
# Largest number of FastICA iterations, and the change of the axes at which they stop.
MAX_ITER, TOLERANCE = 40, 1e-4


def independent_components(z: Tensor) -> Tensor | None:
    r"""Return a linear map to independent components, or None if a copula describes z better.

    Two models of z are compared by their mean log-density. The first model has independent
    components :math:`z A`. The second model is a Gaussian copula of the columns. The entropies of
    margins are estimated from spacings of sorted values [1]_. The loadings of each component are
    scaled to unit norm, for columns of unit variance. Components with peaked densities are refined
    if the mean log-density increases.

    Let m be the number of nonzero loadings, and k the number of components with several nonzero
    loadings. The excess gain is the mean log-density minus that of the copula, minus 0.01 k + m / n
    nats. Loadings below 4 / sqrt(n) are set to zero if the excess gain then increases.

    Parameters
    ----------
    z : tensor of shape (n, d)
        Columns with finite values.

    Returns
    -------
    tensor of shape (d, d) or None
        Matrix A of the components :math:`z A`. The result is None if d is 1, n is less than 50 or 5
        d, or columns are linearly dependent. The result is also None if the excess gain is not
        positive.

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
    # With positive skewness, the result of ICA does not depend on the signs of the input columns.
    units = feature_units(z)
    columns = units(z)
    deviation = columns.std(0)
    columns, scale = columns / deviation, units.scale * deviation
    values, vectors = torch.linalg.eigh(torch.cov(columns.mT))
    if float(values[0]) < 1e-10 * float(values[-1]):
        return None
    white = vectors / values.sqrt()
    dense = refined_components(columns, white @ fast_ica(columns @ white))
    few = dense * (dense.abs() > MIN_LOADING / n**0.5 * dense.norm(dim=0))
    gain, mixing = max(((_gain(columns, m), m) for m in (few, dense)), key=lambda pair: pair[0])
    # A gain that is not finite, for example of columns with ties, counts as no gain.
    return mixing / scale[:, None] if gain > 0 else None


def _gain(columns: Tensor, mixing: Tensor) -> float:
    """Return the gain in mean log-density due to components, minus the required gain."""
    by_components = log_density_of_components(columns, mixing)
    correlations = torch.corrcoef(gaussianize_ranks(columns).mT)
    by_copula = -0.5 * torch.linalg.slogdet(correlations)[1] - _entropies(columns).sum()
    loadings = (mixing != 0).sum(0)
    required = MIN_GAIN * (loadings > 1).sum() + loadings.sum() / len(columns)
    return float(by_components - by_copula - required)


def fast_ica(y: Tensor) -> Tensor:
    """Return the independent axes of whitened samples as an orthogonal matrix (d, d)."""
    d = y.shape[1]
    # The start is random, because axes at 45 degrees to the components are a fixed point.
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(d, d, generator=generator, dtype=torch.float64, device="cpu")
    axes: Tensor = torch.linalg.qr(start).Q.to(y)
    for _ in range(MAX_ITER):
        slope = torch.tanh(y @ axes)
        moved = y.mT @ slope / len(y) - axes * (1 - slope.square()).mean(0)
        left, _, right = torch.linalg.svd(moved)
        previous, axes = axes, left @ right
        if bool((1 - (axes * previous).sum(0).abs()).max() < TOLERANCE):
            break
    return axes


def refined_components(columns: Tensor, mixing: Tensor) -> Tensor:
    r"""Reduce the error of components whose densities have a peak, such as cubes of Gaussians.

    The components s of whitened ICA are uncorrelated in the sample, so their loadings have an error
    of at least about 1 / sqrt(n). This function maximises the likelihood of densities
    :math:`p_i(s) \propto (s^2 + h^2)^{-c_i/2}` without the constraint of zero correlation, for
    decreasing widths h. For densities with narrow peaks, the loadings then have a smaller error.
    The relative Newton step :math:`s_i \leftarrow s_i + \sum_j E_{ij} s_j` solves a problem of two
    unknowns for each pair [1]_:

    .. math:: E_{ij} = -\frac{a_{ji} G_{ij} - G_{ji}}{a_{ij} a_{ji} - 1}, \qquad
              G_{ij} = \mathbb{E}\, \psi_i(s_i) s_j, \quad
              a_{ij} = \mathbb{E}\, \psi_i'(s_i)\, \mathbb{E}\, s_j^2, \quad
              \psi_i(s) = \frac{c_i s}{s^2 + h^2} .

    The factor :math:`c_i` gives :math:`G_{ii} = 1`. A pair is unchanged if its Hessian is not
    positive definite, as for flat densities.

    Parameters
    ----------
    columns : tensor of shape (n, d)
        Columns of unit variance.
    mixing : tensor of shape (d, d)
        Matrix A of components :math:`z A`.

    Returns
    -------
    tensor of shape (d, d)
        Matrix with columns of unit norm. The widths decrease until the mean log-density decreases.

    References
    ----------
    .. [1] P. Ablin, J.-F. Cardoso, A. Gramfort, "Faster Independent Component Analysis by
       Preconditioning with Hessian Approximations", IEEE Transactions on Signal Processing 66,
       2018.
    """
    best, largest = mixing.clone(), log_density_of_components(columns, mixing)
    for width in WIDTHS:
        for _ in range(MAX_STEPS):
            s = columns @ mixing
            size = s.abs().mean(0)
            s, mixing = s / size, mixing / size
            square = s.square()
            peak = square + width**2
            factor = 1 / (square / peak).mean(0)
            slope = (factor * (width**2 - square) / peak.square()).mean(0)
            gradient = (factor * s / peak).mT @ s / len(s)
            curvature = torch.outer(slope, square.mean(0))
            both = curvature * curvature.mT
            convex = (curvature > 0) & (curvature.mT > 0) & (both > 1.1)
            step = (gradient.mT - curvature.mT * gradient) / (both - 1)
            step = torch.where(convex, step, 0.0).clamp(-LARGEST_STEP, LARGEST_STEP)
            mixing = mixing + mixing @ step.fill_diagonal_(0).mT
            if float(step.abs().max()) < 0.01 / len(s) ** 0.5:  # far below the sampling error
                break
        found = log_density_of_components(columns, mixing)
        if not found > largest:
            break
        best, largest = mixing, found
    best /= best.norm(dim=0)
    return best


def log_density_of_components(columns: Tensor, mixing: Tensor) -> Tensor:
    """Return the mean log-density of the columns if the components are independent."""
    volume: Tensor = torch.linalg.slogdet(mixing)[1]
    return volume - _entropies(columns @ mixing).sum()


def _entropies(z: Tensor) -> Tensor:
    """Return the differential entropy of each column from spacings of order sqrt(n)."""
    n = len(z)
    m = round(0.5 * n**0.5)
    ordered = z.sort(dim=0).values
    spacings = ordered[2 * m :] - ordered[: -2 * m]
    # Spacings are at least 1e-12, because ties have no density.
    return (spacings.clamp_min(1e-12) * n / (2 * m)).log().mean(0)
