"""The `make_*` functions: samples agree with the parameters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from sk_mige import datasets
from sk_mige.datasets import (
    ExactScore,
    make_correlated_gaussian,
    make_gaussian,
    make_gaussian_clusters,
    make_gaussian_grid,
    make_gaussian_mixture,
    make_spherical_shell,
    make_student_t,
)

MAKERS = [getattr(datasets, name) for name in datasets.__all__ if name.startswith("make_")]


@pytest.mark.parametrize("make", MAKERS)
def test_every_maker_returns_samples_and_their_score(make, global_random_state_untouched):
    X, score = make(30, random_state=0)
    assert X.shape == (30, score.n_features)
    assert X.dtype == np.float64
    assert isinstance(score, ExactScore)
    assert score(X).shape == X.shape
    np.testing.assert_array_equal(make(30, random_state=0)[0], X)
    assert not np.array_equal(make(30, random_state=1)[0], X)


@pytest.mark.parametrize("make", MAKERS)
def test_every_maker_refuses_an_empty_sample(make):
    with pytest.raises(ValueError, match="n_samples must be a positive integer, got 0"):
        make(0)


def test_one_generator_serves_parameters_and_samples():
    rng = np.random.RandomState(0)
    (first, _), (second, _) = make_gaussian(5, random_state=rng), make_gaussian(5, random_state=rng)
    assert not np.array_equal(first, second)


def test_gaussian_has_the_condition_number_asked_for():
    _, score = make_gaussian(5, 20, condition_number=1e4, random_state=0)
    eigenvalues = np.linalg.eigvalsh(score.covariance)
    np.testing.assert_allclose(eigenvalues, np.geomspace(1e-2, 1e2, 20), rtol=1e-8)
    assert np.count_nonzero(np.abs(score.covariance) > 1e-8) == 400  # not diagonal


def test_gaussian_takes_mean_and_covariance():
    covariance = np.array([[2.0, 1.0], [1.0, 3.0]])
    X, score = make_gaussian(20_000, mean=[5, -5], covariance=covariance, random_state=0)
    np.testing.assert_allclose(score.mean, [5, -5])
    np.testing.assert_allclose(score.covariance, covariance)
    np.testing.assert_allclose(np.cov(X.T), covariance, atol=0.1)
    assert make_gaussian(2, 3, mean=7.0)[1].mean.tolist() == [7, 7, 7]
    random = [make_gaussian(2, 3, mean="random", random_state=s)[1].mean for s in (0, 1)]
    assert not np.array_equal(*random)


def test_gaussian_of_an_images_dimension_needs_no_matrix():
    X, score = make_gaussian(3, 96 * 96 * 3, random_state=0)
    np.testing.assert_array_equal(score(X), -X)


def test_default_mixture_has_its_three_modes():
    X, score = make_gaussian_mixture(3000, random_state=0)
    nearest = ((X[:, None] - score.means) ** 2).sum(-1).argmin(1)
    for k, mean in enumerate([(-2, 0), (2, 0), (0, 2.5)]):
        members = X[nearest == k]
        assert len(members) == pytest.approx(1000, abs=130)
        np.testing.assert_allclose(members.mean(0), mean, atol=0.1)


def test_clusters_are_as_far_apart_as_asked_and_share_a_covariance():
    _, score = make_gaussian_clusters(
        10, 4, n_clusters=5, separation=8.0, condition_number=50, random_state=0
    )
    shared = score.covariances[0]
    np.testing.assert_allclose(score.covariances, np.broadcast_to(shared, (5, 4, 4)))
    np.testing.assert_allclose(np.linalg.cond(shared), 50)
    distances = pdist(score.means, "mahalanobis", VI=np.linalg.inv(shared))
    assert distances.min() == pytest.approx(8.0)


def test_clusters_exist_on_a_line():
    _, score = make_gaussian_clusters(10, 1, random_state=0)
    np.testing.assert_allclose(score.covariances, 1)


def test_grid_sits_on_the_corners_of_a_cube():
    _, score = make_gaussian_grid(10, 6, n_components=9, std=0.5, spacing=3.0, random_state=0)
    assert score.means.shape == (9, 6)
    assert set(np.unique(score.means)) == {0.0, 3.0}
    np.testing.assert_allclose(score.covariances, np.broadcast_to(0.25 * np.eye(6), (9, 6, 6)))


@pytest.mark.parametrize(("radius", "noise", "d"), [(3.0, 0.1, 2), (3.0, 0.1, 5), (0.5, 1.0, 4)])
def test_shell_samples_lie_at_the_radius_the_density_gives_them(radius, noise, d):
    X, _ = make_spherical_shell(20_000, d, radius=radius, noise=noise, random_state=0)
    r = np.linspace(1e-6, radius + 10 * noise, 20_001)
    weight = r ** (d - 1) * np.exp(-((r - radius) ** 2) / (2 * noise**2))
    cumulative = np.cumsum(weight) / weight.sum()
    # The distribution function maps the radii to uniform numbers. The limit is a quantile of
    # Kolmogorov's statistic, for the probability 1 - 1e-4.
    u = np.sort(np.interp(np.linalg.norm(X, axis=1), r, cumulative))
    assert np.abs(u - np.linspace(0, 1, len(u))).max() < 2.23 / np.sqrt(len(u))


def test_student_t_has_its_variance_and_its_tails():
    X, score = make_student_t(50_000, 3, df=8.0, condition_number=4.0, random_state=0)
    np.testing.assert_allclose(np.linalg.cond(score.scatter), 4.0)
    np.testing.assert_allclose(np.cov(X.T), 8 / 6 * score.scatter, atol=0.1)
    assert score.location.tolist() == [0, 0, 0]
    kurtosis = (X**4).mean(0) / (X**2).mean(0) ** 2
    assert (kurtosis > 3.8).all()  # 3 (df − 2) / (df − 4) = 4.5; a Gaussian's is 3


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.3, 0.8])
def test_correlated_pair_has_its_information_in_closed_form(rho):
    """The reference is I = H(x) + H(y) − H(x, y), with entropies of torch's Gaussians."""
    import torch
    from torch.distributions import MultivariateNormal

    d = 3
    eye, r = torch.eye(d, dtype=torch.float64), torch.tensor(rho, dtype=torch.float64)
    r.requires_grad_()
    joint = torch.cat([torch.cat([eye, r * eye], 1), torch.cat([r * eye, eye], 1)])
    marginal = MultivariateNormal(torch.zeros(d, dtype=torch.float64), eye).entropy()
    information = 2 * marginal - MultivariateNormal(joint.new_zeros(2 * d), joint).entropy()
    (gradient,) = torch.autograd.grad(information, r)

    _, score = make_correlated_gaussian(5, d, rho=rho)
    assert score.mutual_info == pytest.approx(information.item(), abs=1e-12)
    assert score.mutual_info_gradient == pytest.approx(gradient.item(), abs=1e-12)


