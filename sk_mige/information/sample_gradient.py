"""Gradient of mutual information from samples and their derivatives, with its standard error."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sk_mige._contexts import on_cpu
from sk_mige._warnings import warn_user
from sk_mige.information._samples import check_choice, check_columns_vary, warn_of_ties
from sk_mige.information._tensors import check_score
from sk_mige.information.axes import independent_columns
from sk_mige.information.entropies import (
    Entropies,
    Variable,
    gradient_terms,
    read_variables,
    with_undescribed,
)
from sk_mige.information.errors import mean_and_error
from sk_mige.information.margins import gaussianize_ranks
from sk_mige.information.noise import check_noise
from sk_mige.information.prediction import Predictions, leave_one_out_predictions
from sk_mige.score import ScoreFunction
from sk_mige.score.outliers import warn_of_outliers
from sk_mige.score.units import feature_units

# Relative standard error of the fraction of the signal that predictions miss.
UNSEEN = 0.3
# I(x; y) = H(x) + H(y) - H(x, y)
MUTUAL: Entropies = [(1, [0]), (1, [1]), (-1, [0, 1])]

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


@on_cpu()
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
        "distances" is for data with more columns than samples, such as images. The default "auto"
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
        method "batch" uses the means of the batches with fixed scores. The batch error includes
        only the sampling error of the expectation. Near independence, or if the scores do not
        resolve the data, the batch error is often several times too small.
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
        x or a column of y is constant. The error is also raised for infinite information, if
        columns of x and y, or their normal scores, have an exact linear relation. Exact relations
        are detected with at least 3 samples per column.

    Warns
    -----
    UserWarning
        If one of these conditions holds:

        - Columns are linear combinations of other columns, but the derivatives of the columns are
          not.
        - A few extreme values dominate the variance of a column, and ``margins`` and ``score`` are
          None.
        - A column of y has fewer distinct values than a tenth of the number of samples.
        - The pairs lie close to a surface, so that the information is nearly infinite.
        - The samples do not resolve the gradient, with ``standard_error="jackknife"``.
        - The predictions of ``joint="distances"`` capture less than a tenth of the signal in y, or
          y has more columns than the samples resolve.
        - Neighbouring rows share information that the scores do not describe, as for fast
          oscillations. The standard error is then infinite.

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
    :math:`y_R` add no information, :math:`I(x; y_K, y_R) = I(x; y_K)`. With
    ``joint="coordinates"``, the result is the gradient for the columns :math:`y_K` alone,

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
    check_score(score)
    (of_x, of_y), several = read_variables({"x": (x, dx), "y": (y, dy)})
    check_columns_vary("y", of_y.rows)
    if dx is not None and joint == "distances":
        raise ValueError(
            "joint='distances' estimates no score of x: with dx, pass joint='coordinates' or 'auto'"
        )
    n = len(of_x.rows)
    # Redundant columns add no information, and whitening would amplify their rounding errors.
    kept_x, kept_y = independent_columns(of_x.rows), independent_columns(of_y.rows)
    few = 3 * (len(kept_x) + len(kept_y)) <= n
    if joint == "auto":
        joint = "coordinates" if few or dx is not None else "distances"
    if joint == "coordinates":
        of_x, of_y = of_x.columns(kept_x), of_y.columns(kept_y)
        if margins is None and score is None:
            warn_of_outliers(of_x.rows, "x's column")
            warn_of_outliers(of_y.rows, "y's column")
    else:
        of_y = _leading_components(of_y)
    if few:
        check_noise(of_x.rows, of_y.rows)
    warn_of_ties("y", of_y.rows)

    if joint == "coordinates":
        return gradient_of_entropies(
            [of_x, of_y], MUTUAL, several, margins, standard_error, n_batches, score
        )

    def terms(rows: Tensor, settings: _Settings) -> tuple[Tensor, _Settings]:
        score, seen = settings
        own_x, own_y = of_x.at(rows), of_y.at(rows)
        if seen is None:
            seen = leave_one_out_predictions(own_x.rows, gaussianize_ranks(own_y.rows))
        else:
            seen = seen._replace(columns=seen.columns[rows])
        still = seen.columns.new_empty(*seen.columns.shape, 0)
        predicted = own_x._replace(rows=seen.columns, moved=still)
        found, score = gradient_terms([predicted, own_y], MUTUAL, margins, score)
        return found / seen.share, (score, seen)

    start = score, None
    gradient, error, (_, seen) = mean_and_error(terms, start, n, standard_error, n_batches)
    if not seen.resolved:
        warn_user(
            f"{n} samples of {of_x.rows.shape[1]} columns of x predict little of y, so the "
            "gradient can be far too small. Pass more samples, or project x to the relevant "
            "coordinates"
        )
    return _as_result(gradient, torch.hypot(error, gradient * UNSEEN * (1 - seen.share)), several)


def gradient_of_entropies(
    variables: list[Variable],
    entropies: Entropies,
    several: bool,
    margins: str | None,
    standard_error: str,
    n_batches: int,
    score: ScoreFunction | None = None,
) -> MutualInfoGradient:
    """Return the gradient of a sum of entropies, with its standard error."""

    def terms(rows: Tensor, score: ScoreFunction | None) -> tuple[Tensor, ScoreFunction]:
        return gradient_terms([v.at(rows) for v in variables], entropies, margins, score)

    n = len(variables[0].rows)
    gradient, error, used = mean_and_error(terms, score, n, standard_error, n_batches)
    return _as_result(gradient, with_undescribed(error, variables, margins, used), several)


def _as_result(gradient: Tensor, error: Tensor, several: bool) -> MutualInfoGradient:
    """Return gradient and standard error as arrays (p,), or as floats without a parameter axis."""
    if several:
        return MutualInfoGradient(gradient.numpy(), error.numpy())
    return MutualInfoGradient(float(gradient[0]), float(error[0]))


def _leading_components(of_y: Variable) -> Variable:
    """Return the leading principal components that the samples resolve, and their derivatives."""
    _, y, dy = of_y
    n, q = y.shape
    k = max(1, n // 6)
    if q < n // 3 or q <= k:
        return of_y
    warn_user(
        f"y has {q} columns, too many for {n} samples. The result is the gradient of the "
        f"information in {k} principal components of y. Pass more samples, or project y and dy to "
        "fewer columns"
    )
    units = feature_units(y)
    rows = units(y)
    axes = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:k].mT
    axes = axes / units.scale[:, None]
    return of_y._replace(rows=y @ axes, moved=torch.einsum("nqp,qk->nkp", dy, axes))
