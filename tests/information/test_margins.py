"""Maps of margins towards the normal distribution, for all types of numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sk_mige.information import gaussianize_margins, gaussianize_ranks
from sk_mige.information.margins import _monotone_cubic


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_integers_are_mapped_to_floats(dtype):
    z = torch.arange(40).flip(0)[:, None].to(dtype)
    for mapped, expected in (
        (gaussianize_ranks(z), gaussianize_ranks(z.float())),
        *zip(gaussianize_margins(z), gaussianize_margins(z.float()), strict=True),
    ):
        assert mapped.dtype == torch.get_default_dtype()
        torch.testing.assert_close(mapped, expected)


def test_ranks_of_integers_beyond_float32_are_distinct():
    z = torch.tensor([[2**40 + 1], [2**40], [2**40 + 2]])
    torch.testing.assert_close(gaussianize_ranks(z), gaussianize_ranks(z - 2**40))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_many_ranks_do_not_depend_on_the_default_dtype(dtype, generator):
    """Float16 has no integers above 65,504, and bfloat16 has few above 256."""
    z = torch.randn(70_000, 1, generator=generator, dtype=torch.float64)
    expected, before = gaussianize_ranks(z), torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        found = gaussianize_ranks(z)
    finally:
        torch.set_default_dtype(before)
    assert torch.equal(found, expected)


def rising(steps):
    return torch.tensor(steps, dtype=torch.float64).cumsum(0)


steps = st.lists(st.floats(0.1, 5.0), min_size=5, max_size=5)


@given(places=steps, levels=steps)
def test_the_cubics_derivative_is_its_own_and_positive(places, levels):
    knots, heights = rising(places), rising(levels)
    x = torch.linspace(float(knots[0]) + 0.01, float(knots[-1]) - 0.01, 101).double()

    def cubic(x):
        return _monotone_cubic(x, knots, heights)

    values, derivative = cubic(x)
    # The second derivative jumps at the knots, by up to about 1,000.
    difference = (cubic(x + 1e-7)[0] - cubic(x - 1e-7)[0]) / 2e-7
    torch.testing.assert_close(derivative, difference, rtol=1e-4, atol=1e-4)
    assert (derivative > 0).all()
    assert (values.diff(dim=0) > 0).all()
    torch.testing.assert_close(cubic(knots)[0], heights)


def test_a_coordinate_with_ties_has_the_derivative_of_its_map():
    """Equal quantiles are a single knot, with the mean of their heights."""
    knots, heights = torch.tensor([0.0, 1.0, 1.0, 1.0, 3.0]).double(), rising([1.0] * 5)
    x = torch.linspace(0.01, 2.99, 50).double()
    _, derivative = _monotone_cubic(x, knots, heights)
    above, below = (_monotone_cubic(x + h, knots, heights)[0] for h in (1e-6, -1e-6))
    torch.testing.assert_close(derivative, (above - below) / 2e-6, rtol=1e-4, atol=1e-4)
    at_knot, _ = _monotone_cubic(torch.ones(1).double(), knots, heights)
    torch.testing.assert_close(at_knot, torch.tensor([3.0]).double())


def test_normal_scores_depend_on_ranks_alone(generator):
    z = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(gaussianize_ranks(z), gaussianize_ranks(z.exp()))
    assert gaussianize_ranks(torch.tensor([[1.0], [2.0], [2.0], [9.0]]))[1:3].unique().numel() == 1
    torch.testing.assert_close(gaussianize_ranks(z).mean(0), torch.zeros(3).double())


def test_margins_become_gaussian_and_the_derivative_is_the_maps(generator):
    z = torch.randn(800, 2, generator=generator, dtype=torch.float64)
    values, derivative = gaussianize_margins(z**3)
    assert (values - z).abs().median() < 0.1
    order = z[:, 0].argsort()
    step = torch.diff((z[order, 0]) ** 3)
    secant = torch.diff(values[order, 0]) / step
    tangent = derivative[order, 0]
    between = (torch.minimum(tangent[1:], tangent[:-1]), torch.maximum(tangent[1:], tangent[:-1]))
    inside = (secant > 0.9 * between[0]) & (secant < 1.1 * between[1])
    assert inside.double().mean() > 0.97
    assert (derivative >= 0).all()


def test_margins_of_the_largest_numbers_are_those_of_numbers_near_1(generator):
    z = torch.rand(50, 2, generator=generator, dtype=torch.float64) - 0.5
    z /= z.abs().max()
    torch.testing.assert_close(gaussianize_margins(z * 2.0**1023)[0], gaussianize_margins(z)[0])


def test_margins_with_few_values_stay_finite():
    z = torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 2.0], [0.0, 1.0]])
    for part in gaussianize_margins(z):
        assert torch.isfinite(part).all()
