"""Circumstance III: explicit and implicit conditionals, and all estimates of the marginal."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal

from sk_mige.information import conditional_scores, stochastic_mutual_info_surrogate
from sk_mige.information.marginals import mixture_scores, stein_rescaled
from sk_mige.score import ssge

from .conftest import exact_normal, gaussian_score

MARGINALS = ["auto", "gaussian", "whitened", "score", "stein", "mixture", "leave-one-out"]


def linear_channel(m, d_x, d, generator, signal=1.0):
    """Differentiable mean and scale of z = W x + σ ε, the parameters, and the information."""
    x = torch.randn(m, d_x, generator=generator, dtype=torch.float64)
    w = torch.randn(d, d_x, generator=generator, dtype=torch.float64) * signal / math.sqrt(d_x)
    w.requires_grad_()
    log_scale = 0.2 * torch.randn(d, generator=generator, dtype=torch.float64)
    log_scale.requires_grad_()
    information = 0.5 * torch.logdet(w @ w.mT + (2 * log_scale).exp().diag()) - log_scale.sum()
    return x, w, log_scale, information


@settings(max_examples=20)
@given(d_x=st.integers(1, 5), d=st.integers(1, 5), seed=st.integers(0, 100))
def test_the_gradient_at_every_weight_with_exact_scores(d_x, d, seed):
    """Samples with exact moments and Gaussian scores give exact gradients."""
    generator = torch.Generator().manual_seed(seed)
    _, w, log_scale, information = linear_channel(2, d_x, d, generator)
    x, noise = exact_normal(80, d_x + d, generator).split([d_x, d], dim=1)
    mean, scale = x @ w.mT, log_scale.exp()
    surrogate = stochastic_mutual_info_surrogate(
        mean + scale * noise, conditional=(mean, scale), marginal="score", score=gaussian_score
    )
    for estimated, exact in zip(
        torch.autograd.grad(surrogate, (w, log_scale)),
        torch.autograd.grad(information, (w, log_scale)),
        strict=True,
    ):
        torch.testing.assert_close(estimated, exact)


@pytest.mark.parametrize("marginal", MARGINALS)
def test_every_marginal_is_right_for_many_samples_in_few_dimensions(marginal, generator):
    x, w, log_scale, information = linear_channel(800, 2, 2, generator)
    mean, scale = x @ w.mT, log_scale.exp()
    z = mean + scale * torch.randn(800, 2, generator=generator, dtype=torch.float64)
    surrogate = stochastic_mutual_info_surrogate(z, conditional=(mean, scale), marginal=marginal)
    for estimated, exact in zip(
        torch.autograd.grad(surrogate, (w, log_scale)),
        torch.autograd.grad(information, (w, log_scale)),
        strict=True,
    ):
        assert torch.linalg.norm(estimated - exact) < 0.25 * torch.linalg.norm(exact)


@pytest.mark.parametrize("d", [2, 8, 32, 128, 256])
def test_the_default_does_not_reward_noise_at_a_hundred_samples(d, generator):
    """From d = 128 on, the relative error of a literal score is about 1."""
    w, log_scale, information = linear_channel(1, d, d, generator)[1:]
    total = torch.zeros_like(log_scale)
    for _ in range(10):
        mean = torch.randn(100, d, generator=generator, dtype=torch.float64) @ w.mT
        scale = log_scale.exp()
        z = mean + scale * torch.randn(100, d, generator=generator, dtype=torch.float64)
        surrogate = stochastic_mutual_info_surrogate(z, conditional=(mean, scale))
        total = total + torch.autograd.grad(surrogate, log_scale)[0] / 10
    (exact,) = torch.autograd.grad(information, log_scale)
    assert torch.linalg.norm(total - exact) < 0.2 * torch.linalg.norm(exact)


def test_several_draws_of_each_z_are_averaged(generator):
    mean = torch.randn(30, 2, generator=generator, requires_grad=True)
    scale = torch.tensor(0.5)
    z = mean + scale * torch.randn(4, 30, 2, generator=generator)
    surrogate = stochastic_mutual_info_surrogate(
        z, conditional=(mean, scale), marginal="score", score=gaussian_score
    )
    rows, means = z.reshape(120, 2), mean.repeat(4, 1)
    flat = stochastic_mutual_info_surrogate(
        rows, conditional=(means, scale), marginal="score", score=gaussian_score
    )
    torch.testing.assert_close(surrogate, flat)


def test_forms_of_one_conditional_agree(generator):
    mean, z = torch.randn(2, 20, 3, generator=generator, dtype=torch.float64)
    scale = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    normal = Normal(mean, scale)
    expected = conditional_scores(z, (mean, scale))
    for conditional in (
        normal,
        Independent(normal, 1),
        normal.log_prob,
        MultivariateNormal(mean, scale.square().diag()),
        lambda z: -0.5 * ((z - mean) / scale).square().sum(-1),
    ):
        torch.testing.assert_close(conditional_scores(z, conditional), expected)


def test_a_laplace_conditional_is_differentiated(generator):
    z = torch.randn(20, 2, generator=generator)
    expected = -z.sign() / 3
    torch.testing.assert_close(conditional_scores(z, Laplace(torch.zeros(2), 3.0)), expected)
    scale = torch.tensor(3.0, requires_grad=True)
    surrogate = stochastic_mutual_info_surrogate(scale * z, conditional=Laplace(0.0, scale))
    assert torch.isfinite(torch.autograd.grad(surrogate, scale)[0])


@pytest.mark.parametrize("d", [1, 4, 16])
def test_an_implicit_conditional_of_any_shape_grows_by_one_nat_a_log_scale(d, generator):
    """H(c + σ η | x) = H(η) + Σ log σ_k, for skewed noise and only 32 draws for each x."""
    log_scale = torch.zeros(d, dtype=torch.float64, requires_grad=True)
    noise = torch.rand(32, 12, d, generator=generator, dtype=torch.float64).log()
    z = 3.0 + log_scale.exp() * noise
    entropy = -(conditional_scores(z) * (z - z.mean(0))).sum(-1).mean()
    (gradient,) = torch.autograd.grad(entropy, log_scale)
    torch.testing.assert_close(gradient, torch.ones(d).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("d", [2, 8, 16])
def test_an_implicit_encoder_gets_the_gradient_of_the_explicit_one(d, generator):
    w, log_scale, information = linear_channel(1, d, d, generator)[1:]
    total = [torch.zeros_like(w), torch.zeros_like(log_scale)]
    for _ in range(4):
        x = exact_normal(100, d, generator)
        z = x @ w.mT + log_scale.exp() * torch.randn(32, 100, d, generator=generator).double()
        surrogate = stochastic_mutual_info_surrogate(z)
        for part, gradient in zip(
            total, torch.autograd.grad(surrogate, (w, log_scale)), strict=True
        ):
            part += gradient / 4
    exact = torch.autograd.grad(information, (w, log_scale))
    assert torch.linalg.norm(total[1] - exact[1]) < 0.25 * torch.linalg.norm(exact[1])
    assert torch.cosine_similarity(total[0].flatten(), exact[0].flatten(), dim=0) > 0.9


def test_an_encoder_that_ignores_its_noise_is_warned_of():
    z = torch.randn(1, 10, 2, generator=torch.Generator().manual_seed(0)).repeat(8, 1, 1)
    z.requires_grad_()
    with pytest.warns(UserWarning, match="does not depend on the noise"):
        value = stochastic_mutual_info_surrogate(z)
    assert torch.isfinite(torch.autograd.grad(value, z)[0]).all()


def test_steins_identity_holds_after_rescaling(generator):
    z = torch.randn(40, 100, generator=generator, dtype=torch.float64)
    rescaled = stein_rescaled(ssge(z), z)
    trace = (rescaled * (z - z.mean(0))).sum(1).mean()
    torch.testing.assert_close(trace, torch.tensor(-100.0).double())


@pytest.mark.parametrize("leave_one_out", [False, True])
def test_scores_of_the_batchs_mixture_are_those_of_its_density(leave_one_out, generator):
    mean = torch.randn(6, 3, generator=generator, dtype=torch.float64) + 1e3
    scale = 0.5 + torch.rand(6, 3, generator=generator, dtype=torch.float64)
    z = (mean + scale).requires_grad_()
    log_density = Normal(mean, scale).log_prob(z[:, None]).sum(-1)
    if leave_one_out:
        log_density = log_density - torch.diag(torch.full((6,), math.inf).double()).nan_to_num(0)
    (expected,) = torch.autograd.grad(log_density.logsumexp(1).sum(), z)
    scores = mixture_scores(z.detach(), mean, scale, leave_one_out=leave_one_out)
    torch.testing.assert_close(scores, expected)


@settings(max_examples=20)
@given(
    marginal=st.sampled_from(MARGINALS),
    collapsed=st.booleans(),
    log_scale=st.floats(-6, 6),
    d=st.integers(1, 30),
)
def test_gradients_are_finite_for_any_mean_and_scale(marginal, collapsed, log_scale, d):
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(10, d, generator=generator) * (0.0 if collapsed else 1.0)
    mean.requires_grad_()
    scale = torch.full((d,), 10.0**log_scale, requires_grad=True)
    z = mean + scale * torch.randn(10, d, generator=generator)
    surrogate = stochastic_mutual_info_surrogate(z, conditional=(mean, scale), marginal=marginal)
    for gradient in torch.autograd.grad(surrogate, (mean, scale), allow_unused=True):
        assert gradient is None or torch.isfinite(gradient).all()


def test_bad_input_is_named(generator):
    z = torch.randn(10, 2, generator=generator, requires_grad=True)
    mean, scale = torch.zeros(10, 2), torch.ones(2)
    with pytest.raises(ValueError, match="several draws"):
        stochastic_mutual_info_surrogate(z)
    with pytest.raises(ValueError, match="Gaussian conditional"):
        stochastic_mutual_info_surrogate(z, conditional=Laplace(mean, 1.0), marginal="mixture")
    with pytest.raises(ValueError, match="detached"):
        stochastic_mutual_info_surrogate(z, conditional=(mean, scale))
    with pytest.raises(ValueError, match="marginal must be one of.*got 'gauss'"):
        stochastic_mutual_info_surrogate(z, conditional=(mean, scale), marginal="gauss")


@pytest.mark.parametrize("marginal", ["whitened", "score", "stein"])
@settings(max_examples=8)
@given(offset=st.floats(-1e3, 1e3), seed=st.integers(0, 100))
@example(offset=61.1, seed=67)  # a kernel of many small eigenvalues, whose directions are noise
@example(offset=65.0, seed=67)
def test_shifts_of_an_implicit_encoders_z_change_no_gradient_and_have_gradient_zero(
    marginal, offset, seed
):
    generator = torch.Generator().manual_seed(seed)
    mean, noise = (
        torch.randn(60, 2, generator=generator),
        torch.randn(16, 60, 2, generator=generator),
    )
    found = []
    for shift in (0.0, offset):
        log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        z = (mean.double() + 0.5 * noise + shift) * log_scale.exp() + bias
        stochastic_mutual_info_surrogate(z, marginal=marginal).backward()
        found.append(log_scale.grad)
        torch.testing.assert_close(bias.grad, torch.zeros_like(bias), rtol=0, atol=1e-9)
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-6)
