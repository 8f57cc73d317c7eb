"""Relative Fisher information where quadrature gives its value."""

from __future__ import annotations

import pytest
import torch

from sk_mige.information import relative_fisher_information, whitened_scores


def test_relative_fisher_information_of_a_mixture(generator):
    """Against quadrature: a mixture of ±0.9 with σ² = 0.19 has variance 1."""
    sign = torch.randint(0, 2, (3000, 1), generator=generator).double() * 2 - 1
    z = 0.9 * sign + 0.19**0.5 * torch.randn(3000, 1, generator=generator, dtype=torch.float64)
    grid = torch.linspace(-4, 4, 4001, dtype=torch.float64)
    weights = torch.exp(-((grid[:, None] - torch.tensor([-0.9, 0.9])) ** 2) / 0.38)
    density = weights.sum(1) / weights.sum() / (grid[1] - grid[0])
    score = (0.9 * torch.tanh(0.9 * grid / 0.19) - grid) / 0.19
    truth = torch.trapezoid(density * (score + grid) ** 2, grid)
    estimated = relative_fisher_information((z - z.mean()) / z.std(correction=0)).mean()
    assert abs(estimated / truth - 1) < 0.15


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_linear_combination_of_columns_changes_neither_information_nor_scores(dtype):
    z = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)).sinh()
    axes = torch.tensor([[2.0, 1.0, 2.0], [1.0, 2.0, -2.0]]) / 3  # orthonormal
    z, wider = z.to(dtype), z.to(dtype) @ axes.to(dtype)
    options = {"rtol": 1e-3, "atol": 1e-3}
    found = relative_fisher_information(wider)
    torch.testing.assert_close(found, relative_fisher_information(z), check_dtype=False, **options)
    scores = whitened_scores(wider)
    torch.testing.assert_close(scores, whitened_scores(z) @ axes.to(dtype), **options)
