"""Conditional information, total correlation, transfer entropy: closed forms and bad input."""

from __future__ import annotations

import functools
import operator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_lyapunov

from sk_mige import (
    InformationEstimate,
    MutualInfoEstimator,
    conditional_mutual_info,
    total_correlation,
    transfer_entropy,
)

# Small samples keep the tests fast.
pytestmark = pytest.mark.filterwarnings("ignore:.*rows do not resolve")

QUICK = MutualInfoEstimator(
    ["gaussian", "elliptical", "linear", "logistic"], random_state=0, device="cpu"
)
GAUSSIAN = MutualInfoEstimator("gaussian", random_state=0)


def log_det(covariance: np.ndarray, *parts: list[int]) -> float:
    columns = functools.reduce(operator.iadd, parts, [])
    return float(np.linalg.slogdet(covariance[np.ix_(columns, columns)])[1])


def gaussian_conditional(covariance, x: list[int], y: list[int], z: list[int]) -> float:
    """I(x; y | z) of a Gaussian."""
    alone = log_det(covariance, x, z) + log_det(covariance, y, z)
    return 0.5 * (alone - log_det(covariance, z) - log_det(covariance, x, y, z))


def random_covariance(d: int) -> np.ndarray:
    factor = np.random.default_rng(5).standard_normal((d, d + 3))
    return factor @ factor.T / (d + 3)


