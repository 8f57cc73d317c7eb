"""Li and Turner's Stein gradient estimator, in sample and out of sample."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .expansion import KernelExpansion, ScoreModel
from .frame import ScoreSettings, frame_expansion

__all__ = ["SteinModel", "fit_stein"]


@dataclass(frozen=True)
class SteinModel:
    r"""Sum of sections of a vector field and of a gradient field over the same centres.

    Attributes
    ----------
    vector, gradient : ScoreModel
        The two parts; the base belongs to neither.
    """

    vector: ScoreModel
    gradient: ScoreModel
    span: None = None

    @property
    def coefficients(self) -> Tensor:
        """Coefficients of the vector field, shape (m, d)."""
        return self.vector.coefficients

    @property
    def expansion(self) -> KernelExpansion:
        """Centres, kernel and coordinates."""
        return self.vector.expansion

    def score(self, x: Tensor) -> Tensor:
        """Scores (n, d) at points (n, d)."""
        return self.vector.score(x) + self.gradient.score(x)

    def divergence(self, x: Tensor) -> Tensor:
        """Divergence (n,) of the score."""
        return self.vector.divergence(x) + self.gradient.divergence(x)

    def jvp(self, x: Tensor, v: Tensor) -> Tensor:
        """Directional derivatives (n, d) of the score."""
        return self.vector.jvp(x, v) + self.gradient.jvp(x, v)

    def hyvarinen_loss(self, x: Tensor) -> Tensor:
        """Hyvärinen's loss (n,) at each row."""
        return 0.5 * self.score(x).square().sum(1) + self.divergence(x)

    def to(self, target: torch.dtype | torch.device) -> SteinModel:
        """The same model in another dtype or on another device."""
        return SteinModel(self.vector.to(target), self.gradient.to(target))


def fit_stein(x: Tensor, settings: ScoreSettings, eta: float) -> SteinModel:
    r"""Stein gradient estimator with ridge parameter η.

    Stein's identity for the kernel's sections, :math:`K \hat G + \langle\nabla, K\rangle \approx
    0` with :math:`\langle\nabla, K\rangle_i = \sum_j \nabla_{y_j} k(y_i, y_j)`, regularised:

    .. math:: \hat G = -(K + \eta I)^{-1} \langle\nabla, K\rangle
              = \sigma^{-2} (K + \eta I)^{-1} \big(K Y - \operatorname{diag}(K 1)\, Y\big) .

    At another point the identity of the enlarged set, the known scores kept, gives

    .. math:: \hat g(y) = \frac{1}{1 + \eta} \sum_j k(y, y_j)
              \Big[ \sigma^{-2} (y_j - y) - \hat G_j \Big] .

    At the samples the estimate coincides with Tikhonov-regularised SSGE at
    :math:`n \alpha = \eta`; the two extend it differently.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples, float64 recommended.
    settings : ScoreSettings
        Whitening and bandwidth are read; the base is none.
    eta : float
        Ridge η > 0.

    Returns
    -------
    SteinModel

    References
    ----------
    Y. Li, R. E. Turner, "Gradient Estimators for Implicit Models", ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import ScoreSettings, fit_stein
    >>> x = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> model = fit_stein(x, ScoreSettings(base=None), 0.1)
    >>> scores = model.score(x)  # the truth is -x
    >>> bool(torch.nn.functional.cosine_similarity(scores, -x).mean() > 0.9)
    True
    """
    expansion, gram = frame_expansion(x, settings)
    y = expansion.centers
    s2 = expansion.bandwidth**2
    ridge = gram + eta * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    stein = (gram @ y - gram.sum(1, keepdim=True) * y) / s2
    scores = torch.cholesky_solve(stein, torch.linalg.cholesky(ridge))
    weight = 1 / (1 + eta)
    # Sections' gradients at y are k (y_j - y) / sigma^2: a gradient field with equal weights.
    vector = ScoreModel(expansion, -weight * expansion.whitening.linear(scores))
    gradient = ScoreModel(
        KernelExpansion(
            expansion.whitening, expansion.base, y, expansion.bandwidth, None, curl_free=True
        ),
        gram.new_full((len(gram), 1), weight),
    )
    return SteinModel(vector, gradient)
