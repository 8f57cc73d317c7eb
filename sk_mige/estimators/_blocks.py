"""Dask arrays: transformed block by block, when and where Dask computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["by_blocks", "is_dask"]


def is_dask(X: Any) -> bool:
    """Whether X is a Dask array; a frame of Dask's is refused, with what makes an array of it."""
    if hasattr(X, "dask") and hasattr(X, "map_partitions"):
        raise TypeError(
            f"X is a Dask {type(X).__name__}: pass X.to_dask_array(lengths=True), an array whose "
            "chunks have known sizes"
        )
    return hasattr(X, "dask") and hasattr(X, "map_blocks") and hasattr(X, "rechunk")


def by_blocks(transform: Callable[[Any], Any], X: Any, width: int, dtype: Any) -> Any:
    """A Dask array (n, width) of what ``transform`` makes of each block of rows."""
    rows = X.rechunk({1: X.shape[1]})
    return rows.map_blocks(
        lambda block: np.asarray(transform(block)),
        dtype=dtype,
        chunks=(rows.chunks[0], (width,)),
        meta=np.empty((0, width), dtype=dtype),
    )
