"""Validation of tensors by type and shape, without device synchronisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from sk_mige._arrays import check_real
from sk_mige._contexts import is_differentiated, is_readable
from sk_mige._warnings import warn_user
from sk_mige.information._samples import check_same_length

_WARNS = ContextVar("warnings of constant, few or swapped samples", default=True)


def check_samples(name: str, value: Any, *, floating: bool = True) -> Tensor:
    """Return samples as rows (M, d), and raise ValueError for fewer than two rows or no columns."""
    samples = check_real(name, value, floating=floating)
    if samples.ndim == 0 or samples.shape[0] < 2 or samples.numel() == 0:
        raise ValueError(
            f"{name} must have shape (M, ...), with at least two rows; got shape "
            f"{tuple(samples.shape)}. A single sample has no score: use larger batches"
        )
    return samples if samples.ndim == 2 else samples.reshape(samples.shape[0], -1)


def check_projection(value: Any, columns: int) -> Tensor:
    """Return a matrix, and raise ValueError unless the matrix has the given number of columns."""
    matrix = check_real("projection", value, floating=True)
    if matrix.ndim != 2 or matrix.shape[1] != columns:
        raise ValueError(f"projection must have shape (k, {columns}); got {tuple(matrix.shape)}")
    return matrix


def expanded(name: str, value: Any, shape: tuple[int, ...]) -> Tensor:
    """Return the tensor expanded to a shape, and raise ValueError if expansion is impossible."""
    part = check_real(name, value, floating=True)
    try:
        return part.expand(shape)
    except RuntimeError as error:
        raise ValueError(
            f"{name} must be broadcastable to shape {shape}; got shape {tuple(part.shape)}"
        ) from error


def expanded_scale(name: str, value: Any, shape: tuple[int, ...]) -> Tensor:
    """Return standard deviations expanded to a shape, and raise ValueError if one is negative."""
    scale = expanded(name, value, shape)
    if is_readable(values := scale.detach()) and bool((values < 0).any()):
        raise ValueError(
            f"{name} must hold positive standard deviations; got {float(values.min()):.3g}: apply "
            "torch.nn.functional.softplus, or exp for log-scales"
        )
    return scale


def check_codes(**codes: Any) -> list[Tensor]:
    """Return samples as rows (M, d), and warn if they are constant or have no graph."""
    rows = {name: check_samples(name, value) for name, value in codes.items()}
    check_same_length(rows)
    warn_of_missing_graph(rows)
    for name, part in rows.items():
        warn_of_constant(name, part)
    return list(rows.values())


def check_score(score: Any) -> None:
    """Raise TypeError unless the score is a function or None."""
    if isinstance(score, type) or not (score is None or callable(score)):
        got = f"the class {score.__name__}" if isinstance(score, type) else repr(score)
        raise TypeError(
            "score must be a function of a batch, such as sk_mige.score.ssge or "
            f"functools.partial(ssge, eigen_threshold=0.99); got {got}. Score estimators are "
            "for MIGEEncoder(score_estimator=...)"
        )


def warn_of_missing_graph(tensors: Mapping[str, Tensor]) -> None:
    """Warn if autograd records gradients, but no tensor requires a gradient."""
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return
    if not any(map(is_differentiated, tensors.values())):
        warn_user(
            f"autograd has no graph of {' and '.join(tensors)}, so the surrogate has no gradient: "
            "pass the output of the encoder, without detach()"
        )


@contextmanager
def in_training() -> Iterator[None]:
    """Context without warnings about samples, for estimators that give other warnings."""
    token = _WARNS.set(False)
    try:
        yield
    finally:
        _WARNS.reset(token)


def warn_of_constant(name: str, rows: Tensor) -> None:
    """Warn if all rows (M, d) of a tensor on the CPU are equal."""
    if not is_readable(values := rows.detach()) or not _WARNS.get():
        return
    if not torch.equal(values[0], values[-1]):
        return
    if bool((values == values[0]).all()):
        warn_user(
            f"{name} is constant: all rows are equal, and the gradient of the information is 0. "
            "If an encoder collapsed to a point, use a smaller learning rate or a standardised "
            "output, such as torch.nn.BatchNorm1d(d, affine=False)"
        )


def warn_of_swapped_axes(z: Tensor, kind: str, usual: int) -> None:
    """Warn if the number S of draws or views in z (S, M, d) exceeds both M and ``usual``."""
    s, m, _ = z.shape
    if s > max(m, usual) and not torch.compiler.is_compiling() and _WARNS.get():
        warn_user(
            f"z of shape {tuple(z.shape)} is read as (S, M, d), with {s} {kind} of each of {m} "
            "inputs. If the inputs come first in z, pass z.transpose(0, 1)"
        )


def warn_of_few_rows(name: str, rows: Tensor) -> None:
    """Warn if there are fewer rows (M, d) than columns."""
    m, d = rows.shape
    if m < d and not torch.compiler.is_compiling() and _WARNS.get():
        warn_user(
            f"{name} has {m} rows of {d} columns, so the estimated scores are too small: use "
            f"batches of {d} rows or more, or fewer columns"
        )
