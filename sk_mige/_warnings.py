"""Warnings that point at the user's line."""

from __future__ import annotations

import sys
import warnings

# Packages whose frames may lie between the user's line and the warning.
LIBRARIES = frozenset(
    {"sk_mige", "sklearn", "skorch", "torch", "joblib", "scipy", "contextlib", "functools"}
)


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn with the location of the user's line, the innermost line outside of libraries.

    A fixed ``stacklevel`` would be wrong for calls through pipelines, searches and decorators,
    which add frames.
    """
    level = 2
    frame = sys._getframe(1)
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] in LIBRARIES:
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
