"""Score fields, eigenvalues and held-out losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sk_mige import SSGEScoreEstimator, SSGEScoreEstimatorCV
from sk_mige.datasets import make_banana, make_gaussian
from sk_mige.inspection import EigenvalueDisplay, ScoreCVDisplay, ScoreFieldDisplay
from sk_mige.score import fit


def test_score_field_shows_the_scores_of_the_estimator_near_samples() -> None:
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


def test_arrows_start_at_samples_in_more_than_two_dimensions() -> None:
    X, exact = make_gaussian(1000, 4, random_state=0)
    frame = pd.DataFrame(X, columns=list("abcd"))
    display = ScoreFieldDisplay.from_estimator(exact, frame, features=(1, 3))
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("b", "d")
    thinned = ScoreFieldDisplay.from_estimator(exact, X)
    assert len(thinned.points) <= 300
    assert (thinned.points[:, None] == X).all(2).any(1).all()


def test_scores_of_a_pipeline_are_drawn_in_the_coordinates_of_its_last_step(X: np.ndarray) -> None:
    raw = 10 + 100 * X[:, :2]
    pipeline = Pipeline([("scale", StandardScaler()), ("score", SSGEScoreEstimator())]).fit(raw)
    display = ScoreFieldDisplay.from_estimator(pipeline, raw)
    scaled = pipeline[:-1].transform(raw)
    np.testing.assert_allclose(display.samples, scaled)
    np.testing.assert_allclose(display.scores, pipeline[-1].transform(display.points))


@pytest.mark.parametrize("container", ["pandas", "polars"])
@pytest.mark.parametrize("n_features", [2, 3])
def test_a_score_field_over_a_data_frame_gives_no_warning(container: str, n_features: int) -> None:
    frames = pytest.importorskip(container)
    X, _ = make_gaussian(60, n_features, random_state=0)
    frame = frames.DataFrame({name: X[:, i] for i, name in enumerate("abc"[:n_features])})
    estimator = SSGEScoreEstimator().fit(frame)
    display = ScoreFieldDisplay.from_estimator(estimator, frame)  # a warning would be an error
    plain = ScoreFieldDisplay.from_estimator(SSGEScoreEstimator().fit(X), X)
    np.testing.assert_allclose(display.scores, plain.scores)
    assert display.ax_.get_xlabel() == "a"


def test_score_field_refuses_one_feature_and_scores_of_other_shapes() -> None:
    with pytest.raises(ValueError, match="at least two columns"):
        ScoreFieldDisplay.from_estimator(np.negative, np.ones((5, 1)))
    with pytest.raises(ValueError, match=r"scores has shape \(4, 2\)"):
        ScoreFieldDisplay.from_estimator(lambda x: x[1:], np.ones((5, 2)), points=np.ones((5, 2)))


def test_eigenvalues_are_cut_off_at_the_threshold() -> None:
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


def test_a_ridge_over_many_rows_has_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Cholesky factorisation also uses eigenvalues below rounding errors."""
    monkeypatch.setattr(fit, "MAX_EIGH_ROWS", 80)
    monkeypatch.setattr(fit, "LANDMARKS", 40)
    estimator = SSGEScoreEstimator(alpha=1e-3, whiten=False).fit(
        make_banana(100, random_state=0)[0]
    )
    assert len(estimator.eigenvalues_) < estimator.n_eigen_ == 100
    display = EigenvalueDisplay.from_estimator(estimator)
    assert display.n_eigen == len(estimator.eigenvalues_)


def test_given_eigenvalues_become_shares_of_their_sum() -> None:
    display = EigenvalueDisplay.from_predictions([1.0, 6.0, 3.0], n_eigen=2)
    np.testing.assert_allclose(display.eigenvalues, [0.6, 0.3, 0.1])


@pytest.mark.parametrize("alphas", ["auto", ()])
def test_the_chosen_candidate_is_marked_with_its_held_out_loss(alphas: Any) -> None:
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
        with pytest.raises(ValueError, match="no candidates with a finite loss.*param='alpha'"):
            ScoreCVDisplay.from_estimator(search, param=other)


def test_given_losses_are_drawn() -> None:
    losses = {1.0: np.array([-2.0, -1.0])}
    display = ScoreCVDisplay(
        param="alpha", values=[0.01, 0.1], losses=losses, base_loss=-0.5, best=(1.0, 0.01, -2.0)
    ).plot()
    np.testing.assert_array_equal(display.lines_[1.0].get_ydata(), [-2.0, -1.0])
    assert display.best_.get_xdata() == 0.01


def test_candidates_without_regularisation_have_no_place_on_the_logarithmic_axis() -> None:
    search = SSGEScoreEstimatorCV(bandwidth_factors=(1.0,), alphas=(0.0, 0.1), cv=2)
    search.fit(make_banana(60, random_state=0)[0])
    assert ScoreCVDisplay.from_estimator(search, param="alpha").values == [0.1]
    with pytest.raises(ValueError, match="param must be"):
        ScoreCVDisplay.from_estimator(search, param="gamma")


def test_the_function_of_a_score_field_may_change_its_argument() -> None:
    X, _ = make_banana(50, random_state=0)
    points = X[:9].copy()
    display = ScoreFieldDisplay.from_estimator(lambda x: np.negative(x, out=x), X, points=points)
    np.testing.assert_array_equal(points, X[:9])
    np.testing.assert_array_equal(display.points, -display.scores)
