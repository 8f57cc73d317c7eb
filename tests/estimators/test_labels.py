"""Invalid labels: the same errors of all classifiers."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from sk_mige import InformationBottleneck, NonLinearProbe, WeightedKNNClassifier

from .conftest import small

CLASSIFIERS = {
    "bottleneck": small("ib", max_epochs=1),
    "probe": NonLinearProbe(max_epochs=1, device="cpu", random_state=0),
    "neighbours": WeightedKNNClassifier(5),
}
classifiers = pytest.mark.parametrize("classifier", CLASSIFIERS.values(), ids=CLASSIFIERS)
X = np.random.default_rng(0).normal(size=(30, 4))


def series(values: list[Any], dtype: str = "object") -> pd.Series:
    return pd.Series(values * 10, dtype=dtype)


MISSING = {
    "None": (series(["a", None, "b"]), "None"),
    "list": (["a", None, "b"] * 10, "None"),
    "NaN beside strings": (series(["a", np.nan, "b"]), "NaN"),
    "NaN": (series([0.0, np.nan, 1.0], "float64"), "NaN"),
    "NA": (series(["a", pd.NA, "b"]), "<NA>"),
    "NA of strings": (series(["a", pd.NA, "b"], "string"), "<NA>"),
    "NA of integers": (series([0, pd.NA, 1], "Int64"), "N.*"),
    "NA of booleans": (series([True, pd.NA, False], "boolean"), "<NA>"),
    "categories": (series(["a", None, "b"], "category"), "NaN"),
    "NaT": (series(["2020-01-01", None, "2021-01-01"], "datetime64[ns]"), "NaT"),
}


@classifiers
@pytest.mark.parametrize(("y", "shown"), MISSING.values(), ids=MISSING)
def test_rows_without_a_label_are_refused(classifier: Any, y: Any, shown: str) -> None:
    with pytest.raises(ValueError, match=f"Input y contains {shown} in 10 of 30 .*: drop the rows"):
        classifier.fit(X, y)


@classifiers
def test_labels_without_a_common_order_are_refused(classifier: Any) -> None:
    y = np.array(["a", 1, 2.5] * 10, dtype=object)
    with pytest.raises(ValueError, match=r"y mixes .*\['float', 'int', 'str'\].*y\.astype\(str\)"):
        classifier.fit(X, y)
    classifier.fit(X, y.astype(str))


OBJECTS = {
    "Interval": pd.cut(np.arange(30) % 3, 3),
    "Period": pd.Series(pd.period_range("2020", periods=3, freq="M")).repeat(10),
    "date": [date(2020, 1, 1), date(2020, 1, 2)] * 15,
    "Decimal": [Decimal(1), Decimal(2)] * 15,
}


@classifiers
@pytest.mark.parametrize(("kind", "y"), OBJECTS.items(), ids=OBJECTS)
def test_labels_of_other_types_are_refused_with_the_remedy(
    classifier: Any, kind: str, y: Any
) -> None:
    with pytest.raises(ValueError, match=rf"y holds {kind} objects.*\.astype\(str\)"):
        classifier.fit(X, y)
    classifier.fit(X, np.asarray(y).astype(str))


@classifiers
@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_whole_labels_of_any_kind_are_taken(classifier: Any, dtype: str) -> None:
    y = series(["a", "b", "c"], dtype)
    assert classifier.fit(X, y).classes_.tolist() == ["a", "b", "c"]


@classifiers
def test_columns_of_labels_are_refused(classifier: Any) -> None:
    indicators = np.eye(3)[np.arange(30) % 3]
    with pytest.raises(ValueError, match=r"shape \(30, 3\).*one label for each row.*y\.argmax"):
        classifier.fit(X, indicators)
    assert classifier.fit(X, indicators.argmax(axis=1)).classes_.tolist() == [0, 1, 2]


def test_a_later_call_refuses_them_too() -> None:
    y = series(["a", "b", "b"])
    encoder = small("ib").partial_fit(X, y, classes=["a", "b"])
    with pytest.raises(ValueError, match="Input y contains None"):
        encoder.partial_fit(X, series(["a", None, "b"]))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"a", "b"}, "classes is a set: pass an array"),
        (iter(["a", "b"]), "classes is a list_iterator: pass an array"),
        (["a", "b", None], "Input classes contains None in 1 of 3"),
        (["a"], r"at least two classes, but classes has 1: \['a'\]"),
        ([], r"at least two classes, but classes has 0: \[\]"),
    ],
)
def test_classes_of_a_stream_are_checked_like_labels(classes: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        small("ib").partial_fit(X, ["a", "b"] * 15, classes=classes)


def test_missing_values_are_refused_alike() -> None:
    encoder = small(InformationBottleneck(task="regression"), max_epochs=1)
    for y in (series([0.5, None, 1.5]), series([0.5, pd.NA, 1.5], "Float64")):
        with pytest.raises(ValueError, match="Input y contains N.* in 10 of 30"):
            encoder.fit(X, y)


@pytest.mark.parametrize("name", [*CLASSIFIERS, "regression"])
def test_weights_of_a_score_are_not_negative(name: str) -> None:
    regression = small(InformationBottleneck(task="regression"), max_epochs=1)
    y = np.arange(30) % 2
    fitted = clone((CLASSIFIERS | {"regression": regression})[name]).fit(X, y)
    for weights in (-np.ones(30), np.r_[-1.0, np.ones(29)]):
        with pytest.raises(ValueError, match="Negative values .* `sample_weight`"):
            fitted.score(X, y, sample_weight=weights)
    with pytest.raises(ValueError, match="sample_weight has masked values"):
        fitted.score(X, y, sample_weight=np.ma.masked_less(y, 1))
    half = fitted.score(X, y, sample_weight=torch.as_tensor(y, dtype=torch.bfloat16))
    assert half == pytest.approx(fitted.score(X, y, sample_weight=y.tolist()))


@classifiers
def test_labels_of_a_score_are_taken_in_half_precision(classifier: Any) -> None:
    y = torch.arange(30) % 2
    fitted = clone(classifier).fit(X, y)
    assert fitted.score(X, y.bfloat16()) == fitted.score(X, y)
