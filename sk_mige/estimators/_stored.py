"""Conversion of models between tensors and NumPy arrays, for storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def unwrapped(module: Any) -> Any:
    """Return the module inside a wrapper of ``torch.compile`` or of parallel training."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        module = module.module
    return getattr(module, "_orig_mod", module)


def to_numpy(module: nn.Module) -> dict[str, NDArray[Any]]:
    """Return the weights of a module as NumPy arrays."""
    module = unwrapped(module)
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def from_numpy(module: nn.Module, weights: dict[str, Any] | None, *, strict: bool = True) -> None:
    """Load the weights of a module from NumPy arrays."""
    if weights:
        # torch.tensor copies, because arrays of a memory-mapped pickle are read-only.
        module.load_state_dict({k: torch.tensor(v) for k, v in weights.items()}, strict=strict)


@dataclass(frozen=True)
class StoredTensor:
    """Tensor stored as a NumPy array, which is readable on machines without a GPU.

    For parameters of modules, ``trained`` is ``requires_grad``. For other tensors, ``trained`` is
    None.
    """

    values: NDArray[Any]
    trained: bool | None = None


@dataclass(frozen=True)
class StoredItems:
    """Items of a dictionary, stored as a list because skops requires string keys."""

    items: list[tuple[Any, Any]]


def to_stored(value: Any, known: dict[int, StoredTensor] | None = None) -> Any:
    """Copy a model, replace tensors by arrays, and store a shared tensor only once."""
    known = {} if known is None else known
    if isinstance(value, Tensor):
        if id(value) not in known:
            trained = value.requires_grad if isinstance(value, nn.Parameter) else None
            known[id(value)] = StoredTensor(value.detach().cpu().numpy(), trained)
        return known[id(value)]
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        return StoredItems([(key, to_stored(part, known)) for key, part in value.items()])
    return _rebuilt(value, lambda part: to_stored(part, known))


def to_tensors(value: Any, device: torch.device) -> Any:
    """Restore a model from the result of :func:`to_stored`, with tensors on the device."""
    if isinstance(value, StoredTensor):
        # torch.tensor copies, because arrays of a memory-mapped file are read-only.
        tensor = torch.tensor(value.values, device=device)
        return tensor if value.trained is None else nn.Parameter(tensor, value.trained)
    if isinstance(value, StoredItems):
        return {key: to_tensors(part, device) for key, part in value.items}
    return _rebuilt(value, lambda part: to_tensors(part, device))


def _rebuilt(value: Any, change: Callable[[Any], Any]) -> Any:
    """Apply ``change`` to each part of a container or model, and return other values unchanged."""
    if isinstance(value, list | tuple | dict):
        kind: Any = type(value)
        if isinstance(value, dict):
            return kind({key: change(part) for key, part in value.items()})
        made = map(change, value)
        return kind(*made) if hasattr(value, "_fields") else kind(made)
    ours = type(value).__module__.startswith("sk_mige.") or isinstance(value, nn.Module)
    if not ours or not hasattr(value, "__dict__") or isinstance(value, type | FunctionType):
        return value
    copied = object.__new__(type(value))
    # The dictionary is updated because frozen dataclasses do not support setattr.
    copied.__dict__.update({name: change(part) for name, part in vars(value).items()})
    return copied
