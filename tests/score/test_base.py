"""The elliptical base under the expansion."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_mige.datasets import make_student_t
from sk_mige.score import fit_base
from sk_mige.score.base import RadialBase


@settings(max_examples=25)
@given(
    dof=st.sampled_from([3.0, 5.0, 30.0, math.inf, None]),
    variance=st.floats(1e-3, 1e3),
    d=st.integers(1, 100),
)
def test_slope_is_the_derivative_of_the_weight(dof, variance, d):
    base = RadialBase(dof, variance, d)
    radii = (variance * torch.linspace(0, 10 * d, 7).double()).requires_grad_()
    weight, slope = base.weight(radii)
    if weight.requires_grad:
        (derivative,) = torch.autograd.grad(weight.sum(), radii)
    else:
        derivative = torch.zeros(7).double()  # the Gaussian's weight is constant
    torch.testing.assert_close(slope, derivative)


def test_the_score_is_students():
    _, exact = make_student_t(10, n_features=3, df=5.0)
    points = exact.sample(20, random_state=0)
    covariance = 5 / 3  # ν / (ν − 2) for scale 1
    x = torch.from_numpy(points)
    weight, _ = RadialBase(5.0, covariance, 3).weight(x.square().sum(1))
    torch.testing.assert_close(-weight[:, None] * x, torch.from_numpy(exact(points)))


def test_students_limit_is_the_gaussian():
    radii = torch.linspace(0, 20, 5).double()
    near = RadialBase(1e12, 2.0, 4).weight(radii)[0]
    torch.testing.assert_close(near, RadialBase(math.inf, 2.0, 4).weight(radii)[0])


@pytest.mark.parametrize(("dof", "low", "high"), [(3.5, 3, 5), (8.0, 5, 14), (math.inf, 30, None)])
def test_the_degrees_of_freedom_follow_the_tails(dof, low, high):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 4, generator=generator, dtype=torch.float64)
    if math.isfinite(dof):
        chi = torch.distributions.Chi2(torch.tensor(dof).double())
        with torch.random.fork_rng():
            torch.manual_seed(0)
            x = x * ((dof - 2) / chi.sample((20_000, 1))).sqrt()
    chosen = fit_base("student", x.square().sum(1), 4).dof
    assert low <= chosen <= (high or math.inf)


def test_the_choice_minimises_the_held_out_loss_of_the_base():
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(300, 2, generator=generator, dtype=torch.float64)
    x *= torch.rand(300, 1, generator=generator, dtype=torch.float64) * 2
    radii = x.square().sum(1)

    def loss(dof):
        weight, slope = RadialBase(dof, 1.0, 2).weight(radii)
        return float((weight**2 * radii / 2 - 2 * weight - 2 * slope * radii).mean())

    chosen = fit_base("student", radii, 2).dof
    assert loss(chosen) <= min(loss(dof) for dof in (3.0, 5.0, 10.0, 50.0, math.inf))


def test_gaussian_and_none_are_not_chosen_but_given():
    radii = torch.ones(5)
    assert fit_base("gaussian", radii, 2).dof == math.inf
    assert fit_base(None, radii, 2).dof is None
    assert not RadialBase(None, 1.0, 2).weight(radii)[0].any()
