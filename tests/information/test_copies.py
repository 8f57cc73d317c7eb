"""Information that the codes of two copies of each sample share."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from sk_mige.information.copies import (
    incomplete_copy,
    information_of_copies,
    other_rows,
    shared_information,
)


def noisy_copies(n, correlation, width=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x, e, f = torch.randn(3, n, width, generator=generator, dtype=torch.float64)
    signal, noise = math.sqrt(correlation), math.sqrt(1 - correlation)
    return torch.stack([signal * x + noise * e, signal * x + noise * f])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_code_that_is_not_finite_gives_nan_instead_of_no_information(value):
    copies = noisy_copies(40, 0.8, 2)
    copies[0, 3, 0] = value
    assert math.isnan(shared_information(copies))


@pytest.mark.parametrize("correlation", [0.3, 0.8, 0.95])
@pytest.mark.parametrize("width", [1, 4])
def test_gaussian_copies_share_their_mutual_information(correlation, width):
    truth = -0.5 * width * math.log(1 - correlation**2)
    assert shared_information(noisy_copies(20_000, correlation, width)) == pytest.approx(
        truth, rel=0.05
    )


def test_independent_codes_share_nothing():
    a, _ = noisy_copies(500, 0.5, 8, seed=1)
    b, _ = noisy_copies(500, 0.5, 8, seed=2)
    assert 0 <= shared_information(torch.stack([a, b])) < 0.02


@pytest.mark.parametrize("code", [torch.zeros(10, 3), torch.ones(10, 3), torch.full((4, 1), 1e30)])
def test_constant_codes_share_nothing(code):
    assert shared_information(torch.stack([code, code])) == 0


@pytest.mark.parametrize("row", [0, 1])
def test_codes_that_are_constant_in_half_of_the_rows_share_nothing(row):
    copies = torch.zeros(3, 20, 2)
    copies[:, row, 0] = 1.0
    assert shared_information(copies) < 1e-6


def test_more_columns_than_rows_give_a_positive_value_below_the_information():
    assert 0 < shared_information(noisy_copies(40, 0.9, 64)) < -32 * math.log(1 - 0.9**2)


@pytest.mark.parametrize("width", [8, 16, 64])
def test_few_rows_do_not_raise_the_information_of_an_untrained_map(width):
    """With as many rows as columns, axes of tiny training variance once gave 22 nats."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 3, generator=generator) @ torch.randn(3, 13, generator=generator)
    layers = [torch.randn(*size, generator=generator) / 4 for size in ((13, 99), (99, width))]
    copies = torch.stack([
        (incomplete_copy(x, generator) @ layers[0]).relu() @ layers[1] for _ in range(2)
    ])  # fmt: skip
    truth = shared_information(copies)
    for n in (width // 2, width, width + 4, 2 * width):
        parts = copies[:, : 15 * n].split(n, 1)
        values = torch.tensor([shared_information(part) for part in parts])
        assert values.min() >= 0
        assert values.max() < 2 * truth
        assert values.mean() < truth


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [40, 1000])
def test_combinations_of_columns_add_no_information(n, dtype):
    codes = noisy_copies(n, 0.9, 4).to(dtype)
    mix = torch.randn(4, 8, generator=torch.Generator().manual_seed(1)).to(dtype)
    more = torch.cat([codes, codes @ mix - 30], 2)
    assert shared_information(more) == pytest.approx(shared_information(codes), rel=0.05)


@settings(max_examples=20)
@given(seed=st.integers(0, 99), scale=st.floats(1e-30, 1e30), shift=st.floats(-10, 10))
def test_units_of_the_code_do_not_matter(seed, scale, shift):
    codes = noisy_copies(30, 0.8, 3, seed)
    units = scale * torch.tensor([1.0, 1e3, 1e-3], dtype=torch.float64)
    moved = units * (codes + shift)
    assert shared_information(moved) == pytest.approx(shared_information(codes), rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_rotations_of_many_codes_hardly_matter(seed):
    codes = noisy_copies(5000, 0.8, 3, seed)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)))[0]
    assert shared_information(codes @ turn.double()) == pytest.approx(
        shared_information(codes), rel=1e-2
    )


