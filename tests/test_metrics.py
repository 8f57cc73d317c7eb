"""Metrics of predicted probabilities: known values, invariances, and arguments that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from sk_mige.metrics import expected_calibration_error, risk_coverage_curve, top_predictions

RNG = np.random.default_rng(0)
PROBA = RNG.dirichlet(np.full(3, 0.3), size=400)
# Classes that are drawn from the predicted probabilities: calibrated predictions.
Y = (RNG.random(400)[:, None] > PROBA.cumsum(1)).sum(1)
METRICS = (expected_calibration_error, risk_coverage_curve, top_predictions)


def area(y: Any, proba: Any, **labels: Any) -> float:
    return float(risk_coverage_curve(y, proba, **labels)[1].mean())


def test_calibrated_predictions_have_a_small_error() -> None:
    assert expected_calibration_error(Y, PROBA, n_bins=5) < 0.06
    sharper = PROBA**4 / (PROBA**4).sum(1, keepdims=True)
    assert expected_calibration_error(Y, sharper, n_bins=5) > 0.12


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_one_bin_compares_mean_confidence_and_accuracy(strategy: str) -> None:
    error = expected_calibration_error(Y, PROBA, n_bins=1, strategy=strategy)
    correct, confidence = top_predictions(Y, PROBA)
    assert error == pytest.approx(abs(correct.mean() - confidence.mean()))


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_bins_are_those_of_scikit_learns_calibration_curve(strategy: str) -> None:
    correct, confidence = top_predictions(Y, PROBA)
    accuracy, mean = calibration_curve(correct, confidence, n_bins=10, strategy=strategy)
    error = expected_calibration_error(Y, PROBA, n_bins=10, strategy=strategy)
    edges = np.linspace(0, 1, 11)
    edges = np.quantile(confidence, edges) if strategy == "quantile" else edges
    counts = np.bincount(np.searchsorted(edges[1:-1], confidence))
    assert error == pytest.approx((counts[counts > 0] * abs(accuracy - mean)).sum() / len(Y))


def test_equal_confidences_are_in_one_bin() -> None:
    assert expected_calibration_error([1, 1, 0, 1], [[0.2, 0.8]] * 4) == pytest.approx(0.05)


def test_the_last_risk_is_the_error_and_confident_errors_cost_more() -> None:
    coverage, risk = risk_coverage_curve(Y, PROBA)
    assert coverage[[0, -1]].tolist() == [1 / 400, 1.0]
    assert risk[-1] == pytest.approx(1 - top_predictions(Y, PROBA)[0].mean())
    assert risk[:100].mean() < risk[-1]


def test_perfect_ranking_has_the_smallest_area() -> None:
    proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    assert area([0, 0, 0, 1], proba) == pytest.approx(1 / 16)
    assert area([1, 0, 0, 0], proba) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_the_order_of_rows_has_no_effect_with_ties() -> None:
    proba, order = PROBA.round(1), RNG.permutation(400)
    proba /= proba.sum(1, keepdims=True)
    assert area(Y, proba) == pytest.approx(area(Y[order], proba[order]))
    assert area([0, 1], [[0.6, 0.4], [0.6, 0.4]]) == 0.5


def test_names_of_classes_have_no_effect() -> None:
    names = np.array(["ten", "one", "six"])
    ordered = np.sort(names)
    assert area(ordered[Y], PROBA) == area(Y, PROBA)
    assert area(names[Y], PROBA, labels=names) == area(Y, PROBA)


def test_labels_name_the_columns_where_classes_are_missing_in_y() -> None:
    some = Y < 2
    correct, _ = top_predictions(Y[some], PROBA[some], labels=[0, 1, 2])
    np.testing.assert_array_equal(correct, top_predictions(Y, PROBA)[0][some])
    for metric in METRICS:
        with pytest.raises(ValueError, match="3 columns for 2 classes.*labels=classifier.classes_"):
            metric(Y[some], PROBA[some])


def test_a_single_class_can_be_measured() -> None:
    assert expected_calibration_error([5, 5], [[1.0], [1.0]]) == 0.0
    assert area([5, 5], [[0.5, 0.5], [0.2, 0.8]], labels=[4, 5]) == pytest.approx(0.25)


def test_any_classifier_can_be_measured() -> None:
    X, y = load_digits(return_X_y=True)
    proba = {
        model: model.fit(X[:900], y[:900]).predict_proba(X[900:])
        for model in (LogisticRegression(max_iter=300), GaussianNB())
    }
    errors = [expected_calibration_error(y[900:], p) for p in proba.values()]
    assert errors[0] < 0.05 < errors[1]  # naive Bayes is overconfident


def test_rounded_probabilities_can_be_measured() -> None:
    proba = torch.softmax(torch.randn(300, 9, generator=torch.Generator().manual_seed(0)), 1)
    y = torch.arange(300) % 9
    for dtype in (torch.float16, torch.bfloat16):
        error = expected_calibration_error(y, proba.to(dtype))
        assert error == pytest.approx(expected_calibration_error(y, proba), abs=0.01)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("y", "proba", "labels", "message"),
    [
        (Y, PROBA * 2, None, "sum is 1 in each row"),
        (Y, PROBA - [0.0, 0.5, -0.5], None, "sum is 1 in each row"),
        (Y, np.where(PROBA > 0.9, np.nan, PROBA), None, "Input y_proba contains NaN"),
        (Y[1:], PROBA, None, "inconsistent numbers of samples"),
        (Y, PROBA[:, 0], None, r"must have the shape \(n, n_classes\)"),
        (Y, PROBA, [0, 1, 3], r"y_true has the classes \[2\], which are not in the labels"),
        (Y.astype(str), PROBA, [0, 1, 2], r"y_true has the classes \['0', '1', '2'\]"),
        (np.where(Y == 1, np.nan, Y), PROBA, [0, 1, 2], "Input y_true contains NaN"),
        (np.where(Y == 1, None, Y), PROBA, None, "Input y_true contains None in"),
        (np.ma.masked_equal(Y, 1), PROBA, None, "y_true has masked values"),
        (Y, np.ma.masked_greater(PROBA, 0.9), None, "y_proba has masked values"),
        (Y, PROBA, np.ma.masked_equal([0, 1, 2], 1), "labels has masked values"),
        (0 * Y, PROBA, [0, 0, 0], r"labels must be distinct, .* got \[0 0 0\]"),
        (Y, np.log(PROBA), None, r"got \[-.* in row 0: pass the result of predict_proba"),
        (Y, PROBA + 0j, None, "Complex data not supported: y_proba holds"),
        (PROBA, PROBA, None, "y_true must be a sequence of labels"),
        (Y, PROBA, {0, 1, 2}, "labels is a set: pass an array"),
        (Y, None, None, "y_proba contains NaN"),
        ([], np.ones((0, 3)), None, r"must have the shape \(n, n_classes\), got \(0, 3\)"),
    ],
)
def test_arguments_that_cannot_be_measured_are_refused(
    metric: Any, y: Any, proba: Any, labels: Any, message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        metric(y, proba, labels=labels)


def test_probabilities_of_any_precision_are_summed_to_one() -> None:
    names = np.array(list("abc"))
    exact = risk_coverage_curve(names[Y], PROBA, labels=names)[1]
    rounded = torch.from_numpy(PROBA * 1.0005).float().requires_grad_()
    np.testing.assert_allclose(risk_coverage_curve(names[Y], rounded, labels=names)[1], exact)
    assert top_predictions(Y, PROBA * 1.0005)[1].max() <= 1


@pytest.mark.parametrize("options", [{"n_bins": 0}, {"n_bins": 2.5}, {"strategy": "equal"}])
def test_invalid_bins_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"The '{next(iter(options))}' parameter"):
        expected_calibration_error(Y, PROBA, **options)
