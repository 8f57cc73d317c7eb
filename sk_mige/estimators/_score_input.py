"""What score estimators accept, and the road from arrays to tensors and back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.utils._array_api import get_namespace, get_namespace_and_device
from sklearn.utils.validation import validate_data
from torch import Tensor

from ._tensor_input import is_constant, readable

__all__ = [
    "check_samples",
    "check_varies",
    "like_input",
    "row_chunks",
    "to_tensor",
    "warn_of_far_values",
]

# Elements of a chunk's Gram matrix: 16 MiB in float64, large enough for full speed and small
# enough to be taken from memory that is there already rather than asked of the system each time.
CHUNK_ELEMENTS = 2**21

# A feature whose standard deviation is so many interquartile ranges, of a normal one .74, because
# less than this share of its values is farther than so many from the median.
WIDE, FAR, FEW = 5, 50, 0.05


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


def warn_of_far_values(x: Tensor, stacklevel: int) -> None:
    """Warn where a few far values, such as -999 for what is missing, decide a feature's scale.

    Whitening would press all other rows into a point, of whose structure the kernel sees nothing.
    """
    n, d = x.shape
    if n <= d or n < 20 or x.device.type == "mps":
        return
    low, middle, high = (x.kthvalue(max(1, n * k // 4), dim=0).values for k in (1, 2, 3))
    spread = high - low
    wide = (spread > 0) & (x.std(0) > WIDE * spread)
    for column in wide.nonzero()[:, 0].tolist():
        away = (x[:, column] - middle[column]).abs() / spread[column]
        share = float((away > FAR).double().mean())
        if 0 < share < FEW:
            value = float(x[int(away.argmax()), column])
            warnings.warn(
                f"{share:.2%} of the values of feature {column}, such as {value:g}, are more than "
                f"{FAR} interquartile ranges from its median and decide how it is whitened: drop "
                "such rows, impute what is missing, or transform the feature",
                UserWarning,
                stacklevel=stacklevel,
            )
            return


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
