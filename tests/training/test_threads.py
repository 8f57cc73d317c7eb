"""Threads of torch: one for small networks, restored afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sk_mige import MIGEEncoder
from sk_mige.information import ConcatenatedCritic
from sk_mige.networks import Code, ConvEncoder, MLPEncoder
from sk_mige.training.threads import is_small, threads_for

NOTHING = nn.Identity()
SMALL = nn.Linear(64, 512)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_default_encoder_of_images_of_784_values_is_small() -> None:
    assert is_small(MLPEncoder(784, 64), NOTHING, 256)


@pytest.mark.parametrize(
    ("network", "objective", "batch_size"),
    [
        (MLPEncoder(784, 64), NOTHING, 1024),
        (MLPEncoder(784, 64, (2048, 2048)), NOTHING, 256),
        (ConvEncoder((1, 8, 8), 4, (2,), 8), NOTHING, 2),
        (nn.Sequential(SMALL, nn.MultiheadAttention(8, 2)), NOTHING, 2),
        (SMALL, ConcatenatedCritic(2, 2), 2),
        (SMALL, MLPEncoder(784, 64, (2048, 2048)), 256),
    ],
    ids=["batch", "widths", "convolution", "attention", "pairs", "critic"],
)
def test_more_work_keeps_all_threads(
    network: nn.Module, objective: nn.Module, batch_size: int
) -> None:
    assert not is_small(network, objective, batch_size)
    with threads_for(network, objective, batch_size):
        assert torch.get_num_threads() == 2


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_number_of_threads_is_restored_after_errors(error: type[BaseException]) -> None:
    def fail() -> None:
        with threads_for(SMALL, NOTHING, 2):
            raise error

    with pytest.raises(error):
        fail()
    assert torch.get_num_threads() == 2


def test_contexts_can_be_nested() -> None:
    with threads_for(SMALL, NOTHING, 2):
        with threads_for(SMALL, NOTHING, 2):
            pass
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_new_threads_keep_the_number_of_the_program() -> None:
    with threads_for(SMALL, NOTHING, 2), ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2


def test_overlapping_contexts_of_several_threads_restore_all_of_them() -> None:
    barrier = Barrier(4)

    def numbers(index: int) -> list[int]:
        barrier.wait()
        with threads_for(SMALL, NOTHING, 2):
            inside = torch.get_num_threads()
            barrier.wait()
        return [inside, torch.get_num_threads()]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(numbers, range(4))) == [[1, 2]] * 4
    assert torch.get_num_threads() == 2


X = np.random.default_rng(0).normal(size=(40, 64))


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [({}, 1), ({"encoder": "conv", "input_shape": (1, 8, 8)}, 2)],
    ids=["perceptron", "convolutions"],
)
def test_an_encoder_trains_in_the_threads_of_the_rule(
    parameters: dict[str, Any], expected: int
) -> None:
    seen = []

    def loss(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return code.z.square().mean()

    MIGEEncoder(2, mode=loss, max_epochs=2, device="cpu", **parameters).fit(X)
    assert seen == [expected] * 2
    assert torch.get_num_threads() == 2


def test_a_fit_inside_a_fit_leaves_the_outer_fit_in_one_thread() -> None:
    seen = []

    def loss(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        MIGEEncoder(2, max_epochs=1, device="cpu").fit(X).transform(X)
        seen.append(torch.get_num_threads())
        return code.z.square().mean()

    MIGEEncoder(2, mode=loss, max_epochs=1, device="cpu").fit(X)
    assert seen == [1]


def test_an_interrupted_fit_restores_the_threads() -> None:
    def loss(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted"):
        MIGEEncoder(2, mode=loss, max_epochs=1, device="cpu").fit(X)
    assert torch.get_num_threads() == 2
