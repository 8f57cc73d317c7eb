"""Mutual information in nats, where its value is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sk_mige.information import (
    gaussianize_margins,
    gaussianize_ranks,
    independent_axes,
    mutual_info_score_based,
    relative_fisher_information,
)


def correlated(information: float, n: int, d: int, seed: int = 0):
    rho = math.sqrt(-math.expm1(-2 * information / d))
    x, noise = np.random.default_rng(seed).standard_normal((2, n, d))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


@pytest.mark.parametrize("information", [0.1, 2.0, 20.0])
@pytest.mark.parametrize("transform", [lambda y: y, lambda y: y**3, np.arcsinh])
def test_correlated_gaussians_and_what_coordinatewise_maps_make_of_them(information, transform):
    x, y = correlated(information, 800, 10)
    value, error, _ = mutual_info_score_based(transform(x), transform(y), n_landmarks=50)
    assert abs(value - information) < max(0.05 * information, 0.15)
    assert abs(value - information) < 5 * error


def test_rotations_and_units_do_not_matter():
    x, y = correlated(2.0, 600, 4)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))[0]
    plain = mutual_info_score_based(x, y, margins=None, n_landmarks=50)
    turned = mutual_info_score_based(1e6 * x @ rotation, y - 1e3, margins=None, n_landmarks=50)
    assert turned.gaussian == pytest.approx(plain.gaussian, rel=1e-6)
    assert abs(turned.value - plain.value) < 3 * plain.standard_error


def test_independent_variables_share_nothing():
    x, y = np.random.default_rng(0).standard_normal((2, 1000, 3))
    value, error, _ = mutual_info_score_based(x, np.exp(y), n_landmarks=50)
    assert abs(value) < 4 * error
    assert error < 0.05


def test_structure_that_no_covariance_shows_is_found():
    """y = |x| + noise is uncorrelated with x."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1500, 1))
    y = np.abs(x) + 0.2 * rng.standard_normal((1500, 1))
    value, error, gaussian = mutual_info_score_based(x, y)
    assert abs(gaussian) < 0.02
    # I = H(y) − H(y|x) ≈ 0.726 + 0.04 − (−0.19) = 0.95 with H(|x|) = 0.726
    assert 0.6 < value < 1.1
    assert error < 0.2


@pytest.mark.parametrize("function", [np.square, np.abs])
@pytest.mark.parametrize("margins", ["gaussian", None])
def test_information_through_little_noise_is_not_overestimated(function, margins):
    """Against h(y) - h(noise), with h(y) by quadrature over the noise of 4,000 values of x."""
    rng, sigma = np.random.default_rng(1), 0.1
    x, noise = rng.standard_normal((2, 1000))
    quantiles = torch.special.ndtri((torch.arange(4000).double() + 0.5) / 4000).numpy()
    grid = np.linspace(-1, 20, 4001)
    exponents = -0.5 * ((grid - function(quantiles)[:, None]) / sigma) ** 2
    density = np.exp(exponents).mean(0) / (sigma * math.sqrt(2 * math.pi))
    entropy = -np.sum(density * np.log(density + 1e-300)) * (grid[1] - grid[0])
    truth = entropy - 0.5 * math.log(2 * math.pi * math.e * sigma**2)
    value = mutual_info_score_based(x, function(x) + sigma * noise, margins=margins).value
    assert 0.75 * truth < value < 1.05 * truth


def test_a_function_of_x_is_named_as_such():
    x = np.random.default_rng(0).standard_normal(500)
    with pytest.warns(UserWarning, match=r"nearly functions of each other.*larger than the value"):
        mutual_info_score_based(x, x**2, n_landmarks=100)


def test_columns_that_repeat_others_change_nothing():
    x, y = correlated(0.5, 500, 2)
    several = np.column_stack([x, 3 * x[:, 0] - 2 * x[:, 1], 5 - x[:, 1], np.ones(500)])
    for margins in ("gaussian", None):
        once = mutual_info_score_based(x, y, margins=margins, n_landmarks=50)
        more = mutual_info_score_based(several, y, margins=margins, n_landmarks=50)
        turned = mutual_info_score_based(y, several, margins=margins, n_landmarks=50)
        assert more.value == pytest.approx(once.value, rel=1e-6)
        assert turned.gaussian == pytest.approx(once.gaussian, rel=1e-6)
        assert abs(turned.value - once.value) < 4 * once.standard_error


