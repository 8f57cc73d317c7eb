"""Toy densities: scores are gradients of log-densities, and samples agree with the densities.

The reference log-densities are written and differentiated in torch alone.
"""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad, quad
from torch import distributions as td

from sk_mige.datasets import (
    BananaScore,
    CorrelatedGaussianScore,
    ExactScore,
    FunnelScore,
    GaussianMixtureScore,
    GaussianScore,
    SphericalShellScore,
    StudentTScore,
    make_gaussian_clusters,
    make_gaussian_grid,
)

SIGMA = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])
MU = np.array([1.0, -2.0, 0.5])


def _tensor(array):
    return torch.as_tensor(np.array(array), dtype=torch.float64)


def _gaussian(x, mean=MU, covariance=SIGMA):
    return td.MultivariateNormal(_tensor(mean), _tensor(covariance)).log_prob(x)


def _mixture(score):
    def log_density(x):
        components = td.MultivariateNormal(_tensor(score.means), _tensor(score.covariances))
        weights = td.Categorical(probs=_tensor(score.weights))
        return td.MixtureSameFamily(weights, components).log_prob(x)

    return log_density


def _banana(x, curvature=1.0, noise=0.5):
    u = td.Normal(_tensor(0.0), 1.0).log_prob(x[:, 0])
    return u + td.Normal(curvature * (x[:, 0] ** 2 - 1), noise).log_prob(x[:, 1])


def _funnel(scale):
    def log_density(x):
        v = x[:, 0]
        others = td.Normal(_tensor(0.0), torch.exp(v / 2)[:, None]).log_prob(x[:, 1:])
        return td.Normal(_tensor(0.0), scale).log_prob(v) + others.sum(1)

    return log_density


def _shell(radius, noise):
    # Up to its constant, which is tested by integration below.
    return lambda x: -((x.norm(dim=1) - radius) ** 2) / (2 * noise**2)


def _student_t(x, df=5.0):
    d = x.shape[1]
    centred = x - _tensor(MU)
    delta = (centred * torch.linalg.solve(_tensor(SIGMA), centred.T).T).sum(1)
    constant = (
        math.lgamma((df + d) / 2)
        - math.lgamma(df / 2)
        - d / 2 * math.log(df * math.pi)
        - np.linalg.slogdet(SIGMA)[1] / 2
    )
    return constant - (df + d) / 2 * torch.log(1 + delta / df)


def _pair(rho, d):
    eye = np.eye(d)
    joint = np.block([[eye, rho * eye], [rho * eye, eye]])
    return lambda x: _gaussian(x, np.zeros(2 * d), joint)


_full_mixture = GaussianMixtureScore(
    [MU, -MU, np.zeros(3)], np.stack([SIGMA, np.eye(3), SIGMA @ SIGMA]), [1, 2, 5]
)
_clusters = make_gaussian_clusters(10, 4, random_state=3)[1]
_grid = make_gaussian_grid(10, 32, random_state=3)[1]

DENSITIES = [
    pytest.param(GaussianScore(MU, SIGMA), _gaussian, id="gaussian"),
    pytest.param(
        GaussianScore(MU, [1.0, 4.0, 0.25]),
        lambda x: _gaussian(x, MU, np.diag([1.0, 4.0, 0.25])),
        id="gaussian-diagonal",
    ),
    pytest.param(_full_mixture, _mixture(_full_mixture), id="mixture"),
    pytest.param(_clusters, _mixture(_clusters), id="clusters"),
    pytest.param(_grid, _mixture(_grid), id="grid"),
    pytest.param(BananaScore(), _banana, id="banana"),
    pytest.param(
        BananaScore(-0.7, 0.2), lambda x: _banana(x, -0.7, 0.2), id="banana-bent-downwards"
    ),
    pytest.param(SphericalShellScore(2), _shell(3.0, 0.3), id="ring"),
    pytest.param(SphericalShellScore(2, 1.0, 0.8), _shell(1.0, 0.8), id="thick-ring"),
    pytest.param(SphericalShellScore(7, 2.0, 0.5), _shell(2.0, 0.5), id="shell"),
    pytest.param(SphericalShellScore(1, 2.0, 0.5), _shell(2.0, 0.5), id="shell-of-two-points"),
    pytest.param(FunnelScore(2), _funnel(1.0), id="funnel"),
    pytest.param(FunnelScore(5, 0.8), _funnel(0.8), id="funnel-5d"),
    pytest.param(StudentTScore(MU, SIGMA), _student_t, id="student-t"),
    pytest.param(CorrelatedGaussianScore(3, -0.8), _pair(-0.8, 3), id="correlated"),
]
# Densities whose log-density in torch is normalised.
NORMALISED = [p for p in DENSITIES if "ring" not in p.id and "shell" not in p.id]


