"""Li and Turner's Stein gradient estimator, at the samples and between them."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from .expansion import ScoreModel
from .fitting import fit_dense
from .frame import ScoreSettings

__all__ = ["fit_stein"]


def fit_stein(x: Tensor, settings: ScoreSettings, eta: float) -> ScoreModel:
    r"""Stein gradient estimator with ridge parameter η.

    Stein's identity for the kernel's sections, :math:`K \hat G + \langle\nabla, K\rangle \approx
    0` with :math:`\langle\nabla, K\rangle_i = \sum_j \nabla_{y_j} k(y_i, y_j)`, regularised:

    .. math:: \hat G = -(K + \eta I)^{-1} \langle\nabla, K\rangle
              = \sigma^{-2} (K + \eta I)^{-1} \big(K Y - \operatorname{diag}(K 1)\, Y\big) .

    These are the scores that Tikhonov-regularised SSGE has at the samples for
    :math:`n \alpha = \eta`. Elsewhere the smallest function of the kernel's space with these
    values is taken, as SSGE does,

    .. math:: \hat g(y) = \sum_j k(y, y_j)\, (K^{-1} \hat G)_j .

    Stein's identity of the set enlarged by y, the known scores kept, would be cheaper. But a
    sample's neighbour would get :math:`\eta / (1 + \eta)` of its score: next to nothing.

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
    ScoreModel

    References
    ----------
    Y. Li, R. E. Turner, "Gradient Estimators for Implicit Models", ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.score import ScoreSettings, fit_stein
    >>> generator = torch.Generator().manual_seed(0)
    >>> x, y = torch.randn(2, 400, 2, dtype=torch.float64, generator=generator)
    >>> error = fit_stein(x, ScoreSettings(), 0.1).score(y) - (-y)
    >>> bool(error.square().mean() < 0.2)
    True
    """
    ridge = replace(
        settings, alpha=eta / len(x), base=None, n_eigen=None, eigen_threshold=None, curl_free=False
    )
    return fit_dense(x, ridge).model
