"""Surrogate of I(x; z) from several randomly transformed views of each input."""

from __future__ import annotations

import torch
from torch import Tensor

from sk_mige._arrays import check_real
from sk_mige._sizes import as_number
from sk_mige.information._tensors import (
    check_codes,
    check_score,
    warn_of_swapped_axes,
)
from sk_mige.information.gradients import mean_inner_product
from sk_mige.information.marginals import marginal_rows, marginal_scores
from sk_mige.score import ScoreFunction
from sk_mige.score.precision import full_precision, widest_dtype


@full_precision
def multiview_mutual_info_surrogate(
    z: Tensor, *, score: ScoreFunction | None = None, floor: float = 1e-3
) -> Tensor:
    r"""Scalar whose gradient estimates the gradient of a lower bound of I(x; z) for z = E(t(x)).

    A random transformation t, such as cropping an image, makes the encoder stochastic. Each view
    gives a draw of z from q(z | x), whose density is unknown. Among all conditionals with mean
    covariance :math:`\Sigma_w = \mathbb{E}\,\mathrm{Cov}[z | x]`, the Gaussian with covariance
    :math:`\Sigma_w` for every x has the largest entropy, so that

    .. math:: I(x; z) = H(z) - H(z | x) \;\ge\; H(z) - \tfrac12 \log\det(2\pi e\, \Sigma_w) .

    The gradient :math:`\nabla H(z)` is computed from estimated scores. The estimated scores are
    centred (:func:`entropy_surrogate`) and rescaled so that Stein's identity :math:`\mathbb{E}[\hat
    g^\top (z - \bar z)] = -d` holds. The log-determinant of :math:`\Sigma_w` is differentiated
    exactly. A change of the scale of z does not change the bound. The bound favours features that t
    does not change.

    Parameters
    ----------
    z : tensor of shape (S, M, d)
        Representations of S ≥ 2 independently transformed views of each of M inputs,
        differentiable. The estimate of H(z) uses the first views, with at least 512 rows in total
        if possible.
    score : callable, default=None
        Score function of the marginal. None means :func:`sk_mige.score.ssge`.
    floor : float, default=1e-3
        Ridge added to :math:`\Sigma_w`, as a fraction of the mean variance of z. Without the
        ridge, the bound is infinite if t does not change the component of z in some direction.

    Returns
    -------
    tensor of shape ()
        Surrogate of the bound, to be maximised. The gradient of the surrogate is in nats. The value
        of the surrogate has no meaning.

    Raises
    ------
    ValueError
        If z has another shape, or fewer than two views of each input.

    Notes
    -----
    :math:`\Sigma_w` is estimated from M (S − 1) differences. The number of differences should be at
    least 2 d.

    References
    ----------
    L. Wen, Y. Zhou, L. He, M. Zhou, Z. Xu, "Mutual Information Gradient Estimation for
    Representation Learning", ICLR 2020, Eqs. 14-16.

    Examples
    --------
    Views z = x + σε of a Gaussian x have I(x; z) = ½ log(1 + 1/σ²). The derivative of I with
    respect to σ is −1/(σ + σ³), which is −1.6 at σ = 0.5:

    >>> import torch
    >>> from sk_mige.information import multiview_mutual_info_surrogate
    >>> generator = torch.Generator().manual_seed(0)
    >>> x, *noise = torch.randn(3, 500, 1, generator=generator)
    >>> sigma = torch.tensor(0.5, requires_grad=True)
    >>> multiview_mutual_info_surrogate(x + sigma * torch.stack(noise)).backward()
    >>> bool(abs(sigma.grad + 1.6) < 0.3)
    True
    """
    check_score(score)
    if check_real("z", z, floating=True).ndim != 3 or z.shape[0] < 2:
        raise ValueError(
            "z must have several views of each input, shape (S, M, d) with S >= 2; got shape "
            f"{tuple(z.shape)}. For one view, use mutual_info_surrogate(x, z)"
        )
    floor = as_number("floor", floor, closed="left")
    check_codes(z=z.flatten(0, 1))
    warn_of_swapped_axes(z, "views", 2)
    rows = marginal_rows(z)
    marginal = -mean_inner_product(marginal_scores(rows, "stein", score=score), rows)
    return marginal - within_entropy(z, floor=floor)


def within_entropy(z: Tensor, *, floor: float = 1e-3) -> Tensor:
    r"""Return ½ log det Σ_w of views z (S, M, d), an upper bound of H(z | x) up to a constant."""
    s, m, d = z.shape
    wide = z.to(widest_dtype(z))
    # The ridge is proportional to the variance of z, because a fixed ridge would favour large
    # scales.
    scale = (wide - wide.mean((0, 1))).square().mean()
    residuals = (wide - wide.mean(0)).flatten(0, 1)
    within = residuals.mT @ residuals / (m * (s - 1))
    # If all rows of z are equal, both the scale and the gradient are 0.
    ridge = (floor * scale).clamp_min(torch.finfo(wide.dtype).tiny)
    within = within + ridge * torch.eye(d, dtype=within.dtype, device=within.device)
    entropy: Tensor = 0.5 * torch.linalg.slogdet(within).logabsdet
    return entropy.to(z.dtype)
