"""Objectives that compare several views of each row without score estimation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import combinations
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from sk_mige.information._tensors import warn_of_swapped_axes
from sk_mige.networks import Code
from sk_mige.score.precision import full_precision

from .base import FunctionObjective, InfoMaxSettings, Information, Objective, Problem

POSITIVE = [Interval(Real, 0, None, closed="neither")]
WEIGHT = [Interval(Real, 0, None, closed="left")]


class ViewInformation(Information):
    r"""Base class of objectives that depend only on the representations of S ≥ 2 views.

    A view-based objective decreases the distance between views of the same row, and penalises
    constant or equal components of z. A subclass defines ``loss(z)`` for representations of shape
    (S, M, K). The loss has no value on held-out rows, because held-out rows have one view. Pass the
    objective to InfoMax, as in ``InfoMax(information=..., n_views=2)``.

    Examples
    --------
    >>> from sk_mige import InfoMax
    >>> from sk_mige.objectives import ViewInformation
    >>> class Decorrelated(ViewInformation):
    ...     def loss(self, z):
    ...         return z.var(0).mean() - z.flatten(0, 1).T.cov().logdet()
    >>> InfoMax(Decorrelated(), n_views=4)
    InfoMax(information=Decorrelated(), n_views=4)
    """

    def check_infomax(self, mode: InfoMaxSettings) -> None:
        """Raise ValueError for a single view and for invalid parameters."""
        super().check_infomax(mode)
        if mode.n_views < 2:
            raise ValueError(
                f"information={self!r} compares views of each row, got n_views={mode.n_views}: "
                "set n_views=2 or more, with layer=None"
            )

    def build_infomax(self, mode: InfoMaxSettings, problem: Problem) -> Objective:
        """Return the loss of a batch as an objective, without a value on held-out rows."""
        # The description is copied, because its parameters may be set later.
        return FunctionObjective(copy.copy(self)._batch_loss, has_value=False)

    @full_precision
    def loss(self, z: Tensor) -> Tensor:
        """Return the loss of representations z (S, M, K) of at least two views."""
        got = (z.dtype, tuple(z.shape)) if isinstance(z, Tensor) else type(z).__name__
        is_batch = isinstance(z, Tensor) and z.ndim == 3 and z.is_floating_point()
        if not is_batch or z.shape[0] < 2 or z.numel() == 0:
            raise ValueError(
                "z must be a floating-point tensor of shape (S, M, K), with at least two views, "
                f"got {got}"
            )
        self._validate_params()  # training loops of users do not call check_infomax
        warn_of_swapped_axes(z, "views", 2)
        return self._loss(z)

    def _loss(self, z: Tensor) -> Tensor:
        """Return the loss of validated representations."""
        raise NotImplementedError(f"{type(self).__name__} must define the method loss(z)")

    def _batch_loss(self, code: Code, x: Tensor, y: Tensor) -> Tensor:
        return self.loss(code.z)


class BarlowTwins(ViewInformation):
    r"""Barlow Twins: loss that makes the cross-correlation matrix of two views the identity.

    .. math:: \sum_i (1 - C_{ii})^2 + \lambda \sum_{i \ne j} C_{ij}^2, \qquad
              C = \mathrm{corr}(z_s, z_t)

    With more than two views, the loss is the mean over pairs of views s < t. As in a batch norm,
    the loss adds 1e-5 to each variance.

    Parameters
    ----------
    redundancy : float, default=5e-3
        Weight λ of the squared correlations between different components. The default value is from
        the paper.

    References
    ----------
    J. Zbontar, L. Jing, I. Misra, Y. LeCun, S. Deny, "Barlow Twins: Self-supervised learning via
    redundancy reduction", ICML 2021.

    Examples
    --------
    >>> import torch
    >>> from sk_mige import BarlowTwins
    >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> round(float(BarlowTwins().loss(torch.stack([z, z]))), 4)  # equal views, no correlations
    0.0
    """

    _parameter_constraints: dict[str, list[Any]] = {"redundancy": WEIGHT}

    def __init__(self, redundancy: float = 5e-3) -> None:
        self.redundancy = redundancy

    def _loss(self, z: Tensor) -> Tensor:
        """Return the mean loss over pairs of views, for z of shape (S, M, K)."""
        spread = z.var(1, correction=0, keepdim=True)
        z = (z - z.mean(1, keepdim=True)) * (spread + 1e-5).rsqrt()
        pairs = [one.mT @ other / len(one) for one, other in combinations(z.unbind(), 2)]
        correlations = torch.stack(pairs)
        same = correlations.diagonal(dim1=1, dim2=2)
        off = _off_diagonal(correlations).square().sum((1, 2))
        return ((1 - same).square().sum(1) + self.redundancy * off).mean()


class VICReg(ViewInformation):
    r"""VICReg: loss that makes views equal, standard deviations at least 1, and covariances small.

    .. math:: \frac{\lambda}{K M} \sum_m \lVert z_{sm} - z_{tm} \rVert^2
              + \mu\, [v(z_s) + v(z_t)] + \nu\, [c(z_s) + c(z_t)],
    .. math:: v(z) = \frac1K \sum_i \max(0, 1 - \sqrt{\mathrm{Var}\, z_i + 10^{-4}}), \qquad
              c(z) = \frac1K \sum_{i \ne j} \mathrm{Cov}(z_i, z_j)^2

    With more than two views, the loss is the mean over pairs of views s ≠ t. With the default
    ``output_scale`` of InfoMax, z is standardised and the variance term is close to 0. With
    ``output_scale=None``, the variance term alone controls the scale, as in the paper. The default
    weights are from the paper.

    Parameters
    ----------
    invariance : float, default=25.0
        Weight λ of the mean squared difference between views.
    variance : float, default=25.0
        Weight μ of the penalty on standard deviations below 1.
    covariance : float, default=1.0
        Weight ν of the squared covariances between different components.

    References
    ----------
    A. Bardes, J. Ponce, Y. LeCun, "VICReg: Variance-invariance-covariance regularization for
    self-supervised learning", ICLR 2022.

    Examples
    --------
    >>> import torch
    >>> from sk_mige import VICReg
    >>> float(VICReg(variance=1.0).loss(torch.zeros(2, 8, 4)))  # 2 (1 - 0.01), collapsed views
    1.9800...
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "invariance": WEIGHT,
        "variance": WEIGHT,
        "covariance": WEIGHT,
    }

    def __init__(
        self, invariance: float = 25.0, *, variance: float = 25.0, covariance: float = 1.0
    ) -> None:
        self.invariance = invariance
        self.variance = variance
        self.covariance = covariance

    def _loss(self, z: Tensor) -> Tensor:
        """Return the mean loss over pairs of views, for z of shape (S, M, K)."""
        centred = z - z.mean(1, keepdim=True)
        covariances = centred.mT @ centred / max(z.shape[1] - 1, 1)
        variances = covariances.diagonal(dim1=1, dim2=2)
        invariance = 2 * z.var(0).mean()  # mean over pairs of the squared difference
        variance = 2 * (1 - (variances + 1e-4).sqrt()).relu().mean()
        covariance = 2 * _off_diagonal(covariances).square().sum(2).mean()
        return (
            self.invariance * invariance + self.variance * variance + self.covariance * covariance
        )


