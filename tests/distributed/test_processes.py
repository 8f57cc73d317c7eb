"""Two processes over gloo: gradients of the joint batch, and the end of a killed run."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sk_mige.training.processes import JointBatchNorm, make_accelerator, with_joint_batch_norms

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def torchrun(script: Path, *arguments: str) -> str:
    command = [sys.executable, *TORCHRUN, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_gradients_of_two_processes_are_those_of_one_with_the_joint_batch() -> None:
    assert "5 problems agree" in torchrun(HERE / "gradients.py")


@pytest.mark.slow
def test_the_example_runs_on_two_processes(tmp_path: Path) -> None:
    options = ["--device", "cpu", "--epochs", "2", "--checkpoint", str(tmp_path / "last.pt")]
    printed = torchrun(EXAMPLES / "distributed.py", *options)
    assert "2 epochs on 2 processes" in printed
    accuracy = float(re.search(r"on z: ([\d.]+) %", printed).group(1))
    assert accuracy > 80


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.slow
def test_a_killed_process_ends_the_other_and_the_last_checkpoint_loads(tmp_path: Path) -> None:
    path, script = tmp_path / "last.pt", HERE / "endless.py"
    joined = {
        **os.environ,
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(path)],
            env={**joined, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        while not path.exists():
            assert processes[0].poll() is None
            time.sleep(0.1)
        processes[1].kill()
        _, message = processes[0].communicate(timeout=60)
    finally:
        for process in processes:
            process.kill()
            process.communicate()  # closes its pipe
    assert processes[0].returncode > 0
    assert "Error" in message
    spec = importlib.util.spec_from_file_location("endless", script)
    endless = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(endless)
    done = len(torch.load(path, weights_only=True)["history"])
    resumed = endless.encoder(str(path), done + 1).fit(endless.X)
    assert resumed.n_iter_ == done + 1
    assert np.isfinite(resumed.transform(endless.X)).all()


def test_a_single_process_needs_no_accelerate() -> None:
    assert make_accelerator(torch.device("cpu")) is None


def test_without_accelerate_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ImportError, match=r"sk-mige\[distributed\]"):
        make_accelerator(torch.device("cpu"))


def test_joint_batch_norms_keep_weights_and_statistics() -> None:
    x = torch.randn(20, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    own = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(nn.BatchNorm2d(3, affine=False)))
    own[0].weight.data = torch.tensor([1.0, 2.0, 3.0])
    own(x)
    expected = own.eval()(x)
    joint = with_joint_batch_norms(own)
    assert isinstance(joint[1][0], JointBatchNorm)
    torch.testing.assert_close(joint(x), expected)
