"""Gradients of conditional information, total correlation and transfer entropy, from samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sk_mige._contexts import on_cpu
from sk_mige.information._samples import check_choice
from sk_mige.information.axes import independent_columns
from sk_mige.information.entropies import (
    Entropies,
    Variable,
    read_variables,
)
from sk_mige.information.lags import check_lag, past_and_present
from sk_mige.information.sample_gradient import MutualInfoGradient, gradient_of_entropies
from sk_mige.score.outliers import warn_of_outliers

# I(x; y | z) = H(x, z) + H(y, z) - H(z) - H(x, y, z)
CONDITIONAL: Entropies = [(1, [0, 2]), (1, [1, 2]), (-1, [2]), (-1, [0, 1, 2])]


@on_cpu()
def conditional_mutual_info_gradient(
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    z: ArrayLike | Tensor,
    *,
    dx: ArrayLike | Tensor | None = None,
    dy: ArrayLike | Tensor | None = None,
    dz: ArrayLike | Tensor | None = None,
    margins: str | None = "gaussian",
    standard_error: str = "jackknife",
    n_batches: int = 10,
) -> MutualInfoGradient:
    r"""Gradient of I(x; y | z) with respect to parameters θ, from samples.

    .. math:: I(x; y \mid z) = H(x, z) + H(y, z) - H(z) - H(x, y, z), \qquad
              \frac{dH(u)}{d\theta} = -\mathbb{E}\Big[\nabla_u \log q(u)^\top
              \frac{\partial u}{\partial\theta}\Big]

    Parameters
    ----------
    x : array-like of shape (n, ...)
        Samples of x. Every row is flattened.
    y : array-like of shape (n, ...)
        Samples of y, paired with the rows of x.
    z : array-like of shape (n, ...)
        Samples of the condition, paired with the rows of x.
    dx : array-like of the shape of x, or with one more axis of length p, default=None
        Derivatives ∂x/∂θ of every sample at fixed noise, for one parameter or for p parameters.
        None means that x does not depend on θ.
    dy : array-like of the shape of y, or with one more axis of length p, default=None
        Derivatives ∂y/∂θ.
    dz : array-like of the shape of z, or with one more axis of length p, default=None
        Derivatives ∂z/∂θ.
    margins : {"gaussian", None}, default="gaussian"
        Map of the margins, as in :func:`mutual_info_gradient`. If None, no map is applied.
    standard_error : {"jackknife", "batch"}, default="jackknife"
        Method for the standard error, as in :func:`mutual_info_gradient`.
    n_batches : int, default=10
        Number of batches of consecutive samples, at most the number of samples.

    Returns
    -------
    MutualInfoGradient
        Gradient in nats per unit of θ, and its standard error, as floats or arrays of shape (p,).

    Raises
    ------
    ValueError
        If no derivative is given, or if numbers of samples or of parameters differ. The error is
        also raised if a value is not finite, a variable is constant, or there are fewer than 3
        samples per column. A linear combination of columns of one variable that is a linear
        function of the other variables also raises the error.

    See Also
    --------
    mutual_info_gradient : Gradient of I(x; y).
    sk_mige.conditional_mutual_info : Value of the conditional mutual information.

    Notes
    -----
    The scores are estimated by :func:`whitened_scores`.

    Examples
    --------
    For y = θ x + z + noise, I(x; y | z) = ½ log(1 + θ²). The derivative at θ = 1 is ½:

    >>> import numpy as np
    >>> from sk_mige.information import conditional_mutual_info_gradient
    >>> x, z, noise = np.random.default_rng(0).standard_normal((3, 1000))
    >>> gradient, error = conditional_mutual_info_gradient(x, x + z + noise, z, dy=x)
    >>> bool(abs(gradient - 0.5) < 3 * error)
    True
    """
    found, several = _variables({"x": (x, dx), "y": (y, dy), "z": (z, dz)}, margins)
    _check_joint(found)
    return gradient_of_entropies(found, CONDITIONAL, several, margins, standard_error, n_batches)


@on_cpu()
def total_correlation_gradient(
    variables: Sequence[ArrayLike | Tensor],
    derivatives: Sequence[ArrayLike | Tensor | None],
    *,
    margins: str | None = "gaussian",
    standard_error: str = "jackknife",
    n_batches: int = 10,
) -> MutualInfoGradient:
    r"""Gradient of the total correlation with respect to parameters θ, from samples.

    .. math:: T(x_1, \dots, x_m) = \sum_i H(x_i) - H(x_1, \dots, x_m), \qquad
              \frac{dH(u)}{d\theta} = -\mathbb{E}\Big[\nabla_u \log q(u)^\top
              \frac{\partial u}{\partial\theta}\Big]

    Parameters
    ----------
    variables : sequence of array-likes of shape (n, ...)
        Samples of at least two variables, with paired rows.
    derivatives : sequence of array-likes
        Derivatives ∂xᵢ/∂θ of the variables at fixed noise, or None for a variable that does not
        depend on θ. Each derivative has the shape of the variable, or one more axis of length p.
    margins : {"gaussian", None}, default="gaussian"
        Map of the margins, as in :func:`mutual_info_gradient`. If None, no map is applied.
    standard_error : {"jackknife", "batch"}, default="jackknife"
        Method for the standard error, as in :func:`mutual_info_gradient`.
    n_batches : int, default=10
        Number of batches of consecutive samples, at most the number of samples.

    Returns
    -------
    MutualInfoGradient
        Gradient in nats per unit of θ, and its standard error, as floats or arrays of shape (p,).

    Raises
    ------
    ValueError
        If there are fewer than two variables, or if the numbers of derivatives and variables
        differ. Errors of :func:`conditional_mutual_info_gradient` are raised as well.

    See Also
    --------
    sk_mige.total_correlation : Value of the total correlation.

    Examples
    --------
    For two variables, T = I(x; y). For y = x + θ noise at θ = 1, I = ½ log(1 + 1/θ²) and the
    derivative is −½:

    >>> import numpy as np
    >>> from sk_mige.information import total_correlation_gradient
    >>> x, noise = np.random.default_rng(0).standard_normal((2, 1000))
    >>> gradient, error = total_correlation_gradient([x, x + noise], [None, noise])
    >>> bool(abs(gradient + 0.5) < 3 * error)
    True
    """
    m = len(variables)
    if m < 2 or len(derivatives) != m:
        raise ValueError(
            "variables and derivatives must be sequences of the same length, at least 2; got the "
            f"lengths {m} and {len(derivatives)}. Pass None as the derivative of a variable that "
            "does not depend on the parameters"
        )
    pairs = zip(variables, derivatives, strict=True)
    found, several = _variables({f"x{k}": pair for k, pair in enumerate(pairs, start=1)}, margins)
    entropies = [(1, [k]) for k in range(m)] + [(-1, list(range(m)))]
    _check_joint(found)
    return gradient_of_entropies(found, entropies, several, margins, standard_error, n_batches)


@on_cpu()
def transfer_entropy_gradient(
    source: ArrayLike | Tensor,
    target: ArrayLike | Tensor,
    *,
    dsource: ArrayLike | Tensor | None = None,
    dtarget: ArrayLike | Tensor | None = None,
    lag: int = 1,
    margins: str | None = "gaussian",
    standard_error: str = "jackknife",
    n_batches: int = 10,
) -> MutualInfoGradient:
    r"""Gradient of the transfer entropy with respect to parameters θ, from two series.

    .. math:: T_{x \to y} = I(y_t; (x_{t-1}, \dots, x_{t-L}) \mid y_{t-1}, \dots, y_{t-L})

    Parameters
    ----------
    source : array-like of shape (n_times,) or (n_times, n_columns)
        Series x, equally spaced in time.
    target : array-like of shape (n_times,) or (n_times, n_columns)
        Series y at the same time points.
    dsource : array-like of the shape of source, or with one more axis of length p, default=None
        Derivatives ∂x/∂θ of the series at fixed noise. None means that x does not depend on θ.
    dtarget : array-like of the shape of target, or with one more axis of length p, default=None
        Derivatives ∂y/∂θ, including the effect of θ on earlier values of y.
    lag : int, default=1
        Number L of past values of each series.
    margins : {"gaussian", None}, default="gaussian"
        Map of the margins, as in :func:`mutual_info_gradient`. If None, no map is applied.
    standard_error : {"jackknife", "batch"}, default="jackknife"
        Method for the standard error, as in :func:`mutual_info_gradient`.
    n_batches : int, default=10
        Number of batches of consecutive time points. Batches should be longer than the correlation
        time.

    Returns
    -------
    MutualInfoGradient
        Gradient in nats per unit of θ, and its standard error, as floats or arrays of shape (p,).

    Raises
    ------
    ValueError
        If ``lag`` is not a positive int, or leaves fewer than 10 time points. Errors of
        :func:`conditional_mutual_info_gradient` are raised as well.

    See Also
    --------
    sk_mige.transfer_entropy : Value of the transfer entropy.

    Examples
    --------
    For y_t = θ x_{t-1} + noise_t, the transfer entropy is ½ log(1 + θ²). The derivative at θ = 1 is
    ½:

    >>> import numpy as np
    >>> from sk_mige.information import transfer_entropy_gradient
    >>> x, noise = np.random.default_rng(0).standard_normal((2, 1000))
    >>> past = np.roll(x, 1)
    >>> gradient, error = transfer_entropy_gradient(x, past + noise, dtarget=past)
    >>> bool(abs(gradient - 0.5) < 3 * error)
    True
    """
    found, several = _variables({"source": (source, dsource), "target": (target, dtarget)}, margins)
    check_lag(lag, len(found[0].rows))
    (source_past, _), (past, present) = (_windows(series, lag) for series in found)
    parts = [source_past, present, past]
    _check_joint(parts)
    return gradient_of_entropies(parts, CONDITIONAL, several, margins, standard_error, n_batches)


def _variables(
    named: dict[str, tuple[Any, Any]], margins: str | None
) -> tuple[list[Variable], bool]:
    """Validate variables, leave out dependent columns, and detect a parameter axis."""
    check_choice("margins", margins, ("gaussian", None))
    found, several = read_variables(named)
    found = [variable.columns(independent_columns(variable.rows)) for variable in found]
    for variable in found if margins is None else ():
        warn_of_outliers(variable.rows, f"{variable.name}'s column")
    return found, several


def _windows(series: Variable, lag: int) -> list[Variable]:
    """Return past and present values of a series, and of its derivatives."""
    rows, moved = (
        map(torch.from_numpy, past_and_present(part.numpy(), lag)) for part in series[1:]
    )
    pairs = zip(rows, moved, strict=True)
    return [series._replace(rows=own, moved=slope) for own, slope in pairs]


def _check_joint(variables: list[Variable]) -> None:
    """Raise ValueError for too few samples, or if columns are linearly dependent."""
    joint = torch.cat([variable.rows for variable in variables], dim=1)
    n, d = joint.shape
    if n < 3 * d:
        raise ValueError(
            f"the variables x, y, ... have {d} columns together, but only {n} samples; at least 3 "
            "samples per column are needed. Project the variables to fewer columns, or draw more "
            "samples"
        )
    if len(independent_columns(joint)) < d:
        raise ValueError(
            "the variables x, y, ... share a linear combination of columns without noise, and "
            "their information is infinite; remove the combination from one variable"
        )
