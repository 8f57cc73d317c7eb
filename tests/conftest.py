"""Options and fixtures shared by all tests: device, dtype, data directory, global state."""

from __future__ import annotations

import os
import sys

# These variables must be set before torch, NumPy and matplotlib are imported. In parallel workers,
# one thread is fastest for small matrices. The backend Agg draws figures without a screen.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch

from . import simulated_device

SIMULATED = pytest.StashKey[list[torch.library.Library]]()

# By default, hypothesis draws the same examples in every run. With `--hypothesis-profile explore`,
# hypothesis draws new examples, and ten times as many.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None, print_blob=True)
hypothesis.settings.load_profile("repeatable")
EXPLORE_FACTOR = 10


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Increase the number of examples of tests with new random examples."""
    if config.getoption("--hypothesis-profile", default=None) != "explore":
        return
    # The items of a parametrised test share one function, which is changed once.
    functions = {id(item.obj): item.obj for item in items if hasattr(item, "obj")}
    for function in functions.values():
        if hypothesis.is_hypothesis_test(function):
            chosen = function._hypothesis_internal_use_settings
            function._hypothesis_internal_use_settings = hypothesis.settings(
                chosen, max_examples=EXPLORE_FACTOR * chosen.max_examples
            )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options `--device` and `--dtype` for the device and the precision of the tests."""
    group = parser.getgroup("sk_mige")
    group.addoption(
        "--device",
        default="cpu",
        help="torch device of the tensors in the tests: cpu, cuda, auto, or simulated (a GPU "
        "simulated on the CPU)",
    )
    group.addoption(
        "--dtype",
        default="float64",
        choices=["float32", "float64"],
        help="dtype of the tensors, except in tests of dtypes",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Raise an error before the first test if the device is missing."""
    name = config.getoption("--device")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise pytest.UsageError(f"--device {name}: torch finds no CUDA device; use --device cpu")
    if name == "simulated":
        config.stash[SIMULATED] = simulated_device.install()


def _device(config: pytest.Config) -> torch.device:
    name = config.getoption("--device")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> torch.device:
    """Return the device under test, with float32 products in full precision instead of TF32."""
    torch.backends.cudnn.allow_tf32 = False  # by default, convolutions use TF32
    return _device(pytestconfig)


@pytest.fixture(scope="session")
def dtype(pytestconfig: pytest.Config) -> torch.dtype:
    """Return the floating-point type under test."""
    return getattr(torch, pytestconfig.getoption("--dtype"))


@pytest.fixture
def rng() -> np.random.Generator:
    """Return NumPy's generator, with the same seed for every test."""
    return np.random.default_rng(0)


@pytest.fixture
def generator() -> torch.Generator:
    """Return torch's generator on the CPU, with the same seed for every test."""
    return torch.Generator().manual_seed(0)


def _random_state() -> dict[str, Any]:
    name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the fixture compares it
    state = {
        "numpy.random": (name, keys.tobytes(), *rest),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["torch.cuda"] = [s.numpy().tobytes() for s in torch.cuda.get_rng_state_all()]
    return state


@pytest.fixture
def global_random_state_untouched() -> Iterator[None]:
    """Assert that the test does not change NumPy's and torch's global generators."""
    before = _random_state()
    yield
    after = _random_state()
    moved = [name for name in before if before[name] != after[name]]
    assert not moved, f"the global random state has changed: {', '.join(moved)}"


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    """Close all figures, including figures of earlier examples in docstrings."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
