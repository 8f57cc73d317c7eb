"""Mutual information in nats, from scores along a path of increasing noise."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sk_mige._warnings import warn_user
from sk_mige.information._samples import check_choice, check_pair, noise_generator
from sk_mige.information.axes import independent_axes, independent_columns
from sk_mige.information.fisher import relative_fisher_information
from sk_mige.information.margins import gaussianize_ranks
from sk_mige.information.path import integrate_rates
from sk_mige.score import whitening
from sk_mige.score.outliers import warn_of_outliers
from sk_mige.score.subspace import varying_units
from sk_mige.score.units import feature_units

__all__ = ["MutualInfo", "mutual_info_score_based"]

# Share and size of the part from the smallest steps above which a warning is issued.
FINE_SHARE, FINE_NATS = 1 / 3, 0.2


class MutualInfo(NamedTuple):
    """An estimated mutual information.

    Attributes
    ----------
    value : float
        Mutual information in nats. It is infinite if a linear combination of y equals one of x,
        before or after the map to normal scores.
    standard_error : float
        Standard deviation of the value, without the bias of the score estimates.
    gaussian : float
        Part of the value that the covariance determines.

    Examples
    --------
    >>> from sk_mige.information import MutualInfo
    >>> MutualInfo(value=1.5, standard_error=0.1, gaussian=1.2).value
    1.5
    """

    value: float
    standard_error: float
    gaussian: float


def mutual_info_score_based(
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    margins: str | None = "gaussian",
    n_landmarks: int = 300,
    n_folds: int = 4,
    random_state: int = 0,
) -> MutualInfo:
    r"""Mutual information of x and y in nats, from estimated scores.

    By de Bruijn's identity, the divergence of a distribution from the Gaussian g with the same
    mean and covariance is the integral of its relative Fisher information along the
    Ornstein-Uhlenbeck path,

    .. math:: D(p \| g) = \tfrac12 \int_0^\infty \mathbb{E}\,\|\nabla\log p_s - \nabla\log g\|^2
              \, ds,

    and, with a permutation :math:`\pi` of the samples that makes x and y independent,

    .. math:: I(x; y) = I_\text{Gauss} + D(p_{x, y} \| g) - D(p_{x, \pi y} \| g_\pi) .

    Parameters
    ----------
    x : array-like of shape (n, ...)
        Samples of x; every row is flattened.
    y : array-like of shape (n, ...)
        Samples of y, paired with the rows of x.
    margins : {"gaussian", None}, default="gaussian"
        Map of the margins. "gaussian" replaces each coordinate by its normal scores, after a
        rotation to independent axes if :func:`independent_axes` finds any. It preserves the
        information and makes the Gaussian part exact for increasing transforms of the coordinates
        of Gaussians. None uses the samples as they are, which is better for mixtures of clusters.
    n_landmarks : int, default=300
        Number of kernel sections of the score estimate.
    n_folds : int, default=4
        Number of folds for cross-fitting. Without it, squared norms of estimated scores would be
        too large.
    random_state : int, default=0
        Seed of the path's noise and of the permutation.

    Returns
    -------
    MutualInfo
        Value, standard error and Gaussian part. Columns that are constant, linear combinations or
        increasing functions of other columns of the same variable are left out.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, there are fewer than 4 samples, a variable is
        constant, or both together have more than a third as many coordinates as samples.

    Warns
    -----
    UserWarning
        If a few extreme values of a coordinate decide how it is whitened, with ``margins=None``.
        If a coordinate has fewer distinct values than a tenth of the number of samples. Scores
        exist for densities only, so the result is not valid for classes and counts. A second
        warning is issued if more than a third of the value comes from the smallest steps of
        noise. One variable is then nearly a function of the other, and their information is
        larger than the value, or infinite.

    See Also
    --------
    sklearn.feature_selection.mutual_info_classif : Mutual information with a class y.

    Notes
    -----
    The Gaussian part is corrected for the exact bias of the sample covariance's
    log-determinants. The integral uses noise that decreases geometrically until further steps
    have a negligible effect. Its error is half a percent for exact scores.

    The value can be biased in either direction by more than the standard error, which does not
    contain the bias of the score estimates. Each rate is too small by the mean squared error of
    its score (:func:`relative_fisher_information`), so both divergences are too small. The value
    is too high or too low by the difference of their errors:

    - These errors cancel if the dependence is Gaussian after the map of the margins.
    - The value is often too low for dependence that is not Gaussian, such as y = x² + σε. It is
      far too low for heavy-tailed pairs (Student's t) and for functions that oscillate within the
      kernel's bandwidth, such as y = sin(8 x) + σε. More samples reduce this bias.
    - The value can be too high for samples near a curved surface, such as a Swiss roll.

    If the samples give no evidence of a non-Gaussian distribution, both divergences are 0. The
    value is then the Gaussian part.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige.information import mutual_info_score_based
    >>> rng = np.random.default_rng(0)
    >>> x, noise = rng.standard_normal((2, 1000, 2))
    >>> y = (0.8 * x + 0.6 * noise) ** 3  # I = -log(1 - 0.64) = 1.02 nats, cubes or not
    >>> value, error, _ = mutual_info_score_based(x, y)
    >>> bool(abs(value - 1.02) < 3 * error)
    True
    """
    check_choice("margins", margins, ("gaussian", None))
    x_rows, y_rows = check_pair(x, y, constant_columns=True)
    if n_folds < 2:
        raise ValueError(f"n_folds must be at least 2; got {n_folds}")
    if n_folds > len(x_rows):
        raise ValueError(
            f"n_folds must be at most the number of samples, {len(x_rows)}; got {n_folds}"
        )
    if n_landmarks < 1:
        raise ValueError(f"n_landmarks must be at least 1; got {n_landmarks}")
    discrete = _warn_of_ties("x", x_rows) or _warn_of_ties("y", y_rows)
    if margins is None:
        warn_of_outliers(x_rows, "x's column")
        warn_of_outliers(y_rows, "y's column")
    x_rows, y_rows = _independent(x_rows, margins), _independent(y_rows, margins)
    n, d = len(x_rows), x_rows.shape[1] + y_rows.shape[1]
    if 3 * d > n:
        raise ValueError(
            f"x and y have {d} coordinates together and {n} samples; at least 3 samples for each "
            "coordinate are needed. Project x or y to fewer dimensions, or collect more samples"
        )
    infinite = _collinear(x_rows, y_rows)
    # From here on nothing depends on the units and signs of columns, the path's noise included.
    x_rows, y_rows = feature_units(x_rows)(x_rows), feature_units(y_rows)(y_rows)
    if margins == "gaussian" and not infinite:
        x_rows, y_rows = _normal_scores(x_rows), _normal_scores(y_rows)
        infinite = _collinear(x_rows, y_rows)
    if infinite:
        return MutualInfo(math.inf, math.nan, math.inf)
    x_rows, y_rows = _whitened(x_rows), _whitened(y_rows)
    gaussian, terms = _gaussian_information(x_rows, y_rows)
    generator = noise_generator(random_state)
    shuffled = y_rows[torch.randperm(n, generator=generator)]
    pairs = [_whitened(torch.cat([x_rows, part], dim=1)) for part in (y_rows, shuffled)]

    def rates(s: float) -> Tensor:
        # Fresh noise at each step, so that its randomness averages out over the path.
        noise = torch.randn(pairs[0].shape, generator=generator, dtype=x_rows.dtype)
        noisy = [pair + math.sqrt(math.expm1(s)) * noise for pair in pairs]
        joint, product = (relative_fisher_information(z, n_landmarks, n_folds) for z in noisy)
        return joint - product

    correction, fine = integrate_rates(rates)  # one value for each fold
    variance = terms.var() / n + correction.var() / n_folds
    value, fine_nats = gaussian + float(correction.mean()), float(fine.mean())
    if not discrete and fine_nats > max(FINE_SHARE * value, FINE_NATS):
        warn_user(
            f"{fine_nats:.1f} of {value:.1f} nats come from scales below a tenth of a standard "
            "deviation: x and y are nearly functions of each other, or lie close to a surface. "
            "Their information is larger than the value, or infinite. A larger n_landmarks and "
            "more samples increase the value"
        )
    return MutualInfo(value, math.sqrt(float(variance)), gaussian)


def _warn_of_ties(name: str, rows: Tensor) -> bool:
    """Whether a column has few distinct values; warn about the first."""
    for column, values in enumerate(rows.mT):
        distinct = len(values.unique())
        if distinct > 1 and 10 * distinct < len(values):
            warn_user(
                f"column {column} of {name} has {distinct} values in {len(values)} samples: it has "
                "no density, so estimates from scores are not valid. For classes use "
                "sklearn.feature_selection.mutual_info_classif"
            )
            return True
    return False


def _independent(z: Tensor, margins: str | None) -> Tensor:
    """Columns of z without linear combinations and increasing functions of other columns."""
    z = z[:, independent_columns(z)]
    if margins is None:
        return z
    # Increasing functions of other columns have the same ranks.
    return z[:, independent_columns(gaussianize_ranks(z))]


def _normal_scores(z: Tensor) -> Tensor:
    """Normal scores, in independent axes if there are any."""
    axes = independent_axes(z)
    return gaussianize_ranks(z if axes is None else z @ axes)


def _whitened(z: Tensor) -> Tensor:
    """Coordinates with mean 0 and sample covariance I."""
    return whitening(z, 0.0)[0](z)


def _collinear(x: Tensor, y: Tensor) -> bool:
    """Whether a linear combination of y equals one of x, up to rounding."""
    return varying_units(torch.cat([x, y], dim=1))[2] is not None


def _gaussian_information(x: Tensor, y: Tensor) -> tuple[float, Tensor]:
    """Unbiased I of the Gaussian with the covariance of whitened x and y, and its terms (n,)."""
    n, dx, dy = len(x), x.shape[1], y.shape[1]
    left, rho, right = torch.linalg.svd(x.mT @ y / n, full_matrices=False)
    information = -0.5 * torch.log1p(-rho.square()).sum()
    # The bias of the log det of a Wishart matrix is a sum of digammas for every covariance.
    dof = torch.arange(n - 1, n - 1 - dx - dy, -1, dtype=x.dtype) / 2
    psi = torch.digamma(dof)
    bias = 0.5 * (psi[:dx].sum() + psi[:dy].sum() - psi.sum())
    u, v = x @ left, y @ right.mT
    # Log density ratios, whose spread over samples is the sampling error of the information.
    quadratic = (u.square() + v.square()) * rho.square() - 2 * rho * u * v
    terms = -0.5 * (quadratic / (1 - rho.square())).sum(1)
    return float(information - bias), terms
