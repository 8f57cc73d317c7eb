"""Nearly exact linear relations between two variables, and the residuals of the relations."""

from __future__ import annotations

import torch
from torch import Tensor

from sk_mige.information.axes import independent_columns
from sk_mige.information.margins import gaussianize_ranks
from sk_mige.information.references import ArrayState, MixtureReference, log_normal
from sk_mige.score.units import feature_units

# A relation is strong if the noise has less than this share of the variance.
STRONG = 0.01
# Residuals up to this multiple of the rounding errors of the terms count as rounding errors.
ROUNDINGS = 16.0
# Values farther from the median than this multiple of the median distance are outlying.
OUTLYING = 20.0
# Largest difference in nats between the changes of an entropy by narrow and by wide windows. Gaps
# between clusters cause larger differences.
GAP = 0.05


class LinearResiduals(ArrayState):
    r"""Residuals of linear combinations of y that are nearly linear functions of x.

    Let :math:`a = y V` be the combinations and :math:`r = a - x W` the residuals. Let s be the
    columns of y that complete a to a basis. For every W,

    .. math:: I(x; y) = H(a, s) - H(r, s) + I(x; (r, s)) .

    The ranks of r resolve small noise, but the ranks of a do not. The entropies of single columns
    are estimated from spacings of sorted values. A Gaussian copula or a mixture describes
    the dependence between columns.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Rows of x.
    y : tensor of shape (n, q)
        Rows of y.

    Attributes
    ----------
    is_strong : bool
        Whether the noise of a relation is below 1 % of the variance, and below the noise in a
        regression of normal scores. If values of columns are on a grid, the noise must also be much
        larger than the grid step. Narrow and wide windows must give similar changes of the
        entropies.
    is_exact : bool
        Whether a relation has no noise except rounding errors, so that the information is infinite.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.residuals import LinearResiduals
    >>> x = torch.rand(500, 2, generator=torch.Generator().manual_seed(0)).double()
    >>> LinearResiduals(x, x.sum(1, keepdim=True)).is_exact
    True
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x_scale, self.y_scale = (feature_units(z).scale for z in (x, y))
        self.x_mean, self.y_mean = (x / self.x_scale).mean(0), (y / self.y_scale).mean(0)
        self.is_exact = self.is_strong = False
        self.exact_x, self.exact_y = (z.new_zeros(z.shape[1], 0) for z in (x, y))
        left, right = self._centred(x, y)
        if len(x) <= x.shape[1] + y.shape[1]:  # every regression is exact
            return
        kept = independent_columns(right)
        basis, factor = torch.linalg.qr(right[:, kept])
        other = torch.linalg.qr(left[:, independent_columns(left)])[0]
        axes, correlations, _ = torch.linalg.svd(basis.mT @ other, full_matrices=False)
        axes = axes[:, correlations.square() > 1 - STRONG]
        if not axes.shape[1]:
            return
        combinations = right.new_zeros(right.shape[1], axes.shape[1])
        combinations[kept] = torch.linalg.solve_triangular(factor, axes, upper=True)
        a = right @ combinations
        weights = torch.linalg.lstsq(left, a, driver="gelsd").solution
        r = a - left @ weights
        size = (y / self.y_scale).abs() @ combinations.abs()
        size += (x / self.x_scale).abs() @ weights.abs()
        rounded = r.abs() <= ROUNDINGS * rounding_error(x, y) * size
        exact = rounded.double().mean(0) > 0.5
        self.is_exact = bool(exact.any())
        self.exact_x, self.exact_y = weights[:, exact], combinations[:, exact]
        # Medians are used, because with means a few outliers can make every relation strong.
        noise = (_deviation(r) / _deviation(a)).square()
        chosen = noise < _noise_of_scores(left, a).clamp_max(STRONG)
        # Spacings do not describe values on a grid with steps wider than a spacing.
        spacing = 4 * _deviation(r) / len(y) ** 0.5
        for columns, factors in ((left, weights), (right, combinations)):
            chosen &= ((factors.abs() * _steps(columns)[:, None]) <= spacing).all(0)
        chosen &= _agree(a, r)
        self.is_strong = bool(chosen.any())
        if self.is_strong:
            self.combinations, self.weights = combinations[:, chosen], weights[:, chosen]

    def fit_entropies(self, x: Tensor, y: Tensor) -> None:
        """Choose the columns s, and estimate the entropies of (a, s) and (r, s)."""
        if not self.is_strong:
            return
        a, r, right = self._relations(x, y)
        k = a.shape[1]
        self.rest = [c - k for c in independent_columns(torch.cat([a, right], dim=1)) if c >= k]
        self.sorted_a, self.sorted_r = (z.sort(0).values for z in (a, r))
        pairs = (torch.cat([z, right[:, self.rest]], dim=1) for z in (a, r))
        (before, self.excess), (after, _) = map(copula_entropy, pairs)
        self.shift = before - after

    def transform(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the columns (r, s), and log p(r, s) - log p(a, s) for each row."""
        a, r, right = self._relations(x, y)
        difference = log_margins(r, self.sorted_r) - log_margins(a, self.sorted_a)
        return torch.cat([r, right[:, self.rest]], dim=1), difference + self.shift

    def _relations(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the combinations a, the residuals r, and y in units of its columns."""
        left, right = self._centred(x, y)
        a = right @ self.combinations
        return a, a - left @ self.weights, right

    def exact_values(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """Return the values of exact relations as combinations of x and of y, to 8 decimals."""
        left, right = self._centred(x, y)
        pair = left @ self.exact_x, right @ self.exact_y
        return [z.round(decimals=8) + 0.0 for z in pair]  # without negative zeros

    def _centred(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x / self.x_scale - self.x_mean, y / self.y_scale - self.y_mean


def _deviation(z: Tensor) -> Tensor:
    """Return the median absolute deviation of each column."""
    return (z - z.median(0).values).abs().median(0).values


def _steps(z: Tensor) -> Tensor:
    """Return the grid step of each column, or 0 if the values are not on a grid.

    Values are on a grid if fewer than half of the values are distinct. Values are also on a grid if
    all distances between successive values are multiples of one unit. The unit is the smallest
    distance, or a half or a third of the smallest distance.
    """
    steps = z.new_zeros(z.shape[1])
    for k, column in enumerate(z.mT):
        gaps = column.unique().diff()
        if 0 < len(gaps) < len(z) / 2 - 1:
            steps[k] = gaps.median()
        elif len(gaps) > 1:
            for unit in (gaps.min() / part for part in (1, 2, 3)):
                multiples = gaps / unit
                if bool((multiples - multiples.round()).abs().max() < 1e-3):
                    steps[k] = unit
                    break
    return steps


def _noise_of_scores(x: Tensor, a: Tensor) -> Tensor:
    """Return the unexplained fraction of the variance in a linear regression of normal scores."""
    left, right = (gaussianize_ranks(z) for z in (x, a))
    left = left[:, independent_columns(left)]
    residuals = right - left @ torch.linalg.lstsq(left, right).solution
    return residuals.square().mean(0) / right.square().mean(0)


def copula_entropy(z: Tensor) -> tuple[float, float]:
    """Return the entropy of the columns' copula, and the excess of the next best model.

    The models are a Gaussian copula, and Gaussian mixtures of normal scores and of columns. The
    model with the smallest held-out cross-entropy is used. The entropy of a mixture is the mean of
    the in-sample and the held-out cross-entropy. The excess is the held-out cross-entropy of the
    next best model minus the entropy.
    """
    scores, columns = gaussianize_ranks(z), (z - z.mean(0)) / z.std(0)
    gaussian = 0.5 * float(torch.logdet(torch.corrcoef(scores.mT).reshape(z.shape[1], -1)))
    if z.shape[1] == 1 or len(z) < 20 * z.shape[1]:
        return gaussian, 0.0
    found = [(gaussian, gaussian)]
    margins = log_normal(scores, 0.0), log_margins(columns, columns.sort(0).values)
    for known, marginal in zip((scores, columns), margins, strict=True):
        halves = [(half[:, :1], half[:, 1:]) for half in (known[::2], known[1::2])]
        models = [MixtureReference().fit(*half) for half in halves]
        inside, outside = (
            marginal.mean() - torch.cat([m.log_density(*rows) for m, rows in pairs]).mean()
            for pairs in (zip(models, halves, strict=True), zip(models[::-1], halves, strict=True))
        )
        found.append((float(outside), float(inside + outside) / 2))
    best, second, _ = sorted(found)
    return best[1], second[0] - best[1]


def _agree(a: Tensor, r: Tensor) -> Tensor:
    """Return whether narrow and wide windows of spacings give the same change in entropy."""
    agree = torch.zeros(a.shape[1], dtype=torch.bool)
    for k, (before, after) in enumerate(zip(a.mT[:, :, None], r.mT[:, :, None], strict=True)):
        narrow, wide = (_entropy(before, m) - _entropy(after, m) for m in (2, None))
        agree[k] = abs(narrow - wide) < GAP + 3 / len(a) ** 0.5
    return agree


def _entropy(z: Tensor, m: int | None) -> float:
    """Return the entropy of one column from windows of m spacings on each side."""
    return -float(log_margins(z, z.sort(0).values, m).mean())


def rounding_error(x: Tensor, y: Tensor) -> float:
    """Return the relative rounding error of float32 if a variable has float32 values, else float64.

    Integers are exact, so they do not count as float32 values.
    """
    of_float32 = any(bool((z == z.float()).all() and (z % 1 != 0).any()) for z in (x, y))
    return torch.finfo(torch.float32 if of_float32 else torch.float64).eps


def places_among(z: Tensor, ordered: Tensor) -> Tensor:
    """Return the number of smaller values in the sorted column for each value of z, (d, m)."""
    return torch.searchsorted(ordered.mT.contiguous(), z.mT.contiguous())


def log_margins(
    z: Tensor, ordered: Tensor, m: int | None = None, places: Tensor | None = None
) -> Tensor:
    """Return the sum of the log-densities of the columns, from spacings of sorted columns.

    Beyond the smallest and the largest sorted value, the density decays like the inverse square of
    the distance. The mass on each side is 1 / n. Spacings of outlying values are on a logarithmic
    scale. On a linear scale, the density at the end of a heavy tail varies much within a window of
    spacings.

    Parameters
    ----------
    z : tensor of shape (m, d)
        Rows.
    ordered : tensor of shape (n, d)
        Sorted columns of the training rows.
    m : int, default=None
        Number of spacings on each side of a value. None means half the square root of n.
    places : tensor of shape (d, m), default=None
        Result of :func:`places_among`, to save its computation.

    Returns
    -------
    tensor of shape (m,)
    """
    n = len(ordered)
    m = m or max(1, round(0.5 * n**0.5))
    total = z.new_zeros(len(z))
    places = places_among(z, ordered) if places is None else places
    for column, known, place in zip(
        z.mT.contiguous(), ordered.mT.contiguous(), places, strict=True
    ):
        limit = outlying_distance(known - known[n // 2])
        (column, slope), (known, _) = (_shortened(v, known[n // 2], limit) for v in (column, known))
        # Beyond the last value, the window contains at least one spacing.
        low, high = (place - m).clamp(0, n - 2), (place + m).clamp(0, n - 1)
        width = (known[high] - known[low]).clamp_min(1e-300)
        density = (high - low) / (n * width)
        outside = (column - column.clamp(known[0], known[-1])).abs()
        total += density.log() - 2 * torch.log1p(n * density * outside) + slope
    return total


def outlying_distance(differences: Tensor) -> Tensor:
    """Return the smallest distance of outlying values, infinite if half of the values are equal."""
    middle = differences.abs().median()
    return torch.where(middle > 0, OUTLYING * middle, torch.inf)


def _shortened(z: Tensor, centre: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
    """Replace distances above the limit by their logarithms, and return the log-slope."""
    distance = (z - centre).abs()
    log_ratio = torch.log(distance.clamp_min(limit) / limit)
    far = distance > limit
    short = centre + (z - centre).sign() * limit * (1 + log_ratio)
    return torch.where(far, short, z), torch.where(far, -log_ratio, 0.0)
