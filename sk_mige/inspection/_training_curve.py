"""TrainingCurveDisplay: plot of the records of a training run against the epochs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ._display import Axes, Display, find_part, real_numbers


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingCurveDisplay(Display):
    """Plot of the records of a training run, such as losses and accuracies, against the epochs.

    Create the display with :meth:`from_estimator` or :meth:`from_history`. All losses are drawn in
    one panel, and all accuracies in another panel. Every other quantity has a separate panel. A
    curve connects the epochs at which its quantity was recorded.

    Parameters
    ----------
    epochs : ndarray of shape (n_epochs,)
        Number of each epoch.
    curves : dict of str to ndarray of shape (n_epochs,)
        Recorded values by name, with NaN for epochs without a record.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Axes of the first panel.
    figure_ : matplotlib.figure.Figure
        Figure of the axes.
    lines_ : dict of str to matplotlib.lines.Line2D
        Curve for each name.

    Notes
    -----
    The training loss of ``MIGEEncoder(mode="infomax")`` has a meaningful gradient, but no
    meaningful value. With ``mode="infomax"``, the validation loss is minus the encoder's ``score``
    of the held-out rows, in nats.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sk_mige import MIGEEncoder
    >>> from sk_mige.inspection import TrainingCurveDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> encoder = MIGEEncoder(n_components=2, max_epochs=3, random_state=0).fit(X)
    >>> TrainingCurveDisplay.from_estimator(encoder).epochs
    array([1, 2, 3])

    Probes and the effective rank are recorded by callbacks:

    >>> from sk_mige.training import EffectiveRank
    >>> encoder.set_params(callbacks=[EffectiveRank(X[:300])]).fit(X).n_iter_
    3
    >>> keys = ["train_loss", "effective_rank"]
    >>> len(TrainingCurveDisplay.from_estimator(encoder, keys=keys).figure_.axes)
    2
    """

    epochs: NDArray[Any]
    curves: Mapping[str, NDArray[Any]]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        keys: str | Sequence[str] | None = None,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : MIGEEncoder or SlicedScoreMatching
            Fitted estimator with ``history_``, or a fitted pipeline or search that contains such an
            estimator. For a pipeline, the history of the first step with ``history_`` is drawn. To
            draw a :class:`~sk_mige.NonLinearProbe` after an encoder, pass the step
            ``pipeline[-1]``.
        keys : str or sequence of str, default=None
            Names of the records to draw, or a single name. None means ``train_loss`` and, if
            recorded, ``valid_loss``.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw all curves on. If ``ax`` is None, a new figure with panels is created.
        **line_kw
            Keyword arguments of matplotlib's ``plot``.

        Returns
        -------
        TrainingCurveDisplay
        """
        works = "a trained estimator such as MIGEEncoder, or contain one"
        fitted = find_part(estimator, "history_", works, first=True)
        return cls.from_history(fitted.history_, keys=keys, ax=ax, **line_kw)

    @classmethod
    def from_history(
        cls,
        history: Iterable[Mapping[str, Any]],
        *,
        keys: str | Sequence[str] | None = None,
        ax: Axes | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw a history.

        Parameters
        ----------
        history : iterable of dict
            One record for each epoch, such as ``history_`` of an encoder or the history of a
            skorch net.
        keys : str or sequence of str, default=None
            Names of the records to draw, or a single name. None means ``train_loss`` and, if
            recorded, ``valid_loss``.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw all curves on. If ``ax`` is None, a new figure with panels is created.
        **line_kw
            Keyword arguments of matplotlib's ``plot``.

        Returns
        -------
        TrainingCurveDisplay
        """
        rows = list(history) if isinstance(history, Iterable) else [history]
        if not rows:
            raise ValueError("the history has no epochs to draw: set max_epochs to 1 or more")
        if not all(isinstance(row, Mapping) for row in rows):
            raise ValueError(
                f"history must be a sequence of dicts, one for each epoch; got {history!r:.60}"
            )
        keys = _known_keys(keys, rows)
        epochs = np.array([row.get("epoch", i) for i, row in enumerate(rows, 1)])
        real_numbers("history['epoch']", epochs)
        curves = {
            key: real_numbers(f"history[{key!r}]", [row.get(key) for row in rows], finite=False)
            for key in keys
        }
        return cls(epochs=epochs, curves=curves).plot(ax, **line_kw)

    def plot(self, ax: Axes | None = None, **line_kw: Any) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw all curves on. If ``ax`` is None, a new figure with panels is created.
        **line_kw
            Keyword arguments of matplotlib's ``plot``.

        Returns
        -------
        TrainingCurveDisplay
            This display.
        """
        panels = self._panels(ax)
        self.lines_ = {}
        for key, values in self.curves.items():
            own = np.asarray(values, dtype=np.float64)
            known = np.isfinite(own)
            (self.lines_[key],) = panels[_panel(key)].plot(
                np.asarray(self.epochs)[known], own[known], **{"label": _label(key), **line_kw}
            )
        for panel in set(panels.values()):
            keys = [key for key, line in self.lines_.items() if line.axes is panel]
            one = len(keys) == 1
            panel.set(xlabel="epoch", ylabel=_label(keys[0]) if one else None)
            panel.locator_params(axis="x", integer=True)
            if not one or "label" in line_kw:
                panel.legend(frameon=False)
        return self

    def _panels(self, ax: Axes | None) -> dict[str, Axes]:
        """Return the axes of each panel. If ``ax`` is not None, all panels share ``ax``."""
        names = list(dict.fromkeys(map(_panel, self.curves)))
        own = self._set_axes(ax)
        if ax is not None or len(names) == 1:
            return dict.fromkeys(names, own)
        own.remove()
        made = self.figure_.subplots(len(names), sharex=True)
        self.ax_ = made[0]
        return dict(zip(names, made, strict=True))


def _known_keys(keys: str | Sequence[str] | None, rows: list[Mapping[str, Any]]) -> list[str]:
    """Return the names of the records to draw, and raise for names that were not recorded."""
    known = {key for row in rows for key in row if key != "batches"}
    if keys is None:
        keys = [key for key in ("train_loss", "valid_loss") if key in known]
    chosen = list(keys) if isinstance(keys, Iterable) and not isinstance(keys, str) else [keys]
    missing = [key for key in chosen if not isinstance(key, str) or key not in known]
    if missing or not chosen:
        raise ValueError(
            f"keys={missing or chosen} are not in the history; use some of "
            f"{sorted(map(str, known))}"
        )
    return chosen


def _label(key: str) -> str:
    names = {"train_loss": "training loss", "valid_loss": "validation loss"}
    return names.get(key, key.replace("_", " "))


def _panel(key: str) -> str:
    """Return the name of the panel of a record, such as "loss" or "accuracy"."""
    return next((name for name in ("loss", "accuracy") if key.endswith(name)), key)
