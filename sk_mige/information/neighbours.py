"""Nearest-neighbour estimates of information and of dimension, for few dimensions."""

from __future__ import annotations

import math
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import digamma
from torch import Tensor

__all__ = ["NeighbourReference", "ksg_terms", "local_dimension"]

Rows = NDArray[np.float64]


def ksg_terms(x: Tensor, y: Tensor, n_neighbors: int = 5) -> Tensor:
    r"""Terms of the first estimator of Kraskov, Stögbauer and Grassberger; their mean is I(x; y).

    .. math:: \psi(k) + \psi(n) - \psi(n_x + 1) - \psi(n_y + 1)

    Here :math:`n_x, n_y` count the rows nearer in x and in y than the k-th neighbour of the pair.

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
    left, right = x.numpy(), y.numpy()
    joint = cKDTree(np.hstack([left, right]))
    distances, _ = joint.query(joint.data, k=n_neighbors + 1, p=np.inf)
    # Strictly nearer: a radius just below the distance.
    radius = np.nextafter(distances[:, -1], 0)
    counts = [_within(_Margin(z), z, radius) for z in (left, right)]
    terms = digamma(n_neighbors) + digamma(len(left)) - sum(digamma(count) for count in counts)
    return torch.from_numpy(np.asarray(terms))


class NeighbourReference:
    """Pointwise information at new rows, by counts of neighbours among the fitted rows.

    The density ratio is that of counts within the distance of the k-th nearest pair. A large k
    keeps its noise small; :func:`ksg_terms` with a small k has the smaller bias on average.

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
        left, right = x.numpy(), y.numpy()
        self.joint_ = cKDTree(np.hstack([left, right]))
        self.margins_ = (_Margin(left), _Margin(right))
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
        left, right = x.numpy(), y.numpy()
        k, n = min(self.n_neighbors, self.joint_.n), self.joint_.n
        distances, _ = self.joint_.query(np.hstack([left, right]), k=[k], p=np.inf)
        radius = distances[:, 0]
        counts = [
            _within(margin, z, radius)
            for margin, z in zip(self.margins_, (left, right), strict=True)
        ]
        terms = math.log(k) + math.log(n) - sum(np.log(np.maximum(count, 1)) for count in counts)
        return torch.from_numpy(np.asarray(terms))


def local_dimension(z: Tensor, n_neighbors: int = 10) -> float:
    """Maximum-likelihood dimension of the data near their points, by Levina and Bickel.

    Parameters
    ----------
    z : tensor of shape (n, d)
        Rows.
    n_neighbors : int, default=10
        Neighbours of a row.

    Returns
    -------
    float

    References
    ----------
    E. Levina, P. Bickel, "Maximum Likelihood Estimation of Intrinsic Dimension", NIPS 2004.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import local_dimension
    >>> angle = torch.rand(1000, generator=torch.Generator().manual_seed(0)).double() * 6.28
    >>> round(local_dimension(torch.stack([angle.cos(), angle.sin()], dim=1)))
    1
    """
    rows = z.numpy()
    distances, _ = cKDTree(rows).query(rows, k=n_neighbors + 1)
    distances = np.maximum(distances[:, 1:], 1e-300)
    logs = np.log(distances[:, -1:] / distances[:, :-1])
    return float((n_neighbors - 2) / max(logs.sum(1).mean(), 1e-300))


class _Margin:
    """Counts of rows within a distance: by sorting in one dimension, else by a tree."""

    def __init__(self, z: Rows) -> None:
        self.sorted = np.sort(z[:, 0])
        self.tree = None if z.shape[1] == 1 else cKDTree(z)


def _within(margin: _Margin, z: Rows, radius: Rows) -> NDArray[np.int64]:
    """Count the stored rows within the radius of each row, in the maximum norm."""
    if margin.tree is not None:
        counts = margin.tree.query_ball_point(z, radius, p=np.inf, return_length=True)
        return np.asarray(counts)
    low = np.searchsorted(margin.sorted, z[:, 0] - radius, side="left")
    high = np.searchsorted(margin.sorted, z[:, 0] + radius, side="right")
    return np.asarray(high - low)
