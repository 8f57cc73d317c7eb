"""Validation of sizes and numbers, without scikit-learn."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


def as_size(name: str, value: Any, least: int = 1) -> int:
    """Return an integer of at least ``least``, or raise an error that names the argument.

    Examples
    --------
    >>> from sk_mige._sizes import as_size
    >>> as_size("n_outputs", 3)
    3
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        kind = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise ValueError(f"{name} must be {kind}, got {value!r:.80}")
    return int(value)


def as_sizes(name: str, values: Any) -> tuple[int, ...]:
    """Return positive integers as a tuple. A single integer gives a tuple of length one.

    Examples
    --------
    >>> from sk_mige._sizes import as_sizes
    >>> as_sizes("hidden_layer_sizes", 8)
    (8,)
    """
    try:
        listed = (values,) if isinstance(values, Integral) else tuple(values)
        return tuple(as_size(name, value) for value in listed)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold positive integers, got {values!r:.80}") from error


def as_image_shape(shape: Any) -> tuple[int, int, int]:
    """Return (channels, height, width), or raise an error that suggests a shape."""
    sizes = () if shape is None else as_sizes("input_shape", shape)
    if len(sizes) != 3:
        raise ValueError(
            "convolutions need input_shape=(channels, height, width), for example "
            f"input_shape=(1, 28, 28) for 784 features; got input_shape={shape}"
        )
    return sizes[0], sizes[1], sizes[2]


def as_number(
    name: str, value: Any, low: float = 0, high: float = math.inf, closed: str = "neither"
) -> float:
    """Return a number in an interval, or raise an error that names the argument.

    The interval contains the limits that ``closed`` names: "neither", "left", "right" or "both".
    """
    left, right = closed in ("left", "both"), closed in ("right", "both")
    number: Any = value if isinstance(value, Real) else math.nan
    if not (low < number < high or (left and number == low) or (right and number == high)):
        limits = f"a number in {'[' if left else '('}{low}, {high}{']' if right else ')'}"
        kind = limits if left or (low, high) != (0, math.inf) else "positive and finite"
        raise ValueError(f"{name} must be {kind}; got {value!r:.80}")
    return float(value)
