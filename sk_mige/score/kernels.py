"""Squared distances, radial kernels with their derivatives, and the median bandwidth."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sk_mige._arrays import check_real
from sk_mige._contexts import is_readable
from sk_mige._sizes import as_number
from sk_mige._warnings import warn_user

from .precision import full_precision

# Number of rows whose nearest neighbours are found.
NEIGHBOURS = 1_000


@full_precision
def squared_distances(x: Tensor, y: Tensor | None = None) -> Tensor:
    r"""Compute squared Euclidean distances :math:`\|x_i - y_j\|^2`, shape ``(..., N, M)``.

    The formula is :math:`\|x\|^2 + \|y\|^2 - 2 x y^\top`, after the mean of y is subtracted from x
    and y. Centring does not change the distances and avoids cancellation. Without centring, float32
    loses all digits if the mean is 4,000 standard deviations from 0.

    Parameters
    ----------
    x : Tensor of shape (..., N, d)
        Points.
    y : Tensor of shape (..., M, d), default=None
        Other points. If None, the distances between the rows of ``x`` are computed, with an exactly
        zero diagonal.

    Returns
    -------
    Tensor of shape (..., N, M)
        Squared distances, at least 0. Half-precision points give float32 distances.

    Raises
    ------
    ValueError
        If the squared distances exceed the range of the dtype. Values on a GPU are not checked.

    Warns
    -----
    UserWarning
        If rows differ, but the squared distances vanish in the dtype.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import squared_distances
    >>> squared_distances(torch.tensor([[0.0], [3.0]]))
    tensor([[0., 9.],
            [9., 0.]])
    """
    for name, points in {"x": x, "y": x if y is None else y}.items():
        check_real(name, points, readable=False)
    sq, norms = squares_and_norms(x, y)
    if is_readable(sq) and sq.numel():
        largest = norms[0].amax(-1) if y is None else torch.maximum(*(n.amax(-1) for n in norms))
        _check_range(x, x if y is None else y, largest)
    return sq


def squares_and_norms(x: Tensor, y: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return squared distances, and squared norms of the centred points, without a range check."""
    center = (x if y is None else y).mean(dim=-2, keepdim=True)
    x = x - center
    y = x if y is None else y - center
    products = x @ y.mT
    if x is y:  # norms from the products give an exactly zero diagonal
        # Broadcasting a contiguous copy is several times faster than broadcasting the view.
        x_norms = y_norms = products.diagonal(dim1=-2, dim2=-1).contiguous()
    else:
        x_norms, y_norms = x.square().sum(-1), y.square().sum(-1)
    sq = (x_norms.unsqueeze(-1) + y_norms.unsqueeze(-2)).sub_(products, alpha=2)
    return sq.clamp_min_(0), (x_norms, y_norms)


def _check_range(x: Tensor, y: Tensor, largest: Tensor) -> None:
    """Raise ValueError or warn if the dtype does not hold the largest squared norm of the rows."""
    limits = torch.finfo(largest.dtype)
    if all(limits.tiny <= value <= limits.max / 4 for value in largest.flatten().tolist()):
        return
    inside = (largest >= limits.tiny) & (largest <= limits.max / 4)
    wide = largest.dtype == torch.float64
    remedy = "rescale the columns" + ("" if wide else ", or pass x and z in float64")
    is_finite = x.isfinite().flatten(-2).all(-1) & y.isfinite().flatten(-2).all(-1)
    differ = (y != y[..., :1, :]).flatten(-2).any(-1)
    if bool((~inside & is_finite & ~(largest < limits.tiny)).any()):
        raise ValueError(
            "squared distances between rows of x or z exceed the range of "
            f"{largest.dtype}: {remedy}"
        )
    if bool((~inside & is_finite & differ).any()):
        warn_user(
            f"squared distances between rows of x or z vanish in {largest.dtype}, so kernels do "
            f"not distinguish the rows: {remedy}"
        )


def neighbour_squares(x: Tensor) -> Tensor:
    """Return squared distances of at most 1,000 rows of x (n, d) to the nearest unequal row."""
    sq = squared_distances(x[:: math.ceil(len(x) / NEIGHBOURS)], x)
    return sq.masked_fill(sq <= 1e-9 * sq.max(), math.inf).amin(1)


