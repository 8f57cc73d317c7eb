"""ScoreCVDisplay: held-out loss over the grid of a cross-validated score estimator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._axes import Drawing
from ._inner import inner

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ScoreCVDisplay"]

AXES = {
    "alpha": "strength of regularisation α",
    "eigen_threshold": "share of the spectrum left out",
}


class ScoreCVDisplay(Drawing):
    """Hyvärinen's loss on held-out samples along one parameter, a curve for each bandwidth.

    Each point is the smallest loss among the candidates that share its two values; the other
    parts of the grid (base, whitening, kind of expansion) are at their best there. Make it by
    :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    param : {"alpha", "eigen_threshold"}
        Parameter along the axis.
    values : ndarray of shape (n_values,)
        Its values, ascending.
    losses : dict of float to ndarray of shape (n_values,)
        Mean held-out loss for each bandwidth factor; infinite where every candidate failed.
    base_loss : float or None
        Loss of the base alone, without a kernel expansion.
    best : tuple of (float, float, float) or None
        Bandwidth factor, value and loss of the chosen candidate; None where it lies on the other
        axis.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes that were drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.
    lines_ : dict of float to matplotlib.lines.Line2D
        A curve for each bandwidth factor.
    base_ : matplotlib.lines.Line2D or None
        Loss of the base alone.
    best_ : matplotlib.lines.Line2D or None
        The chosen candidate.

    Notes
    -----
    The loss has no absolute zero; half the mean squared error lies below it by a constant that
    only the density knows.

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

    def __init__(
        self,
        *,
        param: str,
        values: NDArray[Any],
        losses: dict[float, NDArray[Any]],
        base_loss: float | None = None,
        best: tuple[float, float, float] | None = None,
    ) -> None:
        self.param = param
        self.values = values
        self.losses = losses
        self.base_loss = base_loss
        self.best = best

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, param: str = "auto", ax: Axes | None = None, **line_kw: Any
    ) -> Self:
        """Draw the grid of a fitted :class:`~sk_mige.SSGEScoreEstimatorCV`.

        Parameters
        ----------
        estimator : SSGEScoreEstimatorCV
            Fitted estimator, or a fitted pipeline that holds one.
        param : {"auto", "alpha", "eigen_threshold"}, default="auto"
            Parameter along the axis; "auto" is the one that the chosen candidate regularises by.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        **line_kw
            Passed to matplotlib's ``plot`` for the curves.

        Returns
        -------
        ScoreCVDisplay
        """
        fitted = inner(estimator, "cv_results_")
        results, chosen = fitted.cv_results_, fitted.best_index_
        if "param_bandwidth_factor" not in results:
            raise ValueError(
                f"estimator={type(fitted).__name__} has searched {_names(results)}, and not the "
                "grid of an SSGEScoreEstimatorCV: fit one, or draw by from_predictions"
            )
        cutoffs = results["param_eigen_threshold"]
        if param == "auto":
            param = "alpha" if cutoffs[chosen] is None else "eigen_threshold"
        if param not in AXES:
            raise ValueError(f"param must be 'auto', 'alpha' or 'eigen_threshold', got {param!r}")
        alphas = np.array(results["param_alpha"], dtype=np.float64)
        of_cutoff = np.array([cutoff is not None for cutoff in cutoffs])
        on_axis = of_cutoff if param == "eigen_threshold" else ~of_cutoff & np.isfinite(alphas)
        if not on_axis.any():
            raise ValueError(f"the grid has no candidates along param={param!r}")
        positions = np.full(len(alphas), np.nan)
        positions[on_axis] = (
            alphas[on_axis] if param == "alpha" else 1 - np.array(cutoffs[on_axis], dtype=float)
        )
        factors = np.array(results["param_bandwidth_factor"], dtype=np.float64)
        loss = -np.asarray(results["mean_test_score"], dtype=np.float64)
        values = np.unique(positions[on_axis])
        losses = {
            float(factor): np.array(
                [loss[(factors == factor) & (positions == value)].min() for value in values]
            )
            for factor in np.unique(factors)
        }
        base = loss[~of_cutoff & np.isinf(alphas)]
        best = (float(factors[chosen]), float(positions[chosen]), float(loss[chosen]))
        return cls(
            param=param,
            values=values,
            losses=losses,
            base_loss=float(base.min()) if len(base) else None,
            best=best if on_axis[chosen] else None,
        ).plot(ax, **line_kw)

    @classmethod
    def from_predictions(
        cls,
        values: ArrayLike,
        losses: Mapping[float, ArrayLike],
        *,
        param: str = "alpha",
        base_loss: float | None = None,
        best: tuple[float, float, float] | None = None,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw given losses, such as those of a search of one's own.

        Parameters
        ----------
        values : array-like of shape (n_values,)
            Values of the parameter along the axis.
        losses : dict of float to array-like of shape (n_values,)
            Held-out losses for each bandwidth factor.
        param : {"alpha", "eigen_threshold"}, default="alpha"
            Parameter along the axis; of "eigen_threshold" the values are 1 minus it.
        base_loss : float, default=None
            Loss of the base alone.
        best : tuple of (float, float, float), default=None
            Bandwidth factor, value and loss of the chosen candidate.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        **line_kw
            Passed to matplotlib's ``plot`` for the curves.

        Returns
        -------
        ScoreCVDisplay
        """
        if param not in AXES:
            raise ValueError(f"param must be 'alpha' or 'eigen_threshold', got {param!r}")
        at = np.asarray(values, dtype=np.float64)
        order = np.argsort(at)
        curves = {float(f): np.asarray(loss, dtype=np.float64) for f, loss in losses.items()}
        for factor, loss in curves.items():
            if loss.shape != at.shape:
                raise ValueError(
                    f"losses[{factor:g}] has shape {loss.shape}, but values {at.shape}"
                )
        return cls(
            param=param,
            values=at[order],
            losses={factor: loss[order] for factor, loss in curves.items()},
            base_loss=base_loss,
            best=best,
        ).plot(ax, **line_kw)

    def plot(self, ax: Axes | None = None, **line_kw: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        **line_kw
            Passed to matplotlib's ``plot`` for the curves.

        Returns
        -------
        ScoreCVDisplay
            This display.
        """
        ax = self._axes(ax)
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
        ax.set(xscale="log", xlabel=AXES[self.param], ylabel="held-out loss")
        self._show_the_bottom(ax)
        ax.legend(frameon=False, title="bandwidth")
        return self

    def _show_the_bottom(self, ax: Axes) -> None:
        """Limit the axis to where the choice is made: the worst candidates lie far above."""
        finite = np.concatenate([loss[np.isfinite(loss)] for loss in self.losses.values()])
        low, high = finite.min(), np.quantile(finite, 0.6)
        if self.base_loss is not None and np.isfinite(self.base_loss):
            low, high = min(low, self.base_loss), max(high, self.base_loss)
        margin = 0.08 * (high - low) or 1.0
        ax.set_ylim(low - margin, high + margin)


def _names(results: Mapping[str, Any]) -> list[str]:
    return [key.removeprefix("param_") for key in results if key.startswith("param_")]
