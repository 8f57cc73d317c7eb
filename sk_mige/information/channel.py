"""Gradient of mutual information with respect to the parameters of a channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sk_mige._contexts import on_cpu
from sk_mige._sizes import as_size
from sk_mige._warnings import warn_user
from sk_mige.information._samples import (
    MIN_SAMPLES,
    as_tensor,
    check_rows,
    noise_generator,
)
from sk_mige.information.axes import independent_columns
from sk_mige.information.sample_gradient import MutualInfoGradient, mutual_info_gradient

_NOT_DIFFERENTIABLE = (
    "family must be differentiable by torch with respect to theta, but {}: use torch operations on "
    "theta, without .item(), NumPy or torch.no_grad()"
)

# Relative steps of finite differences, and rounding errors of their slopes in float32.
STEPS, ROUNDING = (-1e-3, 1e-4, 3e-4), 1e-2
# Largest share of samples at which derivatives may differ from finite differences.
MAX_WRONG = 0.25


@on_cpu()
def channel_gradient(
    family: Callable[[Tensor, Tensor, Tensor], Tensor],
    theta: float | ArrayLike,
    x: ArrayLike | Tensor,
    *,
    n_noise: int | None = None,
    random_state: Any = 0,
    **options: Any,
) -> MutualInfoGradient:
    r"""Gradient of I(x; y) at θ for a parametric family of channels y = f(x, θ, ε).

    .. math:: \nabla_\theta I = -\mathbb{E}\big[(\nabla_y \log q(y) - \nabla_y \log q(x, y))^\top
              \nabla_\theta f(x, \theta, \varepsilon)\big]

    The noise is drawn by ``channel_gradient``. The family must consist of operations that torch can
    differentiate twice.

    Parameters
    ----------
    family : callable
        Function ``family(x, theta, noise) -> y`` of float64 tensors. The arguments have shapes
        (n, d), the shape of ``theta`` and (n, n_noise). The noise is standard normal. The result y
        must have n rows.
    theta : float or array-like of shape (p,)
        Parameters at which the gradient is estimated.
    x : array-like of shape (n, ...)
        Samples of x. Every row is flattened.
    n_noise : int, default=None
        Dimension of the noise. None means the dimension of x.
    random_state : int, RandomState instance, Generator instance or None, default=0
        Seed or generator of the noise. With an int, gradients at different θ use the same noise.
    **options
        Keyword arguments of :func:`mutual_info_gradient`.

    Returns
    -------
    MutualInfoGradient
        Gradient and standard error, of the shape of ``theta``.

    Raises
    ------
    ValueError
        If theta is not a finite number or vector, or if y has the wrong number of rows. The error
        is also raised if y does not depend on theta or on the noise. Errors of
        :func:`mutual_info_gradient` are raised as well.

    Warns
    -----
    UserWarning
        If the derivatives of y are 0 at all samples, or differ from finite differences at more than
        a quarter of the samples. The warning is also given if y has more columns than the noise.
        Warnings of :func:`mutual_info_gradient` are given as well.

    Examples
    --------
    For the channel y = θ x + ε with standard normal x and ε in 2 dimensions, I = log(1 + θ²). The
    derivative dI/dθ at θ = 1 is 1.

    >>> import numpy as np
    >>> from sk_mige.information import channel_gradient
    >>> x = np.random.default_rng(0).standard_normal((500, 2))
    >>> gradient, error = channel_gradient(lambda x, theta, noise: theta * x + noise, 1.0, x)
    >>> bool(abs(gradient - 1) < 3 * error)
    True
    """
    if not callable(family):
        raise TypeError(f"family must be a function of (x, theta, noise); got {family!r:.80}")
    with torch.inference_mode(False), torch.enable_grad():
        at = as_tensor("theta", theta)
        if not bool(at.isfinite().all()):
            raise ValueError(f"theta contains NaN or infinity; got {at.tolist()!s:.80}")
        samples = as_tensor("x", x)
        swapped = samples.shape[:1].numel() < MIN_SAMPLES <= at.numel()
        if at.ndim > 1 or at.numel() == 0 or swapped:
            raise ValueError(
                "theta must be a number or a vector, and x must have one sample in each row; got "
                f"shapes {tuple(at.shape)} and {tuple(samples.shape)}. Pass (family, theta, x) in "
                "this order"
            )
        rows = check_rows("x", samples).clone()
        noise = torch.randn(
            len(rows),
            rows.shape[1] if n_noise is None else as_size("n_noise", n_noise),
            generator=noise_generator(random_state),
            dtype=torch.float64,
        )
        y, derivative = _with_derivative(
            lambda t: _called(family, rows.clone(), t, noise.clone()), at, len(rows)
        )
        _check_noise(family, rows, at, noise)
    n_columns = len(independent_columns(check_rows("y", y)))
    if n_columns > noise.shape[1]:
        warn_user(
            f"y has {n_columns} linearly independent columns, but n_noise is {noise.shape[1]}. If "
            "columns of y share noise, the mutual information is infinite and has no gradient. "
            f"Pass n_noise={n_columns}, and use one column of noise for each column of y"
        )
    return mutual_info_gradient(rows, y, derivative, **options)


def _called(family: Callable[..., Tensor], x: Tensor, theta: Tensor, noise: Tensor) -> Tensor:
    """Call the family, and raise ValueError with the shapes if the call fails."""
    try:
        return family(x, theta, noise)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        if any(cause in str(error) for cause in ("requires grad", "numpy")):
            raise ValueError(_NOT_DIFFERENTIABLE.format(f"the call raised {error}")) from error
        shapes = [tuple(part.shape) for part in (x, theta, noise)]
        raise ValueError(
            f"family, called as family(x, theta, noise) with the shapes {shapes}, raised "
            f"{type(error).__name__}: {error}. If y has another number of columns than x, pass "
            "n_noise"
        ) from error


def _check_noise(
    family: Callable[[Tensor, Tensor, Tensor], Tensor], x: Tensor, theta: Tensor, noise: Tensor
) -> None:
    """Raise ValueError if y does not depend on the noise."""
    with torch.no_grad():
        first, second = (
            family(x.clone(), theta.clone(), z) for z in (noise.clone(), noise.flip(0))
        )
    # A constant y raises a different error.
    constant = bool((first == first[:1]).all())
    if torch.equal(first, second) and bool(first.isfinite().all()) and not constant:
        raise ValueError(
            "family must use its noise: y is a function of x alone, so I(x; y) is infinite and "
            "has no gradient. Add noise to y, as in theta * x + noise"
        )


def _with_derivative(
    channel: Callable[[Tensor], Tensor], at: Tensor, n_rows: int
) -> tuple[Tensor, Tensor]:
    """Return samples of the channel, and their derivatives with respect to the parameters."""
    theta = at.clone().requires_grad_()
    y = channel(theta)
    dense = isinstance(y, Tensor) and y.layout == torch.strided and not y.is_complex()
    if not dense or y.ndim < 1 or len(y) != n_rows:
        got = tuple(y.shape) if dense else getattr(y, "dtype", type(y).__name__)
        raise ValueError(
            "family must return a dense tensor of real numbers with one row for each of the "
            f"{n_rows} samples; got {got}"
        )
    # Other tensors, such as the weights of a network, can require gradients.
    seen = y.requires_grad and torch.autograd.grad(y.sum(), theta, allow_unused=True)[0] is not None
    if not seen:
        raise ValueError(_NOT_DIFFERENTIABLE.format("y does not depend on theta through torch"))
    directions = torch.eye(at.numel(), dtype=at.dtype).reshape(-1, *at.shape)
    # jvp takes two backward passes for each parameter, for any number of outputs.
    jvp = torch.autograd.functional.jvp
    columns = []
    for k, v in enumerate(directions):
        again, column = jvp(channel, at, v)  # type: ignore[no-untyped-call]
        columns.append(column)
        if torch.equal(again, y):  # otherwise, the family draws noise of its own
            _check_derivative(channel, at, v, y.detach(), column, k)
    if not any(bool(column.any()) for column in columns):
        warn_user(
            "the derivatives of family with respect to theta are 0 at all samples, so the gradient "
            "is 0. Replace steps, such as torch.round and torch.sign, by smooth functions"
        )
    return y.detach(), columns[0] if at.ndim == 0 else torch.stack(columns, -1)


@torch.no_grad()
def _check_derivative(
    channel: Callable[[Tensor], Tensor], at: Tensor, v: Tensor, y: Tensor, found: Tensor, k: int
) -> None:
    """Warn if the derivative of parameter k differs from finite differences in a column of y."""
    scale = abs(float((at * v).sum())) or 1.0
    try:
        slopes = torch.stack([(channel(at + h * scale * v) - y) / (h * scale) for h in STEPS])
    except Exception:  # the family may be undefined next to theta
        return
    # Slopes are unequal at kinks, at jumps, for fast oscillations, and next to infinities.
    mean, error = slopes.mean(0), 3 * (slopes.amax(0) - slopes.amin(0))
    error = error + 1e-3 * found.abs() + ROUNDING * y.abs() / scale
    # A mean of 0 indicates a step. The user can define the derivative of a step, for example as a
    # straight-through estimate.
    wrong = ((mean - found).abs() > error) & (mean.abs() > error)
    share = float(wrong.reshape(len(y), -1).double().mean(0).amax())
    if share > MAX_WRONG:
        warn_user(
            f"the derivatives of family with respect to parameter {k} of theta differ from finite "
            f"differences at {share:.0%} of the samples, so the gradient is wrong. Use torch "
            "operations on theta in all terms, without .item(), .detach() or NumPy"
        )
