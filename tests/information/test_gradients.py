"""Circumstances I and II against linear-Gaussian encoders, weight by weight."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sk_mige.information import (
    entropy_surrogate,
    hidden_mutual_info_surrogate,
    joint_squared_distances,
    multiview_mutual_info_surrogate,
    mutual_info_surrogate,
    stochastic_mutual_info_surrogate,
)
from sk_mige.information.hidden import mean_hidden_mutual_info_surrogate
from sk_mige.score import squared_distances, ssge

from .conftest import exact_normal, gaussian_score

dimensions = st.integers(1, 6)
seeds = st.integers(0, 100)


def weight(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    w = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    return (w + torch.eye(rows, columns, dtype=torch.float64)).requires_grad_()


def gradients(value: Tensor, *parameters: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(value, parameters))


@settings(max_examples=20)
@given(d=dimensions, seed=seeds)
def test_entropy_of_a_linear_map_grows_with_its_log_determinant(d, seed):
    generator = torch.Generator().manual_seed(seed)
    x, w = exact_normal(60, d, generator), weight(d, d, generator)
    (estimated,) = gradients(entropy_surrogate(x @ w.mT, score=gaussian_score), w)
    (exact,) = gradients(torch.linalg.slogdet(w).logabsdet, w)
    torch.testing.assert_close(estimated, exact)


@settings(max_examples=20)
@given(d_x=dimensions, d_z=dimensions, seed=seeds)
def test_circumstance_one_for_a_noisy_linear_channel(d_x, d_z, seed):
    generator = torch.Generator().manual_seed(seed)
    both = exact_normal(80, d_x + d_z, generator)
    x, noise = both[:, :d_x], both[:, d_x:]
    w = weight(d_z, d_x, generator)
    log_scale = torch.tensor(-0.3, dtype=torch.float64, requires_grad=True)
    z = x @ w.mT + log_scale.exp() * noise

    def score(z: Tensor, *, sq_distances: Tensor | None = None) -> Tensor:
        is_joint = sq_distances is not None
        return gaussian_score(torch.cat([x, z], 1))[:, d_x:] if is_joint else gaussian_score(z)

    surrogate = mutual_info_surrogate(x, z, score=score)
    covariance = w @ w.mT + (2 * log_scale).exp() * torch.eye(d_z, dtype=torch.float64)
    information = 0.5 * torch.logdet(covariance) - d_z * log_scale
    for estimated, exact in zip(
        gradients(surrogate, w, log_scale), gradients(information, w, log_scale), strict=True
    ):
        torch.testing.assert_close(estimated, exact)


@settings(max_examples=20)
@given(d_x=dimensions, d_h=dimensions, d_z=dimensions, seed=seeds)
def test_circumstance_two_for_two_noisy_linear_layers(d_x, d_h, d_z, seed):
    generator = torch.Generator().manual_seed(seed)
    parts = exact_normal(100, d_x + d_h + d_z, generator)
    x, noise_h, noise_z = parts.split([d_x, d_h, d_z], dim=1)
    a, b = weight(d_h, d_x, generator), weight(d_z, d_h, generator)
    h = x @ a.mT + 0.5 * noise_h
    z = h @ b.mT + 0.7 * noise_z
    surrogate = hidden_mutual_info_surrogate(h, z, score=gaussian_score)
    covariance = b @ (a @ a.mT + 0.25 * torch.eye(d_h)) @ b.mT + 0.49 * torch.eye(d_z)
    information = 0.5 * torch.logdet(covariance)
    for estimated, exact in zip(
        gradients(surrogate, a, b), gradients(information, a, b), strict=True
    ):
        torch.testing.assert_close(estimated, exact, rtol=1e-5, atol=1e-7)


def test_estimated_scores_give_the_gradient_of_a_channel_at_every_weight(generator, dtype):
    x, noise = torch.randn(2, 800, 2, generator=generator, dtype=dtype)
    w = torch.tensor([[1.0, 0.5], [-0.3, 0.8]], dtype=dtype, requires_grad=True)
    surrogate = mutual_info_surrogate(x, x @ w.mT + noise)
    (estimated,) = gradients(surrogate, w)
    information = 0.5 * torch.logdet(w @ w.mT + torch.eye(2, dtype=dtype))
    (exact,) = gradients(information, w)
    assert torch.linalg.norm(estimated - exact) < 0.4 * torch.linalg.norm(exact)
    assert torch.cosine_similarity(estimated.flatten(), exact.flatten(), dim=0) > 0.97


def test_value_and_gradient_keep_the_dtype(generator):
    for dtype in (torch.float32, torch.float64):
        z = torch.randn(20, 3, generator=generator, dtype=dtype).requires_grad_()
        x = torch.randint(0, 255, (20, 2, 4), generator=generator)
        value = mutual_info_surrogate(x.to(torch.uint8), z)
        assert (value.dtype, value.shape) == (dtype, ())
        (gradient,) = gradients(value, z)
        assert gradient.dtype == dtype


def test_the_derivative_is_exact_once_the_scores_are_constants(generator):
    z = torch.randn(7, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    fixed, joint = torch.randn(2, 7, 2, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda z: mutual_info_surrogate(
            z.detach(), z, score=lambda _, **known: joint if known else fixed
        ),
        z,
    )


def test_no_gradient_flows_through_the_scores(generator):
    z = torch.randn(30, 2, generator=generator, requires_grad=True)
    (gradient,) = gradients(entropy_surrogate(z), z)
    scores = ssge(z)
    torch.testing.assert_close(gradient, -(scores - scores.mean(0)) / 30)


SURROGATES = {
    "entropy": lambda x, z: entropy_surrogate(z),
    "I": mutual_info_surrogate,
    "II": hidden_mutual_info_surrogate,
}


@settings(max_examples=20)
@given(
    name=st.sampled_from(sorted(SURROGATES)), offset=st.floats(-1e3, 1e3), d=dimensions, seed=seeds
)
def test_shifts_of_z_change_no_gradient_and_have_gradient_zero(name, offset, d, seed):
    generator = torch.Generator().manual_seed(seed)
    x, z = torch.randn(2, 30, d, generator=generator, dtype=torch.float64)
    surrogate = SURROGATES[name]
    found = []
    for shift in (0.0, offset):
        log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(d, dtype=torch.float64, requires_grad=True)
        moved = (z + shift) * log_scale.exp() + bias
        found.append(gradients(surrogate(x, moved), log_scale, bias))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[1][1], torch.zeros(d).double(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_entropy_grows_by_the_dimension_with_the_log_of_the_scale(offset, generator):
    z = offset + torch.randn(400, 2, generator=generator, dtype=torch.float64)
    log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = gradients(entropy_surrogate(log_scale.exp() * z), log_scale)
    assert abs(slope - 2) < 0.2


def test_scores_of_every_function_are_centred(generator):
    z, scores = torch.randn(2, 10, 2, generator=generator)
    z.requires_grad_()
    (gradient,) = gradients(entropy_surrogate(z, score=lambda z, **_: scores), z)
    torch.testing.assert_close(gradient, -(scores - scores.mean(0)) / 10)


BY_SCORE = {
    "entropy": lambda x, z, score: entropy_surrogate(z, score=score),
    "I": lambda x, z, score: mutual_info_surrogate(x, z, score=score),
    "II": lambda x, z, score: hidden_mutual_info_surrogate(x + z, z, score=score),
    "II, parts": lambda x, z, score: mean_hidden_mutual_info_surrogate(
        torch.stack([x + z, x - z]), z, score=score
    ),
    "III": lambda x, z, score: stochastic_mutual_info_surrogate(
        torch.stack([z + 0.1 * k * x for k in range(4)]), score=score
    ),
    "III, literal": lambda x, z, score: stochastic_mutual_info_surrogate(
        torch.stack([z + 0.1 * k * x for k in range(4)]), marginal="score", score=score
    ),
    "III, explicit": lambda x, z, score: stochastic_mutual_info_surrogate(
        z, conditional=(x, torch.ones(3)), marginal="stein", score=score
    ),
    "views": lambda x, z, score: multiview_mutual_info_surrogate(
        torch.stack([z, z + 0.1 * x]), score=score
    ),
}


@pytest.mark.parametrize("name", list(BY_SCORE))
def test_a_function_that_calls_ssge_gives_the_gradient_of_ssge(name, generator):
    x, z = torch.randn(2, 30, 3, generator=generator, dtype=torch.float64)
    z.requires_grad_()
    surrogate = BY_SCORE[name]
    (direct,) = gradients(surrogate(x, z, ssge), z)
    (wrapped,) = gradients(surrogate(x, z, lambda z, **known: ssge(z, **known)), z)
    torch.testing.assert_close(wrapped, direct, rtol=1e-8, atol=1e-10)


@settings(max_examples=15)
@given(scale=st.floats(1e-6, 1e6), seed=seeds)
def test_the_unit_of_the_inputs_does_not_matter(scale, seed):
    generator = torch.Generator().manual_seed(seed)
    x, z = torch.randn(2, 40, 3, generator=generator, dtype=torch.float64)
    z.requires_grad_()
    one, other = (gradients(mutual_info_surrogate(s * x, z), z)[0] for s in (1.0, scale))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-8)


def test_the_dimension_of_a_random_projection_does_not_change_the_gradient_s_size(generator):
    factors = torch.randn(60, 5, generator=generator, dtype=torch.float64)
    x = factors @ torch.randn(5, 500, generator=generator, dtype=torch.float64)
    z = torch.tanh(factors[:, :2]).requires_grad_()
    (exact,) = gradients(mutual_info_surrogate(x, z), z)
    for k in (64, 128, 400):
        projections = torch.randn(10, k, 500, generator=generator, dtype=torch.float64)
        norms = [
            gradients(mutual_info_surrogate(x, z, projection=p), z)[0].norm() for p in projections
        ]
        assert 0.85 < torch.stack(norms).mean() / exact.norm() < 1.15


def test_the_order_of_the_samples_does_not_matter(generator):
    x, z = torch.randn(2, 50, 3, generator=generator, dtype=torch.float64)
    order = torch.randperm(50, generator=generator)
    z.requires_grad_()
    for surrogate in (mutual_info_surrogate, hidden_mutual_info_surrogate):
        (straight,) = gradients(surrogate(x, z), z)
        (permuted,) = gradients(surrogate(x[order], z[order]), z)
        torch.testing.assert_close(straight, permuted, rtol=1e-6, atol=1e-9)


def test_images_are_flattened(generator):
    images = torch.rand(20, 3, 4, 4, generator=generator)
    z = torch.randn(20, 2, 3, generator=generator, requires_grad=True)
    (one,) = gradients(mutual_info_surrogate(images, z), z)
    (other,) = gradients(mutual_info_surrogate(images.flatten(1), z.flatten(1)), z)
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("rows", ["equal", "two values", "one apart", "tiny"])
@pytest.mark.parametrize("which", ["x", "z", "both"])
@pytest.mark.filterwarnings("ignore:. is constant", "ignore:squared distances .* vanish")
def test_collapsed_batches_have_finite_gradients(rows, which):
    collapsed = {
        "equal": torch.ones(10, 2),
        "two values": torch.ones(10, 2) * torch.tensor([0.0, 1.0] * 5)[:, None],
        "one apart": torch.cat([torch.ones(9, 2), torch.zeros(1, 2)]),
        "tiny": 1e-30 * torch.randn(10, 2, generator=torch.Generator().manual_seed(0)),
    }[rows]
    healthy = torch.randn(10, 2, generator=torch.Generator().manual_seed(1))
    x = collapsed if which in ("x", "both") else healthy
    z = (collapsed if which in ("z", "both") else healthy).clone().requires_grad_()
    for surrogate in (mutual_info_surrogate, hidden_mutual_info_surrogate):
        (gradient,) = gradients(surrogate(x, z), z)
        assert torch.isfinite(gradient).all()


def test_x_scale_weighs_the_inputs_medians(generator):
    sq_x, sq_z = squared_distances(torch.randn(2, 9, 2, generator=generator))
    torch.testing.assert_close(joint_squared_distances(sq_x, sq_z, x_scale=0.0), sq_z)
    weighed = joint_squared_distances(sq_x, sq_z, x_scale=3.0) - sq_z
    pairs = torch.triu_indices(9, 9, 1)
    ratio = weighed[*pairs].median() / sq_z[*pairs].median()
    torch.testing.assert_close(ratio, torch.tensor(9.0))


@pytest.mark.parametrize("d", [8, 32])
def test_equal_weights_of_x_and_z_give_the_best_gradient_of_a_channel(d, generator):
    rhos = (-0.7, 0.5, 0.8)
    samples = torch.randn(len(rhos), 2, 256, d, generator=generator, dtype=torch.float64)
    errors = {}
    for x_scale in (0.3, 1.0, 3.0):
        found = []
        for value, (x, noise) in zip(rhos, samples, strict=True):
            rho = torch.tensor(value, dtype=torch.float64, requires_grad=True)
            z = rho * x + (1 - rho**2).sqrt() * noise
            found += gradients(mutual_info_surrogate(x, z, x_scale=x_scale), rho)
        truth = torch.tensor([d * rho / (1 - rho**2) for rho in rhos], dtype=torch.float64)
        errors[x_scale] = torch.linalg.norm(torch.stack(found) - truth)
    assert errors[1.0] == min(errors.values())
