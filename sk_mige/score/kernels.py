"""Squared distances, the Gaussian (RBF) kernel and its median bandwidth."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor

from .precision import full_precision

__all__ = ["squared_distances", "median_bandwidth", "rbf_kernel"]


@full_precision
def squared_distances(x: Tensor, y: Tensor | None = None) -> Tensor:
    r"""Compute squared Euclidean distances :math:`\|x_i - y_j\|^2`, shape ``(..., N, M)``.

    The formula is :math:`\|x\|^2 + \|y\|^2 - 2 x y^\top`, after the mean of y is subtracted from
    both sets. Distances do not change, and a far-away mean causes no cancellation. Without
    centring, float32 loses all digits when the mean is 4,000 standard deviations from 0.

    Parameters
    ----------
    x : Tensor of shape (..., N, d)
        Points.
    y : Tensor of shape (..., M, d), default=None
        Other points; ``x`` itself by default. The result is then symmetric, and its diagonal is
        exactly zero.

    Returns
    -------
    Tensor of shape (..., N, M)
        Squared distances, never negative; float32 for points in half precision.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import squared_distances
    >>> squared_distances(torch.tensor([[0.0], [3.0]]))
    tensor([[0., 9.],
            [9., 0.]])
    """
    other = x if y is None else y
    center = other.mean(dim=-2, keepdim=True)
    x = x - center
    if y is None:
        products = x @ x.mT
        x_norms = products.diagonal(dim1=-2, dim2=-1)
        sq = (x_norms.unsqueeze(-1) + x_norms.unsqueeze(-2)).sub_(products, alpha=2)
        sq = sq.clamp_min_(0)
        # Rounding leaves about 1e-7 of the norms on the diagonal, whose distances are 0.
        sq.diagonal(dim1=-2, dim2=-1).zero_()
        return sq
    y = y - center
    x_norms = x.square().sum(-1)
    y_norms = y.square().sum(-1)
    sq = (x_norms.unsqueeze(-1) + y_norms.unsqueeze(-2)).sub_(x @ y.mT, alpha=2)
    return sq.clamp_min_(0)


def median_bandwidth(sq: Tensor) -> Tensor:
    r"""Compute the median pairwise distance of distinct points, the kernel's :math:`\sigma`.

    Only pairs :math:`i \neq j` count. If duplicates make the median 0, the median of the
    *positive* distances is returned. If every distance is 0, as in a collapsed batch, the result
    is 1. The kernel is then constant instead of undefined.

    Parameters
    ----------
    sq : Tensor of shape (..., M, M)
        Squared distances of a set of points to itself.

    Returns
    -------
    Tensor of shape (...)
        One bandwidth for each set.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import median_bandwidth, squared_distances
    >>> median_bandwidth(squared_distances(torch.tensor([[0.0], [1.0], [3.0]])))
    tensor(2.)
    """
    m = sq.shape[-1]
    if m < 2:  # a single point has no pair
        return torch.ones(sq.shape[:-2], dtype=sq.dtype, device=sq.device)
    # Distances between equal rows are not 0 but rounding errors of squared norms. The median
    # squared norm of the centred rows is their scale, because outliers do not affect it.
    tolerance = 32 * torch.finfo(sq.dtype).eps
    rank = (m * (m - 1) // 2 - 1) // 2
    if is_readable(sq):
        # NumPy's partition is ten times faster than sorting and than torch's kthvalue.
        pairs = _each_pair(sq).numpy()
        pairs.partition(rank, axis=-1)
        median = pairs[..., rank]
        if (median > tolerance * pairs[..., rank:].max(-1)).all():  # no norm exceeds the largest
            return torch.as_tensor(median).sqrt()
    means = sq.mean(-1)
    norms = (means - means.mean(-1, keepdim=True) / 2).clamp_min(0)
    noise = tolerance * norms.sort(-1).values[..., (m - 1) // 2]
    # Sorting and indexing need no value on the host, so nothing waits for a GPU.
    rows, columns = torch.triu_indices(m, m, 1, device=sq.device)
    ordered = sq[..., rows, columns].sort(-1).values
    middle, n = ordered[..., rank], ordered.shape[-1]
    equal = torch.searchsorted(ordered, noise[..., None], right=True)
    between = (equal + (n - equal - 1).clamp_min(0) // 2).clamp_max(n - 1)
    distinct = torch.where(equal < n, ordered.gather(-1, between), 1.0)[..., 0]
    return torch.where(middle <= noise, distinct, middle).sqrt()


def _each_pair(sq: Tensor) -> Tensor:
    """Return a copy of the entries (..., M (M - 1) / 2) of pairs i < j of symmetric matrices.

    In memory, a diagonal entry is followed by the other entries of the same row, then by the first
    entries of the next row. Each diagonal entry contributes the M / 2 entries that follow. By
    symmetry, the first entries of a row are pairs whose i and j are far apart.
    """
    m, sq = sq.shape[-1], sq.contiguous()
    *leading, _, _ = sq.shape
    strides = (*sq.stride()[:-2], m + 1, 1)
    band = sq.as_strided((*leading, m - 1, m // 2), strides, sq.storage_offset() + 1)
    band = band.clone(memory_format=torch.contiguous_format).view(*leading, -1)
    return torch.cat([band, sq.diagonal((m + 1) // 2, -2, -1)], -1) if m % 2 else band


def rbf_kernel(sq: Tensor, bandwidth: Tensor | float) -> Tensor:
    r"""Compute the kernel :math:`k(x, y) = \exp(-\|x - y\|^2 / 2\sigma^2)` from squared distances.

    Parameters
    ----------
    sq : Tensor of shape (..., N, M)
        Squared distances.
    bandwidth : Tensor of shape (...) or float
        Kernel width :math:`\sigma`, in the units of the data.

    Returns
    -------
    Tensor of shape (..., N, M)
        Kernel values in (0, 1].

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import rbf_kernel
    >>> rbf_kernel(torch.tensor([[0.0]]), 1.0)
    tensor([[1.]])
    """
    sigma = torch.as_tensor(bandwidth, dtype=sq.dtype, device=sq.device)
    return (sq / (-2 * sigma.square())[..., None, None]).exp_()


def is_readable(values: Tensor) -> bool:
    """Return whether NumPy can read the values, which excludes GPUs and tracing by torch."""
    if values.device.type != "cpu" or values.requires_grad or values.element_size() < 4:
        return False
    return not (torch.compiler.is_compiling() or is_functorch_wrapped_tensor(values))
