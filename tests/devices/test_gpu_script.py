"""The script for measurements on a GPU, in a small run on the CPU."""

from __future__ import annotations

import gzip
import json
import math
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
METRICS = {
    "tests": {"tests passed", "tests failed"},
    "transfer": {"relative difference", "accuracy (%)", "fraction of unequal values"},
    "step": {"milliseconds a step", "times infoNCE's step", "waits in a step"},
    "throughput": {"images a second", "times the bare loop's rate"},
    "scores": {"times the floor", "seconds", "peak memory / GB"},
    "training": {"accuracy (%)", "error (%)"},
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with a few random images of two data sets."""
    rng = np.random.default_rng(0)
    for name in ("mnist", "tinyimagenet10"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for name in ("train", "test", "unlabeled"):
        np.savez(
            tmp_path / "data" / "tinyimagenet10" / f"{name}.npz", labels=np.arange(96) % 4,
            images=rng.integers(256, size=(96, 16, 16, 3), dtype=np.uint8),
            class_names=np.array(list("abcd")),
        )  # fmt: skip
    for name in ("train", "t10k"):
        images, labels = rng.integers(256, size=(200, 784)), np.arange(200) % 10
        for kind, shape, values in (
            ("images-idx3", (200, 28, 28), images), ("labels-idx1", (200,), labels),
        ):  # fmt: skip
            head = struct.pack(f">{1 + len(shape)}i", 2048 + len(shape), *shape)
            path = tmp_path / "data" / "mnist" / f"{name}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(head + values.astype(np.uint8).tobytes()))
    return tmp_path / "data"


def measured(part: str, data: Path, folder: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the lines of finished cells and the rows after a run of a part."""
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--quick", "--part", part]
    command += ["--folder", str(folder), "--output", str(folder / "results.json")]
    environment = os.environ | {"SK_MIGE_DATA": str(data), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = (folder / "gpu-quick.jsonl").read_text().splitlines()
    return cells, json.loads((folder / "results.json").read_text())["rows"]


@pytest.mark.parametrize("part", METRICS)
def test_a_part_writes_its_rows(part: str, data: Path, tmp_path: Path) -> None:
    _, rows = measured(part, data, tmp_path)
    assert {row["metric"] for row in rows} >= METRICS[part]
    assert all(math.isfinite(row["value"]) for row in rows)


def test_finished_cells_are_not_measured_again(data: Path, tmp_path: Path) -> None:
    assert measured("scores", data, tmp_path) == measured("scores", data, tmp_path)
