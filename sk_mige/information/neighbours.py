"""Nearest-neighbour estimates of mutual information and of intrinsic dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import digamma
from torch import Tensor

from sk_mige._arrays import check_finite, check_tensor
from sk_mige._sizes import as_size
from sk_mige.information._samples import check_pair, check_same_length
from sk_mige.information.references import Reference

Rows = NDArray[np.float64]
# The intrinsic dimension is estimated at fewer than 2 MAX_CENTRES rows.
MAX_CENTRES = 2000


def ksg_terms(x: Tensor, y: Tensor, n_neighbors: int = 5) -> Tensor:
    r"""Terms of the KSG estimator of Kraskov, Stögbauer and Grassberger, one per row.

    The estimate of I(x; y) is the mean of

    .. math:: \psi(k) + \psi(n) - \psi(n_x + 1) - \psi(n_y + 1).

    Let r be the distance from a row to its k-th nearest neighbour in (x, y), in the maximum norm.
    The counts :math:`n_x` and :math:`n_y` are the numbers of other rows nearer than r in x and in
    y.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Rows of x.
    y : tensor of shape (n, q)
        Rows of y.
    n_neighbors : int, default=5
        Number of neighbours k.

    Returns
    -------
    tensor of shape (n,)

    References
    ----------
    A. Kraskov, H. Stögbauer, P. Grassberger, "Estimating mutual information", Physical Review E
    69, 2004.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import ksg_terms
    >>> x, noise = torch.randn(2, 1000, 1, generator=torch.Generator().manual_seed(0)).double()
    >>> bool(abs(ksg_terms(x, 0.8 * x + 0.6 * noise).mean() - 0.51) < 0.08)
    True
    """
    left, right = _array("x", x), _array("y", y)
    check_same_length({"x": left, "y": right})
    _check_neighbours(n_neighbors, len(left))
    joint = cKDTree(np.hstack([left, right]))
    distances, _ = joint.query(joint.data, k=n_neighbors + 1, p=np.inf)
    # Use a radius just below the distance, to count strictly nearer rows only.
    radius = np.nextafter(distances[:, -1], 0)
    counts = [_within(_margin(z), z, radius) for z in (left, right)]
    terms = digamma(n_neighbors) + digamma(len(left)) - sum(digamma(count) for count in counts)
    return torch.from_numpy(terms)


class NeighbourReference(Reference):
    """Pointwise information of new rows from counts of neighbours among the training rows.

    The estimate of the density ratio p(x, y) / (p(x) p(y)) is k n / (n_x n_y). Let r be the
    distance to the k-th nearest training pair. The counts n_x and n_y are the numbers of training
    rows within the distance r in x and in y. A large k reduces the variance of each row's estimate.
    For the mean over rows, :func:`ksg_terms` with a small k has a smaller bias.

    Parameters
    ----------
    n_neighbors : int, default=30
        Number of neighbours k.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import NeighbourReference
    >>> x, noise = torch.randn(2, 2000, 1, generator=torch.Generator().manual_seed(0)).double()
    >>> y = 0.8 * x + 0.6 * noise
    >>> fitted = NeighbourReference().fit(x[:1000], y[:1000])
    >>> bool(abs(fitted.pointwise(x[1000:], y[1000:]).mean() - 0.51) < 0.1)
    True
    """

    memorises = True

    def __init__(self, n_neighbors: int = 30) -> None:
        self.n_neighbors = n_neighbors

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Store the rows in search trees.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Rows of x.
        y : tensor of shape (n, q)
            Rows of y.

        Returns
        -------
        self : NeighbourReference
            The fitted reference.
        """
        check_pair(x, y)
        self.x_, self.y_ = x, y
        self._build()
        return self

    def pointwise(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the pointwise information of rows.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Rows of x.
        y : tensor of shape (n, q)
            Rows of y.

        Returns
        -------
        tensor of shape (n,)
        """
        left, right = x.detach().numpy(), y.detach().numpy()
        k, n = min(self.n_neighbors, self._joint.n), self._joint.n
        distances, _ = self._joint.query(np.hstack([left, right]), k=[k], p=np.inf)
        radius = distances[:, 0]
        counts = [
            _within(margin, z, radius)
            for margin, z in zip(self._margins, (left, right), strict=True)
        ]
        terms = math.log(k) + math.log(n) - sum(np.log(np.maximum(count, 1)) for count in counts)
        return torch.from_numpy(terms)

    def shuffled(self, x: Tensor, y: Tensor, shifts: Sequence[int]) -> Tensor:
        """Return the pointwise information for each cyclic shift of y's rows, (n_shifts, n)."""
        return torch.stack([self.pointwise(x, y.roll(shift, 0)) for shift in shifts])

    def _build(self) -> None:
        left, right = self.x_.detach().numpy(), self.y_.detach().numpy()
        self._joint = cKDTree(np.hstack([left, right]))
        self._margins = (_margin(left), _margin(right))

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes without the search trees."""
        state = super().__getstate__()
        return {name: state[name] for name in ("n_neighbors", "x_", "y_") if name in state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the rows and build the trees."""
        super().__setstate__(state)
        if "x_" in state:
            self._build()


def local_dimension(z: Tensor, n_neighbors: int = 10) -> float:
    """Maximum-likelihood estimate of the intrinsic dimension of the data [1]_.

    Copies of a row are counted once. With 4,000 distinct rows or more, the dimension is estimated
    at 2,000 to 3,000 rows, with neighbours among all rows.

    Parameters
    ----------
    z : tensor of shape (n, d)
        Rows.
    n_neighbors : int, default=10
        Number of neighbours per row.

    Returns
    -------
    float

    References
    ----------
    .. [1] E. Levina, P. Bickel, "Maximum Likelihood Estimation of Intrinsic Dimension", NIPS 2004.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import local_dimension
    >>> angle = torch.rand(1000, generator=torch.Generator().manual_seed(0)).double() * 6.28
    >>> round(local_dimension(torch.stack([angle.cos(), angle.sin()], dim=1)))
    1
    """
    rows = _array("z", z)
    rows = rows[np.sort(np.unique(rows, axis=0, return_index=True)[1])]
    _check_neighbours(n_neighbors, len(rows), "distinct rows")
    some = rows[:: max(1, len(rows) // MAX_CENTRES)]
    distances, _ = cKDTree(rows).query(some, k=n_neighbors + 1)
    distances = np.maximum(distances[:, 1:], 1e-300)
    logs = np.log(distances[:, -1:] / distances[:, :-1])
    return float((n_neighbors - 2) / max(logs.sum(1).mean(), 1e-300))


def _array(name: str, z: Any) -> Rows:
    """Return a tensor of finite rows as a float64 array."""
    rows: Rows = check_finite(name, check_tensor(name, z)).detach().cpu().double().numpy()
    return rows


def _check_neighbours(n_neighbors: Any, n: int, kind: str = "rows") -> None:
    if as_size("n_neighbors", n_neighbors) >= n:
        raise ValueError(f"n_neighbors={n_neighbors} must be below {n}, the number of {kind}")


def _margin(z: Rows) -> cKDTree | Rows:
    """Return a search tree for counts of rows, or the sorted values of a single column."""
    if z.shape[1] == 1:  # in float64, as in the tree of the pairs, which gives the radius
        return np.sort(z[:, 0].astype(np.float64))
    # Large leaves are faster, because most counted rows are in leaves at the edge of the ball.
    return cKDTree(z, leafsize=64)


def _within(margin: cKDTree | Rows, z: Rows, radius: Rows) -> NDArray[np.int64]:
    """Count the stored rows within each row's radius, in the maximum norm."""
    if isinstance(margin, cKDTree):
        return margin.query_ball_point(z, radius, p=np.inf, return_length=True)
    below = np.nextafter(-radius, -np.inf)
    return _places(margin, z[:, 0], radius) - _places(margin, z[:, 0], below)


def _places(ordered: Rows, z: Rows, bound: Rows) -> NDArray[np.int64]:
    """Return the number of sorted values v with v - z ≤ bound, for each z.

    The rounded differences increase with v. Bisection of the differences therefore gives the same
    counts as a search tree. A search for the rounded sum of z and the bound gives other counts.
    """
    n = len(ordered)
    places = np.zeros(len(z), dtype=np.int64)
    for bit in reversed(range(n.bit_length())):
        trial = places + (1 << bit)
        inside = (trial <= n) & (ordered[np.minimum(trial, n) - 1] - z <= bound)
        places = np.where(inside, trial, places)
    return places
