"""Reference densities with pointwise information in closed form."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from sk_mige.information._samples import check_pair

# Numbers of components and shrinkages of the covariances to compare on held-out rows.
COMPONENTS, SHRINKAGES = (2, 4, 8, 16, 32), (0, 4, 16)
# Fraction of held-out rows, and largest number of rows, in a comparison.
HELD_OUT, MAX_ROWS = 0.2, 5000


class ArrayState:
    """Mixin that stores tensors as arrays in pickle and skops files."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, with arrays in place of tensors."""
        return {k: v.numpy() if isinstance(v, Tensor) else v for k, v in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the attributes, with tensors in place of arrays."""
        for name, value in state.items():
            # The array is copied, because arrays of memory-mapped files are read-only.
            is_array = isinstance(value, np.ndarray)
            self.__dict__[name] = torch.from_numpy(value.copy()) if is_array else value


class Reference(ArrayState, ABC):
    """Base class of models of the pointwise information of normal scores.

    A density r with tractable marginal densities has the pointwise information
    log r(x, y) - log r(x) - log r(y).
    """

    # True if the in-sample information is meaningless because the model stores the training rows.
    memorises = False

    @abstractmethod
    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit the model to rows x (n, p) and y (n, q)."""

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
        return self.shuffled(x, y, [0])[0]

    @abstractmethod
    def shuffled(self, x: Tensor, y: Tensor, shifts: Sequence[int]) -> Tensor:
        """Return the pointwise information for each cyclic shift of y's rows, (n_shifts, n)."""


class DensityReference(Reference):
    """Base class of densities with tractable marginal densities."""

    @abstractmethod
    def log_density(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the log-density of rows of normal scores, (n,)."""

    def coordinates(self, z: Tensor) -> Tensor:
        """Map normal scores to the coordinates in which the density is defined.

        Parameters
        ----------
        z : tensor of shape (n, d)
            Normal scores.

        Returns
        -------
        tensor of shape (n, d)
        """
        return z

    def shuffled(self, x: Tensor, y: Tensor, shifts: Sequence[int]) -> Tensor:
        """Return the pointwise information for each cyclic shift of the rows of y.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.
        shifts : sequence of int
            Shifts of the rows of y.

        Returns
        -------
        tensor of shape (n_shifts, n)
        """
        x, y = self.coordinates(x), self.coordinates(y)
        left, right = self._margin(x, True), self._margin(y, False)
        joint = torch.stack([self._joint(x, y.roll(shift, 0)) for shift in shifts])
        return joint - left - torch.stack([right.roll(shift, 0) for shift in shifts])

    @abstractmethod
    def _joint(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the log-density of coordinates of (x, y), (n,), up to a constant."""

    @abstractmethod
    def _margin(self, z: Tensor, of_x: bool) -> Tensor:
        """Return the log-density of coordinates of x or of y, (n,), up to the same constant."""


class GaussianReference(DensityReference):
    r"""Gaussian copula: a Gaussian density of normal scores.

    The covariance S of :math:`z = (x, y)` is the sample covariance. The pointwise information is

    .. math:: f(x, y) = I + \tfrac12 (x^\top S_x^{-1} x + y^\top S_y^{-1} y - z^\top S^{-1} z).

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import GaussianReference
    >>> x, noise = torch.randn(2, 1000, 1, generator=torch.Generator().manual_seed(0)).double()
    >>> y = 0.8 * x + 0.6 * noise  # I = -log 0.6 = 0.51 nats
    >>> f = GaussianReference().fit(x, y).pointwise(x, y)
    >>> bool(abs(f.mean() - 0.51) < 0.05)
    True
    """

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit the covariance.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.

        Returns
        -------
        self : GaussianReference
            The fitted reference.
        """
        check_pair(x, y)
        z = torch.cat([x, y], dim=1)
        self._set_scatter(z.mT @ z / len(z), x.shape[1])
        return self

    def matrix(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the pointwise information of all pairs.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Coordinates of x, in the dtype of the result.
        y : tensor of shape (m, q)
            Coordinates of y.

        Returns
        -------
        tensor of shape (n, m)
        """
        p, precision = self.p_, self.precision_
        alone = (self.whiten_x_ @ self.whiten_x_.mT, self.whiten_y_ @ self.whiten_y_.mT)
        parts = zip((x, y), (precision[:p, :p], precision[p:, p:]), alone, strict=True)
        left, right = (0.5 * ((z @ (w - own).to(z)) * z).sum(1) for z, own, w in parts)
        return pair_sums(-x @ precision[:p, p:].to(x), y, self.information_ + left, right)

    def log_density(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the log-density of rows.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.

        Returns
        -------
        tensor of shape (n,)
        """
        z = torch.cat([x, y], dim=1)
        return log_normal(z @ self.whiten_, self.half_log_det_)

    def _set_scatter(self, scatter: Tensor, p: int) -> None:
        """Set the scatter matrix of (x, y) and the whitening matrices."""
        d = len(scatter)
        self.p_ = p
        # Scores have unit variance, so 1e-10 only covers rounding errors.
        scatter = scatter + 1e-10 * torch.eye(d, dtype=scatter.dtype, device=scatter.device)
        self.whiten_, self.half_log_det_ = whitener(scatter)
        self.precision_ = self.whiten_ @ self.whiten_.mT
        self.whiten_x_, x_part = whitener(scatter[:p, :p])
        self.whiten_y_, y_part = whitener(scatter[p:, p:])
        self.information_ = x_part + y_part - self.half_log_det_

    def _joint(self, x: Tensor, y: Tensor) -> Tensor:
        norms = (torch.cat([x, y], dim=1) @ self.whiten_).square().sum(1)
        return self.information_ + self._log_radial(norms, x.shape[1] + y.shape[1])

    def _margin(self, z: Tensor, of_x: bool) -> Tensor:
        whiten = self.whiten_x_ if of_x else self.whiten_y_
        return self._log_radial((z @ whiten.to(z)).square().sum(1), z.shape[1])

    def _log_radial(self, squared_norm: Tensor, d: int) -> Tensor:
        """Return the log-density at whitened rows, without terms that cancel in the ratio."""
        return -0.5 * squared_norm


class MixtureReference(DensityReference):
    r"""Gaussian mixture with full covariances, shrunk towards their mean.

    Expectation maximisation fits the mixture. The marginal densities of x and y are Gaussian
    mixtures with the same weights. Let :math:`n_k` be the number of rows of component k, d the
    number of columns of (x, y), and :math:`S_k` the covariance of the rows. With the shrinkage c
    and one further row of variance 0.01, the covariance of the component is

    .. math:: \frac{n_k S_k + c d \bar S + 0.01\, I}{n_k + c d + 1}, \quad
              \bar S = \frac{\sum_j n_j S_j}{\sum_j n_j} .

    Parameters
    ----------
    n_components : int, default=None
        Number of components. If None, the held-out likelihood selects the number of components and
        the shrinkage.
    seed : int, default=0
        Seed of the initial centres.
    shrinkage : int, default=0
        Shrinkage c for a given number of components.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import MixtureReference
    >>> generator = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(2, 1000, 1, generator=generator).double()
    >>> side = torch.randint(2, (1000, 1), generator=generator) * 10
    >>> x, y = x + side, y + side  # x and y share log 2 = 0.69 nats
    >>> f = MixtureReference().fit(x, y).pointwise(x, y)
    >>> bool(abs(f.mean() - 0.69) < 0.05)
    True
    """

    def __init__(self, n_components: int | None = None, seed: int = 0, shrinkage: int = 0) -> None:
        self.n_components = n_components
        self.seed = seed
        self.shrinkage = shrinkage

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit the number, weights, means and covariances of the components.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.

        Returns
        -------
        self : MixtureReference
            The fitted reference.
        """
        check_pair(x, y)
        self.p_ = x.shape[1]
        z = torch.cat([x, y], dim=1)
        if self.n_components is not None:
            return self._fit(z, self.n_components, self.shrinkage)
        n, d = min(len(z), MAX_ROWS), z.shape[1]
        m = int(n * (1 - HELD_OUT))
        best, chosen = -math.inf, (1, 0)
        for shrinkage in SHRINKAGES:
            before = -math.inf
            for k in COMPONENTS:
                if n < 5 * k * d:  # at least five rows per component and dimension
                    break
                self._fit(z[:m], k, shrinkage)
                held_out = float(self.log_density(x[m:n], y[m:n]).mean())
                best, chosen = max((best, chosen), (held_out, (k, shrinkage)))
                if held_out < before and k > COMPONENTS[1]:
                    break
                before = max(before, held_out)
        return self._fit(z, *chosen)

    def log_density(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the log-density of rows.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.

        Returns
        -------
        tensor of shape (n,)
        """
        return torch.logsumexp(self._terms(torch.cat([x, y], dim=1), slice(None)), dim=0)

    def _fit(self, z: Tensor, k: int, shrinkage: int) -> Self:
        """Run expectation maximisation from distant initial centres."""
        self.shrinkage_ = shrinkage
        nearest = torch.cdist(z, self._centres(z, k)).argmin(1)
        shares = torch.nn.functional.one_hot(nearest, k).mT.to(z.dtype)
        before = -math.inf
        for _ in range(70):
            self._maximise(z, shares)
            terms = self._terms(z, slice(None))
            total = torch.logsumexp(terms, dim=0)
            shares = terms.sub_(total).exp_()
            now = float(total.mean())
            if now - before < 5e-4:
                break
            before = now
        return self

    def _centres(self, z: Tensor, k: int) -> Tensor:
        """Draw k distant rows as initial centres, as in k-means++."""
        generator = torch.Generator().manual_seed(self.seed)
        centres = z[torch.randint(len(z), (1,), generator=generator, device="cpu")]
        distance = (z - centres).square().sum(1)
        for _ in range(k - 1):
            new = z[torch.multinomial(distance + 1e-12, 1, generator=generator)]
            centres = torch.cat([centres, new])
            distance = torch.minimum(distance, (z - new).square().sum(1))
        return centres

    def _maximise(self, z: Tensor, shares: Tensor) -> None:
        """Set weights, means and covariances from responsibilities (k, n)."""
        sizes = shares.sum(1) + 1e-9
        self.log_weights_ = torch.log(sizes / sizes.sum())
        self.means_ = shares @ z / sizes[:, None]
        columns = z.mT.contiguous()
        # The components are processed in turn, because the arrays of one component fit into the
        # processor's cache.
        moments = torch.stack([(columns * share) @ z for share in shares])
        moments -= sizes[:, None, None] * self.means_[:, :, None] * self.means_[:, None]
        # A prior of one row with variance 0.01 keeps the covariance positive definite.
        prior = 0.01 * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
        n_prior = self.shrinkage_ * z.shape[1]
        prior += n_prior * moments.mean(0) / sizes.mean()
        self.covariances_ = (moments + prior) / (sizes + 1 + n_prior)[:, None, None]

    def _terms(self, z: Tensor, part: slice) -> Tensor:
        """Return log-weight plus log-density of each component in given coordinates, (k, n)."""
        whiten, half = whitener(self.covariances_[:, part, part])
        columns = z.mT.contiguous()
        norms = [
            (own.mT @ columns - (mean @ own)[:, None]).square_().sum(0)
            for own, mean in zip(whiten, self.means_[:, part], strict=True)
        ]
        constant = self.log_weights_ - half - z.shape[1] / 2 * math.log(2 * math.pi)
        return torch.stack(norms).mul_(-0.5).add_(constant[:, None])

    def _joint(self, x: Tensor, y: Tensor) -> Tensor:
        return self.log_density(x, y)

    def _margin(self, z: Tensor, of_x: bool) -> Tensor:
        part = slice(0, self.p_) if of_x else slice(self.p_, None)
        return torch.logsumexp(self._terms(z, part), dim=0)


def pair_sums(x: Tensor, y: Tensor, of_x: Tensor, of_y: Tensor) -> Tensor:
    """Return x @ y.mT + of_x[:, None] + of_y, by one matrix product."""
    left = torch.cat([x, of_x[:, None], torch.ones_like(x[:, :1])], dim=1)
    right = torch.cat([y, torch.ones_like(y[:, :1]), of_y[:, None]], dim=1)
    return left @ right.mT


def whitener(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return W with W Wᵀ = inverse covariance, and half the log-determinant of the covariance.

    A ridge of 1e-12 of the variances keeps the covariance of nearly equal columns invertible. A
    column that is constant in the training rows receives the variance 1.
    """
    variances = covariance.diagonal(dim1=-2, dim2=-1)
    ridge = torch.where(variances > 0, 1e-12 * variances, 1.0)
    factor = torch.linalg.cholesky(covariance + torch.diag_embed(ridge))
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    whiten = torch.linalg.solve_triangular(factor, identity, upper=False).mT
    return whiten, factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def log_normal(white: Tensor, half_log_det: Tensor | float) -> Tensor:
    """Return the log-density of a Gaussian from whitened rows (..., d)."""
    d = white.shape[-1]
    return -0.5 * white.square().sum(-1) - half_log_det - d / 2 * math.log(2 * math.pi)
