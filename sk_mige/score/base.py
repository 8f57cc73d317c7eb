"""Base score g₀ to which a kernel expansion is added: none, Gaussian or Student's t."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Candidate degrees of freedom. Below 3, the sample covariance for whitening is unreliable.
DEGREES_OF_FREEDOM = (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 14.0, 20.0, 30.0, 50.0, math.inf)


@dataclass(frozen=True)
class RadialBase:
    r"""Score :math:`g_0(y) = -w(\|y\|^2)\, y` of an elliptical density in whitened coordinates.

    With degrees of freedom :math:`\nu` and per-coordinate variance v,

    .. math:: w(r^2) = \frac{\nu + d}{(\nu - 2)\, v + r^2}
              \;\xrightarrow{\nu\to\infty}\; \frac1v .

    The function :math:`g_0` is the score of Student's t distribution with covariance :math:`v I`.
    For infinite :math:`\nu`, the distribution is Gaussian. With ``dof=None``, there is no base, and
    w = 0.

    Attributes
    ----------
    dof : float, Tensor of shape (F, 1) or None
        Degrees of freedom. Infinity means a Gaussian, and None means no base. A column gives one
        row of weights for each value.
    variance : float
        Variance v of each coordinate. After whitening, v is 1.
    n_features : int
        Dimension d.
    """

    dof: float | Tensor | None
    variance: float
    n_features: int

    def weight(self, radii: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return the weight w and its derivative :math:`dw/dr^2` at squared radii (n,)."""
        if self.dof is None:
            return torch.zeros_like(radii), torch.zeros_like(radii)
        share = 1 / self.dof  # 0 for a Gaussian
        radii = radii.clamp_max(torch.finfo(radii.dtype).max)  # 0 times infinity is undefined
        denominator = (1 - 2 * share) * self.variance + share * radii
        weight = (1 + share * self.n_features) / denominator
        return weight, -share * weight / denominator

    def loss(self, radii: Tensor, squares: Tensor, trace: float) -> Tensor:
        r"""Return Hyvärinen's loss (n,) of the score :math:`W g_0(y)`.

        .. math:: \tfrac12 w^2 \|W y\|^2 - w\, \operatorname{tr} W^2 - 2 w' \|W y\|^2

        Parameters
        ----------
        radii, squares : Tensors of shape (n,)
            Squared norms of y and of W y.
        trace : float
            Trace of W².
        """
        weight, slope = self.weight(radii)
        return weight * (0.5 * weight * squares - trace) - 2 * slope * squares

    def log_density(self, radii: Tensor) -> Tensor:
        """Return log-densities (n,) at squared radii (n,), minus the log-density at the centre."""
        if self.dof is None:
            return torch.zeros_like(radii)
        if math.isinf(self.dof):
            return radii / (-2 * self.variance)
        spread = (self.dof - 2) * self.variance
        return torch.log1p(radii / spread) * (-0.5 * (self.dof + self.n_features))

    @property
    def log_constant(self) -> float:
        """Logarithm of the integral of the density, after scaling to density 1 at the centre."""
        assert self.dof is not None
        d = self.n_features
        if math.isinf(self.dof):
            return 0.5 * d * math.log(2 * math.pi * self.variance)
        spread = (self.dof - 2) * self.variance
        gammas = math.lgamma(self.dof / 2) - math.lgamma((self.dof + d) / 2)
        return gammas + 0.5 * d * math.log(math.pi * spread)


def fit_base(kind: str | None, radii: Tensor, n_features: int, variance: float = 1.0) -> RadialBase:
    r"""Choose the base's degrees of freedom by Hyvärinen's loss.

    In whitened coordinates, the loss of :math:`g_0` depends only on the radii. Pass leave-one-out
    radii. If d approaches n, whitening makes in-sample radii nearly equal, even for heavy tails. A
    finite number of degrees of freedom is chosen only if the decrease in loss from the Gaussian
    exceeds one standard error.

    Parameters
    ----------
    kind : {"student", "gaussian"} or None
        Kind of base. With "student", the degrees of freedom are chosen from a grid between 3 and
        infinity.
    radii : Tensor of shape (n,)
        Squared distances from the mean, divided by ``variance``.
    n_features : int
        Dimension d.
    variance : float, default=1.0
        Variance v of each coordinate.

    Returns
    -------
    RadialBase

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import fit_base
    >>> generator = torch.Generator().manual_seed(0)
    >>> normal = torch.randn(2000, 3, generator=generator)
    >>> fit_base("student", normal.square().sum(1), 3).dof
    inf
    """
    if kind is None or kind == "gaussian":
        return RadialBase(None if kind is None else math.inf, variance, n_features)
    column = radii.new_tensor(DEGREES_OF_FREEDOM)[:, None]
    losses = RadialBase(column, 1.0, n_features).loss(radii, radii, n_features)
    best = int(losses.mean(1).argmin())
    gain = losses[-1] - losses[best]  # gain over the Gaussian, the last base, for each sample
    # Prefer the Gaussian unless the mean gain exceeds its standard error.
    clear = len(gain) > 1 and bool(gain.mean() > gain.std() / len(gain) ** 0.5)
    return RadialBase(DEGREES_OF_FREEDOM[best] if clear else math.inf, variance, n_features)
