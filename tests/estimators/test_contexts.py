"""Copies made in inference mode train on, and progress needs no console."""

from __future__ import annotations

import copy
import io
import pickle
import sys
from typing import Any

import numpy as np
import pytest
import torch

from sk_mige import InformationBottleneck, MIGEEncoder, NonLinearProbe, SlicedScoreMatching

X = np.random.default_rng(0).normal(size=(120, 5))
Y = (X[:, 0] > 0).astype(int)
SMALL: dict[str, Any] = {"max_epochs": 2, "device": "cpu", "random_state": 0}


def encoder(**parameters: Any) -> MIGEEncoder:
    return MIGEEncoder(2, hidden_layer_sizes=(16,), **{**SMALL, **parameters})


def bottleneck(**parameters: Any) -> MIGEEncoder:
    return encoder(mode=InformationBottleneck(**parameters))


ESTIMATORS: dict[str, Any] = {
    "infomax": encoder(),
    "mixed precision": encoder(mixed_precision=True),
    "a layer": encoder(output="hidden1"),
    "one draw": encoder(output="sample"),
    "gaussian": bottleneck(),
    "implicit": bottleneck(head="implicit"),
    "deterministic": bottleneck(head="deterministic"),
    "critic": bottleneck(information="jsd"),
    "limited": bottleneck(max_information=100.0),
    "probe": NonLinearProbe(**SMALL),
    "sliced": SlicedScoreMatching(hidden_layer_sizes=(8,), **SMALL),
}
estimators = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)


def results(fitted: Any) -> list[Any]:
    """Results of all methods of the estimator on rows."""
    names = ("transform", "predict_proba", "score")
    arguments: dict[str, tuple[Any, ...]] = {"score": (X, Y)}
    return [
        getattr(fitted, name)(*arguments.get(name, (X,))) for name in names if hasattr(fitted, name)
    ]


def assert_same(first: list[Any], second: list[Any], **tolerance: float) -> None:
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


@estimators
def test_a_copy_made_in_inference_mode_trains_on(estimator: Any) -> None:
    fitted = copy.deepcopy(estimator).fit(X, Y)
    with torch.inference_mode():
        copies = [copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))]
    for made in copies:
        assert_same(results(made), results(fitted), rtol=0, atol=0)
        if hasattr(made, "partial_fit"):
            classes = [0, 1] if hasattr(made, "classes_") else None
            assert made.partial_fit(X, Y, classes).n_iter_ == 3


class Writer:
    """A stream with the two methods that ``print`` needs."""

    def write(self, text: str) -> None:
        pass

    def flush(self) -> None:
        pass


class Unbuffered:
    """A stream without ``flush``."""

    def write(self, text: str) -> None:
        pass


class FullDisk(io.StringIO):
    """A stream whose buffer cannot be written."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")

    def isatty(self) -> bool:
        raise ValueError("the console is gone")


class FillingDisk(io.StringIO):
    """A stream whose disk is full after some text."""

    def write(self, text: str) -> int:
        if self.tell():
            raise OSError(28, "No space left on device")
        return super().write(text)


class Deleted:
    """A stream of a window that was closed: every access raises an error."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("wrapped object has been deleted")


CLOSED = io.StringIO()
CLOSED.close()
STREAMS: dict[str, Any] = {
    "no console": None, "a bare writer": Writer(), "unbuffered": Unbuffered(), "closed": CLOSED,
    "bytes": io.BytesIO(), "full disk": FullDisk(), "no stream": object(),
    "deleted": Deleted(), "filling disk": FillingDisk(),
}  # fmt: skip


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("name", ["infomax", "probe", "sliced"])
def test_progress_needs_no_console(
    name: str, stream: str, verbose: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = copy.deepcopy(ESTIMATORS[name]).set_params(verbose=verbose)
    monkeypatch.setattr(sys, "stderr", STREAMS[stream])
    monkeypatch.setattr(sys, "stdout", STREAMS[stream])
    assert estimator.fit(X, Y).n_iter_ == 2


class Compiled(torch.nn.Module):
    """The wrapper that torch.compile makes."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self._orig_mod = module


@pytest.mark.parametrize("wrapper", [Compiled, torch.nn.DataParallel])
def test_a_network_in_a_wrapper_is_stored_with_its_weights(wrapper: Any) -> None:
    fitted = encoder().fit(X)
    expected = fitted.transform(X)
    fitted.module_ = wrapper(fitted.module_)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), expected)
