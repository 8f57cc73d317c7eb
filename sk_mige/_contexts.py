"""Contexts that make computations independent of the caller's settings of torch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor, peek_interpreter_stack
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _get_current_dispatch_mode

P = ParamSpec("P")
R = TypeVar("R")

# Functions by which layers draw initial values, in addition to those of torch.nn.init.
DRAWS = {"normal_", "rand", "randint", "randn", "randperm", "uniform_"}
# Functions that make tensors of torch's default dtype.
FACTORIES = {"empty", "eye", "ones", "rand", "randn", "zeros"}


@contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """Enable gradients and disable autocast inside the context, whatever the caller's settings.

    Tensors are created on the CPU or the given device, as in :func:`on_device`.

    Examples
    --------
    >>> import torch
    >>> from sk_mige._contexts import isolated
    >>> with torch.inference_mode(), isolated(torch.device("cpu")):
    ...     torch.is_grad_enabled(), torch.ones(1).is_inference()
    (True, False)
    """
    cpu, other = (torch.autocast(kind, enabled=False) for kind in ("cpu", device.type))
    with torch.inference_mode(False), torch.enable_grad(), cpu, other, on_device(device):
        yield


@contextmanager
def building(device: torch.device) -> Iterator[None]:
    """Create layers in float32 inside the context, whatever the caller's settings.

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


@contextmanager
def on_device(device: torch.device) -> Iterator[None]:
    """Create tensors on the device inside the context, unless torch's default device is suitable.

    The context ``torch.device(...)`` slows down every torch call, including calls in worker
    processes that start inside the context. If torch's default device is the CPU or has the type of
    the given device, the context therefore has no effect.

    Examples
    --------
    >>> import torch
    >>> from sk_mige._contexts import on_device
    >>> with torch.device("meta"), on_device(torch.device("cpu")):
    ...     torch.ones(1).device.type
    'cpu'
    """
    usual = torch.empty(0).device.type in ("cpu", device.type)
    with nullcontext() if usual else device:
        yield


@contextmanager
def on_cpu() -> Iterator[None]:
    """Create tensors on the CPU inside the context, whatever the caller's default device.

    Examples
    --------
    >>> import torch
    >>> from sk_mige._contexts import on_cpu
    >>> with torch.device("meta"), on_cpu():
    ...     torch.ones(1).device.type
    'cpu'
    """
    with on_device(torch.device("cpu")):
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


def is_transformed() -> bool:
    """Return whether ``torch.compile`` or a transform of ``torch.func`` is active."""
    return torch.compiler.is_compiling() or peek_interpreter_stack() is not None


def is_differentiated(tensor: Tensor) -> bool:
    """Return whether torch records or transforms the operations on a tensor."""
    if tensor.requires_grad or is_functorch_wrapped_tensor(tensor):
        return True
    return forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]


def is_readable(values: Tensor) -> bool:
    """Return whether NumPy can compute with the values of a tensor.

    Values that torch records, transforms or replaces must not be read. Examples are dual tensors of
    forward-mode differentiation, and tensors inside ``torch.compile`` or ``FakeTensorMode``.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    if type(values) is not Tensor or _get_current_dispatch_mode() is not None:
        return False
    plain = values.device.type == "cpu" and values.element_size() >= 4
    return plain and not is_differentiated(values)


class OneByOne(torch.autograd.Function):
    """Base class of functions that ``torch.func.vmap`` calls for each problem of a batch."""

    @classmethod
    def call(cls, *arguments: Any) -> Any:
        """Apply the function without compilation by ``torch.compile``."""
        if torch.compiler.is_compiling():  # otherwise, each new value causes a compilation
            apart: Any = torch.compiler.disable(cls.apply)  # type: ignore[no-untyped-call]
            return apart(*arguments)
        return cls.apply(*arguments)  # type: ignore[no-untyped-call]

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        """Compute the problems of a batch one after the other."""
        sliced = [
            [value] * info.batch_size if dim is None else value.unbind(dim)
            for value, dim in zip(arguments, in_dims, strict=True)
        ]
        results = [cls.apply(*parts) for parts in zip(*sliced, strict=True)]  # type: ignore[no-untyped-call]
        if isinstance(results[0], Tensor):
            return torch.stack(results), 0
        stacked = tuple(torch.stack(parts) for parts in zip(*results, strict=True))
        return stacked, (0,) * len(stacked)


class _Detached(OneByOne):
    """Function of a tensor, without a gradient."""

    @staticmethod
    def forward(function: Callable[[Tensor], Any], z: Tensor) -> Any:
        return function(z)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(*(output if isinstance(output, tuple) else (output,)))


def one_by_one(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function without a gradient whose branches depend on the values of a tensor.

    Such a function cannot take a batch of tensors. Inside ``torch.func.vmap``, the function is
    therefore called for each tensor of the batch.

    Examples
    --------
    >>> import torch
    >>> from sk_mige._contexts import one_by_one
    >>> @one_by_one
    ... def largest(z):
    ...     return z[0] if z[0] > z[1] else z[1]
    >>> torch.func.vmap(largest)(torch.tensor([[1.0, 2.0], [4.0, 3.0]]))
    tensor([2., 4.])
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():  # otherwise, each new value causes a compilation
            apart: Callable[P, R] = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
            return apart(*args, **kwargs)
        if peek_interpreter_stack() is None and torch._C._get_tracing_state() is None:
            return function(*args, **kwargs)
        z, *rest = args
        if not isinstance(z, Tensor):
            return function(*args, **kwargs)
        call: Any = function
        return _Detached.apply(lambda z: call(z, *rest, **kwargs), z.detach())  # type: ignore[no-untyped-call]

    return wrapped
