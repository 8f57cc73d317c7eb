"""MutualInfoEstimator: values on closed forms, invariances, labels, bad input."""

from __future__ import annotations

import math
import pickle
import tracemalloc
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.stats import entropy
from sklearn.base import clone
from sklearn.metrics import mutual_info_score

from sk_mige import MutualInfoEstimator
from sk_mige.dependence import _mutual_info
from sk_mige.dependence._label_information import LEAF_VALUES, _classifier
from sk_mige.dependence._shared_values import have_equal_values
from sk_mige.dependence._variables import warn_of_series
from sk_mige.information.residuals import LinearResiduals

# Small samples keep the tests fast.
pytestmark = pytest.mark.filterwarnings("ignore:.*rows do not resolve")

QUICK = ("gaussian", "elliptical", "mixture")


def quick(*candidates: str) -> MutualInfoEstimator:
    return MutualInfoEstimator(list(candidates or QUICK), random_state=0, device="cpu")


def gaussian_pair(n: int, d: int, rho: float = 0.8, seed: int = 0) -> tuple:
    x, noise = np.random.default_rng(seed).standard_normal((2, n, d))
    return x, rho * x + np.sqrt(1 - rho**2) * noise, -0.5 * d * np.log(1 - rho**2)


def contains(estimator: MutualInfoEstimator, truth: float) -> bool:
    low, high = estimator.interval_
    return low <= truth <= high


@pytest.mark.parametrize("d", [1, 2, 5])
def test_gaussian_pairs_have_their_closed_form(d: int) -> None:
    x, y, truth = gaussian_pair(2000, d)
    estimator = quick().fit(x, y)
    assert abs(estimator.mutual_info_ - truth) < 0.05 + 0.03 * truth
    assert contains(estimator, truth)


def test_independent_pairs_have_no_information() -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 1000, 2))
    estimator = quick().fit(x, y)
    assert estimator.mutual_info_ < 0.02
    assert estimator.interval_[0] == 0
    assert estimator.permutation_test(99) > 0.05


def test_student_pairs_share_information_without_correlation() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((4000, 2)) / np.sqrt(rng.chisquare(1, (4000, 1)))
    estimator = quick().fit(z[:, :1], z[:, 1:])
    assert abs(estimator.mutual_info_ - 0.224) < 0.04
    assert estimator.permutation_test(99) == 0.01


def test_equal_means_and_unlike_scales_are_described() -> None:
    rng = np.random.default_rng(0)
    scales = np.array([1.0, 10.0])
    z = rng.standard_normal((1500, 4)) * scales[rng.integers(2, size=(1500, 1))]

    def log_density(z: np.ndarray) -> np.ndarray:
        k = z.shape[1]
        norms = (z**2).sum(1, keepdims=True) / scales**2
        return np.log((np.exp(-norms / 2) / (2 * math.pi) ** (k / 2) / scales**k).mean(1))

    x, y = z[:, :2], z[:, 2:]
    own = log_density(z) - log_density(x) - log_density(y)
    estimator = quick("gaussian", "elliptical", "mixture").fit(x, y**3)
    assert abs(estimator.mutual_info_ - 0.527) < 0.04  # the mean of ``own`` for many rows
    assert estimator.interval_[0] < 0.527 < estimator.interval_[1]
    assert np.corrcoef(estimator.pointwise_, own)[0, 1] > 0.8


