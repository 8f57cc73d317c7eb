"""Models with arrays in place of tensors: what is written to files, and back."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["StoredTensor", "to_stored", "to_tensors"]


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as it is stored: NumPy knows no GPU, and every format knows NumPy."""

    values: NDArray[Any]


def to_stored(value: Any, known: dict[int, StoredTensor] | None = None) -> Any:
    """A copy of a model whose tensors are arrays; one that appears twice is stored once."""
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
    """What :func:`to_stored` was given, its tensors on this device."""
    if isinstance(value, StoredTensor):
        # A copy: the arrays of a memory-mapped file are read-only.
        return torch.tensor(value.values, device=device)
    if isinstance(value, list):
        return [to_tensors(part, device) for part in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _with_fields(value, {k: to_tensors(v, device) for k, v in vars(value).items()})
    return value


def _with_fields(like: Any, fields: dict[str, Any]) -> Any:
    made = object.__new__(type(like))
    made.__dict__.update(fields)  # past the frozen dataclasses' guard: nobody has seen it yet
    return made
