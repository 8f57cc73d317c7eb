"""Axes of all displays, fitted searches and pipelines, and errors."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sk_mige import (
    MIGEEncoder,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SteinScoreEstimator,
    inspection,
)
from sk_mige.inspection import (
    EigenvalueDisplay,
    InformationPlaneDisplay,
    MutualInfoDisplay,
    RepresentationDisplay,
    ScoreCVDisplay,
    ScoreFieldDisplay,
    TrainingCurveDisplay,
)

from .conftest import searched


def test_every_display_can_be_created_from_estimators() -> None:
    for name in inspection.__all__:
        assert hasattr(getattr(inspection, name), "from_estimator"), name


def test_without_matplotlib_the_package_can_be_imported_and_the_error_names_the_extra() -> None:
    code = """
import sys
sys.modules["matplotlib"] = sys.modules["matplotlib.pyplot"] = None
from sk_mige.inspection import EigenvalueDisplay
try:
    EigenvalueDisplay.from_predictions([1.0, 0.5])
except ImportError as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "EigenvalueDisplay" in printed
    assert "sk-mige[plot]" in printed


def test_displays_use_the_given_axes_or_create_new_ones(encoder: MIGEEncoder) -> None:
    figure, (left, right) = plt.subplots(1, 2)
    display = TrainingCurveDisplay.from_estimator(encoder, ax=left)
    assert display.ax_ is left
    assert display.figure_ is figure
    assert display.plot(right) is display
    assert display.ax_ is right
    assert len(left.lines) == len(right.lines) == 1
    assert display.plot().figure_ is not figure


def test_displays_find_the_estimator_in_searches_and_pipelines(
    X: np.ndarray, y: np.ndarray, bottlenecks: list[MIGEEncoder]
) -> None:
    search = searched(X, y, LogisticRegression(), lr=[1e-3, 1e-2])
    best = search.best_estimator_["encode"]
    curve = TrainingCurveDisplay.from_estimator(search)
    np.testing.assert_array_equal(
        curve.curves["train_loss"], [row["train_loss"] for row in best.history_]
    )
    codes = Pipeline(search.best_estimator_.steps[:1])
    shown = RepresentationDisplay.from_estimator(codes, X, y)
    np.testing.assert_array_equal(shown.representation, best.transform(X))

    scores = GridSearchCV(SSGEScoreEstimator(), {"alpha": [1e-3, 1e-1]}, cv=2).fit(X)
    spectrum = EigenvalueDisplay.from_estimator(scores)
    assert spectrum.alpha == scores.best_estimator_.alpha_
    field = ScoreFieldDisplay.from_estimator(scores, X)
    np.testing.assert_array_equal(field.scores, scores.transform(field.points))
    remedy = r"GridSearchCV has searched \['alpha'\].*pass a fitted SSGEScoreEstimatorCV"
    with pytest.raises(ValueError, match=remedy):
        ScoreCVDisplay.from_estimator(scores)
    with pytest.raises(NotFittedError, match="LogisticRegression"):
        TrainingCurveDisplay.from_estimator(LogisticRegression())

    scaler = StandardScaler().fit(X)
    bottleneck = bottlenecks[0]
    pipeline = Pipeline([("scale", scaler), ("encode", bottleneck)])
    plane = InformationPlaneDisplay.from_estimator(pipeline, X, y)
    same = InformationPlaneDisplay.from_estimator(bottleneck, scaler.transform(X), y)
    np.testing.assert_array_equal(plane.information_x, same.information_x)


def test_an_estimator_without_the_attribute_is_refused(X: np.ndarray) -> None:
    network = SlicedScoreMatching(hidden_layer_sizes=(4,), max_epochs=1).fit(X)
    with pytest.raises(TypeError, match="SlicedScoreMatching, which has no n_eigen_"):
        EigenvalueDisplay.from_estimator(network)
    stein = SteinScoreEstimator().fit(X)
    with pytest.raises(TypeError, match="SteinScoreEstimator, which has no n_eigen_"):
        EigenvalueDisplay.from_estimator(stein)


GIVEN: list[tuple[type, dict[str, Any]]] = [
    (EigenvalueDisplay, {"eigenvalues": [0.7, 0.3], "n_eigen": 1}),
    (InformationPlaneDisplay, {"information_x": [1.0], "information_y": [0.5], "labels": ["a"]}),
    (MutualInfoDisplay, {"n_samples": [9], "mutual_info": [1.0], "interval": [[0.5, np.inf]]}),
    (ScoreCVDisplay, {"param": "alpha", "values": [0.1, 1.0], "losses": {1.0: [2.0, np.inf]}}),
    (ScoreFieldDisplay, {"samples": [[0.0, 1.0]], "points": [[0.0, 1.0]], "scores": [[1.0, 0.0]]}),
    (TrainingCurveDisplay, {"epochs": [1, 2], "curves": {"train_loss": [1.0, np.nan]}}),
]


@pytest.mark.parametrize(("display", "numbers"), GIVEN)
def test_given_numbers_may_be_lists_or_arrays(display: Any, numbers: dict[str, Any]) -> None:
    arrays = {k: np.array(v) if isinstance(v, list) else v for k, v in numbers.items()}
    limits = [display(**each).plot().ax_.axis() for each in (numbers, arrays)]
    assert limits[0] == limits[1]
