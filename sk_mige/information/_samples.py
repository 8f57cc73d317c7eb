"""Validation of samples, and a random generator for added noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sized
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sk_mige._arrays import as_array, check_finite, check_tensor
from sk_mige._warnings import warn_user

MIN_SAMPLES = 4


def check_choice(name: str, value: str | None, choices: tuple[str | None, ...]) -> None:
    """Raise ValueError unless ``value`` is one of the choices."""
    if not isinstance(value, str | None) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")


def check_rows(name: str, values: ArrayLike | Tensor) -> Tensor:
    """Return samples as a float64 tensor (n, d) on the CPU, or raise ValueError."""
    rows = as_tensor(name, values)
    if rows.ndim == 0:
        raise ValueError(f"{name} must have one sample in each row; got a single number")
    if len(rows) < MIN_SAMPLES:
        raise ValueError(f"{name} has {len(rows)} samples; at least {MIN_SAMPLES} are needed")
    rows = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    if rows.shape[1] == 0:
        raise ValueError(
            f"{name} has no features; got shape {_shape(values)}. Pass a column or more"
        )
    check_finite(name, rows)
    if bool((rows == rows[0]).all()):
        raise ValueError(
            f"{name} is constant: all samples are equal. The mutual information with any variable "
            "is 0 and has no gradient. Pass samples that differ"
        )
    return rows


def check_pair(x: Tensor, y: Tensor) -> None:
    """Raise an error unless x and y are finite tensors (n, p) and (n, q)."""
    for name, rows in {"x": x, "y": y}.items():
        check_finite(name, check_tensor(name, rows))
    check_same_length({"x": x, "y": y})


def check_same_length(tables: Mapping[str, Sized]) -> None:
    """Raise ValueError if the tables differ in the number of rows."""
    lengths = {name: len(table) for name, table in tables.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"{', '.join(lengths)} must have the same number of rows; got "
            f"{', '.join(map(str, lengths.values()))}"
        )


def check_columns_vary(name: str, z: Tensor) -> None:
    """Raise ValueError if a column is constant."""
    constant = (z == z[0]).all(0)
    if bool(constant.any()):
        raise ValueError(
            f"{name} has constant columns (the first is {int(constant.nonzero()[0])}), which have "
            "no density and no score: remove the constant columns"
        )


def warn_of_ties(name: str, rows: Tensor) -> None:
    """Warn about the first column that has few distinct values."""
    for column, values in enumerate(rows.mT):
        distinct = len(values.unique())
        if 10 * distinct < len(values):
            warn_user(
                f"column {column} of {name} has {distinct} values in {len(values)} samples. A "
                "column with few values has no density, so estimates from scores are not valid. "
                "For labels, use sk_mige.MutualInfoEstimator"
            )
            return


def check_derivative(
    name: str, values: ArrayLike | Tensor, of: ArrayLike | Tensor, rows: Tensor
) -> tuple[Tensor, bool]:
    """Return derivatives as a tensor (n, d, p), and whether the input has a parameter axis."""
    derivative, shape = as_tensor(name, values), _shape(of)
    several = tuple(derivative.shape[:-1]) == shape and derivative.ndim == len(shape) + 1
    if tuple(derivative.shape) != shape and not several:
        raise ValueError(
            f"{name} must have the shape of {name[1:]}, {shape}, or one more axis for several "
            f"parameters; got shape {tuple(derivative.shape)}"
        )
    if not bool(torch.isfinite(derivative).all()):
        raise ValueError(
            f"{name} contains NaN or infinity. The parameters may be at the edge of their range, "
            f"where {name[1:]} is not differentiable; use parameters inside the range"
        )
    return derivative.reshape(*rows.shape, -1), several


def noise_generator(random_state: Any) -> torch.Generator:
    """Return a random generator for noise that the package adds.

    The seed of the noise is derived from ``random_state``, because noise with the seed of the
    user's samples could equal the samples.

    Parameters
    ----------
    random_state : int, RandomState instance, Generator instance or None
        Seed, or generator that draws the seed. If None, a new seed is drawn.
    """
    seed = random_state
    if isinstance(seed, np.random.RandomState):
        seed = int(seed.randint(2**31 - 1))
    elif isinstance(seed, np.random.Generator):
        seed = int(seed.integers(2**31 - 1))
    elif seed is not None:
        if not isinstance(seed, Integral) or seed < 0:
            raise ValueError(
                "random_state must be a nonnegative int, a numpy.random.RandomState, a "
                f"numpy.random.Generator or None; got {random_state!r}"
            )
        seed = int(seed)
    child = np.random.SeedSequence(seed).spawn(1)[0]
    return torch.Generator().manual_seed(int(child.generate_state(1, np.uint64)[0]) >> 1)


def _shape(values: Any) -> tuple[int, ...]:
    return tuple(np.shape(values))


def as_tensor(name: str, values: Any) -> Tensor:
    """Return numbers as a detached float64 copy, in a tensor on the CPU.

    Raises
    ------
    ValueError
        If the values are sparse, masked, ragged, complex or not numeric.
    """
    if sp.issparse(values):
        raise ValueError(
            f"{name} must be dense; got a sparse {values.format} container. Pass {name}.toarray()"
        )
    try:
        array = as_array(values, name)
    except TypeError as error:  # a sparse tensor
        raise ValueError(str(error)) from None
    try:
        return torch.from_numpy(_numbers(array))
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must contain real numbers; got {error}. Encode strings and categories as "
            "numbers"
        ) from error


def _numbers(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return a float64 copy of an array of real numbers."""
    if array.dtype.kind not in "biufO":
        raise TypeError(f"dtype {array.dtype}")
    if array.ndim == 0 and array.item() is None:
        raise TypeError("None")
    if array.dtype.kind == "O":
        strings = [value for value in array.flat if isinstance(value, str | bytes)]
        if strings:
            raise TypeError(f"the string {strings[0]!r}")
    # Complex Python numbers raise TypeError.
    return np.array(array, dtype=np.float64)
