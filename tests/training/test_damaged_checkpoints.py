"""Damaged checkpoints: errors that name the file, or results without an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch

from sk_mige import MIGEEncoder
from sk_mige.training import Checkpoint

X = np.random.default_rng(0).normal(size=(60, 4))
PARTS = ("run", "module", "objective", "optimizer", "good", "generator", "random", "history")
Damage = Callable[[bytes, np.random.Generator], bytes]


def encoder(path: Path) -> MIGEEncoder:
    return MIGEEncoder(
        2, hidden_layer_sizes=(8,), max_epochs=2, callbacks=[Checkpoint(path)], random_state=0
    )


def cut(raw: bytes, rng: np.random.Generator) -> bytes:
    return raw[: rng.integers(len(raw))]


def junk(raw: bytes, rng: np.random.Generator) -> bytes:
    return rng.bytes(int(rng.integers(1, 3000)))


def overwritten(raw: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(raw) - 50))
    return raw[:start] + rng.bytes(50) + raw[start + 50 :]


def flipped(raw: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(raw)
    changed[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


@pytest.mark.parametrize("damage", [cut, junk, overwritten, flipped])
def test_a_damaged_file_is_named_or_harmless(tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "run.pt"
    expected = encoder(path).fit(X).transform(X)
    raw = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(8):
        path.write_bytes(damage(raw, rng))
        try:
            restored = encoder(path).fit(X)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017 - some damage is harmless
        else:
            np.testing.assert_array_equal(restored.transform(X), expected)


def test_one_flipped_byte_in_any_part_is_found(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    encoder(path).fit(X)
    raw = path.read_bytes()
    with ZipFile(path) as stored:
        contents = [stored.read(name) for name in stored.namelist()]
    unique = [content for content in contents if raw.count(content) == 1]
    for content in unique[:: len(unique) // 8]:
        changed = bytearray(raw)
        changed[raw.index(content) + len(content) // 2] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=f"{path} is damaged"):
            encoder(path).fit(X)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("content", [None, [1], {"a": 1}, torch.ones(2)], ids=str)
def test_parts_of_another_kind_are_damage(tmp_path: Path, part: str, content: Any) -> None:
    path = tmp_path / "run.pt"
    encoder(path).fit(X)
    torch.save({**torch.load(path, weights_only=True), part: content}, path)
    with pytest.raises(ValueError, match=f"{path} is"):
        encoder(path).fit(X)


@pytest.mark.parametrize("state", [{}, {"state": {0: "a"}}, {"param_groups": []}], ids=str)
def test_a_state_that_the_optimizer_refuses_is_named(tmp_path: Path, state: Any) -> None:
    path = tmp_path / "run.pt"
    encoder(path).fit(X)
    stored = torch.load(path, weights_only=True)
    whole = stored["optimizer"] | state if state else {}
    torch.save({**stored, "optimizer": whole}, path)
    with pytest.raises(ValueError, match=f"{path} is a checkpoint of another optimizer"):
        encoder(path).fit(X)


@pytest.mark.parametrize("path", [None, 3, b"run.pt", ""])
def test_a_path_of_another_kind_is_refused(path: Any) -> None:
    with pytest.raises(ValueError, match="path must be the path of a file, got"):
        encoder(path).fit(X)


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path} is damaged or is not a checkpoint"):
        encoder(tmp_path).fit(X)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_damage(tmp_path: Path, part: str) -> None:
    path = tmp_path / "run.pt"
    encoder(path).fit(X)
    stored = torch.load(path, weights_only=True)
    del stored[part]
    torch.save(stored, path)
    with pytest.raises(ValueError, match=f"{path} is"):
        encoder(path).fit(X)


@pytest.mark.parametrize("content", [{}, [1, 2], torch.ones(2)])
def test_other_files_of_torch_are_no_checkpoints(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(ValueError, match="is not a checkpoint of this version"):
        encoder(path).fit(X)
