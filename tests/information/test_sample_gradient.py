"""dI/dρ of Figure 1 and variations, and errors."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_mige import SSGEScoreEstimator
from sk_mige.information import (
    conditional_mutual_info_gradient,
    mutual_info_gradient,
    total_correlation_gradient,
    whitened_scores,
)
from sk_mige.information.whitened import confirmed_bandwidth
from sk_mige.score import ssge


def channel(rho: float, n: int, d: int, seed: int = 0):
    """x, y = ρ x + √(1 − ρ²) ε and dy/dρ."""
    x, noise = np.random.default_rng(seed).standard_normal((2, n, d))
    scale = np.sqrt(1 - rho**2)
    return x, rho * x + scale * noise, x - rho / scale * noise


def slope(rho: float, d: int) -> float:
    return d * rho / (1 - rho**2)


@pytest.mark.parametrize("d", [1, 8, 32])
@pytest.mark.parametrize("rho", [-0.8, 0.5])
def test_the_gradient_of_correlated_gaussians(d, rho):
    gradient, error = mutual_info_gradient(*channel(rho, 256, d), standard_error="batch")
    assert abs(gradient - slope(rho, d)) < 4 * error
    assert abs(gradient / slope(rho, d) - 1) < 0.15


def test_the_published_estimator_is_one_setting_and_shrinks_in_many_dimensions():
    x, y, dy = channel(0.8, 256, 32)
    published, _ = mutual_info_gradient(
        x, y, dy, margins=None, joint="coordinates", score=ssge, standard_error="batch"
    )
    default, _ = mutual_info_gradient(x, y, dy, standard_error="batch")
    truth = slope(0.8, 32)
    assert published < 0.85 * truth
    assert abs(default - truth) < 0.1 * truth


@pytest.mark.parametrize(
    ("transform", "derivative"),
    [
        (lambda y: y**3, lambda y: 3 * y**2),
        (np.arcsinh, lambda y: 1 / np.sqrt(1 + y**2)),
        (np.exp, np.exp),
        (lambda y: -1e6 * y, lambda y: -1e6 * np.ones_like(y)),
    ],
    ids=["cube", "asinh", "exp", "units"],
)
def test_increasing_transforms_leave_the_gradient_alone(transform, derivative):
    x, y, dy = channel(0.6, 256, 4)
    plain, error = mutual_info_gradient(x, y, dy, standard_error="batch")
    changed, _ = mutual_info_gradient(
        transform(x), transform(y), derivative(y) * dy, standard_error="batch"
    )
    assert abs(changed - plain) < 3 * error


def test_rotated_cubes_of_many_columns_have_the_gradient_of_the_gaussians():
    x, y, dy = channel(0.6, 256, 10)
    a, b = np.linalg.qr(np.random.default_rng(0).standard_normal((2, 10, 10)))[0]
    cubes = x**3 @ a, y**3 @ b, (3 * y**2 * dy) @ b
    gradient, _ = mutual_info_gradient(*cubes, standard_error="batch")
    assert abs(gradient / slope(0.6, 10) - 1) < 0.1


def test_the_jackknifes_error_covers_the_spread_over_repetitions():
    results = [mutual_info_gradient(*channel(0.3, 60, 2, seed), margins=None) for seed in range(12)]
    spread = np.std([gradient for gradient, _ in results])
    claimed = np.sqrt(np.mean([error**2 for _, error in results]))
    assert 0.5 < claimed / spread < 2.5


def test_several_parameters_at_once_are_each_as_alone():
    x, y, dy = channel(0.5, 100, 3)
    other = np.cos(y)
    both = mutual_info_gradient(x, y, np.stack([dy, other], -1), n_batches=4)
    for k, part in enumerate((dy, other)):
        alone = mutual_info_gradient(x, y, part, n_batches=4)
        assert both.gradient[k] == pytest.approx(alone.gradient)
        assert both.standard_error[k] == pytest.approx(alone.standard_error)
        assert isinstance(alone.gradient, float)


def test_both_variables_may_depend_on_the_parameter():
    """I(θ u + e₁; θ u + e₂) with both signals growing: circumstance II."""
    u, noise_x, noise_y = np.random.default_rng(0).standard_normal((3, 1500, 1))
    theta = 1.5
    x, y = theta * u + noise_x, theta * u + noise_y
    gradient, error = mutual_info_gradient(x, y, u, dx=u, standard_error="batch")
    rho = theta**2 / (1 + theta**2)
    truth = rho / (1 - rho**2) * 2 * theta / (1 + theta**2) ** 2
    assert abs(gradient - truth) < 0.15 * truth
    assert error < 0.1


def test_the_order_of_the_samples_does_not_matter():
    x, y, dy = channel(0.5, 80, 2)
    order = np.random.default_rng(1).permutation(80)
    straight, _ = mutual_info_gradient(x, y, dy, standard_error="batch")
    permuted, _ = mutual_info_gradient(x[order], y[order], dy[order], standard_error="batch")
    assert permuted == pytest.approx(straight, rel=1e-6)


def test_images_enter_by_their_distances(rng):
    images = rng.random((60, 8, 8))
    images[:, :2] = 0  # margins that never change
    y = images.reshape(60, 64)[:, 20:22] + 0.1 * rng.standard_normal((60, 2))
    gradient, error = mutual_info_gradient(images, y, y)
    assert np.isfinite([gradient, error]).all()


def test_tensors_are_accepted():
    x, y, dy = channel(0.5, 50, 2)
    arrays = mutual_info_gradient(x, y, dy, n_batches=3)
    tensors = mutual_info_gradient(*map(torch.from_numpy, (x, y, dy)), n_batches=3)
    assert tensors == arrays


def many_columns(n: int, d: int, n_directions: int):
    """x of d columns, y of directions of x plus noise, and the derivatives of the gain."""
    rng = np.random.default_rng(0)
    x, noise = rng.standard_normal((n, d)), rng.standard_normal((n, n_directions))
    signal = x @ np.linalg.qr(rng.standard_normal((d, n_directions)))[0]
    return x, signal + noise, signal  # dI/dgain is 1/2 per direction


@pytest.mark.parametrize(("n", "d", "n_directions"), [(300, 200, 1), (300, 200, 3), (600, 784, 2)])
@pytest.mark.filterwarnings("ignore:.*do not resolve")
def test_more_columns_of_x_than_samples_resolve_a_linear_relation(n, d, n_directions):
    gradient, error = mutual_info_gradient(*many_columns(n, d, n_directions), joint="distances")
    assert abs(gradient - n_directions / 2) < min(2 * error, 0.15 * n_directions)


def test_a_relation_that_many_columns_hide_is_reported():
    x, noise = many_columns(300, 784, 1)[0], np.random.default_rng(1).standard_normal((300, 1))
    y = x[:, :1] ** 2 + noise
    with pytest.warns(UserWarning, match="784 columns of x predict little of y"):
        mutual_info_gradient(x, y, noise, standard_error="batch")


def test_more_columns_of_y_than_samples_are_reduced_with_a_warning():
    x, y, dy = channel(0.5, 60, 40)
    with pytest.warns(UserWarning, match="in 10 principal components of y"):
        gradient, _ = mutual_info_gradient(x, y + x[:, :1], dy, standard_error="batch")
    assert np.isfinite(gradient)


@pytest.mark.filterwarnings("ignore:.*values in .* samples")  # rounded rows can have few values
@settings(max_examples=10)
@given(n=st.integers(4, 40), d=st.integers(1, 12), copies=st.booleans())
@pytest.mark.filterwarnings("ignore:.*(predict little|too many for)")
def test_small_samples_and_ties_give_finite_results(n, d, copies):
    x, y, dy = channel(0.5, n, d)
    if copies:
        y = np.round(y)
        y[0], y[1] = 0, 1  # not constant
    gradient, error = mutual_info_gradient(x, y, dy, n_batches=2, standard_error="batch")
    assert np.isfinite([gradient, error]).all()


def test_many_samples_agree_better():
    x, y, dy = channel(0.7, 1200, 2)
    gradient, error = mutual_info_gradient(x, y, dy, margins=None, standard_error="batch")
    assert abs(gradient - slope(0.7, 2)) < 4 * error


@settings(max_examples=10)
@given(seed=st.integers(0, 50), d=st.integers(1, 4))
def test_whitened_scores_are_affine_equivariant(seed, d):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(60, d, generator=generator, dtype=torch.float64)
    a = torch.randn(d, d, generator=generator, dtype=torch.float64) + 3 * torch.eye(d).double()
    moved = whitened_scores(z @ a.mT + 5.0)
    expected = torch.linalg.solve(a.mT, whitened_scores(z).mT).mT
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(40, 2), (30, 8), (6, 20)])
def test_whitened_scores_of_a_set_with_nan_are_nan_and_no_error(shape, value):
    z = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    z[3, 1] = value
    assert whitened_scores(z.requires_grad_()).isnan().all()


def test_whitened_scores_need_coordinates():
    with pytest.raises(ValueError, match="sq_distances"):
        whitened_scores(torch.zeros(3, 1), sq_distances=torch.zeros(3, 3))


GOOD = channel(0.5, 20, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": GOOD[1][:-1]}, "x, y must have the same number of rows; got 20, 19"),
        ({"x": GOOD[0][:3], "y": GOOD[1][:3]}, "3 samples; at least 4"),
        ({"x": GOOD[0][:0], "y": GOOD[1][:0]}, "x has 0 samples; at least 4"),
        ({"x": np.ones((20, 2))}, "x is constant"),
        ({"y": np.full((20, 2), 7.0)}, "y is constant"),
        ({"y": GOOD[1] * [1.0, 0.0]}, "y has constant columns .the first is 1."),
        ({"x": np.where(GOOD[0] > 1, np.nan, GOOD[0])}, "x contains NaN"),
        ({"y": np.where(GOOD[1] > 1, np.inf, GOOD[1])}, "y contains NaN or infinity"),
        ({"dy": np.where(GOOD[2] > 1, np.inf, GOOD[2])}, "dy contains NaN or infinity"),
        ({"dy": GOOD[2][:, :1]}, r"dy must have the shape of y, \(20, 2\)"),
        ({"dx": np.zeros((20, 2, 3))}, "same parameters; got parameter axes of lengths 3, none"),
        ({"dx": GOOD[0], "joint": "distances"}, "with dx, pass joint='coordinates'"),
        ({"x": np.empty((20, 0))}, "no features"),
        ({"margins": "uniform"}, "margins must be one of 'gaussian', None; got 'uniform'"),
        ({"joint": "both"}, "joint"),
        ({"standard_error": "bootstrap"}, "standard_error"),
        ({"n_batches": 1}, "n_batches"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = dict(zip(("x", "y", "dy"), GOOD, strict=True)) | change
    with pytest.raises(ValueError, match=message):
        mutual_info_gradient(**arguments)


def test_a_single_number_is_no_sample():
    with pytest.raises(ValueError, match="single number"):
        mutual_info_gradient(1.0, 2.0, 3.0)


@pytest.mark.parametrize("margins", ["gaussian", None])
def test_columns_of_x_that_repeat_others_change_nothing(margins):
    x, noise = np.random.default_rng(0).standard_normal((2, 300, 2))
    y, dy = 0.6 * x + 0.8 * noise, x - 0.75 * noise
    once = mutual_info_gradient(x, y, dy, margins=margins)
    several = np.column_stack([x, 3 * x[:, 0] - 2 * x[:, 1], 5 - x[:, 1], np.ones(300)])
    assert mutual_info_gradient(several, y, dy, margins=margins) == once


def oscillating(n: int, sigma: float = 0.3):
    """y = sin(8x) + σ e with uniform x, and dy/dσ."""
    rng = np.random.default_rng(0)
    x, noise = rng.uniform(-1, 1, (n, 1)), rng.standard_normal((n, 1))
    return x, np.sin(8 * x) + sigma * noise, noise


def slope_of_entropy(sigma: float) -> float:
    """dI/dσ of the oscillating pair, by quadrature of h(y) over y."""
    means = np.sin(8 * np.linspace(-1, 1, 2001))
    grid = np.linspace(-4, 4, 2001)

    def entropy(sigma):
        density = np.exp(-0.5 * ((grid[:, None] - means) / sigma) ** 2).mean(1)
        density /= sigma * np.sqrt(2 * np.pi)
        return -np.sum(density * np.log(density + 1e-300)) * (grid[1] - grid[0])

    return (entropy(1.01 * sigma) - entropy(0.99 * sigma)) / (0.02 * sigma) - 1 / sigma


def test_oscillations_narrower_than_the_median_distance_are_resolved():
    truth = slope_of_entropy(0.3)
    gradient, error = mutual_info_gradient(*oscillating(4000))
    assert abs(gradient - truth) < 1.645 * error
    assert abs(gradient - truth) < 0.25 * abs(truth)


def test_the_error_contains_what_few_samples_do_not_resolve():
    truth = slope_of_entropy(0.3)
    with pytest.warns(UserWarning, match="500 samples do not resolve the gradient"):
        gradient, error = mutual_info_gradient(*oscillating(500))
    assert abs(gradient - truth) > 0.4
    assert error > 0.4


@pytest.mark.parametrize("wave", [np.sin, lambda a: a % 6 - 3, lambda a: np.sign(np.sin(a))])
@pytest.mark.parametrize("margins", ["gaussian", None])
@pytest.mark.filterwarnings("ignore:.* samples do not resolve the gradient")
def test_an_oscillation_that_the_scores_do_not_describe_has_an_infinite_error(rng, wave, margins):
    x, other, noise = rng.uniform(-3, 3, size=(3, 1000, 1))
    y = wave(20 * x) + 0.1 * noise
    options = {"margins": margins, "standard_error": "batch"}
    for gradient in (
        lambda: mutual_info_gradient(x, y, noise, **options),
        lambda: conditional_mutual_info_gradient(x, y, other, dy=noise, **options),
        lambda: total_correlation_gradient([other, x, y], [None, None, noise], **options),
    ):
        with pytest.warns(UserWarning, match=r"at least 0\.\d+ nats.*scores do not describe"):
            assert gradient().standard_error == np.inf


@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize(
    "relation",
    [
        lambda x, e: 0.99 * x + 0.14 * e,
        lambda x, e: x**2 + 0.3 * e,
        lambda x, e: np.sin(2 * x) + 0.3 * e,
        lambda x, e: np.sign(x) + 0.3 * e,
        lambda x, e: x * e,
        lambda x, e: np.exp(x + 0.3 * e),
    ],
    ids=["line", "parabola", "wave", "step", "scale", "exponential"],
)
def test_usual_relations_have_a_finite_error(rng, relation, n):
    x, e = rng.standard_normal((2, n, 1))
    _, error = mutual_info_gradient(x, relation(x, e), e, standard_error="batch")
    assert error < np.inf


def test_independent_rounded_values_have_a_finite_error(rng):
    x, y = rng.standard_normal((2, 500, 1))
    assert mutual_info_gradient(np.round(x), y, y, standard_error="batch").standard_error < np.inf


def test_known_scores_of_large_units_have_a_finite_error(rng):
    x, e = 10 * rng.standard_normal((2, 500, 1))
    precisions = {1: torch.eye(1) / 200, 2: torch.tensor([[2.0, -1.0], [-1.0, 1.0]]) / 100}
    found = mutual_info_gradient(
        x,
        x + e,
        e,
        margins=None,
        score=lambda z: -z @ precisions[z.shape[1]].to(z),
        standard_error="batch",
    )
    assert found.standard_error < np.inf


def test_more_coordinates_than_samples_are_warned_of(rng):
    x, noise = rng.standard_normal((300, 400)), rng.standard_normal((300, 1))
    signal = x.mean(1, keepdims=True) * 20
    with pytest.warns(UserWarning, match="300 samples do not resolve.*fewer coordinates"):
        gradient, error = mutual_info_gradient(x, signal + noise, signal)
    assert error > 0.5 * gradient


@pytest.mark.parametrize("function", [lambda x: 2 * x, lambda x: x**3, lambda x: x @ np.ones(2)])
def test_a_function_of_x_without_noise_has_no_gradient(rng, function):
    x = rng.standard_normal((100, 2))
    with pytest.raises(ValueError, match="y must contain noise.*infinite.*remove the shared"):
        mutual_info_gradient(x, function(x), function(x))


def test_a_curved_surface_is_warned_of(rng):
    x = rng.standard_normal((300, 1))
    with pytest.warns(UserWarning, match="close to a surface"):
        mutual_info_gradient(x, x**2, 2 * x, standard_error="batch")


def test_values_of_y_that_repeat_are_warned_of(rng):
    x, noise = rng.standard_normal((2, 300, 1))
    with pytest.warns(UserWarning, match=r"column 0 of y has \d values .*no density"):
        mutual_info_gradient(x, np.round(0.5 * x + 0.5 * noise), noise, standard_error="batch")


@pytest.mark.parametrize("name", ["x", "y", "dy"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda z: z.astype(str), "must contain real numbers; got dtype"),
        (
            lambda z: np.where(z > 0, "a", z.astype(object)),
            "must contain real numbers; got the string 'a'",
        ),
        (lambda z: sp.csr_array(z), r"must be dense.*toarray\(\)"),
        (lambda z: torch.tensor(z).to_sparse(), r"is a sparse tensor.*to_dense\(\)"),
        (lambda z: z + 1j, "holds complex numbers"),
        (lambda z: torch.tensor(z + 0j), "holds complex numbers"),
        (lambda z: np.ma.masked_less(z, 0), "has masked values"),
        (lambda z: [[1.0], [2.0, 3.0]], "must have rows of equal length"),
    ],
    ids=[
        "strings",
        "mixed",
        "sparse",
        "sparse tensor",
        "complex",
        "complex tensor",
        "masked",
        "ragged",
    ],
)
def test_values_that_are_no_real_numbers_are_named(name, make, message):
    arguments = dict(zip(("x", "y", "dy"), GOOD, strict=True))
    with pytest.raises(ValueError, match=rf"\b{name} {message}"):
        mutual_info_gradient(**{**arguments, name: make(arguments[name])})


@pytest.mark.parametrize(
    ("score", "error", "message"),
    [
        (SSGEScoreEstimator(), TypeError, "score must be a function of a batch.*got SSGEScore"),
        (SSGEScoreEstimator, TypeError, "score must be a function of a batch.*got the class"),
        (lambda z: z.numpy(), ValueError, "score must return a tensor.*returned ndarray"),
        (lambda z: z[:3], ValueError, r"score must return .* the shape of z.*returned \(3, "),
    ],
    ids=["estimator", "class", "NumPy", "shape"],
)
def test_a_score_of_the_wrong_kind_is_named(score, error, message):
    with pytest.raises(error, match=message):
        mutual_info_gradient(*GOOD, score=score)


def test_integer_parameters_are_integers():
    with pytest.raises(ValueError, match="n_batches must be an integer of at least 2, got 10.0"):
        mutual_info_gradient(*GOOD, n_batches=10.0)


def test_gaussians_have_the_median_bandwidth():
    for seed in range(20):
        z = torch.randn(300, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert confirmed_bandwidth(z) == 1.0
