r"""Hyvärinen's loss as a quadratic form in the coefficients, for training and held-out samples.

For coefficients C, Hyvärinen's loss of n samples is :math:`\tfrac12 \mathrm{tr}(C^\top A C) -
\langle R, C\rangle + c`. Fits with landmarks store the terms A, R and c in :class:`KernelSums`. The
centres of dense fits are the training samples. For dense fits, :class:`SectionSplit` and
:class:`GradientSplit` compute the held-out loss without the held-out matrix A.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import TypeVar

from torch import Tensor

from .base import RadialBase
from .kernels import KernelMatrices, squared_distances
from .model import KernelExpansion
from .precision import TensorParts
from .spectrum import SpectralBasis, spectral_basis, spectral_filter
from .ssge import stein_moments
from .whitening import Whitening

T = TypeVar("T")


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
        Quadratic form of the held-out loss of curl-free expansions. None if equal to ``fit``.
    constant : float
        Loss c of the base, summed over the samples.
    """

    n_samples: int
    fit: QuadraticForm
    measured: QuadraticForm | None
    constant: float

    @property
    def loss(self) -> QuadraticForm:
        """Quadratic form of the held-out loss."""
        return self.fit if self.measured is None else self.measured

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
    radii, squares : Tensor of shape (n,)
        Squared norms of ``y`` and of ``yw``.
    weights : list of Tensors of shape (n,)
        Weight w of each base.
    trace : float
        Divergence of :math:`W y`.
    n_features : int
        Number of features d.
    gain : float
        Largest singular value of W.
    constants : list of float
        Loss c of each base, summed over the samples.
    """

    def __init__(
        self, white: Whitening, y: Tensor, bases: list[RadialBase], projection: Tensor | None = None
    ) -> None:
        self.y, self.yw, self.trace = y, white.linear(y), white.precision_trace
        self.n_features, self.gain = white.n_features, white.largest_gain
        self.projected = self.yw
        if projection is not None:
            self.projected = white.linear(y @ projection.mT @ projection)
        self.radii, self.squares = y.square().sum(1), self.yw.square().sum(1)
        self.weights, self.constants = [], []
        for base in bases:
            weight, slope = base.weight(self.radii)
            loss = weight * (0.5 * weight * self.squares - self.trace)
            self.weights.append(weight)
            self.constants.append(float((loss - 2 * slope * self.squares).sum()))


def kernel_sums(expansion: KernelExpansion, x: Tensor) -> KernelSums:
    r"""Compute the terms of Hyvärinen's loss of an expansion, summed over the rows of x.

    Let :math:`K = k(X, Z)` be the kernel matrix (n, m), D the slopes of the kernel and :math:`s =
    D^\top 1`. For sections :math:`k(\cdot, z_m) C_m`,

    .. math:: A = K^\top K, \qquad
              R = \sigma^{-2} (D^\top Y - \operatorname{diag}(s) Z)\, P^\top P\, W
                  + K^\top (w \circ Y)\, W .

    The matrix P is the projection, or I without a projection. The second term of R belongs to the
    base. The factor :math:`P^\top P` follows from Stein's identity for :math:`\psi(P y)`, which is
    :math:`\mathbb E[\psi g] = -P^\top\, \mathbb E[\nabla \psi]`. For gradient fields, A is the sum
    of :math:`\langle\nabla k(x, z_i), \nabla k(x, z_j)\rangle`, and R is the sum of the negative
    Laplacians and of the base's term.

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
    ex, white = expansion, expansion.whitening
    y, s2 = white(x), ex.bandwidth**2
    samples = WhitenedSamples(white, y, [ex.base])
    weight = samples.weights[0]
    matrices = ex.matrices(y)
    gram, measured = matrices.values, None
    if ex.curl_free:
        z = white.linear(ex.centers)
        products = (
            GradientProducts(y, ex.centers, samples.radii, float(white.n_features)),
            GradientProducts(samples.yw, z, samples.squares, samples.trace),
        )
        forms = [GradientForm(each, matrices, s2) for each in products]
        fit, measured = (QuadraticForm(form.quadratic, form.linear(weight)) for form in forms)
    else:
        fit = QuadraticForm(gram.mT @ gram, white.linear(_sections(ex, y, matrices, weight)))
    return KernelSums(len(x), fit, measured, samples.constants[0])


