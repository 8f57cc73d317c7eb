"""Conversion of models between tensors and NumPy arrays, for storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def to_numpy(module: nn.Module) -> dict[str, NDArray[Any]]:
    """Return the weights of a module as NumPy arrays, without wrappers of other modules."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        module = module.module
    module = getattr(module, "_orig_mod", module)  # inside a wrapper of torch.compile
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def from_numpy(module: nn.Module, weights: dict[str, Any] | None, *, strict: bool = True) -> None:
    """Load the weights of a module from NumPy arrays."""
    if weights:
        # torch.tensor copies, because arrays of a memory-mapped pickle are read-only.
        module.load_state_dict({k: torch.tensor(v) for k, v in weights.items()}, strict=strict)


@dataclass(frozen=True)
class StoredTensor:
    """Tensor stored as a NumPy array, which is readable on machines without a GPU."""

    values: NDArray[Any]


def to_stored(value: Any, known: dict[int, StoredTensor] | None = None) -> Any:
    """Copy a model, replace tensors by arrays, and store a shared tensor only once."""
    known = {} if known is None else known
    if isinstance(value, Tensor):
        return known.setdefault(id(value), StoredTensor(value.detach().cpu().numpy()))
    return _rebuilt(value, lambda part: to_stored(part, known))


def to_tensors(value: Any, device: torch.device) -> Any:
    """Restore a model from the result of :func:`to_stored`, with tensors on the device."""
    if isinstance(value, StoredTensor):
        # torch.tensor copies, because arrays of a memory-mapped file are read-only.
        return torch.tensor(value.values, device=device)
    return _rebuilt(value, lambda part: to_tensors(part, device))


def _rebuilt(value: Any, change: Callable[[Any], Any]) -> Any:
    """Apply ``change`` to each part of a list or model, and return other values unchanged."""
    if isinstance(value, list):
        return [change(part) for part in value]
    if not type(value).__module__.startswith("sk_mige."):
        return value
    copied = object.__new__(type(value))
    # The dictionary is updated because frozen dataclasses do not support setattr.
    copied.__dict__.update({name: change(part) for name, part in vars(value).items()})
    return copied
