"""Heads: standardised, drawn from a Gaussian, or deterministic."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from sk_mige.networks import (
    DeterministicHead,
    EncoderNetwork,
    GaussianHead,
    StandardizingHead,
)


@pytest.fixture
def h() -> torch.Tensor:
    return 3 + 7 * torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))


def test_standardised_components_have_mean_0_and_variance_1(h: torch.Tensor) -> None:
    z = StandardizingHead(4).train()(h).z
    torch.testing.assert_close(z.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.var(0, unbiased=False), torch.ones(4), atol=1e-3, rtol=0)


def test_standardising_has_no_parameters() -> None:
    assert list(StandardizingHead(4).parameters()) == []


def test_gaussian_draws_have_the_mean_and_scale_they_report(h: torch.Tensor) -> None:
    head = GaussianHead(2).train()
    wide = torch.cat([h[:, :2], 5 + h[:, 2:] / 10], dim=1)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        code = head(wide)
    mean, scale = code.conditional
    torch.testing.assert_close(scale, softplus(wide[:, 2:] - 5))
    noise = (code.z - mean) / scale
    assert abs(float(noise.mean())) < 4 / 4000**0.5
    assert abs(float(noise.var()) - 1) < 4 * (2 / 4000) ** 0.5


def test_scale_is_positive_for_any_logit() -> None:
    code = GaussianHead(1).eval()(torch.tensor([[0.0, -1e4]]))
    assert float(code.conditional[1]) > 0


def test_a_gaussian_head_returns_its_mean_in_evaluation(h: torch.Tensor) -> None:
    code = GaussianHead(2).eval()(h)
    torch.testing.assert_close(code.z, h[:, :2])


def test_mean_of_predictions_over_draws_is_that_of_a_linear_decoder_at_the_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    network = EncoderNetwork(nn.Linear(3, 4), GaussianHead(2), nn.Linear(2, 1)).eval()
    x = torch.randn(5, 3, generator=generator)
    noise = torch.randn(50, 2, generator=generator)
    symmetric = torch.cat([noise, -noise])
    with torch.no_grad():
        drawn = network.predictions(x, symmetric)
        assert drawn.shape == (100, 5, 1)
        torch.testing.assert_close(drawn.mean(0), network(x).prediction)
        torch.testing.assert_close(network.predictions(x)[0], network(x).prediction)


def test_deterministic_head_has_no_draws_to_average() -> None:
    network = EncoderNetwork(nn.Linear(3, 2), DeterministicHead(2), nn.Linear(2, 1)).eval()
    assert network.predictions(torch.zeros(5, 3), torch.zeros(7, 2)).shape == (1, 5, 1)
