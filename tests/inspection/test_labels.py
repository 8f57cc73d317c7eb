"""Labels of all types as colours of the points of a representation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sk_mige.inspection import RepresentationDisplay

Z = np.random.default_rng(0).normal(size=(30, 2))
CODES = np.arange(30) % 3
LETTERS = np.array(list("abc"))[CODES]


def drawn(labels: Any) -> RepresentationDisplay:
    display = RepresentationDisplay.from_predictions(Z, labels)
    display.figure_.canvas.draw()
    return display


def legend(display: RepresentationDisplay) -> list[str]:
    return [text.get_text() for text in display.legend_.get_texts()]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (CODES, ["0", "1", "2"]),
        (CODES.astype(float), ["0", "1", "2"]),
        (CODES.astype(np.uint8), ["0", "1", "2"]),
        (CODES > 0, ["False", "True"]),
        (LETTERS, ["a", "b", "c"]),
        (LETTERS.astype(object), ["a", "b", "c"]),
        (list(LETTERS), ["a", "b", "c"]),
        (pd.Series(LETTERS, dtype="category"), ["a", "b", "c"]),
        (pd.Series(LETTERS, dtype="string"), ["a", "b", "c"]),
        (pd.Series(CODES, dtype="Int64"), ["0", "1", "2"]),
        (pd.array(CODES, dtype="Int64"), ["0", "1", "2"]),
        ([10**30 + k for k in CODES.tolist()], [f"1{'0' * 29}{k}" for k in range(3)]),
        (pd.DataFrame({"label": LETTERS}), ["a", "b", "c"]),
        (np.array([1, "a", 2.5] * 10, dtype=object), ["1", "2.5", "a"]),
        (np.zeros(30), ["0"]),
        (["only"] * 30, ["only"]),
    ],
)
def test_classes_of_each_type_have_a_legend(labels: Any, names: list[str]) -> None:
    display = drawn(labels)
    assert legend(display) == names
    assert display.colorbar_ is None
    colors = {tuple(color) for color in display.scatter_.get_facecolors()}
    assert len(colors) == len(names)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_points_without_a_label_are_grey(missing: Any) -> None:
    labels = LETTERS.astype(object)
    labels[:4] = missing
    display = drawn(labels)
    assert legend(display) == ["a", "b", "c", "missing"]
    np.testing.assert_allclose(display.scatter_.get_facecolors()[:4, :3], 0.8)
    assert len(display.scatter_.get_offsets()) == len(Z)


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "string"])
def test_points_with_a_missing_value_of_pandas_are_grey(dtype: str) -> None:
    labels = pd.Series(CODES > 0).astype(int).astype(dtype).mask(CODES == 2)
    for each in (labels, labels.array):
        assert legend(drawn(each))[-1] == "missing"


def test_points_with_a_masked_label_are_grey() -> None:
    display = drawn(np.ma.masked_equal(CODES, 2))
    assert legend(display) == ["0", "1", "missing"]


def test_missing_values_are_grey_beside_the_scale_of_the_others() -> None:
    values = Z[:, 0].copy()
    values[:2] = np.nan, np.inf
    display = drawn(values)
    assert legend(display) == ["missing"]
    assert display.colorbar_.vmax == pytest.approx(values[2:].max())
    np.testing.assert_allclose(display.scatter_.get_facecolors()[:2, :3], 0.8)


def test_labels_that_are_all_missing_leave_grey_points() -> None:
    for labels in ([None] * 30, [np.nan] * 30, pd.Series([pd.NA] * 30)):
        assert legend(drawn(labels)) == ["missing"]


@pytest.mark.parametrize("kind", ["strings", "dates", "categories"])
def test_many_classes_share_a_scale_with_names(kind: str) -> None:
    labels: Any = [f"class {i:02}" for i in range(30)]
    if kind == "dates":
        labels = pd.date_range("2020-01-01", periods=30).to_numpy()
    if kind == "categories":
        labels = pd.Series(labels, dtype="category")
    display = drawn(labels)
    assert display.legend_ is None
    names = [text.get_text() for text in display.colorbar_.ax.get_yticklabels()]
    assert (names[0], names[-1], len(names)) == (str(labels[0]), str(labels[29]), 10)


def test_many_integers_and_fractions_are_values() -> None:
    for labels in (np.arange(30), np.arange(30) % 2 + 0.5, np.full(30, 0.5)):
        display = drawn(labels)
        assert display.legend_ is None
        np.testing.assert_array_equal(display.scatter_.get_array(), labels)


def test_a_given_colour_replaces_those_of_the_labels() -> None:
    for name in ("c", "color"):
        display = RepresentationDisplay.from_predictions(Z, LETTERS, **{name: "red"})
        assert display.legend_ is None
        np.testing.assert_array_equal(display.scatter_.get_facecolors()[0], [1, 0, 0, 1])
