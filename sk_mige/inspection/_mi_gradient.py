"""MutualInfoGradientDisplay: estimated gradient of mutual information along a parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from sk_mige._arrays import as_array
from sk_mige.information import MutualInfoGradient

from ._display import Axes, Display, check_shape, real_numbers


@dataclass(kw_only=True, eq=False, repr=False)
class MutualInfoGradientDisplay(Display):
    r"""Plot of the gradient :math:`dI / d\theta` against θ, with a band of two standard errors.

    Create the display with :meth:`from_estimator`, :meth:`from_function` or
    :meth:`from_predictions`.

    Parameters
    ----------
    theta : ndarray of shape (n,)
        Values of the parameter θ.
    gradient : ndarray of shape (n,)
        Gradient in nats per unit of θ.
    standard_error : ndarray of shape (n,), default=None
        Standard error of the gradient.
    truth : ndarray of shape (n,), default=None
        Exact gradient.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the plot.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.
    line_ : matplotlib.lines.Line2D
        Estimated gradient.
    band_ : matplotlib.collections.FillBetweenPolyCollection or None
        Band of two standard errors on either side, or None without standard errors.
    truth_ : matplotlib.lines.Line2D or None
        Exact gradient, or None if ``truth`` is None.

    Examples
    --------
    The channel y = θx + ε in two dimensions has I = log(1 + θ²):

    >>> import numpy as np
    >>> from sk_mige.information import mutual_info_gradient
    >>> from sk_mige.inspection import MutualInfoGradientDisplay
    >>> x, noise = np.random.default_rng(0).standard_normal((2, 300, 2))
    >>> theta = np.linspace(0.5, 2, 4)
    >>> display = MutualInfoGradientDisplay.from_function(
    ...     lambda t: mutual_info_gradient(x, t * x + noise, x),
    ...     theta,
    ...     truth=2 * theta / (1 + theta**2),
    ... )
    >>> bool((np.abs(display.gradient - display.truth) < 4 * display.standard_error).all())
    True
    """

    theta: NDArray[Any]
    gradient: NDArray[Any]
    standard_error: NDArray[Any] | None = None
    truth: NDArray[Any] | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        theta: ArrayLike,
        *,
        truth: ArrayLike | None = None,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> Self:
        """Fit a copy of an estimator at each θ and draw the gradients.

        Parameters
        ----------
        estimator : MutualInfoGradientEstimator
            Estimator with a scalar ``theta``, fitted or not. With an integer ``random_state``, all
            copies use the same noise.
        X : array-like of shape (n_samples, n_features)
            Samples of x.
        theta : array-like of shape (n,)
            Values of θ.
        truth : array-like of shape (n,), default=None
            Exact gradient at each θ.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **line_kw
            Keyword arguments of matplotlib's ``plot`` for the estimate.

        Returns
        -------
        MutualInfoGradientDisplay
        """

        def gradient_at(value: float) -> MutualInfoGradient:
            fitted = clone(estimator).set_params(theta=value).fit(X)
            return MutualInfoGradient(fitted.gradient_, fitted.standard_error_)

        return cls.from_function(gradient_at, theta, truth=truth, ax=ax, **line_kw)

    @classmethod
    def from_function(
        cls,
        function: Callable[[float], Any],
        theta: ArrayLike,
        *,
        truth: ArrayLike | None = None,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> Self:
        """Evaluate a function at each θ and draw the gradients.

        Parameters
        ----------
        function : callable
            Function of θ that returns a :class:`~sk_mige.information.MutualInfoGradient` or a
            number. Use the same samples and noise at each θ for a smoother curve.
        theta : array-like of shape (n,)
            Values of θ.
        truth : array-like of shape (n,), default=None
            Exact gradient at each θ.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **line_kw
            Keyword arguments of matplotlib's ``plot`` for the estimate.

        Returns
        -------
        MutualInfoGradientDisplay
        """
        at = real_numbers("theta", theta)
        results = [function(float(value)) for value in at]
        gradient = [_scalar(getattr(result, "gradient", result)) for result in results]
        errors = [_scalar(r.standard_error) for r in results if hasattr(r, "standard_error")]
        return cls.from_predictions(at, gradient, errors or None, truth=truth, ax=ax, **line_kw)

    @classmethod
    def from_predictions(
        cls,
        theta: ArrayLike,
        gradient: ArrayLike,
        standard_error: ArrayLike | None = None,
        *,
        truth: ArrayLike | None = None,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw given gradients.

        Parameters
        ----------
        theta : array-like of shape (n,)
            Values of θ.
        gradient : array-like of shape (n,) or (n_repeats, n)
            Gradients. For several repetitions, the mean gradient is drawn. If ``standard_error`` is
            None, the standard error of the mean is computed from the repetitions.
        standard_error : array-like of shape (n,), default=None
            Standard error of each gradient.
        truth : array-like of shape (n,), default=None
            Exact gradient at each θ.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **line_kw
            Keyword arguments of matplotlib's ``plot`` for the estimate.

        Returns
        -------
        MutualInfoGradientDisplay
        """
        at = real_numbers("theta", theta)
        values = real_numbers("gradient", gradient, ndim=(1, 2))
        errors = None if standard_error is None else real_numbers("standard_error", standard_error)
        exact = None if truth is None else real_numbers("truth", truth)
        if values.ndim == 2:
            if errors is None and len(values) > 1:
                errors = values.std(0, ddof=1) / np.sqrt(len(values))
            values = values.mean(0)
        for name, array in (("gradient", values), ("standard_error", errors), ("truth", exact)):
            if array is not None:
                check_shape(name, array, at.shape, "theta")
        display = cls(theta=at, gradient=values, standard_error=errors, truth=exact)
        return display.plot(ax, **line_kw)

    def plot(self, ax: Axes | None = None, **line_kw: Any) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **line_kw
            Keyword arguments of matplotlib's ``plot`` for the estimate.

        Returns
        -------
        MutualInfoGradientDisplay
            This display.
        """
        ax = self._set_axes(ax)
        (self.line_,) = ax.plot(self.theta, self.gradient, **{"label": "estimate", **line_kw})
        self.band_ = self.truth_ = None
        if self.standard_error is not None:
            low = self.gradient - 2 * self.standard_error
            high = self.gradient + 2 * self.standard_error
            style: dict[str, Any] = {"color": self.line_.get_color(), "alpha": 0.2, "linewidth": 0}
            self.band_ = ax.fill_between(self.theta, low, high, **style)
        if self.truth is not None:
            (self.truth_,) = ax.plot(self.theta, self.truth, "k--", linewidth=1, label="truth")
            ax.legend(frameon=False)
        ax.set(xlabel="θ", ylabel="dI / dθ  (nats)")
        return self


def _scalar(result: Any) -> float:
    value = as_array(result, "the result of function")
    if value.size != 1 or value.dtype.kind not in "biuf":
        raise TypeError(
            "function must return a MutualInfoGradient or a number for each θ, got "
            f"{type(result).__name__} of shape {value.shape}"
        )
    return float(value.item())
