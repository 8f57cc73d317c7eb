"""Where displays draw: the given axes or new ones; matplotlib is imported here and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Drawing"]


class Drawing:
    """What every display keeps of its drawing; data come with the subclasses."""

    ax_: Axes
    figure_: Any

    def _axes(self, ax: Axes | None) -> Axes:
        """The axes to draw on, remembered with their figure."""
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__} draws with matplotlib, which is not installed: install "
                "sk-mige[plot]"
            ) from error
        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        return ax