def _sections(ex: KernelExpansion, y: Tensor, matrices: KernelMatrices, weight: Tensor) -> Tensor:
    """Return the linear form R of kernel functions, in whitened coordinates."""
    gram, slopes, _ = matrices
    s2, total = ex.bandwidth**2, slopes.sum(0)[:, None]
    if ex.projection is None and matrices.shared:
        return gram.mT @ ((1 / s2 + weight)[:, None] * y) - total * ex.centers / s2
    moved = slopes.mT @ ex.directions(y) - total * ex.directions(ex.centers)
    return moved / s2 + gram.mT @ (weight[:, None] * y)


class GradientProducts:
    r"""Inner products of samples and centres, which do not depend on the bandwidth.

    Gradient fields are fitted in whitened coordinates. Their held-out loss is computed in input
    coordinates, from samples and centres multiplied by W.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Whitened samples y, or products W y.
    centers : Tensor of shape (m, d)
        Whitened centres, or their products with W.
    squares : Tensor of shape (n,)
        Squared norms of the samples.
    trace : float
        Dimension d in whitened coordinates, or the trace of W² in input coordinates.

    Attributes
    ----------
    sq : Tensor of shape (n, m)
        Squared distances of samples from centres.
    inner : Tensor of shape (m, m)
        Inner products of the centres.
    offset : Tensor of shape (n, m)
        :math:`\tfrac12 \|x\|^2 - \langle x, z_m\rangle`.
    """

    def __init__(self, x: Tensor, centers: Tensor, squares: Tensor, trace: float) -> None:
        self.squares, self.trace = squares, trace
        cross = x @ centers.mT
        if x is centers:
            self.sq, self.inner = squared_distances(x), cross
        else:
            self.sq, self.inner = squared_distances(x, centers), centers @ centers.mT
        self.offset = 0.5 * squares[:, None] - cross


@dataclass(frozen=True)
class GradientForm:
    r"""Quadratic form of gradients :math:`\nabla \sum_m \alpha_m k(\cdot, z_m)` at one bandwidth.

    Let D be the slopes of the kernel, and B the offsets in ``products``. The rows of Z are the
    centres. With :math:`H = (D \circ B)^\top D`, the quadratic form A satisfies

    .. math:: \sigma^4 A = H + H^\top + D^\top D \circ Z Z^\top ,

    by expansion of the inner products :math:`\langle x - z_i, x - z_j\rangle`.
    """

    products: GradientProducts
    matrices: KernelMatrices
    s2: float

    @cached_property
    def _moved(self) -> Tensor:
        return self.matrices.slopes * self.products.offset

    @cached_property
    def _crossed(self) -> Tensor:
        """Elementwise product (m, m) of D' D and the inner products of the centres."""
        slopes = self.matrices.slopes
        return (slopes.mT @ slopes).mul_(self.products.inner)

    @cached_property
    def quadratic(self) -> Tensor:
        """Quadratic form A (m, m)."""
        half = self._moved.mT @ self.matrices.slopes
        return half.mT.add(half).add_(self._crossed).div_(self.s2**2)

    def energy(self, c: Tensor) -> Tensor:
        """Return c' A c for each column c of a matrix (m, F), without forming A."""
        moved = (self._moved @ c).mul_(self.matrices.slopes @ c).sum(0)
        return (2 * moved + (self._crossed @ c).mul_(c).sum(0)) / self.s2**2

    @cached_property
    def _laplacians(self) -> Tensor:
        """Laplacians (m,) of the kernel function of each centre, summed over the samples."""
        scaled = (self.matrices.curvatures * self.products.sq).sum(0) / self.s2**2
        return scaled - self.matrices.slopes.sum(0) * (self.products.trace / self.s2)

    def linear(self, weight: Tensor) -> Tensor:
        """Return the linear form R (m, 1) for the weights (n,) of a base."""
        pull = weight @ self._moved + (0.5 * weight * self.products.squares) @ self.matrices.slopes
        return -(self._laplacians + pull / self.s2)[:, None]


