"""EigenvalueDisplay: eigenvalues of the Gram matrix and their cutoff."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar

from ._display import Axes, Display, find_part, real_numbers


@dataclass(kw_only=True, eq=False, repr=False)
class EigenvalueDisplay(Display):
    r"""Plot of the eigenvalues of a Gram matrix, as fractions of their sum, with the cutoff.

    Create the display with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    eigenvalues : ndarray of shape (r,)
        Fractions :math:`\lambda_j / \sum_i \lambda_i` in descending order.
    n_eigen : int
        Number of kept eigenvalues.
    alpha : float, default=0.0
        Strength of the Tikhonov regularisation, relative to the sum of the eigenvalues. The
        value 0 means no regularisation.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the plot.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.
    kept_, rest_ : matplotlib.lines.Line2D
        Points for the eigenvalues before and after the cutoff.
    cutoff_ : matplotlib.lines.Line2D or None
        Vertical line after the last kept eigenvalue, or None if all eigenvalues are kept.
    alpha_ : matplotlib.lines.Line2D or None
        Horizontal line at ``alpha``, or None if ``alpha`` is 0 or infinite.

    Examples
    --------
    >>> from sk_mige import SSGEScoreEstimator
    >>> from sk_mige.datasets import make_banana
    >>> from sk_mige.inspection import EigenvalueDisplay
    >>> X, _ = make_banana(200, random_state=0)
    >>> estimator = SSGEScoreEstimator(eigen_threshold=0.95).fit(X)
    >>> display = EigenvalueDisplay.from_estimator(estimator)
    >>> bool(display.eigenvalues[: display.n_eigen].sum() >= 0.95)
    True
    """

    eigenvalues: NDArray[Any]
    n_eigen: int
    alpha: float = 0.0

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None, **line_kw: Any) -> Self:
        """Draw the eigenvalues of a fitted score estimator.

        Parameters
        ----------
        estimator : SSGEScoreEstimator, RandomProjectionSSGE or SSGEScoreEstimatorCV
            Fitted estimator with ``eigenvalues_``, or a fitted pipeline or search that contains
            such an estimator.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **line_kw
            Keyword arguments of matplotlib's ``plot`` for the eigenvalues.

        Returns
        -------
        EigenvalueDisplay
        """
        fitted = find_part(estimator, "n_eigen_", "an SSGEScoreEstimator or contain one")
        values = fitted.eigenvalues_
        # A ridge also uses eigenvalues below rounding errors.
        kept = min(fitted.n_eigen_, len(values))
        return cls.from_predictions(values, n_eigen=kept, alpha=fitted.alpha_, ax=ax, **line_kw)

    @classmethod
    def from_predictions(
        cls,
        eigenvalues: ArrayLike,
        *,
        n_eigen: int | None = None,
        alpha: float = 0.0,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw given eigenvalues.

        Parameters
        ----------
        eigenvalues : array-like of shape (r,)
            Eigenvalues in any order and with any sum.
        n_eigen : int, default=None
            Number of kept eigenvalues. None means all eigenvalues.
        alpha : float, default=0.0
            Strength of the Tikhonov regularisation, relative to the sum of the eigenvalues.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **line_kw
            Keyword arguments of matplotlib's ``plot`` for the eigenvalues.

        Returns
        -------
        EigenvalueDisplay
        """
        values = np.sort(real_numbers("eigenvalues", eigenvalues))[::-1]
        if values[0] <= 0 or values.sum() <= 0:
            raise ValueError(
                f"eigenvalues must have a positive sum, got {values.sum():g}: pass the eigenvalues "
                "of a Gram matrix"
            )
        kept = len(values) if n_eigen is None else n_eigen
        check_scalar(kept, "n_eigen", Integral, min_val=0, max_val=len(values))
        check_scalar(alpha, "alpha", Real, min_val=0)
        values = values / values.sum()
        return cls(eigenvalues=values, n_eigen=int(kept), alpha=alpha).plot(ax, **line_kw)

    def plot(self, ax: Axes | None = None, **line_kw: Any) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **line_kw
            Keyword arguments of matplotlib's ``plot`` for the eigenvalues.

        Returns
        -------
        EigenvalueDisplay
            This display.
        """
        ax = self._set_axes(ax)
        style = {"marker": ".", "linestyle": "none", **line_kw}
        values = np.asarray(self.eigenvalues)
        number = np.arange(1, len(values) + 1)
        # Eigenvalues below rounding errors would stretch the logarithmic axis.
        shown = np.where(values > 1e-16, values, np.nan)
        n = self.n_eigen
        (self.kept_,) = ax.plot(number[:n], shown[:n], **{"color": "C0", "label": "kept", **style})
        (self.rest_,) = ax.plot(
            number[n:], shown[n:], **{"color": "0.7", **style, "label": "_rest"}
        )
        self.cutoff_ = self.alpha_ = None
        if n < len(number):
            share = values[:n].sum()
            label = f"{n} of {len(number)}: {100 * share:.4g} % of the sum"
            self.cutoff_ = ax.axvline(n + 0.5, color="k", linestyle=":", label=label)
        if 0 < self.alpha < np.inf:
            label = f"α = {self.alpha:.2g}"
            self.alpha_ = ax.axhline(self.alpha, color="C1", linestyle="--", label=label)
        ax.set(yscale="log", xlabel="eigenvalue", ylabel="share of the sum")
        if self.cutoff_ is not None or self.alpha_ is not None:
            ax.legend(frameon=False)
        return self
