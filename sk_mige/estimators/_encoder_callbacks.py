"""The skorch callbacks of an encoder: the user's, checked, copied and heeded, and its own."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sklearn.base import clone
from skorch.callbacks import Callback, LRScheduler

__all__ = ["EpochTasks", "own_callbacks", "schedules_lr", "with_callbacks"]


class EpochTasks(Callback):
    """Reports epochs to scikit-learn's callbacks, such as the bars of a nested grid search."""

    def __init__(self, estimator: Any, context: Any) -> None:
        self.estimator = estimator
        self.context = context

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        task = self.context.subcontext(task_name="epoch")
        self.task_ = task.call_on_fit_task_begin(estimator=self.estimator)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if self.task_.call_on_fit_task_end(estimator=self.estimator):
            raise KeyboardInterrupt  # skorch's own way to stop after an epoch


@contextmanager
def with_callbacks(net: Any, callbacks: list[Callback]) -> Iterator[None]:
    """Callbacks for one run only."""
    own = net.callbacks_
    net.callbacks_ = own + [(type(extra).__name__, extra.initialize()) for extra in callbacks]
    try:
        yield
    finally:
        net.callbacks_ = own


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
