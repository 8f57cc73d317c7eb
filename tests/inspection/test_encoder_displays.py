"""Training curves and representations."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from sk_mige import MIGEEncoder, NonLinearProbe, SlicedScoreMatching
from sk_mige.inspection import RepresentationDisplay, TrainingCurveDisplay, _representation

from .conftest import SMALL


def test_training_curves_show_the_history(encoder: MIGEEncoder, X: np.ndarray) -> None:
    display = TrainingCurveDisplay.from_estimator(encoder)
    losses = [row["train_loss"] for row in encoder.history_]
    np.testing.assert_array_equal(display.lines_["train_loss"].get_ydata(), losses)
    both = TrainingCurveDisplay.from_estimator(encoder, keys=["train_loss", "dur"])
    assert set(both.lines_) == {"train_loss", "dur"}
    scores = SlicedScoreMatching(max_epochs=2, random_state=0).fit(X)
    assert len(TrainingCurveDisplay.from_estimator(scores).epochs) == 2
    with pytest.raises(ValueError, match="valid_acc.*train_loss"):
        TrainingCurveDisplay.from_estimator(encoder, keys=["valid_acc"])
    with pytest.raises(NotFittedError):
        TrainingCurveDisplay.from_estimator(MIGEEncoder())


def test_losses_accuracies_and_other_records_have_panels_and_gaps_are_bridged() -> None:
    history = [
        {"train_loss": 1.0, "valid_loss": 2.0, "rank": 3.0},
        {"train_loss": 1.0, "valid_loss": 2.0, "rank": 3.0, "probe_accuracy": 0.5},
        {"train_loss": 1.0, "valid_loss": 2.0, "rank": 3.0},
        {"train_loss": 1.0, "valid_loss": 2.0, "rank": 3.0, "probe_accuracy": 0.6},
    ]
    keys = ["train_loss", "valid_loss", "probe_accuracy", "rank"]
    display = TrainingCurveDisplay.from_history(history, keys=keys)
    panels = [line.axes for line in display.lines_.values()]
    assert panels[0] is panels[1] is display.ax_
    assert len(set(panels)) == len(display.figure_.axes) == 3
    np.testing.assert_array_equal(display.lines_["probe_accuracy"].get_xdata(), [2, 4])
    together = TrainingCurveDisplay.from_history(history, keys=keys, ax=display.ax_)
    assert {line.axes for line in together.lines_.values()} == {display.ax_}


def test_the_curve_of_a_search_over_beta_is_that_of_its_best_encoder(
    X: np.ndarray, y: np.ndarray
) -> None:
    encoder = MIGEEncoder(**SMALL, mode="ib", validation_fraction=0.25)
    search = GridSearchCV(encoder, {"mode__beta": [1e-3, 1e-2]}, cv=2).fit(X, y)
    display = TrainingCurveDisplay.from_estimator(search)
    assert set(display.curves) == {"train_loss", "valid_loss"}
    for key, curve in display.curves.items():
        np.testing.assert_array_equal(curve, [row[key] for row in search.best_estimator_.history_])


def test_the_curve_of_a_pipeline_is_that_of_its_encoder(X: np.ndarray, y: np.ndarray) -> None:
    probe = NonLinearProbe(hidden_size=4, max_epochs=3, device="cpu", random_state=0)
    pipeline = Pipeline([("encode", MIGEEncoder(**SMALL)), ("probe", probe)]).fit(X, y)
    curve = TrainingCurveDisplay.from_estimator(pipeline).curves["train_loss"]
    np.testing.assert_array_equal(curve, [row["train_loss"] for row in pipeline[0].history_])
    of_probe = TrainingCurveDisplay.from_estimator(pipeline[-1])
    assert len(of_probe.epochs) == 3


def test_representation_is_coloured_by_classes_or_values(
    encoder: MIGEEncoder, X: np.ndarray, y: np.ndarray
) -> None:
    names = np.array(["no", "yes"])[y]
    display = RepresentationDisplay.from_estimator(encoder, X, names)
    np.testing.assert_allclose(display.scatter_.get_offsets(), encoder.transform(X))
    np.testing.assert_array_equal(display.scatter_.get_array(), y)
    assert [text.get_text() for text in display.legend_.get_texts()] == ["no", "yes"]
    values = RepresentationDisplay.from_estimator(encoder, X, X[:, 0])
    assert values.legend_ is None
    assert values.colorbar_ is not None
    bare = RepresentationDisplay.from_predictions(encoder.transform(X))
    assert bare.legend_ is bare.colorbar_ is None
    with pytest.raises(
        ValueError, match=r"components must be two columns, indices from 0 to 1; got \(0, 2\)"
    ):
        RepresentationDisplay.from_estimator(encoder, X, components=(0, 2))


def test_the_legend_of_many_points_has_a_fixed_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def places(z: np.ndarray, known: int) -> list[str]:
        monkeypatch.setattr(_representation, "MOST_FOR_BEST", known)
        found: list[str] = []
        monkeypatch.setattr(Axes, "legend", lambda *args, loc, **options: found.append(loc))
        RepresentationDisplay.from_predictions(z, np.arange(len(z)) % 2)
        return found

    z = np.random.default_rng(0).normal(size=(8, 2))
    assert places(z, 8) + places(z, 7) == ["best", "upper right"]


def test_the_representation_in_a_pipeline_is_the_input_of_its_predictor(
    X: np.ndarray, y: np.ndarray
) -> None:
    model = Pipeline([("encoder", MIGEEncoder(**SMALL)), ("probe", LogisticRegression())])
    search = GridSearchCV(model, {"probe__C": [1.0]}, cv=2).fit(X, y)
    for fitted in (search, search.best_estimator_):
        display = RepresentationDisplay.from_estimator(fitted, X, y)
        np.testing.assert_array_equal(
            display.representation, search.best_estimator_[:-1].transform(X)
        )