def test_pathwise_gradient_is_the_derivative_of_y():
    """A seed determines x and ε for every ρ, so y can be differentiated by differences."""
    step = 1e-5
    below, above = (
        make_correlated_gaussian(7, 2, rho=0.6 + s, random_state=0) for s in (-step, step)
    )
    XY, score = make_correlated_gaussian(7, 2, rho=0.6, random_state=0)
    np.testing.assert_array_equal(score.split(above[0])[0], score.split(XY)[0])
    difference = (score.split(above[0])[1] - score.split(below[0])[1]) / (2 * step)
    np.testing.assert_allclose(score.pathwise_gradient(XY), difference, rtol=1e-6, atol=1e-8)


def test_exact_scores_give_the_gradient_of_information():
    """∂I/∂ρ = E[((s_xy)_y − s_y)ᵀ ∂y/∂ρ], the equation behind the paper's Figure 1."""
    XY, score = make_correlated_gaussian(50_000, 4, rho=0.5, random_state=0)
    _, Y = score.split(XY)
    difference = score.split(score(XY))[1] - score.marginal(Y)
    draws = (difference * score.pathwise_gradient(XY)).sum(1)
    error = 5 * draws.std() / np.sqrt(len(draws))
    assert draws.mean() == pytest.approx(score.mutual_info_gradient, abs=error)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_gaussian(5, 0), "n_features must be a positive integer, got 0"),
        (lambda: make_gaussian(5, 2, mean=[1, 2, 3]), r"mean must be .* got shape \(3,\)"),
        (lambda: make_gaussian(5, 2, mean="zero"), "mean must be .* got 'zero'"),
        (lambda: make_gaussian(5, 2, condition_number=0.5), "condition_number must be .* got 0.5"),
        (lambda: make_gaussian(5, 1, condition_number=2.0), "Use n_features >= 2"),
        (lambda: make_gaussian(5, 2, covariance=np.ones((2, 2))), "not positive definite"),
        (
            lambda: make_gaussian_clusters(5, n_clusters=1),
            "n_clusters must be an integer of",
        ),
        (
            lambda: make_gaussian_clusters(5, separation=0.0),
            "separation must be a number in .*; got 0.0",
        ),
        (lambda: make_gaussian_grid(5, std=0.0), "std must be a number in .*; got 0.0"),
        (lambda: make_student_t(5, df=0), "df must be positive and finite; got 0"),
    ],
)
def test_impossible_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