@pytest.mark.parametrize(("d", "information"), [(2, 0.145), (4, 0.307)])
def test_the_interval_of_a_ball_holds_the_information(d: int, information: float) -> None:
    """The value is log V(d) - 2 log V(d/2) + (d/2) (psi(d/2 + 1) - psi(d/4 + 1))."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((1500, d))
    z *= (rng.random(1500) ** (1 / d) / np.linalg.norm(z, axis=1))[:, None]
    estimator = quick("gaussian", "elliptical", "mixture").fit(z[:, : d // 2], z[:, d // 2 :])
    assert estimator.mutual_info_ > 0.6 * information
    assert estimator.interval_[0] < information < estimator.interval_[1]


def test_neighbours_resolve_a_fast_oscillation() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(3000)
    smooth = quick("gaussian", "neighbors").fit(x, np.sin(8 * x) + 0.3 * rng.standard_normal(3000))
    weights = dict(zip(smooth.results_["candidate"], smooth.results_["weight"], strict=True))
    assert weights["neighbors"] > 0.99
    assert 0.6 < smooth.mutual_info_ < 0.9


def test_network_finds_what_references_miss() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 2))
    y = x[:, :1] * x[:, 1:] + 0.3 * rng.standard_normal((1000, 1))
    estimator = quick("gaussian", "network").fit(x, y)
    weights = dict(zip(estimator.results_["candidate"], estimator.results_["weight"], strict=True))
    assert weights["network"] > 0.99
    assert estimator.mutual_info_ > 0.3


@pytest.mark.slow
def test_clusters_share_no_more_than_their_class() -> None:
    rng = np.random.default_rng(0)
    k = rng.integers(10, size=3000)
    x, y = (c[k] + rng.standard_normal((3000, 16)) for c in 10 * rng.standard_normal((2, 10, 16)))
    value = MutualInfoEstimator(random_state=0, device="cpu").fit(x, y).mutual_info_
    assert 2.2 < value <= np.log(10)


def test_a_class_of_ten_is_at_most_log_ten() -> None:
    rng = np.random.default_rng(0)
    k = rng.integers(10, size=1000)
    x = 10 * rng.standard_normal((10, 4))[k] + rng.standard_normal((1000, 4))
    estimator = quick("linear", "quadratic").fit(x, k)
    assert 2.2 < estimator.mutual_info_ <= np.log(10) + 0.01
    assert estimator.interval_[1] <= np.log(10) + 0.01


@pytest.mark.parametrize("cv", [2, 3, 5])
def test_neighbours_suit_the_fewest_rows(cv: int) -> None:
    labels = np.arange(10) % 2
    x = labels + 0.1 * np.random.default_rng(0).standard_normal(10)
    estimator = quick("neighbors").set_params(cv=cv).fit(x, labels.astype(str))
    assert 0 <= estimator.mutual_info_ <= estimator.interval_[1] < 1


@pytest.mark.filterwarnings("ignore:.*rows do not resolve")
@pytest.mark.parametrize("seed", range(4))
def test_columns_that_are_constant_in_each_class_of_few_rows_have_finite_information(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    x = np.c_[rng.integers(0, 2, 15), rng.random(15) < 0.1].astype(float)
    y = rng.permutation(np.arange(15) % 3).astype(str)
    assert 0 <= MutualInfoEstimator(random_state=0).fit(x, y).mutual_info_ < 1


def test_labels_may_be_of_several_types() -> None:
    k = np.arange(400) % 4
    x = k + 0.1 * np.random.default_rng(0).standard_normal(400)
    expected = quick("quadratic").fit(x, np.array(["1", "2.5", "a", "b"])[k])
    found = quick("quadratic").fit(x, np.array([1, 2.5, "a", "b"], dtype=object)[k])
    assert found.mutual_info_ == pytest.approx(expected.mutual_info_, abs=0.01)


def test_numbers_beside_labels_in_lists_of_rows_remain_numbers() -> None:
    rng = np.random.default_rng(0)
    rows = [("ab"[k % 2], rng.normal()) for k in range(400)]
    y = np.array([number for _, number in rows]) + rng.standard_normal(400)
    expected = quick("gaussian", "linear").fit(np.array(rows, dtype=object), y)
    for same in (rows, tuple(map(list, rows))):
        assert quick("gaussian", "linear").fit(same, y).interval_ == expected.interval_


@pytest.mark.parametrize("kind", [str, bool, object])
def test_labels_of_any_type_give_the_same_value(kind: type) -> None:
    rng = np.random.default_rng(0)
    k = rng.integers(2, size=3000)
    x = rng.standard_normal((3000, 1)) + 2 * k[:, None]
    expected = quick("logistic").fit(x, k).mutual_info_
    assert quick("logistic").fit(x, k.astype(kind)).mutual_info_ == pytest.approx(expected)
    # I(k; k + N(0, 1) / 2) = .336 nats
    assert abs(expected - 0.336) < 0.02


def test_labels_may_be_on_either_side() -> None:
    rng = np.random.default_rng(0)
    k = rng.integers(3, size=600)
    x = rng.standard_normal((600, 2)) + k[:, None]
    left, right = quick("linear").fit(x, k), quick("linear").fit(k, x)
    assert left.mutual_info_ == right.mutual_info_
    np.testing.assert_allclose(left.pmi(x[:20], k[:20]), right.pmi(k[:20], x[:20]))


def test_two_labels_have_the_information_of_their_table() -> None:
    rng = np.random.default_rng(0)
    k = rng.integers(10, size=3000)
    other = (k + rng.integers(2, size=3000)) % 10
    estimator = MutualInfoEstimator(random_state=0).fit(k, other)
    assert abs(estimator.mutual_info_ - np.log(5)) < 0.01
    assert estimator.permutation_test(19) == 0.05


@settings(max_examples=5)
@given(seed=st.integers(0, 100), of_x=st.booleans(), k=st.integers(0, 1))
@example(seed=27, of_x=True, k=0)  # independent components replace the columns of x
def test_the_sign_of_a_column_changes_nothing(seed: int, of_x: bool, k: int) -> None:
    x, y, _ = gaussian_pair(100, 2, seed=seed)
    candidates = ("gaussian", "elliptical", "mixture", "neighbors")
    value = quick(*candidates).fit(x, y).mutual_info_
    (x if of_x else y)[:, k] *= -1
    assert quick(*candidates).fit(x, y).mutual_info_ == pytest.approx(value, abs=1e-9)


@settings(max_examples=5, deadline=None)
@given(
    st.integers(0, 2**20),
    st.sampled_from([1e-150, 1e-3, 1e150]),
    st.sampled_from([np.exp, np.cbrt, np.arctan]),
)
def test_units_and_increasing_maps_change_nothing(seed: int, unit: float, increasing) -> None:
    x, y, _ = gaussian_pair(60, 1, seed=seed)
    expected = quick("gaussian", "elliptical").fit(x, y)
    found = quick("gaussian", "elliptical").fit(unit * increasing(x), y * unit)
    assert found.mutual_info_ == pytest.approx(expected.mutual_info_, abs=1e-9)
    assert found.interval_ == pytest.approx(expected.interval_, abs=1e-9)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**20), st.integers(1, 3), st.integers(1, 3))
def test_x_and_y_may_be_exchanged(seed: int, p: int, q: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((60, p)), rng.standard_normal((60, q))
    y[:, 0] += x[:, 0]
    there, back = quick().fit(x, y), quick().fit(y, x)
    assert there.mutual_info_ == back.mutual_info_
    assert there.interval_ == back.interval_
    np.testing.assert_allclose(there.pmi(x[:5], y[:5]), back.pmi(y[:5], x[:5]))


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**20))
def test_permuted_rows_give_the_same_value_up_to_chance(seed: int) -> None:
    x, y, truth = gaussian_pair(400, 1, seed=seed)
    order = np.random.default_rng(seed).permutation(400)
    # Other folds change the value by about 0.004 nats, and by 0.021 in one of 400 samples.
    values = [quick("gaussian").fit(x[o], y[o]).mutual_info_ for o in (slice(None), order)]
    assert values[0] == pytest.approx(values[1], abs=0.05)
    assert values[0] == pytest.approx(truth, abs=0.2)


@pytest.mark.parametrize("column", [0, 1])
def test_sorted_rows_share_as_much_as_unsorted_rows(column: int) -> None:
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 7, 600)
    z = np.c_[np.cos(angle), np.sin(angle)] + 0.1 * rng.standard_normal((600, 2))
    x, y = z[z[:, column].argsort()].T
    estimator = quick("mixture").fit(x, y)
    assert estimator.mutual_info_ > 0.35  # unsorted rows give .4 to .8 nats
    # Rows keep their places.
    assert np.corrcoef(estimator.pointwise_, estimator.pmi(x, y))[0, 1] > 0.5


def test_repeated_fits_are_equal_and_survive_pickling() -> None:
    x, y, _ = gaussian_pair(200, 1)
    estimator = quick().fit(x, y)
    again = clone(estimator).set_params(cv=3).fit(x, y)
    stored = pickle.loads(pickle.dumps(estimator))
    assert again.mutual_info_ == estimator.mutual_info_ == stored.mutual_info_
    np.testing.assert_array_equal(stored.pmi(x, y), estimator.pmi(x, y))


@pytest.mark.parametrize("name", ["network", "neighbors", "mixture"])
def test_skops_stores_fitted_estimators(name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 2))
    y = x[:, :1] * x[:, 1:] + 0.3 * rng.standard_normal((300, 1))
    estimator = quick(name).fit(x, y)
    stored = skops.io.dumps(estimator)
    loaded = skops.io.loads(stored, trusted=skops.io.get_untrusted_types(data=stored))
    np.testing.assert_array_equal(loaded.pmi(x, y), estimator.pmi(x, y))


def test_skops_stores_estimators_of_labels() -> None:
    rng = np.random.default_rng(0)
    k = rng.integers(2, size=100)
    x = rng.standard_normal((100, 1)) + k[:, None]
    estimator = MutualInfoEstimator(random_state=0).fit(x, k)
    stored = skops.io.dumps(estimator)
    loaded = skops.io.loads(stored, trusted=skops.io.get_untrusted_types(data=stored))
    np.testing.assert_array_equal(loaded.pmi(x, k), estimator.pmi(x, k))


def test_labels_in_place_of_numbers_are_named_by_pmi() -> None:
    x, y, _ = gaussian_pair(200, 1, rho=0.5)
    found = quick("gaussian").fit(x, y)
    for labels in (
        np.full((3, 1), "a"),
        np.full((3, 1), "nan"),
        np.full((3, 1), "b", dtype=object),
    ):
        with pytest.raises(ValueError, match="X has labels such as .* that held numbers"):
            found.pmi(labels, y[:3])


def test_pmi_is_the_log_density_ratio() -> None:
    x, y, _ = gaussian_pair(4000, 1)
    new_x, new_y, _ = gaussian_pair(200, 1, seed=9)
    exact = (-0.5 * np.log(0.36) - (new_y - 0.8 * new_x) ** 2 / 0.72 + new_y**2 / 2)[:, 0]
    found = quick("gaussian").fit(x, y).pmi(new_x, new_y)
    assert np.abs(found - exact).mean() < 0.1


def test_ties_do_not_add_information() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.poisson(200, 800), rng.standard_normal(800)
    assert quick().fit(x, y).mutual_info_ < 0.03


def test_copied_rows_count_once() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(300)
    y = np.sin(4 * x) + 0.3 * rng.standard_normal(300)
    once = quick("gaussian", "neighbors").fit(x, y)
    often = quick("gaussian", "neighbors").fit(np.tile(x, 4), np.tile(y, 4))
    assert often.mutual_info_ == once.mutual_info_
    assert often.interval_ == once.interval_
    np.testing.assert_array_equal(often.pointwise_, np.tile(once.pointwise_, 4))


def test_groups_of_equal_rows_may_be_copies() -> None:
    rng = np.random.default_rng(0)
    group, means = rng.integers(30, size=100), rng.standard_normal((2, 30))
    with pytest.warns(UserWarning, match=r"7\d of 100 rows are copies"):
        quick("gaussian").fit(*means[:, group])


@pytest.mark.parametrize("n_columns", [1, 2])
def test_zeros_with_equal_labels_are_no_copies(n_columns: int) -> None:
    rng = np.random.default_rng(0)
    k = rng.integers(3, size=800)
    is_zero = rng.random(800) < np.array([0.8, 0.5, 0.2])[k]  # I(k; zero) = .128 nats
    x = rng.lognormal(size=(800, n_columns)) * ~is_zero[:, None]
    related, unrelated = (quick("linear", "trees").fit(x, z) for z in (k, rng.permutation(k)))
    assert related.interval_[0] < 0.128 < related.interval_[1] < 0.2
    assert unrelated.interval_[1] < 0.05


def test_equal_rows_of_rounded_values_stay_in_one_fold() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 600)).round(1)
    estimator = quick("gaussian").fit(x, y)
    pairs = np.unique(np.stack([x, y]), axis=1, return_inverse=True)[1].ravel()
    folds = {(pair, fold) for pair, fold in zip(pairs, estimator._folds, strict=True)}
    assert len(folds) == len(np.unique(pairs)) < 600


@cache
def plug_in(levels: float) -> float:
    """Information of a rounded pair of Gaussians with correlation .8, from a large sample."""
    rng = np.random.default_rng(1)
    x, noise = rng.standard_normal((2, 500_000))
    pair = [np.round(levels * z).astype(int) for z in (x, 0.8 * x + 0.6 * noise)]
    return float(mutual_info_score(*pair))


@pytest.mark.parametrize(
    ("levels", "n", "n_columns"), [(1, 300, 1), (1, 3000, 2), (3, 300, 2), (3, 3000, 1)]
)
def test_the_interval_of_rounded_numbers_contains_the_information(levels, n, n_columns) -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.standard_normal((2, n, 2))
    x, y = (np.round(levels * z[:, :n_columns]) for z in (x, 0.8 * x + 0.6 * noise))
    low, high = MutualInfoEstimator(random_state=0, device="cpu").fit(x, y).interval_
    assert low < n_columns * plug_in(levels) < high


@pytest.mark.parametrize(("n", "noise"), [(500, 0), (3000, 0), (3000, 1)])
def test_the_information_of_equal_integers_is_finite(n: int, noise: int) -> None:
    rng = np.random.default_rng(0)
    ages = rng.integers(18, 100, size=n)
    low, high = quick().fit(ages, ages + noise * rng.integers(2, size=n)).interval_
    assert low < np.log(82) - noise * np.log(2) < high < 8


@pytest.mark.parametrize("n_rows", [300, 3000])
def test_rows_of_rare_labels_do_not_look_informative(n_rows) -> None:
    rng = np.random.default_rng(0)
    names = rng.integers(3, size=(n_rows, 6)).astype(str)  # most combinations are unique
    y = rng.integers(2, size=n_rows)
    found = MutualInfoEstimator(random_state=0).fit(names, y)
    assert found.interval_[0] == 0
    assert found.mutual_info_ < 0.2


def test_a_label_that_two_of_six_labels_determine_is_found() -> None:
    names = np.random.default_rng(0).integers(3, size=(3000, 6)).astype(str)
    y = names[:, 0] == names[:, 1]  # H(y) = .637 nats
    low, high = MutualInfoEstimator(random_state=0).fit(names, y).interval_
    assert low < 0.637 < high < low + 0.15


@pytest.mark.parametrize("kind", ["parity of bits", "shift of numbers"])
def test_few_of_many_columns_have_their_information_with_a_label(kind: str) -> None:
    rng = np.random.default_rng(0)
    if kind == "parity of bits":  # the 256 combinations of bits are too many for labels
        x = rng.integers(2, size=(1000, 8))
        y = x[:, 1] ^ x[:, 6] ^ (rng.random(1000) < 0.1)
        truth = 0.368  # log 2 minus the entropy of the noise
    else:
        y = rng.integers(2, size=400)
        x = rng.standard_normal((400, 50))
        x[:, 2:4] += 1.5 * y[:, None]
        truth = 0.363
    found = quick("linear", "trees").fit(x, y)
    assert found.interval_[0] < truth < found.interval_[1] < found.interval_[0] + 0.2
    are_few = ["few columns" in name for name in found.results_["candidate"]]
    assert found.results_["weight"][are_few].sum() > 0.5
    assert abs(found.pmi(x, y).mean() - truth) < 0.15


def test_names_of_a_single_column_need_no_indicator_for_each_name() -> None:
    rng = np.random.default_rng(0)
    k = rng.integers(1000, size=5000)
    names, label = k.astype(str), (k + (rng.random(5000) < 0.1)) % 2
    tracemalloc.start()
    estimator = MutualInfoEstimator(random_state=0).fit(names, label.astype(str))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5000 * 1000 * 8 / 2
    low, high = estimator.interval_
    assert low < np.log(2) + 0.9 * np.log(0.9) + 0.1 * np.log(0.1) < high
    new = estimator.pmi(names[::-1], label[::-1].astype(str))
    np.testing.assert_array_equal(new, estimator.pmi(names, label.astype(str))[::-1])


def test_many_labels_are_compared_without_boosting_unless_it_is_named() -> None:
    rng = np.random.default_rng(0)
    k = rng.permutation(800) % 60
    x = k + rng.normal(size=800)
    tried = [
        MutualInfoEstimator(candidates, random_state=0).fit(x, k.astype(str)).results_["candidate"]
        for candidates in ("auto", ["linear", "boosting"])
    ]
    assert ["boosting" in names for names in tried] == [False, True]


def test_too_many_probabilities_of_labels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mutual_info, "MAX_PROBABILITIES", 2000)
    k = np.arange(400) % 8
    with pytest.raises(ValueError, match="Y has 8 distinct labels in 400 rows.*at most 250 rows"):
        MutualInfoEstimator().fit(np.random.default_rng(0).normal(size=400), k.astype(str))


def test_too_many_rare_labels_beside_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mutual_info, "MAX_INDICATORS", 20)
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"number": rng.normal(size=200), "name": rng.permutation(200) % 40})
    with pytest.raises(ValueError, match="column 1 of X has 40 distinct labels.*at most 20"):
        MutualInfoEstimator().fit(x.astype({"name": str}), rng.normal(size=200))


def test_trees_of_many_rows_and_labels_have_a_bounded_size() -> None:
    x = np.random.default_rng(0).normal(size=(20_000, 1))
    _, trees = _classifier("trees", 20_000, 50, 1, 0).fit(x, np.arange(20_000) % 50).steps
    assert sum(tree.tree_.value.size for tree in trees[1].estimators_) < 2 * 25 * LEAF_VALUES


def test_a_name_for_each_row_leaves_the_information_open() -> None:
    y = np.arange(300) % 2
    found = MutualInfoEstimator(random_state=0).fit(np.arange(300).astype(str), y)
    assert found.interval_ == (0, pytest.approx(np.log(2), abs=0.01))


def test_strings_that_can_be_read_as_numbers_are_labels() -> None:
    y = np.arange(60) % 2
    for labels in (["nan", "inf"], ["1e400", "2"]):
        named = np.array(labels)[y]
        for x in (named, named.astype(object)):
            found = MutualInfoEstimator(random_state=0).fit(x, y)
            assert found.mutual_info_ == pytest.approx(np.log(2), abs=0.05)


def test_the_parity_of_three_bits_is_their_information() -> None:
    bits = np.random.default_rng(0).integers(2, size=(500, 3))
    low, high = MutualInfoEstimator(random_state=0).fit(bits, bits.sum(1) % 2).interval_
    assert low < np.log(2) < high + 0.01 < low + 0.05


@pytest.mark.parametrize(
    "values", [np.ma.masked_greater([[1.0], [2.0]] * 20, 1.5), np.empty((0, 2))]
)
def test_masked_and_empty_values_are_refused_by_name(values) -> None:
    with pytest.raises(ValueError, match="X has"):
        MutualInfoEstimator().fit(values, values)


def test_rotated_uniform_columns_have_the_same_information() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((2000, 2))
    y = x + 0.5 * rng.random((2000, 2))
    turn = np.array([[1, 1], [-1, 1]])
    plain, turned = quick("network").fit(x, y), quick("network").fit(x @ turn, y @ turn)
    assert turned.mutual_info_ == pytest.approx(plain.mutual_info_, rel=0.1)


def test_a_large_information_of_rotated_columns_is_estimated_from_components() -> None:
    x, y, truth = gaussian_pair(2000, 3, rho=0.99)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    with pytest.warns(UserWarning, match="too large"):
        estimator = quick("gaussian").fit(x**3 @ rotation, y**3 @ rotation.T)
    assert 0.8 * truth < estimator.mutual_info_ < truth
    assert estimator.interval_[1] == np.inf
    assert np.isfinite(estimator.pmi(x[:3] ** 3 @ rotation, y[:3] ** 3 @ rotation.T)).all()


@pytest.mark.parametrize("side", [0, 1])
def test_renamed_or_exchanged_columns_of_new_rows_are_refused(side: int) -> None:
    x, y, _ = gaussian_pair(50, 2)
    frames = [pd.DataFrame(x, columns=["a", "b"]), pd.DataFrame(y, columns=["c", "d"])]
    fitted = quick("gaussian").fit(*frames)
    np.testing.assert_array_equal(fitted.pmi(*frames), fitted.pmi(x, y))
    frames[side] = frames[side].iloc[:, ::-1]
    with pytest.raises(ValueError, match=f"{'XY'[side]} has the columns .*, but fit received"):
        fitted.pmi(*frames)


def test_string_columns_keep_their_codes_in_new_rows() -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], 300).astype(object)
    x = np.stack([rng.standard_normal(300).astype(object), kind], axis=1)
    y = (kind == "c") + rng.standard_normal(300)
    estimator = quick("gaussian").fit(x, y)
    last = kind == "c"
    np.testing.assert_allclose(estimator.pmi(x[last], y[last]).mean(), 0, atol=1)
    assert estimator.pmi(x[last], y[last]).mean() > 0.02
    with pytest.raises(ValueError, match=r"X has labels \['d'\] that were not"):
        estimator.pmi(np.array([[0.0, "d"]], dtype=object), [0.0])


def test_constant_columns_count_for_nothing() -> None:
    x, y, _ = gaussian_pair(300, 1)
    wide = np.hstack([x, np.ones_like(x)])
    value = quick("gaussian").fit(x, y).mutual_info_
    assert quick("gaussian").fit(wide, y).mutual_info_ == pytest.approx(value, abs=0.02)
    constant = quick("gaussian").fit(np.ones(300), y)
    assert constant.mutual_info_ == 0
    assert constant.permutation_test(9) == 1


def test_linear_relation_has_infinite_information() -> None:
    x = np.random.default_rng(0).standard_normal((100, 2))
    with pytest.warns(UserWarning, match="information is infinite"):
        estimator = quick().fit(x, np.exp(x[:, 0]))
    assert np.isinf(estimator.mutual_info_)
    with pytest.raises(ValueError, match="X and Y have a relation without noise"):
        estimator.pmi(x, np.exp(x[:, 0]))


@pytest.mark.parametrize("kind", ["uniform", "heavy tails", "float32", "integers", "copied column"])
def test_linear_relation_of_any_columns_has_infinite_information(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = {
        "uniform": rng.random((300, 2)),
        "heavy tails": rng.standard_cauchy((300, 2)),
        "float32": (100 + rng.random((300, 2))).astype(np.float32),
        "integers": rng.integers(10**6, size=(300, 2)),
        "copied column": rng.random((300, 1)) @ [[1, 0, 1]] + rng.random((300, 1)) @ [[0, 1, 0]],
    }[kind]
    for pair in ((x, x.sum(1)), (x.sum(1), x)):
        with pytest.warns(UserWarning, match="infinite"):
            assert quick("gaussian").fit(*pair).interval_ == (np.inf, np.inf)


@pytest.mark.parametrize("kind", ["parity", "stripes", "magnitude", "radius"])
def test_labels_that_no_linear_rule_predicts_have_their_information(kind: str) -> None:
    rng = np.random.default_rng(0)
    x, flipped = rng.standard_normal((1000, 2)), rng.random(1000) < 0.1
    label = {
        "parity": (x > 0).sum(1) % 2 == 1,
        "stripes": np.floor(2 * x[:, 0]) % 2 == 1,
        "magnitude": abs(x[:, 0]) > 0.67,
        "radius": np.square(x).sum(1) > 1.39,
    }[kind]
    estimator = quick("linear", "boosting", "trees").fit(x, label ^ flipped)
    truth = np.log(2) + 0.1 * np.log(0.1) + 0.9 * np.log(0.9)
    assert abs(estimator.mutual_info_ - truth) < 0.05
    assert contains(estimator, truth)


@pytest.mark.parametrize("flipped", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["sum", "radius"])
def test_labels_of_a_rule_of_many_columns_have_their_information(kind: str, flipped: float) -> None:
    rng = np.random.default_rng(1)
    x, errors = rng.standard_normal((1000, 20)), rng.random(1000) < flipped
    label = {"sum": x.sum(1) > 0, "radius": np.square(x).sum(1) > 19.34}[kind]
    estimator = quick("linear", "quadratic", "logistic", "trees").fit(x, label ^ errors)
    truth = np.log(2) - (entropy([0.1, 0.9]) if flipped else 0)
    assert contains(estimator, truth)
    assert abs(estimator.mutual_info_ - truth) < 0.1


@pytest.mark.parametrize("seed", [1, 5, 7])
def test_the_interval_contains_the_information_of_a_noisy_rule(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1000, 20))
    label = (x @ rng.standard_normal(20) > 0) ^ (rng.random(1000) < 0.1)
    # Errors of the boundary hide about .06 nats.
    assert contains(quick("linear", "logistic").fit(x, label), np.log(2) - entropy([0.1, 0.9]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_steady_learning_curve_leaves_the_information_of_a_label_open(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, form = rng.standard_normal((1500, 20)), rng.standard_normal((20, 20))
    values = ((x @ form) * x).sum(1)
    assert contains(quick("quadratic").fit(x, values > np.median(values)), np.log(2))


def test_a_rare_class_does_not_hide_the_covariances_of_other_classes() -> None:
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], [300, 300, 8])
    x = np.array([0.5, 1.5, 0.5])[label, None] * rng.standard_normal((608, 16))
    x[label == 2] += 5
    estimator = quick("linear", "quadratic").fit(x, label)
    assert estimator.mutual_info_ > entropy(np.bincount(label)) - 0.05


def test_rounded_measurements_have_a_finite_interval() -> None:
    x, y, truth = gaussian_pair(3000, 1)
    assert contains(quick("gaussian").fit(x.round(1), y.round(1)), truth)


def test_few_rows_per_column_leave_the_information_of_a_label_open() -> None:
    x = np.random.default_rng(0).standard_normal((150, 300))
    label = x[:, :30].sum(1) > 0
    with pytest.warns(UserWarning, match="do not resolve"):
        estimator = quick("linear").fit(x, label)
    assert contains(estimator, np.log(2))


@pytest.mark.parametrize("seed", [1, 5])
def test_the_choice_of_few_columns_leaves_the_information_of_the_others_open(seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((300, 90))
    label = 1.5 * x[:, 0] + x[:, 1:61].sum(1) / np.sqrt(60) > 0
    with pytest.warns(UserWarning, match="do not resolve"):
        estimator = quick("linear").fit(x, label)
    assert estimator.results_["weight"][-1] > 0.5  # linear of few columns
    assert contains(estimator, np.log(2))


def test_labels_independent_of_many_columns_have_no_information() -> None:
    rng = np.random.default_rng(0)
    x, label = rng.standard_normal((600, 20)), rng.integers(3, size=600)
    estimator = quick("linear", "quadratic", "neighbors", "trees").fit(x, label)
    assert estimator.mutual_info_ < 0.01
    assert estimator.interval_[0] == 0
    assert estimator.permutation_test(99) > 0.05


def test_trees_of_a_single_column_detect_stripes() -> None:
    rng = np.random.default_rng(0)
    x, flipped = rng.standard_normal(1000), rng.random(1000) < 0.1
    estimator = quick("linear", "trees").fit(x, (np.floor(2 * x) % 2 == 1) ^ flipped)
    low, high = estimator.interval_
    assert 0.1 < low < np.log(2) + 0.1 * np.log(0.1) + 0.9 * np.log(0.9) < high


@pytest.mark.parametrize("noise", [0.1, 0.01, 0.001])
@pytest.mark.parametrize("swapped", [False, True])
def test_small_noise_in_a_sum_of_columns_is_resolved(noise: float, swapped: bool) -> None:
    rng = np.random.default_rng(1)
    x, extra = rng.standard_normal((1000, 2)), rng.standard_normal((1000, 1))
    y = np.c_[x.sum(1) + noise * rng.standard_normal(1000), extra]
    estimator = quick("gaussian").fit(*((y, x) if swapped else (x, y)))
    truth = 0.5 * np.log(1 + 2 / noise**2)
    assert abs(estimator.mutual_info_ - truth) < 0.1
    assert contains(estimator, truth)
    assert estimator.permutation_test(9) == 0.1


@pytest.mark.parametrize("of_x", [False, True])
def test_noise_within_the_steps_of_a_grid_is_no_density(of_x: bool) -> None:
    rng = np.random.default_rng(0)
    k, other, noise, more = rng.integers(10, size=600), *rng.standard_normal((3, 600))
    on_grid, near = np.c_[k, other], k + 0.01 * noise
    estimator = quick().fit(on_grid, np.c_[near, more] if of_x else near)
    assert abs(estimator.mutual_info_ - np.log(10)) < 0.6


@pytest.mark.parametrize("unit", [1.0, 0.01, 1 / 3])
def test_noise_of_one_step_of_a_grid_with_few_equal_values_is_no_density(unit: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(100, size=50)
    y = x + rng.integers(2, size=50)
    pair = [torch.from_numpy(unit * z)[:, None] for z in (x, y)]
    assert not LinearResiduals(*pair).is_strong


def test_rounded_values_with_more_noise_than_steps_have_the_information_of_the_noise() -> None:
    z, noise, *others = np.random.default_rng(0).standard_normal((4, 3000))
    pair = z, z + 0.03 * noise
    x, y = (np.c_[column.round(2), other] for column, other in zip(pair, others, strict=True))
    with pytest.warns(UserWarning, match="lie near a surface"):
        estimator = quick("gaussian").fit(x, y)
    assert contains(estimator, 0.5 * np.log1p(1 / 0.03**2))


@pytest.mark.parametrize("seed", [1, 2])
def test_few_rows_are_the_first_cause_of_an_infinite_interval(seed: int) -> None:
    x, noise = np.random.default_rng(seed).standard_normal((2, 20, 3))
    with pytest.warns(UserWarning, match="^20 rows do not resolve .* Pass more rows"):
        estimator = MutualInfoEstimator(random_state=0).fit(x, x + noise)
    assert estimator.interval_[1] == np.inf


def test_pmi_of_small_noise_is_the_log_density_ratio() -> None:
    x, noise, new = np.random.default_rng(0).standard_normal((3, 2000))
    estimator = quick("gaussian").fit(x, x + 0.01 * noise)
    found = estimator.pmi(new, new + 0.01 * noise)
    exact = 0.5 * np.log(1 + 1e4) - 0.5 * noise**2 + 0.5 * new**2
    assert np.median(abs(found - exact)) < 0.3


def test_small_noise_on_clusters_has_no_more_information_than_labels_and_noise() -> None:
    rng = np.random.default_rng(0)
    centres = 5 * rng.standard_normal((6, 3))
    x = centres[rng.integers(6, size=600)] + rng.standard_normal((600, 3))
    estimator = quick("gaussian").fit(x, x + 0.1 * rng.standard_normal((600, 3)))
    most = np.log(6) + 1.5 * np.log(1 + 1 / 0.1**2)
    assert estimator.interval_[0] < most
    assert estimator.mutual_info_ < 1.05 * most


def test_one_outlier_makes_no_strong_relation() -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.random((1000, 1)), rng.standard_normal((1000, 1))
    plain = quick("gaussian").fit(x, x + noise)
    x[0] = 1e9
    assert abs(quick("gaussian").fit(x, x + noise).mutual_info_ - plain.mutual_info_) < 0.01


def test_function_without_noise_is_recognised() -> None:
    x = np.random.default_rng(0).standard_normal(1000)
    with pytest.warns(UserWarning, match="fewer dimensions"):
        estimator = quick("gaussian", "mixture").fit(x, x**3 - x)
    assert np.isinf(estimator.interval_[1])


@pytest.mark.parametrize("swap", [False, True])
def test_a_layer_without_noise_is_recognised_in_many_columns(swap: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1000, 16))
    pair = [x, np.tanh(x @ rng.standard_normal((16, 2)))]
    with pytest.warns(UserWarning, match="one variable predicts"):
        found = quick("gaussian").fit(*pair[:: -1 if swap else 1])
    assert np.isinf(found.interval_[1])


def test_counts_that_are_independent_of_many_columns_have_a_finite_interval() -> None:
    rng = np.random.default_rng(0)
    x, counts = rng.standard_normal((400, 12)), rng.poisson(0.3, (400, 6))
    assert np.isfinite(quick("gaussian").fit(x, counts).interval_[1])


def test_a_layer_with_noise_in_many_columns_has_a_finite_interval() -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.standard_normal((1000, 16)), rng.standard_normal((1000, 2))
    y = np.tanh(x @ rng.standard_normal((16, 2)) / 4 + 0.5 * noise)
    found = quick("gaussian").fit(x, y)
    assert np.isfinite(found.interval_[1])


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_an_oscillation_that_no_candidate_describes_is_said_to_be_unresolved(noise: float) -> None:
    x, e = np.random.default_rng(0).standard_normal((2, 1000))
    with pytest.warns(UserWarning, match=r"at least 0\.\d+ nats, because one variable predicts"):
        found = quick("gaussian").fit(x, np.sin(30 * x) + noise * e)
    assert found.interval_ == (0, np.inf)


@pytest.mark.parametrize("unit", [1, 3.7, 1e-30])
@pytest.mark.parametrize("share", [0.1, 0.4])
def test_numbers_that_are_equal_in_a_part_of_the_rows_have_infinite_information(
    share: float, unit: float
) -> None:
    rng = np.random.default_rng(0)
    x, e = rng.standard_normal((2, 500))
    with pytest.warns(UserWarning, match="infinite"):
        found = quick("gaussian").fit(unit * x, np.c_[e, np.where(rng.random(500) < share, x, e)])
    assert np.isinf(found.mutual_info_)


@pytest.mark.parametrize("unit", [3.7, 1e-30, 1e200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("origin", [0, 1000])
def test_equal_values_do_not_depend_on_the_units(unit: float, dtype: type, origin: float) -> None:
    rng = np.random.default_rng(0)
    x, e = (origin + rng.standard_normal((2, 500, 1))).astype(dtype)
    y = np.where(rng.random((500, 1)) < 0.3, x, e)
    unit = min(unit, 1e30) if dtype == np.float32 else unit
    scaled, *others = (z.astype(float) for z in (dtype(unit) * x, x, y, e))
    assert all(have_equal_values(z, others[1]) for z in (scaled, others[0], -scaled))
    assert not any(have_equal_values(z, others[2]) for z in (scaled, others[0], -scaled))


@pytest.mark.parametrize("kind", ["continuous", "decimal", "part constant", "rotated cubes"])
def test_units_of_columns_do_not_change_the_estimate(kind: str) -> None:
    x, e = np.random.default_rng(0).standard_normal((2, 400, 2))
    x = {"decimal": x.round(1), "part constant": np.maximum(x, 0)}.get(kind, x)
    y = x + e
    if kind == "rotated cubes":
        x, y = x**3 @ [[0.8, 0.6], [-0.6, 0.8]], y**3
    found = [
        quick("gaussian", "mixture", "additive").fit(unit * x, y).mutual_info_
        for unit in (1, 3.7, 1e-30)
    ]
    assert np.allclose(found, found[0], rtol=1e-9)


@pytest.mark.parametrize("decimals", [0, 1])
def test_rounded_numbers_that_are_often_equal_have_finite_information(decimals: int) -> None:
    x, e = np.random.default_rng(0).lognormal(3, 1.5, (2, 500))
    found = quick("gaussian").fit(np.round(x, decimals), np.round(x * e**0.1, decimals))
    assert np.isfinite(found.mutual_info_)


def test_decimals_with_few_different_steps_have_finite_information() -> None:
    rng = np.random.default_rng(0)
    t, e = rng.lognormal(3, 1, 100), rng.standard_normal(100)
    x, y = np.round(t, 1), np.round(t * np.exp(0.001 * e), 1)
    assert 0.5 < (x == y).mean() < 0.8
    for unit in (1, 0.1, 1e200):
        assert not have_equal_values(unit * x[:, None], unit * y[:, None])
        assert not have_equal_values(unit * x[:, None], 3.7 * y[:, None])


def test_noise_below_the_distance_of_ranks_is_said_to_be_unresolved() -> None:
    x, e = np.random.default_rng(0).standard_normal((2, 300))
    with pytest.warns(UserWarning, match="too large for this number of rows"):
        found = quick("gaussian", "elliptical").fit(x, (x + 1e-4 * e) ** 3)
    assert contains(found, -np.log(1e-4))


def test_small_clusters_make_no_density_of_a_strong_relation() -> None:
    rng = np.random.default_rng(0)
    k = rng.integers(100, size=500)
    u, v = rng.standard_normal((2, 500))
    assert contains(quick("gaussian", "neighbors").fit(100 * k + u, 100 * k + v), np.log(100))


def test_identifiers_of_rows_are_named() -> None:
    names = np.array([f"row {k}" for k in range(40)])
    table = np.array([*zip(names, range(40), strict=True)], dtype=object)
    for x in (names, table):
        with pytest.raises(ValueError, match="X has 40 distinct labels .* drop identifiers"):
            MutualInfoEstimator().fit(x, np.arange(40.0))


def test_a_wide_interval_is_warned_of() -> None:
    x, y, truth = gaussian_pair(60, 2, rho=0.9)
    with pytest.warns(UserWarning, match="do not resolve"):
        estimator = quick("gaussian").fit(x, y)
    assert contains(estimator, truth)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((20, 2)), np.zeros(19), "same number of rows; got 20, 19"),
        (np.arange(9.0), np.arange(9.0), "at least 10 are needed"),
        (np.full(20, np.nan), np.arange(20.0), "X contains NaN"),
        (np.arange(20.0), np.array([None] * 20), "Y contains NaN, None"),
        (pd.DataFrame({"a": pd.array([True, None] * 10)}), np.arange(20.0), "X contains NaN, None"),
        (np.arange(20.0), pd.array(["a", None] * 10), "Y contains NaN, None"),
        (pd.DataFrame({"a": [np.inf] * 20, "b": ["a"] * 20}), np.zeros(20), "X contains NaN, None"),
        (np.array(["2020", "NaT"] * 10, dtype="M8[D]"), np.arange(20.0), "X contains NaN, None"),
        ([[1.0], [1.0, 2.0]] * 10, np.arange(20.0), "X must have rows of equal length"),
        (np.array([1j] * 20, dtype=object), np.arange(20.0), "X has entries of type complex"),
        (np.zeros((20, 2, 2)), np.arange(20.0), r"X.reshape\(20, -1\)"),
        (np.zeros((20, 0)), np.arange(20.0), "X has no values"),
        (3.0, np.arange(20.0), "X is the single value 3.0"),
        (np.random.default_rng(0).standard_normal((20, 9)), np.arange(20.0), "3 rows per column"),
    ],
)
def test_bad_input_is_named(x, y, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick().fit(x, y)


def test_counts_with_many_values_have_their_information() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(1500)
    estimator = quick("linear", "ordered").fit(x, rng.poisson(np.exp(1 + x)))
    weights = dict(zip(estimator.results_["candidate"], estimator.results_["weight"], strict=True))
    assert weights["ordered"] > 0.9
    assert abs(estimator.mutual_info_ - 0.713) < 0.06  # by quadrature
    assert contains(estimator, 0.713)


def test_information_about_labels_is_at_most_the_log_of_their_number() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=150)
    x = 20 * np.eye(3)[label] + rng.standard_normal((150, 3))
    estimator = quick("linear", "quadratic").fit(x, label)
    assert estimator.mutual_info_ <= estimator.interval_[1] <= np.log(3)


@pytest.mark.filterwarnings("ignore:the 90 % interval")
def test_the_fewest_rows_have_an_interval() -> None:
    for seed in range(6):
        x, y, _ = gaussian_pair(12, 1, seed=seed)
        low, high = quick("gaussian", "mixture", "neighbors").fit(x, y).interval_
        assert low <= high


def test_labels_must_repeat() -> None:
    with pytest.raises(ValueError, match="Y has 20 distinct labels in 20 rows"):
        quick("linear").fit(np.arange(20.0), np.array(list("abcdefghijklmnopqrst")))


def test_sparse_matrices_and_structured_arrays_are_refused() -> None:
    with pytest.raises(TypeError, match="X is a structured array"):
        quick().fit(np.zeros(20, dtype=[("a", float)]), np.arange(20.0))
    with pytest.raises(TypeError, match=r"Y is a sparse matrix; pass Y.toarray\(\)"):
        quick().fit(np.arange(20.0), csr_matrix(np.eye(20)))


def test_unknown_candidates_and_columns_are_named() -> None:
    x, y, _ = gaussian_pair(50, 1)
    with pytest.raises(ValueError, match="candidates must be 'auto' or some of"):
        quick("gaussian", "magic").fit(x, y)
    with pytest.raises(ValueError, match="X has 2 columns, but fit received 1"):
        quick("gaussian").fit(x, y).pmi(np.hstack([x, x]), y)
    with pytest.raises(ValueError, match="n_permutations must be a positive integer"):
        quick("gaussian").fit(x, y).permutation_test(0)
    with pytest.raises(ValueError, match="n_permutations must be a positive integer, got 1.5"):
        quick("gaussian").fit(x, y).permutation_test(1.5)
    labels = np.repeat(["a", "b"], 25)
    fitted = quick("linear").fit(x, labels)
    with pytest.raises(ValueError, match="were not in the data passed to fit"):
        fitted.pmi(x[:1], ["c"])


def test_many_coordinates_of_few_rows_are_said_to_be_unresolved() -> None:
    x, y, truth = gaussian_pair(600, 40, 0.25)
    with pytest.warns(UserWarning, match="rows do not resolve the mutual information"):
        estimator = quick("gaussian", "elliptical").fit(x, y)
    assert contains(estimator, truth)


def test_the_choice_of_few_columns_leaves_the_copula_of_all_columns_open() -> None:
    rng = np.random.default_rng(1)
    z = rng.standard_normal((400, 40)) / np.sqrt(rng.chisquare(3, (400, 1)))
    with pytest.warns(UserWarning, match="rows do not resolve the mutual information"):
        estimator = quick("gaussian", "elliptical").fit(z[:, :20], z[:, 20:])
    assert "few" in estimator.results_["candidate"][estimator.results_["weight"].argmax()]
    assert contains(estimator, 0.793)  # the entropies of t distributions with 3 degrees of freedom


@pytest.mark.parametrize("seed", range(3))
def test_significant_correlations_of_many_columns_have_their_information(seed: int) -> None:
    x, y, truth = gaussian_pair(300, 20, 0.3, seed)
    assert abs(quick("gaussian").fit(x, y).mutual_info_ - truth) < 0.3


@pytest.mark.parametrize(("n", "p", "q", "count"), [(300, 30, 2, True), (600, 64, 4, False)])
def test_columns_with_a_few_nonzero_values_may_be_constant_in_a_fold(n, p, q, count):
    rng = np.random.default_rng(0)
    X = np.zeros((n, p))
    for column in X.T:
        rows = rng.choice(n, rng.integers(1, 4), replace=False)
        column[rows] = rng.integers(1, 9, len(rows)) if count else 1.0
    X[:, :3] = rng.standard_normal((n, 3))
    weights, noise = rng.standard_normal((p, q)), rng.standard_normal((n, q))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        estimator = MutualInfoEstimator(random_state=0).fit(X, X @ weights + 0.01 * noise)
    truth = 0.5 * np.linalg.slogdet(np.cov((X @ weights).T) / 1e-4 + np.eye(q))[1]
    low, high = estimator.interval_
    assert 1.0 < low < truth < high


def test_slow_series_are_warned_of() -> None:
    walks = np.random.default_rng(0).standard_normal((2, 300)).cumsum(1)
    with pytest.warns(UserWarning, match="differences of successive rows"):
        MutualInfoEstimator(["gaussian"], random_state=0).fit(*walks)
    MutualInfoEstimator(["gaussian"], random_state=0).fit(*np.diff(walks))


def autoregressive(a: float, seed: int) -> np.ndarray:
    series = np.random.default_rng(seed).standard_normal((2000, 1))
    for k in range(1, len(series)):
        series[k] += a * series[k - 1]
    return series


def test_a_slow_label_and_a_slow_number_are_warned_of() -> None:
    label = np.where(autoregressive(0.98, 0) > 0, "up", "down")
    with pytest.warns(UserWarning, match="differences of successive rows"):
        warn_of_series([label, autoregressive(0.98, 1)])


def test_labels_of_sorted_rows_are_no_slow_series() -> None:
    slow, steps = autoregressive(0.98, 1), np.random.default_rng(0).standard_normal((2000, 1))
    by_number = np.sort(steps, axis=0)
    warn_of_series([np.repeat(["a", "b"], 1000)[:, None], slow])
    warn_of_series([np.repeat([["a", "b"]] * 10, 100)[:, None], steps])
    warn_of_series([by_number, by_number + 0.5 * steps > 0])
    warn_of_series([np.sign(steps), slow])


def test_rows_sorted_by_class_are_no_series() -> None:
    rng = np.random.default_rng(0)
    centres = 3 * rng.standard_normal((3, 4))[np.sort(rng.integers(3, size=300))]
    warn_of_series([*(centres + rng.standard_normal((2, 300, 4)))])


def test_permutation_tests_of_independent_rows_seldom_have_small_p_values() -> None:
    """At 10 %, permutations without a larger variance reject 12 of 60 independent pairs."""
    p_values = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x, labels = rng.standard_normal((60, 10)), rng.integers(0, 3, 60)
        estimator = MutualInfoEstimator(["linear"], random_state=0).fit(x, labels)
        p_values.append(estimator.permutation_test(19))
    assert sum(p <= 0.1 for p in p_values) <= 7


def dates(n: int) -> tuple:
    """Return days in random order, and a number that increases with the day."""
    rng = np.random.default_rng(0)
    days = rng.permutation(n)
    return pd.Series(pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D")), days, rng


@pytest.mark.parametrize(
    "convert",
    [
        lambda days: days.dt.date,
        lambda days: days.dt.tz_localize("Europe/Berlin"),
        lambda days: (days - days[0]).astype(object),
        lambda days: pd.DataFrame({"day": days, "constant": 1.5}),
    ],
)
def test_dates_and_durations_of_every_type_are_numbers(convert) -> None:
    days, numbers, rng = dates(300)
    y = numbers / 100 + rng.standard_normal(300)
    expected = quick().fit(numbers, y).mutual_info_
    assert quick().fit(convert(days), y).mutual_info_ == pytest.approx(expected, abs=0.01)


def test_a_table_of_dates_and_labels_has_numbers_and_labels() -> None:
    days, numbers, rng = dates(300)
    table = pd.DataFrame({"day": days, "group": rng.choice(["a", "b"], 300)})
    found = quick("gaussian", "linear").fit(table, numbers / 100 + rng.standard_normal(300))
    truth = quick().fit(numbers, numbers / 100 + rng.standard_normal(300)).mutual_info_
    assert abs(found.mutual_info_ - truth) < 0.1


def test_categories_that_are_numbers_are_labels() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(60, size=600)
    y = 2.0 * (rng.permutation(60)[codes] % 2) + rng.standard_normal(600)
    estimator = quick("linear")
    named = estimator.fit(codes.astype(str), y).mutual_info_
    assert named > 0.2
    assert estimator.fit(pd.Series(codes, dtype="category"), y).mutual_info_ == named
    assert estimator.fit(pd.DataFrame({"code": pd.Categorical(codes)}), y).mutual_info_ == named


@pytest.mark.parametrize(("candidate", "n_columns"), [("network", 1), ("neighbors", 4)])
def test_candidates_that_do_not_apply_to_the_columns_raise_an_error(candidate, n_columns) -> None:
    x, y, _ = gaussian_pair(100, n_columns)
    with pytest.raises(ValueError, match=f"no candidate of .*{candidate}.* applies to"):
        quick(candidate).fit(x, y)


def test_combinations_of_columns_do_not_hide_the_edges_of_noise() -> None:
    x, noise = np.random.default_rng(0).random((2, 1000, 2))
    table = np.column_stack([x, x.sum(1), x[:, 0] - x[:, 1]])
    found = quick("gaussian", "additive").fit(table, x[:, 0] + 0.5 * noise[:, 0])
    assert abs(found.mutual_info_ - (0.25 + np.log(2))) < 0.05
