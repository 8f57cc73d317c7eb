"""Tensors where scikit-learn expects arrays."""

from __future__ import annotations

from typing import Any

import torch
from sklearn import get_config
from torch import Tensor

__all__ = ["readable"]


def readable(X: Any) -> Any:
    """X, or the values of a tensor as an array, wherever it is and whatever it records.

    Where scikit-learn's array API dispatch is on a tensor stays what and where it is.
    """
    if not isinstance(X, Tensor) or get_config()["array_api_dispatch"]:
        return X
    values = X.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
