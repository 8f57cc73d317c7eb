"""Versions and devices for a bug report, printed by ``python -m sk_mige``."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

import torch

import sk_mige

__all__ = ["report"]

# Distributions that can affect a result or an error.
_DISTRIBUTIONS = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "skorch",
    "matplotlib",
    "pandas",
    "polars",
    "pooch",
    "dask",
    "distributed",
    "accelerate",
    "skops",
    "safetensors",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "rich",
)


def _versions() -> Iterator[tuple[str, str]]:
    for name in _DISTRIBUTIONS:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, "not installed"


def _devices() -> Iterator[tuple[str, str]]:
    yield "cpu", f"{platform.machine()}, {torch.get_num_threads()} torch threads"
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        capability = f"{properties.major}.{properties.minor}"
        yield f"cuda:{index}", f"{properties.name}, {memory:.0f} GiB, capability {capability}"
    if torch.cuda.device_count() == 0:
        yield "cuda", "none"
    yield "mps", "available" if torch.backends.mps.is_available() else "none"


def report() -> str:
    """Return a description of the installation: system, package versions and devices.

    Returns
    -------
    str
        Lines of ``name: value`` for a bug report.

    Examples
    --------
    >>> from sk_mige.__main__ import report
    >>> print(report().splitlines()[0])
    System
    """
    system = [
        ("python", sys.version.replace("\n", " ")),
        ("platform", platform.platform()),
        ("sk_mige", sk_mige.__version__),
    ]
    lines: list[str] = []
    for title, pairs in (("System", system), ("Packages", _versions()), ("Devices", _devices())):
        lines += [title, *(f"{name:>14}: {value}" for name, value in pairs), ""]
    return "\n".join(lines[:-1])


if __name__ == "__main__":
    print(report())