def _quadratic_losses(filters: Tensor, p: Tensor, inner: Tensor, p_held: Tensor) -> Tensor:
    """Return the summed losses of filters (F, r), without the loss of the base."""
    form = (p @ p.mT).mul_(inner)
    return 0.5 * ((filters @ form) * filters).sum(1) - filters @ (p * p_held).sum(1)


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
            if p.shape[1] == 1:  # the coefficients of all filters are one small matrix
                c = vectors @ (basis.vectors @ (filters * p[:, 0]).mT)
                measured = held_out.loss
                losses = 0.5 * (c * (measured.quadratic @ c)).sum(0) - measured.linear[:, 0] @ c
            else:
                inner = basis.project(basis.project(form.quadratic).mT)
                losses = _quadratic_losses(filters, p, inner, basis.project(form.linear))
            yield (losses + held_out.constant) / held_out.n_samples


def tikhonov_filters(values: Tensor, n_samples: float, alphas: tuple[float, ...]) -> Tensor:
    """Return Tikhonov filters (n_alphas, r), with one row for each strength."""
    return spectral_filter(values, n_samples, values.new_tensor(alphas)[:, None])


def section_moments(
    basis: SpectralBasis, matrices: KernelMatrices, s2: float, samples: WhitenedSamples
) -> list[tuple[Tensor, Tensor]]:
    """Return pairs (T, Y) whose products T Y sum to S' R, for the basis S and the linear form R.

    Without a projection there is one pair, from :func:`sk_mige.score.ssge.stein_moments`.
    """
    vectors, values = basis.vectors, basis.values
    weight = samples.weights[0].to(values)
    if samples.projected is samples.yw:
        return [(stein_moments(vectors, values, matrices, s2, weight), samples.yw)]
    kernel_part = stein_moments(vectors, values, matrices, s2)
    base_part = vectors.mT * (values[:, None] * weight)
    return [(kernel_part, samples.projected), (base_part, samples.yw)]


