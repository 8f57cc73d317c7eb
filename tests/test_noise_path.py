"""Information from scores along a path of noise, as in Figure 1's script."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

SCRIPTS = Path(__file__).parents[1] / "examples" / "paper"
PATH = runpy.run_path(str(SCRIPTS / "noise_path.py"))
FINE, integrate_rates = PATH["FINE"], PATH["integrate_rates"]

GRID = torch.linspace(-9, 9, 20001, dtype=torch.float64)
STEP = float(GRID[1] - GRID[0])


def mixture(m: float, v: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-density and score on the grid of the mixture of N(m, v) and N(-m, v)."""
    log_p = torch.logaddexp(-((GRID - m) ** 2) / (2 * v), -((GRID + m) ** 2) / (2 * v))
    return log_p - (log_p.exp().sum() * STEP).log(), (m * torch.tanh(m * GRID / v) - GRID) / v


@given(k=st.floats(3, 10))
def test_exponential_rates(k):
    value = integrate_rates(lambda s: torch.tensor(math.exp(-k * s))).value
    assert float(value) == pytest.approx(0.5 / k, rel=5e-3)


@pytest.mark.parametrize("m", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_divergence_of_a_mixture_from_its_gaussian(m):
    """Two clusters of variance 1 - m² at ±m, which approach and widen along the path."""

    def rate(s: float) -> torch.Tensor:
        log_p, score = mixture(m * math.exp(-s / 2), 1 - m * m * math.exp(-s))
        return (log_p.exp() * (score + GRID) ** 2).sum() * STEP

    log_p, _ = mixture(m, 1 - m * m)
    log_g = -0.5 * (GRID**2 + math.log(2 * math.pi))
    exact = float((log_p.exp() * (log_p - log_g)).sum() * STEP)
    assert float(integrate_rates(rate).value) == pytest.approx(exact, rel=0.01, abs=0.001)


@given(log_variance=st.floats(-14, 0.5))
def test_divergence_of_gaussians_however_narrow(log_variance):
    """D(N(0, v) || N(0, 1)) = ½ (v - 1 - log v), and v grows to 1 along the path."""
    v = math.exp(log_variance)

    def rate(s: float) -> torch.Tensor:
        wide = 1 + (v - 1) * math.exp(-s)
        return torch.tensor((1 / wide - 1) ** 2 * wide, dtype=torch.float64)

    exact = 0.5 * (v - 1 - log_variance)
    assert float(integrate_rates(rate).value) == pytest.approx(exact, rel=0.01, abs=0.002)


def test_the_part_of_the_integral_at_small_steps_is_reported():
    """For noise of variance v around a curve, the rate is 1/s down to v."""
    v = 1e-5

    def rate(s: float) -> torch.Tensor:
        return torch.tensor(math.exp(-3 * s) / (s + v), dtype=torch.float64)

    value, fine = integrate_rates(rate)
    assert float(fine) == pytest.approx(0.5 * math.log(FINE / v), abs=0.3)
    assert float(value - fine) == pytest.approx(0.5 * (-math.log(3 * FINE) - 0.577), abs=0.3)


def test_each_entry_of_the_rates_is_integrated():
    values = integrate_rates(lambda s: math.exp(-4 * s) * torch.tensor([1.0, -2.0, 0.0])).value
    torch.testing.assert_close(values, torch.tensor([0.125, -0.25, 0.0]), rtol=5e-3, atol=0)


@pytest.mark.parametrize("information", [0.1, 2.0, 20.0])
@pytest.mark.parametrize("transform", [lambda y: y, lambda y: y**3])
def test_values_of_correlated_gaussians_and_their_cubes(monkeypatch, information, transform):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    value = runpy.run_path(str(SCRIPTS / "score_value.py"))["score_based_value"]
    rho = math.sqrt(-math.expm1(-information / 5))
    x, noise = np.random.default_rng(0).standard_normal((2, 800, 10))
    y = rho * x + math.sqrt(1 - rho**2) * noise
    found = value(transform(x), transform(y), n_landmarks=50)
    assert abs(found - information) < max(0.05 * information, 0.15)
