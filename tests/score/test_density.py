"""Parts of a log-density: the base, the determinant of a whitening, and the projection."""

from __future__ import annotations

import math

import pytest
import torch

from sk_mige.score import ScoreSettings, fit_dense, whitening
from sk_mige.score import density as module
from sk_mige.score.base import RadialBase
from sk_mige.score.density import LogDensity
from sk_mige.score.sampling import confined_score


def samples(n=300, d=2):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dof", [4.0, math.inf])
def test_the_weight_of_a_base_is_the_slope_of_its_log_density(dof):
    base = RadialBase(dof, 1.7, 3)
    radii = torch.linspace(0.1, 9, 7, dtype=torch.float64).requires_grad_()
    base.log_density(radii).sum().backward()
    torch.testing.assert_close(-2 * radii.grad, base.weight(radii.detach())[0])


@pytest.mark.parametrize("dof", [3.0, 8.0, math.inf])
def test_the_constant_of_a_base_is_its_integral(dof):
    base = RadialBase(dof, 2.5, 1)
    grid = torch.linspace(-2000, 2000, 2_000_001, dtype=torch.float64)
    integral = torch.trapezoid(base.log_density(grid.square()).exp(), grid)
    assert float(integral.log()) == pytest.approx(base.log_constant, abs=1e-5)


@pytest.mark.parametrize("shape", [(50, 3), (5, 8)])
def test_the_log_determinant_is_that_of_the_linear_map(shape):
    white, _ = whitening(samples(*shape), 0.3)
    matrix = white.linear(torch.eye(shape[1], dtype=torch.float64))
    assert white.log_determinant == pytest.approx(float(torch.logdet(matrix)))


def test_the_projection_of_a_gradient_field_is_its_potential():
    """A curl-free fit written as sections of a kernel has the same log-density."""
    x = samples(40)
    curl_free = fit_dense(x, ScoreSettings(curl_free=True, alpha=1e-2)).model
    ex = curl_free.expansion
    correction = ex.whitening.inverse_linear(
        curl_free.score(x) * curl_free.units.scale
    ) - ex.whitening.inverse_linear(curl_free.base_alone.score(x) * curl_free.units.scale)
    found = ex.gram() @ module._projected(ex, ex.centers, correction)
    expected = ex.gram() @ curl_free.coefficients
    torch.testing.assert_close(found - found.mean(), expected - expected.mean(), rtol=0, atol=5e-3)


def test_a_subset_of_the_centres_gives_nearly_the_same_potential(monkeypatch):
    x = samples(400)
    model = fit_dense(x, ScoreSettings(alpha=1e-3)).model
    expected = LogDensity.of(model)(x)
    monkeypatch.setattr(module, "MAX_CENTERS", 200)
    found = LogDensity.of(model)
    assert len(found.centers) == 200
    assert float((found(x) - expected).abs().mean()) < 0.02


def test_scores_outside_of_the_data_are_those_of_the_base():
    model = fit_dense(samples(), ScoreSettings(alpha=1e-6, bandwidth=5.0)).model
    confined = confined_score(model)
    near, far = samples()[:200] / 4, samples()[:20] + 20.0
    torch.testing.assert_close(confined(far), model.base_alone.score(far))
    torch.testing.assert_close(confined(near), model.score(near))