@pytest.mark.parametrize("n", [4, 5, 20])
def test_equal_copies_give_a_finite_value(n):
    a, _ = noisy_copies(n, 0.5, 8)
    assert 0 < shared_information(torch.stack([a, a])) < 8 * 3.7  # the largest correlation is .999


def test_a_copy_keeps_half_of_the_values_and_all_means():
    rows = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0)) + 5
    copy = incomplete_copy(rows, torch.Generator().manual_seed(1))
    kept = copy == rows
    assert kept.double().mean().item() == pytest.approx(0.5, abs=0.03)
    torch.testing.assert_close(copy[~kept], rows.mean(0).expand_as(rows)[~kept])


@pytest.mark.parametrize("n", [2, 3, 50])
def test_other_rows_are_all_rows_and_never_the_same_row(n):
    other = other_rows(n)
    assert sorted(other.tolist()) == list(range(n))
    assert not bool((other == torch.arange(n)).any())


def information(variances: list[float]) -> float:
    """Information of linear codes whose directions have these variances, 1 if independent."""
    correlations = [v / (1 + v) for v in variances]
    return -0.5 * sum(math.log(1 - rho**2) for rho in correlations)


@pytest.mark.parametrize("n_parts", [1, 2])
def test_codes_of_independent_columns_have_the_correlation_of_common_values(n_parts):
    x = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(5)) * 10 + 3
    found = information_of_copies(lambda rows: rows, x.chunk(n_parts), len(x))
    assert found == pytest.approx(8 * 0.5 * math.log(4 / 3), rel=0.05)
    assert information([1.0] * 8) == pytest.approx(8 * 0.5 * math.log(4 / 3))


@pytest.mark.parametrize("seed", [0, 1, 42, 1234])
def test_the_missing_values_are_independent_of_rows_from_common_seeds(seed):
    x = torch.randn(5000, 16, generator=torch.Generator().manual_seed(seed))
    found = information_of_copies(lambda rows: rows, [x], len(x))
    assert found == pytest.approx(16 * 0.5 * math.log(4 / 3), rel=0.05)


@pytest.mark.parametrize(
    "encode", [torch.relu, torch.sin, torch.sign, lambda x: x[:, :8] * x[:, 8:]]
)
def test_no_code_of_independent_columns_has_more_than_the_information_of_common_values(encode):
    x = torch.randn(20_000, 16, generator=torch.Generator().manual_seed(5))
    width = encode(x[:1]).shape[1]
    found = information_of_copies(encode, [x], len(x))
    assert 0 < found < 1.03 * width * 0.5 * math.log(4 / 3)


@pytest.mark.parametrize("correlation", [0.5, 0.9])
def test_variances_of_linear_codes_determine_the_information_of_copies(correlation):
    x, y = torch.randn(2, 20_000, 3, generator=torch.Generator().manual_seed(5))
    both = torch.cat([x, correlation * x + math.sqrt(1 - correlation**2) * y], 1)
    found = information_of_copies(lambda rows: rows, [both], len(both))
    assert found == pytest.approx(
        information([1 + correlation] * 3 + [1 - correlation] * 3), rel=0.05
    )
    assert information_of_copies(lambda rows: rows, [both], len(both), shuffled=True) < 0.01


def errors(n_copies: int) -> torch.Tensor:
    """Errors for 50 samples of codes with the correlation 0.6, for 20 draws of the copies."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(20):
        x = torch.randn(50, 4, generator=generator)
        noise = torch.randn(n_copies, 50, 4, generator=generator)
        found.append(shared_information(math.sqrt(0.6) * x + math.sqrt(0.4) * noise))
    return torch.tensor(found) + 2 * math.log(1 - 0.6**2)


def test_more_copies_of_few_samples_reduce_the_error():
    assert errors(20).square().mean() < 0.7 * errors(2).square().mean()


@pytest.mark.parametrize("n", [4, 30, 200])
def test_shuffled_copies_of_few_rows_share_little(n):
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(0)).repeat(1, 2)
    assert information_of_copies(lambda rows: rows, [x], n, shuffled=True) < 0.05


@pytest.mark.parametrize("unit", [1e-250, 1e250])
def test_extreme_units_of_the_code_do_not_matter(unit):
    codes = noisy_copies(100, 0.8, 2)
    assert shared_information(unit * codes) == pytest.approx(shared_information(codes))
