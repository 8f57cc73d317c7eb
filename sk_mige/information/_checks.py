"""Checks of what users pass: errors that name the argument and say what would work."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

__all__ = ["check_choice", "check_derivative", "check_pair", "check_rows"]

MIN_SAMPLES = 4


def check_choice(name: str, value: str | None, choices: tuple[str | None, ...]) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")


def check_rows(name: str, values: ArrayLike | Tensor) -> Tensor:
    """Samples as a float64 tensor (n, d) on the CPU, or an error that names them."""
    rows = _tensor(values)
    if rows.ndim == 0:
        raise ValueError(f"{name} must hold one sample a row; got a single number")
    rows = rows.reshape(len(rows), -1)
    if len(rows) < MIN_SAMPLES:
        raise ValueError(f"{name} has {len(rows)} samples; at least {MIN_SAMPLES} are needed")
    if rows.shape[1] == 0:
        raise ValueError(f"{name} has no features; got shape {np.shape(values)}")
    if not bool(torch.isfinite(rows).all()):
        raise ValueError(f"{name} contains NaN or infinity; drop or impute those samples")
    if bool((rows == rows[0]).all()):
        raise ValueError(
            f"{name} is constant: its samples are all the same, so its mutual information with "
            "anything is 0 and has no gradient"
        )
    return rows


def check_pair(
    x: ArrayLike | Tensor, y: ArrayLike | Tensor, *, constant_columns: bool = False
) -> tuple[Tensor, Tensor]:
    """Both samples as tensors of equal length; constant columns of y are refused or let through."""
    if _length(x) != _length(y):
        raise ValueError(
            f"x and y must have the same number of samples; got {_length(x)} and {_length(y)}"
        )
    x_rows, y_rows = check_rows("x", x), check_rows("y", y)
    constant = (y_rows == y_rows[0]).all(0)
    if bool(constant.any()) and not constant_columns:
        raise ValueError(
            f"y has constant columns (the first is {int(constant.nonzero()[0])}), whose density "
            "and score do not exist; remove them"
        )
    return x_rows, y_rows


def check_derivative(
    name: str, values: ArrayLike | Tensor, of: ArrayLike | Tensor, rows: Tensor
) -> tuple[Tensor, bool]:
    """Derivatives as a tensor (n, d, p), and whether they came with an axis of parameters."""
    derivative, shape = _tensor(values), tuple(np.shape(_tensor(of)))
    several = tuple(derivative.shape[:-1]) == shape and derivative.ndim == len(shape) + 1
    if tuple(derivative.shape) != shape and not several:
        raise ValueError(
            f"{name} must have the shape of {name[1:]}, {shape}, or that and one more axis for "
            f"several parameters; got {tuple(derivative.shape)}"
        )
    if not bool(torch.isfinite(derivative).all()):
        raise ValueError(
            f"{name} contains NaN or infinity; look for parameters at the edge of their range, "
            f"where {name[1:]} is not differentiable"
        )
    return derivative.reshape(*rows.shape, -1), several


def _tensor(values: ArrayLike | Tensor) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().to("cpu", torch.float64)
    return torch.from_numpy(np.array(values, dtype=np.float64))


def _length(values: ArrayLike | Tensor) -> int:
    shape = values.shape if isinstance(values, Tensor) else np.shape(values)
    return int(shape[0]) if shape else 1
