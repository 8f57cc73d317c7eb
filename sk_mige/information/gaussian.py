"""Mutual information between input and code of an encoder with Gaussian noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_mige._arrays import check_real
from sk_mige._contexts import OneByOne, one_by_one
from sk_mige._sizes import as_number
from sk_mige.information._tensors import expanded_scale
from sk_mige.score.precision import full_precision
from sk_mige.score.spectrum import ridge_factor

SECOND = (
    "gaussian_mutual_info has first derivatives only; got a second derivative of mean or scale. "
    "Use differences of gradients"
)


@full_precision
def gaussian_mutual_info(
    mean: Tensor, scale: Tensor, *, labels: Tensor | None = None, floor: float = 0.03
) -> Tensor:
    r"""Upper bound of I(x; z) in nats for z | x ~ N(mean(x), scale(x)²), from one batch.

    .. math:: I \le \tfrac12 \log\det\big(\mathrm{Cov}[\mu(x)] + \bar\Sigma\big)
                  - \mathbb{E} \sum_k \log \sigma_k(x),
              \qquad \bar\Sigma = \mathrm{diag}\,\mathbb{E}[\sigma(x)^2]

    Among all marginals with a given covariance, the Gaussian has the largest entropy. The bound
    equals I(x; z) for a Gaussian x, a linear mean and a constant scale. The result estimates the
    bound, and is differentiable in ``mean`` and ``scale``.

    The log-determinant of the sample covariance is accurate only if the batch is much larger than
    the dimension. The function therefore uses Girko's G-estimator of the log-determinant (see
    Notes). For dimensions up to several times the batch size M, the bias of the G-estimator is of
    order 1/M.

    If classes are well separated, larger distances between the classes increase the bound, but not
    the information. With ``labels`` y, the bound uses the covariance within the classes,

    .. math:: I(x; z) \le H(y) + I(x; z | y) \le H(y) + \tfrac12 \log\det\big(
                  \mathbb{E}\,\mathrm{Cov}[\mu(x) | y] + \bar\Sigma\big)
                  - \mathbb{E} \sum_k \log \sigma_k(x) .

    The gradient equals the gradient of an upper bound of I(x; z | y), the information beyond the
    class.

    Parameters
    ----------
    mean : tensor of shape (M, d)
        Conditional means, one row for each input.
    scale : tensor broadcastable to (M, d)
        Conditional standard deviations, positive. Values on a GPU are not checked.
    labels : int tensor of shape (M,), default=None
        Class index of each input, counted from 0. There should be many more inputs than classes.
    floor : float in (0, 1), default=0.03
        Smallest value of w in the Notes. The floor has an effect only if the number of directions
        with much more signal than noise is about M or larger. Larger values increase the bias, and
        smaller values increase the variance.

    Returns
    -------
    tensor of shape ()
        Bound in nats, differentiable. The bound can be slightly negative for an encoder that
        ignores x.

    Notes
    -----
    Let n be M − 1, or M minus the number of classes. Divide the centred means by
    :math:`\bar\Sigma^{1/2}`. Let :math:`n g_i` be the eigenvalues of the Gram matrix of the scaled
    means. For w > 0, let :math:`u = \frac1n\sum_i 1/(g_i + w)` be the companion Stieltjes
    transform. The Marchenko-Pastur equation gives the population's eigenvalues τ through
    :math:`\sum_k \tau_k/(1 + \tau_k u) = n (1/u - w)`. The integral of the sum over u from 0 to 1
    is the log-determinant:

    .. math:: \log\det(I + \Sigma) = \sum_i \log(g_i + w) + n (1 - w)
              \quad\text{with } w \text{ such that } u = 1 .

    Compared with the log-determinant of the sample, the noise variance is w < 1 instead of 1, and
    the term n (1 − w) is added. The smaller variance compensates for the spread of the sample
    eigenvalues. If d ≥ n and nearly all sample eigenvalues are large, w is
    close to 0 or does not exist. For such small w, the integral is continued from the value of u at
    which :math:`w u` equals ``floor``. The continuation assumes that the remaining population
    eigenvalues, at most d, are equal. The continued integrand keeps its value and slope at the
    start.

    References
    ----------
    V. L. Girko, *An Introduction to Statistical Analysis of Random Arrays*, VSP, 1998.

    Examples
    --------
    For 256 dimensions with as much signal as noise, I = 128 log 2 = 88.7 nats. The batch has only
    100 samples:

    >>> import torch
    >>> from sk_mige.information import gaussian_mutual_info
    >>> generator = torch.Generator().manual_seed(0)
    >>> mean = torch.randn(100, 256, generator=generator)
    >>> bool(abs(gaussian_mutual_info(mean, torch.ones(256)) - 88.7) < 2)
    True
    """
    if check_real("mean", mean, floating=True).ndim != 2 or 0 in mean.shape:
        raise ValueError(
            f"mean must have one row for each input, shape (M, d); got {tuple(mean.shape)}"
        )
    scale = expanded_scale("scale", scale, tuple(mean.shape))
    floor = as_number("floor", floor, 0, 1)
    members = mean.new_ones(len(mean), 1) if labels is None else _members(labels, mean)
    information: Tensor = _GaussianInformation.call(mean, scale, members, floor)[0]
    if labels is None:
        return information
    share = members.mean(0)
    return information - (share * share.log()).sum()


@one_by_one
def _members(labels: Tensor, like: Tensor) -> Tensor:
    """Return the indicators (M, C) of the classes in the batch."""
    # Copy the labels to the CPU once, because each check would otherwise wait for the device.
    read = check_real("labels", labels).cpu()
    if read.is_floating_point() or read.shape != like.shape[:1] or bool((read < 0).any()):
        raise ValueError(
            f"labels must be {len(like)} class indices from 0, one for each row of mean; got "
            f"shape {tuple(labels.shape)}, {labels.dtype}"
        )
    classes, index = read.unique(return_inverse=True)  # type: ignore[no-untyped-call]
    return torch.nn.functional.one_hot(index, len(classes)).to(like)


class _GaussianInformation(OneByOne):
    r"""Bound and its gradients with respect to mean and scale, in one pass.

    The derivatives of shape (M, d) are explicit, because autograd's many small operations would
    take longer than the linear algebra. Let c be the means, centred and divided by
    :math:`n_k = \bar\Sigma_{kk}^{1/2}`. Let P be the derivative of ½ log det with respect to c. P
    is centred like c, and

    .. math:: \partial I/\partial\mu_{mk} = P_{mk}/n_k, \qquad
              \partial I/\partial\sigma_{mk} = \frac{\sigma_{mk}}{M n_k^2}
              \Big(1 - \sum_i P_{ik} c_{ik}\Big) - \frac{1}{M \sigma_{mk}} .
    """

    @staticmethod
    def forward(
        mean: Tensor, scale: Tensor, members: Tensor, floor: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        m, d = mean.shape
        n = m - members.shape[1]
        # In units of the noise, squares cannot overflow or underflow. Powers of two do not round.
        unit = scale.amax(0)
        unit = torch.where(unit > 0, unit.log2().floor().exp2(), 1.0)
        mean, scale = mean / unit, scale / unit
        variance = scale.square().mean(0)
        noise = variance.sqrt()
        value = noise.log().sum() - scale.log().sum() / m
        if n < 1:
            return value, torch.zeros_like(mean), (1 / noise - 1 / scale) / unit
        centred = (mean - members @ (members.mT @ mean / members.sum(0)[:, None])) / noise
        # In float32, rounding errors of strong directions would exceed weak directions.
        wide = centred if centred.device.type == "mps" else centred.double()
        by_rows = d >= n
        # Compute on the CPU, because LAPACK is faster than a GPU for a few hundred rows.
        gram = ((wide @ wide.mT if by_rows else wide.mT @ wide) / n).cpu()
        if not math.isfinite(float(gram.sum())):  # LAPACK would raise
            undefined = torch.full_like(mean, torch.nan)
            return value + torch.nan, undefined, undefined.clone()
        log_det, slope = _log_det(gram, n, d, floor)
        slope = slope.to(wide.device)
        by_centred = (slope @ wide if by_rows else wide @ slope).div_(n).to(mean)
        of_mean = by_centred / (noise * unit)
        share = (1 - (by_centred * centred).sum(0)) / (m * variance)
        of_scale = (scale * share - (m * scale).reciprocal()).div_(unit)
        return value + 0.5 * log_det, of_mean, of_scale

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: tuple[Tensor, Tensor, Tensor]) -> None:
        mean, scale, *_ = inputs
        _, *gradients = output
        ctx.mark_non_differentiable(*gradients)
        ctx.save_for_backward(mean, scale, *gradients)
        ctx.save_for_forward(mean, scale, *gradients)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor, Tensor, None, None]:
        of_mean, of_scale = _FirstDerivatives.apply(gradient, *ctx.saved_tensors)  # type: ignore[no-untyped-call]
        return of_mean, of_scale, None, None

    @staticmethod
    def jvp(ctx: Any, mean: Tensor, scale: Tensor, *_: Any) -> tuple[Tensor, None, None]:
        one = ctx.saved_tensors[0].new_ones(())
        of_mean, of_scale = _FirstDerivatives.apply(one, *ctx.saved_tensors)  # type: ignore[no-untyped-call]
        parts = [
            (slope * change).sum()
            for slope, change in ((of_mean, mean), (of_scale, scale))
            if change is not None
        ]
        return torch.stack(parts).sum(), None, None


class _FirstDerivatives(torch.autograd.Function):
    """Multiples of the gradients with respect to mean and scale, without second derivatives.

    NumPy computes a part of the gradients, so autograd has no record of their dependence on mean
    and scale. Second derivatives raise an error, because autograd would return 0.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        factor: Tensor, mean: Tensor, scale: Tensor, of_mean: Tensor, of_scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        return factor * of_mean, factor * of_scale

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError(SECOND)

    @staticmethod
    def jvp(ctx: Any, *_: Any) -> Any:
        raise NotImplementedError(SECOND)


