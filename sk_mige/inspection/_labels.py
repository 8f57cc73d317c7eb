"""Conversion of labels to numbers for the colours of points."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Coloring", "color_labels", "is_missing"]

# Largest number of classes whose colours can be distinguished.
MOST_CLASSES = 20


@dataclass(frozen=True)
class Coloring:
    """Labels as numbers for a colour scale (NaN if missing), and the class names."""

    numbers: NDArray[np.float64]
    classes: list[str] | None

    @property
    def distinct(self) -> bool:
        """Whether there are few enough classes for a separate colour for each class."""
        return self.classes is not None and len(self.classes) <= MOST_CLASSES


def color_labels(labels: NDArray[Any]) -> Coloring:
    """Convert labels to numbers for a colour scale.

    Numeric labels with fractions or with more than 20 distinct numbers are treated as values. All
    other labels are classes, in sorted order.
    """
    missing = is_missing(labels)
    known = labels[~missing]
    numbers = np.full(len(labels), np.nan)
    if _are_numbers(known):
        numbers[~missing] = known.astype(np.float64)
        values = numbers[~missing]
        if (values != np.round(values)).any() or len(np.unique(values)) > MOST_CLASSES:
            return Coloring(numbers, None)
        known = known.astype(int)
    classes, codes = _sorted_classes(known)
    numbers[~missing] = codes
    return Coloring(numbers, classes)


def _sorted_classes(known: NDArray[Any]) -> tuple[list[str], NDArray[np.intp]]:
    try:
        classes, codes = np.unique(known, return_inverse=True)
    except TypeError:  # labels of several types have no order
        classes, codes = np.unique(known.astype(str), return_inverse=True)
    return [str(name) for name in classes], codes


def _are_numbers(known: NDArray[Any]) -> bool:
    if known.dtype.kind == "O":
        return len(known) > 0 and all(
            isinstance(label, Real) and not isinstance(label, bool | np.bool_) for label in known
        )
    return known.dtype.kind in "iuf"


def is_missing(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask of the missing labels."""
    return np.array([_is_missing(label) for label in labels], dtype=bool)


def _is_missing(label: Any) -> bool:
    """Return True for None, NaN, infinity, NaT and pandas.NA."""
    try:
        return label is None or bool(label != label) or label in (np.inf, -np.inf)
    except TypeError:  # comparisons with pandas.NA have no truth value
        return True
