"""Predictions of one variable from many columns of another variable."""

from __future__ import annotations

import math

import torch

from sk_mige.information.prediction import information_by_regression, leave_one_out_predictions


def test_constant_squares_are_no_predictions():
    x = torch.randn(60, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    # The mean of the squares of the second column has a rounding error.
    for size in (1.0, 0.6744897501960817):
        y = torch.where(x[:, :60].sum(1, keepdim=True) > 0, size, -size).double()
        found = leave_one_out_predictions(x, y)
        assert found.columns.shape == (60, 1)
        assert (found.columns * y).mean() > 0.1 * size


def test_bound_from_a_regression_is_below_the_information_of_gaussians():
    x, noise = torch.randn(2, 1000, 6, dtype=torch.float64, generator=generator())
    y = 0.9 * x + (1 - 0.81) ** 0.5 * noise
    truth = -0.5 * 6 * math.log(1 - 0.81)
    assert 0.8 * truth < information_by_regression(x, y) < truth


def test_bound_from_a_regression_counts_dependent_columns_once():
    x, noise = torch.randn(2, 1000, 10, dtype=torch.float64, generator=generator())
    u = x[:, 0] + 0.5 * noise[:, 0]
    y = torch.stack([u, 3 * u + 0.1 * noise[:, 1], u + 0.1 * noise[:, 2]], dim=1)
    assert information_by_regression(x, y) < 0.5 * math.log(1 + 1 / 0.25)


def test_bound_from_a_regression_is_zero_for_independent_tied_values():
    x = torch.randn(400, 12, dtype=torch.float64, generator=generator())
    rates = torch.tensor([0.1, 0.3, 1.0]).expand(400, -1).double()
    assert information_by_regression(x, torch.poisson(rates, generator=generator())) == 0


def test_bound_from_a_regression_is_below_the_entropy_of_labels():
    x = torch.randn(1000, 12, dtype=torch.float64, generator=generator())
    assert 0 < information_by_regression(x, (x[:, :1] > 0).double()) < math.log(2)


def generator():
    return torch.Generator().manual_seed(0)
