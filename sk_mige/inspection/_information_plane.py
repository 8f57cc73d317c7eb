"""InformationPlaneDisplay: what representations keep of x against what they tell of y."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length, column_or_1d

from sk_mige.estimators._rows import check_queries

from ._axes import Drawing
from ._information import check_classifier, kept_of_x, log_likelihood
from ._inner import inner_with_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["InformationPlaneDisplay"]


class InformationPlaneDisplay(Drawing):
    r"""The plane of :math:`I(x; z)` and :math:`I(y; z)`, a point for each representation.

    Both are lower bounds, in nats, on rows that were not trained on:

    .. math:: I(x; z) \ge \frac1n \sum_i \mathbb{E}_{z_i} \log
              \frac{q(z_i | x_i)}{\frac1n \sum_j q(z_i | x_j)}, \qquad
              I(y; z) \ge H(y) + \frac1n \sum_i \mathbb{E}_{z_i} \log p(y_i | z_i)

    The first cannot exceed :math:`\log n`: where it comes near, pass more rows. The second is
    what the decoder makes of z; a better decoder might find more. Make it by
    :meth:`from_estimators`, :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    information_x : ndarray of shape (n,)
        I(x; z) in nats.
    information_y : ndarray of shape (n,)
        I(y; z) in nats.
    labels : sequence of str, default=None
        Name of each point.
    entropy_y : float, default=None
        H(y) in nats, the most that can be known of y.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes that were drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.
    line_ : matplotlib.lines.Line2D
        The points, in their order.
    texts_ : list of matplotlib.text.Annotation
        Their names.
    limit_ : matplotlib.lines.Line2D or None
        The entropy of y; None where it is not known.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import MIGEEncoder
    >>> from sk_mige.inspection import InformationPlaneDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> encoders = [
    ...     MIGEEncoder(8, mode="ib", beta=beta, max_epochs=3, random_state=0).fit(X[:900], y[:900])
    ...     for beta in (1e-3, 0.3)
    ... ]
    >>> display = InformationPlaneDisplay.from_estimators(encoders, X[900:], y[900:])
    >>> bool(display.information_x[1] < display.information_x[0])
    True
    """

    def __init__(
        self,
        *,
        information_x: NDArray[Any],
        information_y: NDArray[Any],
        labels: Sequence[str] | None = None,
        entropy_y: float | None = None,
    ) -> None:
        self.information_x = information_x
        self.information_y = information_y
        self.labels = labels
        self.entropy_y = entropy_y

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, ax: Axes | None = None, **plot_kw: Any
    ) -> Self:
        """Draw one fitted bottleneck; :meth:`from_estimators` draws several.

        Parameters
        ----------
        estimator : MIGEEncoder
            As in :meth:`from_estimators`.
        X : array-like of shape (n_samples, n_features)
            Held-out rows.
        y : array-like of shape (n_samples,)
            Their classes.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        **plot_kw
            Passed to :meth:`from_estimators`.

        Returns
        -------
        InformationPlaneDisplay
        """
        return cls.from_estimators([estimator], X, y, ax=ax, **plot_kw)

    @classmethod
    def from_estimators(
        cls,
        estimators: Sequence[Any],
        X: Any,
        y: ArrayLike,
        *,
        labels: Sequence[str] | None = None,
        random_state: int = 0,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw fitted bottlenecks, in their order.

        Parameters
        ----------
        estimators : sequence of MIGEEncoder
            Fitted classifiers with ``mode="ib"`` and the Gaussian head: I(x; z) of a deterministic
            one is infinite, and that of an implicit one is not known. Fitted pipelines and
            searches that end in one are as good.
        X : array-like of shape (n_samples, n_features)
            Held-out rows.
        y : array-like of shape (n_samples,)
            Their classes, all among those that the estimators have seen.
        labels : sequence of str, default=None
            Name of each point; by default the β that its training ended with.
        random_state : int, default=0
            Seed of the draws of z.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        **line_kw
            Passed to matplotlib's ``plot``.

        Returns
        -------
        InformationPlaneDisplay
        """
        target = column_or_1d(y)
        _, counts = np.unique(target, return_counts=True)
        shares = counts / counts.sum()
        entropy = float(-(shares * np.log(shares)).sum())
        kept, told, prices = [], [], []
        for estimator in estimators:
            encoder, rows = inner_with_rows(estimator, X, "module_")
            check_consistent_length(rows, target)
            check_classifier(encoder, target)
            rows = check_queries(encoder, rows, "transform")  # as strict as the encoder itself
            kept.append(kept_of_x(encoder, rows, random_state))
            told.append(entropy + log_likelihood(encoder, rows, target, random_state))
            prices.append(encoder.beta_)
        names = labels or [f"β = {beta:g}" for beta in prices]
        return cls.from_predictions(kept, told, labels=names, entropy_y=entropy, ax=ax, **line_kw)

    @classmethod
    def from_predictions(
        cls,
        information_x: ArrayLike,
        information_y: ArrayLike,
        *,
        labels: Sequence[str] | None = None,
        entropy_y: float | None = None,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw given informations, however they were estimated.

        Parameters
        ----------
        information_x : array-like of shape (n,)
            I(x; z) in nats.
        information_y : array-like of shape (n,)
            I(y; z) in nats.
        labels : sequence of str, default=None
            Name of each point.
        entropy_y : float, default=None
            H(y) in nats.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        **line_kw
            Passed to matplotlib's ``plot``.

        Returns
        -------
        InformationPlaneDisplay
        """
        kept, told = np.asarray(information_x, float), np.asarray(information_y, float)
        if kept.shape != told.shape or kept.ndim != 1:
            raise ValueError(
                f"information_x and information_y must be of one shape (n,), got {kept.shape} "
                f"and {told.shape}"
            )
        if labels is not None and len(labels) != len(kept):
            raise ValueError(f"there are {len(labels)} labels for {len(kept)} points")
        display = cls(information_x=kept, information_y=told, labels=labels, entropy_y=entropy_y)
        return display.plot(ax, **line_kw)

    def plot(self, ax: Axes | None = None, **line_kw: Any) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        **line_kw
            Passed to matplotlib's ``plot``.

        Returns
        -------
        InformationPlaneDisplay
            This display.
        """
        ax = self._axes(ax)
        style = {"marker": "o", "linewidth": 1, **line_kw}
        (self.line_,) = ax.plot(self.information_x, self.information_y, **style)
        points = zip(self.information_x, self.information_y, strict=True)
        self.texts_ = [
            ax.annotate(label, point, xytext=(5, -11), textcoords="offset points", fontsize="small")
            for label, point in zip(self.labels or [], points, strict=False)
        ]
        if self.labels:
            ax.margins(0.2)  # room for what stands beside the outermost points
        self.limit_ = None
        if self.entropy_y is not None:
            self.limit_ = ax.axhline(self.entropy_y, color="0.5", linestyle=":", label="H(y)")
            ax.legend(frameon=False, loc="lower right")
        ax.set(xlabel="I(x; z)  (nats)", ylabel="I(y; z)  (nats)")
        return self
