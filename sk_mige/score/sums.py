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
    samples, so sets are joined by adding. ``fit`` is the form that is minimised, in whitened
    coordinates; ``loss`` the one that measures, which differs only when curl-free: then it is in
    the expansion's units.

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
              R = \sigma^{-2} (K^\top Y - \operatorname{diag}(s) Z)\, P^\top P\, W
                  + K^\top (w \circ Y)\, W ,

    the second term being the base's and P the projection, or I. It belongs there since sections
    vary along its rows alone: Stein's identity for :math:`\psi(P y)` is
    :math:`\mathbb E[\psi g] = -P^\top\, \mathbb E[\nabla \psi]`. For gradient fields A collects
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
    ex, white, units = expansion, expansion.whitening, expansion.units
    s2 = ex.bandwidth**2
    y = white(x)
    yw = white.measured(y, units)
    gram = ex.gram(y) if gram is None else gram
    radii, squares = y.square().sum(1), yw.square().sum(1)
    weight, slope = ex.base.weight(radii)
    trace = white.measured_trace(units)
    constant = float((0.5 * weight**2 * squares - weight * trace - 2 * slope * squares).sum())
    fit = loss = None
    if ex.curl_free:
        if purpose != "loss":
            d = float(white.n_features)
            fit = _gradient_field(gram, y, ex.centers, radii, weight, s2, d, quadratic)
        if purpose != "fit":
            z = white.measured(ex.centers, units)
            loss = _gradient_field(gram, yw, z, squares, weight, s2, trace, quadratic)
    else:
        fit = (
            gram.mT @ gram if quadratic else gram.new_empty(0),
            white.linear(_sections(ex, y, gram, weight)),
        )
    form = fit or loss
    assert form is not None  # purpose is one of three
    return KernelSums(len(x), fit or form, loss or form, constant)


def _sections(ex: KernelExpansion, y: Tensor, gram: Tensor, weight: Tensor) -> Tensor:
    """R of sections, in whitened coordinates."""
    s2, total = ex.bandwidth**2, gram.sum(0)[:, None]
    if ex.projection is None:
        return gram.mT @ ((1 / s2 + weight)[:, None] * y) - total * ex.centers / s2
    u, centers = ex.kernel_coordinates(y), ex.kernel_coordinates(ex.centers)
    projected = (gram.mT @ u - total * centers) @ ex.projection / s2
    return projected + gram.mT @ (weight[:, None] * y)


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
