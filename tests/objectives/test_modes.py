"""Values of the parameter mode: names, descriptions and loss functions."""

from __future__ import annotations

from typing import Any

import pytest

from sk_mige import InfoMax, InformationBottleneck
from sk_mige.objectives.modes import as_description, kind_of, task_of, why_missing


def loss(code: Any, x: Any, y: Any) -> Any:
    return code.z.mean()


def test_a_description_stands_for_itself_and_a_name_for_its_defaults() -> None:
    mode = InfoMax(corruption=0.5)
    assert as_description(mode) is mode
    assert as_description("ib").get_params() == InformationBottleneck().get_params()


@pytest.mark.parametrize(
    ("mode", "kind"), [("ib", "ib"), (InfoMax(n_views=2), "infomax"), (loss, "loss function")]
)
def test_a_mode_has_a_short_name_for_errors(mode: Any, kind: str) -> None:
    assert kind_of(as_description(mode)) == kind


@pytest.mark.parametrize(
    ("mode", "task"),
    [
        ("infomax", None),
        ("ib", "classification"),
        (InformationBottleneck(task="regression"), "regression"),
        (loss, None),
        ("unknown", None),
    ],
)
def test_only_a_bottleneck_has_a_task(mode: Any, task: str | None) -> None:
    assert task_of(mode) == task


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples"])
def test_a_missing_method_names_the_mode_and_a_remedy(method: str) -> None:
    assert "mode='infomax'" in why_missing("infomax", method)
    assert "use mode='ib'" in why_missing("infomax", method)
    assert why_missing("infomax", "coef_") == ""


def test_an_unknown_name_lists_the_known_names() -> None:
    with pytest.raises(ValueError, match=r"mode='unknown' is unknown; use one of \['ib'"):
        as_description("unknown")
