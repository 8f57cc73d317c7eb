"""Invalid arguments of displays: errors that name the parameter, without an empty figure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from sk_mige import MIGEEncoder, SSGEScoreEstimator, inspection
from sk_mige.inspection import (
    EigenvalueDisplay,
    InformationPlaneDisplay,
    MutualInfoDisplay,
    PredictionTrustDisplay,
    RepresentationDisplay,
    ScoreCVDisplay,
    ScoreFieldDisplay,
    TrainingCurveDisplay,
)

from .conftest import SMALL

Z = np.random.default_rng(0).normal(size=(30, 2))
Y = np.arange(30) % 2
HOLED = Z * np.array([np.nan, 1.0])
FRAME = pd.DataFrame(Z, columns=["a", "b"])
NAN = [1.0, np.nan]
PROBA = np.full((30, 2), 0.5)

eigenvalues = EigenvalueDisplay.from_predictions
representation = RepresentationDisplay.from_predictions
grid = ScoreFieldDisplay.from_estimator
history = TrainingCurveDisplay.from_history
losses = partial(ScoreCVDisplay, param="alpha", values=[0.1, 1.0])
plane = partial(InformationPlaneDisplay, information_x=[1.0, 2.0], information_y=[1.0, 2.0])
trust = PredictionTrustDisplay.from_predictions

DRAWN: dict[str, Callable[..., Any]] = {
    "EigenvalueDisplay": lambda ax: eigenvalues([1.0, 0.5], ax=ax),
    "InformationPlaneDisplay": lambda ax: InformationPlaneDisplay(
        information_x=[1.0], information_y=[1.0]
    ).plot(ax),
    "MutualInfoDisplay": lambda ax: MutualInfoDisplay(n_samples=[9], mutual_info=[1.0]).plot(ax),
    "PredictionTrustDisplay": lambda ax: trust([1], [[1.0]], ax=ax),
    "RepresentationDisplay": lambda ax: representation(Z, ax=ax),
    "ScoreCVDisplay": lambda ax: ScoreCVDisplay(
        param="alpha", values=[0.1], losses={1.0: np.ones(1)}
    ).plot(ax),
    "ScoreFieldDisplay": lambda ax: grid(np.negative, Z, ax=ax),
    "TrainingCurveDisplay": lambda ax: history([{"train_loss": 1.0}], ax=ax),
}


@pytest.mark.parametrize("name", inspection.__all__)
def test_axes_of_another_kind_are_refused(name: str) -> None:
    figure, axes = plt.subplots(1, 2)
    for wrong in (axes, figure, "left", 1):
        with pytest.raises(TypeError, match="ax must be matplotlib axes or None"):
            DRAWN[name](wrong)


@pytest.mark.parametrize("name", inspection.__all__)
def test_the_smallest_data_are_drawn(name: str) -> None:
    assert DRAWN[name](None).ax_.has_data()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: eigenvalues([]), "eigenvalues must be 1-dimensional and not empty"),
        (lambda: eigenvalues(["a"]), "eigenvalues must hold real numbers"),
        (lambda: eigenvalues(NAN), "eigenvalues has 1 values that are NaN"),
        (lambda: eigenvalues([0.0, 0.0]), "eigenvalues must have a positive sum"),
        (lambda: eigenvalues([1.0], n_eigen=2), "n_eigen == 2, must be <= 1"),
        (lambda: eigenvalues([1.0], alpha=-1.0), r"alpha == -1.0, must be >= 0"),
        (lambda: representation(Z[:, :1]), "components needs at least two columns to draw, got 1"),
        (lambda: representation(Z, components=(0, -1)), "components must be two columns"),
        (lambda: representation(Z, components="ab"), "components must be two columns"),
        (lambda: representation(FRAME, components=("a", "c")), r"names from \['a', 'b'\]; got"),
        (lambda: representation(Z[:0]), r"0 sample\(s\)"),
        (lambda: representation(HOLED), "Input Z contains NaN"),
        (lambda: representation(Z, Y[1:]), "inconsistent numbers of samples"),
        (lambda: representation(Z, Z), "y should be a 1d array"),
        (lambda: grid(np.negative, Z, features=(0, 2)), "features must be two columns.*0 to 1"),
        (lambda: grid(np.negative, FRAME, features=("a", "z")), r"features.*\['a', 'b'\]; got"),
        (lambda: grid(lambda x: x * NAN, Z), "scores has .* NaN"),
        (lambda: grid(np.negative, Z, points=np.ones((30, 3))), "points has the 3 columns"),
        (lambda: grid(np.negative, FRAME, points=FRAME[["b", "a"]]), "the same order"),
        (lambda: grid(np.negative, Z[:0]), "minimum of 1"),
        (lambda: grid(np.negative, Z, grid_resolution=1), "grid_resolution == 1, must be >= 2"),
        (lambda: trust(Y, PROBA[1:]), "inconsistent numbers of samples"),
        (lambda: trust(Y, PROBA * NAN), "Input y_proba contains NaN"),
        (lambda: trust(Y, Z), "sum is 1 in each row"),
        (lambda: trust(Y + 1, PROBA, labels=[0, 1]), r"y_true has the classes \[2\]"),
        (lambda: trust(Y * 0, PROBA), "2 columns for 1 classes.*labels=classifier.classes_"),
        (lambda: trust(Y, PROBA, kind="roc"), r"kind must be one of \['reliability', 'risk'"),
        (lambda: trust(Y, PROBA, kind="novelty"), "kind='novelty' needs novel rows: pass X_novel"),
        (lambda: trust(Y, PROBA, novelty={"rate": (NAN, [1.0])}), "novelty.*rate.* has 1 values"),
        (lambda: trust(Y, PROBA, novelty={"rate": ([], [1.0])}), "novelty.*rate.* must be 1-dim"),
        (lambda: trust(Y, PROBA, novelty=[([1.0], [1.0])]), "novelty must be a dict"),
        (lambda: trust(Y, PROBA, novelty={"rate": [1.0]}), "novelty must be a dict .* to a pair"),
        (lambda: trust(Y, PROBA, novelty={"rate": None}), "novelty must be a dict .* to a pair"),
        (lambda: trust(Y, PROBA, kind=["risk"]), "kind must be one of"),
        (lambda: trust(np.ma.masked_equal(Y, 1), PROBA), "y_true has masked values"),
        (lambda: representation(np.ma.masked_greater(Z, 1)), "Z has masked values"),
        (lambda: history([{"loss": np.ones(1)}, {"loss": 1.0}], keys="loss"), "real numbers"),
        (lambda: history([{"loss": 10**400}], keys="loss"), "'loss'. must hold real numbers"),
        (lambda: history([{"loss": 1.0}], keys=3), r"keys=\[3\] are not in the history"),
        (lambda: history([{"epoch": "a", "loss": 1.0}], keys="loss"), "'epoch'. must hold real"),
        (lambda: history([]), "the history has no epochs to draw.*max_epochs"),
        (lambda: history([{"train_loss": 1.0}], keys=[]), r"keys=\[\].*\['train_loss'\]"),
        (lambda: history([{"train_loss": 1.0}], keys="loss"), r"keys=\['loss'\] are not"),
        (lambda: losses(losses={1.0: np.full(2, np.inf)}).plot(), "losses has no finite value"),
        (lambda: losses(losses={}).plot(), "losses has no finite value.*other values of alpha"),
        (lambda: plane(labels=["a"]).plot(), "labels has 1 labels for 2 points: pass one label"),
        (lambda: plane(labels=[]).plot(), "labels has 0 labels for 2 points: pass one label"),
        (lambda: plane(labels=["a", "b", "c"]).plot(), "labels has 3 labels for 2 points"),
        (lambda: history([1.0]), "history must be a sequence of dicts"),
        (lambda: history([{"train_loss": "low"}]), r"history\['train_loss'\] must hold real"),
    ],
)
def test_numbers_that_cannot_be_drawn_are_refused_by_name(
    draw: Callable[[], Any], message: str
) -> None:
    before = plt.get_fignums()
    with pytest.raises(ValueError, match=message):
        draw()
    assert plt.get_fignums() == before


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: eigenvalues([1.0], n_eigen=0.5), "n_eigen must be an instance of"),
        (lambda: grid(np.negative, Z, grid_resolution=2.5), "grid_resolution must be an instance"),
        (lambda: InformationPlaneDisplay.from_estimators(PCA(), Z, Y), "estimators must be"),
        (lambda: grid("score", Z), "estimator must be a fitted score estimator or a function"),
    ],
)
def test_arguments_of_the_wrong_type_are_refused_by_name(
    draw: Callable[[], Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        draw()


@pytest.mark.parametrize("model", [PCA(), MIGEEncoder(**SMALL), Pipeline([("last", PCA())])])
def test_an_estimator_without_probabilities_is_refused(model: Any) -> None:
    with pytest.raises(TypeError, match="a fitted classifier with predict_proba, got"):
        PredictionTrustDisplay.from_estimator(model.fit(Z), Z, Y)


ESTIMATORS: dict[Any, tuple[Any, ...]] = {
    EigenvalueDisplay: (),
    InformationPlaneDisplay: (Z, Y),
    RepresentationDisplay: (Z,),
    ScoreCVDisplay: (),
    ScoreFieldDisplay: (Z,),
    TrainingCurveDisplay: (),
}


@pytest.mark.parametrize("display", ESTIMATORS)
def test_another_estimator_is_refused_by_its_class(display: Any) -> None:
    fitted = LogisticRegression().fit(Z, Y)
    for estimator in (fitted, Pipeline([("last", fitted)])):
        with pytest.raises(TypeError, match="estimator must be.*got (LogisticRegression|Pipeline)"):
            display.from_estimator(estimator, *ESTIMATORS[display])


@pytest.mark.parametrize("display", ESTIMATORS)
def test_an_estimator_that_is_not_fitted_is_refused(display: Any) -> None:
    models = (MIGEEncoder(), GridSearchCV(SSGEScoreEstimator(), {"alpha": [1e-2]}))
    for estimator in (*models, Pipeline([("last", MIGEEncoder())])):
        with pytest.raises((TypeError, ValueError), match="fitted"):
            display.from_estimator(estimator, *ESTIMATORS[display])


def test_a_search_without_refit_has_no_estimator_to_draw() -> None:
    search = GridSearchCV(SSGEScoreEstimator(), {"alpha": [1e-2]}, cv=2, refit=False).fit(Z)
    for display in (EigenvalueDisplay, TrainingCurveDisplay):
        with pytest.raises(ValueError, match="refit=True"):
            display.from_estimator(search)


def test_reordered_columns_of_a_frame_are_refused() -> None:
    scores, encoder = SSGEScoreEstimator().fit(FRAME), MIGEEncoder(**SMALL).fit(FRAME)
    for display, fitted in ((ScoreFieldDisplay, scores), (RepresentationDisplay, encoder)):
        with pytest.raises(ValueError, match="feature names"):
            display.from_estimator(fitted, FRAME[["b", "a"]])


def test_missing_classes_of_rows_are_refused_in_the_information_plane(
    bottlenecks: list[MIGEEncoder], X: np.ndarray, y: np.ndarray
) -> None:
    for missing in (None, np.nan, pd.NA):
        labels = y.astype(object)
        labels[3] = missing
        with pytest.raises(ValueError, match="y has missing labels"):
            InformationPlaneDisplay.from_estimator(bottlenecks[0], X, labels)


def test_features_and_components_can_be_named() -> None:
    shown = grid(np.negative, FRAME, features=("b", "a"))
    assert shown.features == (1, 0)
    assert shown.ax_.get_xlabel() == "b"
    np.testing.assert_array_equal(
        representation(FRAME, components=("b", "a")).scatter_.get_offsets(), Z[:, ::-1]
    )


def test_constant_samples_have_one_arrow() -> None:
    assert len(grid(np.negative, np.ones((5, 2))).points) == 1
    line = np.column_stack([np.ones(5), np.arange(5.0)])
    assert (grid(np.negative, line).points[:, 0] == 1).all()


def test_tensors_that_need_a_gradient_are_drawn() -> None:
    values = torch.tensor([1.0, 0.5], requires_grad=True)
    assert len(eigenvalues(values).eigenvalues) == 2
    assert representation(torch.tensor(Z, requires_grad=True), torch.tensor(Y)).legend_
