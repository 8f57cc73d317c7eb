"""Information through parametric channels."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from sk_mige.information import channel_gradient
from sk_mige.information.channel import _with_derivative


def correlated(x, rho, noise):
    return rho * x + (1 - rho**2).sqrt() * noise


def test_the_curve_of_figure_one(rng):
    x = rng.standard_normal((256, 8))
    rhos = np.linspace(-0.8, 0.8, 5)
    curve = [channel_gradient(correlated, r, x, standard_error="batch").gradient for r in rhos]
    truth = 8 * rhos / (1 - rhos**2)
    assert np.linalg.norm(curve - truth) < 0.08 * np.linalg.norm(truth)


def test_every_parameter_of_a_linear_channel_has_its_derivative(rng):
    """y = diag(θ) x + ε: I = ½ Σ log(1 + θ_k²)."""
    theta = np.array([0.5, 2.0, 0.0])
    x = rng.standard_normal((600, 3))
    gradient, error = channel_gradient(lambda x, theta, noise: theta * x + noise, theta, x)
    truth = theta / (1 + theta**2)
    assert gradient.shape == (3,)
    assert (abs(gradient - truth) < 4 * error).all()


def test_noise_may_have_a_dimension_of_its_own(rng, global_random_state_untouched):
    def scaled(x, theta, noise):
        assert noise.shape == (100, 1)
        return theta * x.sum(1, keepdim=True) + noise

    x = rng.standard_normal((100, 3))
    first = channel_gradient(scaled, 1.0, x, n_noise=1, n_batches=2)
    assert first.gradient > 0
    assert channel_gradient(scaled, 1.0, x, n_noise=1, n_batches=2) == first


@pytest.mark.parametrize(
    ("family", "theta", "message"),
    [
        (
            lambda x, theta, noise: (x * theta + noise)[:2],
            1.0,
            "one row for each of the 20 samples",
        ),
        (lambda x, theta, noise: 1.0, 1.0, "must return a dense tensor"),
        (lambda x, theta, noise: theta * torch.ones_like(x), 1.0, "y is constant"),
        (lambda x, theta, noise: x * theta.sqrt() + noise, 0.0, "dy contains NaN or infinity"),
        (lambda x, theta, noise: x / theta, 0.0, "y contains NaN or infinity"),
        (correlated, np.eye(2), "number or a vector"),
    ],
)
def test_families_that_make_no_sense_are_named(family, theta, message, rng):
    with pytest.raises(ValueError, match=message):
        channel_gradient(family, theta, rng.standard_normal((20, 2)))


def test_the_noise_is_uncorrelated_with_data_of_the_same_seed():
    """A channel with x itself as noise would be invertible."""
    for x in (
        np.random.default_rng(0).standard_normal((300, 1)),
        torch.randn(300, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
    ):
        seen = []
        channel_gradient(
            lambda x, theta, noise, seen=seen: seen.append(noise) or theta * x + noise,
            1.0,
            x,
            standard_error="batch",
        )
        noise = seen[0][:, 0].numpy()
        assert abs(np.corrcoef(noise, np.asarray(x)[:, 0])[0, 1]) < 0.2


@pytest.mark.parametrize("context", [torch.inference_mode, torch.no_grad])
def test_the_gradient_is_the_same_in_every_context(context):
    x = np.random.default_rng(0).standard_normal((200, 2))
    outside = channel_gradient(lambda x, t, z: t * x + z, 1.0, x)
    with context():
        inside = channel_gradient(lambda x, t, z: t * x + z, 1.0, x)
        of_a_tensor = channel_gradient(lambda x, t, z: t * x + z, 1.0, torch.from_numpy(x))
    assert inside == outside == of_a_tensor


def _without_graph(x, t, z):
    with torch.no_grad():
        return t * x + z


@pytest.mark.parametrize(
    "family",
    [
        lambda x, t, z: t.item() * x + z,
        lambda x, t, z: torch.from_numpy(t.numpy() * x.numpy()) + z,
        lambda x, t, z: x.numpy() * t + z,
        lambda x, t, z: float(t.detach()) * x + z,
        lambda x, t, z: x + z,
        lambda x, t, z: torch.tensor(t.item(), requires_grad=True) * x + z,
        lambda x, t, z: torch.nn.Linear(1, 1, dtype=x.dtype)(x) + z,
        _without_graph,
    ],
    ids=[
        "item",
        "NumPy",
        "NumPy of x",
        "detach",
        "without theta",
        "another leaf",
        "a network",
        "no_grad",
    ],
)
def test_a_family_that_autograd_cannot_follow_is_refused(family):
    x = np.random.default_rng(0).standard_normal((50, 1))
    with pytest.raises(ValueError, match="family must be differentiable by torch"):
        channel_gradient(family, 1.0, x)


@pytest.mark.parametrize("step", [torch.round, torch.sign, torch.floor])
def test_a_family_of_steps_of_its_parameter_is_warned_of(step):
    x = np.random.default_rng(0).standard_normal((50, 1))
    with pytest.warns(UserWarning, match="derivatives of family .* are 0 at all samples"):
        assert channel_gradient(lambda x, t, z: step(t) * x + z, 1.2, x).gradient == 0


@pytest.mark.parametrize(
    "family", [lambda x, t, z: t * x, lambda x, t, z: torch.sin(t * x) + 0 * z]
)
def test_a_channel_without_noise_is_refused(family, rng):
    with pytest.raises(ValueError, match="family must use its noise.*infinite.*Add noise"):
        channel_gradient(family, 1.0, rng.standard_normal((50, 2)))


def test_a_column_without_noise_is_refused(rng):
    with pytest.raises(ValueError, match="y must contain noise"):
        channel_gradient(
            lambda x, t, z: torch.cat([t * x + z[:, :1], t * x], 1),
            1.0,
            rng.standard_normal((50, 1)),
            n_noise=2,
        )


def sensors(x, theta, noise):
    return torch.exp(-((x - theta) ** 2)) + 0.2 * noise


def test_columns_that_share_noise_are_warned_of(rng):
    x, theta = rng.standard_normal((200, 1)), [-0.5, 1.0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        channel_gradient(sensors, theta, x)
    first = str(caught[0].message)
    assert first.startswith("y has 2 linearly independent columns, but n_noise is 1.")
    assert "n_noise=2" in first
    assert np.isfinite(channel_gradient(sensors, theta, x, n_noise=2).gradient).all()


def test_redundant_columns_need_no_noise_of_their_own(rng):
    x = rng.standard_normal((200, 1))
    twice = channel_gradient(lambda x, t, z: (t * x + z) * x.new_tensor([1.0, 2.0]), 1.0, x)
    np.testing.assert_allclose(twice, channel_gradient(gain, 1.0, x))


@pytest.mark.parametrize("shape", [(30, 1), (30,)])
def test_exchanged_theta_and_x_are_named(shape, rng):
    x = rng.standard_normal(shape)
    for theta in (1.0, [1.0, 2.0]):
        with pytest.raises(ValueError, match=r"Pass \(family, theta, x\) in this order"):
            channel_gradient(gain, x, theta)


@pytest.mark.parametrize(
    "family",
    [
        lambda x, t, z: t * x + t.item() * x + z,
        lambda x, t, z: t * x + torch.from_numpy(np.sin(t.detach().numpy() * x.numpy())) + z,
        lambda x, t, z: torch.where(x > 0, t, t.detach()) * x + z,
        lambda x, t, z: torch.cat([t * x, t.detach() ** 2 * x * t], 1) + z,
        lambda x, t, z: (t * x + t.item() * x + z).float(),
    ],
    ids=["item", "NumPy", "half of the rows", "one column", "float32"],
)
def test_a_family_that_autograd_follows_in_part_is_warned_of(family, rng):
    with pytest.warns(UserWarning, match="parameter 0 of theta differ from finite differences"):
        channel_gradient(family, 1.3, rng.standard_normal((60, 1)), n_noise=2)


def straight_through(values):
    return values + (torch.round(values) - values).detach()


@pytest.mark.parametrize(
    "family",
    [
        lambda x, t, z: torch.relu(t * x) + z,
        lambda x, t, z: torch.relu(t) * x + z,
        lambda x, t, z: (t * x).abs() + z,
        lambda x, t, z: torch.clamp(t * x, -1, 1) + z,
        lambda x, t, z: torch.round(8 * t * x) / 8 + t * x + z,
        lambda x, t, z: straight_through(t * x) + z,
        lambda x, t, z: torch.sin(100 * t * x) + z,
        lambda x, t, z: torch.sin(1e5 * t * x) + z,
        lambda x, t, z: t.float() * x.float() + z.float(),
        lambda x, t, z: ((1e3 + t.float() * x.float()) - 1e3) + z,
        lambda x, t, z: torch.exp(t * x) + z,
        lambda x, t, z: t * x + z + torch.randn_like(x),
        lambda x, t, z: t * (x - x.mean()) / x.std() + z,
        lambda x, t, z: t.abs().sqrt() * x + z,
    ],
)
@pytest.mark.parametrize("theta", [0.0, 1e-9, 1.0, 30.0])
def test_families_with_kinks_steps_and_rounding_pass(family, theta, rng):
    x = rng.standard_normal((60, 1))
    at = torch.tensor(theta, dtype=torch.float64)
    noise = torch.from_numpy(rng.standard_normal((60, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "the derivatives of family .* are 0")
        _with_derivative(lambda t: family(torch.from_numpy(x), t, noise), at, len(x))


def test_a_family_may_be_undefined_next_to_theta(rng):
    def exact(x, t, z):
        if t != 1:
            raise AssertionError("off the grid")
        return t * x + z

    x = rng.standard_normal((60, 1))
    assert channel_gradient(exact, 1.0, x) == channel_gradient(gain, 1.0, x)


def gain(x, theta, noise):
    return theta * x + noise


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_generators_draw_the_noise(make, rng):
    x, options = rng.standard_normal((50, 1)), {"standard_error": "batch"}
    first, second = (channel_gradient(gain, 1.0, x, random_state=make(3), **options) for _ in "12")
    generator = make(3)
    drawn = [channel_gradient(gain, 1.0, x, random_state=generator, **options) for _ in "12"]
    assert first == second == drawn[0] != drawn[1]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"random_state": 0.5}, ValueError, "random_state must be a nonnegative int.*got 0.5"),
        ({"random_state": "a"}, ValueError, "random_state must be .*RandomState.*got 'a'"),
        ({"family": "gain"}, TypeError, "family must be a function of .*; got 'gain'"),
        (
            {"family": lambda x, t, z: (t * x + z) * 1j},
            ValueError,
            "tensor of real numbers.*complex128",
        ),
        ({"n_noise": 2.0}, ValueError, "n_noise must be a positive integer, got 2.0"),
        ({"n_noise": 0}, ValueError, "n_noise must be a positive integer, got 0"),
        ({"theta": 1j}, ValueError, "theta holds complex numbers"),
        ({"theta": None}, ValueError, "theta must contain real numbers; got None"),
        ({"theta": np.nan}, ValueError, "theta contains NaN"),
    ],
)
def test_parameters_of_the_wrong_kind_are_named(change, error, message, rng):
    arguments = {"family": gain, "theta": 1.0, "x": rng.standard_normal((50, 1)), **change}
    with pytest.raises(error, match=message):
        channel_gradient(**arguments)


@pytest.mark.parametrize("make", [list, pd.Series, pl.Series, torch.tensor])
def test_parameters_may_be_any_vector(make, rng):
    x, options = rng.standard_normal((50, 2)), {"standard_error": "batch"}
    expected = channel_gradient(gain, np.array([1.0, 2.0]), x, **options)
    found = channel_gradient(gain, make([1.0, 2.0]), x, **options)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "family", [lambda x, t, z: x.mul_(t).add_(z), lambda x, t, z: z.add_(t * x)], ids=["x", "noise"]
)
def test_a_family_may_change_its_arguments(family, rng):
    x = rng.standard_normal((50, 2))
    assert channel_gradient(family, 2.0, x) == channel_gradient(gain, 2.0, x)


SHAPES = r"called as family\(x, theta, noise\) with the shapes \[\(60, 2\), \(\), \(60, 2\)\]"


@pytest.mark.parametrize(
    "family",
    [
        lambda x, theta, noise: theta * x[:, :1].expand(-1, 3) + noise,
        lambda x, theta, noise: theta * x @ torch.ones(3, 3) + noise,
        lambda x, theta, noise: theta[0] * x + noise,
        lambda x, theta: theta * x,
        lambda x, theta, noise: torch.cat([theta * x, noise[:5]], dim=1),
    ],
    ids=["noise", "product", "index", "two arguments", "rows"],
)
def test_a_family_that_other_shapes_would_suit_is_named(rng, family):
    with pytest.raises(ValueError, match=SHAPES + ".*n_noise"):
        channel_gradient(family, 1.0, rng.standard_normal((60, 2)))
