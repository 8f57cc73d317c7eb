"""Score matching as least squares: the sums that samples add up to."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .expansion import KernelExpansion
from .kernels import squared_distances

__all__ = ["KernelSums", "kernel_sums"]


@dataclass(frozen=True)
class KernelSums:
    r"""What a set of samples contributes to Hyvärinen's loss over a :class:`KernelExpansion`.

    For coefficients C the summed loss of the samples is
    :math:`\tfrac12 \mathrm{tr}(C^\top A C) - \langle R, C\rangle + c`. All parts are sums over
    samples, so sets are joined by adding. ``fit`` is the form that is minimised; ``loss`` the
    one that measures, which differs only with a projection or when curl-free.

    Attributes
    ----------
    n_samples : int
        Number of samples summed.
    fit, loss : pair of Tensors (m, m) and (m, d)
        A and R. One object where both coincide.
    constant : float
        c, the base's own loss.
    """

    n_samples: int
    fit: tuple[Tensor, Tensor]
    loss: tuple[Tensor, Tensor]
    constant: float

    def _combine(self, other: KernelSums, sign: int) -> KernelSums:
        fit = (self.fit[0] + sign * other.fit[0], self.fit[1] + sign * other.fit[1])
        if self.loss is self.fit:
            loss = fit
        else:
            loss = (self.loss[0] + sign * other.loss[0], self.loss[1] + sign * other.loss[1])
        return KernelSums(
            self.n_samples + sign * other.n_samples,
            fit,
            loss,
            self.constant + sign * other.constant,
        )

    def __add__(self, other: KernelSums) -> KernelSums:
        return self._combine(other, 1)

    def __sub__(self, other: KernelSums) -> KernelSums:
        return self._combine(other, -1)


def kernel_sums(
    expansion: KernelExpansion,
    x: Tensor,
    *,
    quadratic: bool = True,
    gram: Tensor | None = None,
    purpose: str = "both",
) -> KernelSums:
    r"""Sums of the rows of x over an expansion.

    With :math:`K = k(X, Z)`, of shape (n, m), and :math:`s = K^\top 1`, for sections
    :math:`k(\cdot, z_m) C_m`

    .. math:: A = K^\top K, \qquad
              R = \sigma^{-2} (K^\top Y - \operatorname{diag}(s) Z)\, W + K^\top (w \circ Y)\, W ,

    the second term being the base's. With a projection the fitted R keeps the samples' own
    coordinates, as published, while the measured one uses those the kernel depends on,
    :math:`P^\top P (Y - Z)`. For gradient fields A collects
    :math:`\langle\nabla k(x, z_i), \nabla k(x, z_j)\rangle` and R the negative Laplacians.

    Parameters
    ----------
    expansion : KernelExpansion
        Coordinates, base, centres, kernel.
    x : Tensor of shape (n, d)
        Samples.
    quadratic : bool, default=True
        Whether to form A. At the centres themselves it is the square of the Gram matrix, and the
        eigendecomposition of the latter serves.
    gram : Tensor of shape (n, m), default=None
        Kernel between samples and centres, where it is known already.
    purpose : {"fit", "loss", "both"}, default="both"
        What the sums serve; where the two forms differ, the other one is not computed and stands
        for both.

    Returns
    -------
    KernelSums
    """
    ex, white = expansion, expansion.whitening
    s2 = ex.bandwidth**2
    y = white(x)
    yw = white.linear(y)
    gram = ex.gram(y) if gram is None else gram
    radii, squares = y.square().sum(1), yw.square().sum(1)
    weight, slope = ex.base.weight(radii)
    trace = white.precision_trace
    constant = float((0.5 * weight**2 * squares - weight * trace - 2 * slope * squares).sum())
    fit = loss = None
    if ex.curl_free:
        if purpose != "loss":
            d = float(white.n_features)
            fit = _gradient_field(gram, y, ex.centers, radii, weight, s2, d, quadratic)
        if purpose != "fit":
            z = white.linear(ex.centers)
            loss = _gradient_field(gram, yw, z, squares, weight, s2, trace, quadratic)
    else:
        total = gram.sum(0)[:, None]
        matrix = gram.mT @ gram if quadratic else gram.new_empty(0)
        if purpose != "loss" or ex.projection is None:
            centers_w = white.linear(ex.centers)
            rhs = gram.mT @ ((1 / s2 + weight)[:, None] * yw) - total * centers_w / s2
            fit = (matrix, rhs)
        if purpose != "fit" and ex.projection is not None:
            u, kernel_centers = ex.kernel_coordinates(y), ex.kernel_coordinates(ex.centers)
            projected = (gram.mT @ u - total * kernel_centers) @ ex.projection / s2
            loss = (matrix, white.linear(projected) + gram.mT @ (weight[:, None] * yw))
    form = fit or loss
    assert form is not None  # purpose is one of three
    return KernelSums(len(x), fit or form, loss or form, constant)


def _gradient_field(
    gram: Tensor,
    y: Tensor,
    z: Tensor,
    radii: Tensor,
    weight: Tensor,
    s2: float,
    trace: float,
    quadratic: bool,
) -> tuple[Tensor, Tensor]:
    """A and R of gradients of sections, in the metric that y and z are expressed in."""
    inner = y @ z.mT
    laplacian = gram * (squared_distances(y, z) / s2**2 - trace / s2)
    pull = gram * (radii[:, None] - inner) * (weight[:, None] / s2)
    rhs = -(laplacian + pull).sum(0)[:, None]
    if not quadratic:
        return gram.new_empty(0), rhs
    # <x - z_i, x - z_j> = |x|^2 - <x, z_i> - <x, z_j> + <z_i, z_j>, each a product of matrices.
    half = (gram * (0.5 * radii[:, None] - inner)).mT @ gram
    return (half + half.mT + (gram.mT @ gram) * (z @ z.mT)) / s2**2, rhs
