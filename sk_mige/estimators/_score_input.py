"""What score estimators accept, and the road from arrays to tensors and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.utils._array_api import get_namespace, get_namespace_and_device
from sklearn.utils.validation import validate_data
from torch import Tensor

from ._tensor_input import is_constant, readable

__all__ = ["check_samples", "like_input", "row_chunks", "to_tensor"]

# Elements of a chunk's Gram matrix: 16 MiB in float64, large enough for full speed and small
# enough to be taken from memory that is there already rather than asked of the system each time.
CHUNK_ELEMENTS = 2**21


def check_samples(estimator: Any, X: Any, *, reset: bool, min_rows: int = 1) -> Any:
    """Dense, finite, floating X (n, d) in its own namespace; integers become float64."""
    X = readable(X)
    xp, _ = get_namespace(X)
    return validate_data(
        estimator, X, dtype=[xp.float64, xp.float32], reset=reset, ensure_min_samples=min_rows
    )


def check_varies(X: Any) -> None:
    """Refuse rows that are all equal: they have no density, and so no score."""
    if is_constant(X):
        raise ValueError(
            f"X is constant: all of its {X.shape[0]} rows are equal, so that no density and no "
            "score can be estimated; pass samples that vary in at least one feature"
        )


def to_tensor(X: Any, device: torch.device) -> Tensor:
    """X as a tensor on the device, in its own dtype; a view of it where torch can make one."""
    if isinstance(X, Tensor):
        return X.detach().to(device)
    if not isinstance(X, np.ndarray):  # another array namespace
        X = np.asarray(X)
    # torch warns about arrays it could not write to; nothing here writes, but a copy of a chunk
    # costs little and a memory map must stay on disk. Nor does it read backwards (X[::-1]).
    as_it_is = X.flags.writeable and all(stride >= 0 for stride in X.strides)
    return torch.from_numpy(X if as_it_is else X.copy()).to(device)


def row_chunks(X: Any, width: int, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Slices of the rows of X and the tensors they hold, sized for Gram matrices of that width."""
    rows = max(1, CHUNK_ELEMENTS // max(width, 1))
    for start in range(0, X.shape[0], rows):
        part = slice(start, min(start + rows, X.shape[0]))
        yield part, to_tensor(X[part], device)


def like_input(values: Tensor, X: Any) -> Any:
    """Results in the namespace, on the device and in the dtype of X."""
    if isinstance(X, Tensor):
        return values.to(device=X.device, dtype=X.dtype)
    xp, _, device = get_namespace_and_device(X)
    return xp.asarray(values.cpu().numpy(), dtype=X.dtype, device=device)
