"""Validation of samples, and the generator of the noise that is added to samples."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

__all__ = ["check_choice", "check_derivative", "check_pair", "check_rows", "noise_generator"]

MIN_SAMPLES = 4


def check_choice(name: str, value: str | None, choices: tuple[str | None, ...]) -> None:
    """Raise ValueError unless ``value`` is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")


def check_rows(name: str, values: ArrayLike | Tensor) -> Tensor:
    """Return samples as a float64 tensor (n, d) on the CPU, or raise ValueError."""
    rows = _tensor(values)
    if rows.ndim == 0:
        raise ValueError(f"{name} must have one sample in each row; got a single number")
    rows = rows.reshape(len(rows), -1)
    if len(rows) < MIN_SAMPLES:
        raise ValueError(f"{name} has {len(rows)} samples; at least {MIN_SAMPLES} are needed")
    if rows.shape[1] == 0:
        raise ValueError(f"{name} has no features; got shape {np.shape(values)}")
    if not bool(torch.isfinite(rows).all()):
        raise ValueError(f"{name} contains NaN or infinity; remove or impute those samples")
    if bool((rows == rows[0]).all()):
        raise ValueError(
            f"{name} is constant: all its samples are the same. Its mutual information with any "
            "variable is 0 and has no gradient"
        )
    return rows


def check_pair(
    x: ArrayLike | Tensor, y: ArrayLike | Tensor, *, constant_columns: bool = False
) -> tuple[Tensor, Tensor]:
    """Return both samples as tensors of equal length.

    Constant columns of y raise ValueError unless ``constant_columns`` is true.
    """
    if _length(x) != _length(y):
        raise ValueError(
            f"x and y must have the same number of samples; got {_length(x)} and {_length(y)}"
        )
    x_rows, y_rows = check_rows("x", x), check_rows("y", y)
    constant = (y_rows == y_rows[0]).all(0)
    if bool(constant.any()) and not constant_columns:
        raise ValueError(
            f"y has constant columns (the first is {int(constant.nonzero()[0])}), which have no "
            "density and no score; remove them"
        )
    return x_rows, y_rows


def check_derivative(
    name: str, values: ArrayLike | Tensor, of: ArrayLike | Tensor, rows: Tensor
) -> tuple[Tensor, bool]:
    """Return derivatives as a tensor (n, d, p), and whether they have an axis of parameters."""
    derivative, shape = _tensor(values), tuple(np.shape(_tensor(of)))
    several = tuple(derivative.shape[:-1]) == shape and derivative.ndim == len(shape) + 1
    if tuple(derivative.shape) != shape and not several:
        raise ValueError(
            f"{name} must have the shape of {name[1:]}, {shape}, or one more axis for several "
            f"parameters; got shape {tuple(derivative.shape)}"
        )
    if not bool(torch.isfinite(derivative).all()):
        raise ValueError(
            f"{name} contains NaN or infinity. The parameters may be at the edge of their range, "
            f"where {name[1:]} is not differentiable; move them inside"
        )
    return derivative.reshape(*rows.shape, -1), several


def noise_generator(seed: int) -> torch.Generator:
    """Return a generator for the package's own noise, seeded by a child of ``seed``.

    Users often draw their data with seed 0. With ``manual_seed(0)`` here, the added noise could
    equal the samples.
    """
    child = np.random.SeedSequence(seed).spawn(1)[0]
    return torch.Generator().manual_seed(int(child.generate_state(1, np.uint64)[0]) >> 1)


def _tensor(values: ArrayLike | Tensor) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().to("cpu", torch.float64)
    return torch.from_numpy(np.array(values, dtype=np.float64))


def _length(values: ArrayLike | Tensor) -> int:
    shape = values.shape if isinstance(values, Tensor) else np.shape(values)
    return int(shape[0]) if shape else 1
