"""Information that the codes of two copies of each sample share."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from sk_mige.information.copies import incomplete_copy, other_rows, shared_information


def noisy_copies(n, correlation, width=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x, e, f = torch.randn(3, n, width, generator=generator, dtype=torch.float64)
    signal, noise = math.sqrt(correlation), math.sqrt(1 - correlation)
    return signal * x + noise * e, signal * x + noise * f


@pytest.mark.parametrize("correlation", [0.3, 0.8, 0.95])
@pytest.mark.parametrize("width", [1, 4])
def test_gaussian_copies_share_their_mutual_information(correlation, width):
    truth = -0.5 * width * math.log(1 - correlation**2)
    assert shared_information(*noisy_copies(20_000, correlation, width)) == pytest.approx(
        truth, rel=0.05
    )


def test_independent_codes_share_nothing():
    a, _ = noisy_copies(500, 0.5, 8, seed=1)
    b, _ = noisy_copies(500, 0.5, 8, seed=2)
    assert 0 <= shared_information(a, b) < 0.02


@pytest.mark.parametrize("code", [torch.zeros(10, 3), torch.ones(10, 3), torch.full((4, 1), 1e30)])
def test_constant_codes_share_nothing(code):
    assert shared_information(code, code) == 0


def test_more_columns_than_rows_give_a_finite_positive_value():
    assert 0 < shared_information(*noisy_copies(40, 0.9, 64)) < math.inf


@settings(max_examples=20)
@given(seed=st.integers(0, 99), scale=st.floats(1e-30, 1e30), shift=st.floats(-10, 10))
def test_units_and_rotations_of_the_code_do_not_matter(seed, scale, shift):
    a, b = noisy_copies(200, 0.8, 3, seed)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)))[0]
    moved = [scale * (code @ turn.double() + shift) for code in (a, b)]
    assert shared_information(*moved) == pytest.approx(shared_information(a, b), rel=1e-2)


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
