"""Rows that are read on demand from the items of a data set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set, Sized
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from skorch.helper import SliceDataset
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, default_collate

from sk_mige._contexts import on_cpu

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
# Keys of the target in items that are mappings.
TARGET_KEYS = ("label", "labels", "target")
# Attributes in which data sets keep the targets of all items.
TARGET_ATTRIBUTES = ("targets", "labels")
# Number of items that are read at once to collect targets.
TARGETS_AT_ONCE = 256


class ItemRows:
    """Inputs of a data set in the form of an array of rows. The rows are read on demand.

    An item is an input, a pair (input, target), or a mapping. In a mapping, the target is the
    entry "label", "labels" or "target". The input of a mapping is the only other entry with at
    least one dimension. Every input is a tensor or array, and all inputs have the shape and dtype
    of the first input.

    Parameters
    ----------
    dataset : object
        Data set with ``__len__`` and ``__getitem__``.
    options : mapping, default={}
        Arguments of the loaders that read the data set, such as ``num_workers``.

    Attributes
    ----------
    shape : tuple of int
        Number of items, and number of values in an input.
    dtype : dtype
        dtype of results for the data set: float64 for float64 inputs, else float32.
    item_shape : tuple of int
        Shape of an input.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from sk_mige.training.items import ItemRows
    >>> images, labels = torch.arange(24).reshape(3, 2, 2, 2), torch.tensor([0, 1, 0])
    >>> rows = ItemRows(TensorDataset(images, labels))
    >>> rows.shape, rows.item_shape
    ((3, 8), (2, 2, 2))
    >>> rows[[1]]
    tensor([[ 8.,  9., 10., 11., 12., 13., 14., 15.]])
    >>> rows.targets()
    array([0, 1, 0])
    """

    def __init__(self, dataset: Any, options: Mapping[str, Any] = NO_OPTIONS) -> None:
        self.dataset = dataset
        self.options = options
        n_items = len(dataset)
        if n_items == 0:
            raise ValueError(
                f"X is a {type(dataset).__name__} without items: pass a data set of at least two "
                "items, and check its folder, split or indices"
            )
        first = self._input(0)
        self.item_shape = tuple(first.shape)
        self.item_dtype = first.dtype
        self.shape = (n_items, math.prod(self.item_shape))
        self.dtype = np.dtype(np.float64 if first.dtype == torch.float64 else np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | Sequence[int]) -> Tensor:
        """Return rows (m, d) in float32, and raise if an input is not finite."""
        indices = range(len(self))[index] if isinstance(index, slice) else index
        rows = self.read(indices).float()
        # If the sum is finite, all values are finite. A sum is faster than a test of each value.
        if not math.isfinite(float(rows.sum())) and not bool(rows.isfinite().all()):
            position = int((~rows.isfinite().all(1)).nonzero()[0])
            raise ValueError(
                f"item {indices[position]} of X contains NaN, infinity, or a value too large for "
                "dtype('float32') of the networks. Drop the item, or correct its values in the "
                "data set"
            )
        return rows

    def read(self, indices: Sequence[int]) -> Tensor:
        """Return rows (m, d) in the dtype of the inputs."""
        inputs = [self._like_first(int(index)) for index in indices]
        # In a worker process, default_collate stacks in shared memory, so the stack is not copied
        # again.
        return default_collate(inputs).reshape(len(inputs), self.shape[1])

    def targets(self) -> NDArray[Any] | None:
        """Return the targets of all items, or None if the items have no targets.

        Data sets of torchvision store all targets in an attribute ``targets`` or ``labels``. The
        attribute is used if its first and last values equal the targets of the first and last item.
        In all other cases, all items are read once.
        """
        first, last = self._targets([0, len(self) - 1])
        if first is None:
            return None
        stored = _stored_targets(self.dataset)
        if stored is None or len(stored) != len(self):
            return self._read_targets()
        agree = np.array_equal(stored[0], first) and np.array_equal(stored[-1], last)
        return stored if agree else self._read_targets()

    def _read_targets(self) -> NDArray[Any]:
        """Return the targets of all items, read once in batches."""
        loader: DataLoader[Any] = DataLoader(
            range(len(self)),  # type: ignore[arg-type]
            batch_size=TARGETS_AT_ONCE,
            collate_fn=self._targets,
            generator=torch.Generator(),
            **self.options,
        )
        with on_cpu():
            return _stacked([target for batch in loader for target in batch])

    def _targets(self, indices: Sequence[int]) -> list[Any]:
        """Return the targets of items, or None for each item without a target."""
        return [_as_target(self._parts(index)[1]) for index in indices]

    def _parts(self, index: int) -> tuple[Any, Any]:
        """Return the input and the target of an item."""
        try:
            item = self.dataset[index]
        except Exception as error:
            raise ValueError(
                f"item {index} of X cannot be read, {type(error).__name__}: {error}; correct the "
                "item, or drop the item with torch.utils.data.Subset"
            ) from error
        return _split(item, index)

    def _input(self, index: int) -> Tensor:
        return _as_input(self._parts(index)[0], index)

    def _like_first(self, index: int) -> Tensor:
        """Return an input, and raise if its shape or dtype differs from the first input."""
        value = self._input(index)
        found, first = (tuple(value.shape), value.dtype), (self.item_shape, self.item_dtype)
        if found != first:
            raise ValueError(
                f"item {index} of X has the shape {found[0]} and dtype {found[1]}, but item 0 has "
                f"the shape {first[0]} and dtype {first[1]}. Convert all items to one shape and "
                "dtype, for images with a transform such as torchvision's Resize"
            )
        return value


def is_data_set(X: Any) -> bool:
    """Return whether X is a data set or a ``DataLoader``, instead of an array-like.

    Data sets of torch and skorch are recognised by their class. Any other object with a length and
    items is a data set if it has no conversion to an array or data frame. An example is a Hugging
    Face data set.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from sk_mige.training.items import is_data_set
    >>> is_data_set(TensorDataset(torch.eye(3))), is_data_set(np.eye(3))
    (True, False)
    """
    if isinstance(X, Dataset | DataLoader | SliceDataset):
        return True
    if isinstance(X, Sequence | Mapping | Set | Tensor | np.ndarray) or issparse(X):
        return False
    exports = ("__array__", "__array_namespace__", "__array_interface__", "__dataframe__")
    return (
        isinstance(X, Sized)
        and hasattr(X, "__getitem__")
        and not any(hasattr(X, name) for name in exports)
    )


def _split(item: Any, index: int) -> tuple[Any, Any]:
    """Return the input and the target of an item, or None for a missing target."""
    if isinstance(item, Mapping):
        return _split_mapping(item, index)
    parts = (*item, None) if isinstance(item, tuple | list) else (item, None)
    if len(parts) not in (2, 3):
        raise ValueError(
            f"item {index} of X has {len(item)} parts, but an item is an input or a pair (input, "
            "target). Return one tensor or a pair from the data set"
        )
    return parts[0], parts[1]


def _split_mapping(item: Mapping[str, Any], index: int) -> tuple[Any, Any]:
    targets = [key for key in item if key in TARGET_KEYS]
    inputs = [key for key in item if key not in TARGET_KEYS and np.ndim(item[key]) > 0]
    if len(inputs) != 1 or len(targets) > 1:
        raise ValueError(
            f"item {index} of X has the entries {list(item)}, but needs exactly one input with "
            f"dimensions and at most one target, named {', '.join(TARGET_KEYS)}. Remove the "
            "other entries, or rename them. A data set of Hugging Face gives tensors after "
            "with_format('torch')"
        )
    return item[inputs[0]], item[targets[0]] if targets else None


def _as_input(value: Any, index: int) -> Tensor:
    """Return an input as a tensor, and raise for other types and for single numbers."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        # The input is copied, because the data set may reuse the memory. torch supports only the
        # native byte order.
        value = torch.from_numpy(value.astype(value.dtype.newbyteorder("=")))
    if isinstance(value, tuple | list) and any(isinstance(v, Tensor | np.ndarray) for v in value):
        raise TypeError(
            f"the input of item {index} of X is a {type(value).__name__} of {len(value)} inputs. "
            "Return one input, and set InfoMax(augmentation=..., n_views=...) for several views"
        )
    if not isinstance(value, Tensor) or value.is_complex() or value.layout != torch.strided:
        raise TypeError(
            f"the input of item {index} of X is a {type(value).__name__}, but must be a dense "
            "tensor or array of real numbers. Add a transform such as torchvision's ToTensor to "
            "the data set. A data set of Hugging Face gives tensors after with_format('torch')"
        )
    if value.ndim == 0 or value.numel() == 0:
        raise ValueError(
            f"the input of item {index} of X has the shape {tuple(value.shape)}, but needs at "
            "least one dimension and one value. Return a tensor or array from the data set"
        )
    return value.detach()


def _as_target(target: Any) -> Any:
    return target.detach().cpu().numpy() if isinstance(target, Tensor) else target


def _stored_targets(dataset: Any) -> NDArray[Any] | None:
    """Return the targets that a data set stores in an attribute, or None."""
    if isinstance(dataset, Subset):
        inner = _stored_targets(dataset.dataset)
        return None if inner is None else inner[np.asarray(dataset.indices)]
    if isinstance(dataset, TensorDataset):
        return np.asarray(_as_target(dataset.tensors[1]))
    kept = [getattr(dataset, name, None) for name in TARGET_ATTRIBUTES]
    known = [_as_target(targets) for targets in kept if targets is not None]
    return _stacked(known[0]) if known and np.ndim(known[0]) > 0 else None


def _stacked(targets: Any) -> NDArray[Any]:
    try:
        return np.asarray(targets)
    except ValueError as error:
        raise ValueError(
            f"the targets of X differ in shape: {error}; return targets of one shape, or pass y"
        ) from error
