"""Devices and random numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch

from sk_mige.training.device import available_device, resolve_device, seeded


def test_auto_is_the_gpu_where_there_is_one() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected


def test_a_missing_gpu_is_refused_with_an_alternative(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(RuntimeError, match=r"device='cuda'.*0 CUDA devices.*device='auto'"):
        resolve_device("cuda")


def test_a_second_gpu_is_refused_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(RuntimeError, match="cuda:1"):
        resolve_device("cuda:1")


@pytest.mark.parametrize("nonsense", ["gpu", "cuda:x", 3.5])
def test_unknown_names_are_refused_with_the_known_ones(nonsense: object) -> None:
    with pytest.raises(ValueError, match=r"is not a device: use 'auto', 'cpu'"):
        resolve_device(nonsense)  # type: ignore[arg-type]


def test_loading_falls_back_on_an_available_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert available_device("cuda") == torch.device("cpu")


def test_mps_is_used_on_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("mps") == torch.device("mps")
    assert resolve_device("auto").type != "mps"


def test_seeded_draws_repeat_and_keep_the_global_state(
    device: torch.device, global_random_state_untouched: None
) -> None:
    draws = []
    for seed in (0, 0, 1):
        with seeded(seed, device):
            draws.append(torch.randn(4, device=device))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_an_error_inside_keeps_the_global_state(global_random_state_untouched: None) -> None:
    def draw_and_fail() -> None:
        with seeded(0, torch.device("cpu")):
            torch.rand(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        draw_and_fail()


def test_draws_of_a_thread_do_not_depend_on_other_threads(
    global_random_state_untouched: None,
) -> None:
    def draw(seed: int) -> torch.Tensor:
        with seeded(seed, torch.device("cpu")):
            parts = []
            for _ in range(20):
                parts.append(torch.rand(2))
                time.sleep(1e-3)  # other threads can run in this time
            return torch.cat(parts)

    alone = [draw(seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(draw, range(3)))
    assert all(map(torch.equal, alone, together))


def test_a_numbered_card_is_seeded_itself(
    monkeypatch: pytest.MonkeyPatch, global_random_state_untouched: None
) -> None:
    seen, current = [], [0]

    class Cards:
        @contextmanager
        def device(self, device: torch.device) -> Iterator[None]:
            current[0] = device.index
            yield
            current[0] = 0

        def manual_seed(self, seed: int) -> None:
            seen.append((current[0], seed))

    monkeypatch.setattr(torch, "get_device_module", lambda device: Cards())
    processor = torch.random.fork_rng
    monkeypatch.setattr(torch.random, "fork_rng", lambda **options: processor(devices=[]))
    for name in ("cuda:1", "cuda"):
        with seeded(7, torch.device(name)):
            pass
    assert seen == [(1, 7), (0, 7)]
