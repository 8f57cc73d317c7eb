"""Functions that all image readers share: checks, scaling and the returned bunch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from ._files import REMEDY


def check_subset(subset: str, allowed: Sequence[str]) -> None:
    """Raise ValueError if ``subset`` is not in ``allowed``."""
    if subset not in allowed:
        raise ValueError(f"subset must be one of {', '.join(map(repr, allowed))}; got {subset!r}.")


def read_rows(path: Path, row_bytes: int) -> NDArray[np.uint8]:
    """Read a binary file as an array of bytes of shape (n, row_bytes)."""
    raw = np.fromfile(path, dtype=np.uint8)
    check_size(path, raw.size, row_bytes)
    return raw.reshape(-1, row_bytes)


def check_size(path: Path, n_bytes: int, row_bytes: int) -> None:
    """Raise ValueError if the file size is not a positive multiple of the row size."""
    if n_bytes == 0 or n_bytes % row_bytes:
        raise ValueError(
            f"{path} has {n_bytes} bytes, which is not a positive multiple of {row_bytes}: the "
            "file is incomplete or not in the official binary format. Remove the file, so that it "
            "is downloaded again."
        )


def read_names(path: Path) -> list[str]:
    """Read class names, one in each line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]


def check_labels(
    path: Path, labels: NDArray[Any], n_rows: int, n_classes: int
) -> NDArray[np.int64]:
    """Return labels as int64, and raise ValueError if labels do not match images or classes."""
    if len(labels) != n_rows:
        raise ValueError(f"{path} has {len(labels)} labels for {n_rows} images. {REMEDY}")
    labels = labels.astype(np.int64)
    if n_rows and not 0 <= labels.min() <= labels.max() < n_classes:
        raise ValueError(
            f"{path} has labels from {labels.min()} to {labels.max()}, but there are {n_classes} "
            "classes, counted from 0. The file is damaged or not in the official binary format. "
            f"{REMEDY}"
        )
    return labels


def as_bunch(
    images: NDArray[Any], target: NDArray[np.int64], as_float: bool, return_X_y: bool, **more: Any
) -> Any:
    """Return rows of pixels and targets, as a scikit-learn bunch or as a tuple."""
    if as_float:
        images = images.astype(np.float32, order="C")
        images /= 255
    if not images.flags.c_contiguous:
        images = np.ascontiguousarray(images)
    data = images.reshape(len(images), -1)
    if return_X_y:
        return data, target
    return Bunch(data=data, target=target, image_shape=images.shape[1:], **more)
