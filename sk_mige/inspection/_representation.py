"""RepresentationDisplay: scatter plot of a representation, coloured by labels."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from sk_mige._arrays import as_array, column_names

from ._display import Axes, Display, column_indices, find_transformer, is_missing

# Largest number of classes whose colours can be distinguished.
MOST_CLASSES = 20
# Colour of points without a label.
MISSING = "0.8"
# Largest number of class names along a colour bar.
MOST_TICKS = 10
# Largest number of points for which matplotlib searches for the best place of a legend. The search
# is slow for many points.
MOST_FOR_BEST = 10_000


# Labels as numbers for a colour scale (NaN if missing), and the names of their classes.
Coloring = tuple[NDArray[np.float64], list[str]]


@dataclass(kw_only=True, eq=False, repr=False)
class RepresentationDisplay(Display):
    """Scatter plot of two components of a representation, coloured by labels.

    Create the display with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    representation : ndarray of shape (n_samples, n_components)
        Representations z.
    labels : ndarray of shape (n_samples,), default=None
        Classes or values that the colours show. Numeric labels with fractions or with more than 20
        distinct numbers are values. All other labels are classes. Missing labels are grey.
    components : tuple of two int, default=(0, 1)
        Indices of the drawn components.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the plot.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.
    scatter_ : matplotlib.collections.PathCollection
        Points, one for each row.
    legend_ : matplotlib.legend.Legend or None
        Legend of up to 20 classes and of missing labels, or None.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        Colour scale of values or of more than 20 classes, or None.

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
            Classes or values that the colours show. Numeric labels with fractions or with more than
            20 distinct numbers are values. All other labels are classes. Missing labels are grey.
        components : tuple of two int or str, default=(0, 1)
            Indices of the drawn components, or their names if the representation is a data frame.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **scatter_kw
            Keyword arguments of matplotlib's ``scatter``.

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
            Finite representations.
        y : array-like of shape (n_samples,), default=None
            Classes or values that the colours show. Numeric labels with fractions or with more than
            20 distinct numbers are values. All other labels are classes. Missing labels are grey.
        components : tuple of two int or str, default=(0, 1)
            Indices of the drawn components, or their names if the representation is a data frame.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **scatter_kw
            Keyword arguments of matplotlib's ``scatter``.

        Returns
        -------
        RepresentationDisplay
        """
        codes = check_array(as_array(Z, "Z"), input_name="Z")
        pair = column_indices("components", components, codes.shape[1], column_names(Z))
        labels: Any = y
        if isinstance(labels, np.ma.MaskedArray):  # masked labels are missing
            missing = np.ma.getmaskarray(labels)
            labels = np.array(labels.data, dtype=object)
            labels[missing] = None
        if labels is not None:
            labels = column_or_1d(as_array(labels, "y"), input_name="y")
        check_consistent_length(codes, labels)
        display = cls(representation=codes, labels=labels, components=pair)
        return display.plot(ax, **scatter_kw)

    def plot(self, ax: Axes | None = None, **scatter_kw: Any) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None means a new figure.
        **scatter_kw
            Keyword arguments of matplotlib's ``scatter``.

        Returns
        -------
        RepresentationDisplay
            This display.
        """
        ax = self._set_axes(ax)
        first, second = self.components
        coloring = None
        if self.labels is not None and scatter_kw.keys().isdisjoint(("c", "color")):
            coloring = _color_labels(self.labels)
        points = self.representation[:, [first, second]]
        self.scatter_ = ax.scatter(*points.T, **{**_style(coloring), **scatter_kw})
        self.scatter_.set_cmap(self.scatter_.get_cmap().with_extremes(bad=MISSING))
        self.legend_: Any = None
        self.colorbar_: Any = None
        if coloring is not None:
            self._explain(coloring, ax)
        ax.set(xlabel=f"z{first}", ylabel=f"z{second}")
        return self

    def _explain(self, coloring: Coloring, ax: Axes) -> None:
        """Draw the legend or the colour bar."""
        numbers, classes = coloring
        handles: list[Any] = []
        names: list[str] = []
        if _are_distinct(classes):
            names = classes
            handles, _ = self.scatter_.legend_elements(num=list(range(len(names))))
        elif not np.isnan(numbers).all():
            self.colorbar_ = self.figure_.colorbar(self.scatter_, ax=ax)
            if classes:
                ticks = np.unique(np.linspace(0, len(classes) - 1, MOST_TICKS).astype(int))
                self.colorbar_.set_ticks(ticks, labels=[classes[i] for i in ticks])
        if np.isnan(numbers).any():
            handles = [*handles, *ax.plot([], [], "o", markersize=5, color=MISSING)]
            names = [*names, "missing"]
        if names:
            loc: Any = "best" if len(self.representation) <= MOST_FOR_BEST else "upper right"
            self.legend_ = ax.legend(handles, names, fontsize="small", loc=loc)


def _are_distinct(classes: list[str]) -> bool:
    """Return whether the labels are classes, each with a separate colour."""
    return 0 < len(classes) <= MOST_CLASSES


def _style(coloring: Coloring | None) -> dict[str, Any]:
    style: dict[str, Any] = {"s": 6, "linewidths": 0}
    if coloring is None:
        return style
    numbers, classes = coloring
    style |= {"c": numbers, "plotnonfinite": True}
    if _are_distinct(classes):
        n_colors = 10 if len(classes) <= 10 else 20
        style |= {"cmap": f"tab{n_colors}", "vmin": 0, "vmax": n_colors - 1}
    return style


def _color_labels(labels: NDArray[Any]) -> Coloring:
    """Convert labels to numbers for a colour scale.

    Numeric labels with fractions or with more than 20 distinct numbers are treated as values. All
    other labels are classes, in sorted order.
    """
    missing = is_missing(labels)
    known = labels[~missing]
    numbers = np.full(len(labels), np.nan)
    # NumPy's numbers are Real. NumPy's booleans are not.
    if all(isinstance(label, Real) and not isinstance(label, bool) for label in known):
        values = known.astype(np.float64)
        if (values != np.round(values)).any() or len(np.unique(values)) > MOST_CLASSES:
            numbers[~missing] = values
            return numbers, []
        known = np.array([int(label) for label in known], dtype=object)
    try:
        classes, codes = np.unique(known, return_inverse=True)
    except TypeError:  # labels of several types have no order
        classes, codes = np.unique(known.astype(str), return_inverse=True)
    numbers[~missing] = codes
    return numbers, [str(name) for name in classes]
