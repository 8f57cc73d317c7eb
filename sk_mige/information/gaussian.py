"""Mutual information of an encoder with Gaussian noise, if its output were Gaussian as well."""

from __future__ import annotations

from math import log, log1p
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["gaussian_mutual_info"]


def gaussian_mutual_info(mean: Tensor, scale: Tensor, *, floor: float = 0.03) -> Tensor:
    r"""I(x; z) in nats of z | x ~ N(mean(x), scale(x)²) were z Gaussian, from one batch.

    .. math:: I = \tfrac12 \log\det\big(\mathrm{Cov}[\mu(x)] + \bar\Sigma\big)
                  - \mathbb{E} \sum_k \log \sigma_k(x),
              \qquad \bar\Sigma = \mathrm{diag}\,\mathbb{E}[\sigma(x)^2]

    Among all marginals with this covariance the Gaussian has the largest entropy, so this is an
    upper bound of I(x; z), exact for linear-Gaussian encoders. It is differentiable in both
    arguments; no noise is drawn.

    The sample covariance alone would fail where the batch is not much larger than the dimension:
    at 100 samples in 256 dimensions its log-determinant loses a third of the information and half
    of the gradient. Here the log-determinant is a G-estimator (Girko; Notes): its expectation is
    the truth up to O(1/M) when the dimension is of the batch's size or several times larger.

    Parameters
    ----------
    mean : tensor of shape (M, d)
        Conditional means, one row for each input.
    scale : tensor broadcastable to (M, d)
        Conditional standard deviations, positive.
    floor : float, default=0.03
        Smallest regularisation w of the estimator, as a fraction of the mean eigenvalue. It
        matters only when d > M and nearly all dimensions carry much more signal than noise, where
        it trades bias (large) against variance (small).

    Returns
    -------
    tensor of shape ()
        Nats. Differentiable; at most slightly negative for an encoder that ignores x.

    Notes
    -----
    Let g_i be the eigenvalues of the Gram matrix of the n + 1 = M centred means, divided by
    :math:`\bar\Sigma^{1/2}`, over n. For w > 0 put :math:`u = \frac1n\sum_i 1/(g_i + w)`, the
    companion Stieltjes transform. The Marchenko-Pastur equation gives the population's
    eigenvalues τ through :math:`\sum_k \tau_k/(1 + \tau_k u) = n (1/u - w)`, and its integral over
    u from 0 to 1 is the log-determinant:

    .. math:: \log\det(I + \Sigma) = \sum_i \log(g_i + w) + n (1 - w)
              \quad\text{with } w \text{ such that } u = 1 .

    Equivalently the unit noise is replaced by w < 1, which makes up for the spread of the sample
    eigenvalues. When d > M and all of them are large no w > 0 reaches u = 1: then the
    integral is carried on from the u at the smallest w by the τ/(1 + τu) that continues its value
    and slope, as if the remaining population eigenvalues were equal, and no more than d.

    References
    ----------
    V. L. Girko, *An Introduction to Statistical Analysis of Random Arrays*, VSP, 1998.

    Examples
    --------
    100 samples in 256 dimensions, each with as much signal as noise: I = 128 log 2 = 88.7 nats.

    >>> import torch
    >>> from sk_mige.information import gaussian_mutual_info
    >>> generator = torch.Generator().manual_seed(0)
    >>> mean = torch.randn(100, 256, generator=generator)
    >>> bool(abs(gaussian_mutual_info(mean, torch.ones(256)) - 88.7) < 2)
    True
    """
    information: Tensor = _GaussianInformation.apply(mean, scale.expand(mean.shape), floor)  # type: ignore[no-untyped-call]
    return information


class _GaussianInformation(torch.autograd.Function):
    r"""Value and gradient in one pass.

    What is large, (M, d), is differentiated by hand: left to autograd its many small passes take
    longer than all linear algebra. With c the means, centred and divided by
    :math:`n_k = \bar\Sigma_{kk}^{1/2}`, and P the derivative of ½ log det with respect to c,

    .. math:: \partial I/\partial\mu = (P - \bar P)/n, \qquad
              \partial I/\partial\sigma_{mk} = \frac{\sigma_{mk}}{M n_k^2}
              \Big(1 - \sum_i P_{ik} c_{ik}\Big) - \frac{1}{M \sigma_{mk}} .
    """

    @staticmethod
    def forward(ctx: Any, mean: Tensor, scale: Tensor, floor: float) -> Tensor:
        m, d = mean.shape
        variance = scale.square().mean(0)
        noise = variance.sqrt()
        value = noise.log().sum() - scale.log().sum() / m
        if m < 2:
            ctx.save_for_backward(torch.zeros_like(mean), 1 / noise - 1 / scale)
            return value
        centred = (mean - mean.mean(0)) / noise
        # A reflection that takes the constant vector to the first axis leaves M - 1 rows that say
        # all. Their Gram matrix or that of the columns, the smaller one, has all eigenvalues.
        root = m**0.5 - 1
        rows = centred[1:] + centred[0] / root
        by_rows = d >= m - 1
        gram = (rows @ rows.mT if by_rows else rows.mT @ rows) / (m - 1)
        # Rounding is small beside w, which is of the mean eigenvalue's size; Newton wants digits.
        gram = gram if gram.device.type == "mps" else gram.double()
        log_det, slope = _log_det(gram, m - 1, d, floor)
        slope = (slope / (m - 1)).to(mean)
        slope = slope @ rows if by_rows else rows @ slope
        by_centred = torch.cat([slope.sum(0, keepdim=True) / root, slope])
        of_mean = by_centred / noise
        share = (1 - (by_centred * centred).sum(0)) / (m * variance)
        ctx.save_for_backward(of_mean - of_mean.mean(0), scale * share - (m * scale).reciprocal())
        return value + 0.5 * log_det.to(mean)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        of_mean, of_scale = ctx.saved_tensors
        return gradient * of_mean, gradient * of_scale, None