def draw(covariance: np.ndarray, n: int = 1500, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.multivariate_normal(np.zeros(len(covariance)), covariance, n)


def contains(found: InformationEstimate, truth: float, width: float = 0.2) -> bool:
    low, high = found.interval
    return low <= truth <= high and high - low < width


def entropy(p: float) -> float:
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


def test_partial_correlation_gives_the_conditional_information_of_gaussians() -> None:
    covariance = np.array([[1, 0.6, 0.5], [0.6, 1, 0.7], [0.5, 0.7, 1]])
    partial = (0.6 - 0.35) / np.sqrt((1 - 0.25) * (1 - 0.49))
    found = conditional_mutual_info(*draw(covariance).T, estimator=QUICK)
    assert contains(found, -0.5 * np.log(1 - partial**2), width=0.06)


def test_the_repr_shows_the_value_and_the_interval_only() -> None:
    found = conditional_mutual_info(*draw(random_covariance(3), n=50).T, estimator=QUICK)
    expected = f"InformationEstimate(value={found.value!r}, interval={found.interval!r})"
    assert repr(found) == expected


def test_variables_of_several_columns_have_their_closed_form() -> None:
    table = draw(random_covariance(6))
    found = conditional_mutual_info(table[:, :2], table[:, 2:4], table[:, 4:], estimator=QUICK)
    truth = gaussian_conditional(random_covariance(6), [0, 1], [2, 3], [4, 5])
    assert contains(found, truth, width=0.1)


def test_markov_chain_has_no_conditional_information() -> None:
    z, *noise = np.random.default_rng(0).standard_normal((3, 1500))
    x, y = (z + 0.3 * e for e in noise)
    assert contains(conditional_mutual_info(x, y, z, estimator=QUICK), 0.0, width=0.05)


def test_intervals_contain_the_truth_at_their_rate() -> None:
    covariance = random_covariance(3)
    truth = gaussian_conditional(covariance, [0], [1], [2])
    tables = (draw(covariance, 300, seed) for seed in range(30))
    found = [conditional_mutual_info(*t.T, estimator=GAUSSIAN) for t in tables]
    assert sum(contains(f, truth) for f in found) >= 24


def test_pairing_rows_narrows_the_interval() -> None:
    z, *noise = np.random.default_rng(0).standard_normal((3, 1000))
    x, y = (z + 0.1 * e for e in noise)
    found = conditional_mutual_info(x, y, z, estimator=GAUSSIAN)
    apart = sum(np.ptp(term.interval_) ** 2 for term in found.terms.values()) ** 0.5
    assert np.ptp(found.interval) < 0.2 * apart
    assert found.value == pytest.approx(max(0.0, found.pointwise.mean()), abs=0.01)


def test_exclusive_or_of_labels_is_found() -> None:
    rng = np.random.default_rng(0)
    y, z = rng.integers(2, size=(2, 2000))
    x = (y ^ z) ^ (rng.random(2000) < 0.1)
    found = conditional_mutual_info(x, y, z, estimator=QUICK)
    assert contains(found, np.log(2) - entropy(0.1), width=0.1)


def test_labels_of_the_condition_divide_the_rows() -> None:
    rng = np.random.default_rng(0)
    z, x, noise = rng.integers(2, size=2000), *rng.standard_normal((2, 2000))
    sign = np.where(z, 1, -1)
    found = conditional_mutual_info(x, sign * x + noise, np.where(z, "up", "down"), estimator=QUICK)
    assert list(found.terms) == ["I(x; y | z) at down", "I(x; y | z) at up"]
    assert contains(found, 0.5 * np.log(2), width=0.1)


@pytest.mark.parametrize("swapped", [False, True])
def test_label_and_numbers_given_numbers(swapped: bool) -> None:
    rng = np.random.default_rng(0)
    y, z, noise = rng.integers(2, size=2000), *rng.standard_normal((2, 2000))
    x = z + noise + 2 * y  # I = I(y; noise + 2 y) = .336 nats
    pair = (y, x) if swapped else (x, y)
    assert contains(conditional_mutual_info(*pair, z, estimator=QUICK), 0.336)


def test_two_labels_given_numbers() -> None:
    rng = np.random.default_rng(0)
    y, z = rng.integers(2, size=3000), rng.standard_normal(3000)
    x = (y ^ (rng.random(3000) < 0.1)).astype(str)  # z does not matter
    found = conditional_mutual_info(x, y, z, estimator=QUICK)
    assert contains(found, np.log(2) - entropy(0.1), width=0.1)


def test_a_variable_may_mix_labels_and_numbers() -> None:
    rng = np.random.default_rng(0)
    k, (u, x, noise) = rng.integers(2, size=2000), rng.standard_normal((3, 2000))
    y = np.where(k, 1, -1) * x + u + noise
    z = np.column_stack([k, u])
    found = conditional_mutual_info(x, y, z, estimator=QUICK)
    assert contains(found, 0.5 * np.log(2))


@pytest.mark.parametrize("d", [2, 4])
def test_total_correlation_of_gaussians(d: int) -> None:
    covariance = random_covariance(d)
    found = total_correlation(*draw(covariance).T, estimator=QUICK)
    truth = 0.5 * (np.log(np.diag(covariance)).sum() - log_det(covariance, list(range(d))))
    assert contains(found, truth)
    assert len(found.terms) == d - 1


def test_total_correlation_of_a_parity() -> None:
    first, second = np.random.default_rng(0).integers(2, size=(2, 1000))
    found = total_correlation(first, second, first ^ second, estimator=QUICK)
    assert found.value == pytest.approx(np.log(2), abs=0.01)


def test_order_of_the_variables_does_not_matter() -> None:
    columns = list(draw(random_covariance(3), 200).T)
    there, back = (total_correlation(*c, estimator=QUICK) for c in (columns, columns[::-1]))
    assert there.value == back.value
    assert there.interval == back.interval


def vector_autoregression(n: int, strength: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((n + 100, 2))
    series = np.zeros((n + 100, 2))
    for t in range(1, n + 100):
        series[t] = [[0.7, 0.0], [strength, 0.5]] @ series[t - 1] + noise[t]
    return series[100:]


def test_transfer_entropy_of_a_vector_autoregression() -> None:
    step = np.array([[0.7, 0.0], [0.5, 0.5]])
    now = solve_discrete_lyapunov(step, np.eye(2))
    joint = np.block([[now, now @ step.T], [step @ now, now]])
    x, y = vector_autoregression(2000, 0.5).T
    truth = gaussian_conditional(joint, [0], [3], [1])
    assert contains(transfer_entropy(x, y, estimator=QUICK), truth, width=0.1)
    assert contains(transfer_entropy(y, x, estimator=QUICK), 0.0, width=0.05)


def test_a_late_effect_needs_a_longer_past() -> None:
    x, noise = np.random.default_rng(0).standard_normal((2, 1000))
    y = np.roll(x, 3) + noise
    short, long = (transfer_entropy(x, y, lag=lag, estimator=GAUSSIAN) for lag in (2, 3))
    assert short.value < 0.02
    assert contains(long, 0.5 * np.log(2))


def test_series_of_labels_transfer_information() -> None:
    x = np.random.default_rng(0).integers(3, size=2000)
    found = transfer_entropy(x, np.roll(x, 1), estimator=QUICK)
    assert found.value == pytest.approx(np.log(3), abs=0.02)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**20), st.sampled_from([1e-150, 1e-3, 1e150]))
