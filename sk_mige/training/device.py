"""Choice of devices, and a context for random numbers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from sk_mige._warnings import warn_user

# All threads share torch's generators. Two fits at once would draw from the same sequence.
_GENERATORS = threading.RLock()


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the torch device for a name, where "auto" is CUDA if available, else the CPU.

    Parameters
    ----------
    device : str or torch.device
        Name of a torch device, such as "cpu", "cuda", "cuda:1", "xpu" or "mps", or "auto". The name
        "auto" selects only CUDA or the CPU, because MPS has no float64.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If torch has no device type with the given name.
    RuntimeError
        If the machine does not have the device.

    Examples
    --------
    >>> from sk_mige.training.device import resolve_device
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is not a device: use 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'"
        ) from error
    if not _exists(resolved):
        mps = "an" if torch.backends.mps.is_available() else "no"
        raise RuntimeError(
            f"device={str(device)!r} is not available: this machine has "
            f"{torch.cuda.device_count()} CUDA devices and {mps} MPS device; use device='auto' or "
            "device='cpu'"
        )
    return resolved


def available_device(device: str | torch.device) -> torch.device:
    """Return the torch device for a name, or for "auto" if the named device is not available.

    Examples
    --------
    >>> from sk_mige.training.device import available_device
    >>> available_device("cpu")
    device(type='cpu')
    """
    try:
        return resolve_device(device)
    except RuntimeError:
        return resolve_device("auto")


def device_of_stored(device: str | torch.device) -> torch.device:
    """Return the device for a stored model, and warn if ``device`` is not available."""
    found = available_device(device)
    if device != "auto" and torch.device(device).type != found.type:
        warn_user(
            f"the model was fitted with device={str(device)!r}, which is not available, and was "
            f"loaded on {found}: call set_params(device='auto') before storing the model"
        )
    return found


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside the context, and restore their state afterwards.

    Modules draw initial values, dropout and noise from torch's global generators. All threads share
    the generators, so only one thread at a time can enter the context.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training.device import seeded
    >>> with seeded(0, torch.device("cpu")):
    ...     first = torch.rand(1)
    >>> with seeded(0, torch.device("cpu")):
    ...     bool(first == torch.rand(1))
    True
    """
    devices = [device] if device.type != "cpu" else []
    kind = device.type if devices else "cuda"
    with _GENERATORS, torch.random.fork_rng(devices=devices, device_type=kind):
        torch.default_generator.manual_seed(seed)
        if devices:
            with current(device):
                torch.get_device_module(device).manual_seed(seed)
        yield


def current(device: torch.device) -> AbstractContextManager[Any]:
    """Make the device the current device of its type inside the context."""
    index: int | None = device.index  # torch's annotation omits None
    if index is None:
        return nullcontext()
    return torch.get_device_module(device).device(device)


def moved(tensor: Tensor, device: str | torch.device) -> Tensor:
    """Copy a tensor to a device, asynchronously if the device is a GPU.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training.device import moved
    >>> moved(torch.ones(2), "cpu")
    tensor([1., 1.])
    """
    return tensor.to(device, non_blocking=torch.device(device).type != "cpu")


def _exists(device: torch.device) -> bool:
    if device.type == "mps":
        return torch.backends.mps.is_available()
    try:
        module = torch.get_device_module(device)
    except RuntimeError:  # a device type whose backend is not installed
        return False
    return bool((device.index or 0) < module.device_count())