def median_bandwidth(sq: Tensor) -> Tensor:
    r"""Compute the median distance over pairs of points, for use as the kernel width.

    Only pairs :math:`i \neq j` are used. If duplicates make the median 0, the median of the
    *positive* distances is returned. If every distance is 0, as in a collapsed batch, the result is
    1, and the kernel is constant.

    Parameters
    ----------
    sq : Tensor of shape (..., M, M)
        Squared distances between the points of a set.

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
    m = check_real("sq", sq, readable=False).shape[-1]
    if m < 2:  # a single point has no pair
        return torch.ones(sq.shape[:-2], dtype=sq.dtype, device=sq.device)
    # Computed distances between equal rows are rounding errors of squared norms. The median squared
    # norm of the centred rows gives the scale of the errors, because outliers do not affect the
    # median.
    tolerance = 32 * torch.finfo(sq.dtype).eps
    rank = (m * (m - 1) // 2 - 1) // 2
    if is_readable(sq):
        # NumPy's partition is faster than sorting and than torch's kthvalue.
        pairs = _each_pair(sq).numpy()
        pairs.partition(rank, axis=-1)
        median = pairs[..., rank]
        if (median > tolerance * pairs[..., rank:].max(-1)).all():  # the maximum bounds the norms
            return sq.new_tensor(np.sqrt(median))
    means = sq.mean(-1)
    norms = (means - means.mean(-1, keepdim=True) / 2).clamp_min(0)
    noise = tolerance * norms.sort(-1).values[..., (m - 1) // 2]
    # Sorting and indexing copy no value to the host, so the host does not wait for a GPU.
    rows, columns = torch.triu_indices(m, m, 1, device=sq.device)
    ordered = sq[..., rows, columns].sort(-1).values
    middle, n = ordered[..., rank], ordered.shape[-1]
    equal = torch.searchsorted(ordered, noise[..., None], right=True)
    between = (equal + (n - equal - 1).clamp_min(0) // 2).clamp_max(n - 1)
    distinct = torch.where(equal < n, ordered.gather(-1, between), 1.0)[..., 0]
    return torch.where(middle <= noise, distinct, middle).sqrt()


def _each_pair(sq: Tensor) -> Tensor:
    """Return a copy of the entries (..., M (M - 1) / 2) with i < j of symmetric matrices.

    In memory, a diagonal entry is followed by the rest of its row, then by the start of the next
    row. For even M, the M / 2 entries after each diagonal entry contain every pair once. For odd
    M, the (M - 1) / 2 entries after each diagonal entry and the diagonal with offset (M + 1) / 2
    contain every pair once.
    """
    m, sq = sq.shape[-1], sq.contiguous()
    *leading, _, _ = sq.shape
    strides = (*sq.stride()[:-2], m + 1, 1)
    band = sq.as_strided((*leading, m - 1, m // 2), strides, sq.storage_offset() + 1)
    band = band.reshape(*leading, -1)
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
    return GAUSSIAN.matrices(sq, sigma.square()[..., None, None]).values


class KernelMatrices(NamedTuple):
    r"""Kernel values between two sets of points, with the two derivatives of the profile.

    With :math:`u = \|x - y\|^2 / \sigma^2`, gradient and Hessian of the kernel in x are

    .. math:: \nabla k = -\sigma^{-2} D\, (x - y), \qquad
              \nabla^2 k = -\sigma^{-2} D\, I + \sigma^{-4} E\, (x - y)(x - y)^\top .

    Attributes
    ----------
    values : Tensor of shape (..., N, M)
        Values :math:`k(u)`.
    slopes : Tensor of shape (..., N, M)
        First derivatives :math:`D = -2\, k'(u)`, which are the tensor ``values`` for the RBF.
    curvatures : Tensor of shape (..., N, M)
        Second derivatives :math:`E = 4\, k''(u)`, which are the tensor ``values`` for the RBF.
    """

    values: Tensor
    slopes: Tensor
    curvatures: Tensor

    @property
    def shared(self) -> bool:
        """Whether slopes and values are the same tensor, as for the RBF."""
        return self.slopes is self.values

    def to(self, target: torch.dtype) -> KernelMatrices:
        """Return the same matrices in another dtype."""
        if self.shared:
            return KernelMatrices(*[self.values.to(target)] * 3)
        return KernelMatrices(*(part.to(target) for part in self))


@dataclass(frozen=True)
class Kernel:
    r"""Radial kernel :math:`k(x, y) = k(u)` with :math:`u = \|x - y\|^2 / \sigma^2`.

    A subclass defines :meth:`matrices`, which returns values k(u), with k(0) = 1, and derivatives
    of k. Score expansions, divergences, curl-free fields and Stein kernels use only the values and
    derivatives. The kernel must be positive definite in every dimension.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score.kernels import InverseMultiquadric
    >>> kernel = InverseMultiquadric()
    >>> kernel(torch.tensor([0.0, 3.0]))
    tensor([1.0000, 0.5000])
    >>> kernel.matrices(torch.tensor([0.0, 3.0]), 1.0).slopes
    tensor([1.0000, 0.1250])
    """

    def __call__(self, u: Tensor) -> Tensor:
        """Return the profile k(u), elementwise."""
        return self.matrices(u, 1.0).values

    @property
    def steepness(self) -> float:
        """Largest slope -2 k'(0), which is 1 for the RBF."""
        zero = torch.zeros((), dtype=torch.float64, device="cpu")
        return float(self.matrices(zero, 1.0).slopes)

    def matrices(self, sq: Tensor, s2: Tensor | float) -> KernelMatrices:
        """Return values and derivatives at squared distances, for the squared bandwidth s2."""
        raise NotImplementedError

    def between(self, x: Tensor, centers: Tensor, s2: float) -> KernelMatrices:
        """Return values and derivatives (n, m) of points (n, d) and centres (m, d)."""
        # Squared distances are not checked, because the kernel is 0 at infinite distances.
        return self.matrices(squares_and_norms(x, centers)[0], s2)


