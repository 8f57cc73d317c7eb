"""Whitening, shrinkage, and leave-one-out radii."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_mige.score import ScoreSettings, fit_dense, whitening
from sk_mige.score.units import feature_units
from sk_mige.score.whitening import SHRINKAGE_GRID, identity_whitening


def correlated(n, d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator, dtype=torch.float64)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64) @ mixing
    return feature_units(x)(x) + 10.0  # the columns are in units of their standard deviations


def left_out(x, i, rho, scale=None):
    """Shrunk covariance and displacement of row i, from the moments of all other rows."""
    d = x.shape[1]
    others = torch.cat([x[:i], x[i + 1 :]])
    scale = torch.cov(others.mT).trace() / d if scale is None else scale
    covariance = (1 - rho) * torch.cov(others.mT) + rho * scale * torch.eye(d).double()
    return covariance, x[i] - others.mean(0)


@pytest.mark.parametrize(("n", "d"), [(50, 3), (30, 30), (10, 25)])
@pytest.mark.parametrize("rho", [0.1, 1.0])
def test_whitened_covariance_is_the_inverse_of_the_shrunk_one(n, d, rho):
    x = correlated(n, d)
    white, _ = whitening(x, rho)
    covariance = torch.cov(x.mT, correction=0)
    shrunk = (1 - rho) * covariance + rho * covariance.trace() / d * torch.eye(d).double()
    w = white.linear(torch.eye(d).double())
    torch.testing.assert_close(w @ shrunk @ w, torch.eye(d).double(), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(w, w.mT)
    assert white.precision_trace == pytest.approx(float((w @ w).trace()))


@pytest.mark.parametrize(("n", "d"), [(20, 3), (12, 12), (9, 20)])
@pytest.mark.parametrize("rho", [0.05, 0.5, 1.0])
def test_radii_are_those_of_a_loop_that_leaves_each_row_out(n, d, rho):
    x = correlated(n, d)
    _, radii = whitening(x, rho)
    looped = []
    for i in range(n):
        covariance, displacement = left_out(x, i, rho)
        looped.append(displacement @ torch.linalg.solve(covariance, displacement))
    torch.testing.assert_close(radii, torch.stack(looped))


@pytest.mark.parametrize(("n", "d"), [(60, 3), (20, 10), (9, 20)])
def test_automatic_shrinkage_maximises_the_leave_one_out_likelihood(n, d):
    x = correlated(n, d)

    scale = torch.cov(x.mT).trace() / d  # of all rows

    def loss(rho):
        total = 0.0
        for i in range(n):
            covariance, displacement = left_out(x, i, rho, scale)
            total += torch.logdet(covariance)
            total += displacement @ torch.linalg.solve(covariance, displacement)
        return float(total)

    candidates = [rho for rho in SHRINKAGE_GRID if rho > 0 or d < n - 2]
    assert whitening(x)[0].shrinkage == min(candidates, key=loss)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10_000),
    log_condition=st.floats(0, 3),
    curl_free=st.booleans(),
    base=st.sampled_from(["student", "gaussian", None]),
)
def test_without_shrinkage_the_score_is_equivariant_under_affine_maps(
    seed, log_condition, curl_free, base
):
    """If y = A x + b, then s_y(y) = A^-T s_x(x) for every density and every invertible A."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(40, 3, generator=generator, dtype=torch.float64).square()
    fresh = torch.rand(10, 3, generator=generator, dtype=torch.float64)
    left, right = (
        torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
        for _ in range(2)
    )
    a = left @ torch.diag(10.0 ** torch.linspace(0, log_condition, 3).double()) @ right
    b = 100 * torch.randn(3, generator=generator, dtype=torch.float64)
    options = ScoreSettings(shrinkage=0.0, alpha=1e-3, curl_free=curl_free, base=base)
    plain = fit_dense(x, options).model.score(fresh)
    mapped = fit_dense(x @ a.mT + b, options).model.score(fresh @ a.mT + b)
    # Small eigenvalues of curl-free fits amplify the rounding of rows far from 0.
    assert (mapped @ a - plain).norm() < (1e-5 if curl_free else 1e-6) * plain.norm()


def test_full_shrinkage_is_one_common_scale():
    x = correlated(50, 4)
    white, _ = whitening(x, 1.0)
    assert white.vectors is None
    assert not white.gains.any()
    assert white.rest == pytest.approx(float(torch.cov(x.mT, correction=0).trace() / 4) ** -0.5)


def test_files_of_earlier_versions_store_a_common_scale_without_gains():
    white, _ = whitening(correlated(50, 3), 1.0)
    stored = replace(white, vectors=white.mean.new_empty(3, 0), gains=white.mean.new_empty(0))
    units, basis = torch.rand(5).double() + 1, torch.linalg.qr(correlated(5, 2))[0]
    assert stored.trace_in(units, basis) == pytest.approx(white.trace_in(units, basis))
    torch.testing.assert_close(stored(basis.new_ones(1, 3)), white(basis.new_ones(1, 3)))
    assert stored.log_determinant == pytest.approx(white.log_determinant)


def test_constant_rows_are_left_as_they_are():
    x = torch.full((5, 3), 2.0, dtype=torch.float64)
    white, radii = whitening(x)
    assert torch.equal(white(x), torch.zeros(5, 3).double())
    assert torch.equal(radii, torch.zeros(5).double())


def test_a_constant_column_does_not_make_the_map_infinite():
    x = correlated(30, 3)
    x[:, 1] = 4.0
    for shrinkage in (0.0, 1e-5, "auto"):
        white, radii = whitening(x, shrinkage)
        assert white(x).isfinite().all()
        assert radii.isfinite().all()


def test_the_identity_only_centres():
    x = correlated(30, 3)
    torch.testing.assert_close(identity_whitening(x)(x), x - x.mean(0))
    assert identity_whitening(x).precision_trace == 3.0


@pytest.mark.parametrize("n", [2, 3])
def test_two_and_three_samples_can_be_whitened(n):
    white, radii = whitening(correlated(n, 2))
    assert white.shrinkage == 1.0 or n > 3
    assert np.isfinite(radii.numpy()).all()


@pytest.mark.parametrize(
    ("unit", "dtype"),
    [(1e-3, torch.float32), (1e20, torch.float64), (1e-20, torch.float64)],
)
def test_scores_stay_in_float32_if_the_units_are_moderate(unit, dtype):
    units = feature_units(unit * torch.tensor([[0.0, 1.0], [1.0, 0.0], [5.0, 9.0]]).double())
    scores = units.scores(torch.ones(3, 2))
    assert scores.dtype == dtype
    torch.testing.assert_close(scores.double(), 1 / units.scale.expand(3, 2), rtol=1e-6, atol=0)


def test_a_value_beyond_float64_in_units_of_its_column_is_named():
    x = correlated(20, 3)
    x[4, 1] = -1e90
    with pytest.raises(ValueError, match=r"X has the value -1e\+90, more than"):
        feature_units(x)


@pytest.mark.parametrize("rho", [0.0, 0.1])
def test_the_radius_of_an_absurd_row_is_its_distance_from_the_other_rows(rho):
    """The covariance does not contain the row, so a leave-one-out formula does not apply."""
    x = correlated(200, 3)
    x[0, 1] = 1e5
    units = feature_units(x)
    covariance, displacement = left_out(units(x), 0, rho)
    radius = displacement @ torch.linalg.solve(covariance, displacement)
    assert float(whitening(x, rho)[1][0]) == pytest.approx(float(radius), rel=0.02)
