"""What makes two calls of ``fit`` the same run, in words that a file can hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from numbers import Number
from typing import Any

import numpy as np

__all__ = ["rows_in_words", "settings_in_words"]

# Of these a run that goes on may have others: where it runs, how long, what it says meanwhile.
FREE = (
    "callbacks", "device", "distributed", "max_epochs", "n_prediction_samples", "output",
    "verbose", "warm_start",
)  # fmt: skip
N_ROWS = 64


def settings_in_words(parameters: Mapping[str, Any]) -> dict[str, str]:
    """An estimator's parameters, less those that a run that goes on may change.

    Functions and modules, which no file can compare, are known by their names; nested estimators
    appear by their own parameters.

    Examples
    --------
    >>> from sk_mige.training.run_identity import settings_in_words
    >>> settings_in_words({"lr": 0.1, "optimizer": dict, "verbose": 1})
    {'lr': '0.1', 'optimizer': 'dict'}
    """
    return {name: _words(value) for name, value in parameters.items() if name not in FREE}


def _words(value: Any) -> str:
    if value is None or isinstance(value, str | bool):
        return repr(value)
    if isinstance(value, Number):
        return repr(value.item() if isinstance(value, np.generic) else value)
    if isinstance(value, list | tuple):
        return f"({', '.join(_words(item) for item in value)})"
    if isinstance(value, Mapping):
        return str({str(key): _words(item) for key, item in value.items()})
    if isinstance(value, partial):
        return f"partial of {_words(value.func)} {_words(value.args)} {_words(value.keywords)}"
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def rows_in_words(data: Any) -> str:
    """Number of rows of a dataset, and a digest of some of them and of their targets."""
    picks = np.unique(np.linspace(0, len(data) - 1, N_ROWS).astype(int)).tolist()
    digest = hashlib.sha256()
    for part in data.__getitems__(picks):
        digest.update(np.ascontiguousarray(part.cpu().numpy()).tobytes())
    return f"{len(data)} rows, {digest.hexdigest()[:16]}"
