"""ScoreCVDisplay: held-out losses of a cross-validated score estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ._display import Axes, Display, find_part

AXES = {
    "alpha": "regularisation strength α",
    "eigen_threshold": "share of the spectrum left out",
}


@dataclass(kw_only=True, eq=False, repr=False)
class ScoreCVDisplay(Display):
    """Plot of the held-out Hyvärinen loss against a parameter, with a curve for each bandwidth.

    Each point is the smallest loss of all candidates with the same bandwidth and the same value of
    the parameter. Create the display with :meth:`from_estimator`, or from given losses with the
    constructor and :meth:`plot`.

    Parameters
    ----------
    param : {"alpha", "eigen_threshold"}
        Parameter along the horizontal axis.
    values : ndarray of shape (n_values,)
        Values in ascending order: α, or 1 minus ``eigen_threshold``.
    losses : dict of float to ndarray of shape (n_values,)
        Mean held-out losses for each bandwidth factor. The loss of a point is infinite if all
        candidates of the point failed.
    base_loss : float or None
        Loss of the base density alone, without a kernel expansion.
    best : tuple of (float, float, float) or None
        Bandwidth factor, parameter value and loss of the chosen candidate. The value is None if
        ``param`` does not regularise the chosen candidate.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the plot.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.
    lines_ : dict of float to matplotlib.lines.Line2D
        Curve for each bandwidth factor.
    base_ : matplotlib.lines.Line2D or None
        Horizontal line at ``base_loss``, or None without a base loss.
    best_ : matplotlib.lines.Line2D or None
        Point of the chosen candidate, or None if ``best`` is None.

    Notes
    -----
    The expected loss is half the mean squared error of the estimated scores plus an unknown
    constant, which depends only on the density. The difference between two losses is therefore
    meaningful, but the value of a single loss is not.

    Examples
    --------
    >>> from sk_mige import SSGEScoreEstimatorCV
    >>> from sk_mige.datasets import make_banana
    >>> from sk_mige.inspection import ScoreCVDisplay
    >>> X, _ = make_banana(100, random_state=0)
    >>> search = SSGEScoreEstimatorCV(bandwidth_factors=(0.5, 1.0), cv=3).fit(X)
    >>> sorted(ScoreCVDisplay.from_estimator(search, param="alpha").losses)
    [0.5, 1.0]
    """

    param: str
    values: NDArray[Any]
    losses: dict[float, NDArray[Any]]
    base_loss: float | None = None
    best: tuple[float, float, float] | None = None

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, param: str = "auto", ax: Axes | None = None, **line_kw: Any
    ) -> Self:
        """Draw the held-out losses of a fitted :class:`~sk_mige.SSGEScoreEstimatorCV`.

        Parameters
        ----------
        estimator : SSGEScoreEstimatorCV
            Fitted estimator, or a fitted pipeline that contains such an estimator.
        param : {"auto", "alpha", "eigen_threshold"}, default="auto"
            Parameter along the horizontal axis. The value "auto" means the parameter that
            regularises the chosen candidate.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **line_kw
            Keyword arguments of matplotlib's ``plot`` for the curves.

        Returns
        -------
        ScoreCVDisplay
        """
        fitted = find_part(estimator, "cv_results_", "an SSGEScoreEstimatorCV or contain one")
        results, chosen = fitted.cv_results_, fitted.best_index_
        if "param_bandwidth_factor" not in results:
            searched = [key.removeprefix("param_") for key in results if key.startswith("param_")]
            raise ValueError(
                f"estimator={type(fitted).__name__} has searched {searched}, not the grid of an "
                "SSGEScoreEstimatorCV: pass a fitted SSGEScoreEstimatorCV, or use scikit-learn's "
                "ValidationCurveDisplay"
            )
        factors = np.array(results["param_bandwidth_factor"], dtype=np.float64)
        alphas = np.array(results["param_alpha"], dtype=np.float64)
        cutoffs = np.array(results["param_eigen_threshold"], dtype=np.float64)  # NaN for None
        loss = -np.asarray(results["mean_test_score"], dtype=np.float64)
        if param == "auto":
            param = "alpha" if np.isnan(cutoffs[chosen]) else "eigen_threshold"
        if param not in AXES:
            raise ValueError(f"param must be 'auto' or one of {sorted(AXES)}, got {param!r}")
        if param == "eigen_threshold":
            positions = 1 - cutoffs
        else:  # NaN for candidates that are regularised by eigen_threshold, and for the base alone
            positions = np.where(np.isnan(cutoffs) & np.isfinite(alphas), alphas, np.nan)
        # The logarithmic axis cannot show 0, and infinite losses cannot be drawn.
        values = np.unique(positions[(positions > 0) & np.isfinite(loss)])
        if not len(values):
            raise ValueError(
                f"the grid has no candidates with a finite loss along param={param!r}: use another "
                "param"
            )
        losses = {
            float(factor): np.array(
                [loss[(factors == factor) & (positions == value)].min() for value in values]
            )
            for factor in np.unique(factors)
        }
        base = loss[np.isnan(cutoffs) & np.isinf(alphas)]
        base_loss = float(base.min()) if len(base) else None
        best = None
        if positions[chosen] > 0:
            best = (float(factors[chosen]), float(positions[chosen]), float(loss[chosen]))
        display = cls(param=param, values=values, losses=losses, base_loss=base_loss, best=best)
        return display.plot(ax, **line_kw)

    def plot(self, ax: Axes | None = None, **line_kw: Any) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **line_kw
            Keyword arguments of matplotlib's ``plot`` for the curves.

        Returns
        -------
        ScoreCVDisplay
            This display.
        """
        if not any(np.isfinite(loss).any() for loss in self.losses.values()):
            raise ValueError(
                "losses has no finite value to draw, because all candidates failed: search other "
                f"values of {self.param}"
            )
        ax = self._set_axes(ax)
        style = {"marker": ".", **line_kw}
        self.lines_ = {
            factor: ax.plot(
                self.values,
                np.where(np.isfinite(loss), loss, np.nan),
                **{"label": f"{factor:g} × median", **style},
            )[0]
            for factor, loss in self.losses.items()
        }
        self.base_ = self.best_ = None
        if self.base_loss is not None and np.isfinite(self.base_loss):
            self.base_ = ax.axhline(self.base_loss, color="0.5", linestyle="--", label="base alone")
        if self.best is not None:
            _, value, loss = self.best
            (self.best_,) = ax.plot(value, loss, "k*", markersize=11, label="chosen", zorder=3)
        ax.set(xscale="log", xlabel=AXES.get(self.param, self.param), ylabel="held-out loss")
        self._limit_losses(ax)
        ax.legend(frameon=False, title="bandwidth")
        return self

    def _limit_losses(self, ax: Axes) -> None:
        """Limit the axis of the losses, because bad candidates have far larger losses."""
        losses = np.concatenate(list(self.losses.values()))
        finite = losses[np.isfinite(losses)]
        low, high = finite.min(), np.quantile(finite, 0.6)
        if self.base_loss is not None and np.isfinite(self.base_loss):
            low, high = min(low, self.base_loss), max(high, self.base_loss)
        margin = 0.08 * (high - low) or 1.0
        ax.set_ylim(low - margin, high + margin)
