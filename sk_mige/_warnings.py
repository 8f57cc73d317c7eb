"""Warnings that point at the user's line."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn_user"]

# Packages whose frames may lie between the user's line and the warning.
LIBRARIES = frozenset(
    {"sk_mige", "sklearn", "skorch", "torch", "joblib", "scipy", "contextlib", "functools"}
)


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the first line of the call stack that belongs to the user's code.

    A fixed ``stacklevel`` is valid for direct calls only, because pipelines, searches and
    decorators add frames.
    """
    level = 2
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_library(frame.f_globals.get("__name__")):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)


def _is_library(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] in LIBRARIES
