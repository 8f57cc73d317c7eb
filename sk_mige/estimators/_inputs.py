"""Validation of the encoder's inputs, and conversion of arrays and data sets to rows (n, d)."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sized
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils._array_api import get_namespace
from sklearn.utils.validation import validate_data
from skorch.helper import SliceDataset
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, SequentialSampler, default_convert

from sk_mige._arrays import as_array
from sk_mige.training.items import NO_OPTIONS, ItemRows, is_data_set

from ._rows import (
    as_rows,
    blocks,
    check_float32_resolution,
    check_rows,
    check_varies,
    is_constant,
    namespace_of,
)

# Options of a DataLoader for reading items. Options that define the batches are not listed.
LOADER_OPTIONS = (
    "num_workers",
    "prefetch_factor",
    "persistent_workers",
    "multiprocessing_context",
    "worker_init_fn",
    "pin_memory",
    "timeout",
)


def check_inputs(
    estimator: Any, X: Any, *, reset: bool, shape: tuple[int, ...] | None, min_rows: int = 2
) -> tuple[Any, tuple[int, ...] | None]:
    """Validate X, and return rows (n, d) and the shape of one input of the network.

    The shape is None for flat inputs. The argument ``shape``, if given, overrides the shape found
    in X. Items of a data set are validated later, when they are read.
    """
    rows, found = _flattened(X)
    shape = _common_shape(found, shape, estimator.encoder)
    if not isinstance(rows, ItemRows):
        return check_rows(estimator, rows, reset=reset, min_rows=min_rows), shape
    if len(rows) < min_rows:
        raise ValueError(
            f"X is a data set with {len(rows)} item(s), but {type(estimator).__name__} needs at "
            f"least {min_rows}: add items"
        )
    return validate_data(estimator, rows, skip_check_array=True, reset=reset), shape


def check_training_inputs(
    estimator: Any, X: Any, *, reset: bool, shape: tuple[int, ...] | None, task: str | None
) -> tuple[Any, tuple[int, ...] | None]:
    """Validate training inputs as in ``check_inputs``, and raise if all rows are equal.

    Only the first block of a data set is read, unless its items are all equal.
    """
    rows, shape = check_inputs(estimator, X, reset=reset, shape=shape)
    sample = next(blocks(rows)) if isinstance(rows, ItemRows) else rows
    if is_constant(sample):
        check_varies(rows, "they contain no information")
    check_float32_resolution(sample, with_targets=task is not None)
    return rows, None if shape is None else tuple(shape)


def check_queries(estimator: Any, X: Any, method: str, shape: tuple[int, ...] | None = None) -> Any:
    """Validate inputs of a fitted encoder, including the array namespace."""
    if not is_data_set(X):
        namespace, fitted = namespace_of(X), estimator._fit_namespace
        if namespace != fitted:
            raise ValueError(
                f"Inputs passed to {type(estimator).__name__}.{method}() must use the same "
                f"namespace as those passed to fit(): {fitted}, got {namespace}. "
                "Convert the inputs, or fit again"
            )
    return check_inputs(estimator, X, reset=False, shape=shape, min_rows=1)[0]


def check_out(out: Any, shape: tuple[int, int]) -> None:
    """Raise if ``out`` cannot hold results of the given shape."""
    if not isinstance(out, np.ndarray) or out.dtype.kind != "f" or not out.flags.writeable:
        raise TypeError(
            f"out must be a writable NumPy array or memory map of floats, got {type(out).__name__}"
            f"{' of ' + str(out.dtype) if isinstance(out, np.ndarray) else ''}: pass "
            f"np.lib.format.open_memmap('z.npy', mode='w+', dtype='float32', shape={shape})"
        )
    if out.shape != shape:
        raise ValueError(f"out must have the shape {shape} of the result, got {out.shape}")


def _flattened(X: Any) -> tuple[Any, tuple[int, ...]]:
    """Return X as rows (n, d), and the shape of one input."""
    if is_data_set(X):
        rows = ItemRows(*_data_set(X))
        return rows, rows.item_shape
    _check_no_list_of_items(X)
    X = as_rows(X)
    if isinstance(X, list | tuple) and len(X) and np.ndim(X[0]) > 1:  # a list of images
        X = as_array(X, "X")
    shape = tuple(getattr(X, "shape", ()))
    if len(shape) > 2 and not sp.issparse(X):
        xp, _ = get_namespace(X)
        X = xp.reshape(X, (shape[0], math.prod(shape[1:])))
    return X, shape[1:]


def _data_set(X: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return the data set X or the data set of a ``DataLoader`` X, with the loader's options."""
    dataset, options = X, NO_OPTIONS
    if isinstance(X, SliceDataset):  # a DataLoader also passes Python integers
        dataset = copy.copy(X)
        dataset.indices_ = [int(index) for index in X.indices_]
    if isinstance(X, DataLoader):
        dataset = X.dataset
        options = {name: getattr(X, name) for name in LOADER_OPTIONS}
    if isinstance(dataset, IterableDataset) or not isinstance(dataset, Sized):
        raise TypeError(
            f"X is a {type(dataset).__name__} without a length, but batches are drawn by index. "
            "Pass a data set with __len__ and __getitem__, or call partial_fit with an array for "
            "each part of the stream"
        )
    if isinstance(X, DataLoader) and not _is_item_wise(X):
        raise TypeError(
            "X is a DataLoader that sets the batches, the order or a collate_fn, but the encoder "
            "makes batches from batch_size and random_state. Pass X.dataset. For worker processes, "
            f"pass DataLoader(X.dataset, batch_size=None, num_workers={X.num_workers})"
        )
    return dataset, options


def _is_item_wise(loader: DataLoader[Any]) -> bool:
    """Return whether a loader yields single items in the order of the data set."""
    in_order = loader.batch_sampler is None and isinstance(loader.sampler, SequentialSampler)
    return in_order and loader.collate_fn is default_convert


def _check_no_list_of_items(X: Any) -> None:
    """Raise TypeError for a list of items, which scikit-learn makes when it splits a data set."""
    if isinstance(X, list) and X and isinstance(X[0], Mapping | tuple):
        parts = list(X[0].values()) if isinstance(X[0], Mapping) else X[0]
        if any(isinstance(part, Tensor | np.ndarray) and part.ndim > 0 for part in parts):
            raise TypeError(
                "X is a list of items of a data set: pass the data set itself, or in "
                "cross-validation pass skorch.helper.SliceDataset(dataset)"
            )


def _common_shape(
    found: tuple[int, ...], shape: tuple[int, ...] | None, encoder: Any
) -> tuple[int, ...] | None:
    """Return the shape of one input of the network, and raise if X contradicts ``shape``."""
    if len(found) < 2:  # flat inputs, whose size is checked later
        return shape
    if shape is None:
        is_image = len(found) == 2 and isinstance(encoder, str) and encoder == "conv"
        return (1, *found) if is_image else found
    # Dimensions of size 1 do not change the order of the values.
    if [n for n in found if n != 1] != [n for n in shape if n != 1]:
        raise ValueError(
            f"the inputs of X have the shape {found}, but input_shape is {tuple(shape)}. Pass "
            "inputs of this shape, or call fit with input_shape=None to use the shape of X"
        )
    return shape
