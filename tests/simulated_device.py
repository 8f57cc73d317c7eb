"""A GPU simulated on the CPU, for machines without a GPU: ``--device simulated``.

Tensors of the simulated device are stored and computed on the CPU. As on a GPU, operations on
tensors of different devices raise an error, and so do draws from a generator of the CPU. Numbers
(tensors without dimensions) and indices may be on the CPU, as with CUDA.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._pytree import tree_flatten, tree_map

NAME = "simulated"
# Operations on tensors of both devices. Operations of INDEXING also accept indices on the CPU.
TRANSFERS = ("aten::copy_", "aten::_to_copy")
# Functions that torch implements by changing the shape of an empty tensor.
RESIZING = ("eye", "randperm", "linspace")
INDEXING = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")


class SimulatedTensor(torch.Tensor):
    """Tensor on the simulated device."""

    values_here: torch.Tensor

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> SimulatedTensor:
        tensor = torch.Tensor._make_wrapper_subclass(
            cls, values.size(), strides=values.stride(), storage_offset=values.storage_offset(),
            dtype=values.dtype, device=torch.device(NAME, 0),
        )  # fmt: skip
        tensor.values_here = values
        return tensor

    def tolist(self) -> Any:
        return self.values_here.tolist()

    def new_tensor(self, data: Any, **options: Any) -> torch.Tensor:  # type: ignore[override]
        return self.values_here.new_tensor(data, **options).to(options.get("device", self.device))

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        parts = tuple(torch.tensor(part) if isinstance(part, list) else part for part in parts)
        return super().__getitem__(parts)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Simulated({self.values_here!r})"

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(operation, args, kwargs or {})


class _Module(backend_registration._DummyBackendModule):
    """Device module, like ``torch.cuda``, with the random generator of the CPU."""

    def get_rng_state(self, device: Any = 0) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = 0) -> None:
        torch.set_rng_state(state)

    def device(self, device: Any) -> Any:
        return nullcontext()

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        return 2**30, 2**30

    def manual_seed(self, seed: int) -> None:
        torch.default_generator.manual_seed(seed)

    def synchronize(self, device: Any = None) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


def install() -> list[torch.library.Library]:
    """Register the device in torch, and return libraries to keep for the rest of the process."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, _Module())
    for name in torch._C._dispatch_get_all_op_names():  # access registers an operation
        namespace, _, name = name.partition("::")
        packet, _, overload = name.partition(".")
        if namespace == "aten" and hasattr(torch.ops.aten, packet):
            getattr(getattr(torch.ops.aten, packet), overload or "default", None)
    fallback, aten = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    fallback.fallback(_call, "PrivateUse1")
    fallback.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for name in RESIZING:
        operation = getattr(torch.ops.aten, name).default
        aten.impl(name, partial(_call, operation), "PrivateUse1")
    for name in ("tensor", "as_tensor"):
        setattr(torch, name, partial(_from_here, getattr(torch, name)))
    torch.quantile = partial(_with_values_here, torch.quantile)
    return [fallback, aten]


# The following functions of torch read values of lists or change the shape of a tensor inside the
# operation, which a backend in Python does not support. The functions are computed on the CPU.
def _from_here(make: Any, data: Any, **options: Any) -> torch.Tensor:
    device = options.get("device")
    if device is None or torch.device(device).type != NAME or isinstance(data, SimulatedTensor):
        return make(data, **options)
    return make(data, **options | {"device": "cpu"}).to(device)


def _with_values_here(function: Any, *args: Any, **kwargs: Any) -> Any:
    there = any(isinstance(value, SimulatedTensor) for value in args)
    values = [v.values_here if isinstance(v, SimulatedTensor) else v for v in args]
    result = function(*values, **kwargs)
    return SimulatedTensor(result) if there else result


def _call(operation: Any, *args: Any, **kwargs: Any) -> Any:
    return _run(operation, args, kwargs)


def _run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = operation._schema.name
    flat = tree_flatten((args, kwargs))[0]
    there = [v for v in flat if isinstance(v, SimulatedTensor)]
    here = [v for v in flat if isinstance(v, torch.Tensor) and not isinstance(v, SimulatedTensor)]
    result_is_there = bool(there)
    if kwargs.get("device") is not None:
        result_is_there = torch.device(kwargs["device"]).type == NAME
    elif name == "aten::copy_":
        result_is_there = isinstance(args[0], SimulatedTensor)
    indexed = name in INDEXING and isinstance(args[0], SimulatedTensor)
    if there and name not in TRANSFERS and not indexed and any(v.dim() > 0 for v in here):
        raise RuntimeError(
            f"{name}: expected all tensors to be on one device, found some on {NAME} and some of "
            f"shapes {[tuple(v.shape) for v in here]} on the processor"
        )
    if result_is_there and kwargs.get("generator") is not None:
        raise RuntimeError(f"{name}: expected the generator to be on the device of the result")
    known = {id(v.values_here): v for v in there}

    def unwrapped(value: Any) -> Any:
        if isinstance(value, SimulatedTensor):
            return value.values_here
        if isinstance(value, torch.device) and value.type == NAME:
            return torch.device("cpu")
        return value

    def wrapped(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or not result_is_there:
            return value
        return known[id(value)] if id(value) in known else SimulatedTensor(value)

    plain_args, plain_kwargs = tree_map(unwrapped, (args, kwargs))
    with torch.inference_mode(False):  # inference tensors cannot be wrapped
        return tree_map(wrapped, operation(*plain_args, **plain_kwargs))
