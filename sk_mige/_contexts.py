"""Contexts that make computations independent of the caller's settings of torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# Functions by which layers draw initial values, in addition to those of torch.nn.init.
DRAWS = {"normal_", "rand", "randint", "randn", "randperm", "uniform_"}
# Functions that make tensors of torch's default dtype.
FACTORIES = {"empty", "eye", "ones", "rand", "randn", "zeros"}


@contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """Enable gradients and disable autocast inside the context, whatever the caller's settings.

    Examples
    --------
    >>> import torch
    >>> from sk_mige._contexts import isolated
    >>> with torch.inference_mode(), isolated(torch.device("cpu")):
    ...     torch.is_grad_enabled(), torch.ones(1).is_inference()
    (True, False)
    """
    cpu, other = (torch.autocast(kind, enabled=False) for kind in ("cpu", device.type))
    with torch.inference_mode(False), torch.enable_grad(), cpu, other:
        yield


@contextmanager
def building(device: torch.device) -> Iterator[None]:
    """Create layers in float32 inside the context, whatever the caller's default dtype and context.

    Examples
    --------
    >>> import torch
    >>> from sk_mige._contexts import building
    >>> with building(torch.device("cpu")):
    ...     torch.nn.Linear(3, 1).weight.dtype
    torch.float32
    """
    with isolated(device), _OwnLayers():
        yield


@contextmanager
def built_apart(seed: int) -> Iterator[None]:
    """Seed the initialisation of layers inside the context, in the calling thread only.

    Unlike :func:`sk_mige.training.device.seeded`, the context does not wait for other threads. A
    stored network can therefore be loaded while another thread trains. The seed determines the
    weights of torch's layers and of modules built from torch's layers. Random functions outside
    torch's layers are not seeded.

    Examples
    --------
    >>> import torch
    >>> from sk_mige._contexts import built_apart
    >>> with built_apart(0):
    ...     first = torch.nn.Linear(3, 1)
    >>> with built_apart(0):
    ...     torch.equal(first.weight, torch.nn.Linear(3, 1).weight)
    True
    """
    generator = torch.Generator().manual_seed(seed)
    with isolated(torch.device("cpu")), _OwnLayers(generator):
        yield


class _OwnLayers(TorchFunctionMode):
    """Replace torch's default dtype by float32, and the global generator by a given generator.

    The initial values of a layer depend on the dtype in which the values are drawn.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in FACTORIES and kwargs.get("dtype") is None:
            kwargs["dtype"] = torch.float32
        # The functions of torch.nn.init pass on a generator, which is None by default.
        if self.generator is not None and ("generator" in kwargs or name in DRAWS):
            kwargs["generator"] = kwargs.get("generator") or self.generator
        return func(*args, **kwargs)
