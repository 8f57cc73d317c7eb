"""Gradient of mutual information from samples and their derivatives, with its standard error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sk_mige._warnings import warn_user
from sk_mige.information._samples import (
    check_choice,
    check_columns_vary,
    check_count,
    check_derivative,
    check_pair,
    warn_of_ties,
)
from sk_mige.information._tensors import check_scores
from sk_mige.information.axes import independent_axes, independent_columns
from sk_mige.information.errors import mean_and_error
from sk_mige.information.gradients import checked_scores
from sk_mige.information.margins import gaussianize_margins, gaussianize_ranks
from sk_mige.information.noise import check_noise
from sk_mige.information.prediction import Predictions, leave_one_out_predictions
from sk_mige.information.whitened import confirmed_bandwidth, whitened_scores
from sk_mige.score import ScoreFunction
from sk_mige.score.outliers import warn_of_outliers
from sk_mige.score.units import feature_units

# Largest inconsistency of derivatives with linear relations of columns, due to rounding.
COPIES = 1e-6
# Relative standard error of the fraction of the signal that predictions miss.
UNSEEN = 0.3

# A score function, and predictions that replace x. None means a choice from the rows.
_Settings = tuple[ScoreFunction | None, Predictions | None]


class MutualInfoGradient(NamedTuple):
    """Estimated gradient and its standard error.

    Attributes
    ----------
    gradient : float or array of shape (p,)
        Gradient dI/dθ in nats per unit of θ.
    standard_error : float or array of shape (p,)
        Standard error of the gradient in the same units.

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

    With ``dx``, the corresponding term with ∂x/∂θ is added.

    Parameters
    ----------
    x : array-like of shape (n, ...)
        Samples of x. Every row is flattened.
    y : array-like of shape (n, ...)
        Samples of y, paired with the rows of x.
    dy : array-like of the shape of y, or with one more axis of length p
        Derivatives ∂y/∂θ of every sample at fixed noise, for one parameter or for p parameters.
    dx : array-like of the shape of x, or with one more axis of length p, default=None
        Derivatives ∂x/∂θ, if x depends on θ as well.
    margins : {"gaussian", None}, default="gaussian"
        Map of the margins. The option "gaussian" maps every coordinate towards a Gaussian by a
        smooth increasing function (:func:`gaussianize_margins`). Before the map, samples are mapped
        to independent axes if :func:`independent_axes` finds any. The map preserves the
        information. Margins with heavy tails, and margins transformed by a cube or an exponential,
        become nearly Gaussian. If None, no map is applied.
    joint : {"auto", "coordinates", "distances"}, default="auto"
        Use of x in the joint score. The option "coordinates" uses the coordinates of x. With
        "distances", leave-one-out predictions of y from the distances of x replace x. The option
        "distances" suits data with more columns than samples, such as images. The default "auto"
        selects "coordinates" if ``dx`` is given, or with at least 3 samples for each linearly
        independent column of x and y.
    score : callable, default=None
        Score function ``score(z)``. None means :func:`whitened_scores`. The held-out loss of the
        joint score selects a bandwidth of 1, 1/2, 1/4 or 1/8 of the median distance. The published
        estimator is ``score=ssge, margins=None, joint="coordinates"``.
    standard_error : {"jackknife", "batch"}, default="jackknife"
        Method for the standard error. The method "jackknife" repeats the estimate without each
        batch of samples in turn, and for two halves of the samples. The jackknife error includes
        the variance of the estimated scores, and the error due to their limited resolution. The
        method "batch" uses the means of the batches with fixed scores.
        The batch error includes only the sampling error of the expectation. Near independence, or
        if the scores do not resolve the data, the batch error is often several times too small.
    n_batches : int, default=10
        Number of batches of consecutive samples, at most the number of samples. For
        autocorrelated samples, batches should be longer than the correlation time.

    Returns
    -------
    MutualInfoGradient
        Gradient and standard error, as floats or arrays of shape (p,).

    Raises
    ------
    ValueError
        If shapes disagree, a value is not a finite real number, there are fewer than 4 samples, or
        x or a column of y is constant. With at least 3 samples per column, if columns of x and y,
        or their normal scores, have an exact linear relation. The information is then infinite.

    Warns
    -----
    UserWarning
        If columns are linear combinations of other columns, but the derivatives of the columns are
        not. If a few extreme values dominate the variance of a column, and ``margins`` and
        ``score`` are None. If a column of y has fewer distinct values than a tenth of the number of
        samples. If the pairs lie close to a surface, so that the information is nearly infinite. If
        the samples do not resolve the gradient, with ``standard_error="jackknife"``. If the
        predictions of ``joint="distances"`` capture less than a tenth of the signal in y, or y has
        more columns than the samples resolve.

    Notes
    -----
    With the jackknife, the squared standard error is the sum of the squared jackknife error and the
    squared resolution. The resolution is :math:`|g_n - g_{n/2}| / (\sqrt 2 - 1)`. The gradient
    :math:`g_{n/2}` is the mean over two halves of the batches. The resolution equals the bias of
    :math:`g_n` if the bias decreases like :math:`1 / \sqrt n`. The resolution is omitted for fewer
    than 32 samples. A warning is issued if the resolution exceeds half of the gradient and three
    times the sampling error.

    With ``joint="distances"``, predictions of y from n samples capture only a fraction of the
    signal. A random-effects model [1]_ estimates the captured fraction of the signal-to-noise
    ratio, and the gradient is divided by the captured fraction. For a linear relation of Gaussians,
    division by the true fraction is exact. The standard error includes 30 % of the part of the
    gradient that the predictions miss. The time of the predictions grows as n\ :sup:`3`.

    Let :math:`y_R = y_K B(\theta) + c(\theta)` be columns that are linear combinations of other
    columns :math:`y_K`. All columns together have no density. For every B and c, the columns
    :math:`y_R` add no information,
    :math:`I(x; y_K, y_R) = I(x; y_K)`. With ``joint="coordinates"``, the result is the gradient for
    the columns :math:`y_K` alone,

    .. math:: \frac{dI}{d\theta} = -\mathbb{E}\Big[\big(\nabla_{y_K} \log q(y_K)
              - \nabla_{y_K} \log q(x, y_K)\big)^\top \frac{\partial y_K}{\partial\theta}\Big] .

    References
    ----------
    .. [1] J. Yang et al., "Common SNPs explain a large proportion of the heritability for human
       height", Nature Genetics 42, 2010.

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
    n_batches = check_count("n_batches", n_batches, 2)
    check_scores(score=score)
    x_rows, y_rows = check_pair(x, y)
    check_columns_vary("y", y_rows)
    n = len(x_rows)
    dy_rows, several = check_derivative("dy", dy, y, y_rows)
    dx_rows = None
    if dx is not None:
        dx_rows, several_x = check_derivative("dx", dx, x, x_rows)
        _check_both_derivatives(dx_rows, dy_rows, several_x == several, joint)
    # Redundant columns add no information, and whitening would amplify their rounding errors.
    kept_x, kept_y = independent_columns(x_rows), independent_columns(y_rows)
    few = 3 * (len(kept_x) + len(kept_y)) <= n
    if joint == "auto":
        joint = "coordinates" if few or dx is not None else "distances"
    if joint == "coordinates":
        if dx_rows is not None:
            dx_rows = _kept_derivatives("x", x_rows, dx_rows, kept_x)
        dy_rows = _kept_derivatives("y", y_rows, dy_rows, kept_y)
        x_rows, y_rows = x_rows[:, kept_x], y_rows[:, kept_y]
        if margins is None and score is None:
            warn_of_outliers(x_rows, "x's column")
            warn_of_outliers(y_rows, "y's column")
    if joint == "distances":
        y_rows, dy_rows = _leading_components(y_rows, dy_rows)
    if few:
        check_noise(x_rows, y_rows)
    warn_of_ties("y", y_rows)
    pairs = _Pairs(x_rows, y_rows, dx_rows, dy_rows, margins, joint)

    def terms(rows: Tensor, settings: _Settings) -> tuple[Tensor, _Settings]:
        score, seen = settings
        return pairs[rows].terms(score, seen and seen._replace(columns=seen.columns[rows]))

    gradient, error, (_, seen) = mean_and_error(terms, (score, None), n, standard_error, n_batches)
    if seen is not None:
        error = torch.hypot(error, gradient * UNSEEN * (1 - seen.share))
        _warn_if_unseen(seen, x_rows)
    return MutualInfoGradient(_result(gradient, several), _result(error, several))


