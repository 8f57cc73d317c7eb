"""RepresentationDisplay: scatter plot of a representation, coloured by labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length
from sklearn.utils.multiclass import type_of_target

from ._display import Axes, Display
from ._parts import find_transformer

__all__ = ["RepresentationDisplay"]

# More colours cannot be distinguished.
MOST_CLASSES = 20


@dataclass(kw_only=True, eq=False, repr=False)
class RepresentationDisplay(Display):
    """Scatter plot of two components of a representation, coloured by labels.

    Create the display with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    representation : ndarray of shape (n_samples, n_components)
        Representations z.
    labels : ndarray of shape (n_samples,), default=None
        Classes or values that the colours show.
    components : tuple of two int, default=(0, 1)
        Indices of the two components.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the plot.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.
    scatter_ : matplotlib.collections.PathCollection
        Points, one for each row.
    legend_ : matplotlib.legend.Legend or None
        Legend of the classes, or None if labels are values or not given.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        Scale of the values, or None if labels are classes or not given.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import MIGEEncoder
    >>> from sk_mige.inspection import RepresentationDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> encoder = MIGEEncoder(n_components=2, max_epochs=1, random_state=0).fit(X)
    >>> RepresentationDisplay.from_estimator(encoder, X, y).representation.shape
    (1797, 2)
    """

    representation: NDArray[Any]
    labels: NDArray[Any] | None = None
    components: tuple[int, int] = (0, 1)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        components: tuple[int, int] = (0, 1),
        ax: Axes | None = None,
        **scatter_kw: Any,
    ) -> Self:
        """Draw the output of a fitted transformer.

        Parameters
        ----------
        estimator : transformer
            Fitted encoder or other transformer. A predictor at the end of a pipeline is omitted.
            For a search, the best estimator is used.
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Classes or values that the colours show.
        components : tuple of two int, default=(0, 1)
            Indices of the two components.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None creates a new figure.
        **scatter_kw
            Passed to matplotlib's ``scatter``.

        Returns
        -------
        RepresentationDisplay
        """
        return cls.from_predictions(
            find_transformer(estimator).transform(X), y, components=components, ax=ax, **scatter_kw
        )

    @classmethod
    def from_predictions(
        cls,
        Z: Any,
        y: ArrayLike | None = None,
        *,
        components: tuple[int, int] = (0, 1),
        ax: Axes | None = None,
        **scatter_kw: Any,
    ) -> Self:
        """Draw a given representation.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Representations, with at least two components.
        y : array-like of shape (n_samples,), default=None
            Classes or values that the colours show.
        components : tuple of two int, default=(0, 1)
            Indices of the two components.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None creates a new figure.
        **scatter_kw
            Passed to matplotlib's ``scatter``.

        Returns
        -------
        RepresentationDisplay
        """
        codes = np.asarray(Z)
        if codes.ndim != 2 or codes.shape[1] <= max(components):
            raise ValueError(
                f"components={components} needs a representation with at least "
                f"{max(components) + 1} components, got the shape {codes.shape}"
            )
        labels = None if y is None else np.asarray(y)
        check_consistent_length(codes, labels)
        display = cls(representation=codes, labels=labels, components=components)
        return display.plot(ax, **scatter_kw)

    def plot(self, ax: Axes | None = None, **scatter_kw: Any) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None creates a new figure.
        **scatter_kw
            Passed to matplotlib's ``scatter``.

        Returns
        -------
        RepresentationDisplay
            This display.
        """
        ax = self._set_axes(ax)
        first, second = self.components
        style: dict[str, Any] = {"s": 6, "linewidths": 0, "c": self.labels}
        classes = self._classes()
        if classes is not None and self.labels is not None:
            n_colors = 10 if len(classes) <= 10 else 20
            style |= {"c": np.searchsorted(classes, self.labels), "cmap": f"tab{n_colors}"}
            style |= {"vmin": 0, "vmax": n_colors - 1}
        points = self.representation[:, [first, second]]
        self.scatter_ = ax.scatter(*points.T, **{**style, **scatter_kw})
        self.legend_ = self.colorbar_ = None
        if classes is not None:
            handles, _ = self.scatter_.legend_elements(num=list(range(len(classes))))
            self.legend_ = ax.legend(handles, list(map(str, classes)), fontsize="small")
        elif self.labels is not None:
            self.colorbar_ = self.figure_.colorbar(self.scatter_, ax=ax)
        ax.set(xlabel=f"z{first}", ylabel=f"z{second}")
        return self

    def _classes(self) -> NDArray[Any] | None:
        """Return the classes, or None where labels are values or too many classes."""
        if self.labels is None or type_of_target(self.labels) not in ("binary", "multiclass"):
            return None
        classes: NDArray[Any] = np.unique(self.labels)
        return classes if len(classes) <= MOST_CLASSES else None
