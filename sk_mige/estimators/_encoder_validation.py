"""What MIGEEncoder accepts: rows, targets, and the namespace in which both arrive."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite
from sklearn.utils._array_api import get_namespace, get_namespace_and_device, move_to
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)
from torch.utils.data import DataLoader, Dataset

from ._tensor_input import is_constant, readable

__all__ = [
    "check_classes",
    "check_queries",
    "check_rows",
    "check_targets",
    "check_validation",
    "expect_classes_to_split",
    "resolve_task",
    "to_rows",
    "warn_of_many_classes",
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
    if estimator.mi_estimator == "mige" or estimator.feature_layer is not None:
        raise ValueError(
            f"validation_fraction={estimator.validation_fraction} needs a loss whose value means "
            "something on held-out rows: that of mode='ib', or a bound as mi_estimator and no "
            "feature_layer. The surrogate of mi_estimator='mige' has a gradient only; to watch "
            "mode='infomax', score a probe by skorch's EpochScoring"
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


def as_numpy(y: Any) -> Any:
    """Targets as NumPy, from whatever namespace they come."""
    if y is None or sp.issparse(y):
        return y
    return (
        move_to(y, xp=np, device="cpu")
        if hasattr(y, "__array_namespace__")
        else (y.detach().cpu().numpy() if isinstance(y, torch.Tensor) else y)
    )


def resolve_task(task: str, y: Any) -> str:
    """Classification or regression, from the parameter or from the kind of the targets."""
    labels = np.asarray(y)
    if labels.dtype.kind == "O" and any(label is None for label in labels.flat):
        raise ValueError("y contains None: drop the rows without a label, or name their class")
    if task != "auto":
        return task
    kind = type_of_target(y, input_name="y")
    if kind in ("binary", "multiclass"):
        return "classification"
    if kind.startswith("continuous") or kind == "multiclass-multioutput":
        return "regression"
    raise ValueError(
        f"Unknown label type: {kind}. mode='ib' takes one class a row, or real numbers "
        "(task='regression')"
    )


def warn_of_many_classes(y: NDArray[Any], stacklevel: int) -> None:
    """Warn where numbers that look like values were taken for classes."""
    n_classes = len(np.unique(y))
    if y.dtype.kind not in "iuf" or n_classes <= 20 or len(y) >= 5 * n_classes:
        return
    warnings.warn(
        f"y has {n_classes} distinct whole numbers in {len(y)} rows, which task='auto' takes for "
        "classes: task='regression' takes them for values, task='classification' silences this",
        UserWarning,
        stacklevel=stacklevel,
    )


def check_targets(estimator: Any, X: Any, y: Any, task: str) -> NDArray[Any]:
    """Targets fit for the task: labels (n,) or float64 values (n, t)."""
    y = as_numpy(y)
    if task == "classification":
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        if y.dtype.kind == "f":
            assert_all_finite(y, input_name="y")
        if type_of_target(y, input_name="y").startswith("continuous"):
            said = (
                "set task='regression', or bin them" if hasattr(estimator, "task") else "bin them"
            )
            raise ValueError(
                "Unknown label type: continuous. y holds real numbers, which are no classes: "
                f"{said}"
            )
        check_classification_targets(y)
        return np.asarray(y)
    values: NDArray[Any] = check_array(
        y, dtype=np.float64, ensure_2d=False, estimator=estimator, input_name="y"
    )
    check_consistent_length(X, values)
    if values.ndim > 2:
        raise ValueError(f"y must have shape (n,) or (n, n_targets), got {values.shape}")
    return values


def check_classes(y: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Index in ``classes`` of each label."""
    unseen = np.setdiff1d(y, classes)
    if unseen.size:
        raise ValueError(
            f"y contains classes that fit did not see: {unseen.tolist()}; known are "
            f"{classes.tolist()}. Name all of them in the first partial_fit(..., classes=...)"
        )
    return np.searchsorted(classes, y).astype(np.int64)


def expect_classes_to_split(
    classes: NDArray[Any], indices: NDArray[np.int64], fraction: float
) -> None:
    """Refuse to hold rows out alike from every class where one of them has a single row."""
    lone = classes[np.bincount(indices, minlength=len(classes)) == 1]
    if lone.size:
        raise ValueError(
            f"validation_fraction={fraction} holds out rows of every class and trains on others, "
            f"but there is one row alone of {lone.tolist()}: leave such classes out, or set "
            "validation_fraction=None"
        )


def find_classes(y: NDArray[Any]) -> NDArray[Any]:
    """Sorted labels, of which there must be two."""
    classes: NDArray[Any] = np.unique(y)
    if len(classes) < 2:
        raise ValueError(
            f"classification needs at least two classes, y has one class: {classes.tolist()}"
        )
    return classes