@dataclass(frozen=True)
class _Pairs:
    """Paired samples with derivatives, and settings of the score estimates."""

    x: Tensor
    y: Tensor
    dx: Tensor | None
    dy: Tensor
    margins: str | None
    joint: str

    def __getitem__(self, rows: Tensor) -> _Pairs:
        dx = None if self.dx is None else self.dx[rows]
        return replace(self, x=self.x[rows], y=self.y[rows], dx=dx, dy=self.dy[rows])

    def terms(
        self, score: ScoreFunction | None, seen: Predictions | None
    ) -> tuple[Tensor, _Settings]:
        """Return the terms (n, p) of the gradient, and the settings that were used."""
        if self.joint == "distances":
            seen = seen or leave_one_out_predictions(self.x, gaussianize_ranks(self.y))
            predicted = replace(self, x=seen.columns, joint="coordinates")
            found, (score, _) = predicted.terms(score, None)
            return found / seen.share, (score, seen)
        mapped = self if self.margins is None else self._gaussianized()
        both = torch.cat([mapped.x, mapped.y], dim=1)
        if score is None:
            # Marginal and joint scores have the same bandwidth, so that their errors cancel.
            score = partial(whitened_scores, bandwidth_factor=confirmed_bandwidth(both))
        return mapped._terms(score, checked_scores(score, both)), (score, None)

    def _gaussianized(self) -> _Pairs:
        y, dy = _gaussianized(self.y, self.dy)
        dx = self.y.new_zeros(*self.x.shape, 1) if self.dx is None else self.dx
        x, dx = _gaussianized(self.x, dx)
        return replace(self, x=x, y=y, dy=dy, dx=None if self.dx is None else dx)

    def _terms(self, score: ScoreFunction, joint_scores: Tensor) -> Tensor:
        d = self.x.shape[1]
        terms = -torch.einsum("nd,ndp->np", score(self.y) - joint_scores[:, d:], self.dy)
        if self.dx is not None:
            difference = score(self.x) - joint_scores[:, :d]
            terms = terms - torch.einsum("nd,ndp->np", difference, self.dx)
        return terms


