"""Data sets and loaders for whole batches of nearly equal size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from sk_mige._contexts import on_cpu

from .items import NO_OPTIONS, ItemRows

Batch = tuple[Tensor, Tensor]
# Largest number of values that a CPU converts at once: 64 MiB as float32.
FEW_VALUES = 2**24


class ArrayDataset(Dataset[Batch]):
    """Data set that returns whole batches of rows as float32 tensors.

    Indexing a whole batch with ``__getitems__`` is faster than stacking single rows. Indexing
    copies the rows, so read-only arrays and memory maps work. Only the indexed rows are converted
    to float32.

    Parameters
    ----------
    X : ndarray, tensor or ItemRows of shape (n, d)
        Inputs. The rows of an :class:`~sk_mige.training.items.ItemRows` are items of a data set,
        which are read one by one.
    y : ndarray of shape (n,) or (n, t), default=None
        Targets, which are integers for classes. If ``y`` is None, all targets are 0.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige.training.data import ArrayDataset
    >>> x, y = ArrayDataset(np.eye(3))[[2, 0]]
    >>> x
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """

    def __init__(self, X: NDArray[Any] | Tensor | ItemRows, y: NDArray[Any] | None = None) -> None:
        self.X = X
        self.y = y

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, index: Any) -> Batch:
        rows = self.X[index]
        if not isinstance(rows, Tensor):  # NumPy has integer types that torch lacks
            # A slice is a view, which may be read-only.
            rows = torch.from_numpy(rows.astype(np.float32, copy=isinstance(index, slice)))
        x = rows.to(torch.float32)
        if self.y is None:
            # skorch requires a target of the same length.
            return x, x.new_zeros(len(rows))
        y = torch.as_tensor(self.y[index], device="cpu")
        return x, y if y.dtype == torch.int64 else y.float()

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        return self[indices]


class EqualBatchSampler(Sampler[list[int]]):
    """Sampler of batches of nearly equal size, which uses all rows in each pass.

    Batch sizes differ by at most one row, because a small last batch would harm score estimates and
    batch norms.

    Parameters
    ----------
    n : int
        Number of rows.
    batch_size : int
        Largest number of rows in a batch. Each batch has at least two rows, so ``n=3`` and
        ``batch_size=2`` give one batch of three rows.
    generator : torch.Generator or None
        Random generator for the order of the rows. If ``generator`` is None, rows keep the
        original order.

    Attributes
    ----------
    share : slice
        Slice of each batch that is returned, by default the whole batch. If k processes train
        together, each process returns every k-th row.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training.data import EqualBatchSampler
    >>> sampler = EqualBatchSampler(129, 64, torch.Generator().manual_seed(0))
    >>> [len(batch) for batch in sampler]
    [43, 43, 43]
    """

    share = slice(None)

    def __init__(self, n: int, batch_size: int, generator: torch.Generator | None) -> None:
        self.n = n
        self.generator = generator
        self.n_batches = max(1, min(-(-n // batch_size), n // 2))

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[list[int]]:
        order = np.arange(self.n)
        if self.generator is not None:
            order = torch.randperm(self.n, generator=self.generator, device="cpu").numpy()
        for batch in np.array_split(order, self.n_batches):
            yield batch[self.share].tolist()


def resident(
    rows: NDArray[Any] | Tensor | ItemRows, device: torch.device
) -> NDArray[Any] | Tensor | ItemRows:
    """Convert rows to float32, or move rows to the GPU, once before training.

    Rows are moved to the GPU if they need at most a quarter of the GPU's free memory. For larger
    data, each batch is indexed on the CPU and copied to the GPU. On a CPU, arrays of 8-byte values
    are converted to float32 if the array has at most 2²⁴ values. Memory maps and items of data sets
    are read batch by batch.

    Parameters
    ----------
    rows : ndarray, tensor or ItemRows of shape (n, d)
        Inputs.
    device : torch.device
        Device of the network.

    Returns
    -------
    ndarray, tensor or ItemRows of shape (n, d)
        Rows on the device in float32, or in a dtype of at most 16 bits. In all other cases,
        ``rows`` is returned unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sk_mige.training.data import resident
    >>> resident(np.eye(3), torch.device("cpu")).dtype
    dtype('float32')
    """
    if isinstance(rows, ItemRows) or _is_mapped(rows):
        return rows
    n_values = rows.shape[0] * rows.shape[1]
    if device.type == "cpu":
        if n_values > FEW_VALUES or rows.dtype.itemsize <= 4:
            return rows
        return rows.float() if isinstance(rows, Tensor) else rows.astype(np.float32)
    module = torch.get_device_module(device)
    if not hasattr(module, "mem_get_info"):  # Apple's GPUs share the CPU's memory
        return rows
    free = module.mem_get_info(device)[0]
    # Narrow dtypes, such as uint8 of images, are converted to float32 batch by batch.
    kept = str(rows.dtype).removeprefix("torch.") in ("uint8", "int8", "int16", "float16")
    itemsize = rows.dtype.itemsize if kept else 4
    if itemsize * n_values > free / 4:
        return rows
    if isinstance(rows, np.ndarray):
        # torch rejects negative strides and warns of read-only arrays.
        rows = np.array(rows, rows.dtype if kept else np.float32, order="C",
                        copy=None if rows.flags.writeable else True)  # fmt: skip
    return torch.as_tensor(rows, dtype=None if kept else torch.float32, device=device)


def _is_mapped(rows: Any) -> bool:
    """Return whether an array is a memory map or a view of a memory map."""
    while rows is not None:
        if isinstance(rows, np.memmap):
            return True
        rows = getattr(rows, "base", None)
    return False


class BatchLoader(DataLoader[Any]):
    """Loader for a data set that returns whole batches.

    Worker processes read the batches if the rows come from a ``DataLoader`` with ``num_workers``.

    Parameters
    ----------
    dataset : Dataset
        Data set that returns a batch for a list of indices.
    batches : Sampler or list
        Lists of indices, or slices.
    generator : torch.Generator, default=None
        Random generator for the seeds of worker processes. None means torch's global generator.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige.training.data import ArrayDataset, EqualBatchSampler
    >>> from sk_mige.training.data import BatchLoader
    >>> loader = BatchLoader(ArrayDataset(np.eye(5)), EqualBatchSampler(5, 3, None))
    >>> [len(x) for x, _ in loader]
    [3, 2]
    """

    def __init__(
        self, dataset: Any, batches: Any, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(
            dataset,
            batch_sampler=batches,
            collate_fn=tuple,  # the data set returns whole batches
            generator=generator,
            **_loader_options(dataset),
        )

    def __iter__(self) -> Any:
        """Return an iterator whose seed is drawn on the CPU, for any default device of torch."""
        with on_cpu():
            return super().__iter__()


def read_parts(
    rows: NDArray[Any] | Tensor | ItemRows, parts: Iterable[slice | list[int]]
) -> Iterator[Tensor]:
    """Yield parts of the rows in float32, read by the same loader as training batches.

    Parameters
    ----------
    rows : ndarray, tensor or ItemRows of shape (n, d)
        Rows.
    parts : iterable of slices or of lists of indices
        Rows of each part.

    Yields
    ------
    tensor of shape (m, d)
        Rows of a part.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige.training.data import read_parts
    >>> [len(part) for part in read_parts(np.eye(5), [slice(0, 3), slice(3, 5)])]
    [3, 2]
    """
    for x, _ in BatchLoader(ArrayDataset(rows), list(parts), torch.Generator()):
        yield x


def _loader_options(data: Any) -> Mapping[str, Any]:
    """Return the options of the user's ``DataLoader``, or no options without a ``DataLoader``."""
    while isinstance(data, Subset):
        data = data.dataset
    rows = data.X if isinstance(data, ArrayDataset) else data
    return rows.options if isinstance(rows, ItemRows) else NO_OPTIONS
