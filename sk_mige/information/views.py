"""The gradient of I(x; z) where z is drawn by changing x: several views of each input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sk_mige.information.gradients import _inner
from sk_mige.information.marginals import marginal_rows, marginal_scores
from sk_mige.score.precision import full_precision

if TYPE_CHECKING:
    from torch import Tensor

    from sk_mige.score import ScoreFunction

__all__ = ["multiview_mutual_info_surrogate", "within_entropy"]


@full_precision
def multiview_mutual_info_surrogate(
    z: Tensor, *, score: ScoreFunction | None = None, floor: float = 1e-3
) -> Tensor:
    r"""Scalar whose gradient estimates that of a lower bound of I(x; z), z = E(t(x)).

    A random transformation t, such as cropping an image, makes the encoder stochastic:
    circumstance III, with a conditional q(z | x) of unknown density and few draws of it. Among
    all conditionals of mean covariance :math:`\Sigma_w = \mathbb{E}\,\mathrm{Cov}[z | x]` the
    Gaussian with that covariance everywhere has the largest entropy, so that

    .. math:: I(x; z) = H(z) - H(z | x) \;\ge\; H(z) - \tfrac12 \log\det(2\pi e\, \Sigma_w) .

    :math:`\nabla H(z)` comes from estimated scores, brought to the size for which Stein's
    identity :math:`\mathbb{E}[\hat g^\top (z - \bar z)] = -d` holds; the rest is differentiated
    as it stands. Both have the derivative d with respect to the logarithm of z's scale, so that
    growing or shrinking gains nothing, and an encoder that sees only what t leaves alone gains
    most.

    Parameters
    ----------
    z : tensor of shape (S, M, d)
        Representations of S ≥ 2 independently transformed views of each of M inputs,
        differentiable. H(z) is estimated from as many views as together have 512 rows.
    score : callable, default=None
        Score function of the marginal; None is :func:`sk_mige.score.ssge`.
    floor : float, default=1e-3
        What is added to the variance within inputs in every direction, as a fraction of the mean
        variance of z: below it a direction counts as known. Without it one that t leaves alone
        altogether has infinite information.

    Returns
    -------
    tensor of shape ()
        A surrogate: maximise it to maximise the bound, in nats. Its value means nothing.

    Raises
    ------
    ValueError
        For fewer than two views of each input.

    Notes
    -----
    :math:`\Sigma_w` is estimated from M (S − 1) differences: let that be 2 d or more.

    References
    ----------
    L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
    Representation Learning", ICLR 2020, Eqs. 14-16.

    Examples
    --------
    Views z = x + σε of a Gaussian have I(x; z) = ½ log(1 + 1/σ²), whose derivative with respect
    to σ is −1/(σ + σ³) = −1.6 at 0.5:

    >>> import torch
    >>> from sk_mige.information import multiview_mutual_info_surrogate
    >>> generator = torch.Generator().manual_seed(0)
    >>> x, *noise = torch.randn(3, 500, 1, generator=generator)
    >>> sigma = torch.tensor(0.5, requires_grad=True)
    >>> multiview_mutual_info_surrogate(x + sigma * torch.stack(noise)).backward()
    >>> bool(abs(sigma.grad + 1.6) < 0.3)
    True
    """
    if z.ndim != 3 or z.shape[0] < 2:
        raise ValueError(
            "several views of each input are needed, shape (S, M, d) with S >= 2; got shape "
            f"{tuple(z.shape)}. For one, use mutual_info_surrogate(x, z)"
        )
    rows = marginal_rows(z)
    marginal = -_inner(marginal_scores(rows, "stein", score=score), rows)
    return marginal - within_entropy(z, floor=floor)


def within_entropy(z: Tensor, *, floor: float = 1e-3) -> Tensor:
    r"""Upper bound of H(z | x), but for a constant, from views z (S, M, d): ½ log det Σ_w."""
    s, m, d = z.shape
    # It follows z as the rest does: a fixed ridge would reward growing.
    scale = (z - z.mean((0, 1))).square().mean()
    residuals = (z - z.mean(0)).flatten(0, 1)
    if residuals.device.type != "mps":
        residuals = residuals.double()
    within = residuals.mT @ residuals / (m * (s - 1))
    # Where all of z is one point there is no scale; the gradient is then 0.
    ridge = (floor * scale).clamp_min(torch.finfo(z.dtype).tiny).to(within)
    within = within + ridge * torch.eye(d, dtype=within.dtype, device=within.device)
    entropy: Tensor = 0.5 * torch.linalg.slogdet(within).logabsdet
    return entropy.to(z.dtype)
