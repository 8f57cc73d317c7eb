"""Table 3's script: resumed runs, choice of strengths, and intervals of differences."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "paper"))
    for name in ("table3_training", "table3_report"):
        sys.modules.pop(name, None)


def result(method: str, part: str, strength: float, wrong: list[int]) -> dict[str, Any]:
    cell = {
        "part": part, "method": method, "strength": strength, "seed": 0, "epochs": 4,
        "subset": 60_000, "mixed": True,
    }  # fmt: skip
    return {
        "cell": cell,
        "error": len(wrong) / 100,
        "wrong": wrong,
        "seconds": 1.0,
        "error_at_mean": 0.0,
    }


def hiding(made: dict[str, Any], share: float) -> dict[str, Any]:
    return {**made, "cell": {**made["cell"], "hidden": share}}


@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("MIGE-IB", {}),
        ("MIGE-IB", {"hidden": 0.1, "noise": 0.1, "smoothing": 0.1, "cosine": True}),
        ("MIGE-IB, implicit, K = 16", {"adversarial": 0.2}),
        ("DVB", {}),
        ("MINE-IB", {}),
        ("Dropout", {}),
        ("Label smoothing", {}),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    method: str, changed: dict[str, Any], tmp_path: Path
) -> None:
    from table3_training import METHODS, encoder_of, load

    rng = np.random.default_rng(0)
    X, y = rng.random((300, 784), dtype=np.float32), rng.integers(0, 10, 300)
    cell = {**result(method, "test", METHODS[method].strengths[1], [])["cell"], **changed}
    whole = encoder_of(cell, tmp_path / "whole.pt", "cpu").fit(X, y)
    encoder_of(cell, tmp_path / "part.pt", "cpu").set_params(max_epochs=3).fit(X, y)
    assert load(tmp_path / "part.pt")["epoch"] == 3
    resumed = encoder_of(cell, tmp_path / "part.pt", "cpu").fit(X, y)
    assert resumed.n_iter_ == 1
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))


def test_a_finished_run_is_restored_and_not_trained_again(tmp_path: Path) -> None:
    from table3_training import encoder_of

    rng = np.random.default_rng(0)
    X, y = rng.random((300, 784), dtype=np.float32), rng.integers(0, 10, 300)
    cell = result("MIGE-IB", "test", 1e-2, [])["cell"]
    first = encoder_of(cell, tmp_path / "run.pt", "cpu").fit(X, y)
    second = encoder_of(cell, tmp_path / "run.pt", "cpu").fit(X, y)
    assert second.n_iter_ == 0
    np.testing.assert_array_equal(second.predict_proba(X), first.predict_proba(X))


def test_the_strength_is_chosen_by_validation_errors() -> None:
    from table3_report import best_on_validation

    finished = [
        result("DVB", "validation", 1e-3, [1, 2]),
        result("DVB", "validation", 1e-2, [1]),
        result("DVB", "test", 1e-1, []),
    ]
    assert best_on_validation(finished) == {"DVB": 1e-2}


def test_the_strength_is_chosen_in_the_setting_of_the_paper() -> None:
    from table3_report import best_on_validation

    finished = [
        result("DVB", "validation", 1e-2, [1]),
        hiding(result("DVB", "validation", 1e-3, []), 0.2),
    ]
    assert best_on_validation(finished) == {"DVB": 1e-2}


def test_runs_with_hidden_pixels_are_compared_with_each_other_only() -> None:
    from table3_report import difference_rows

    plain = [result("MIGE-IB", "test", 1e-2, [1, 2]), result("DVB", "test", 1e-3, [1])]
    rows = difference_rows([*plain, *(hiding(made, 0.2) for made in plain)])
    assert [row["method"] for row in rows[::2]] == [
        "MIGE-IB minus DVB", "MIGE-IB minus DVB, hidden pixels"
    ]  # fmt: skip


def test_pixels_are_hidden_in_training_only() -> None:
    from table3_training import NoisyPixels

    layer, images = NoisyPixels(0.25, 0.0), torch.ones(100, 784)
    torch.manual_seed(0)
    assert (layer(images) == -1).double().mean() == pytest.approx(0.25, abs=0.01)
    assert layer.eval()(images) is images


class LinearNet:
    """Network with the predictions (x₁, x₂) for two classes."""

    module_ = torch.nn.Identity()

    def infer(self, x: torch.Tensor) -> Any:
        from sk_mige.networks import Code

        return Code(x, prediction=x)


def test_adversarial_noise_increases_the_cross_entropy_of_training_images() -> None:
    from table3_training import AdversarialNoise

    images, target = torch.zeros(2, 2), torch.tensor([0, 1])
    AdversarialNoise(0.5).on_batch_begin(LinearNet(), batch=(images, target), training=True)
    size = images.abs()
    assert torch.equal(images.sign(), torch.tensor([[-1.0, 1.0], [1.0, -1.0]]))
    assert torch.equal(size[:, 0], size[:, 1])
    assert (size < 0.5).all()


def test_adversarial_noise_leaves_test_images_and_the_range_of_pixels() -> None:
    from table3_training import AdversarialNoise

    images, target = torch.ones(3, 2), torch.tensor([0, 1, 1])
    AdversarialNoise(0.5).on_batch_begin(LinearNet(), batch=(images, target), training=False)
    assert torch.equal(images, torch.ones(3, 2))
    AdversarialNoise(0.5).on_batch_begin(LinearNet(), batch=(images, target), training=True)
    assert images.max() == 1


def test_differences_are_paired_by_image() -> None:
    from table3_report import difference_rows

    rows = difference_rows(
        [
            result("MIGE-IB", "test", 1e-2, [1, 2, 3]),
            result("DVB", "test", 1e-3, [3, *range(10, 25)]),
        ]
    )
    # 2 errors of one method only, 15 of the other only: McNemar's standard error is √17 images.
    assert {row["method"] for row in rows} == {"MIGE-IB minus DVB"}
    assert [row["value"] for row in rows] == [-0.13, pytest.approx(1.96 * 17**0.5 / 100, abs=1e-3)]


def test_differences_are_averaged_over_common_seeds() -> None:
    from table3_report import difference_rows

    def seeded(seed: int, method: str, wrong: list[int]) -> dict[str, Any]:
        made = result(method, "test", 1e-2, wrong)
        return {**made, "cell": {**made["cell"], "seed": seed}}

    rows = difference_rows(
        [
            seeded(0, "MIGE-IB", [1, 2]), seeded(1, "MIGE-IB", [1, 2, 3, 4]),
            seeded(0, "DVB", [1]), seeded(1, "DVB", [1]), seeded(2, "DVB", [5, 6, 7]),
        ]
    )  # fmt: skip
    assert rows[0]["feature"].endswith("(2 seeds)")
    assert rows[0]["value"] == 0.02  # one more error, and three more


def test_methods_are_ordered_by_their_mean_error(tmp_path: Path) -> None:
    from table3_report import write_results

    write_results(
        [result("MIGE-IB", "test", 1e-2, [1, 2, 3]), result("DVB", "test", 1e-3, [3])],
        tmp_path / "table3.json",
    )
    rows = json.loads((tmp_path / "table3.json").read_text())["rows"]
    assert [row["method"] for row in rows[:2]] == ["DVB", "MIGE-IB"]
