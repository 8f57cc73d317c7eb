"""The skorch callbacks that a user gives an encoder: checked, copied, and heeded."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from sklearn.base import clone
from skorch.callbacks import Callback, LRScheduler

__all__ = ["own_callbacks", "schedules_lr"]


def own_callbacks(callbacks: Sequence[Any] | None) -> list[Any]:
    """Callbacks of our own: those of the user keep no trace of training."""
    return [_copied(callback, index) for index, callback in enumerate(callbacks or [])]


def schedules_lr(callbacks: Sequence[Any] | None) -> bool:
    """Whether the user brings a schedule of learning rates, which then replaces ours."""
    bare = [entry[1] if isinstance(entry, tuple) else entry for entry in callbacks or []]
    return any(
        issubclass(entry if isinstance(entry, type) else type(entry), LRScheduler) for entry in bare
    )


def _copied(callback: Any, index: int) -> Any:
    if isinstance(callback, tuple) and len(callback) == 2 and isinstance(callback[0], str):
        name, inner = callback
        return name, _copied(inner, index)
    if isinstance(callback, type) and hasattr(callback, "on_train_begin"):
        return callback
    if isinstance(callback, type) or not hasattr(callback, "on_train_begin"):
        raise TypeError(
            f"callbacks[{index}] is {callback!r}, which is no callback of skorch: give a class, "
            "an instance, or a pair (name, callback); scikit-learn's callbacks are set by "
            "set_callbacks"
        )
    if not isinstance(callback, Callback):  # of the same form, without the base class
        return copy.deepcopy(callback)
    try:
        return clone(callback)
    except TypeError:
        # One of its parameters cannot be copied, as a writer's open file: that one is shared.
        return type(callback)(**callback.get_params(deep=False))
