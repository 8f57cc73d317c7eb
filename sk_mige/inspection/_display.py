"""Base class of the displays, which imports matplotlib at the first plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
else:
    Axes = Any

__all__ = ["Axes", "Display"]


class Display:
    """Base class of displays, with the axes and the figure of the last plot."""

    ax_: Axes
    figure_: Any

    def _set_axes(self, ax: Axes | None) -> Axes:
        """Return the given axes or the axes of a new figure, and store axes and figure."""
        try:
            import matplotlib.pyplot as plt
            from matplotlib.axes import Axes as AnyAxes
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__} needs matplotlib, which is not installed: install "
                "sk-mige[plot]"
            ) from error
        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        if not isinstance(ax, AnyAxes):
            raise TypeError(
                f"ax must be matplotlib axes or None, got {type(ax).__name__}: pass one element of "
                "the array that plt.subplots returns, or figure.gca()"
            )
        self.ax_, self.figure_ = ax, ax.figure
        return ax
