"""Widths of hidden layers, as several estimators take them."""

from __future__ import annotations

from numbers import Integral
from typing import Any

__all__ = ["as_sizes"]


def as_sizes(sizes: Any) -> tuple[int, ...]:
    """hidden_layer_sizes as a tuple; a number is one layer."""
    listed = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
    if not all(isinstance(size, Integral) and int(size) >= 1 for size in listed):
        raise ValueError(f"hidden_layer_sizes must hold positive integers, got {sizes!r}")
    return tuple(int(size) for size in listed)
