"""Batches: every row once, equal sizes, unchanged arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sk_mige.training.data import ArrayDataset, EqualBatchSampler, resident


@given(n=st.integers(2, 600), batch_size=st.integers(2, 300), seed=st.integers(0, 9))
def test_each_pass_holds_every_row_once_in_batches_of_equal_size(
    n: int, batch_size: int, seed: int
) -> None:
    sampler = EqualBatchSampler(n, batch_size, torch.Generator().manual_seed(seed))
    batches = list(sampler)
    sizes = [len(batch) for batch in batches]
    assert sorted(i for batch in batches for i in batch) == list(range(n))
    assert len(batches) == len(sampler)
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2
    assert max(sizes) <= batch_size or (n, batch_size) == (3, 2) or max(sizes) == 3


def test_passes_differ_and_seeds_repeat_them() -> None:
    sampler = EqualBatchSampler(50, 10, torch.Generator().manual_seed(0))
    first, second = list(sampler), list(sampler)
    assert first != second
    assert list(EqualBatchSampler(50, 10, torch.Generator().manual_seed(0))) == first


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_read_only_memory_maps_are_read_without_a_warning(tmp_path: Path, dtype: type) -> None:
    np.save(tmp_path / "x.npy", np.arange(12, dtype=dtype).reshape(6, 2))
    X = np.load(tmp_path / "x.npy", mmap_mode="r")
    x, y = ArrayDataset(X).__getitems__([5, 0])
    assert x.dtype == torch.float32
    assert x.tolist() == [[10, 11], [0, 1]]
    assert y.shape == (2,)


def test_classes_stay_integers_and_values_become_float32() -> None:
    X = np.zeros((3, 1))
    assert ArrayDataset(X, np.array([0, 1, 2]))[[0, 1]][1].dtype == torch.int64
    assert ArrayDataset(X, np.zeros((3, 2)))[[0, 1]][1].dtype == torch.float32


def test_tensors_are_indexed_on_their_device(device: torch.device) -> None:
    x, _ = ArrayDataset(torch.eye(3, device=device))[[2]]
    assert x.device.type == device.type
    assert x.tolist() == [[0, 0, 1]]


def mapped(path: Path) -> np.ndarray:
    np.save(path / "x.npy", np.arange(12, dtype=np.uint8).reshape(6, 2))
    return np.load(path / "x.npy", mmap_mode="r")


@pytest.mark.parametrize("view", [lambda X: X, np.asarray, lambda X: np.asarray(X)[1:]])
def test_memory_maps_stay_on_disk(view: Any, tmp_path: Path) -> None:
    rows = view(mapped(tmp_path))
    assert resident(rows, torch.device("meta")) is rows


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int64", ">i4", "uint64"])
def test_integers_become_float32_a_batch_at_a_time(dtype: str) -> None:
    X = np.array([[0, 1], [1, 0], [1, 1]]).astype(dtype)
    x, _ = ArrayDataset(X)[[2, 0]]
    assert x.dtype == torch.float32
    assert x.tolist() == [[1, 1], [0, 1]]