def test_increasing_functions_of_other_columns_tell_nothing_new():
    x, y = correlated(0.5, 500, 1)
    once = mutual_info_score_based(x, y, n_landmarks=50)
    twice = mutual_info_score_based(
        np.hstack([x, x**3]), np.hstack([y, np.exp(-y)]), n_landmarks=50
    )
    assert tuple(twice) == pytest.approx(tuple(once))


@pytest.mark.parametrize("margins", ["gaussian", None])
def test_a_linear_function_of_x_has_infinite_information(margins):
    x = np.random.default_rng(0).standard_normal((50, 2))
    y = np.column_stack([x @ [1.0, 2.0], x[:, 0] ** 2])
    value, error, _ = mutual_info_score_based(x, y, margins=margins)
    assert value == math.inf
    assert math.isnan(error)


def test_one_seed_one_result_and_the_global_generators_stay(global_random_state_untouched):
    x, y = correlated(1.0, 200, 2)
    first = mutual_info_score_based(x, y, n_landmarks=20)
    assert mutual_info_score_based(x, y, n_landmarks=20) == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.ones((30, 2))}, "x is constant"),
        ({"x": np.zeros((29, 2))}, "same number of samples"),
        ({"y": np.full((30, 2), np.nan)}, "y contains NaN"),
        ({"x": np.random.default_rng(0).standard_normal((30, 9))}, "11 coordinates .* 30 samples"),
        ({"margins": "uniform"}, "margins"),
        ({"n_folds": 1}, "n_folds"),
        ({"n_folds": 31}, "n_folds must be at most the number of samples, 30"),
        ({"n_landmarks": 0}, "n_landmarks"),
    ],
)
def test_bad_input_is_named(change, message):
    x, y = correlated(1.0, 30, 2)
    with pytest.raises(ValueError, match=message):
        mutual_info_score_based(**({"x": x, "y": y} | change))


def test_classes_have_no_scores_and_it_says_so():
    x = np.random.default_rng(0).standard_normal((200, 1))
    with pytest.warns(UserWarning, match=r"column 0 of y has 3 values.*mutual_info_classif"):
        mutual_info_score_based(x, np.digitize(x, [-0.5, 0.5]))


def test_normal_scores_depend_on_ranks_alone(generator):
    z = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(gaussianize_ranks(z), gaussianize_ranks(z.exp()))
    assert gaussianize_ranks(torch.tensor([[1.0], [2.0], [2.0], [9.0]]))[1:3].unique().numel() == 1
    torch.testing.assert_close(gaussianize_ranks(z).mean(0), torch.zeros(3).double())


def test_margins_become_gaussian_and_the_derivative_is_the_maps(generator):
    z = torch.randn(800, 2, generator=generator, dtype=torch.float64)
    values, derivative = gaussianize_margins(z**3)
    assert (values - z).abs().median() < 0.1
    order = z[:, 0].argsort()
    step = torch.diff((z[order, 0]) ** 3)
    secant = torch.diff(values[order, 0]) / step
    tangent = derivative[order, 0]
    between = (torch.minimum(tangent[1:], tangent[:-1]), torch.maximum(tangent[1:], tangent[:-1]))
    inside = (secant > 0.9 * between[0]) & (secant < 1.1 * between[1])
    assert inside.double().mean() > 0.97
    assert (derivative >= 0).all()


def test_margins_with_few_values_stay_finite():
    z = torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 2.0], [0.0, 1.0]])
    for part in gaussianize_margins(z):
        assert torch.isfinite(part).all()


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


def test_independent_axes_undo_a_rotation(generator):
    z = torch.randn(2000, 3, generator=generator, dtype=torch.float64) ** 3
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    axes = independent_axes(z @ turn)
    product = (turn @ axes).abs()  # a permutation but for scale
    product = product / product.max(0).values
    assert (product.sort(0).values[:-1] < 0.1).all()


def test_axes_stay_where_none_are_better(generator):
    z = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    with_a_constant = torch.cat([z**3, torch.ones_like(z[:, :1])], dim=1)
    for given in (z, z.exp(), z[:, :1], z[:15], with_a_constant):
        assert independent_axes(given) is None


def test_a_rotated_cubic_shares_what_the_gaussians_did():
    x, y = correlated(2.0, 3000, 3)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    value, _, _ = mutual_info_score_based(x**3 @ turn, y**3 @ turn.T, n_landmarks=50)
    assert abs(value - 2.0) < 0.2