def test_units_and_increasing_maps_change_nothing(seed: int, unit: float) -> None:
    # From 50 rows on, independent components of y and z can replace ranks, and exp changes them.
    x, y, z = draw(random_covariance(3), 45, seed).T
    expected = conditional_mutual_info(x, y, z, estimator=GAUSSIAN)
    found = conditional_mutual_info(unit * x, np.exp(y), unit * z, estimator=GAUSSIAN)
    assert found.interval == pytest.approx(expected.interval, abs=1e-9)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**20), st.integers(1, 2), st.booleans())
def test_x_and_y_may_be_exchanged(seed: int, width: int, labelled: bool) -> None:
    table = draw(random_covariance(4), 80, seed)
    x, y, z = table[:, :width], table[:, 2], table[:, 3:]
    if labelled:
        y = y > 0
    there, back = (conditional_mutual_info(*p, z, estimator=QUICK) for p in ((x, y), (y, x)))
    assert there.value == back.value
    assert there.interval == back.interval


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**20))
def test_permuted_rows_give_the_same_value_up_to_chance(seed: int) -> None:
    table = draw(random_covariance(3), 400, seed)
    shuffled = np.random.default_rng(seed).permutation(table)
    values = [conditional_mutual_info(*t.T, estimator=GAUSSIAN).value for t in (table, shuffled)]
    assert values[0] == pytest.approx(values[1], abs=0.02)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**20), st.integers(30, 100))
def test_independent_variables_are_never_below_zero(seed: int, n: int) -> None:
    x, y, z = np.random.default_rng(seed).standard_normal((3, n, 2))
    for found in (
        conditional_mutual_info(x, y, z, estimator=GAUSSIAN),
        total_correlation(x, y, z, estimator=GAUSSIAN),
        transfer_entropy(x, y, estimator=GAUSSIAN),
    ):
        low, high = found.interval
        assert 0 <= low <= found.value <= high


def test_constant_columns_count_for_nothing() -> None:
    x, y, z = draw(random_covariance(3), 300).T
    constant = np.ones(300)
    assert conditional_mutual_info(x, constant, z, estimator=QUICK).value == 0
    without = MutualInfoEstimator(["gaussian", "elliptical"], random_state=0).fit(x, y).mutual_info_
    given_constant = conditional_mutual_info(x, y, constant, estimator=QUICK)
    assert given_constant.value == pytest.approx(without, abs=0.02)


def test_infinite_information_is_warned_of_or_refused() -> None:
    x, y, z = draw(random_covariance(3), 300).T
    with pytest.warns(UserWarning, match=r"I\(x; y, z\) is infinite"):
        assert conditional_mutual_info(x, x, z, estimator=QUICK).value == np.inf
    with pytest.warns(UserWarning, match="is infinite"):
        assert total_correlation(x, y, y**3, estimator=QUICK).value == np.inf