@dataclass(frozen=True)
class SectionSplit:
    r"""Held-out losses of expansions in :math:`k(\cdot, y_m) C_m`, centred at the training samples.

    The basis S of the Gram matrix also diagonalises the quadratic form of the fit. Only :math:`p =
    S^\top R` and :math:`p' = S^\top R'` depend on the base, with R' from the held-out samples. The
    held-out kernel matrix K' is used only in the product K' S.

    Attributes
    ----------
    train, held : WhitenedSamples
        Training samples, which are the centres, and held-out samples.
    bandwidth : float
        Kernel width.
    matrices, matrices_held : KernelMatrices of shape (n, n) and (n', n)
        Kernel matrices between training samples and centres, and between held-out samples and
        centres.
    basis : SpectralBasis
        Basis of the Gram matrix of the training samples.
    """

    train: WhitenedSamples
    held: WhitenedSamples
    bandwidth: float
    matrices: KernelMatrices
    matrices_held: KernelMatrices
    basis: SpectralBasis

    operator_trace = 1.0

    @cached_property
    def _held(self) -> tuple[Tensor, Tensor]:
        """Products K' S, and the held-out form S' A' S."""
        sections = self.matrices_held.values @ self.basis.vectors
        return sections, sections.mT @ sections

    @cached_property
    def _kernel_parts(self) -> tuple[Tensor, Tensor]:
        """Parts of p and p' that do not depend on the base, times σ²."""
        (_, slopes, _), (_, slopes_held, _) = self.matrices, self.matrices_held
        train, held = self.train.projected, self.held.projected
        # For the RBF, S' D = diag(values) S' and D' S = K' S.
        project = self.basis.project
        if self.matrices.shared:
            moved = self.basis.values[:, None] * project(train)
            moved_held = self._held[0].mT @ held
        else:
            moved, moved_held = project(slopes @ train), project(slopes_held.mT @ held)
        return (
            moved - project(slopes.sum(0)[:, None] * train),
            moved_held - project(slopes_held.sum(0)[:, None] * train),
        )

    def losses(self, base: int, filters: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean held-out losses, and squared norms of the corrections in kernel space."""
        s2, train, held = self.bandwidth**2, self.train, self.held
        sections, inner = self._held
        kernel_part, held_part = self._kernel_parts
        pulled = self.basis.project(train.weights[base][:, None] * train.yw)
        p = kernel_part / s2 + self.basis.values[:, None] * pulled
        p_held = held_part / s2 + sections.mT @ (held.weights[base][:, None] * held.yw)
        losses = _quadratic_losses(filters, p, inner, p_held) + held.constants[base]
        return losses / len(held.y), filters.square() @ p.square().sum(1)


@dataclass(frozen=True)
class GradientSplit:
    r"""Held-out losses of gradients :math:`\nabla \sum_m \alpha_m k(\cdot, y_m)`.

    The training samples are the centres.

    Attributes
    ----------
    train, held : WhitenedSamples
        Training samples, which are the centres, and held-out samples.
    products : pair of GradientProducts
        Inner products of the training samples in whitened coordinates, and of the held-out samples
        in input coordinates. :meth:`products_of` computes the pair.
    bandwidth : float
        Kernel width.
    matrices, matrices_held : KernelMatrices of shape (n, n) and (n', n)
        Kernel matrices between training samples and centres, and between held-out samples and
        centres.
    vectors : Tensor of shape (n, r)
        Coefficients V with V' K V = I for the Gram matrix K of the training samples.
    steepness : float
        Largest slope of the kernel, :math:`-2 k'(0)`.
    """

    train: WhitenedSamples
    held: WhitenedSamples
    products: tuple[GradientProducts, GradientProducts]
    bandwidth: float
    matrices: KernelMatrices
    matrices_held: KernelMatrices
    vectors: Tensor
    steepness: float

    @staticmethod
    def products_of(
        train: WhitenedSamples, held: WhitenedSamples
    ) -> tuple[GradientProducts, GradientProducts]:
        """Return the inner products, which do not depend on the bandwidth."""
        return (
            GradientProducts(train.y, train.y, train.radii, float(train.n_features)),
            GradientProducts(held.yw, train.yw, held.squares, held.trace),
        )

    @property
    def operator_trace(self) -> float:
        """Trace of the operator, as in :class:`KernelExpansion`."""
        return self.steepness * self.products[0].trace / self.bandwidth**2

    @cached_property
    def _forms(self) -> tuple[GradientForm, GradientForm]:
        s2, (train, held) = self.bandwidth**2, self.products
        return GradientForm(train, self.matrices, s2), GradientForm(held, self.matrices_held, s2)

    @cached_property
    def basis(self) -> SpectralBasis:
        """Basis that diagonalises the quadratic form of the fit, for coefficients V c."""
        return spectral_basis(self.vectors.mT @ (self._forms[0].quadratic @ self.vectors))

    def losses(self, base: int, filters: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean held-out losses, and bounds on the squared norm of the corrections."""
        train, held = self._forms
        linear = self.vectors.mT @ train.linear(self.train.weights[base])
        filtered = filters * self.basis.project(linear)[:, 0]
        c = self.vectors @ (self.basis.vectors @ filtered.mT)
        slope = held.linear(self.held.weights[base])[:, 0]
        losses = 0.5 * held.energy(c) - slope @ c + self.held.constants[base]
        # W maps the bounded gradient in whitened coordinates to input coordinates.
        largest = self.steepness * (self.train.gain / self.bandwidth) ** 2
        bounds = filtered.square().sum(1) * largest
        return losses / len(self.held.y), bounds