@dataclass(frozen=True)
class RBF(Kernel):
    r"""Gaussian kernel :math:`k(u) = e^{-u/2}` of the published SSGE.

    The argument is :math:`u = \|x - y\|^2 / \sigma^2`.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score.kernels import RBF
    >>> RBF()(torch.tensor([0.0, 2.0]))
    tensor([1.0000, 0.3679])
    """

    def matrices(self, sq: Tensor, s2: Tensor | float) -> KernelMatrices:
        """Return one tensor that serves as values and as derivatives."""
        return KernelMatrices(*[(sq / (-2 * s2)).exp_()] * 3)

    @full_precision
    def between(self, x: Tensor, centers: Tensor, s2: float) -> KernelMatrices:
        """Return one matrix (n, m) by one product, one clamp and one exponential.

        Passes over the matrix (n, m) take most of the time in long streams.
        """
        mean = centers.mean(0)
        moved, fixed = x - mean, (centers - mean) / s2
        heights = -0.5 / s2 * moved.square().sum(1, keepdim=True)
        depths = -0.5 * s2 * fixed.square().sum(1, keepdim=True)
        left = torch.cat([moved, heights, torch.ones_like(heights)], dim=1)
        right = torch.cat([fixed, torch.ones_like(depths), depths], dim=1)
        return KernelMatrices(*[(left @ right.mT).clamp_max_(0).exp_()] * 3)


@dataclass(frozen=True)
class InverseMultiquadric(Kernel):
    r"""Inverse multiquadric kernel :math:`k(u) = (1 + u)^{-\beta}`.

    The argument is :math:`u = \|x - y\|^2 / \sigma^2`.

    The tails are polynomial, so distant centres contribute to the score. With :math:`\beta < 1` and
    a density with light tails, the kernel Stein discrepancy detects samples that do not converge to
    the density. With the RBF in more than two dimensions, the discrepancy can vanish for samples
    that do not converge [1]_. With the default exponent 1/2, the kernel and the RBF have the same
    slope at 0.

    Parameters
    ----------
    beta : float, default=0.5
        Exponent β > 0.

    References
    ----------
    .. [1] J. Gorham, L. Mackey, "Measuring Sample Quality with Kernels", ICML 2017.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score.kernels import InverseMultiquadric
    >>> InverseMultiquadric(beta=1.0)(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 0.5000])
    """

    beta: float = 0.5

    def __post_init__(self) -> None:
        as_number("beta", self.beta)

    def matrices(self, sq: Tensor, s2: Tensor | float) -> KernelMatrices:
        """Return values and derivatives, computed from one power."""
        base = 1 + sq / s2
        values = base**-self.beta
        slopes = 2 * self.beta * values / base
        return KernelMatrices(values, slopes, 2 * (self.beta + 1) * slopes / base)


