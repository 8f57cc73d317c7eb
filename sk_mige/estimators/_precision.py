"""What is left of the rows in float32, in which networks compute."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.utils._array_api import get_namespace, move_to

__all__ = ["expect_float32_to_tell_rows_apart"]

# Floats of float32 between a column's least and largest value; below, a network sees noise.
FEWEST_STEPS = 16


def expect_float32_to_tell_rows_apart(X: Any, stacklevel: int) -> None:
    """Refuse rows X (n, d) that become equal in float32; warn of columns that hardly vary in it."""
    xp, _ = get_namespace(X)
    if getattr(X.dtype, "itemsize", 8) < 4 or X.dtype == xp.float32:
        return
    ends = (xp.min(X, axis=0), xp.max(X, axis=0))
    low, high = (np.asarray(move_to(end, xp=np, device="cpu"), dtype=np.float64) for end in ends)
    size = np.maximum(np.abs(low), np.abs(high)).astype(np.float32)
    narrow = (low < high) & (high - low < FEWEST_STEPS * np.spacing(size).astype(np.float64))
    if not narrow.any():
        return
    columns = np.flatnonzero(narrow)
    shown = ", ".join(map(str, columns[:5])) + ", …" * (len(columns) > 5)
    first = columns[0]
    example = f"column {first} goes from {float(low[first])} to {float(high[first])}"
    advice = "put a StandardScaler before them, which subtracts the mean in float64"
    # Rounding keeps the order: where the ends of a column meet so does what lies between.
    if (low.astype(np.float32) == high.astype(np.float32)).all():
        raise ValueError(
            f"the rows of X are all equal in dtype('float32'), in which the networks compute: "
            f"{example}; {advice}"
        )
    warnings.warn(
        f"{len(columns)} of the columns of X, {shown}, vary by less than dtype('float32'), in "
        f"which the networks compute, can tell: {example}; {advice}",
        UserWarning,
        stacklevel=stacklevel,
    )