def _log_det(gram: Tensor, n: int, d: int, floor: float) -> tuple[float, Tensor]:
    r"""Return the G-estimate of log det(I + Σ) and its gradient with respect to a Gram matrix G.

    Only the n largest eigenvalues of G are used, because centring removes the other directions. If
    G has fewer than n rows, the remaining eigenvalues are 0. The gradient is a polynomial in
    :math:`A = (G + w)^{-1}`, so no eigenvectors are needed. Computing eigenvectors would take most
    of the time. Let :math:`s_j = \frac1n \operatorname{tr} A^j` and u = s₁. If w solves u = 1, the
    estimate is stationary in w, and the gradient is A. Otherwise the estimate depends on G through
    w and the :math:`s_j`. Since w u is the floor, the gradient of w is
    :math:`\frac{w}{n (u - w s_2)} A^2`. Let b, c and e be the derivatives of the term added to
    :math:`\log\det(G + w) + n(1 - w)` with respect to u, s₂ and w. The gradient is then

    .. math:: A - \frac1n \Big(b - \frac{w\, (n (u - 1) + e - b s_2 - 2 c s_3)}{u - w s_2}
              \Big) A^2 - \frac{2c}{n} A^3 .
    """
    g = torch.linalg.eigvalsh(gram).double().numpy().clip(0)[-n:]
    g = np.concatenate([np.zeros(n - len(g)), g])
    reached = (1 / (g + floor)).mean() >= 1
    if reached:
        # At the root, the mean of 1 / (g + w) is 1. By Jensen's inequality, the mean is at least
        # 1 / (mean g + w), so the root is at least 1 - mean g. The function is convex and
        # decreasing.
        w = _root(g, max(1 - float(g.mean()), floor), lambda w, a: (a.sum() - n) / (a @ a))
    else:
        # The mean of w / (g + w) is the floor at the root. The function is concave and increasing.
        w = _root(g, floor, lambda w, a: (floor * n - w * a.sum()) / (g @ a**2))
    inverse = torch.cholesky_inverse(ridge_factor(gram, w))
    log_det = float(np.log(g + w).sum()) + n * (1 - w)
    if reached:
        return log_det, inverse
    resolvent = 1 / (g + w)
    u, s2, s3 = (float((resolvent**j).mean()) for j in (1, 2, 3))
    rest, b, c, e = _continuation(u, s2, w, n, d)
    by_w = n * (u - 1) + e - b * s2 - 2 * c * s3
    square = inverse @ inverse
    gradient = torch.sub(inverse, square, alpha=(b - w * by_w / (u - w * s2)) / n)
    if c:
        gradient.addmm_(square, inverse, alpha=-2 * c / n)
    return log_det + rest, gradient


