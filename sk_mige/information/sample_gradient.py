"""Gradient of mutual information from samples and their derivatives, with its standard error."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sk_mige._warnings import warn_user
from sk_mige.information._samples import check_choice, check_derivative, check_pair
from sk_mige.information.axes import independent_axes, independent_columns
from sk_mige.information.gradients import joint_squared_distances
from sk_mige.information.margins import gaussianize_margins
from sk_mige.information.whitened import whitened_scores
from sk_mige.score import ScoreFunction, squared_distances, ssge
from sk_mige.score.outliers import warn_of_outliers
from sk_mige.score.units import feature_units

__all__ = ["MutualInfoGradient", "mutual_info_gradient"]

# Share of derivatives that may be inconsistent with linear relations of columns, by rounding.
COPIES = 1e-6


class MutualInfoGradient(NamedTuple):
    """Estimated gradient and its standard error.

    Attributes
    ----------
    gradient : float or array of shape (p,)
        Gradient dI/dθ in nats per unit of θ.
    standard_error : float or array of shape (p,)
        Standard deviation of the gradient over samples.

    Examples
    --------
    >>> from sk_mige.information import MutualInfoGradient
    >>> MutualInfoGradient(gradient=2.0, standard_error=0.1).gradient
    2.0
    """

    gradient: Any
    standard_error: Any


def mutual_info_gradient(
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    dy: ArrayLike | Tensor,
    *,
    dx: ArrayLike | Tensor | None = None,
    margins: str | None = "gaussian",
    joint: str = "auto",
    score: ScoreFunction | None = None,
    standard_error: str = "jackknife",
    n_batches: int = 10,
) -> MutualInfoGradient:
    r"""Gradient of I(x; y) with respect to parameters θ that y depends on, from samples.

    .. math:: \frac{dI}{d\theta} = -\mathbb{E}\Big[\big(\nabla_y \log q(y)
              - \nabla_y \log q(x, y)\big)^\top \frac{\partial y}{\partial\theta}\Big]

    plus the same term for x if ``dx`` is given.

    Parameters
    ----------
    x : array-like of shape (n, ...)
        Samples of x; every row is flattened.
    y : array-like of shape (n, ...)
        Samples of y, paired with the rows of x.
    dy : array-like of the shape of y, or with one more axis of length p
        Derivatives ∂y/∂θ of every sample at fixed noise, for one parameter or for p parameters.
    dx : array-like of the shape of x, or with one more axis of length p, default=None
        Derivatives ∂x/∂θ, if x depends on θ as well.
    margins : {"gaussian", None}, default="gaussian"
        Map of the margins. "gaussian" maps every coordinate towards a Gaussian by a smooth
        increasing function (:func:`gaussianize_margins`). Before the map, samples are rotated to
        independent axes if :func:`independent_axes` finds any. The map preserves the information
        and reverses cubes, exponentials and heavy tails. None uses the samples without a map.
    joint : {"auto", "coordinates", "distances"}, default="auto"
        Use of x in the joint score. "coordinates" uses its coordinates; x and y together should
        have at most a third as many as there are samples. "distances" uses its distances only, as
        the published estimator does for images. "auto" chooses by the number of coordinates.
    score : callable, default=None
        Score function, ``score(z)`` or, for distances, ``score(z, sq_distances=...)``. None is
        :func:`whitened_scores` for coordinates, and :func:`sk_mige.score.ssge` of standardised y
        for distances. The published estimator is ``score=ssge, margins=None,
        joint="coordinates"``.
    standard_error : {"jackknife", "batch"}, default="jackknife"
        Method for the standard error. "jackknife" repeats the estimate without each batch of
        samples in turn. Its error therefore includes the variance of the scores. "batch" uses the
        means of the batches with fixed scores and takes no additional time. Its error is right for
        large I and several times too small near independence.
    n_batches : int, default=10
        Number of batches of consecutive samples, at most the number of samples. For
        autocorrelated samples, batches should be longer than the correlation time.

    Returns
    -------
    MutualInfoGradient
        Gradient and standard error: floats, or arrays of shape (p,).

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, there are fewer than 4 samples, or a variable is
        constant.

    Warns
    -----
    UserWarning
        If columns of a variable are linear combinations of others and their derivatives are not.
        If a few extreme values of a column decide how it is whitened, with ``margins=None``.

    Notes
    -----
    The standard error does not contain the bias of the score estimate.

    Columns that are linear combinations of others, :math:`y_R = y_K B(\theta) + c(\theta)`, have no
    joint density with them. For every B and c they add no information,
    :math:`I(x; y_K, y_R) = I(x; y_K)`. With ``joint="coordinates"``, the result is the gradient
    of the other columns,

    .. math:: \frac{dI}{d\theta} = -\mathbb{E}\Big[\big(\nabla_{y_K} \log q(y_K)
              - \nabla_{y_K} \log q(x, y_K)\big)^\top \frac{\partial y_K}{\partial\theta}\Big] .

    Examples
    --------
    For y = ρ x + √(1 − ρ²) ε in 3 dimensions, dI/dρ = 3 ρ/(1 − ρ²). The derivative at ρ = 0.5
    is 2.

    >>> import numpy as np
    >>> from sk_mige.information import mutual_info_gradient
    >>> rng = np.random.default_rng(0)
    >>> x, noise = rng.standard_normal((2, 500, 3))
    >>> y, dy = 0.5 * x + np.sqrt(0.75) * noise, x - 0.5 / np.sqrt(0.75) * noise
    >>> gradient, error = mutual_info_gradient(x, y, dy)
    >>> bool(abs(gradient - 2) < 3 * error)
    True
    """
    check_choice("margins", margins, ("gaussian", None))
    check_choice("joint", joint, ("auto", "coordinates", "distances"))
    check_choice("standard_error", standard_error, ("batch", "jackknife"))
    x_rows, y_rows = check_pair(x, y)
    n = len(x_rows)
    if n_batches < 2:
        raise ValueError(f"n_batches must be at least 2; got {n_batches}")
    dy_rows, several = check_derivative("dy", dy, y, y_rows)
    dx_rows = None
    if dx is not None:
        dx_rows, several_x = check_derivative("dx", dx, x, x_rows)
        _check_both_derivatives(dx_rows, dy_rows, several_x == several, joint)
    # Redundant columns add no information, and whitening would amplify their rounding errors.
    kept_x, kept_y = independent_columns(x_rows), independent_columns(y_rows)
    if joint == "auto":
        few = 3 * (len(kept_x) + len(kept_y)) <= n
        joint = "coordinates" if few or dx is not None else "distances"
    if joint == "coordinates":
        if dx_rows is not None:
            dx_rows = _kept_derivatives("x", x_rows, dx_rows, kept_x)
        dy_rows = _kept_derivatives("y", y_rows, dy_rows, kept_y)
        x_rows, y_rows = x_rows[:, kept_x], y_rows[:, kept_y]
        if margins is None and score is None:
            warn_of_outliers(x_rows, "x's column")
            warn_of_outliers(y_rows, "y's column")

    def contributions(rows: Tensor) -> Tensor:
        part = None if dx_rows is None else dx_rows[rows]
        return _contributions(
            x_rows[rows],
            y_rows[rows],
            part,
            dy_rows[rows],
            margins=margins,
            joint=joint,
            score=score,
        )

    terms = contributions(torch.arange(n))
    gradient = terms.mean(0)
    batches = torch.arange(n).tensor_split(min(n_batches, n))
    if standard_error == "batch":
        error = _batch_error(terms, batches)
    else:
        without = [torch.cat([*batches[:k], *batches[k + 1 :]]) for k in range(len(batches))]
        values = [contributions(rows).mean(0) for rows in without]
        error = _jackknife_error(torch.stack(values))
    return MutualInfoGradient(_result(gradient, several), _result(error, several))


def _contributions(
    x: Tensor,
    y: Tensor,
    dx: Tensor | None,
    dy: Tensor,
    *,
    margins: str | None,
    joint: str,
    score: ScoreFunction | None,
) -> Tensor:
    """Terms of the gradient, one for each sample, shape (n, p)."""
    if margins == "gaussian":
        y, dy = _gaussianized(y, dy)
        if joint == "coordinates":
            x, moved = _gaussianized(x, y.new_zeros(*x.shape, 1) if dx is None else dx)
            dx = None if dx is None else moved
    if joint == "distances":
        scale = y.std(0, correction=0).clamp_min(torch.finfo(y.dtype).tiny)
        y, dy = y / scale, dy / scale[:, None]
        sq = joint_squared_distances(squared_distances(x), squared_distances(y))
        both = (score or ssge)(y, sq_distances=sq)
        return -torch.einsum("nd,ndp->np", (score or ssge)(y) - both, dy)
    score = score or whitened_scores
    both = score(torch.cat([x, y], dim=1))
    d = x.shape[1]
    terms = -torch.einsum("nd,ndp->np", score(y) - both[:, d:], dy)
    if dx is not None:
        terms = terms - torch.einsum("nd,ndp->np", score(x) - both[:, :d], dx)
    return terms


def _check_both_derivatives(dx: Tensor, dy: Tensor, same_axes: bool, joint: str) -> None:
    """Raise ValueError if dx and dy are derivatives with respect to different parameters."""
    if dx.shape[2] != dy.shape[2] or not same_axes:
        raise ValueError(
            "dx and dy must be derivatives with respect to the same parameters; got those for "
            f"{dx.shape[2]} and for {dy.shape[2]} parameters, or only one with an axis for them"
        )
    if joint == "distances":
        raise ValueError("dx needs joint='coordinates': 'distances' has no score of x")


def _kept_derivatives(name: str, z: Tensor, dz: Tensor, kept: list[int]) -> Tensor:
    """Return derivatives of the kept columns; warn if other columns are inconsistent."""
    if len(kept) < z.shape[1]:
        _check_copies(name, z, dz, kept)
    return dz[:, kept]


def _check_copies(name: str, z: Tensor, dz: Tensor, kept: list[int]) -> None:
    r"""Warn if columns are linear combinations of kept columns but their derivatives are not.

    If :math:`z_R = z_K B + c` for all parameters near θ, then
    :math:`\partial z_R = \partial z_K\, B + z_K\, \partial B + \partial c`.
    """
    units = feature_units(z)
    z, dz = units(z), dz / units.scale[:, None]
    rest = [k for k in range(z.shape[1]) if k not in kept]
    design = torch.cat([z[:, kept], torch.ones_like(z[:, :1])], dim=1)
    weights = torch.linalg.lstsq(design, z[:, rest]).solution[:-1]
    moved = dz[:, rest] - torch.einsum("nkp,kr->nrp", dz[:, kept], weights)
    moved = moved.flatten(1)
    left = moved - design @ torch.linalg.lstsq(design, moved).solution
    if left.norm() > COPIES * dz.norm():
        warn_user(
            f"columns {rest} of {name} are linear combinations of its other columns, but their "
            f"derivatives d{name} are not. The information may be discontinuous in the parameters. "
            "The result is the gradient of the other columns alone. Check the derivatives"
        )


def _gaussianized(z: Tensor, dz: Tensor) -> tuple[Tensor, Tensor]:
    """Samples in independent axes with Gaussian margins, and their derivatives."""
    axes = independent_axes(z)
    if axes is not None:
        z = z @ axes
        dz = torch.einsum("ndp,de->nep", dz, axes)
    z, slope = gaussianize_margins(z)
    return z, slope[..., None] * dz


def _batch_error(terms: Tensor, batches: tuple[Tensor, ...]) -> Tensor:
    """Standard error of the mean from the means of batches."""
    means = torch.stack([terms[rows].mean(0) for rows in batches])
    return means.std(0) / math.sqrt(len(batches))


def _jackknife_error(values: Tensor) -> Tensor:
    """Standard error from the estimates without each batch."""
    g = len(values)
    return ((g - 1) * (values - values.mean(0)).square().mean(0)).sqrt()


def _result(values: Tensor, several: bool) -> float | NDArray[np.float64]:
    return values.numpy() if several else float(values[0])