def _warn_if_unseen(seen: Predictions, x: Tensor) -> None:
    if not seen.resolved:
        warn_user(
            f"{len(x)} samples of {x.shape[1]} columns of x predict little of y, so the gradient "
            "can be far too small. Pass more samples, or project x to the relevant coordinates"
        )


def _leading_components(y: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """Return the leading principal components that the samples resolve, and their derivatives."""
    n, q = y.shape
    k = max(1, n // 6)
    if q < n // 3 or q <= k:
        return y, dy
    warn_user(
        f"y has {q} columns, too many for {n} samples. The result is the gradient of the "
        f"information in {k} principal components of y. Pass more samples, or project y and dy to "
        "fewer columns"
    )
    units = feature_units(y)
    rows = units(y)
    axes = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:k].mT
    axes = axes / units.scale[:, None]
    return y @ axes, torch.einsum("nqp,qk->nkp", dy, axes)


def _check_both_derivatives(dx: Tensor, dy: Tensor, same_axes: bool, joint: str) -> None:
    """Raise ValueError if dx and dy differ in their parameters, or if joint="distances"."""
    if dx.shape[2] != dy.shape[2] or not same_axes:
        raise ValueError(
            "dx and dy must be derivatives with respect to the same parameters; got "
            f"{dx.shape[2]} and {dy.shape[2]} parameters, or a parameter axis in only one"
        )
    if joint == "distances":
        raise ValueError("dx needs joint='coordinates': 'distances' has no score of x")


def _kept_derivatives(name: str, z: Tensor, dz: Tensor, kept: list[int]) -> Tensor:
    """Return derivatives of the kept columns, and warn if derivatives of other columns disagree."""
    if len(kept) < z.shape[1]:
        _check_copies(name, z, dz, kept)
    return dz[:, kept]


def _check_copies(name: str, z: Tensor, dz: Tensor, kept: list[int]) -> None:
    r"""Warn if columns are linear combinations of kept columns but their derivatives are not.

    Let :math:`z_R = z_K B + c` for all parameters near θ. The derivatives satisfy :math:`\partial
    z_R = \partial z_K\, B + z_K\, \partial B + \partial c`.
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
            f"columns {rest} of {name} are linear combinations of other columns, but their "
            f"derivatives d{name} are not. The information may be discontinuous in the parameters. "
            "The result is the gradient of the other columns alone. Check the derivatives"
        )


def _gaussianized(z: Tensor, dz: Tensor) -> tuple[Tensor, Tensor]:
    """Return samples with nearly Gaussian margins, on independent axes if any, and derivatives."""
    axes = independent_axes(z)
    if axes is not None:
        z = z @ axes
        dz = torch.einsum("ndp,de->nep", dz, axes)
    z, slope = gaussianize_margins(z)
    return z, slope[..., None] * dz


def _result(values: Tensor, several: bool) -> float | NDArray[np.float64]:
    return values.numpy() if several else float(values[0])
