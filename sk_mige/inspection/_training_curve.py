"""TrainingCurveDisplay: the losses of a training run, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ._axes import Drawing
from ._inner import inner

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TrainingCurveDisplay"]


class TrainingCurveDisplay(Drawing):
    """Curves of what was recorded in each epoch of a training run.

    Make it by :meth:`from_estimator` or :meth:`from_history`.

    Parameters
    ----------
    epochs : ndarray of shape (n_epochs,)
        Numbers of the epochs.
    curves : dict of str to ndarray of shape (n_epochs,)
        What was recorded, by name; NaN where an epoch has no record of it.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes that were drawn on.
    figure_ : matplotlib.figure.Figure
        Their figure.
    lines_ : dict of str to matplotlib.lines.Line2D
        A curve for each name.

    Notes
    -----
    The loss of ``MIGEEncoder(mode="infomax")`` is a surrogate: that its curve goes down says that
    training moves, and its height is no information.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import MIGEEncoder
    >>> from sk_mige.inspection import TrainingCurveDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> encoder = MIGEEncoder(n_components=2, max_epochs=3, random_state=0).fit(X)
    >>> TrainingCurveDisplay.from_estimator(encoder).epochs
    array([1, 2, 3])
    """

    def __init__(self, *, epochs: NDArray[Any], curves: Mapping[str, NDArray[Any]]) -> None:
        self.epochs = epochs
        self.curves = dict(curves)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        keys: Sequence[str] | None = None,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : MIGEEncoder or SlicedScoreMatching
            Fitted estimator with ``history_``, or a fitted pipeline or search that holds one. Of a
            pipeline the first step with a history is drawn, the encoder and not a
            :class:`~sk_mige.NonLinearProbe` behind it: pass the probe's step itself,
            ``pipeline[-1]``, for its curve.
        keys : sequence of str, default=None
            Records to draw; by default ``train_loss`` and, where there is one, ``valid_loss``.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        **line_kw
            Passed to matplotlib's ``plot``.

        Returns
        -------
        TrainingCurveDisplay
        """
        fitted = inner(estimator, "history_", first=True)
        return cls.from_history(fitted.history_, keys=keys, ax=ax, **line_kw)

    @classmethod
    def from_history(
        cls,
        history: Iterable[Mapping[str, Any]],
        *,
        keys: Sequence[str] | None = None,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw a history: a record for each epoch.

        Parameters
        ----------
        history : iterable of dict
            Records, such as ``history_`` of an encoder or that of a skorch net.
        keys : sequence of str, default=None
            Records to draw; by default ``train_loss`` and, where there is one, ``valid_loss``.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; new ones by default.
        **line_kw
            Passed to matplotlib's ``plot``.

        Returns
        -------
        TrainingCurveDisplay
        """
        rows = list(history)
        known = {key for row in rows for key in row if key != "batches"}
        if keys is None:
            keys = [key for key in ("train_loss", "valid_loss") if key in known]
        missing = [key for key in keys if key not in known]
        if missing or not keys:
            raise ValueError(f"keys={missing} are not in the history, which has {sorted(known)}")
        epochs = np.array([row.get("epoch", i) for i, row in enumerate(rows, 1)])
        curves = {
            key: np.array([row.get(key, np.nan) for row in rows], dtype=np.float64) for key in keys
        }
        return cls(epochs=epochs, curves=curves).plot(ax, **line_kw)

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
        TrainingCurveDisplay
            This display.
        """
        ax = self._axes(ax)
        self.lines_ = {
            key: ax.plot(self.epochs, values, **{"label": _label(key), **line_kw})[0]
            for key, values in self.curves.items()
        }
        one = len(self.curves) == 1
        ax.set(xlabel="epoch", ylabel=_label(next(iter(self.curves))) if one else None)
        ax.locator_params(axis="x", integer=True)
        if not one or "label" in line_kw:
            ax.legend(frameon=False)
        return self


def _label(key: str) -> str:
    return {"train_loss": "training loss", "valid_loss": "validation loss"}.get(key, key)
