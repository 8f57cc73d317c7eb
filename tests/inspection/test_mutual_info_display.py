"""Values of mutual information against the number of rows."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from sk_mige import MutualInfoEstimator
from sk_mige.inspection import MutualInfoDisplay

RNG = np.random.default_rng(0)
X, NOISE = RNG.standard_normal((2, 400))
Y = 0.8 * X + 0.6 * NOISE
ESTIMATOR = MutualInfoEstimator(["gaussian", "elliptical"], random_state=0)


def drawn(interval: list[list[float]]) -> MutualInfoDisplay:
    n = np.array([10, 20])
    made = MutualInfoDisplay(n_samples=n, mutual_info=n / 10, interval=np.array(interval))
    return made.plot()


def test_the_last_estimate_is_that_of_all_rows() -> None:
    display = MutualInfoDisplay.from_estimator(ESTIMATOR, X, Y, truth=0.51)
    fitted = MutualInfoEstimator(["gaussian", "elliptical"], random_state=0).fit(X, Y)
    np.testing.assert_array_equal(display.n_samples, [50, 100, 200, 400])
    assert display.mutual_info[-1] == fitted.mutual_info_
    assert tuple(display.interval[-1]) == fitted.interval_
    assert display.truth_.get_ydata()[0] == 0.51


def test_candidates_are_drawn_with_their_weights() -> None:
    display = MutualInfoDisplay.from_estimator(ESTIMATOR, X, Y, sizes=[400, 100])
    results = MutualInfoEstimator(["gaussian", "elliptical"], random_state=0).fit(X, Y).results_
    assert list(display.lines_) == results["candidate"].tolist()
    last = [line.get_ydata()[-1] for line in display.lines_.values()]
    np.testing.assert_array_equal(last, results["value"])
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    weight = results["weight"][results["candidate"] == "elliptical"][0]
    assert f"elliptical, weight {weight:.2f}" in labels


def test_subsets_are_nested_and_repeatable() -> None:
    first = MutualInfoDisplay.from_estimator(ESTIMATOR, X, Y, sizes=[100])
    again = MutualInfoDisplay.from_estimator(ESTIMATOR, X, Y, sizes=[100, 200])
    other = MutualInfoDisplay.from_estimator(ESTIMATOR, X, Y, sizes=[100], random_state=1)
    assert first.mutual_info[0] == again.mutual_info[0] != other.mutual_info[0]


def test_a_fitted_estimator_is_drawn_without_its_rows() -> None:
    fitted = MutualInfoEstimator(["gaussian"], random_state=0).fit(X, Y)
    display = MutualInfoDisplay.from_estimator(fitted)
    np.testing.assert_array_equal(display.n_samples, [400])
    assert display.mutual_info[0] == fitted.mutual_info_
    with pytest.raises(NotFittedError):
        MutualInfoDisplay.from_estimator(MutualInfoEstimator())


def test_labels_are_drawn_too() -> None:
    labels = np.where(X > 0, "high", "low")
    estimator = MutualInfoEstimator(["logistic", "linear"], random_state=0)
    display = MutualInfoDisplay.from_estimator(estimator, Y, labels, sizes=[200, 400])
    assert {"logistic", "linear"} <= set(display.lines_)


def test_default_sizes_have_rows_for_all_columns() -> None:
    wide = RNG.standard_normal((100, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        display = MutualInfoDisplay.from_estimator(
            ESTIMATOR, wide, wide[:, :2] + RNG.standard_normal((100, 2))
        )
    np.testing.assert_array_equal(display.n_samples, [50, 100])


def test_only_the_fit_of_all_rows_warns() -> None:
    estimator = MutualInfoEstimator(["gaussian"], random_state=0)
    MutualInfoDisplay.from_estimator(
        estimator, X, Y, sizes=[12, 400]
    )  # a warning would be an error
    with pytest.warns(UserWarning, match="rows do not resolve"):
        MutualInfoDisplay.from_estimator(estimator, X[:12], Y[:12])


def test_the_bars_end_at_the_interval() -> None:
    display = drawn([[0.5, 1.2], [1.0, 4.0]])
    bars = display.errorbar_.lines[2][0].get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], display.interval)


def test_an_infinite_end_is_an_arrow() -> None:
    display = drawn([[0.5, 1.2], [1.0, np.inf]])
    display.figure_.canvas.draw()
    arrows = [c for c in display.ax_.lines if c.get_marker() in (6, 10)]
    assert any(len(arrow.get_xdata()) for arrow in arrows)
    assert np.isfinite(display.ax_.get_ylim()).all()


def test_an_infinite_estimate_is_refused_if_there_is_no_other() -> None:
    with pytest.warns(UserWarning, match="infinite"):
        exact = MutualInfoEstimator(["gaussian"], random_state=0).fit(X, X)
    with pytest.raises(ValueError, match="no finite value.*without noise"):
        MutualInfoDisplay.from_estimator(exact)


def test_arguments_of_from_estimator_are_checked() -> None:
    with pytest.raises(TypeError, match="estimator must be a MutualInfoEstimator, got PCA"):
        MutualInfoDisplay.from_estimator(PCA(), X, Y)
    with pytest.raises(ValueError, match="X and Y must be given together"):
        MutualInfoDisplay.from_estimator(ESTIMATOR, X)
    with pytest.raises(ValueError, match="sizes must be integers from 2 to 400"):
        MutualInfoDisplay.from_estimator(ESTIMATOR, X, Y, sizes=[100, 500])
    with pytest.raises(ValueError, match="truth has 1 values"):
        MutualInfoDisplay.from_estimator(ESTIMATOR, X, Y, sizes=[100], truth=np.nan)


def test_categories_that_are_numbers_are_labels_in_the_display_too() -> None:
    codes = np.random.default_rng(0).integers(60, size=300)
    table, y = pd.DataFrame({"code": pd.Categorical(codes)}), np.sin(np.arange(300.0))
    estimator = MutualInfoEstimator(["linear"], random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        display = MutualInfoDisplay.from_estimator(estimator, table, y, sizes=[300])
        assert display.mutual_info[-1] == estimator.fit(table, y).mutual_info_
