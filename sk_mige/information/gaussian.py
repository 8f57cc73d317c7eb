"""Mutual information of an encoder with Gaussian noise, if its output were Gaussian as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

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
    and slope, as if the remaining population eigenvalues were equal.

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
    m, d = mean.shape
    scale = scale.expand(m, d)
    noise = scale.square().mean(0).sqrt()
    jensen = noise.log().sum() - scale.log().sum(-1).mean()
    if m < 2:
        return jensen + 0.0 * mean.sum()
    centred = (mean - mean.mean(0)) / noise
    if centred.device.type != "mps":
        centred = centred.double()
    # A reflection that takes the constant vector to the first axis leaves M - 1 rows that say all.
    rows = centred[1:] + centred[0] / (m**0.5 - 1)
    # Their Gram matrix or that of the columns, the smaller one: both have the same eigenvalues.
    rows = rows if d >= m - 1 else rows.mT
    return 0.5 * _log_det(rows @ rows.mT / (m - 1), m - 1, floor).to(jensen) + jensen


def _log_det(gram: Tensor, n: int, floor: float) -> Tensor:
    """G-estimate of log det(I + Σ) from a Gram matrix (k, k) and n - k further eigenvalues 0."""
    with torch.no_grad():
        w = _unit_root(_spectrum(gram, n), floor)
    # Factors, not eigenvalues: the gradient of those needs all eigenvectors and is far dearer.
    if w is not None:  # F is stationary in w here, so w is a constant to the gradient
        exact: Tensor = _Resolvent(gram, n, w).log_det + n * (1 - w)
        return exact
    w = floor * gram.trace() / n
    resolvent = _Resolvent(gram, n, w)
    u, squares = resolvent.means()
    below = resolvent.log_det + n * (u.log() + 1 - u * w)
    value = n * (1 / u - w)
    slope = n * (1 / u.square() - 1 / squares)
    x = (slope / value * (1 - u)).clamp_min(torch.finfo(gram.dtype).eps)
    continued: Tensor = below + value * (1 - u) * torch.log1p(x) / x
    return continued


def _spectrum(gram: Tensor, n: int) -> Tensor:
    """The eigenvalues of a Gram matrix (k, k), and n - k zeros."""
    values: Tensor = torch.linalg.eigvalsh(gram).clamp_min(0)
    return torch.cat([values.new_zeros(n - len(values)), values])


class _Resolvent:
    """Functions of a Gram matrix's k eigenvalues g and of n - k zeros, each shifted by w > 0."""

    def __init__(self, gram: Tensor, n: int, w: Tensor) -> None:
        k = len(gram)
        self.n, self.w, self.zeros = n, w, n - k
        identity = torch.eye(k, dtype=gram.dtype, device=gram.device)
        self.factor = torch.linalg.cholesky(gram + w * identity)

    @property
    def log_det(self) -> Tensor:
        """Sum of log(g + w)."""
        total: Tensor = 2 * self.factor.diagonal().log().sum() + self.zeros * self.w.log()
        return total

    def means(self) -> tuple[Tensor, Tensor]:
        """Means of 1/(g + w) and of its square."""
        inverse = torch.cholesky_inverse(self.factor)
        first = inverse.trace() + self.zeros / self.w
        second = inverse.square().sum() + self.zeros / self.w.square()
        return first / self.n, second / self.n


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
