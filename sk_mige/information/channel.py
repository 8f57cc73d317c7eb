"""The gradient of information through a channel that is given as a function of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sk_mige.information._checks import check_rows
from sk_mige.information._noise import noise_generator
from sk_mige.information.sample_gradient import MutualInfoGradient, mutual_info_gradient

__all__ = ["channel_gradient"]


def channel_gradient(
    family: Callable[[Tensor, Tensor, Tensor], Tensor],
    theta: float | ArrayLike,
    x: ArrayLike | Tensor,
    *,
    n_noise: int | None = None,
    random_state: int = 0,
    **options: Any,
) -> MutualInfoGradient:
    r"""Gradient of I(x; y) at θ for a parametric family of channels y = f(x, θ, ε).

    .. math:: \nabla_\theta I = -\mathbb{E}\big[(\nabla_y \log q(y) - \nabla_y \log q(x, y))^\top
              \nabla_\theta f(x, \theta, \varepsilon)\big]

    Noise is drawn and the family differentiated by torch: it must consist of operations that
    can be differentiated twice.

    Parameters
    ----------
    family : callable
        ``family(x, theta, noise) -> y`` on float64 tensors: x of shape (n, d), theta of the shape
        of ``theta``, noise standard normal of shape (n, n_noise); y of shape (n, any).
    theta : float or array-like of shape (p,)
        Parameters at which the gradient is taken.
    x : array-like of shape (n, ...)
        Samples of x; every row is flattened.
    n_noise : int, default=None
        Dimension of the noise; that of x by default.
    random_state : int, default=0
        Seed of the noise. At different θ the same noise is drawn, so that curves are smooth.
    **options
        Passed to :func:`mutual_info_gradient`.

    Returns
    -------
    MutualInfoGradient
        Gradient and standard error, of the shape of ``theta``.

    Raises
    ------
    ValueError
        If theta is no vector, if what the family returns has no row for each sample, is
        constant or not finite; and whatever :func:`mutual_info_gradient` refuses.

    Examples
    --------
    How much more information two standard normals send through a louder channel:
    I = log(1 + θ²), whose derivative at 1 is 1.

    >>> import numpy as np
    >>> from sk_mige.information import channel_gradient
    >>> x = np.random.default_rng(0).standard_normal((500, 2))
    >>> gradient, error = channel_gradient(lambda x, theta, noise: theta * x + noise, 1.0, x)
    >>> bool(abs(gradient - 1) < 3 * error)
    True
    """
    rows = check_rows("x", x)
    at = torch.as_tensor(np.asarray(theta, dtype=np.float64))
    if at.ndim > 1:
        raise ValueError(f"theta must be a number or a vector; got shape {tuple(at.shape)}")
    noise = torch.randn(
        len(rows),
        n_noise or rows.shape[1],
        generator=noise_generator(random_state),
        dtype=torch.float64,
    )

    def channel(theta: Tensor) -> Tensor:
        return family(rows, theta, noise)

    y = channel(at)
    if not isinstance(y, Tensor) or y.ndim < 1 or len(y) != len(rows):
        got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(
            f"family must return a tensor with a row for each of the {len(rows)} samples; got {got}"
        )
    directions = torch.eye(at.numel(), dtype=at.dtype).reshape(-1, *at.shape)
    # Two backward passes a parameter: one output more or less costs nothing.
    jvp = torch.autograd.functional.jvp
    columns = [jvp(channel, at, v)[1] for v in directions]  # type: ignore[no-untyped-call]
    derivative = columns[0] if at.ndim == 0 else torch.stack(columns, -1)
    return mutual_info_gradient(rows, y, derivative, **options)
