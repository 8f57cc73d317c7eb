"""Objectives of several views: closed forms, literal losses of two views, and invariances."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import Tensor

from sk_mige import (
    BarlowTwins,
    CodingRate,
    InfoMax,
    InformationBottleneck,
    MIGEEncoder,
    SIGReg,
    SSGEScoreEstimator,
    VICReg,
)
from sk_mige.objectives import Problem, ViewInformation
from sk_mige.objectives.information import INFORMATIONS
from sk_mige.objectives.views import VIEWS
from sk_mige.score import ssge

OBJECTIVES = [BarlowTwins(), CodingRate(), SIGReg(n_directions=16), VICReg()]
objectives = pytest.mark.parametrize("objective", OBJECTIVES, ids=sorted(VIEWS))
K, M = 5, 40


@pytest.fixture
def z() -> Tensor:
    """Return three views of 40 rows, with a scale near one and correlated components."""
    generator = torch.Generator().manual_seed(0)
    x, *noise = torch.randn(4, M, K, generator=generator, dtype=torch.float64)
    mixing = torch.eye(K) + 0.3 * torch.randn(K, K, generator=generator)
    return (x + 0.5 * torch.stack(noise)) @ mixing.double()


def barlow_twins(a: Tensor, b: Tensor) -> float:
    """Sum the squared errors of NumPy's correlations between two views."""
    correlations = np.corrcoef(a.T, b.T)[:K, K:]
    weights = np.where(np.eye(K), 1.0, 5e-3)
    return float((weights * (correlations - np.eye(K)) ** 2).sum())


def vicreg(a: Tensor, b: Tensor) -> float:
    """Sum the three terms of two views with NumPy's covariances."""
    loss = 25 * float((a - b).square().mean())
    for view in (a, b):
        covariance = np.cov(view.T)
        loss += 25 * np.maximum(0, 1 - np.sqrt(np.diag(covariance) + 1e-4)).mean()
        loss += (covariance**2)[~np.eye(K, dtype=bool)].sum() / K
    return float(loss)


@pytest.mark.parametrize(
    ("objective", "literal"), [(BarlowTwins(), barlow_twins), (VICReg(), vicreg)]
)
def test_losses_of_pairs_are_means_of_the_papers_loss(
    objective: ViewInformation, literal: Any, z: Tensor
) -> None:
    z = 0.6 * z  # some standard deviations are below one
    pairs = [literal(z[s], z[t]) for s, t in ((0, 1), (0, 2), (1, 2))]
    assert float(objective.loss(z[:2])) == pytest.approx(pairs[0], rel=1e-3)
    assert float(objective.loss(z)) == pytest.approx(np.mean(pairs), rel=1e-3)


def test_the_coding_rate_is_a_sum_over_singular_values(z: Tensor) -> None:
    unit = z / z.norm(dim=2, keepdim=True)
    singular = torch.linalg.svdvals(unit)
    rate = 0.5 * torch.log1p(K / (M * 0.5) * singular**2).sum(1).mean()
    mean = unit.mean(0)
    cosine = (unit * mean).sum(2) / mean.norm(dim=1)
    expected = -rate - 3 * cosine.mean()
    torch.testing.assert_close(CodingRate(0.5, invariance=3.0).loss(z), expected)


def epps_pulley(x: Tensor) -> Tensor:
    """Return the statistic of one projection by the Gaussian integrals over all t."""
    pairs = (-0.5 * (x[:, None] - x[None]).square()).exp().mean() * math.sqrt(2 * math.pi)
    normal = (-0.25 * x.square()).exp().mean() * math.sqrt(math.pi)
    return len(x) * (pairs - 2 * normal + math.sqrt(2 * math.pi / 3))