@dataclass(frozen=True)
class Matern(Kernel):
    r"""Matérn kernel of smoothness ν = 3/2 or 5/2.

    With :math:`a = \sqrt{2 \nu u}` and :math:`u = \|x - y\|^2 / \sigma^2`, the kernels are

    .. math:: k_{3/2}(u) = (1 + a)\, e^{-a}, \qquad
              k_{5/2}(u) = \left(1 + a + \tfrac{a^2}{3}\right) e^{-a} .

    Smoothness 1/2 is excluded, because the gradient of its kernel does not exist at 0. With
    smoothness 3/2, the second derivative is infinite at u = 0, so u is clipped from below at the
    rounding error.

    Parameters
    ----------
    nu : {1.5, 2.5}, default=2.5
        Smoothness ν.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score.kernels import Matern
    >>> Matern(nu=1.5)(torch.tensor([0.0, 3.0]))
    tensor([1.0000, 0.1991])
    """

    nu: float = 2.5

    def __post_init__(self) -> None:
        if self.nu not in (1.5, 2.5):
            raise ValueError(f"nu must be 1.5 or 2.5, got {self.nu!r}")

    def matrices(self, sq: Tensor, s2: Tensor | float) -> KernelMatrices:
        """Return values and derivatives, computed from one square root and one exponential."""
        a = (sq * (2 * self.nu / s2)).clamp_min(2 * self.nu * torch.finfo(sq.dtype).eps).sqrt()
        decay = (-a).exp()
        if self.nu == 1.5:
            return KernelMatrices((1 + a) * decay, 3 * decay, 9 * decay / a)
        slopes = (5 / 3) * (1 + a) * decay
        return KernelMatrices(slopes * 0.6 + a.square() * decay / 3, slopes, (25 / 3) * decay)


@dataclass(frozen=True)
class Multiscale(Kernel):
    r"""Mean of one kernel at several widths, :math:`k(u) = \tfrac1F \sum_f k_0(u / f^2)`.

    The argument is :math:`u = \|x - y\|^2 / \sigma^2`, and F is the number of widths f. Narrow
    widths resolve detail within a mode, and wide widths connect the modes.

    Parameters
    ----------
    kernel : Kernel or str
        Kernel :math:`k_0`, or its name. The default is the RBF.
    factors : tuple of float, default=(0.5, 1.0, 2.0)
        Widths f, as multiples of the bandwidth.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score.kernels import Multiscale
    >>> Multiscale(factors=(1.0, 2.0))(torch.tensor([0.0, 2.0]))
    tensor([1.0000, 0.5733])
    """

    kernel: Kernel = RBF()  # a name is replaced by its kernel
    factors: tuple[float, ...] = (0.5, 1.0, 2.0)

    def __post_init__(self) -> None:
        factors = tuple(self.factors) if isinstance(self.factors, Iterable) else ()
        if not factors:
            raise ValueError(
                f"factors must be a sequence of one width or more, got {self.factors!r}"
            )
        for factor in factors:
            as_number("factors", factor)
        # Attributes are set through object, because the dataclass is frozen.
        object.__setattr__(self, "factors", factors)
        object.__setattr__(self, "kernel", resolve_kernel(self.kernel))

    def matrices(self, sq: Tensor, s2: Tensor | float) -> KernelMatrices:
        """Return the means of values and derivatives over the widths."""
        found = []
        for f in self.factors:
            values, slopes, curvatures = self.kernel.matrices(sq, s2 * f**2)
            found.append((values, slopes / f**2, curvatures / f**4))
        return KernelMatrices(*(torch.stack(parts).mean(0) for parts in zip(*found, strict=True)))


def resolve_kernel(kernel: Kernel | str) -> Kernel:
    """Return the kernel with a given name, or a given kernel unchanged.

    Parameters
    ----------
    kernel : Kernel or {"rbf", "imq", "matern", "multiscale"}
        Kernel, or the name of a kernel with default parameters.

    Returns
    -------
    Kernel

    Raises
    ------
    ValueError
        If no kernel has the given name.

    Examples
    --------
    >>> from sk_mige.score.kernels import resolve_kernel
    >>> resolve_kernel("matern")
    Matern(nu=2.5)
    """
    if isinstance(kernel, Kernel):
        return kernel
    if not isinstance(kernel, str) or kernel not in KERNELS:
        names = ", ".join(map(repr, KERNELS))
        raise ValueError(f"kernel must be one of {names} or a Kernel, got {kernel!r}")
    return KERNELS[kernel]


GAUSSIAN = RBF()  # first choice of automatic settings, and default of expansions
# Second choice of automatic settings. The kernel resolves detail far below the bandwidth.
ROUGH = Matern(nu=1.5)
# Kernels that a name selects.
KERNELS: dict[str, Kernel] = {
    "rbf": GAUSSIAN,
    "imq": InverseMultiquadric(),
    "matern": Matern(),
    "multiscale": Multiscale(),
}