def test_a_known_variable_has_no_conditional_information() -> None:
    x, y, z = draw(random_covariance(3), 300).T
    for pair in ((z, x), (x, z)):
        found = conditional_mutual_info(*pair, np.column_stack([y, z]), estimator=GAUSSIAN)
        assert contains(found, 0.0, width=0.02)
    with pytest.raises(ValueError, match="x and y each have a relation with z"):
        conditional_mutual_info(x, y**3, np.column_stack([x, y]), estimator=GAUSSIAN)


def test_a_wide_interval_names_its_term() -> None:
    table = draw(random_covariance(9), 60)
    with pytest.warns(UserWarning, match=r"60 rows do not resolve .* that of I\([xy]; [xy], z\)"):
        conditional_mutual_info(table[:, :3], table[:, 3:6], table[:, 6:], estimator=GAUSSIAN)


def test_estimates_repeat() -> None:
    table = draw(random_covariance(3), 100)
    first, second = (conditional_mutual_info(*table.T, estimator=QUICK) for _ in range(2))
    np.testing.assert_array_equal(first.pointwise, second.pointwise)
    assert not hasattr(QUICK, "mutual_info_")


def test_the_columns_of_a_data_frame_are_variables() -> None:
    table = draw(random_covariance(3), 100)
    frame = pd.DataFrame(table, columns=["a", "b", "c"])
    found = total_correlation(*np.asarray(frame).T, estimator=GAUSSIAN)
    assert found.value == total_correlation(*table.T, estimator=GAUSSIAN).value


ROWS = np.random.default_rng(0).standard_normal(40)
FRAME = pd.DataFrame({"a": ROWS, "b": ROWS**2})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conditional_mutual_info(ROWS, ROWS[1:], ROWS), "x, y, z must have the same .* 39"),
        (lambda: conditional_mutual_info(ROWS, ROWS * np.nan, ROWS), "y contains NaN"),
        (lambda: conditional_mutual_info(ROWS, ROWS**2, np.arange(40).astype(str)), "fewer than"),
        (lambda: conditional_mutual_info(np.eye(40), ROWS, ROWS[::-1]), "x.* cannot be estimated"),
        (lambda: total_correlation(ROWS), r"least 2 variables; got 1. .*\*np.asarray"),
        (lambda: total_correlation(*FRAME), r"x1 .* single value 'a': .*\*np.asarray\(frame\).T"),
        (
            lambda: total_correlation(ROWS.reshape(4, 5, 2), ROWS),
            r"x1.reshape\(4, -1\) or x1.reshape\(-1, 2\)",
        ),
        (lambda: total_correlation(ROWS, ROWS[:30]), "x1, x2 must have .* got 40, 30"),
        (lambda: transfer_entropy(ROWS, ROWS[1:]), "source, target must have the same number"),
        (lambda: transfer_entropy(ROWS, ROWS, lag=0), "lag must be a positive integer, got 0"),
        (lambda: transfer_entropy(ROWS, ROWS, lag=1.5), "lag must be a positive integer, got 1.5"),
        (lambda: transfer_entropy(ROWS, ROWS, lag=35), "40 time points, of which lag=35 leaves 5"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_other_estimators_and_unknown_candidates_are_refused() -> None:
    with pytest.raises(TypeError, match="estimator must be a MutualInfoEstimator or None"):
        total_correlation(ROWS, ROWS, estimator="gaussian")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="candidates must be 'auto' or some of"):
        total_correlation(ROWS, ROWS**2, estimator=MutualInfoEstimator(["gaussian", "magic"]))


def test_slow_series_are_warned_of() -> None:
    walks = np.random.default_rng(0).standard_normal((3, 250)).cumsum(1)
    with pytest.warns(UserWarning, match="as in a time series"):
        total_correlation(*walks, estimator=GAUSSIAN)
