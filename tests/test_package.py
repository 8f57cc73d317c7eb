"""The installed package: imports, types, versions, and the size of the encoder's interface."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path
from types import SimpleNamespace

import pytest
from sklearn.base import BaseEstimator
from torch import nn

import sk_mige
from sk_mige.__main__ import report

ROOT = Path(__file__).parents[1]


def run(*arguments: str) -> str:
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_import_loads_only_what_most_calls_need() -> None:
    # scikit-learn and skorch load some of these themselves.
    before, after = run(
        "-c",
        "import sys, sklearn, skorch; print(*sys.modules); import sk_mige; print(*sys.modules)",
    ).splitlines()
    optional = {"matplotlib", "pandas", "polars", "pooch", "dask", "distributed", "accelerate"}
    assert not optional & (set(after.split()) - set(before.split()))
    assert not {"sklearn.cluster", "sklearn.linear_model", "sklearn.neighbors"} & set(after.split())


def test_public_names_are_importable() -> None:
    for name in sk_mige.__all__:
        assert hasattr(sk_mige, name)


def test_all_version_numbers_are_equal() -> None:
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


def test_report_names_packages_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("sk_mige.__main__.metadata.version", absent)
    assert "skops: not installed" in report()


PARTS = [
    "datasets", "dependence", "estimators", "information", "inspection", "networks", "objectives",
    "score", "training",
]  # fmt: skip


def test_subpackages_are_attributes_of_the_package_and_imported_on_demand() -> None:
    code = (
        "import sys, sk_mige; listed = dir(sk_mige); print(*sys.modules); "
        f"print(*(getattr(sk_mige, part).__name__ for part in {PARTS} if part in listed))"
    )
    loaded, parts = run("-c", code).splitlines()
    assert not {"sk_mige.datasets", "sk_mige.inspection"} & set(loaded.split())
    assert parts.split() == [f"sk_mige.{part}" for part in PARTS]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="'sk_mige' has no attribute 'dataset'"):
        sk_mige.dataset  # noqa: B018


def test_the_encoder_has_few_parameters_and_base_classes() -> None:
    assert len(inspect.signature(sk_mige.MIGEEncoder).parameters) <= 21
    own = [c for c in sk_mige.MIGEEncoder.__mro__ if c.__module__.startswith("sk_mige.")]
    assert len(own) <= 8


def test_no_class_is_both_an_estimator_and_a_module() -> None:
    for part in ("dependence", "estimators", "objectives", "networks", "training"):
        members = vars(getattr(sk_mige, part)).values()
        for member in filter(inspect.isclass, members):
            assert not (issubclass(member, BaseEstimator) and issubclass(member, nn.Module))
