"""Conversion of dtypes and devices, and full precision inside regions of mixed precision."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ParamSpec, Self, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

HALF = (torch.float16, torch.bfloat16)


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of tensors to compute in float32 or better, even under autocast.

    Autocast is off inside the function, and arguments in half precision become float32. Half
    precision has three digits, which are too few for small differences of large numbers, such as
    squared distances. Gradients propagate through the function and the conversions.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        wide: Any = tuple(_widened(value) for value in args)
        named: Any = {name: _widened(value) for name, value in kwargs.items()}
        tensors = (v for v in (*wide, *named.values()) if isinstance(v, Tensor))
        kind = next((tensor.device.type for tensor in tensors), "cpu")
        if kind == "meta" or not torch.is_autocast_enabled(kind):
            return function(*wide, **named)
        with torch.autocast(kind, enabled=False):
            return function(*wide, **named)

    return wrapped


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in HALF else value
    return tuple(_widened(part) for part in value) if type(value) is tuple else value


def widest_dtype(tensor: Tensor) -> torch.dtype:
    """Return float64, or float32 on MPS, which has no float64."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


@dataclass(frozen=True)
class TensorParts:
    """Base class of dataclasses whose fields are tensors, ``TensorParts`` or plain values."""

    def to(self, target: torch.dtype | torch.device) -> Self:
        """Return the same object with tensors in another dtype or on another device."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: part.to(target) for name, part in parts.items() if hasattr(part, "to")}
        return replace(self, **moved)