class CodingRate(ViewInformation):
    r"""Coding rate of z plus similarity to the mean view, as in MCR² and EMP-SSL.

    .. math:: -\frac1S \sum_s \Big[ \tfrac12 \log\det\Big(I + \frac{K}{M \epsilon^2}
              z_s^\top z_s\Big) + \frac{\lambda}{M} \sum_m \cos(z_{sm}, \bar z_m) \Big], \qquad
              \bar z = \frac1S \sum_s z_s

    Each representation is first divided by its norm. The log-determinant is the *total coding
    rate*, in nats. The default parameters are from EMP-SSL.

    Parameters
    ----------
    distortion : float, default=0.2
        Squared distortion ε² of the coding rate.
    invariance : float, default=200.0
        Weight λ of the cosine between each view and the mean view.

    References
    ----------
    S. Tong, Y. Chen, Y. Ma, Y. LeCun, "EMP-SSL: Towards self-supervised learning in one training
    epoch", 2023. Y. Yu, K. Chan, C. You, C. Song, Y. Ma, "Learning diverse and discriminative
    representations via the principle of maximal coding rate reduction", NeurIPS 2020.

    Examples
    --------
    >>> import torch
    >>> from sk_mige import CodingRate
    >>> z = torch.eye(4).expand(2, 4, 4)
    >>> float(CodingRate(invariance=1.0).loss(z))  # -2 log(1 + 1 / 0.2) - 1
    -4.5835...
    """

    _parameter_constraints: dict[str, list[Any]] = {"distortion": POSITIVE, "invariance": WEIGHT}

    def __init__(self, distortion: float = 0.2, *, invariance: float = 200.0) -> None:
        self.distortion = distortion
        self.invariance = invariance

    def _loss(self, z: Tensor) -> Tensor:
        """Return the mean loss over views, for z of shape (S, M, K)."""
        _, m, k = z.shape
        largest = z.detach().abs().amax(2, keepdim=True)  # squares of the quotients do not overflow
        z = normalize(z / torch.where(largest > 0, largest, 1), dim=2)
        gram = z.mT @ z * (k / (m * self.distortion))
        identity = torch.eye(k, dtype=z.dtype, device=z.device)
        rate: Tensor = 0.5 * torch.linalg.slogdet(identity + gram).logabsdet.mean()
        similarity = cosine_similarity(z, z.mean(0, keepdim=True), dim=2).mean()
        return -rate - self.invariance * similarity