def _log_det(gram: Tensor, n: int, d: int, floor: float) -> tuple[Tensor, Tensor]:
    r"""G-estimate of log det(I + Σ) from a Gram matrix G, and its gradient with respect to G.

    Where G has fewer rows than n, the other eigenvalues are zeros. The gradient is a polynomial in
    :math:`A = (G + w)^{-1}`, so it needs no eigenvectors, which would take longer than all the
    rest. Where u = 1 is reached the estimate is stationary in w, and its gradient is A. Elsewhere
    it depends on G through :math:`s_j = \frac1n \operatorname{tr} A^j`, u = s₁, and through
    :math:`w = \frac{f}{n} \operatorname{tr} G` with f the floor. If the derivatives of what is
    added to :math:`\log\det(G + w) + n(1 - w)` are b, c and e with respect to u, s₂ and w, it is

    .. math:: A - \frac{b}{n} A^2 - \frac{2c}{n} A^3
              + \frac{f}{n} (n (u - 1) + e - b s_2 - 2 c s_3)\, \mathbb{1} .
    """
    g = torch.linalg.eigvalsh(gram).clamp_min(0)
    g = torch.cat([g.new_zeros(n - len(g)), g])
    w = _unit_root(g, floor)
    continued = w is None
    if w is None:
        w = floor * g.mean()
    shifted = gram.clone()
    shifted.diagonal().add_(w)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(shifted))
    log_det = (g + w).log().sum() + n * (1 - w)
    if not continued:
        return log_det, inverse
    resolvent = (g + w).reciprocal()
    s1, s2, s3, w = torch.stack([
        resolvent.mean(), resolvent.square().mean(), resolvent.pow(3).mean(), w
    ]).tolist()  # fmt: skip
    rest, b, c, e = _continuation(s1, s2, w, n, d)
    square = inverse @ inverse
    gradient = inverse - (b / n) * square - (2 * c / n) * (square @ inverse)
    gradient.diagonal().add_(floor / n * (n * (s1 - 1) + e - b * s2 - 2 * c * s3))
    return log_det + rest, gradient


def _continuation(
    u: float, s2: float, w: float, n: int, d: int
) -> tuple[float, float, float, float]:
    """What the integral from u to 1 adds to log det(G + w) + n(1 - w), and its derivatives.

    The integrand is that of equal τ, whose number and size are those of its value and slope at u;
    of d of them where the slope asks for more. The derivatives are those with respect to u,
    s2 = mean (g + w)⁻² and w.
    """
    value, slope = n * (1 / u - w), n * (1 / u**2 - 1 / s2)
    bounded = slope * d <= value**2
    count = d if bounded else value**2 / slope
    x = value / count * (1 - u)
    by_value, by_slope = (1 - u) / (1 + x), 0.0
    if not bounded:
        by_value, by_slope = (
            2 * count / value * log1p(x) - by_value,
            count / slope * (x / (1 + x) - log1p(x)),
        )
    return (
        n * (log(u) + w - u * w) + count * log1p(x),
        value * x / (1 + x) - n / u**2 * (by_value + 2 / u * by_slope),
        n / s2**2 * by_slope,
        n * (1 - u - by_value),
    )


def _unit_root(g: Tensor, floor: float) -> Tensor | None:
    """Solve mean(1/(g + w)) = 1 for w above ``floor * mean(g)``; None if there is none."""
    mean = g.mean()
    if bool((g + floor * mean).reciprocal().mean() <= 1):
        return None
    # By Jensen's inequality mean(1/(g + w)) >= 1/(mean + w): the root is no smaller than 1 - mean.
    # The function is convex and decreasing, so Newton's steps approach the root from the left.
    w = torch.maximum(floor * mean, 1 - mean)
    for _ in range(50):
        inverse = (g + w).reciprocal()
        step = (inverse.mean() - 1) / inverse.square().mean()
        w = w + step
        if bool(step <= 1e-12 * w):
            break
    return w
