"""Columns whose relations are not those of a Gaussian copula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sk_mige.dependence._label_information import choose_label_information
from sk_mige.information import choose_information, gaussianize_ranks
from sk_mige.information.noise import on_a_surface
from sk_mige.information.screening import (
    columns_of_labels,
    detectable_information,
    least_information,
    related_columns,
)

RELATIONS = {
    "square": lambda x: np.square(x[:, 2]),
    "magnitude": lambda x: abs(x[:, 2]),
    "wave": lambda x: np.cos(3 * x[:, 2]),
    "fast wave": lambda x: np.sin(8 * x[:, 2]),
}


def scores(*pair) -> list[torch.Tensor]:
    return [gaussianize_ranks(torch.from_numpy(np.c_[z])) for z in pair]


def draw(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, p)), rng.standard_normal(n)


@pytest.mark.parametrize("kind", RELATIONS)
@pytest.mark.parametrize("p", [20, 200])
def test_the_column_of_a_nonlinear_relation_is_found(kind: str, p: int) -> None:
    x, noise = draw(500, p)
    x, y = scores(x, RELATIONS[kind](x) + 0.3 * noise)
    assert related_columns(x, y) == ([2], [0])
    assert related_columns(y, x) == ([0], [2])


@pytest.mark.parametrize("map_", [np.asarray, np.sign])
def test_both_factors_of_a_product_are_found(map_) -> None:
    x, noise = draw(500, 50)
    y = map_(x[:, 2] * x[:, 7]) + 0.3 * noise
    assert related_columns(*scores(x, y)) == ([2, 7], [0])


def test_linear_relations_are_left_to_the_copula() -> None:
    x, noise = draw(1000, 20)
    y = np.c_[x[:, 0] + noise, x[:, :3].sum(1) + noise**3]
    assert related_columns(*scores(x, y[:, :1])) is None


@pytest.mark.parametrize("seed", range(5))
def test_independent_columns_are_not_related(seed: int) -> None:
    x, y = np.random.default_rng(seed).standard_exponential((2, 300, 20))
    assert related_columns(*scores(x, y)) is None


@pytest.mark.parametrize("kind", ["product", "shift", "magnitude"])
def test_the_columns_that_determine_a_label_are_found(kind: str) -> None:
    x, _ = draw(500, 30)
    one, two = x[:, 4], x[:, 9]
    label = {"product": one * two > 0, "shift": one + two > 1, "magnitude": one**2 + two**2 > 2}
    indicators = np.eye(2)[label[kind].astype(int)]
    assert columns_of_labels(*scores(x), torch.from_numpy(indicators)) == [4, 9]


def test_labels_that_are_independent_of_the_columns_have_none() -> None:
    x, noise = draw(500, 30)
    indicators = np.eye(3)[np.digitize(noise, [-1.5, 0])]
    assert columns_of_labels(*scores(x), torch.from_numpy(indicators)) == []


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_labels_that_are_independent_of_sparse_columns_have_none(share: float) -> None:
    """Products of sparse columns have heavy tails, and their correlations are standardised."""
    x, noise = draw(200, 60)
    sparse = x * (np.random.default_rng(1).random(x.shape) < share)
    indicators = np.eye(2)[(noise > 0).astype(int)]
    assert columns_of_labels(*scores(sparse), torch.from_numpy(indicators)) == []


def test_held_out_rows_do_not_choose_the_columns_of_labels() -> None:
    x, noise = draw(1000, 6)
    labels, folds = (noise > 0).astype(int), np.arange(1000) % 5
    held_out = folds == 0
    x[held_out, 0] = noise[held_out]  # the only rows in which labels depend on a column
    found = choose_label_information(x, labels, ("logistic",), folds, 0)
    (few,) = (e for e in found.candidates if e.name == "logistic of few columns")
    assert few.pointwise[held_out].numpy() == pytest.approx(0, abs=1e-12)
    assert few.pointwise[~held_out].abs().min() > 0


def test_few_related_columns_of_many_have_their_information() -> None:
    x, noise = draw(1000, 100)
    chosen = choose_information(*scores(x, x[:, 2] ** 2 + 0.5 * noise), ("gaussian", "neighbors"))
    assert chosen.columns == ([2], [0])
    assert chosen.value == pytest.approx(0.8, abs=0.12)
    assert chosen.interval[0] < 0.8 < chosen.interval[1]


def test_the_pointwise_information_is_that_of_the_few_columns() -> None:
    x, noise = draw(1000, 10)
    x, y = scores(x, np.cos(3 * x[:, 2]) + 0.3 * noise)
    chosen = choose_information(x, y, ("gaussian", "mixture", "neighbors"))
    held_out = sum(e.weight * e.pointwise for e in chosen.candidates if e.weight)
    assert np.corrcoef(chosen.pointwise(x, y), held_out)[0, 1] > 0.8
    moved = x.clone()
    moved[:, [0, 1, 3, 9]] = 0
    assert torch.equal(chosen.pointwise(moved, y), chosen.pointwise(x, y))


def test_few_related_components_of_rotated_columns_have_their_information() -> None:
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, (1500, 4))
    related = np.c_[np.cos(3 * z[:, 0]) + 0.3 * rng.standard_normal(1500), z[::-1, 1:3]]
    components = scores(z, related)
    turns = (np.linalg.qr(rng.standard_normal((d, d)))[0] for d in (4, 3))
    columns = scores(*(own.numpy() @ turn for own, turn in zip(components, turns, strict=True)))
    names = "gaussian", "neighbors"
    chosen = choose_information(*columns, names, components=tuple(components))
    assert (chosen.inputs, chosen.columns) == ("components", ([0], [0]))
    alone = choose_information(*(own[:, :1] for own in components), names)
    assert chosen.value == pytest.approx(alone.value)
    few = alone.pointwise(*(own[:, :1] for own in components))
    torch.testing.assert_close(chosen.pointwise(*columns, tuple(components)), few)


def test_the_interval_contains_what_cannot_be_detected() -> None:
    x, noise = draw(200, 30)
    chosen = choose_information(*scores(x, noise), ("gaussian",))
    assert chosen.interval[1] >= detectable_information(200, 30, 1) > 0.05


@pytest.mark.parametrize("p", [1, 3])
def test_neighbouring_rows_bound_the_information_of_a_fast_oscillation(p: int) -> None:
    x, noise = draw(1000, p)
    y = np.sin(30 * x[:, 0]) + 0.3 * noise  # I = .86 nats
    for pair in ((x, y), (y, x), (x, 3 * x[:, 0] + y)):
        assert least_information(*scores(*pair)) > 0.3
    assert least_information(*scores(x, y)) < 0.86


def test_nearest_rows_bound_the_information_of_an_oscillation_in_several_columns() -> None:
    rng = np.random.default_rng(0)
    x, noise = rng.uniform(-3, 3, size=(1000, 2)), rng.standard_normal(1000)
    y = np.sin(6 * x[:, 0]) * np.cos(5 * x[:, 1]) + 0.3 * noise
    pair = scores(x, y)
    assert 0.1 < least_information(*pair) < 0.5 * np.log(1 + 0.25 / 0.09)
    assert least_information(pair[0][:, :1], pair[1]) == 0.0


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.999])
def test_neighbouring_rows_of_gaussians_have_no_more_than_their_information(rho: float) -> None:
    x, noise = draw(500, 2)
    y = rho * x[:, 0] + np.sqrt(1 - rho**2) * noise
    assert least_information(*scores(x, y)) <= -0.5 * np.log1p(-(rho**2))


@pytest.mark.parametrize("p", [1, 2])
def test_equal_values_of_sorted_rows_are_not_neighbours_in_the_order_of_y(p: int) -> None:
    x, y = draw(500, p)
    rows = np.unique(np.c_[np.round(x), y], axis=0)
    assert least_information(*scores(rows[:, :p], rows[:, p:])) == 0.0


def test_rare_values_of_x_have_no_larger_weight_than_other_values() -> None:
    x, noise = draw(300, 2)
    x = np.round(x)
    y = x.sum(1) + 0.3 * noise  # I < log(1 + 2.2 / 0.09) / 2
    assert least_information(*scores(x, y)) < 0.5 * np.log(1 + 2.2 / 0.09)


def test_independent_pairs_of_many_columns_are_not_near_a_surface() -> None:
    seeds = [torch.Generator().manual_seed(seed) for seed in range(10)]
    pairs = [torch.randn(2, 100, 5, generator=g).double() for g in seeds]
    assert not any(on_a_surface(x, y, seed) for seed, (x, y) in enumerate(pairs))
    assert all(on_a_surface(x, x.sin() + x.roll(1, 1).square()) for x, _ in pairs)
