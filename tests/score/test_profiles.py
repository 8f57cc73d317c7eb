"""Kernels as profiles of squared distances, with their derivatives."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from sklearn.gaussian_process import kernels as gp

from sk_mige.score import (
    RBF,
    InverseMultiquadric,
    Matern,
    Multiscale,
    rbf_kernel,
    squared_distances,
)
from sk_mige.score.kernels import KERNELS, resolve_kernel

EVERY = [
    *KERNELS.values(),
    InverseMultiquadric(beta=2.0),
    Matern(nu=1.5),
    Multiscale(Matern(), (0.3, 3.0)),
]
KERNEL = pytest.mark.parametrize("kernel", EVERY, ids=str)
drawn = st.sampled_from(EVERY)


@settings(max_examples=60)
@given(kernel=drawn, u=st.floats(1e-3, 1e4))
def test_the_derivatives_are_those_of_autograd(kernel, u):
    at = torch.tensor(u, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(kernel(at), at, create_graph=True)
    (second,) = torch.autograd.grad(first, at)
    _, slope, curvature = kernel.matrices(at, 1.0)
    torch.testing.assert_close(slope, -2 * first)
    torch.testing.assert_close(curvature, 4 * second)


@settings(max_examples=30)
@given(kernel=drawn, d=st.integers(1, 20), seed=st.integers(0, 99), scale=st.floats(0.1, 10.0))
def test_every_kernel_is_positive_definite_in_every_dimension(kernel, d, seed, scale):
    x = torch.from_numpy(np.random.default_rng(seed).normal(scale=scale, size=(40, d)))
    assert torch.linalg.eigvalsh(kernel(squared_distances(x))).min() > -1e-12


@KERNEL
def test_the_profile_falls_from_one_with_the_steepness_at_zero(kernel):
    u = torch.linspace(0, 50, 500, dtype=torch.float64)
    torch.testing.assert_close(kernel(u[:1]), torch.ones(1).double())
    assert (kernel(u).diff() < 0).all()
    assert kernel.steepness == pytest.approx(float(kernel.matrices(u[:1], 1.0).slopes))


@KERNEL
def test_slopes_and_curvatures_are_gradient_and_hessian_of_the_kernel(kernel, generator):
    x, y = torch.randn(2, 3, generator=generator, dtype=torch.float64)

    def between(x):
        return kernel(squared_distances(x[None], y[None]) / 4)[0, 0]

    _, slopes, curvatures = (float(part) for part in kernel.between(x[None], y[None], 4.0))
    moved = x - y
    expected = -slopes / 4 * torch.eye(3) + curvatures / 16 * moved[:, None] * moved
    torch.testing.assert_close(torch.autograd.functional.jacobian(between, x), -slopes / 4 * moved)
    torch.testing.assert_close(torch.autograd.functional.hessian(between, x), expected)


@pytest.mark.parametrize(
    ("kernel", "reference"),
    [
        (RBF(), gp.RBF(2.0)),
        (Matern(nu=1.5), gp.Matern(2.0, nu=1.5)),
        (Matern(nu=2.5), gp.Matern(2.0, nu=2.5)),
        (InverseMultiquadric(beta=1.0), gp.RationalQuadratic(2.0**0.5, alpha=1.0)),
    ],
)
def test_the_kernels_are_those_of_scikit_learn(kernel, reference, generator):
    x = torch.randn(9, 2, generator=generator, dtype=torch.float64)
    found = kernel.matrices(squared_distances(x), 4.0).values
    np.testing.assert_allclose(found.numpy(), reference(x.numpy()), atol=1e-7)


def test_several_widths_are_the_mean_of_kernels_at_each_width():
    sq = torch.linspace(0, 9, 10)[None]
    expected = (rbf_kernel(sq, 0.5) + rbf_kernel(sq, 3.0)) / 2
    torch.testing.assert_close(Multiscale(factors=(0.5, 3.0))(sq), expected)


@KERNEL
def test_a_stream_and_a_dense_fit_have_the_same_kernel(kernel, generator):
    x = torch.randn(7, 2, generator=generator, dtype=torch.float64)
    for found, expected in zip(
        kernel.between(x, x, 0.5), kernel.matrices(squared_distances(x), 0.5), strict=True
    ):
        off = ~torch.eye(7, dtype=torch.bool)  # distances of points to themselves are rounded
        torch.testing.assert_close(found[off], expected[off])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Matern(nu=0.5), "nu must be 1.5 or 2.5, got 0.5"),
        (lambda: InverseMultiquadric(beta=0.0), "beta must be positive and finite; got 0.0"),
        (lambda: Multiscale(factors=()), "factors must be a sequence"),
        (lambda: Multiscale(factors=(1.0, -1.0)), "factors must be positive.*-1.0"),
        (lambda: InverseMultiquadric(beta="1"), "beta must be positive and finite; got .1."),
        (lambda: Multiscale(factors=1.0), "factors must be a sequence of one width or more"),
        (lambda: Multiscale("cubic"), "kernel must be one of 'rbf', 'imq'.*got 'cubic'"),
        (lambda: resolve_kernel("cubic"), "kernel must be one of 'rbf', 'imq'.*got 'cubic'"),
    ],
)
def test_unusable_kernels_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("factors", [[1.0, 2.0], np.array([1.0, 2.0])])
def test_widths_may_be_any_sequence_and_kernels_have_names(factors):
    kernel = Multiscale("imq", factors)
    assert kernel == Multiscale(InverseMultiquadric(), (1.0, 2.0))
    assert hash(kernel) == hash(Multiscale(InverseMultiquadric(), (1.0, 2.0)))
