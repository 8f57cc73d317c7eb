"""Optimizers by name, in the form that is fastest on the device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import torch

__all__ = ["OptimizerFactory", "make_optimizer"]

OptimizerFactory: TypeAlias = Callable[..., torch.optim.Optimizer]

OPTIMIZERS: dict[str, OptimizerFactory] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}
# Devices for which torch has one kernel for all of a step's arithmetic. For an encoder of five
# million weights on a CPU the usual sequence of operations takes several times as long.
FUSED = ("cpu", "cuda")


def make_optimizer(optimizer: str | OptimizerFactory, device: torch.device) -> OptimizerFactory:
    """Optimizer class or factory from its name; a class or factory is returned as it is.

    Parameters
    ----------
    optimizer : {"adam", "adamw", "sgd"} or callable
        "sgd" has a momentum of 0.9.
    device : torch.device
        Where the parameters are.

    Returns
    -------
    callable
        To be called with parameters or groups of them, and ``lr``.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training import make_optimizer
    >>> factory = make_optimizer("adam", torch.device("cpu"))
    >>> type(factory([torch.zeros(2, requires_grad=True)], lr=1e-3)).__name__
    'Adam'
    """
    if not isinstance(optimizer, str):
        return optimizer
    settings: dict[str, Any] = {"fused": True} if device.type in FUSED else {}
    return partial(OPTIMIZERS[optimizer], **settings)
