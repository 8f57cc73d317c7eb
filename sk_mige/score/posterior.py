"""Posterior distribution of the errors of an estimated score."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .folds import radial_folds
from .model import KernelExpansion, ScoreModel
from .precision import widest_dtype
from .spectrum import cholesky_in_place

# Largest number of centres, and number of draws from the posterior.
MAX_CENTERS, N_DRAWS = 1_000, 256
# Number of rows of a chunk.
CHUNK_ROWS = 4_096
# Ridge of the quadratic form, relative to its trace. The ridge exceeds rounding errors.
RIDGE = 1e-13


@dataclass(frozen=True)
class ScoreErrors:
    r"""Posterior of the errors :math:`e_i` of scores, :math:`E[e_i e_j^\top] = v_{ij} B^\top B`.

    Attributes
    ----------
    draws : Tensor of shape (n, R)
        Matrix whose rows have the inner products :math:`v_{ij}`.
    root : Tensor of shape (r, d)
        Root B of the covariance of the prior, in units of 1 / feature.
    """

    draws: Tensor
    root: Tensor


def score_errors(model: ScoreModel, alpha: float, x: Tensor) -> ScoreErrors | None:
    r"""Return the posterior of the errors of a fitted score at the rows of the fit.

    Tikhonov regularisation gives the posterior mean of a Gaussian process. The coefficients C of
    the m centres have a prior with covariance :math:`K^{-1}` over the centres and S over the
    features. The posterior covariance of the errors at two rows is

    .. math:: E[e_i e_j^\top] = v_{ij} S, \qquad
              v_{ij} = n \alpha\, k(x_i)^\top M^{-1} k(x_j), \qquad M = A + n \alpha K .

    Here k(x) are the kernel values between x and the centres, and K is the Gram matrix of the
    centres. The quadratic form of the loss is :math:`A = \sum_i k(x_i)\, k(x_i)^\top`. The factor
    :math:`v_{ii}` is :math:`n \alpha / (1 + n \alpha)` at an isolated centre, and smaller at a row
    with neighbours. The covariance S is estimated from the fitted coefficients,

    .. math:: S = \frac{C^\top K C}{\operatorname{tr} A M^{-1}} ,

    which is unbiased under the prior, because :math:`\operatorname{tr} A M^{-1}` is the effective
    number of parameters. The factors :math:`v_{ij}` are means over 256 fixed draws from the
    posterior. With more than 1,000 centres, a random subset is used.

    Parameters
    ----------
    model : ScoreModel
        Fitted score.
    alpha : float
        Tikhonov strength of the fit.
    x : Tensor of shape (n, d)
        Rows of the fit.

    Returns
    -------
    ScoreErrors or None
        Posterior, or None if the fit is curl-free, or if ``alpha`` is 0 or infinite. The result is
        also None if rounding errors dominate the Gram matrix.
    """
    ex = model.expansion.to(widest_dtype(model.coefficients))
    if ex.curl_free or not 0 < alpha < math.inf:
        return None
    centers = ex.centers[radial_folds(ex.centers, math.ceil(len(ex.centers) / MAX_CENTERS)) == 0]
    # Centres are sorted by radius, so that the draws do not depend on the order of the rows.
    basis, n = replace(ex, centers=centers[centers.square().sum(1).argsort()]), len(x)
    gram = basis.gram()
    parts = (x[i : i + CHUNK_ROWS].to(gram) for i in range(0, n, CHUNK_ROWS))
    points = [ex.whitening(model.coordinates(part)[1]) for part in parts]
    quadratic = torch.zeros_like(gram)
    for y in points:
        values = basis.gram(y)
        quadratic += values.mT @ values
    regularised = quadratic + n * alpha * gram
    regularised.diagonal().add_(RIDGE * regularised.trace())
    factor, failed = cholesky_in_place(regularised)
    if failed:
        return None
    freedom = float(torch.cholesky_solve(quadratic, factor).trace())
    noise = np.random.RandomState(0).standard_normal((len(gram), N_DRAWS))
    draws = torch.linalg.solve_triangular(factor.mT, torch.from_numpy(noise).to(gram), upper=True)
    draws *= (n * alpha / N_DRAWS) ** 0.5
    return ScoreErrors(
        torch.cat([basis.gram(y) @ draws for y in points]), _norm_root(model, ex) / freedom**0.5
    )


def _norm_root(model: ScoreModel, expansion: KernelExpansion) -> Tensor:
    r"""Return a root B (r, d) of :math:`B^\top B = C^\top K C`, in units of 1 / feature."""
    gram = expansion.gram()
    coefficients = model.coefficients.to(gram)
    wide = len(gram) < coefficients.shape[1]  # the smaller of two matrices is decomposed
    form = gram if wide else coefficients.mT @ (gram @ coefficients)
    values, vectors = torch.linalg.eigh(form)
    root = values.clamp_min(0).sqrt()[:, None] * vectors.mT
    root = root @ coefficients if wide else root
    root = root if model.subspace is None else model.subspace.lift_inside(root)
    return root if model.units is None else root / model.units.scale
