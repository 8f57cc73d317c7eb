"""Full precision inside of regions of mixed precision."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

__all__ = ["full_precision"]

P = ParamSpec("P")
R = TypeVar("R")

HALF = (torch.float16, torch.bfloat16)


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function of tensors compute in float32 or better, wherever it is called.

    Within it autocast is off, and arguments in half precision are float32: small differences of
    large numbers, such as squared distances, do not survive three digits. Gradients flow as ever.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        wide: Any = tuple(_widened(value) for value in args)
        named: Any = {name: _widened(value) for name, value in kwargs.items()}
        tensors = (v for v in (*wide, *named.values()) if isinstance(v, Tensor))
        kind = next((tensor.device.type for tensor in tensors), "cpu")
        if not torch.is_autocast_enabled(kind):
            return function(*wide, **named)
        with torch.autocast(kind, enabled=False):
            return function(*wide, **named)

    return wrapped


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in HALF else value
    return tuple(_widened(part) for part in value) if type(value) is tuple else value
