r"""Hyvärinen's loss as a quadratic form in the coefficients, for training and held-out samples.

For coefficients C, Hyvärinen's loss of n samples is :math:`\tfrac12 \mathrm{tr}(C^\top A C) -
\langle R, C\rangle + c`. Fits with landmarks store the terms A, R and c in :class:`KernelSums`. The
centres of dense fits are the training samples. :class:`DenseSplit` computes the held-out loss of
dense fits, without the held-out matrix A unless the correction is a gradient. Fits with landmarks
and dense fits use the linear form of :func:`section_linear`, or the forms of :func:`gradient_form`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import TypeVar

import torch
from torch import Tensor

from .base import RadialBase
from .kernels import Kernel, KernelMatrices, median_bandwidth, squares_and_norms
from .model import KernelExpansion
from .precision import TensorParts
from .spectrum import (
    ALPHAS,
    FLOAT32_RESOLUTION,
    SpectralBasis,
    exceeds,
    kernel_basis,
    orthonormal_sections,
    spectral_basis,
    spectral_filter,
)
from .whitening import Whitening

# Range of bandwidths whose squares and inverse squares are in the range of float32. Largest mean
# squared distance, in squared bandwidths, for which float32 resolves short distances.
FLOAT32_BANDWIDTHS, FLOAT32_DISTANCES = (1e-15, 1e15), 10.0

T = TypeVar("T")
Decomposed = tuple[KernelMatrices, SpectralBasis]
FilterRule = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class QuadraticForm(TensorParts):
    """Quadratic part A (m, m) and linear part R (m, d) of the loss in the coefficients."""

    quadratic: Tensor
    linear: Tensor

    def __add__(self, other: QuadraticForm) -> QuadraticForm:
        return QuadraticForm(self.quadratic + other.quadratic, self.linear + other.linear)

    def within(self, vectors: Tensor) -> QuadraticForm:
        """Return V' A V and V' R, the form for coefficients V c with vectors V (m, r)."""
        quadratic = vectors.mT @ (self.quadratic @ vectors)
        return QuadraticForm(quadratic, vectors.mT @ self.linear)

    def filtered(self, filters: Tensor, p: Tensor) -> Tensor:
        """Return the losses of the coefficients diag(h) p for filters (F, r), without the base.

        The linear form and p may have a leading dimension, with one entry for each base.
        """
        form = (p @ p.mT).mul_(self.quadratic)
        linear = (p * self.linear).sum(-1)
        return 0.5 * ((filters @ form) * filters).sum(-1) - linear @ filters.mT


@dataclass(frozen=True)
class KernelSums(TensorParts):
    r"""Terms of Hyvärinen's loss of a :class:`KernelExpansion`, summed over a set of samples.

    All attributes are sums over samples, so the attributes of two disjoint sets of samples can be
    added.

    Attributes
    ----------
    n_samples : int
        Number of samples summed.
    fit : QuadraticForm
        Quadratic form of the loss to minimise.
    measured : QuadraticForm or None
        Quadratic form of the held-out loss of curl-free expansions, or None if equal to ``fit``.
    constant : float
        Loss c of the base, summed over the samples.
    """

    n_samples: int
    fit: QuadraticForm
    measured: QuadraticForm | None
    constant: float

    def __add__(self, other: KernelSums) -> KernelSums:
        measured = None
        if self.measured is not None and other.measured is not None:
            measured = self.measured + other.measured
        return KernelSums(
            self.n_samples + other.n_samples,
            self.fit + other.fit,
            measured,
            self.constant + other.constant,
        )


def summed(parts: Iterable[T]) -> T:
    """Return the sum of tensors, or of the sums over disjoint sets of samples."""
    return reduce(add, parts)


class WhitenedSamples:
    r"""Samples in whitened coordinates, with the loss terms of one or more bases.

    Parameters
    ----------
    white : Whitening
        Affine map of the samples.
    y : Tensor of shape (n, d)
        Whitened samples.
    bases : list of RadialBase
        Bases to evaluate.
    projection : Tensor of shape (k, d), default=None
        Matrix P that projects whitened points to the coordinates of the kernel.

    Attributes
    ----------
    y, yw : Tensor of shape (n, d)
        Whitened coordinates y, and the products W y.
    projected : Tensor of shape (n, d)
        Products :math:`W P^\top P y`, which are ``yw`` without a projection.
    weights : Tensor of shape (n_bases, n)
        Weights w of each base.
    constants : Tensor of shape (n_bases,)
        Loss c of each base, summed over the samples.
    """

    def __init__(
        self, white: Whitening, y: Tensor, bases: list[RadialBase], projection: Tensor | None = None
    ) -> None:
        self.white, self.y, self.yw = white, y, white.linear(y)
        self.projected = self.yw
        if projection is not None:
            self.projected = white.linear(y @ projection.mT @ projection)
        radii, squares = y.square().sum(1), self.yw.square().sum(1)
        losses = [base.loss(radii, squares, white.precision_trace) for base in bases]
        self.weights = torch.stack([base.weight(radii)[0] for base in bases])
        self.constants = torch.stack(losses).sum(1)


def kernel_sums(expansion: KernelExpansion, x: Tensor) -> KernelSums:
    r"""Compute the terms of Hyvärinen's loss of an expansion, summed over the rows of x.

    For sections :math:`k(\cdot, z_m) C_m` with the kernel matrix :math:`K = k(X, Z)` of shape
    (n, m), :math:`A = K^\top K`. For gradient fields, A is the sum of :math:`\langle\nabla k(x,
    z_i), \nabla k(x, z_j)\rangle`, and R is the sum of the negative Laplacians and of the base's
    term.

    Parameters
    ----------
    expansion : KernelExpansion
        Coordinates, base, centres and kernel.
    x : Tensor of shape (n, d)
        Samples.

    Returns
    -------
    KernelSums
    """
    ex, white, s2 = expansion, expansion.whitening, expansion.bandwidth**2
    samples = WhitenedSamples(white, white(x), [ex.base], ex.projection)
    matrices, measured = ex.matrices(samples.y), None
    if ex.curl_free:
        weights, moved = samples.weights, white.linear(ex.centers)
        fit = gradient_form(samples.y, ex.centers, white.n_features, matrices, s2, weights)
        measured = gradient_form(samples.yw, moved, white.precision_trace, matrices, s2, weights)
    else:
        centers = white.linear(ex.directions(ex.centers))
        linear = section_linear(samples, centers, matrices, s2)[0]
        fit = QuadraticForm(matrices.values.mT @ matrices.values, linear)
    return KernelSums(len(x), fit, measured, float(samples.constants[0]))


def section_linear(
    samples: WhitenedSamples, centers: Tensor, matrices: KernelMatrices, s2: float
) -> Tensor:
    r"""Return the linear form R of kernel functions for each base, shape (n_bases, m, d).

    Let K be the kernel matrix (n, m), D the slopes of the kernel and :math:`s = D^\top 1`. Then

    .. math:: R = \sigma^{-2} (D^\top Y - \operatorname{diag}(s) Z)\, P^\top P\, W
                  + K^\top (w \circ Y)\, W .

    The matrix P is the projection, or I without a projection. The second term belongs to the base.
    The factor :math:`P^\top P` follows from Stein's identity for :math:`\psi(P y)`, which is
    :math:`\mathbb E[\psi g] = -P^\top\, \mathbb E[\nabla \psi]`.

    Parameters
    ----------
    samples : WhitenedSamples
        Samples y, which are the rows of Y.
    centers : Tensor of shape (m, d)
        Products :math:`W P^\top P z` of the centres.
    matrices : KernelMatrices of shape (n, m)
        Kernel matrices of samples and centres.
    s2 : float
        Squared bandwidth.
    """
    gram, slopes, _ = matrices
    weights, yw, centers = (v.to(gram) for v in (samples.weights[..., None], samples.yw, centers))
    totals = slopes.sum(0)[:, None] * centers
    if matrices.shared and samples.projected is samples.yw:
        return gram.mT @ ((1 / s2 + weights) * yw) - totals / s2
    moved = slopes.mT @ samples.projected.to(gram) - totals
    return moved / s2 + gram.mT @ (weights * yw)


def gradient_form(
    x: Tensor,
    centers: Tensor,
    trace: float,
    matrices: KernelMatrices,
    s2: float,
    weights: Tensor,
    squares: tuple[Tensor, Tensor] | None = None,
) -> QuadraticForm:
    r"""Return the form of gradients :math:`\nabla \sum_m \alpha_m k(\cdot, z_m)`, for each base.

    Let D be the slopes of the kernel, S the squared distances of samples from centres, and
    :math:`S_Z` the squared distances between centres. The quadratic part A satisfies

    .. math:: 2 \sigma^4 A = (D \circ S)^\top D + D^\top (D \circ S) - D^\top D \circ S_Z ,

    because :math:`2 \langle x - z_i, x - z_j\rangle = \|x - z_i\|^2 + \|x - z_j\|^2 - \|z_i -
    z_j\|^2`.

    Gradient fields are fitted in whitened coordinates. Their held-out loss is computed in input
    coordinates, from samples and centres multiplied by W.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Whitened samples y, or products W y.
    centers : Tensor of shape (m, d)
        Whitened centres, or their products with W.
    trace : float
        Dimension d in whitened coordinates, or the trace of W² in input coordinates.
    matrices : KernelMatrices
        Kernel matrices (n, m) of samples and centres.
    s2 : float
        Squared bandwidth.
    weights : Tensor of shape (n_bases, n)
        Weights of each base at the samples.
    squares : tuple of Tensors of shape (n, m) and (m, m), default=None
        Squared distances S and :math:`S_Z`. If None, they are computed.

    Returns
    -------
    QuadraticForm
        Quadratic part (m, m), and one column of the linear part (m, n_bases) for each base.
    """
    slopes = matrices.slopes
    if squares is None:
        between = squares_and_norms(centers)[0]
        squares = between if x is centers else squares_and_norms(x, centers)[0], between
    sq, between = squares
    scaled = slopes * sq
    half = scaled.mT @ slopes
    quadratic = torch.addcmul(half + half.mT, slopes.mT @ slopes, between, value=-1)
    quadratic.div_(2 * s2**2)
    curved = scaled if matrices.shared else matrices.curvatures * sq
    laplacians = curved.sum(0) / s2**2 - slopes.sum(0) * (trace / s2)
    # 2 <x, x - z> = |x|² + |x - z|² - |z|²
    pull = weights @ scaled + (weights * x.square().sum(1)) @ slopes
    pull -= (weights @ slopes) * centers.square().sum(1)
    return QuadraticForm(quadratic, -(laplacians + pull / (2 * s2)).mT)


def fold_losses(
    expansion: KernelExpansion,
    vectors: Tensor,
    fold_sums: list[KernelSums],
    alphas: tuple[float, ...],
) -> Iterator[Tensor]:
    r"""Yield the mean held-out loss (n_alphas,) of each Tikhonov strength, one fold at a time.

    Let S be the basis of the fit to the other folds, with coefficients :math:`C = S\,
    \mathrm{diag}(h)\, S^\top R` for a filter h. For held-out sums :math:`(A', R', c')`,

    .. math:: n' J = \tfrac12\, h^\top (Q \circ p p^\top) h - h^\top \langle p, p'\rangle + c',
              \quad Q = S^\top A' S,\; p = S^\top R,\; p' = S^\top R' .

    Parameters
    ----------
    expansion : KernelExpansion
        Expansion for which the sums were computed.
    vectors : Tensor of shape (m, r)
        Coefficients from :func:`~sk_mige.score.spectrum.orthonormal_sections`.
    fold_sums : list of KernelSums
        Sums of each fold. Folds with no rows or all rows are skipped.
    alphas : tuple of float
        Tikhonov strengths.
    """
    n_samples = sum(sums.n_samples for sums in fold_sums)
    forms = [sums.fit.within(vectors) for sums in fold_sums]
    for held_out, form in zip(fold_sums, forms, strict=True):
        n_train = n_samples - held_out.n_samples
        if 0 < n_train < n_samples:
            train = summed(other for other in forms if other is not form)
            basis = spectral_basis(train.quadratic)
            filters = tikhonov_filters(basis.values, n_train * expansion.operator_trace, alphas)
            p = basis.project(train.linear)
            if held_out.measured is None:
                losses = form.within(basis.vectors).filtered(filters, p)
            else:
                c = vectors @ (basis.vectors @ (filters * p[:, 0]).mT)
                measured = held_out.measured
                losses = (c * (0.5 * measured.quadratic @ c - measured.linear)).sum(0)
            yield (losses + held_out.constant) / held_out.n_samples


def tikhonov_filters(
    values: Tensor, n_samples: float, alphas: tuple[float, ...] = ALPHAS
) -> Tensor:
    """Return Tikhonov filters (n_alphas, r), with one row for each strength."""
    return spectral_filter(values, n_samples, values.new_tensor(alphas)[:, None])


def float32_resolves(bandwidth: float, sq: Tensor) -> bool:
    """Return whether float32 resolves distances much smaller than the bandwidth."""
    low, high = FLOAT32_BANDWIDTHS
    return low < bandwidth < high and float(sq.mean()) < FLOAT32_DISTANCES * bandwidth**2


@dataclass(frozen=True)
class DenseSplit:
    """Held-out losses of dense fits to training samples, which are the centres.

    :meth:`sections` and :meth:`gradients` return the mean held-out loss of each base and filter,
    shape (n_bases, F). They also return upper bounds on the squared norm of the correction to the
    base at any point. The function ``filters_of`` returns the filters (F, r) of eigenvalues and a
    number of samples.

    Attributes
    ----------
    train, held : WhitenedSamples
        Training samples and held-out samples.
    sq : tuple of Tensors of shape (n, n) and (n', n)
        Squared distances of training samples and of held-out samples from the training samples, in
        the coordinates of the kernel.
    """

    train: WhitenedSamples
    held: WhitenedSamples
    sq: tuple[Tensor, Tensor]

    @cached_property
    def median(self) -> float:
        """Median distance between training samples."""
        return float(median_bandwidth(self.sq[0]))

    @cached_property
    def measured_squares(self) -> tuple[Tensor, Tensor]:
        """Squared distances (n', n) and (n, n) in input coordinates, used for every kernel."""
        centers = self.train.yw
        return squares_and_norms(self.held.yw, centers)[0], squares_and_norms(centers)[0]

    def decomposed(self, kernel: Kernel, bandwidth: float) -> Decomposed:
        """Return kernel matrices (n, n) and their basis, in float32 if float32 resolves them."""
        sq, s2 = self.sq[0], bandwidth**2
        if float32_resolves(bandwidth, sq):
            within = kernel.matrices(sq.float(), s2)
            if exceeds(within.values, FLOAT32_RESOLUTION * len(sq)):
                return within, kernel_basis(within.values, definite=True)
        within = kernel.matrices(sq, s2)
        return within, kernel_basis(within.values)

    def sections(
        self, kernel: Kernel, bandwidth: float, found: Decomposed, filters_of: FilterRule
    ) -> tuple[Tensor, Tensor]:
        """Return losses and bounds of kernel functions, in the dtype of the decomposition.

        The basis of the Gram matrix also diagonalises the quadratic form of the fit.
        """
        (within, basis), s2 = found, bandwidth**2
        pair = within, kernel.matrices(self.sq[1].to(within.values), s2)
        p, p_held = (
            basis.project(section_linear(rows, self.train.projected, matrices, s2))
            for rows, matrices in zip((self.train, self.held), pair, strict=True)
        )
        values = pair[1].values @ basis.vectors
        filters = filters_of(basis.values.to(self.sq[0]), len(self.train.y)).to(values)
        losses = QuadraticForm(values.mT @ values, p_held).filtered(filters, p)
        return self._means(losses), p.square().sum(-1) @ filters.square().mT

    def gradients(
        self, kernel: Kernel, bandwidth: float, found: Decomposed | None, filters_of: FilterRule
    ) -> tuple[Tensor, Tensor]:
        """Return losses and bounds of gradients, in the dtype of the samples.

        The kernel has no projection. A decomposition in this dtype is used, if known.
        """
        s2, white, train, held = bandwidth**2, self.train.white, self.train, self.held
        if found is None or found[0].values.dtype != self.sq[0].dtype:
            within = kernel.matrices(self.sq[0], s2)
            vectors = orthonormal_sections(within.values)
        else:
            within, vectors = found[0], found[1].resolved
        across = kernel.matrices(self.sq[1], s2)
        # A fit without a decomposition stores no further matrices, because all its folds are kept.
        squares = None if found is None else self.measured_squares
        y, sq, trace = train.y, self.sq[0], white.precision_trace
        fit = gradient_form(y, y, white.n_features, within, s2, train.weights, (sq, sq))
        loss = gradient_form(held.yw, train.yw, trace, across, s2, held.weights, squares)
        fit = fit.within(vectors)
        basis = spectral_basis(fit.quadratic)
        n_effective = len(train.y) * kernel.steepness * white.n_features / s2
        filters = filters_of(basis.values, n_effective)
        p = basis.project(fit.linear).mT  # (n_bases, r)
        # The coefficients of all bases and filters are the columns of one matrix.
        c = vectors @ (basis.vectors @ (filters * p[:, None]).flatten(0, 1).mT)
        linear = loss.linear.repeat_interleave(len(filters), dim=1)
        losses = (c * (0.5 * loss.quadratic @ c - linear)).sum(0).view(len(p), -1)
        # W maps the bounded gradient in whitened coordinates to input coordinates.
        largest = kernel.steepness * white.largest_gain**2 / s2
        return self._means(losses), p.square() @ filters.square().mT * largest

    def _means(self, losses: Tensor) -> Tensor:
        return (losses + self.held.constants[:, None]) / len(self.held.y)
