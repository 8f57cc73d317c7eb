"""Langevin samples are independent of units, and unusable chains cause a warning."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA

from sk_mige import (
    RandomProjectionSSGE,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
)
from sk_mige.datasets import make_gaussian_mixture, make_ring
from sk_mige.score.sampling import langevin


def gaussian(n=300, d=2):
    return np.random.default_rng(0).normal(size=(n, d))


DATA = {
    "iris": load_iris().data,
    "scales 1 and 1000": gaussian() * [1.0, 1000.0],
    "scales 1e-5 and 1": gaussian() * [1e-5, 1.0] + [1.0, 1e3],
    "a correlation of .99": gaussian() @ np.linalg.cholesky([[1.0, 0.99], [0.99, 1.0]]).T,
    "a ring": make_ring(300, random_state=0)[0],
}
ESTIMATORS = {
    "dense": SSGEScoreEstimator(),
    "landmarks": SSGEScoreEstimator(n_landmarks=60, random_state=0),
    "curl-free": SSGEScoreEstimator(curl_free=True),
}


@pytest.mark.parametrize("adjusted", [False, True])
@pytest.mark.parametrize(("data", "name"), [
    *[(data, "dense") for data in DATA],
    ("scales 1e-5 and 1", "landmarks"), ("a correlation of .99", "curl-free"),
])  # fmt: skip
def test_mean_and_covariance_of_samples_are_the_datas(data, name, adjusted):
    X = DATA[data]
    drawn = ESTIMATORS[name].fit(X).sample(400, n_steps=200, adjusted=adjusted, random_state=0)
    values, vectors = np.linalg.eigh(np.cov((X / X.std(0)).T))
    to_unit = vectors / np.sqrt(values) / X.std(0)[:, None]
    assert np.abs((drawn - X.mean(0)) @ to_unit).mean() < 2.0
    assert np.linalg.norm((drawn.mean(0) - X.mean(0)) @ to_unit) < 0.4
    spread = np.linalg.eigvalsh(np.cov((drawn @ to_unit).T))
    assert 0.5 < spread.min() <= spread.max() < 1.7


@pytest.mark.parametrize("n", [200, 3])
def test_samples_stay_where_the_data_do_not_vary(n):
    Z = gaussian(n)
    X = np.c_[Z, np.full(n, 7.0), Z.sum(1)]
    drawn = SSGEScoreEstimator().fit(X).sample(20, n_steps=30, random_state=0)
    np.testing.assert_allclose(drawn[:, 2], 7.0)
    np.testing.assert_allclose(drawn[:, 3], drawn[:, :2].sum(1), atol=1e-6)


def test_samples_of_few_rows_are_in_their_span():
    X = gaussian(12, 30) + 5.0
    drawn = SSGEScoreEstimator().fit(X).sample(40, n_steps=50, random_state=0)
    rows = X - X.mean(0)
    outside = (drawn - X.mean(0)) @ (np.eye(30) - np.linalg.pinv(rows) @ rows)
    np.testing.assert_allclose(outside, 0.0, atol=1e-6)


def test_adjusted_steps_keep_a_density_that_is_not_gaussian():
    """The density exp(-x⁴ / 4) has the variance 2 Γ(3/4) / Γ(1/4) and a cubic score."""
    grid = torch.linspace(-3, 3, 20_001, dtype=torch.float64)
    mass = (-(grid**4) / 4).exp()
    starts = grid[
        torch.searchsorted(mass.cumsum(0), (torch.arange(4000) + 0.5) / 4000 * mass.sum())
    ]
    variance = 2 * math.gamma(3 / 4) / math.gamma(1 / 4)
    drawn = langevin(
        lambda x: -(x**3),
        starts[:, None],
        20_000,
        60,
        0.2,
        True,
        np.random.RandomState(0),
        log_density=lambda x: -(x[:, 0] ** 4) / 4,
    )
    assert float(drawn.square().mean()) == pytest.approx(variance, rel=0.02)


def test_a_warning_gives_the_share_of_chains_that_left_the_data():
    free = SSGEScoreEstimator(eigen_threshold=0.99, whiten=False, base=None).fit(DATA["iris"])
    with pytest.warns(UserWarning, match=r"\d+% of the chains of sample have left the data.*base"):
        free.sample(100, random_state=0)


def test_chains_that_diverge_are_refused():
    estimator = SSGEScoreEstimator(alpha=np.inf, base="gaussian").fit(gaussian())
    with pytest.raises(ValueError, match="diverged.*too long; use adjusted=True"):
        estimator.sample(5, n_steps=2000, step_size=5.0, adjusted=False, random_state=0)


SAMPLERS = {
    **ESTIMATORS,
    "projection": RandomProjectionSSGE(2, random_state=0),
    "no base": SteinScoreEstimator(whiten=True),
    "cross-validated": SSGEScoreEstimatorCV(bandwidth_factors=[1.0], bases=["student"], cv=3),
}


@pytest.mark.parametrize("estimator", SAMPLERS.values(), ids=SAMPLERS)
def test_steps_that_are_never_accepted_are_refused_with_a_step_that_works(estimator):
    estimator.fit(gaussian())
    with pytest.raises(ValueError, match="step_size=1e\\+06 is too long.*rate of 0; use") as error:
        estimator.sample(20, step_size=1e6, random_state=0)
    step = float(re.search(r"use step_size=([\d.]+)", str(error.value))[1])
    assert np.isfinite(estimator.sample(20, step_size=step, random_state=0)).all()


def test_chains_that_mostly_stay_at_their_start_cause_a_warning_with_the_acceptance_rate():
    estimator = SSGEScoreEstimator().fit(gaussian())
    message = r"\d+% of the chains .* still at their start.*step_size=20 .*rate of 0\.\d+; use step"
    with pytest.warns(UserWarning, match=message):
        estimator.sample(200, step_size=20.0, random_state=0)


@pytest.mark.parametrize("adjusted", [False, True])
def test_chains_that_are_too_short_cause_a_warning_with_a_number_of_steps(adjusted):
    estimator = SSGEScoreEstimator().fit(gaussian())
    with pytest.warns(UserWarning, match="n_steps=10 .*Use n_steps=[0-9]+ or more") as caught:
        estimator.sample(50, n_steps=10, step_size=1e-3, adjusted=adjusted, random_state=0)
    wanted = int(re.search(r"Use n_steps=(\d+)", str(caught[0].message))[1])
    estimator.sample(50, n_steps=wanted, step_size=1e-3, adjusted=adjusted, random_state=0)


@pytest.mark.parametrize("step_size", [1.0, 1.5])
def test_steps_without_acceptance_that_widen_the_density_cause_a_warning(step_size):
    estimator = SSGEScoreEstimator().fit(gaussian())
    with pytest.warns(
        UserWarning, match="too long .*variance is [0-9.]+ times .*Use adjusted=True"
    ):
        estimator.sample(500, step_size=step_size, adjusted=False, random_state=0)


@pytest.mark.parametrize(
    "options",
    [
        {"n_steps": 0},
        {"n_steps": 1.5},
        {"n_samples": "2"},
        {"n_samples": None},
        {"step_size": 0.0},
        {"step_size": np.inf},
        {"adjusted": "no"},
        {"random_state": np.random.default_rng(0)},
    ],
)
def test_numbers_out_of_range_are_refused_by_name(options):
    with pytest.raises(ValueError, match=f"The '{next(iter(options))}' parameter of .*sample"):
        SSGEScoreEstimator().fit(gaussian()).sample(**options)


def test_chains_that_left_the_data_are_not_advised_to_use_an_active_base():
    with pytest.warns(UserWarning, match="left the data.*Use a smaller step_size$"):
        langevin(
            torch.zeros_like,
            torch.from_numpy(gaussian()),
            50,
            500,
            1.0,
            True,
            np.random.RandomState(0),
            log_density=lambda x: -x.square().sum(1) / 2,
            has_base=True,
        )


def digits():
    return PCA(20, random_state=0).fit_transform(load_digits().data)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_samples_stay_within_the_data_for_any_bandwidth(factor):
    X = digits()[::3]
    width = SSGEScoreEstimator(alpha=np.inf).fit(X).bandwidth_
    estimator = SSGEScoreEstimator(bandwidth=factor * width).fit(X)
    drawn = estimator.sample(200, n_steps=300, random_state=0)
    whitened = [(points - X.mean(0)) / X.std(0) for points in (X, drawn)]
    radii, beyond = (np.linalg.norm(points, axis=1) for points in whitened)
    assert np.mean(beyond > radii.max()) < 0.05


def test_chains_in_places_of_low_density_are_noticed_at_any_distance():
    """The centre of the ring is closer to the mean than any sample."""
    X = torch.from_numpy(make_ring(300, random_state=0)[0])
    with pytest.warns(UserWarning, match="100% of the chains .* much lower density"):
        langevin(
            lambda x: -100 * x,
            X,
            40,
            500,
            0.01,
            False,
            np.random.RandomState(0),
            log_density=lambda x: -50 * (x.norm(dim=1) - X.norm(dim=1).mean()).square(),
            has_base=True,
        )


def test_samples_keep_the_shares_of_separate_modes():
    angles = np.arange(8) * np.pi / 4
    means = 3 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    X, _ = make_gaussian_mixture(240, means=means, covariances=0.09, random_state=0)
    drawn = SSGEScoreEstimator().fit(X).sample(480, n_steps=100, random_state=0)
    modes = [np.argmax(points @ means.T, axis=1) for points in (X, drawn)]
    shares = [np.bincount(mode, minlength=8) / len(mode) for mode in modes]
    assert np.abs(shares[1] - shares[0]).sum() / 2 < 0.1


@pytest.mark.parametrize("options", [{}, {"base": None}, {"whiten": False, "alpha": 0.01}])
def test_samples_of_few_float32_rows_are_finite(options):
    X = gaussian(20, 50).astype(np.float32)
    drawn = SSGEScoreEstimator(**options).fit(X).sample(20, n_steps=100, random_state=0)
    assert np.isfinite(drawn).all()


def test_copies_of_rows_do_not_make_chains_seem_far():
    X = np.repeat(gaussian(100), 3, axis=0)
    free = SSGEScoreEstimator(eigen_threshold=0.99, base=None).fit(X)
    assert np.abs(free.sample(50, n_steps=100, random_state=0)).max() < 8.0
