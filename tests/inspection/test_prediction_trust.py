"""Trust in predictions: each plot shows the values of the metrics, for any classifier."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_mige import MIGEEncoder
from sk_mige.inspection import PredictionTrustDisplay
from sk_mige.metrics import expected_calibration_error, risk_coverage_curve

from .conftest import SMALL

show = PredictionTrustDisplay.from_estimator


def label(display: PredictionTrustDisplay, name: str) -> str:
    return str(display.lines_[name].get_label())


def test_reliability_shows_the_calibration_error(X: np.ndarray, y: np.ndarray) -> None:
    model = LogisticRegression().fit(X, y)
    display = show(model, X, y)
    error = expected_calibration_error(y, model.predict_proba(X))
    assert display.calibration_error == error
    assert label(display, "reliability") == f"error {error:.2%}"
    confidence, accuracy = display.lines_["reliability"].get_data()
    assert ((confidence >= 0.5) & (accuracy >= 0)).all()
    assert display.ax_.get_xlabel() == "confidence"


def test_risk_shows_the_curve_and_its_area(bottlenecks: list[MIGEEncoder], X, y) -> None:
    display = show(bottlenecks[0], X, y, kind="risk", color="red")
    coverage, risk = risk_coverage_curve(y, bottlenecks[0].predict_proba(X))
    np.testing.assert_array_equal(display.lines_["risk"].get_data(), (coverage, risk))
    assert label(display, "risk") == f"area {risk.mean():.3%}"
    assert display.lines_["risk"].get_color() == "red"


def test_novelty_shows_the_area_of_each_measure(bottlenecks: list[MIGEEncoder], X, y) -> None:
    model, novel = bottlenecks[0], X[:50] + 4.0
    display = show(model, X, y, novel, kind="novelty")
    values = -np.concatenate([model.score_samples(X), model.score_samples(novel)])
    area = roc_auc_score(np.repeat([0, 1], [120, 50]), values)
    assert label(display, "-score_samples") == f"-score_samples: area {area:.3f}"
    assert list(display.lines_) == ["-score_samples", "-largest probability"]


def test_a_classifier_without_score_samples_has_one_measure(X: np.ndarray, y: np.ndarray) -> None:
    display = show(LogisticRegression().fit(X, y), X, y, X[:5], kind="novelty")
    assert list(display.lines_) == ["-largest probability"]


def test_one_display_draws_every_kind(bottlenecks: list[MIGEEncoder], X, y) -> None:
    _, axes = plt.subplots(1, 3)
    display = show(bottlenecks[0], X, y, X[:5], ax=axes[0])
    for ax, kind in zip(axes[1:], ("risk", "novelty"), strict=True):
        assert display.plot(ax, kind=kind).ax_ is ax
    assert all(ax.has_data() and ax.get_legend() for ax in axes)


def test_searches_and_pipelines_are_drawn_as_their_classifier(X: np.ndarray, y: np.ndarray) -> None:
    pipeline = make_pipeline(StandardScaler(), MIGEEncoder(**SMALL, mode="ib"))
    search = GridSearchCV(pipeline, {"migeencoder__mode__beta": [1e-2]}, cv=2).fit(X, y)
    expected = show(search.best_estimator_, X, y, X[:5])
    found = show(search, X, y, X[:5])
    np.testing.assert_array_equal(found.risk_coverage, expected.risk_coverage)
    for name, pair in expected.novelty.items():
        np.testing.assert_array_equal(found.novelty[name][1], pair[1])


def test_names_and_imbalance_of_classes_have_no_effect(X: np.ndarray) -> None:
    y = (X[:, 0] > 1.5).astype(int)
    names = np.array(["common", "rare"])[y]
    one, other = (show(LogisticRegression().fit(X, t), X, t) for t in (y, names))
    assert one.calibration_error == other.calibration_error
    only = show(LogisticRegression().fit(X, y), X[y == 0], y[y == 0])
    assert only.calibration_error < 0.2


def test_classes_that_fit_has_not_seen_are_refused(bottlenecks: list[MIGEEncoder], X, y) -> None:
    for wrong in (y + 1, y.astype(str)):
        with pytest.raises(ValueError, match=r"y_true has the classes.*not in the labels \[0 1\]"):
            show(bottlenecks[0], X, wrong)


def test_rows_that_the_classifier_refuses_are_refused(
    bottlenecks: list[MIGEEncoder], X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="contains NaN"):
        show(bottlenecks[0], X, y, np.full((3, 6), np.nan))
    with pytest.raises(ValueError, match="4 features"):
        show(bottlenecks[0], X, y, X[:, :4])
    with pytest.raises(NotFittedError):
        show(LogisticRegression(), X, y)


def test_tensors_are_drawn(y: np.ndarray) -> None:
    proba = torch.full((120, 2), 0.5, requires_grad=True)
    display = PredictionTrustDisplay.from_predictions(torch.from_numpy(y), proba)
    assert display.calibration_error == pytest.approx(abs(0.5 - (y == 0).mean()))
