"""Conversion of labels to numbers for the colours of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sk_mige._arrays import is_missing_label

__all__ = ["Coloring", "color_labels", "is_missing"]

# Largest number of classes whose colours can be distinguished.
MOST_CLASSES = 20


@dataclass(frozen=True)
class Coloring:
    """Labels as numbers for a colour scale (NaN if missing), and the names of their classes."""

    numbers: NDArray[np.float64]
    classes: Sequence[str] = ()

    @property
    def distinct(self) -> bool:
        """Whether there are classes, and few enough for a separate colour for each class."""
        return 0 < len(self.classes) <= MOST_CLASSES


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
            return Coloring(numbers)
        known = known.astype(int)
    try:
        classes, codes = np.unique(known, return_inverse=True)
    except TypeError:  # labels of several types have no order
        classes, codes = np.unique(known.astype(str), return_inverse=True)
    numbers[~missing] = codes
    return Coloring(numbers, [str(name) for name in classes])


def _are_numbers(known: NDArray[Any]) -> bool:
    if known.dtype.kind == "O":
        return len(known) > 0 and all(
            isinstance(label, Real) and not isinstance(label, bool | np.bool_) for label in known
        )
    return known.dtype.kind in "iuf"


def is_missing(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask of the missing labels: None, NaN, infinity, NaT and pandas.NA."""
    missing = [is_missing_label(label) or label in (np.inf, -np.inf) for label in labels]
    return np.array(missing, dtype=bool)