class SIGReg(ViewInformation):
    r"""LeJEPA: loss that makes views equal and representations normally distributed.

    .. math:: (1 - \lambda)\, \frac{1}{S M K} \sum_{s,m} \lVert z_{sm} - \bar z_m \rVert^2
              + \frac{\lambda}{S} \sum_s \mathbb{E}_a \Big[ M \int_{-5}^5
              \big| \hat\varphi_{a^\top z_s}(t) - e^{-t^2/2} \big|^2 e^{-t^2/2}\, dt \Big]

    The second term is *sketched isotropic Gaussian regularisation* (SIGReg). SIGReg projects z to
    random unit vectors a. The characteristic function of each projection is compared with
    :math:`e^{-t^2/2}`, the characteristic function of N(0, 1). The integral is the statistic of the
    Epps-Pulley test, and is computed by the trapezoidal rule with 17 points. Each batch draws new
    unit vectors from torch's generator. A batch needs memory for about 40 numbers per view, row and
    direction. The default parameters are from the paper.

    Parameters
    ----------
    weight : float, default=0.05
        Weight λ of SIGReg, between 0 and 1.
    n_directions : int, default=1024
        Number of random unit vectors in each batch.

    References
    ----------
    R. Balestriero, Y. LeCun, "LeJEPA: Provable and scalable self-supervised learning without the
    heuristics", 2025.

    Examples
    --------
    >>> import torch
    >>> from sk_mige import SIGReg
    >>> z = torch.randn(1, 500, 4, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1)
    >>> bool(SIGReg().loss(z) < 0.2 * SIGReg().loss(2 * z))
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "weight": [Interval(Real, 0, 1, closed="both")],
        "n_directions": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, weight: float = 0.05, *, n_directions: int = 1024) -> None:
        self.weight = weight
        self.n_directions = n_directions

    def _loss(self, z: Tensor) -> Tensor:
        """Return the loss of all views, for z of shape (S, M, K)."""
        drawn = torch.randn(z.shape[2], self.n_directions, dtype=torch.float32, device="cpu")
        projections = z @ normalize(drawn, dim=0).to(z, non_blocking=True)
        t = torch.linspace(0, 5, 9, dtype=z.dtype, device=z.device)  # the integrand is even
        normal = torch.exp(-t.square() / 2)
        angles = projections[..., None] * t
        real, imaginary = angles.cos().mean(1), angles.sin().mean(1)
        distances = ((real - normal).square() + imaginary.square()) * normal
        statistic = 2 * z.shape[1] * torch.trapezoid(distances, t).mean()
        invariance = z.var(0, correction=0).mean()
        return self.weight * statistic + (1 - self.weight) * invariance


# To add an objective of several views, write a subclass here, add a line, and export the class in
# sk_mige/__init__.py.
VIEWS: dict[str, Callable[[], Information]] = {
    "barlow-twins": BarlowTwins,
    "coding-rate": CodingRate,
    "sigreg": SIGReg,
    "vicreg": VICReg,
}


def _off_diagonal(matrices: Tensor) -> Tensor:
    """Return square matrices (S, K, K) with zeros on the diagonal."""
    return matrices - torch.diag_embed(matrices.diagonal(dim1=1, dim2=2))
