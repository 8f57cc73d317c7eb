"""Operations of a training step in which the CPU waits for the device."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sk_mige
from sk_mige import MIGE, Critic, InfoMax, MIGEEncoder
from sk_mige import InformationBottleneck as IB
from sk_mige.training.net import EncoderNet

from .. import simulated_device
from ..simulated_device import INDEXING, SimulatedTensor
from .test_estimators import CONV, ENCODERS, SMALL

pytestmark = pytest.mark.skipif(
    "config.getoption('device') in ('cpu', 'auto')", reason="nothing waits for the processor"
)
PACKAGE = Path(sk_mige.__file__).parent
READING = {
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal",
    "aten::_linalg_check_errors", "aten::_linalg_eigh", "aten::_linalg_svd", "aten::_unique2",
    "aten::bincount", "aten::repeat_interleave",
}  # fmt: skip

# Files with operations that wait in a step.
LOSS = "training/net.py"  # the loss is read after the backward pass, to stop at NaN
AVERAGE = "training/schedules.py"  # torch's AveragedModel copies its number of steps
EIGENPAIRS = "score/ssge.py"  # torch reads whether the eigendecomposition has converged
# The Gram matrix is copied to the CPU, where LAPACK and the root of an equation are faster.
GAUSSIAN = "information/gaussian.py"
# The samples are copied to the CPU, because each of seven eigendecompositions would wait.
WHITENED = "information/whitened.py"

OBJECTIVES: dict[str, dict[str, Any]] = ENCODERS | {
    "local InfoNCE": CONV | {"mode": InfoMax("infonce", layer="conv", local=True)},
    "InfoNCE of a layer": CONV | {"mode": InfoMax(Critic("infonce"), layer="conv")},
    "classes": {"mode": IB(MIGE(marginal="classes"))},
    "limit within classes": {"mode": IB(MIGE(marginal="classes"), max_information=50.0)},
    "mixture": {"mode": IB(MIGE(marginal="mixture"))},
    "scores": {"mode": IB(MIGE(marginal="stein"))},
    "JSD-IB": {"mode": IB("jsd")},
    "CLUB-IB": {"mode": IB("club")},
}
# Objectives with a Gaussian code, whose entropy has a closed form.
GAUSSIAN_CODES = (
    "bottleneck", "bottleneck, bfloat16", "limit", "regression", "class weights", "held-out rows",
    "classes", "limit within classes",
)  # fmt: skip
WAITING: dict[str, set[str]] = {
    "averaged": {AVERAGE},
    "published": {EIGENPAIRS},
    "implicit head": {EIGENPAIRS, WHITENED},
    "score of a Gaussian": {EIGENPAIRS, WHITENED},
    "scores": {EIGENPAIRS},
} | {name: {GAUSSIAN} for name in GAUSSIAN_CODES}


def _place(filename: str) -> str | None:
    path = Path(filename)
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else None


def _innermost() -> str:
    """Return the innermost file of the package on the stack."""
    frame: Any = sys._getframe()
    while frame is not None and _place(frame.f_code.co_filename) is None:
        frame = frame.f_back
    return "torch" if frame is None else _place(frame.f_code.co_filename) or ""


def _waits(operation: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Return whether CUDA's version of the operation waits for the device."""
    name = operation._schema.name
    there = [isinstance(value, SimulatedTensor) for value in args]
    if name in READING:
        return any(there)
    if name in INDEXING:  # masks are read, and indices on the CPU are copied
        indices = [index for index in args[1] if index is not None]
        return any(i.dtype == torch.bool or not isinstance(i, SimulatedTensor) for i in indices)
    if name == "aten::copy_":
        return there[0] != there[1] and not (len(args) > 2 and args[2])
    if name == "aten::_to_copy":
        target = kwargs.get("device")
        leaves = target is not None and (torch.device(target).type == "cpu") == there[0]
        return leaves and not kwargs.get("non_blocking")
    return any(arg is True and part.name == "check_errors"
               for part, arg in zip(operation._schema.arguments, args, strict=False))  # fmt: skip


@contextmanager
def recorded(device: torch.device, found: set[str]) -> Iterator[None]:
    """Add the files whose operations wait for the device to ``found``."""
    if device.type == "cuda":
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                yield
            finally:
                torch.cuda.set_sync_debug_mode("default")
        calls = [w for w in caught if "synchronizing" in str(w.message)]
        found.update(_place(call.filename) or "torch" for call in calls)
        return
    run = simulated_device._run

    def recording(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if _waits(operation, args, kwargs):
            found.add(_innermost())
        return run(operation, args, kwargs)

    def listing(tensor: SimulatedTensor) -> Any:
        found.add(_innermost())
        return tensor.values_here.tolist()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulated_device, "_run", recording)
        patch.setattr(SimulatedTensor, "tolist", listing)
        yield


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_step_waits_only_where_listed(
    name: str, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = np.random.default_rng(0).normal(size=(100, 64)).astype(np.float32)
    y = np.arange(100) % 3 + (0.5 if name == "regression" else 0)
    found: set[str] = set()
    step = EncoderNet.train_step

    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        with recorded(device, found):
            return step(self, *args, **kwargs)

    monkeypatch.setattr(EncoderNet, "train_step", watched)
    MIGEEncoder(**SMALL | OBJECTIVES[name], device=str(device)).fit(X, y)
    assert LOSS in found
    assert found - {LOSS} == WAITING.get(name, set())


@pytest.mark.parametrize(
    "operation",
    [
        lambda z: bool(z.sum() > 0), lambda z: z.tolist(), lambda z: z[z[:, 0] > 0],
        lambda z: z.cpu(), lambda z: z[[0, 2]], lambda z: torch.linalg.cholesky(z.mT @ z),
        lambda z: z.to("cpu").to(z.device),
    ],
)  # fmt: skip
def test_waiting_operations_are_recorded(operation: Any, device: torch.device) -> None:
    z = torch.randn(5, 2).to(device)
    found: set[str] = set()
    with recorded(device, found):
        operation(z)
    assert found
