"""Targets that MIGEEncoder accepts: labels and values, and the namespace they arrive in."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite
from sklearn.utils._array_api import _max_precision_float_dtype, get_namespace_and_device, move_to
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

__all__ = [
    "as_numpy",
    "as_targets",
    "check_classes",
    "check_targets",
    "expect_classes_to_split",
    "find_classes",
    "resolve_task",
    "warn_of_many_classes",
]


def as_targets(values: NDArray[np.float64], X: Any, dtype: str) -> Any:
    """Predicted values in the targets' dtype, in the namespace and on the device of X."""
    xp, _, device = get_namespace_and_device(X)
    if _max_precision_float_dtype(xp, device) == xp.float32:  # such as Apple's
        dtype = "float32"
    return xp.asarray(values.astype(dtype), device=device)


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
    expect_labels(y)
    if task != "auto":
        return task
    expect_one_type(np.asarray(y))
    kind = type_of_target(y, input_name="y")
    if kind in ("binary", "multiclass"):
        return "classification"
    if kind.startswith("continuous") or kind == "multiclass-multioutput":
        return "regression"
    raise ValueError(
        f"Unknown label type: {kind}. mode='ib' takes one class a row, or real numbers "
        "(task='regression')"
    )


def expect_labels(y: Any) -> None:
    """Refuse targets of which some are missing."""
    labels = np.asarray(y)
    if sp.issparse(y) or labels.dtype.kind not in "fOmM":
        return
    plain = labels.dtype.kind != "O"
    missing = labels[np.isnan(labels)] if plain else list(filter(_is_missing, labels.flat))
    if len(missing):
        shown = "NaN" if isinstance(missing[0], float | np.floating) else str(missing[0])
        raise ValueError(
            f"Input y contains {shown} in {len(missing)} of {labels.size} places: drop the rows "
            "that lack a target, or give those without a class one of their own"
        )


def expect_one_type(labels: NDArray[Any]) -> None:
    """Refuse labels that cannot be sorted."""
    kinds = sorted({type(label).__name__ for label in labels.flat})
    if labels.dtype.kind != "O" or len(kinds) < 2:
        return
    try:
        np.unique(labels)
    except TypeError as error:
        raise ValueError(
            f"y mixes labels of the types {kinds}, which have no common order: make them of one "
            "type, for example by y.astype(str)"
        ) from error


def _is_missing(label: Any) -> bool:
    """Whether a label is None, NaN, or pandas' NaT or NA."""
    try:
        return label is None or bool(label != label)
    except (TypeError, ValueError):  # NA does not say whether it equals itself
        return type(label).__name__ == "NAType"


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
    expect_labels(y)
    if task == "classification":
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        expect_one_type(y)
        if y.dtype.kind == "f":  # no class is infinite either
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
