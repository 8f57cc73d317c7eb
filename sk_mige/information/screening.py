"""Columns of two variables whose dependence differs from that of a Gaussian copula."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from scipy.spatial import KDTree
from torch import Tensor

from sk_mige.information.additive import AdditiveReference
from sk_mige.information.margins import gaussianize_ranks
from sk_mige.information.references import ArrayState, Reference

# Largest numbers of rows, of columns of a variable, and of products of columns.
MAX_ROWS, MAX_COLUMNS, MAX_PRODUCTS = 5000, 4, 1e10
# Frequencies of the cosines of the ranks.
N_COSINES = 12
# Correlations are significant if they exceed the largest of m correlations of independent columns
# by this many standard errors.
MARGIN = 2.0


def related_columns(x: Tensor, y: Tensor, seed: int = 0) -> tuple[list[int], list[int]] | None:
    r"""Return the columns with significant relations other than linear relations.

    Let e be the residuals of a linear regression of y on x. For a Gaussian copula, e is independent
    of x. The columns of e and their squares are correlated with cosines of the ranks of x, and with
    products of two columns of x. The test is repeated with x and y exchanged. With m
    correlations, a correlation is significant if it exceeds :math:`(\sqrt{2 \log m} + 2) /
    \sqrt{n}`.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Normal scores of x.
    y : tensor of shape (n, q)
        Normal scores of y.
    seed : int, default=0
        Seed for the choice of at most 5,000 rows.

    Returns
    -------
    tuple of two lists of int, or None
        At most four columns of x and four columns of y, those with the largest correlations. The
        result is None if no correlation is significant.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import gaussianize_ranks
    >>> from sk_mige.information.screening import related_columns
    >>> x, noise = torch.randn(2, 1000, 50, generator=torch.Generator().manual_seed(0)).double()
    >>> related_columns(x, gaussianize_ranks(x[:, 3:4].square() + noise[:, :1]))
    ([3], [0])
    """
    rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:MAX_ROWS]
    x, y = x[rows], y[rows]
    of_x, of_y = _excesses(x, y)
    also_y, also_x = _excesses(y, x)
    found = [_largest(torch.maximum(*pair)) for pair in ((of_x, also_x), (of_y, also_y))]
    return (found[0], found[1]) if all(found) else None


def columns_of_labels(x: Tensor, indicators: Tensor, seed: int = 0) -> list[int]:
    """Return the columns with significant relations with labels.

    The indicators are correlated with cosines of the ranks of x, and with products of two columns
    of x. The limits are those of :func:`related_columns`.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Normal scores of x. No column is constant.
    indicators : tensor of shape (n, n_classes)
        One column per class, 1 for the rows of the class and 0 for other rows.
    seed : int, default=0
        Seed for the choice of at most 5,000 rows.

    Returns
    -------
    list of int
        At most four columns, those with the largest correlations.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.screening import columns_of_labels
    >>> x = torch.randn(1000, 50, generator=torch.Generator().manual_seed(0)).double()
    >>> is_positive = (x[:, 3:4] * x[:, 7:8] > 0).double()
    >>> columns_of_labels(x, is_positive)
    [3, 7]
    """
    rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:MAX_ROWS]
    return _largest(_excesses_of_targets(_standardised(x[rows]), indicators[rows].to(x))[0])


class ColumnsReference(ArrayState):
    """Model of the pointwise information of a few columns of x and y.

    Parameters
    ----------
    model : Reference
        Fitted model of the columns.
    of_x : list of int
        Columns of x.
    of_y : list of int
        Columns of y.
    """

    def __init__(self, model: Reference, of_x: list[int], of_y: list[int]) -> None:
        self.model, self.of_x, self.of_y = model, of_x, of_y

    def pointwise(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the pointwise information of the rows, (n,)."""
        return self.model.pointwise(x[:, self.of_x], y[:, self.of_y])

    def residuals(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the regressors and the residuals of a model with a regression."""
        assert isinstance(self.model, AdditiveReference)
        return self.model.residuals(x[:, self.of_x], y[:, self.of_y])


def detectable_information(n: int, p: int, q: int) -> float:
    """Return the information in nats of the smallest significant correlation."""
    tests = 2 * (N_COSINES + max(p, q)) * p * q
    squared = (math.sqrt(2 * math.log(tests)) + MARGIN) ** 2 / min(n, MAX_ROWS)
    return -0.5 * math.log1p(-min(squared, 0.99))


def least_information(x: Tensor, y: Tensor) -> float:
    r"""Lower bound on I(x; y) from rows that are neighbours in a column, or in a few columns.

    Let e be the residual of a linear regression of a column of y on x. The residual has the
    fraction :math:`1 - R^2` of the variance of the column. For rows sorted by a column of x, let c
    be the correlation between normal scores of e in successive rows. If x has two to four columns,
    nearest neighbours in all columns are a further set of pairs. For independent rows, c estimates
    at most the variance of the conditional mean of the scores given x. For a given variance, the
    Gaussian has the largest entropy, so

    .. math:: I(x; y) \ge h(y) - h(e) + I(x; e)
              \ge -\tfrac{1}{2} \log(1 - R^2) - \tfrac{1}{2} \log(1 - c) .

    The result is the largest bound for all columns and sets of pairs, for e and for y, and for x
    and y exchanged. The largest of m correlations of independent columns is subtracted from c, and
    two standard errors are subtracted from the first term.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Normal scores of x, without copies of rows.
    y : tensor of shape (n, q)
        Normal scores of y.

    Returns
    -------
    float
        Lower bound in nats, at least 0. With n ≤ 3 p or n ≤ 3 q, the result is 0.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import gaussianize_ranks
    >>> from sk_mige.information.screening import least_information
    >>> x = torch.randn(1000, 1, generator=torch.Generator().manual_seed(0)).double()
    >>> least_information(x, gaussianize_ranks((30 * x).sin())) > 0.5
    True
    """
    n, m = len(x), 4 * x.shape[1] * y.shape[1]
    if n * m > MAX_PRODUCTS or n <= 3 * max(x.shape[1], y.shape[1]):
        return 0.0
    return max(0.0, *(float(least_of_columns(*pair, m).max()) for pair in ((x, y), (y, x))))


def least_of_columns(x: Tensor, y: Tensor, n_tests: int) -> Tensor:
    """Return the bounds of :func:`least_information` for each column of y, (q,).

    Parameters
    ----------
    x : tensor of shape (n, p)
        Normal scores of x, with n > p.
    y : tensor of shape (n, q)
        Normal scores of y.
    n_tests : int
        Number m of correlations, which determines the limit of significance.

    Returns
    -------
    tensor of shape (q,)
        Lower bounds in nats of the information about each column of y, at least 0.
    """
    (n, p), limit = x.shape, _limit(n_tests)
    e = y - x @ torch.linalg.lstsq(x, y).solution
    unexplained = e.square().mean(0) * n / (n - p) / y.square().mean(0)
    linear = (-0.5 * unexplained.clamp(1e-12, 1).log() - 2 / math.sqrt(n)).clamp_min(0)
    targets = torch.cat([y, gaussianize_ranks(e)], dim=1)
    found = []
    for first, second, n_pairs in _neighbouring_rows(x):
        share = (targets[first] * targets[second]).mean(0) - limit / math.sqrt(n_pairs)
        of_y, of_e = (-0.5 * (-share.clamp(0, 1 - 1 / n)).log1p()).chunk(2)
        found += [of_y, (linear + of_e) * (of_e > 0)]
    return torch.stack(found).amax(0)


def _neighbouring_rows(x: Tensor) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Yield the indices of neighbouring rows as two tensors, and the number of different pairs.

    Neighbours are found in each column, and in all columns if there are two to four. For neighbours
    in all columns, each row is the first row of one pair, so that rows far from the others have no
    larger weight. Each pair occurs at most twice.
    """
    n, p = x.shape
    # Neighbours among equal rows are random, because the rows may be sorted by y.
    generator = torch.Generator().manual_seed(0)
    x = x + 1e-9 * torch.randn(n, p, generator=generator, dtype=x.dtype, device="cpu")
    for column in x.mT:
        order = column.argsort()
        yield order[1:], order[:-1], n
    if 1 < p <= MAX_COLUMNS:
        nearest = KDTree(x.numpy()).query(x.numpy(), k=2)[1]
        yield torch.arange(n, device="cpu"), torch.from_numpy(nearest[:, 1]), n / 2


def _largest(excess: Tensor) -> list[int]:
    order = excess.argsort(descending=True)[:MAX_COLUMNS]
    return sorted(order[excess[order] > 0].tolist())


def _excesses(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the excess of the largest correlation of each column over the limit, times sqrt(n)."""
    n, p = x.shape
    residuals = y - x @ torch.linalg.lstsq(x, y).solution if n > 3 * p else y
    e = gaussianize_ranks(residuals)
    of_x, of_targets = _excesses_of_targets(x, torch.cat([e, e.square()], dim=1))
    return of_x, torch.maximum(*of_targets.chunk(2))


def _excesses_of_targets(x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the excesses for cosines and products of columns of x, and for targets."""
    (n, p), targets = x.shape, _standardised(targets)
    angles = math.pi * torch.special.ndtr(x)
    waves = [
        (_standardised((k * angles).cos()).mT @ targets / math.sqrt(n)).abs()
        for k in range(1, N_COSINES + 1)
    ]
    correlations = torch.stack(waves).amax(0) - _limit(N_COSINES * p * targets.shape[1])
    of_x, of_targets = correlations.amax(1), correlations.amax(0)
    used = targets.shape[1] if targets.shape[1] * n * p**2 < MAX_PRODUCTS else 0
    if used:
        squares = x.square()
        variances = squares.mT @ squares - (x.mT @ x).square() / n
        scale = variances.clamp_min(1e-12 * n).sqrt()
    for k in range(used):
        products = ((x * targets[:, k : k + 1]).mT @ x / scale).abs() - _limit(p**2 * used)
        of_x = torch.maximum(of_x, products.amax(0))
        of_targets[k] = torch.maximum(of_targets[k], products.max())
    return of_x, of_targets


def _standardised(z: Tensor) -> Tensor:
    return (z - z.mean(0)) / z.std(0).clamp_min(1e-6)


def _limit(m: int) -> float:
    """Return the smallest significant value among m correlations, times sqrt(n)."""
    return math.sqrt(2 * math.log(m)) + MARGIN
