"""Tables that share repeated values, or that mix labels and numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import skops.io

from sk_mige import MutualInfoEstimator
from sk_mige.dependence._shared_values import common_clusters

pytestmark = pytest.mark.filterwarnings("ignore:.*rows do not resolve")

N = 600


def fitted(x, y) -> MutualInfoEstimator:
    candidates = ["gaussian", "linear", "quadratic"]
    return MutualInfoEstimator(candidates, random_state=0, device="cpu").fit(x, y)


def contains(estimator: MutualInfoEstimator, truth: float) -> bool:
    low, high = estimator.interval_
    return low - 0.03 <= truth <= high + 0.03 < low + 0.6


def draw(seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    return rng, rng.integers(10, size=N), *rng.standard_normal((2, N))


@pytest.mark.parametrize("kind", ["same", "relabelled", "indicators", "strings", "affine", "noise"])
def test_a_shared_column_has_its_entropy(kind: str) -> None:
    rng, k, u, v = draw()
    other = {
        "same": k,
        "relabelled": rng.permutation(10)[k],
        "indicators": np.eye(10)[k],
        "strings": np.array(list("abcdefghij"))[k].astype(object),
        "affine": 0.1 * k + 3,
        "noise": np.c_[k, rng.standard_normal(N)],
    }[kind]
    found = fitted(np.c_[k, u], np.column_stack([other, v]))
    assert contains(found, np.log(10))


@pytest.mark.parametrize("levels", [10, 200])
@pytest.mark.parametrize("shift", [0, 3])
def test_numbers_add_their_information_given_the_shared_values(levels: int, shift: int) -> None:
    rng, _, u, v = draw()
    k = rng.integers(levels, size=N)
    found = fitted(np.c_[k, u + shift * k], np.c_[k, 0.8 * u + 0.6 * v - shift * k])
    assert contains(found, np.log(levels) - np.log(0.6))


def test_the_dependence_of_numbers_may_differ_between_classes() -> None:
    _, k, u, v = draw()
    found = fitted(np.c_[k, u], np.c_[k, np.where(k > 4, 0.8, -0.8) * u + 0.6 * v])
    assert contains(found, np.log(10) - np.log(0.6))


def test_shapes_of_classes_extend_the_interval_to_the_entropy_of_the_class() -> None:
    rng = np.random.default_rng(0)
    k = rng.integers(2, size=1000)
    signs, noise = rng.choice([-1.0, 1.0], (2, 1000)), rng.standard_normal((2, 1000))
    # Given the class, x and y are independent, but their shapes are those of the class.
    x, y = np.where(k, signs + 0.1 * noise, noise**3)
    found = MutualInfoEstimator(["gaussian", "mixture"], random_state=0)
    low, high = found.fit(np.column_stack([k, x]), np.column_stack([k, y])).interval_
    assert low < np.log(2) < high


def test_several_shared_columns_have_their_joint_entropy() -> None:
    rng, _, u, v = draw()
    k = rng.integers(5, size=(N, 3))
    assert contains(fitted(np.c_[k, u], np.c_[k[:, ::-1], v]), 3 * np.log(5))


def test_a_sum_of_integers_has_the_entropy_of_the_sum() -> None:
    rng, _, u, v = draw()
    k = rng.integers(100, size=(N, 2))
    p = np.convolve(np.full(100, 0.01), np.full(100, 0.01))
    assert contains(fitted(np.c_[k, u], np.c_[k.sum(1), v]), -p @ np.log(p))


def test_a_coarser_copy_has_the_entropy_of_the_copy() -> None:
    _, k, u, v = draw()
    assert contains(fitted(np.c_[k, u], np.c_[k // 2, v]), np.log(5))


def test_counts_with_rare_values_have_their_entropy() -> None:
    rng, _, u, v = draw()
    k = rng.poisson(4, N)
    assert contains(fitted(np.c_[k, u], np.c_[k, v]), 2.087)


def test_shared_numbers_that_are_often_zero_are_infinite() -> None:
    rng, _, u, v = draw()
    rain = np.where(rng.random(N) < 0.6, 0, rng.random(N))
    with pytest.warns(UserWarning, match="infinite"):
        assert np.isinf(fitted(np.c_[rain, u], np.c_[rain, v]).mutual_info_)


def test_a_label_that_numbers_determine_has_its_entropy() -> None:
    _, _, u, v = draw()
    found = MutualInfoEstimator(["gaussian", "boosting"], random_state=0)
    assert contains(found.fit(u, np.c_[np.sign(u), v]), np.log(2))


def test_labels_and_numbers_that_share_nothing_have_no_information() -> None:
    rng, k, u, v = draw()
    found = fitted(np.c_[k, u], np.c_[rng.integers(4, size=N), v])
    assert found.interval_[0] == 0
    assert found.interval_[1] < 0.1
    assert found.permutation_test(19) > 0.05


def test_results_list_the_terms() -> None:
    _, k, u, v = draw()
    found = fitted(np.c_[k, u], np.c_[k, v])
    terms = set(found.results_["candidate"])
    assert terms - {"I(X; Y | shared values)", "I(Y; X | shared values)"} == {"H(shared values)"}
    assert found.results_["value"] @ found.results_["weight"] == pytest.approx(found.mutual_info_)
    assert found.permutation_test(99) == 0.02


@pytest.mark.parametrize("shared", [True, False])
def test_stored_tables_give_the_pointwise_information_of_new_rows(shared: bool) -> None:
    _, k, u, v = draw()
    x, y = np.c_[k, u], np.c_[k, v] if shared else v + k
    found = fitted(x, y)
    stored = skops.io.dumps(found)
    loaded = skops.io.loads(stored, trusted=skops.io.get_untrusted_types(data=stored))
    for copy in (loaded, pickle.loads(pickle.dumps(found))):
        np.testing.assert_array_equal(copy.pmi(x, y), found.pmi(x, y))
    assert found.pmi(x, y).mean() == pytest.approx(found.mutual_info_, abs=0.1)


def test_values_that_never_coincide_have_no_common_rows() -> None:
    _, k, u, v = draw()
    found = fitted(np.c_[k, u], np.c_[k, v])
    assert found.pmi([[3, 0.0]], [[4, 0.0]]) == -np.inf
    with pytest.raises(ValueError, match=r"Y has values \['11.0.*'\] that were not in the data"):
        found.pmi([[3, 0.0]], [[11, 0.0]])


@pytest.mark.parametrize("kind", ["coarser", "sum", "beside"])
def test_values_that_contradict_a_known_function_have_no_common_rows(kind: str) -> None:
    rng, k, u, v = draw()
    j = rng.integers(10, size=N)
    x, y, pair = {
        "coarser": (np.c_[k, u], k // 2, ([[3, 0.0]], [[4]])),
        "sum": (np.c_[k, j, u], np.c_[k + j, v], ([[3, 4, 0.0]], [[9, 0.0]])),
        "beside": (k, np.c_[k // 2, v], ([[3]], [[4, 0.0]])),
    }[kind]
    found = fitted(x, y)
    assert np.isfinite(found.pmi(x, y)).all()
    assert found.pmi(*pair) == -np.inf


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("n_clusters", [2, 10])
def test_far_clusters_have_the_entropy_of_their_index(n_clusters: int, d: int) -> None:
    rng = np.random.default_rng(0)
    k = rng.integers(n_clusters, size=N)
    u, v = rng.standard_normal((2, N, d))
    x, y = 100 * k[:, None] + u, 50 * rng.permutation(n_clusters)[k][:, None] + 0.8 * u + 0.6 * v
    found = of_numbers(x, y)
    assert contains(found, np.log(n_clusters) - d * np.log(0.6))
    assert found.pmi(x[:1], y[k != k[0]][:1]) == -np.inf


def test_heavy_tails_grids_and_clusters_of_one_variable_have_no_common_clusters() -> None:
    rng, k, u, v = draw()
    smooth = [rng.standard_cauchy(N), rng.poisson(3, N), np.round(rng.lognormal(size=N), 1)]
    turns = rng.uniform(0, 10, N)
    curved = np.c_[turns * np.cos(turns), turns * np.sin(turns)]
    tables = [*smooth, curved, rng.standard_cauchy((N, 3)), rng.random((N, 5))]
    for x, y in [*zip(tables, tables, strict=True), (100 * k + u, v)]:
        assert common_clusters(np.c_[x].astype(float), np.c_[y].astype(float)) == ([], [])


@pytest.mark.parametrize("unit", [1e-200, 1, 1e200])
def test_clusters_that_overlap_in_each_column_have_the_entropy_of_their_index(unit: float) -> None:
    """The clusters of y are unions of clusters of x, with unequal weights and scales."""
    rng = np.random.default_rng(1)
    k = rng.choice(6, size=1500, p=[0.3, 0.3, 0.15, 0.1, 0.1, 0.05])
    left, right = 10 * rng.standard_normal((2, 6, 6))
    u, v = rng.standard_normal((2, 1500, 6))
    scale = rng.uniform(0.5, 2, 6)[k, None]
    x, y = unit * (left[k] + scale * u), right[k // 2] + scale * v
    found = of_numbers(x, y)
    weights = np.bincount(k // 2) / 1500
    assert contains(found, -weights @ np.log(weights))
    np.testing.assert_allclose(found.pmi(x, y), -np.log(weights)[k // 2], atol=0.3)
    assert found.pmi(x[:1], y[k // 2 != k[0] // 2][:1]) == -np.inf


def test_clusters_of_one_column_are_found_beside_other_columns() -> None:
    rng, k, u, v = draw()
    others = rng.standard_normal((2, N, 5))
    found = of_numbers(*(np.c_[12 * k + z, other] for z, other in zip((u, v), others, strict=True)))
    assert contains(found, np.log(10))


def test_exchanged_tables_have_the_same_information() -> None:
    _, k, u, v = draw()
    x, y = (table[:200] for table in (np.c_[k, u], np.c_[k % 3, v + k]))
    there, back = fitted(x, y), fitted(y, x)
    assert there.mutual_info_ == back.mutual_info_
    assert there.interval_ == back.interval_


def of_numbers(x, y) -> MutualInfoEstimator:
    return MutualInfoEstimator(["gaussian", "elliptical"], random_state=0, device="cpu").fit(x, y)


def zero_inflated(rng: np.random.Generator, places: np.ndarray) -> np.ndarray:
    return np.where(places, rng.lognormal(size=len(places)), 0.0)


@pytest.mark.parametrize("beside", [False, True])
def test_common_zeros_have_the_entropy_of_their_places(beside: bool) -> None:
    rng = np.random.default_rng(0)
    places = rng.random(1000) < 0.5
    x, y = zero_inflated(rng, places), zero_inflated(rng, places)
    if beside:
        x, y = np.c_[x, rng.standard_normal(1000)], np.c_[y, rng.standard_normal(1000)]
    low, high = of_numbers(x, y).interval_
    assert low - 0.01 < np.log(2) < high < 0.75


def test_independent_zeros_have_no_information() -> None:
    rng = np.random.default_rng(0)
    x, y = (zero_inflated(rng, rng.random(1000) < 0.5) for _ in range(2))
    low, high = of_numbers(x, y).interval_
    assert low == 0
    assert high < 0.05


def test_overlapping_zeros_have_the_information_of_their_places() -> None:
    rng = np.random.default_rng(0)
    places = rng.random(2000) < 0.5
    x, y = zero_inflated(rng, places), zero_inflated(rng, places & (rng.random(2000) < 0.8))
    truth = 0.5 * np.log(0.5 / 0.3) + 0.1 * np.log(0.1 / 0.3) + 0.4 * np.log(0.4 / 0.2)
    low, high = of_numbers(x, y).interval_
    assert low - 0.02 < truth < high < truth + 0.2


def test_one_repeated_row_determines_no_label() -> None:
    rng = np.random.default_rng(0)
    empty = rng.random(1000) < 0.1
    x, y = rng.poisson(8, (1000, 6)), rng.integers(0, 2, 1000)
    x[empty], y[empty] = 0, 0
    found = MutualInfoEstimator(["linear", "logistic"], random_state=0, device="cpu").fit(x, y)
    assert found.interval_[1] < 0.2


@pytest.mark.parametrize("n_columns", [1, 6])
def test_copies_of_rows_of_integers_are_no_evidence(n_columns: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 10**6, (500, n_columns)), rng.integers(0, 10**6, 500)
    assert of_numbers(np.repeat(x, 2, 0), np.repeat(y, 2)).interval_[0] == 0


def test_unseen_combinations_of_labels_are_named() -> None:
    rng = np.random.default_rng(0)
    a, c = rng.integers(0, 3, (2, 300))
    a, c = (z[(a != 2) | (c != 2)] for z in (a, c))
    x, y = (np.c_[10 * z, rng.standard_normal(len(z))].astype(object) for z in (a, c))
    found = fitted(x, y)
    with pytest.raises(ValueError, match="combinations of labels"):
        found.pmi([[20.0, 0.0]], [[20.0, 0.0]])


def test_integers_that_float64_does_not_distinguish_are_refused() -> None:
    x = 2**62 + np.arange(40)
    with pytest.raises(
        ValueError, match=r"column 0 of X has integers such as 46\d+, which float64"
    ):
        of_numbers(x, np.arange(40.0))