@pytest.mark.parametrize(("score", "log_density"), DENSITIES)
def test_score_is_the_gradient_of_the_log_density(score, log_density):
    X = score.sample(200, random_state=0)
    points = torch.tensor(X, requires_grad=True)
    (expected,) = torch.autograd.grad(log_density(points).sum(), points)
    np.testing.assert_allclose(score(X), expected.numpy(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("score", "log_density"), NORMALISED)
def test_log_density_is_normalised(score, log_density):
    X = score.sample(50, random_state=0)
    expected = log_density(torch.tensor(X)).numpy()
    np.testing.assert_allclose(score.log_density(X), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("radius", "noise"), [(3.0, 0.3), (1.0, 0.8), (0.0, 1.0), (40.0, 0.5)])
def test_ring_integrates_to_one(radius, noise):
    score = SphericalShellScore(2, radius, noise)
    reach = radius + 8 * noise
    mass, _ = dblquad(
        lambda angle, r: r * np.exp(score.log_density([[r * np.cos(angle), r * np.sin(angle)]])[0]),
        max(0, radius - 8 * noise),
        reach,
        0,
        2 * np.pi,
    )
    assert mass == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("d", [1, 3, 10, 100])
def test_shell_integrates_to_one_in_any_dimension(d):
    score = SphericalShellScore(d, radius=5.0, noise=0.7)
    log_area = math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2)

    def radial(r):
        point = np.zeros((1, d))
        point[0, 0] = r
        return math.exp(log_area + (d - 1) * math.log(r) + score.log_density(point)[0])

    mode = (5 + math.sqrt(25 + 4 * (d - 1) * 0.49)) / 2
    mass, _ = quad(radial, 1e-9, mode + 8, points=[mode], limit=200)
    assert mass == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("d", [2, 5])
def test_shell_of_radius_zero_is_a_gaussian(d):
    shell, gaussian = SphericalShellScore(d, 0.0, 2.0), GaussianScore(np.zeros(d), 4.0)
    X = gaussian.sample(20, random_state=0)
    np.testing.assert_allclose(shell(X), gaussian(X))
    np.testing.assert_allclose(shell.log_density(X), gaussian.log_density(X))


def test_shell_has_no_direction_at_its_centre():
    assert SphericalShellScore(3)(np.zeros((1, 3))).tolist() == [[0, 0, 0]]


def test_student_t_approaches_a_gaussian_as_its_degrees_of_freedom_grow():
    t, gaussian = StudentTScore(MU, SIGMA, df=1e8), GaussianScore(MU, SIGMA)
    X = gaussian.sample(20, random_state=0)
    np.testing.assert_allclose(t(X), gaussian(X), rtol=1e-5)
    np.testing.assert_allclose(t.log_density(X), gaussian.log_density(X), rtol=1e-5)


def _within_five_standard_errors(draws, expected):
    error = np.abs(draws.mean(axis=0) - expected)
    standard_error = draws.std(axis=0) / np.sqrt(len(draws))
    return (error <= 5 * standard_error + 1e-12).all()


@pytest.mark.parametrize(("score", "_log_density"), DENSITIES)
def test_samples_satisfy_steins_identity(score, _log_density):
    """E[s h + ∇h] = 0 for h = 1, for h = x, and for Gaussian bumps over the density's mass."""
    X = score.sample(20_000, random_state=1)
    s = score(X)
    assert _within_five_standard_errors(s, 0)
    outer = s[:, :, None] * X[:, None, :]
    assert _within_five_standard_errors(outer, -np.eye(score.n_features))
    width = X.std()
    for centre in score.sample(5, random_state=2):
        offset = (X - centre) / width
        bump = np.exp(-(offset**2).sum(axis=1, keepdims=True) / (2 * score.n_features))
        assert _within_five_standard_errors(bump * (s - offset / (width * score.n_features)), 0)


