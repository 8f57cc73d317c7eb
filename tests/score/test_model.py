"""Fitted models of every kind: derivatives in closed form, other dtypes, gradients."""

from __future__ import annotations

import pytest
import torch

from sk_mige.score import InverseMultiquadric, rbf_kernel, squared_distances


def jacobians(model, points):
    return torch.stack([torch.func.jacrev(lambda p: model.score(p[None])[0])(p) for p in points])


def test_divergence_is_the_trace_of_the_jacobian(fitted):
    fit, points = fitted
    expected = jacobians(fit.model, points).diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(fit.model.divergence(points), expected, rtol=1e-6, atol=1e-6)


def test_jacobian_vector_products_are_those_of_the_jacobian(fitted, generator):
    fit, points = fitted
    v = torch.randn(points.shape, generator=generator, dtype=torch.float64)
    expected = (jacobians(fit.model, points) @ v[..., None])[..., 0]
    torch.testing.assert_close(fit.model.jvp(points, v), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_jacobian_vector_products_are_the_same_without_gradients(fitted, context):
    fit, points = fitted
    with context():
        found = fit.model.jvp(points.clone(), points.clone())
    torch.testing.assert_close(found, fit.model.jvp(points, points))


def test_a_curl_free_score_has_a_symmetric_jacobian(fitted):
    fit, points = fitted
    jacobian = jacobians(fit.model, points)
    asymmetry = (jacobian - jacobian.mT).norm() / jacobian.norm()
    only_gradients = fit.model.expansion.curl_free
    assert (asymmetry < 1e-8) == only_gradients


def test_hyvarinens_loss_is_half_the_square_plus_the_divergence(fitted):
    fit, points = fitted
    score = fit.model.score(points)
    expected = 0.5 * score.square().sum(1) + fit.model.divergence(points)
    torch.testing.assert_close(fit.model.hyvarinen_loss(points), expected)


def test_a_model_in_float32_is_within_a_thousandth(fitted):
    fit, points = fitted
    exact = fit.model.score(points)
    single = fit.model.to(torch.float32).score(points.float())
    assert (single - exact).norm() < 1e-3 * exact.norm()


def test_the_score_passes_gradcheck(fitted):
    fit, points = fitted
    assert torch.autograd.gradcheck(fit.model.score, (points[:2].clone().requires_grad_(),))


def test_distances_and_kernel_pass_gradcheck(generator):
    x = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(squared_distances, (x, y))
    assert torch.autograd.gradcheck(squared_distances, (x,))
    assert torch.autograd.gradcheck(
        lambda x, y, sigma: rbf_kernel(squared_distances(x, y), sigma), (x, y, sigma)
    )


@pytest.mark.parametrize("distance", [1e3, 1e6])
def test_far_from_all_samples_the_score_is_that_of_the_base(fitted, distance):
    fit, points = fitted
    expansion = fit.model.expansion
    if isinstance(expansion.kernel, InverseMultiquadric):
        return  # falls as a power of the distance
    far = points + distance * points.std()
    at = far if fit.model.units is None else fit.model.units(far)
    inner = at if fit.model.subspace is None else fit.model.subspace.embed(at)
    y = expansion.whitening(inner)
    weight, _ = expansion.base.weight(y.square().sum(1))
    base = -expansion.whitening.linear(weight[:, None] * y)
    base = base if fit.model.subspace is None else fit.model.subspace.lift(at, inner, base)
    base = base if fit.model.units is None else base / fit.model.units.scale
    torch.testing.assert_close(fit.model.score(far), base)
