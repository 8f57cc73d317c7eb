"""Where training runs, and its random numbers, kept apart from everybody else's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["available_device", "resolve_device", "seeded"]


def resolve_device(device: str | torch.device) -> torch.device:
    """Device by name; "auto" is CUDA where there is a GPU and the CPU elsewhere.

    Parameters
    ----------
    device : str or torch.device
        "auto", "cpu", "cuda", "cuda:1", "xpu", "mps", … whatever torch computes on. All but CUDA
        are used on request only; MPS has no float64.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        When torch knows no such device.
    RuntimeError
        When this machine has no such device.

    Examples
    --------
    >>> from sk_mige.training import resolve_device
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
            f"device={str(device)!r} was asked for, but this machine has "
            f"{torch.cuda.device_count()} CUDA devices and {mps} MPS device; device='auto' takes "
            "what there is, device='cpu' always works"
        )
    return resolved


def available_device(device: str | torch.device) -> torch.device:
    """As :func:`resolve_device`, but falls back on "auto" where the device is missing.

    Examples
    --------
    >>> from sk_mige.training import available_device
    >>> available_device("cpu")
    device(type='cpu')
    """
    try:
        return resolve_device(device)
    except RuntimeError:
        return resolve_device("auto")


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw torch's random numbers from a seed within; outside nothing is noticed.

    Modules initialise themselves, drop out and add noise with torch's global generators. Inside
    this context those are seeded; at its end they are as they were.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training import seeded
    >>> with seeded(0, torch.device("cpu")):
    ...     first = torch.rand(1)
    >>> with seeded(0, torch.device("cpu")):
    ...     bool(first == torch.rand(1))
    True
    """
    devices = [device] if device.type != "cpu" else []
    kind = device.type if devices else "cuda"
    with torch.random.fork_rng(devices=devices, device_type=kind):
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.get_device_module(device).manual_seed(seed)
        yield


def _exists(device: torch.device) -> bool:
    if device.type == "cpu":
        return True
    if device.type == "mps":
        return torch.backends.mps.is_available()
    try:
        module = torch.get_device_module(device)
    except RuntimeError:  # a name that torch knows for a backend that is not installed
        return False
    return bool((device.index or 0) < module.device_count())
