"""Arrays and tensors alike: what all estimators ask of their input."""

from __future__ import annotations

from typing import Any

import torch
from sklearn import get_config
from sklearn.utils._array_api import get_namespace
from torch import Tensor

__all__ = ["is_constant", "readable"]


def readable(X: Any) -> Any:
    """X, or the values of a tensor as an array, wherever it is and whatever it records.

    Where scikit-learn's array API dispatch is on a tensor stays what and where it is.
    """
    if not isinstance(X, Tensor) or get_config()["array_api_dispatch"]:
        return X
    values = X.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()


def is_constant(X: Any) -> bool:
    """Whether all rows of X (n, d) are equal."""
    xp, _ = get_namespace(X)
    # A chunk at a time: as a rule the first one differs, and all the others need no look.
    # (The standard says nothing of slices that end beyond the last row.)
    n = X.shape[0]
    chunks = (X[start : min(start + 1024, n), :] for start in range(0, n, 1024))
    return all(bool(xp.all(X[:1, :] == chunk)) for chunk in chunks)
