"""Validation and conversion of arrays and labels, shared by all packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from datetime import date, timedelta
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.utils import check_array


def column_names(values: Any) -> list[str] | None:
    """Return the column names of a data frame, and None for other tables."""
    return [str(name) for name in values.columns] if hasattr(values, "columns") else None


def readable(values: Any, name: str) -> Any:
    """Convert tensors to arrays. Masked arrays, complex values and sparse tensors raise an error.

    Mappings, sets, iterators and lazy data frames also raise an error, because NumPy stores each as
    a single object.
    """
    kind = type(values).__name__
    if getattr(getattr(values, "dtype", None), "names", None) is not None:
        kind = "structured array"
    unreadable = isinstance(values, Mapping | Set | Iterator) and not sp.issparse(values)
    if unreadable or kind in ("LazyFrame", "structured array"):
        raise TypeError(f"{name} is a {kind}: pass an array of numbers, a data frame or a list")
    first = values
    while isinstance(first, list | tuple) and len(first):
        first = first[0]
    if isinstance(first, torch.Tensor) and first is not values:
        return [readable(value, name) for value in values]
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} has masked values: drop their rows, or impute the values")
    if isinstance(values, torch.Tensor):
        check_plain_tensor(values, name)
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    if isinstance(values, np.ndarray) and np.iscomplexobj(values):
        raise ValueError(
            f"Complex data not supported: {name} holds complex numbers; pass real and imaginary "
            "parts as columns"
        )
    return values


def as_array(values: Any, name: str) -> NDArray[Any]:
    """Convert array-like values to an array. Rows of different lengths raise an error."""
    values = readable(values, name)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must have rows of equal length: {error}") from error
    if array.dtype.kind in "US" and array.ndim == 2 and isinstance(values, list | tuple):
        array = np.asarray(values, dtype=object)  # numbers beside strings remain numbers
    return np.asarray(readable(array, name))  # lists can hold complex numbers


def float_array(values: Any, name: str) -> NDArray[np.float64]:
    """Return finite numbers as an array of any shape."""
    options: dict[str, Any] = {"ensure_2d": False, "allow_nd": True, "ensure_min_samples": 0}
    return check_array(readable(values, name), dtype=np.float64, input_name=name, **options)


def like_frame(values: NDArray[Any], X: Any) -> Any:
    """Return values as a data frame if X is a data frame of pandas or polars."""
    if not hasattr(X, "columns"):
        return values
    return type(X)(values, **{"columns" if hasattr(X, "iloc") else "schema": X.columns})


def check_plain_tensor(values: torch.Tensor, name: str) -> None:
    """Raise TypeError for sparse, nested, quantized and meta tensors."""
    if values.is_nested or values.is_quantized or values.is_meta:
        raise TypeError(
            f"{name} is a nested, quantized or meta tensor: pass a dense tensor of real numbers"
        )
    check_dense(values, name)


def check_dense(values: torch.Tensor, name: str) -> None:
    """Raise TypeError for sparse tensors."""
    if values.layout != torch.strided:
        raise TypeError(f"{name} is a sparse tensor: pass {name}.to_dense()")


def check_real(name: str, z: Any, *, floating: bool = False, readable: bool = True) -> torch.Tensor:
    """Return z, and raise TypeError unless z is a dense tensor of real numbers.

    With ``floating=True``, tensors of integers also raise TypeError.
    """
    if not isinstance(z, torch.Tensor):
        raise TypeError(
            f"{name} must be a tensor, got {type(z).__name__}: use torch.as_tensor({name})"
        )
    (check_plain_tensor if readable else check_dense)(z, name)
    if z.is_complex() or (floating and not z.is_floating_point()):
        kind = "real and floating-point" if floating else "real"
        raise TypeError(f"{name} must be {kind}, got {z.dtype}: convert the tensor")
    return z


def check_tensor(name: str, z: Any) -> torch.Tensor:
    """Return z, and raise an error unless z is a dense, real, nonempty tensor (n, d)."""
    if check_real(name, z).ndim != 2 or 0 in z.shape:
        raise ValueError(
            f"{name} must have shape (n, d) with at least one row and column; got {tuple(z.shape)}"
        )
    return z


def check_finite(name: str, z: torch.Tensor) -> torch.Tensor:
    """Return z, and raise ValueError if a value is not finite."""
    if not bool(torch.isfinite(z).all()):
        raise ValueError(f"{name} contains NaN or infinity; drop or correct these samples")
    return z


def check_no_dates(values: Any, name: str) -> None:
    """Raise ValueError for dates and durations, whose numbers depend on the unit of time."""
    is_frame = hasattr(values, "columns")
    # Tables of pyarrow have no dtypes.
    dtypes = getattr(values, "dtypes", ()) if is_frame else [getattr(values, "dtype", None)]
    found = {str(dtype) for dtype in dtypes if _is_temporal(dtype)}
    if is_frame and not found:
        cells = np.asarray(values[:1], dtype=object).flat
        found = {type(cell).__name__ for cell in cells if isinstance(cell, date | timedelta)}
    if found:
        raise ValueError(
            f"{name} holds dates or durations ({', '.join(sorted(found))}): pass numbers, such as "
            "the days since the first date"
        )


def _is_temporal(dtype: Any) -> bool:
    """Return whether a dtype of NumPy, pandas or polars holds dates or durations."""
    return getattr(dtype, "kind", None) in ("m", "M") or (
        hasattr(dtype, "is_temporal") and dtype.is_temporal()
    )


def check_numbers(values: Any, name: str, error: Exception) -> None:
    """Raise an error that names the parameter if ``error`` is due to values other than numbers."""
    if sp.issparse(values) or "contains NaN" in str(error):  # pandas' NA is not a float
        return
    if "inhomogeneous" in str(error):
        raise ValueError(f"{name} must have rows of equal length: {error}") from error
    try:
        np.asarray(values, dtype=np.float64)
    except (OverflowError, TypeError, ValueError):
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"{name} must be a table of numbers: {error}. Encode strings, categories and dates as "
            "numbers, for example by sklearn.preprocessing.OrdinalEncoder"
        ) from error


def check_float32_range(largest: float) -> None:
    """Raise if the largest absolute value of X is beyond the range of float32."""
    if largest > float(np.finfo(np.float32).max):
        raise ValueError(
            f"X has values up to {largest:.1e}, too large for dtype('float32') of the networks: "
            "put a scaler such as StandardScaler before the estimator"
        )


def check_labels(labels: Any, name: str) -> None:
    """Raise ValueError for missing labels, and for labels that cannot be sorted."""
    if sp.issparse(labels) or np.asarray(labels).dtype.kind not in "fOmM":
        return
    labels = np.asarray(labels).ravel()
    plain = labels.dtype.kind != "O"
    missing = labels[np.isnan(labels)] if plain else list(filter(is_missing_label, labels))
    if len(missing):
        shown = "NaN" if isinstance(missing[0], float | np.floating) else str(missing[0])
        raise ValueError(
            f"Input {name} contains {shown} in {len(missing)} of {labels.size} places: drop the "
            "rows without a value, or, for classification, give missing labels a separate class"
        )
    if plain:
        return
    kinds = sorted({type(label).__name__ for label in labels})
    try:
        np.unique(labels[:0] if len(kinds) == 1 else labels)
    except TypeError as error:
        raise ValueError(
            f"{name} mixes labels of the types {kinds}, which have no common order: convert them "
            f"to one type, for example by {name}.astype(str)"
        ) from error


def is_missing_label(label: Any) -> bool:
    """Return whether a label is None, NaN, or pandas' NaT or NA."""
    try:
        return label is None or bool(label != label)
    except (TypeError, ValueError):  # NA has no truth value
        return type(label).__name__ == "NAType"
