"""Conversion of models for storage: tensors to arrays, and arrays to tensors."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["StoredTensor", "to_stored", "to_tensors"]


@dataclass(frozen=True)
class StoredTensor:
    """Tensor as a NumPy array, which every file format and every machine can read."""

    values: NDArray[Any]


def to_stored(value: Any, known: dict[int, StoredTensor] | None = None) -> Any:
    """Return a copy of a model with arrays for tensors; a repeated tensor is stored once."""
    known = {} if known is None else known
    if isinstance(value, Tensor):
        if id(value) not in known:
            known[id(value)] = StoredTensor(value.detach().cpu().numpy())
        return known[id(value)]
    if isinstance(value, list):
        return [to_stored(part, known) for part in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _with_fields(value, {k: to_stored(v, known) for k, v in vars(value).items()})
    return value


def to_tensors(value: Any, device: torch.device) -> Any:
    """Return the model of a copy made by :func:`to_stored`, with tensors on the device."""
    if isinstance(value, StoredTensor):
        # torch.tensor copies, because arrays of a memory-mapped file are read-only.
        return torch.tensor(value.values, device=device)
    if isinstance(value, list):
        return [to_tensors(part, device) for part in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _with_fields(value, {k: to_tensors(v, device) for k, v in vars(value).items()})
    return value


def _with_fields(like: Any, fields: dict[str, Any]) -> Any:
    made = object.__new__(type(like))
    made.__dict__.update(fields)  # frozen dataclasses refuse setattr
    return made
