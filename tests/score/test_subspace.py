"""Directions without variance, which are detected in any units and omitted."""

from __future__ import annotations

import pytest
import torch

from sk_mige.score import ScoreSettings, fit_dense
from sk_mige.score.fit import fit_in_units
from sk_mige.score.subspace import varying_directions

from .conftest import gaussian

KINDS = [
    {},
    {"curl_free": True},
    {"whiten": False},
    {"shrinkage": 1.0},
    {"eigen_threshold": 0.9, "base": None, "whiten": False},
]


@pytest.mark.parametrize("units", [(1.0, 1.0, 1.0), (1.0, 1e-6, 1e6), (1e-9, 1e-9, 1e-9)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_columns_of_any_units_vary(units, offset):
    assert varying_directions((gaussian(60, 3) + offset) * torch.tensor(units).double()) is None


def test_a_correlation_slightly_below_one_is_not_collinear():
    x = gaussian(200, 2)
    x[:, 1] = x[:, 0] + 1e-4 * x[:, 1]
    assert varying_directions(x) is None
    assert varying_directions(x.float()) is None


def test_no_subspace_is_found_for_no_more_samples_than_features():
    assert varying_directions(gaussian(10, 10) * 0 + gaussian(10, 1)) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e3])
def test_constant_and_collinear_columns_are_found(dtype, offset, unit):
    x = gaussian(80, 3) + offset
    wide = torch.cat([x, torch.full((80, 1), 0.1), 0.3 * x.sum(1, keepdim=True)], 1).double()
    wide = (wide * torch.tensor([1.0, unit, 1.0, 1.0, unit])).to(dtype)
    varying = varying_directions(wide)
    assert varying.axes.shape == (5, 3)
    torch.testing.assert_close(varying.axes.mT @ varying.axes, torch.eye(3).double())
    inner = varying.coordinates(wide) @ varying.axes.mT + varying.origin
    rounding = 10 * torch.finfo(dtype).eps * wide.double().abs().amax(0)
    assert ((inner - wide).abs() <= rounding + rounding.max()).all()


@pytest.mark.parametrize("options", KINDS)
def test_a_constant_column_changes_nothing_for_the_others(options):
    x, fresh = gaussian(60, 3) ** 3, gaussian(9, 3, seed=1)
    settings = ScoreSettings(**options)
    wide = torch.nn.functional.pad(x, (1, 0), value=7.0)
    at = torch.nn.functional.pad(fresh, (1, 0), value=9.0)  # also outside the subspace
    v = torch.ones_like(at)
    plain, wider = fit_dense(x, settings), fit_dense(wide, settings)
    assert wider.alpha == plain.alpha
    assert not wider.model.score(at)[:, 0].any()
    for found, expected in (
        (wider.model.score(at)[:, 1:], plain.model.score(fresh)),
        (wider.model.divergence(at), plain.model.divergence(fresh)),
        (wider.model.jvp(at, v)[:, 1:], plain.model.jvp(fresh, v[:, 1:])),
        (wider.scores(wide)[:, 1:], plain.scores(x)),
    ):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", KINDS)
def test_samples_in_a_subspace_have_the_score_of_their_coordinates_in_it(options):
    x, fresh = gaussian(60, 2) ** 3, gaussian(9, 2, seed=1)
    axes = torch.linalg.qr(gaussian(4, 2, seed=2))[0]
    settings = ScoreSettings(**{"alpha": 1e-2} | options)
    wide, at = x @ axes.mT + 3.0, fresh @ axes.mT + 3.0
    plain = fit_in_units(x, settings).model
    turned = fit_in_units(wide, settings, varying=varying_directions(wide)).model
    tolerance = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(turned.score(at), plain.score(fresh) @ axes.mT, **tolerance)
    torch.testing.assert_close(turned.divergence(at), plain.divergence(fresh), **tolerance)
