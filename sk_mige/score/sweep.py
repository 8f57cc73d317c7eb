"""Held-out losses of every filter and base over one kernel, each product of matrices made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .base import RadialBase
from .basis import SpectralBasis, section_moments
from .kernels import squared_distances
from .whitening import Whitening

__all__ = ["GradientProducts", "GradientSweep", "Rows", "SectionSweep"]


class Rows:
    """Samples as whitening and bases see them, whatever the kernel.

    Attributes
    ----------
    y, yw : Tensor of shape (n, d)
        Whitened coordinates, and these mapped once more by W, as scores are, in the units in
        which losses are compared.
    radii, squares : Tensor of shape (n,)
        Their squared norms.
    weights : list of Tensors of shape (n,)
        Each base's weight w.
    trace : float
        Divergence of :math:`W y` in those units.
    constants : list of float
        Each base's own summed loss c.
    """

    def __init__(
        self,
        white: Whitening,
        x: Tensor,
        bases: list[RadialBase],
        units: Tensor | None = None,
        *,
        y: Tensor | None = None,
    ) -> None:
        self.y = white(x) if y is None else y
        self.yw, self.trace = white.measured(self.y, units), white.measured_trace(units)
        self.radii, self.squares = self.y.square().sum(1), self.yw.square().sum(1)
        self.weights, self.constants = [], []
        for base in bases:
            weight, slope = base.weight(self.radii)
            loss = weight * (0.5 * weight * self.squares - self.trace)
            self.weights.append(weight)
            self.constants.append(float((loss - 2 * slope * self.squares).sum()))


@dataclass(frozen=True)
class SectionSweep:
    r"""Scores :math:`k(\cdot, y_m) C_m` centred at the training rows.

    Only :math:`p = S^\top R` and its held-out counterpart depend on the base, see
    :func:`section_moments`, and of the held-out kernel K' only :math:`K' S` enters.

    Attributes
    ----------
    train, held : Rows
        Training rows, which are the centres, and held-out rows.
    bandwidth : float
        Kernel width.
    gram, gram_held : Tensors of shape (n, n) and (n', n)
        Kernel of either set with the centres.
    basis : SpectralBasis
        Of ``gram``.
    """

    train: Rows
    held: Rows
    bandwidth: float
    gram: Tensor
    gram_held: Tensor
    basis: SpectralBasis

    @property
    def values(self) -> Tensor:
        """Spectrum of the fit, descending."""
        return self.basis.values

    operator_trace = 1.0

    @cached_property
    def _held(self) -> tuple[Tensor, Tensor, Tensor]:
        """K' S, the held-out form S' A' S, and the part of p' that stems from the centres."""
        sections = self.gram_held @ self.basis.vectors
        s, total = self.basis.vectors.mT, self.gram_held.sum(0)
        return sections, sections.mT @ sections, (s * (total / self.bandwidth**2)) @ self.train.yw

    def losses(self, base: int, filters: Tensor) -> tuple[Tensor, Tensor]:
        """Losses per held-out row and squared norms of the filters (F, r) over one of the bases."""
        s2 = self.bandwidth**2
        sections, form, centers = self._held
        moments = section_moments(self.basis, self.gram, self.train.weights[base], s2)
        p = moments @ self.train.yw
        p_held = (sections.mT * (1 / s2 + self.held.weights[base])) @ self.held.yw - centers
        form = (p @ p.mT).mul_(form)
        summed = 0.5 * ((filters @ form) * filters).sum(1) - filters @ (p * p_held).sum(1)
        losses = (summed + self.held.constants[base]) / len(self.gram_held)
        return losses, filters.square() @ p.square().sum(1)


class GradientProducts:
    r"""What gradients of kernel sections need of the rows, whatever the bandwidth.

    They are fitted in whitened coordinates and measured in those of the input: there the centres
    stand at :math:`z_m = W y_m`, in the units of losses.

    Attributes
    ----------
    train, held : Rows
        Training rows, which are the centres, and held-out rows.
    sq : pair of Tensors (n, n) and (n', n)
        Squared distances of training and of held-out rows from the centres.
    inner : pair of Tensors (n, n)
        Products of the centres with each other.
    offset : pair of Tensors (n, n) and (n', n)
        :math:`\tfrac12 \|x\|^2 - \langle x, z_m\rangle`.
    trace : pair of float
        Trace of the metric.
    """

    def __init__(self, train: Rows, held: Rows, n_features: int) -> None:
        self.train, self.held = train, held
        self.trace = float(n_features), held.trace
        self.sq = squared_distances(train.y), squared_distances(held.yw, train.yw)
        self.inner = train.y @ train.y.mT, train.yw @ train.yw.mT
        offset = 0.5 * train.radii[:, None] - self.inner[0]
        self.offset = offset, 0.5 * held.squares[:, None] - held.yw @ train.yw.mT


@dataclass(frozen=True)
class GradientSweep:
    r"""Scores :math:`\nabla \sum_m \alpha_m k(\cdot, y_m)` centred at the training rows.

    With :math:`H = (K \circ D)^\top K`, D the offsets,

    .. math:: \sigma^4 A = H + H^\top + K^\top K \circ Z Z^\top ,

    since :math:`\langle x - z_i, x - z_j\rangle = \|x\|^2 - \langle x, z_i\rangle
    - \langle x, z_j\rangle + \langle z_i, z_j\rangle`. One coefficient a centre makes those of
    all filters a small matrix, so that no held-out form changes its basis.

    Attributes
    ----------
    products : GradientProducts
        Of the rows.
    bandwidth, gram, gram_held, basis
        As in :class:`SectionSweep`.
    """

    products: GradientProducts
    bandwidth: float
    gram: Tensor
    gram_held: Tensor
    basis: SpectralBasis

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues, ascending, and eigenvectors of S' A S."""
        form = self._halves[0].mT @ self.gram
        quadratic = (self.gram @ self.gram).mul_(self.products.inner[0]).add_(form).add_(form.mT)
        s = self.basis.vectors
        values, rotation = torch.linalg.eigh((s.mT @ (quadratic @ s)).div_(self.bandwidth**4))
        return values.clamp_min_(0), rotation

    @property
    def values(self) -> Tensor:
        """Spectrum of the fit, descending."""
        return self._spectrum[0].flip(0)

    @property
    def operator_trace(self) -> float:
        """As that of :class:`KernelExpansion`."""
        return self.products.trace[0] / self.bandwidth**2

    @cached_property
    def _halves(self) -> tuple[Tensor, Tensor]:
        first, second = self.products.offset
        return self.gram * first, self.gram_held * second

    @cached_property
    def _held_form(self) -> Tensor:
        return (self.gram_held.mT @ self.gram_held).mul_(self.products.inner[1])

    @cached_property
    def _laplacians(self) -> tuple[Tensor, Tensor]:
        """Summed Laplacians of the sections, over training and over held-out rows."""
        s2 = self.bandwidth**2
        first, second = (
            (gram * sq).sum(0) / s2**2 - gram.sum(0) * (trace / s2)
            for gram, sq, trace in zip(
                (self.gram, self.gram_held), self.products.sq, self.products.trace, strict=True
            )
        )
        return first, second

    def losses(self, base: int, filters: Tensor) -> tuple[Tensor, Tensor]:
        """Losses per held-out row, and bounds on the squared correction but for W's, as above."""
        train, held, s2 = self.products.train, self.products.held, self.bandwidth**2
        half = self._halves[1]
        right, measured = (
            -laplacian - (weight @ moved + (0.5 * weight * radii) @ gram) / s2
            for laplacian, weight, moved, radii, gram in zip(
                self._laplacians,
                (train.weights[base], held.weights[base]),
                self._halves,
                (train.radii, held.squares),
                (self.gram, self.gram_held),
                strict=True,
            )
        )
        rotation = self._spectrum[1].flip(1)
        p = rotation.mT @ (self.basis.vectors.mT @ right)
        coefficients = self.basis.vectors @ (rotation @ (filters * p).mT)
        sections = self.gram_held @ coefficients
        quadratic = 2 * ((half @ coefficients) * sections).sum(0)
        quadratic = quadratic + (coefficients * (self._held_form @ coefficients)).sum(0)
        losses = 0.5 * quadratic / s2**2 - measured @ coefficients + held.constants[base]
        return losses / len(self.gram_held), filters.square() @ p.square() / s2
