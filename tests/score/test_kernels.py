"""Distances, the kernel and its median bandwidth."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from sk_mige.score import median_bandwidth, rbf_kernel, squared_distances
from sk_mige.score.kernels import resolve_kernel


def test_distances_are_those_of_the_definition(generator):
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    direct = (x[:, None] - y[None]).square().sum(-1)
    torch.testing.assert_close(squared_distances(x, y), direct)


def test_distances_to_itself_are_symmetric_with_a_zero_diagonal(generator):
    sq = squared_distances(torch.randn(20, 3, generator=generator, dtype=torch.float32))
    assert torch.equal(sq, sq.mT)
    assert torch.equal(sq.diagonal(), torch.zeros(20))


def test_leading_dimensions_are_independent_sets(generator):
    x = torch.randn(2, 3, 6, 4, generator=generator, dtype=torch.float64)
    sq = squared_distances(x)
    assert sq.shape == (2, 3, 6, 6)
    torch.testing.assert_close(sq[1, 2], squared_distances(x[1, 2]))
    torch.testing.assert_close(median_bandwidth(sq)[1, 2], median_bandwidth(sq[1, 2]))


@settings(max_examples=20)
@given(shift=st.floats(-1e6, 1e6))
def test_distances_in_float32_are_accurate_for_a_far_mean(shift):
    x = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    moved = x + shift  # rounds the points themselves
    exact = (moved.double()[:, None] - moved.double()[None]).square().sum(-1)
    torch.testing.assert_close(
        squared_distances(moved).double(), exact, rtol=1e-4, atol=1e-5 * (1 + 1e-6 * abs(shift))
    )


def test_the_kernel_is_one_at_distance_zero_and_falls_to_zero():
    values = rbf_kernel(torch.tensor([[0.0, 2.0, 1e6]]), 1.0)
    torch.testing.assert_close(values, torch.tensor([[1.0, 0.36787944, 0.0]]))


def test_each_set_may_have_its_own_bandwidth():
    sq = torch.full((2, 1, 1), 2.0)
    values = rbf_kernel(sq, torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(values[:, 0, 0], torch.tensor([-1.0, -0.25]).exp())


def test_the_median_is_that_of_pairs_of_distinct_points(generator):
    x = torch.randn(9, 2, generator=generator, dtype=torch.float64)
    distances = torch.pdist(x)  # of 36 pairs, torch's median is the 18th
    torch.testing.assert_close(median_bandwidth(squared_distances(x)), distances.median())


@pytest.mark.parametrize("n", [2, 3, 4, 7, 10])
def test_every_pair_counts_once_in_the_median(n, generator):
    x = torch.randn(3, n, 2, generator=generator, dtype=torch.float64)
    medians = torch.stack([torch.pdist(rows).median() for rows in x])
    torch.testing.assert_close(median_bandwidth(squared_distances(x)), medians)
    view = squared_distances(x)[1].expand(2, n, n)  # strides of 0
    torch.testing.assert_close(median_bandwidth(view), medians[1].expand(2))


def test_duplicates_are_left_out_of_the_median():
    x = torch.tensor([[0.0]] * 8 + [[3.0]])
    assert float(median_bandwidth(squared_distances(x))) == pytest.approx(3.0)


@pytest.mark.parametrize("distance", [1e2, 3e3, 1e5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_outlier_leaves_the_median_of_the_others(distance, dtype, generator):
    x = torch.randn(500, 1, generator=generator, dtype=torch.float64)
    expected = median_bandwidth(squared_distances(x))
    x[0] = distance
    found = median_bandwidth(squared_distances(x.to(dtype)))
    assert abs(found / expected - 1) < 0.02


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_collapsed_set_has_a_constant_kernel(n):
    sq = squared_distances(torch.full((n, 3), 7.0))
    assert torch.equal(rbf_kernel(sq, median_bandwidth(sq)), torch.ones(n, n))


def test_a_collapsed_set_does_not_change_the_others(generator):
    x = torch.randn(2, 6, 2, generator=generator, dtype=torch.float64)
    x[0] = 1.0
    sigma = median_bandwidth(squared_distances(x))
    assert sigma[0] == 1.0
    torch.testing.assert_close(sigma[1], median_bandwidth(squared_distances(x[1])))


def test_the_median_stays_differentiable_and_equals_the_fast_one(generator):
    sq = squared_distances(torch.randn(12, 2, generator=generator, dtype=torch.float64))
    followed = median_bandwidth(sq.clone().requires_grad_())
    assert followed.requires_grad
    assert torch.equal(followed.detach(), median_bandwidth(sq))


@pytest.mark.parametrize("copies", [1, 8, 36, 40])
def test_the_median_by_sorting_on_gpus_is_the_same(copies, generator):
    x = torch.randn(3, 40, 2, generator=generator, dtype=torch.float64)
    x[:, :copies] = x[:, :1]  # 36 equal rows are most of the pairs
    x[1] = 5.0
    sq = squared_distances(x)
    followed = median_bandwidth(sq.clone().requires_grad_())  # uses the path of GPUs
    assert torch.equal(followed.detach(), median_bandwidth(sq))
    for rows, found in zip(x, followed.detach(), strict=True):
        pairs = torch.pdist(rows)
        positive = pairs[pairs > 0]
        distinct = positive.median() if len(positive) else torch.tensor(1.0).double()
        torch.testing.assert_close(found, pairs.median() if pairs.median() > 0 else distinct)


def test_distances_from_missing_values_are_missing() -> None:
    x = torch.tensor([[torch.nan], [1.0]])
    assert squared_distances(x, torch.ones(2, 1)).isnan().any()


@pytest.mark.parametrize("name", ["rbf", "imq"])
def test_rows_at_an_infinite_squared_distance_have_a_kernel_of_zero(name: str) -> None:
    centers = torch.eye(2).double()
    assert not resolve_kernel(name).between(1e200 * centers, centers, 1.0).values.any()
