"""Linear regression with independent noise, as a model of the pointwise information."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from sk_mige.information._samples import check_pair
from sk_mige.information.axes import independent_columns
from sk_mige.information.components import independent_components
from sk_mige.information.margins import gaussianize_ranks
from sk_mige.information.references import ArrayState, DensityReference, log_normal, whitener
from sk_mige.information.residuals import log_margins, outlying_distance, places_among

# Largest number of columns for independent components, whose computation is slow.
MAX_MIXED = 10
# Regression weights below this multiple of their standard error are set to zero.
MIN_SIGNIFICANCE = 3.0
# Largest number of reweighted regressions, and change of the row weights below which they end.
MAX_STEPS, MIN_CHANGE = 50, 1e-3


class AdditiveReference(DensityReference):
    r"""Linear regression of y on x, or of x on y, with noise that is independent of the regressors.

    The residual is :math:`r = y - x B`. The pointwise information is

    .. math:: f(x, y) = \log p_r(y - x B) - \log p_y(y) .

    A density estimate is a product of the densities of single columns or of independent components,
    times a Gaussian copula. The densities of single columns come from spacings of sorted values,
    which resolve the edges of a uniform distribution. Rows with outlying residuals have a smaller
    weight in the regression, as in Huber's regression. The model uses the direction with the larger
    in-sample mean of f. Columns of x or of y that are constant in the training rows, or linear
    combinations of other columns, are left out. The information does not change. If x or y is
    constant, f is zero.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import AdditiveReference
    >>> generator = torch.Generator().manual_seed(0)
    >>> x, noise = torch.rand(2, 2000, 1, generator=generator).double()
    >>> f = AdditiveReference().fit(x, x + noise).pointwise(x, x + noise)
    >>> bool(abs(f.mean() - 0.5) < 0.05)
    True
    """

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Fit the regression and the densities.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Rows of x.
        y : tensor of shape (n, q)
            Rows of y.

        Returns
        -------
        self : AdditiveReference
            The fitted reference.
        """
        check_pair(x, y)
        self.kept_x_, self.kept_y_ = (
            independent_columns(z) if bool((z != z[0]).any()) else [] for z in (x, y)
        )
        x, y = x[:, self.kept_x_], y[:, self.kept_y_]
        self.x_, self.y_ = _Density(x), _Density(y)
        information = -torch.inf
        for of_x in (False, True):
            cause, effect = (y, x) if of_x else (x, y)
            weights = _regression(_with_constant(cause), effect)
            noise = effect - _with_constant(cause) @ weights
            density = _Density(noise)
            alone = self.x_ if of_x else self.y_
            found = float((density.log_density(noise) - alone.log_density(effect)).mean())
            if found > information:
                information = found
                self.of_x_, self.weights_, self.noise_ = of_x, weights, density
        return self

    def residuals(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the regressors and the residuals of rows.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Rows of x.
        y : tensor of shape (n, q)
            Rows of y.

        Returns
        -------
        tuple of two tensors
            Either x and the residuals of y, or y and the residuals of x.
        """
        x, y = x[:, self.kept_x_], y[:, self.kept_y_]
        cause, effect = (y, x) if self.of_x_ else (x, y)
        return cause, effect - _with_constant(cause) @ self.weights_

    def log_density(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the log-density of the normal scores of rows.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Rows of x.
        y : tensor of shape (n, q)
            Rows of y.

        Returns
        -------
        tensor of shape (n,)
        """
        of_x = self.x_.log_density_of_scores(x[:, self.kept_x_])
        of_y = self.y_.log_density_of_scores(y[:, self.kept_y_])
        return self.pointwise(x, y) + of_x + of_y

    def _joint(self, x: Tensor, y: Tensor) -> Tensor:
        return self.noise_.log_density(self.residuals(x, y)[1])

    def _margin(self, z: Tensor, of_x: bool) -> Tensor:
        if of_x != self.of_x_:  # the density of the noise is conditional on the regressors
            return z.new_zeros(len(z))
        alone, kept = (self.x_, self.kept_x_) if of_x else (self.y_, self.kept_y_)
        return alone.log_density(z[:, kept])


class _Density(ArrayState):
    """Density of one variable: spacings of columns or of components, times a Gaussian copula."""

    def __init__(self, z: Tensor) -> None:
        mixing = independent_components(z) if 1 < z.shape[1] <= MAX_MIXED else None
        identity = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
        self.mixing = identity if mixing is None else mixing
        self.columns = z.sort(0).values
        self.components = (z @ self.mixing).sort(0).values
        # If all columns of a variable are constant, z has no columns, and ranks do not exist.
        scores = gaussianize_ranks(z @ self.mixing) if z.shape[1] else z
        correlations = torch.cov(scores.mT).reshape(self.mixing.shape)
        self.whiten, self.half_log_det = whitener(correlations)

    def log_density(self, z: Tensor) -> Tensor:
        """Return the log-density of rows."""
        scores, margins = _scores_and_margins(z @ self.mixing, self.components)
        copula = log_normal(scores @ self.whiten, self.half_log_det) - log_normal(scores, 0.0)
        volume: Tensor = torch.linalg.slogdet(self.mixing)[1]
        return margins + copula + volume

    def log_density_of_scores(self, z: Tensor) -> Tensor:
        """Return the log-density of the normal scores of the columns."""
        scores, margins = _scores_and_margins(z, self.columns)
        return self.log_density(z) + log_normal(scores, 0.0) - margins


def _regression(x: Tensor, y: Tensor) -> Tensor:
    """Return regression coefficients, with a smaller weight for rows with outlying residuals.

    The row weights are those of iteratively reweighted least squares for Huber's loss.
    """
    weights = _least_squares(x, y)
    for k, column in enumerate(y.mT):
        before = torch.ones_like(column)
        for _ in range(MAX_STEPS):
            residuals = column - x @ weights[:, k]
            shares = (outlying_distance(residuals) / residuals.abs()).clamp_max(1)
            if float((shares - before).abs().max()) < MIN_CHANGE:
                break
            before, root = shares, shares.sqrt()[:, None]
            weights[:, k] = _least_squares(root * x, root * column[:, None])[:, 0]
    return weights


def _least_squares(x: Tensor, y: Tensor) -> Tensor:
    """Return least-squares coefficients, refitted after insignificant ones are set to 0."""
    gram, moments = x.mT @ x, x.mT @ y
    inverse = torch.linalg.pinv(gram, hermitian=True)
    weights: Tensor = inverse @ moments
    variance = (y - x @ weights).square().mean(0)
    significant = weights.abs() > MIN_SIGNIFICANCE * (inverse.diagonal()[:, None] * variance).sqrt()
    significant[-1] = True
    for k, rows in enumerate(significant.mT):
        weights[:, k] = 0.0
        inverse = torch.linalg.pinv(gram[rows][:, rows], hermitian=True)
        weights[rows, k] = inverse @ moments[rows, k]
    return weights


def _with_constant(z: Tensor) -> Tensor:
    return torch.cat([z, z.new_ones(len(z), 1)], dim=1)


def _scores_and_margins(z: Tensor, ordered: Tensor) -> tuple[Tensor, Tensor]:
    """Return normal scores (m, d) and log-densities (m,) of rows among sorted training columns."""
    places = places_among(z, ordered)
    scores: Tensor = torch.special.ndtri((places.mT.to(z.dtype) + 0.5) / (len(ordered) + 1))
    return scores, log_margins(z, ordered, places=places)
