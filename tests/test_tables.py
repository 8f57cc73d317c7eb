"""The scripts of the image tables: small runs, resumed runs and files of results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture
def command(tmp_path: Path) -> dict[str, object]:
    """Arguments of subprocess.run for a script on a few random images."""
    folder = tmp_path / "data" / "tinyimagenet10"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, n in (("train", 96), ("test", 40), ("unlabeled", 64)):
        images = rng.integers(256, size=(n, 16, 16, 3), dtype=np.uint8)
        labels, names = np.arange(n) % 4, np.array(list("abcd"))
        np.savez(folder / f"{name}.npz", images=images, labels=labels, class_names=names)
    environment = {**os.environ, "SK_MIGE_DATA": str(tmp_path / "data"), "OMP_NUM_THREADS": "1"}
    return {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}


def script(name: str, *arguments: str) -> list[str]:
    path = str(ROOT / "examples" / "paper" / f"{name}.py")
    quick = ["--quick", "--data", "tinyimagenet10", "--checkpoints", "unfinished"]
    return [sys.executable, path, *quick, "--device", "cpu", *arguments]


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("table1", "DIM (infoNCE + PM)"),
        ("table2", "MIGE + RP to 512d"),
        ("table4", "MIGE of patches and Y"),
        ("figure2", "MIGE + RP to 16d"),
    ],
)
def test_a_finished_cell_is_written_and_not_measured_again(
    command: dict[str, object], tmp_path: Path, name: str, method: str
) -> None:
    arguments = script(name, "--methods", method, "--size", "32")
    first = subprocess.run(arguments, **command)  # type: ignore[call-overload]
    assert first.returncode == 0, first.stderr
    (line,) = (tmp_path / f"{name}-quick.jsonl").read_text().splitlines()
    cell = json.loads(line)
    assert len(cell["spectrum"]) == 64
    assert abs(sum(cell["spectrum"]) - 1) < 0.01
    rows = json.loads((tmp_path / f"{name}-quick.json").read_text())["rows"]
    assert {row["feature"] for row in rows} == {"conv", "fc(1024)", "Y(64)"}
    metrics = {row["metric"] for row in rows}
    assert {"effective rank", "linear probe of Y (%)", "kNN of Y (%)"} <= metrics
    again = subprocess.run(arguments, **command)  # type: ignore[call-overload]
    assert "1 of 1 cells are finished" in again.stdout
    assert "trained" not in again.stdout


SHORT = ["--size", "32", "--checkpoints", "unfinished", "--data", "tinyimagenet10"]


@pytest.mark.parametrize(
    ("name", "arguments", "cells"),
    [
        ("table1", ["--methods", "MIGE", "--epochs", "40", "--probe-epochs", "1", "--cells",
                    "cells.jsonl", "--output", "table1.json"], "cells.jsonl"),
        ("arena", ["--methods", "VICReg", "--minutes", "0.1", "--folder", "."],
         "cells/arena.jsonl"),
    ],
)  # fmt: skip
def test_a_killed_run_continues_after_its_last_epoch(
    command: dict[str, object], tmp_path: Path, name: str, arguments: list[str], cells: str
) -> None:
    path = str(ROOT / "examples" / "paper" / f"{name}.py")
    call = [sys.executable, path, *SHORT, "--device", "cpu", "--seeds", "0", *arguments]
    with subprocess.Popen(
        call, cwd=tmp_path, env=command["env"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        kept = "*.json" if name == "arena" else "*.pt"  # the arena stores JSON files
        while not list((tmp_path / "unfinished").glob(kept)) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
    assert not (tmp_path / cells).exists()
    done = subprocess.run(call, **command)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    line = json.loads((tmp_path / cells).read_text())
    epochs = line["cell"]["epochs"] if name == "table1" else line["curve"][-1]["epochs"]
    assert epochs > 3
    assert not list((tmp_path / "unfinished").iterdir())


def test_a_file_of_results_names_its_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "paper"))
    from infomax_report import commands

    usual = {"dataset": "cifar10", "epochs": 20, "subset": None, "mixed": True}
    few = {**usual, "epochs": 8, "subset": 100}
    cells = [{"method": m, "seed": s, **usual} for m in ("MIGE", "DIM (JSD)") for s in (1, 0)]
    cells += [{"method": "MIGE", "seed": 0, **few}, {"method": "MIGE", "seed": 0, **few}]
    cells += [{"method": "DIM (infoNCE)", "seed": 0, **usual, "mixed": False}]
    assert commands([{"cell": cell} for cell in cells], "table1.py", usual) == [
        "python table1.py --seeds 0 1 --methods MIGE 'DIM (JSD)'",
        "python table1.py --epochs 8 --subset 100 --seeds 0 --methods MIGE",
        "python table1.py --float32 --seeds 0 --methods 'DIM (infoNCE)'",
    ]


def test_held_out_training_images_are_in_no_other_part(
    command: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "paper"))
    monkeypatch.setenv("SK_MIGE_DATA", command["env"]["SK_MIGE_DATA"])  # type: ignore[index]
    from infomax_cells import load

    images = load("tinyimagenet10", None, None, held_out=20)
    known, judged = ({row.tobytes() for row in X} for X, _ in (images.train, images.test))
    assert len(images.train[0]) == 76
    assert len(images.test[0]) == 20
    assert not known & judged
    assert not judged & {row.tobytes() for row in images.unlabeled}
    everything = load("tinyimagenet10", None, None)
    assert known | judged == {row.tobytes() for row in everything.train[0]}


def test_every_method_of_the_tables_can_be_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "paper"))
    from infomax_cells import Images, encoder
    from infomax_methods import METHODS

    rows = np.random.default_rng(0).random((12, 3 * 20 * 20), dtype=np.float32)
    images = Images(rows, (rows, rows), (rows, rows), (3, 20, 20))
    for name in METHODS:
        cell = {"method": name, "epochs": 1, "mixed": False, "seed": 0}
        model = encoder(cell, images, "cpu").set_params(n_components=2, verbose=0)
        assert model.fit(rows).n_iter_ == 1, name


def test_recorded_cells_are_of_known_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "paper"))
    import infomax_methods
    import table3_training

    for name in ("table1", "table2", "table3", "table4", "figure2"):
        known = (table3_training if name == "table3" else infomax_methods).METHODS
        lines = (ROOT / "docs" / "results" / "cells" / f"{name}.jsonl").read_text().splitlines()
        assert {json.loads(line)["cell"]["method"] for line in lines} <= known.keys()


def test_the_arena_measures_equal_time_once_and_uses_the_chosen_settings(
    command: dict[str, object], tmp_path: Path
) -> None:
    arguments = script("arena", "--methods", "VICReg", "MIGE, two views", "--size", "32")
    for extra in (["--tune"], [], []):
        done = subprocess.run([*arguments, *extra], **command)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr
    assert "2 of 2 cells are finished" in done.stdout
    tuned, cells = (
        [json.loads(line) for line in (tmp_path / "cells" / name).read_text().splitlines()]
        for name in ("arena-quick-tuning.jsonl", "arena-quick.jsonl")
    )
    assert [line["cell"]["setting"] for line in tuned] == [0, 1, 2, 0, 1, 2]
    for line in cells:
        settings = [t for t in tuned if t["cell"]["method"] == line["cell"]["method"]]
        best = max(settings, key=lambda t: t["accuracy"]["fc"] + t["accuracy"]["Y"])
        assert line["cell"]["setting"] == best["cell"]["setting"]
        assert [point["seconds"] for point in line["curve"]] == sorted(
            point["seconds"] for point in line["curve"]
        )
    rows = json.loads((tmp_path / "arena-quick.json").read_text())["rows"]
    assert {row["metric"] for row in rows} == {
        "linear accuracy (%)", "epochs", "paired difference (points)",
    }  # fmt: skip
    assert (tmp_path / "arena-quick.png").exists()