def _continuation(
    u: float, s2: float, w: float, n: int, d: int
) -> tuple[float, float, float, float]:
    """Return the integral that is added to log det(G + w) + n(1 - w), and its derivatives.

    The integral from u to 1 assumes equal eigenvalues τ. The number of eigenvalues, at most d, and
    their size match the value and the slope of the integrand at u. The derivatives are with respect
    to u, s2 = mean (g + w)⁻² and w.
    """
    value, slope = n * (1 / u - w), n * (1 / u**2 - 1 / s2)
    bounded = slope * d <= value**2
    count = d if bounded else value**2 / slope
    x = value / count * (1 - u)
    by_value, by_slope = (1 - u) / (1 + x), 0.0
    if not bounded:
        by_value, by_slope = (
            2 * count / value * math.log1p(x) - by_value,
            count / slope * (x / (1 + x) - math.log1p(x)),
        )
    return (
        n * (math.log(u) + w - u * w) + count * math.log1p(x),
        value * x / (1 + x) - n / u**2 * (by_value + 2 / u * by_slope),
        n / s2**2 * by_slope,
        n * (1 - u - by_value),
    )


def _root(g: np.ndarray, w: float, step: Callable[[float, np.ndarray], float]) -> float:
    """Return a root, approached from the left by Newton steps ``step(w, 1 / (g + w))``."""
    for _ in range(50):
        change = float(step(w, 1 / (g + w)))
        w += change
        if change <= 1e-12 * w:
            break
    return w