def test_sigreg_of_one_component_is_the_closed_form_of_epps_and_pulley(z: Tensor) -> None:
    z = z[:, :, :1] + 0.5
    statistic = torch.stack([epps_pulley(view[:, 0]) for view in z]).mean()
    invariance = (z - z.mean(0)).square().mean()
    found = SIGReg(0.2, n_directions=3).loss(z)  # directions of one component are 1 and -1
    torch.testing.assert_close(found, 0.2 * statistic + 0.8 * invariance, rtol=1e-4, atol=0)


def test_sigreg_draws_its_directions_from_the_global_generator(z: Tensor) -> None:
    losses = []
    for seed in (0, 0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            losses.append(float(SIGReg().loss(z)))
    assert losses[0] == losses[1] != losses[2]


@objectives
def test_the_order_of_views_and_rows_does_not_matter(objective: ViewInformation, z: Tensor) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        usual = objective.loss(z)
        torch.manual_seed(0)
        torch.testing.assert_close(objective.loss(z.flip(0, 1)), usual)


@objectives
@pytest.mark.parametrize("kind", ["collapsed", "equal views", "one row", "more components"])
def test_gradients_are_finite_whatever_the_views(objective: ViewInformation, kind: str) -> None:
    z = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    z = {
        "collapsed": torch.ones_like(z), "equal views": z[:1].expand_as(z), "one row": z[:, :1],
        "more components": z[:, :3],
    }[kind].clone().requires_grad_()  # fmt: skip
    objective.loss(z).backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


@objectives
def test_collapse_has_a_higher_loss_than_the_views(objective: ViewInformation, z: Tensor) -> None:
    z = (z - z.mean((0, 1))) / z.std((0, 1))
    assert objective.loss(z) < objective.loss(torch.zeros_like(z))


@objectives
def test_held_out_rows_are_scored_without_a_value_of_the_loss(objective: ViewInformation) -> None:
    mode = InfoMax(objective, n_views=2)
    problem = Problem(n_features=5, n_components=2, device=torch.device("cpu"), score=ssge)
    assert not mode.build(problem).has_value
    encoder = MIGEEncoder(2, mode=mode, validation_fraction=0.2, max_epochs=1, device="cpu")
    X = np.random.default_rng(0).normal(size=(40, 3))
    assert np.isfinite(encoder.fit(X).history_[-1]["valid_loss"])  # minus score, as of MIGE


def test_an_objective_without_a_loss_is_named() -> None:
    class Empty(ViewInformation):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty must define the method loss\(z\)"):
        MIGEEncoder(2, mode=InfoMax(Empty(), n_views=2)).fit(np.eye(8))


@objectives
def test_a_single_view_is_refused_with_the_remedy(objective: ViewInformation) -> None:
    for mode in (InfoMax(objective), InfoMax(objective, layer="conv")):
        with pytest.raises(ValueError, match=r"n_views=1: set n_views=2 or more, with layer=None"):
            mode.check()


@objectives
def test_layers_bottlenecks_and_score_estimators_are_refused(objective: ViewInformation) -> None:
    X = np.random.default_rng(0).normal(size=(40, 3))
    with pytest.raises(ValueError, match="layer='conv'.*set n_views=1, or layer=None"):
        InfoMax(objective, n_views=2, layer="conv").check()
    with pytest.raises(ValueError, match="cannot be minimised by .*: use it in InfoMax"):
        InformationBottleneck(objective).check()
    encoder = MIGEEncoder(2, mode=InfoMax(objective, n_views=2))
    with pytest.raises(ValueError, match="does not estimate scores"):
        encoder.set_params(score_estimator=SSGEScoreEstimator()).fit(X)


@pytest.mark.parametrize(
    ("objective", "parameter"),
    [
        (BarlowTwins(-1.0), "redundancy"),
        (VICReg(invariance=-1.0), "invariance"),
        (VICReg(variance=-1.0), "variance"),
        (VICReg(covariance=-1.0), "covariance"),
        (CodingRate(0.0), "distortion"),
        (CodingRate(invariance=-1.0), "invariance"),
        (SIGReg(1.5), "weight"),
        (SIGReg(n_directions=0), "n_directions"),
    ],
)
def test_parameters_out_of_range_are_named(objective: ViewInformation, parameter: str) -> None:
    for check in (InfoMax(objective, n_views=2).check, lambda: objective.loss(torch.ones(2, 8, 3))):
        with pytest.raises(ValueError, match=f"'{parameter}' parameter of"):
            check()


def test_names_are_short_for_the_objects_with_default_parameters() -> None:
    assert {name: INFORMATIONS[name] for name in VIEWS} == VIEWS
    encoder = MIGEEncoder(mode=InfoMax("vicreg", n_views=2))
    encoder.set_params(mode__information__covariance=2.0)
    assert repr(encoder.mode.information) == "VICReg(covariance=2.0)"


@objectives
def test_views_and_rows_that_are_swapped_are_warned_of(
    objective: ViewInformation, z: Tensor
) -> None:
    with pytest.warns(UserWarning, match=r"40 views of each of 3 inputs.*transpose\(0, 1\)"):
        objective.loss(z.transpose(0, 1))


@objectives
def test_a_grid_clones_pickles_and_trains_each_objective(objective: ViewInformation) -> None:
    X = np.random.default_rng(0).normal(size=(60, 4))
    encoder = MIGEEncoder(
        2, mode=InfoMax(objective, n_views=3), hidden_layer_sizes=(8,), max_epochs=1,
        random_state=0,
    )  # fmt: skip
    grid = {"mode__information": [objective, clone(objective)], "mode__n_views": [2, 3]}
    found = GridSearchCV(encoder, grid, cv=2, scoring=lambda e, X, y=None: e.transform(X).std())
    assert np.isfinite(found.fit(X).cv_results_["mean_test_score"]).all()
    assert repr(pickle.loads(pickle.dumps(objective))) == repr(copy.deepcopy(objective))


@objectives
def test_training_keeps_what_views_share_and_drops_the_rest(objective: ViewInformation) -> None:
    rng = np.random.default_rng(0)
    X = np.hstack([rng.normal(size=(512, 2)), 3 * rng.normal(size=(512, 2))])

    def redrawn(batch: Tensor) -> Tensor:
        return torch.cat([batch[:, :2], 3 * torch.randn(len(batch), 2)], dim=1)

    mode = InfoMax(objective, corruption=0.0, augmentation=redrawn, n_views=4)
    encoder = MIGEEncoder(
        2, mode=mode, hidden_layer_sizes=(32,), lr=1e-2, max_epochs=20, random_state=0
    )
    Z = encoder.fit_transform(X)
    rest = Z - X[:, :2] @ np.linalg.lstsq(X[:, :2], Z)[0]
    assert rest.var() < 0.15 * Z.var()


@objectives
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_have_the_loss_of_float32(
    objective: ViewInformation, dtype: torch.dtype, z: Tensor
) -> None:
    def loss(z: Tensor) -> Tensor:
        torch.manual_seed(0)
        return objective.loss(z)

    rounded = z.to(dtype)
    assert loss(rounded) == loss(rounded.float())
    with torch.autocast("cpu"):
        assert loss(rounded) == loss(rounded.float())


@objectives
def test_a_loss_needs_two_views_of_rows(objective: ViewInformation, z: Tensor) -> None:
    for wrong in (z[0], z[:1], z[:, :0], z[None], z.int(), z.numpy()):
        with pytest.raises(ValueError, match="with at least two views"):
            objective.loss(wrong)


@pytest.mark.parametrize("unit", [1e-30, 1e25])
def test_the_coding_rate_does_not_depend_on_norms(unit: float, z: Tensor) -> None:
    expected = float(CodingRate().loss(z))
    assert float(CodingRate().loss(z.float() * unit)) == pytest.approx(expected, rel=1e-5)
