"""The package as it is installed: light to import, typed, one version everywhere."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path
from types import SimpleNamespace

import pytest

import sk_mige
from sk_mige.__main__ import report

ROOT = Path(__file__).parents[1]


def run(*arguments: str) -> str:
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_import_leaves_alone_what_only_extras_bring() -> None:
    # scikit-learn and skorch look for some of these themselves; what they load is not ours.
    before, after = run(
        "-c",
        "import sys, sklearn, skorch; print(*sys.modules); import sk_mige; print(*sys.modules)",
    ).splitlines()
    heavy = {"matplotlib", "pandas", "polars", "pooch", "dask", "distributed", "accelerate"}
    assert not heavy & (set(after.split()) - set(before.split()))


def test_import_does_not_wait_for_parts_of_scikit_learn_that_few_calls_need() -> None:
    loaded = run("-c", "import sys, sk_mige; print(*sys.modules)").split()
    assert not {"sklearn.cluster", "sklearn.linear_model", "sklearn.neighbors"} & set(loaded)


def test_public_names_are_importable() -> None:
    for name in sk_mige.__all__:
        assert hasattr(sk_mige, name)


def test_version_is_the_same_wherever_it_is_written() -> None:
    assert metadata.version("sk-mige") == sk_mige.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.M).group(1) == sk_mige.__version__
    assert f"## {sk_mige.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_package_is_marked_as_typed() -> None:
    assert resources.files("sk_mige").joinpath("py.typed").is_file()


def test_report_names_versions_and_devices() -> None:
    printed = run("-m", "sk_mige")
    assert printed.strip() == report().strip()
    for name in ("python", "sk_mige", "scikit-learn", "torch", "cpu", "cuda"):
        assert re.search(rf"^ *{name}: ", printed, re.M), name


def test_report_names_every_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = SimpleNamespace(name="Fast One", total_memory=16 * 2**30, major=9, minor=0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: gpu)
    assert "cuda:0: Fast One, 16 GiB, capability 9.0" in report()
    assert "cuda:1: Fast One" in report()


def test_report_says_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("sk_mige.__main__.metadata.version", absent)
    assert "skops: not installed" in report()


PARTS = ["datasets", "estimators", "information", "inspection", "networks", "score", "training"]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_there_once_the_package_is(part: str) -> None:
    code = f"import sk_mige; print({part!r} in dir(sk_mige), sk_mige.{part}.__name__)"
    assert run("-c", code).split() == ["True", f"sk_mige.{part}"]


def test_parts_that_estimators_do_without_are_imported_when_asked_for() -> None:
    loaded = run("-c", "import sys, sk_mige; dir(sk_mige); print(*sys.modules)").split()
    assert not {"sk_mige.datasets", "sk_mige.inspection"} & set(loaded)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="'sk_mige' has no attribute 'dataset'"):
        sk_mige.dataset  # noqa: B018
