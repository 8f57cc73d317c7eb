"""Rows that MIGEEncoder accepts, and the namespace they arrive in."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.utils._array_api import get_namespace, get_namespace_and_device, move_to
from sklearn.utils.validation import validate_data
from torch.utils.data import DataLoader, Dataset

from ._tensor_input import is_constant, readable

__all__ = [
    "check_queries",
    "check_rows",
    "check_validation",
    "check_varies",
    "like_input",
    "namespace_of",
    "to_rows",
]

Rows = NDArray[Any] | torch.Tensor


def check_rows(estimator: Any, X: Any, *, reset: bool, min_rows: int = 2) -> Any:
    """Dense, finite X (n, d) of real numbers in its own namespace; integers stay integers.

    Batches become float32 as they are picked: of bytes in a memory map no copy is made.
    """
    if sp.issparse(X):
        raise TypeError(
            f"{type(estimator).__name__} takes dense input, got a sparse {X.format} container of "
            f"shape {X.shape}: put sklearn.decomposition.TruncatedSVD (or, where memory allows, a "
            "FunctionTransformer that calls X.toarray()) before it"
        )
    _check_rows_are_rows(estimator, X)
    X = readable(X)
    xp, _ = get_namespace(X)
    integral = _is_integral(X)
    X = validate_data(
        estimator,
        X,
        dtype=None if integral else [xp.float64, xp.float32],
        ensure_min_samples=min_rows,
        reset=reset,
    )
    if integral:
        return X
    largest = max(abs(float(xp.max(X))), abs(float(xp.min(X))))
    if largest > float(np.finfo(np.float32).max):
        raise ValueError(
            f"X has values up to {largest:.1e}, too large for dtype('float32') in which the "
            "networks compute: put a scaler such as StandardScaler before it"
        )
    return X


def _check_rows_are_rows(estimator: Any, X: Any) -> None:
    """Refuse what is no table of rows, and say how it becomes one."""
    if isinstance(X, Dataset | DataLoader):
        raise TypeError(
            f"{type(estimator).__name__} takes rows, an array or tensor of shape (n_samples, "
            f"n_features); got a {type(X).__name__} of torch. Stack its inputs: "
            "torch.stack([x.flatten() for x, *_ in dataset]); training makes batches itself"
        )
    shape = tuple(getattr(X, "shape", ()))
    if len(shape) > 2:
        row = shape[1:]
        if len(row) == 2 and getattr(estimator, "encoder", None) == "conv":
            row = (1, *row)  # images of one channel
        said = f" and input_shape={row}" if hasattr(estimator, "input_shape") else ""
        raise ValueError(
            f"X has the shape {shape}, but rows are flat: pass X.reshape({shape[0]}, -1){said}"
        )


def _is_integral(X: Any) -> bool:
    dtype = getattr(X, "dtype", None)
    if isinstance(dtype, np.dtype):
        return dtype.kind in "iub"
    if isinstance(dtype, torch.dtype):
        return not (dtype.is_floating_point or dtype.is_complex)
    return hasattr(X, "__array_namespace__") and bool(
        X.__array_namespace__().isdtype(dtype, ("integral", "bool"))
    )


def check_varies(X: Any) -> None:
    """Refuse rows that are all the same: there is no information in them to keep."""
    if is_constant(X):
        raise ValueError(
            f"X is constant: its {X.shape[0]} rows are all the same, so there is no information "
            "about them to keep"
        )


def check_validation(estimator: Any) -> None:
    """Refuse held-out rows where the objective has a gradient but no value."""
    if estimator.validation_fraction is None or estimator.mode == "ib":
        return
    between = estimator.feature_layer is not None or estimator.n_views > 1
    if estimator.mi_estimator == "mige" or between:
        raise ValueError(
            f"validation_fraction={estimator.validation_fraction} needs a loss whose value means "
            "something on held-out rows: that of mode='ib', or a bound as mi_estimator, no "
            "feature_layer and n_views=1. The surrogate of mi_estimator='mige' has a gradient "
            "only; to watch mode='infomax', score a probe by skorch's EpochScoring"
        )


def check_queries(estimator: Any, X: Any, method: str) -> Any:
    """Rows given to a fitted estimator, in the namespace of those it was fitted to."""
    xp, _, _ = get_namespace_and_device(X)
    fitted = estimator._fit_namespace
    if xp.__name__ != fitted:
        raise ValueError(
            f"Inputs passed to {type(estimator).__name__}.{method}() must use the same namespace "
            f"as those passed to fit(): {fitted}, got {xp.__name__}"
        )
    return check_rows(estimator, X, reset=False, min_rows=1)


def namespace_of(X: Any) -> str:
    """Name of the array namespace of X, as dispatch sees it."""
    xp, _ = get_namespace(X)
    return str(xp.__name__)


def to_rows(X: Any) -> Rows:
    """X as something that batches can be indexed from: torch and NumPy stay as they are."""
    if isinstance(X, torch.Tensor):
        return X.detach()
    return np.asarray(move_to(X, xp=np, device="cpu"))


def like_input(values: NDArray[Any], X: Any, *, keep_dtype: bool = False) -> Any:
    """Results in the namespace and on the device of X, and in its dtype unless told otherwise.

    Of integers they are float32, the networks' own.
    """
    xp, _, device = get_namespace_and_device(X)
    if values.dtype.kind not in "fiub":  # labels that are no numbers stay NumPy's
        return values
    dtype = xp.float32 if _is_integral(X) else X.dtype
    return xp.asarray(values, dtype=None if keep_dtype else dtype, device=device)
