"""Displays hold the numbers that they draw, draw where they are told, and say what they need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sk_mige import (
    MIGEEncoder,
    MutualInfoGradientEstimator,
    RandomProjectionSSGE,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    inspection,
)
from sk_mige.datasets import make_banana, make_gaussian
from sk_mige.information import MutualInfoGradient
from sk_mige.inspection import (
    EigenvalueDisplay,
    InformationPlaneDisplay,
    MutualInfoGradientDisplay,
    ProjectionSearchDisplay,
    RepresentationDisplay,
    ScoreCVDisplay,
    ScoreFieldDisplay,
    TrainingCurveDisplay,
)

SMALL: dict[str, Any] = {
    "n_components": 2,
    "hidden_layer_sizes": (8,),
    "max_epochs": 2,
    "batch_size": 64,
    "device": "cpu",
    "random_state": 0,
}


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(120, 6))


@pytest.fixture(scope="module")
def y(X: np.ndarray) -> np.ndarray:
    return (X[:, 0] > 0).astype(int)


@pytest.fixture(scope="module")
def encoder(X: np.ndarray) -> MIGEEncoder:
    return MIGEEncoder(**SMALL).fit(X)


@pytest.fixture(scope="module")
def bottlenecks(X: np.ndarray, y: np.ndarray) -> list[MIGEEncoder]:
    parameters = {**SMALL, "max_epochs": 30, "lr": 1e-2, "mode": "ib"}
    return [MIGEEncoder(**parameters, beta=beta).fit(X, y) for beta in (1e-3, 1.0)]


def test_without_matplotlib_the_package_imports_and_names_the_extra() -> None:
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


def test_the_given_axes_are_drawn_on_and_new_ones_otherwise(encoder: MIGEEncoder) -> None:
    figure, (left, right) = plt.subplots(1, 2)
    display = TrainingCurveDisplay.from_estimator(encoder, ax=left)
    assert display.ax_ is left
    assert display.figure_ is figure
    assert display.plot(right) is display
    assert display.ax_ is right
    assert len(left.lines) == len(right.lines) == 1
    assert display.plot().figure_ is not figure


def test_score_field_shows_the_estimators_scores_near_the_samples() -> None:
    X, exact = make_banana(200, random_state=0)
    estimator = SSGEScoreEstimator().fit(X)
    display = ScoreFieldDisplay.from_estimator(estimator, X, quiver_kw={"color": "r"})
    np.testing.assert_array_equal(display.scores, estimator.transform(display.points))
    distances = np.linalg.norm(display.points[:, None] - X, axis=2).min(1)
    assert distances.max() < np.ptp(X, axis=0).max() / 19
    np.testing.assert_array_equal(display.scatter_.get_offsets(), X)
    np.testing.assert_array_equal(display.quiver_.U, display.scores[:, 0])
    truth = ScoreFieldDisplay.from_estimator(exact, X, points=display.points)
    np.testing.assert_array_equal(truth.scores, exact(display.points))


def test_score_field_of_many_features_has_its_arrows_at_samples() -> None:
    X, exact = make_gaussian(1000, 4, random_state=0)
    frame = pd.DataFrame(X, columns=list("abcd"))
    display = ScoreFieldDisplay.from_predictions(frame, exact(X), features=(1, 3))
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("b", "d")
    thinned = ScoreFieldDisplay.from_estimator(exact, X)
    assert len(thinned.points) <= 300
    assert (thinned.points[:, None] == X).all(2).any(1).all()


def test_score_field_refuses_what_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="two features"):
        ScoreFieldDisplay.from_predictions(np.ones((5, 1)), np.ones((5, 1)))
    with pytest.raises(ValueError, match=r"scores has shape \(4, 2\)"):
        ScoreFieldDisplay.from_predictions(np.ones((5, 2)), np.ones((4, 2)))


def test_training_curves_are_the_history(encoder: MIGEEncoder, X: np.ndarray) -> None:
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


def test_spectrum_parts_at_the_threshold() -> None:
    X, _ = make_banana(100, random_state=0)
    estimator = SSGEScoreEstimator(eigen_threshold=0.9).fit(X)
    display = EigenvalueDisplay.from_estimator(estimator)
    n = estimator.n_eigen_
    assert len(display.kept_.get_xdata()) == n
    assert display.eigenvalues[:n].sum() >= 0.9 > display.eigenvalues[: n - 1].sum()
    assert display.cutoff_.get_xdata()[0] == n + 0.5
    regularised = EigenvalueDisplay.from_estimator(SSGEScoreEstimator(alpha=1e-3).fit(X))
    assert regularised.cutoff_ is None
    assert regularised.alpha_.get_ydata()[0] == 1e-3


def test_given_eigenvalues_become_shares() -> None:
    display = EigenvalueDisplay.from_predictions([1.0, 6.0, 3.0], n_eigen=2)
    np.testing.assert_allclose(display.eigenvalues, [0.6, 0.3, 0.1])


@pytest.mark.parametrize("alphas", ["auto", ()])
def test_held_out_loss_is_least_where_it_was_chosen(alphas: Any) -> None:
    X, _ = make_banana(80, random_state=0)
    search = SSGEScoreEstimatorCV(
        bandwidth_factors=(0.5, 1.0), bases=("student",), shrinkages=("auto",), cv=3, alphas=alphas
    ).fit(X)
    display = ScoreCVDisplay.from_estimator(search)
    assert display.param == ("alpha" if alphas == "auto" else "eigen_threshold")
    factor, value, loss = display.best
    assert loss == -search.cv_results_["mean_test_score"][search.best_index_]
    assert display.losses[factor][display.values == value][0] <= loss
    assert set(display.lines_) == {0.5, 1.0}
    assert (display.base_ is None) == (alphas != "auto")
    other = "eigen_threshold" if alphas == "auto" else "alpha"
    if alphas == "auto":
        assert ScoreCVDisplay.from_estimator(search, param=other).best is None
    else:
        with pytest.raises(ValueError, match="no candidates along param='alpha'"):
            ScoreCVDisplay.from_estimator(search, param=other)


def test_gradient_curve_has_a_band_of_two_standard_errors() -> None:
    theta = np.linspace(0, 1, 3)
    display = MutualInfoGradientDisplay.from_function(
        lambda t: MutualInfoGradient(t**2, 0.1), theta, truth=theta
    )
    np.testing.assert_allclose(display.line_.get_ydata(), theta**2)
    heights = display.band_.get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([heights.min(), heights.max()], [-0.2, 1.2])
    np.testing.assert_allclose(display.truth_.get_ydata(), theta)


def test_gradient_curve_of_repetitions_is_their_mean() -> None:
    theta = np.linspace(0, 1, 4)
    repeats = np.stack([theta - 1, theta + 1])
    display = MutualInfoGradientDisplay.from_predictions(theta, repeats)
    np.testing.assert_allclose(display.gradient, theta)
    np.testing.assert_allclose(display.standard_error, 1.0)
    numbers = MutualInfoGradientDisplay.from_function(lambda t: 2 * t, theta)
    assert numbers.band_ is None
    with pytest.raises(ValueError, match="truth has shape"):
        MutualInfoGradientDisplay.from_predictions(theta, theta, truth=[1.0])


def searched(X: np.ndarray, y: np.ndarray, final: Any, **grid: list[Any]) -> GridSearchCV:
    encoder = MIGEEncoder(**SMALL, score_estimator=RandomProjectionSSGE())
    pipeline = Pipeline([("encode", encoder), ("final", final)])
    parameters = {f"encode__{name}": values for name, values in grid.items()}
    return GridSearchCV(pipeline, parameters, cv=2).fit(X, y)


def test_projection_search_draws_the_best_of_each_dimension(X: np.ndarray, y: np.ndarray) -> None:
    search = searched(
        X,
        y,
        LogisticRegression(),
        score_estimator__n_components=[4, 2],
        score_estimator__eigen_threshold=[0.9, 0.999],
    )
    reference = [0.5, 0.7]
    display = ProjectionSearchDisplay.from_estimator(search, reference=reference)
    np.testing.assert_array_equal(display.n_components, [2, 4])
    means = search.cv_results_["mean_test_score"]
    tried = np.array(
        [p["encode__score_estimator__n_components"] for p in search.cv_results_["params"]]
    )
    np.testing.assert_allclose(display.scores.mean(1), [means[tried == k].max() for k in (2, 4)])
    np.testing.assert_allclose(display.reference_.get_ydata(), 60.0)
    assert display.ax_.get_ylabel() == "accuracy, %"
    with pytest.raises(ValueError, match=r"param='gamma'.*n_components"):
        ProjectionSearchDisplay.from_estimator(search, param="gamma")


def test_projection_search_asks_which_parameter_it_is(X: np.ndarray) -> None:
    search = searched(X, X[:, 0], Ridge(), lr=[1e-3, 1e-2])
    with pytest.raises(ValueError, match="name it by param"):
        ProjectionSearchDisplay.from_estimator(search)


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
    with pytest.raises(ValueError, match="at least 3 components"):
        RepresentationDisplay.from_estimator(encoder, X, components=(0, 2))


def test_dearer_information_is_kept_less_and_bounds_hold(
    bottlenecks: list[MIGEEncoder], X: np.ndarray, y: np.ndarray
) -> None:
    display = InformationPlaneDisplay.from_estimators(bottlenecks, X, y)
    cheap, dear = display.information_x
    assert dear < cheap <= np.log(len(X))
    assert (display.information_y <= display.entropy_y).all()
    # Whatever z tells of y it has from x; what is left is the spread of two estimates.
    assert (display.information_y <= display.information_x + 0.1).all()
    assert [text.get_text() for text in display.texts_] == ["β = 0.001", "β = 1"]


def test_information_of_a_known_gaussian_channel_is_found() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = (X[:, 0] > 0).astype(int)
    encoder = MIGEEncoder(2, mode="ib", hidden_layer_sizes=(), max_epochs=1, random_state=0)
    encoder.fit(X, y)
    layer = next(m for m in encoder.module_.encoder.modules() if hasattr(m, "weight"))
    weight = np.zeros((4, 2))
    weight[0, 0] = weight[1, 1] = 1.0
    layer.weight.data = layer.weight.new_tensor(weight)
    layer.bias.data = layer.bias.new_tensor([0, 0, 5.5413, 5.5413])  # both scales are 1
    display = InformationPlaneDisplay.from_estimators([encoder], X, y)
    # Two channels of signal-to-noise ratio 1: I = log 2.
    np.testing.assert_allclose(display.information_x, np.log(2), atol=0.06)


def test_information_plane_refuses_encoders_without_noise(
    encoder: MIGEEncoder, X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="head='gaussian'"):
        InformationPlaneDisplay.from_estimators([encoder], X, y)
    with pytest.raises(ValueError, match="labels for 2 points"):
        InformationPlaneDisplay.from_predictions([1.0, 2.0], [1.0, 2.0], labels=["a"])


def test_every_display_is_made_from_estimators_and_from_numbers() -> None:
    for name in inspection.__all__:
        display = getattr(inspection, name)
        assert hasattr(display, "from_estimator"), name
        # A curve of training has no predictions: its numbers are a history.
        assert hasattr(display, "from_predictions") or hasattr(display, "from_history"), name


def test_gradient_curve_fits_copies_of_an_estimator_at_each_theta(X: np.ndarray) -> None:
    channel = MutualInfoGradientEstimator(random_state=0)
    theta = [0.5, 1.0]
    _, ax = plt.subplots()
    display = MutualInfoGradientDisplay.from_estimator(channel, X[:, :2], theta, ax=ax)
    expected = [channel.set_params(theta=t).fit(X[:, :2]) for t in theta]
    assert display.ax_ is ax
    assert display.gradient[1] == expected[1].gradient_
    assert display.standard_error[1] == expected[1].standard_error_


def test_searches_and_pipelines_are_looked_into(
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
    remedy = r"GridSearchCV has searched \['alpha'\].*from_predictions"
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


def test_losses_of_another_search_are_drawn() -> None:
    display = ScoreCVDisplay.from_predictions(
        [0.1, 0.01], {1.0: [-1.0, -2.0]}, base_loss=-0.5, best=(1.0, 0.01, -2.0)
    )
    np.testing.assert_array_equal(display.values, [0.01, 0.1])
    np.testing.assert_array_equal(display.lines_[1.0].get_ydata(), [-2.0, -1.0])
    with pytest.raises(ValueError, match=r"losses\[2\] has shape \(1,\)"):
        ScoreCVDisplay.from_predictions([0.1, 0.01], {2.0: [-1.0]})
    with pytest.raises(ValueError, match="param must be"):
        ScoreCVDisplay.from_predictions([0.1], {2.0: [-1.0]}, param="gamma")


def test_scores_of_dimensions_are_drawn_with_their_folds() -> None:
    display = ProjectionSearchDisplay.from_predictions([2, 8], [[0.5, 0.7], [0.8, 1.0]])
    line = display.errorbar_.lines[0]
    np.testing.assert_allclose(line.get_ydata(), [60, 90])
    with pytest.raises(ValueError, match="a row of folds for each dimension"):
        ProjectionSearchDisplay.from_predictions([2, 8, 16], [0.5, 0.7])


def test_a_pipelines_scores_are_drawn_where_its_last_step_sees_the_samples(X: np.ndarray) -> None:
    raw = 10 + 100 * X[:, :2]
    pipeline = Pipeline([("scale", StandardScaler()), ("score", SSGEScoreEstimator())]).fit(raw)
    display = ScoreFieldDisplay.from_estimator(pipeline, raw)
    scaled = pipeline[:-1].transform(raw)
    np.testing.assert_allclose(display.samples, scaled)
    np.testing.assert_allclose(display.scores, pipeline[-1].transform(display.points))


def test_the_map_of_a_classifier_is_that_of_what_comes_before_it(
    X: np.ndarray, y: np.ndarray
) -> None:
    model = Pipeline([("encoder", MIGEEncoder(**SMALL)), ("probe", LogisticRegression())])
    search = GridSearchCV(model, {"probe__C": [1.0]}, cv=2).fit(X, y)
    for fitted in (search, search.best_estimator_):
        display = RepresentationDisplay.from_estimator(fitted, X, y)
        np.testing.assert_array_equal(
            display.representation, search.best_estimator_[:-1].transform(X)
        )


def test_a_picture_of_what_an_estimator_lacks_is_refused(X: np.ndarray) -> None:
    network = SlicedScoreMatching(hidden_layer_sizes=(4,), max_epochs=1).fit(X)
    with pytest.raises(TypeError, match="SlicedScoreMatching has no eigenvalues_"):
        EigenvalueDisplay.from_estimator(network)
