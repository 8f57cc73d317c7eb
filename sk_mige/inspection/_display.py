"""Base class of the displays, checks of their arguments, and access to estimators in pipelines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sk_mige._arrays import as_array, is_missing_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
else:
    Axes = Any


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


def real_numbers(
    name: str, values: Any, *, ndim: int = 1, finite: bool = True
) -> NDArray[np.float64]:
    """Return values as float64, after checks of type, shape and size."""
    try:
        array = as_array(values, name)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"dtype {array.dtype}")
        array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ValueError(
            f"{name} must hold real numbers, got {values!s:.60}: {error!s:.100}"
        ) from error
    if array.ndim != ndim or not array.size:
        raise ValueError(
            f"{name} must be {ndim}-dimensional and not empty, got the shape {array.shape}"
        )
    if finite and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise ValueError(f"{name} has {bad} values that are NaN or infinite; remove them")
    return array


def is_missing(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask of the missing labels: None, NaN, infinity, NaT and pandas.NA."""
    missing = [is_missing_label(label) or label in (np.inf, -np.inf) for label in labels]
    return np.array(missing, dtype=bool)


def column_indices(
    name: str, chosen: Any, n_columns: int, names: Sequence[str] | None = None
) -> tuple[int, int]:
    """Return the indices of two chosen columns, and raise if a column does not exist."""
    if n_columns < 2:
        raise ValueError(f"{name} needs at least two columns to draw, got {n_columns}")
    known = f"indices from 0 to {n_columns - 1}"
    if names is not None:
        known += f" or names from {list(names)}"
    pair = list(chosen) if isinstance(chosen, Iterable) and not isinstance(chosen, str) else []
    order = list(names or [])
    found = [order.index(c) if isinstance(c, str) and c in order else c for c in pair]
    valid = [int(i) for i in found if isinstance(i, Integral) and int(i) in range(n_columns)]
    if len(pair) != 2 or len(valid) != 2:
        raise ValueError(f"{name} must be two columns, {known}; got {chosen!r}")
    return valid[0], valid[1]


def find_part(estimator: Any, attribute: str, works: str, *, first: bool = False) -> Any:
    """Return the part of an estimator, search or pipeline that has a given attribute.

    If several steps of a pipeline have the attribute, the last matching step is returned. With
    ``first=True``, the first matching step is returned.
    """
    if hasattr(estimator, attribute) and not isinstance(estimator, type):
        return estimator
    part = _best_estimator(estimator)
    if isinstance(part, Pipeline):
        steps = part.steps if first else reversed(part.steps)
        part = next((step for _, step in steps if hasattr(step, attribute)), part)
    require(part, attribute, works)
    return part


def require(part: Any, attribute: str, works: str) -> None:
    """Raise an error for an estimator that is not fitted or lacks the attribute."""
    check_is_fitted(part)
    if not hasattr(part, attribute):
        raise TypeError(
            f"estimator must be {works}, got {type(part).__name__}, which has no {attribute}"
        )


def find_transformer(estimator: Any) -> Any:
    """Return the transformer in a search or pipeline, without a final predictor."""
    part = _best_estimator(estimator)
    if isinstance(part, Pipeline) and len(part) > 1 and not hasattr(part[-1], "transform"):
        part = part[:-1]
    require(part, "transform", "a fitted transformer, or a pipeline or search that contains one")
    return part


def last_step(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the last step of a pipeline or of a searched pipeline, and the input of the step."""
    part = _best_estimator(estimator)
    if isinstance(part, Pipeline):
        X = part[:-1].transform(X) if len(part) > 1 else X
        part = part[-1]
    return part, X


def _best_estimator(estimator: Any) -> Any:
    if getattr(estimator, "refit", True) is False:
        raise ValueError(
            f"estimator is a {type(estimator).__name__} with refit=False, which keeps no fitted "
            "estimator: set refit=True"
        )
    return getattr(estimator, "best_estimator_", estimator)