@pytest.mark.parametrize(("score", "_log_density"), DENSITIES)
def test_score_object_is_light_repeatable_and_picklable(
    score, _log_density, global_random_state_untouched
):
    X = score.sample(10, random_state=0)
    again = pickle.loads(pickle.dumps(score))
    assert isinstance(again, ExactScore)
    np.testing.assert_array_equal(again.sample(10, random_state=0), X)
    np.testing.assert_array_equal(again(X), score(X))
    assert repr(score) == f"{type(score).__name__}(n_features={score.n_features})"


def test_dtype_follows_the_points():
    score = BananaScore()
    X = score.sample(5, random_state=0)
    single = score(X.astype(np.float32))
    assert single.dtype == score.log_density(X.astype(np.float32)).dtype == np.float32
    assert score(X).dtype == score([[0, 1]]).dtype == np.float64
    np.testing.assert_allclose(single, score(X), rtol=1e-4, atol=1e-4)


def test_points_are_left_alone():
    score = StudentTScore(MU, SIGMA)
    X = score.sample(5, random_state=0)
    X.flags.writeable = False
    assert np.isfinite(score(X)).all()
    assert np.isfinite(score.log_density(X)).all()


def test_points_of_another_width_are_refused():
    with pytest.raises(
        ValueError, match=r"X must have shape \(n, 2\) for this density; got 3 columns"
    ):
        BananaScore()(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="NaN"):
        BananaScore()([[np.nan, 0]])


def test_mixture_far_from_all_modes_stays_finite():
    score = GaussianMixtureScore([[0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(score([[-300.0, 0.0]]), [[300.0, 0.0]])
    assert score.log_density([[-300.0, 0.0]])[0] == pytest.approx(
        -math.log(4 * math.pi) - 300**2 / 2
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GaussianScore([[0.0]]), "location must be a finite vector"),
        (lambda: GaussianScore([np.nan]), "location must be a finite vector"),
        (lambda: GaussianScore([0, 0], [1, 2, 3]), r"covariance must be .* got shape \(3,\)"),
        (lambda: GaussianScore([0, 0], np.eye(3)), r"covariance must be .* got shape \(3, 3\)"),
        (lambda: GaussianScore([0, 0], [1, 0]), "variance that is not positive"),
        (lambda: GaussianScore([0, 0], [[1, 2], [0, 1]]), "not symmetric"),
        (lambda: GaussianScore([0, 0], [[1, 2], [2, 1]]), "not positive definite"),
        (lambda: StudentTScore([0, 0], [1, 0]), "scatter must be"),
        (lambda: GaussianMixtureScore([0.0, 1.0]), "means must have shape"),
        (lambda: GaussianMixtureScore([[0.0], [1.0]], [1, 2, 3]), "covariances must be"),
        (lambda: GaussianMixtureScore([[0.0], [1.0]], 1, [1, -1]), "2 positive numbers"),
        (lambda: GaussianMixtureScore([[0.0], [1.0]], 1, [1]), "2 positive numbers"),
        (lambda: BananaScore(noise=0), "noise must be a number in .*; got 0"),
        (lambda: CorrelatedGaussianScore(2, rho=1.0), "rho must be a number in .*; got 1.0"),
        (lambda: FunnelScore(1), "n_features must be an integer of at least 2, got 1"),
        (lambda: SphericalShellScore(2, radius=-1), "radius must be a number in .*; got -1"),
        (lambda: BananaScore().sample(0), "n_samples must be a positive integer, got 0"),
    ],
)
def test_impossible_densities_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("number", ["a", None, np.nan, np.inf, 1e300])
def test_parameters_that_are_no_numbers_of_usual_size_are_named(number: Any) -> None:
    for density, name in (
        (BananaScore, "curvature"),
        (BananaScore, "noise"),
        (FunnelScore, "scale"),
        (SphericalShellScore, "radius"),
        (CorrelatedGaussianScore, "rho"),
    ):
        with pytest.raises(ValueError, match=f"^{name} must be a number"):
            density(**{name: number})


def test_what_cannot_be_read_as_numbers_is_named() -> None:
    with pytest.raises(ValueError, match="^covariance must hold numbers, got 'a'"):
        GaussianScore([0.0], "a")
    with pytest.raises(ValueError, match="^means must hold numbers, got 1j"):
        GaussianMixtureScore(1j)
