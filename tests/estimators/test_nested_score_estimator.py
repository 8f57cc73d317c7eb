"""The score_estimator of an encoder: validated, used without being fitted, or refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

from sk_mige import (
    MIGE,
    Critic,
    InfoMax,
    InformationBottleneck,
    MIGEEncoder,
    MutualInfoGradientEstimator,
    RandomProjectionSSGE,
    SSGEScoreEstimator,
    Variational,
)

from .conftest import small

X = np.random.default_rng(0).normal(size=(50, 12))


def encoder(score_estimator: Any, **parameters: Any) -> MIGEEncoder:
    return small(score_estimator=score_estimator, max_epochs=1, **parameters)


def projection(fitted: MIGEEncoder) -> torch.Tensor:
    return fitted.net_.criterion_.projection


@pytest.mark.parametrize("kind", [SSGEScoreEstimator, RandomProjectionSSGE])
@pytest.mark.parametrize(
    "impossible",
    [
        {"eigen_threshold": 7.0},
        {"eigen_threshold": -0.5},
        {"n_eigen": 0},
        {"alpha": -1.0},
        {"bandwidth": -2.0},
        {"bandwidth": "mean"},
        {"whiten": "yes"},
    ],
    ids=str,
)
def test_impossible_parameters_are_refused(kind: Any, impossible: dict[str, Any]) -> None:
    (name,) = impossible
    with pytest.raises(ValueError, match=f"The '{name}' parameter of {kind.__name__}"):
        encoder(kind(**impossible)).fit(X)


@pytest.mark.parametrize("ignored", [{"base": "gaussian"}, {"shrinkage": 0.5}])
def test_parameters_that_training_does_not_use_are_warned_of(ignored: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match=f"{next(iter(ignored))}=.* training does not use"):
        encoder(SSGEScoreEstimator(**ignored)).fit(X)


@pytest.mark.parametrize("unread", [{}, {"base": None}, {"whiten": False}], ids=str)
def test_parameters_that_batches_have_anyway_are_no_reason_to_warn(unread: dict[str, Any]) -> None:
    encoder(SSGEScoreEstimator(**unread)).fit(X)


def test_the_projection_is_drawn_from_its_own_random_state() -> None:
    drawn = [
        projection(encoder(RandomProjectionSSGE(4, random_state=own), random_state=seed).fit(X))
        for own, seed in ((1, 0), (2, 0), (1, 5), (None, 0), (None, 5))
    ]
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[3], drawn[4])


@pytest.mark.parametrize("own", [None, 1, "RandomState"])
def test_the_projection_stays_when_training_goes_on(own: Any) -> None:
    state = np.random.RandomState(1) if own == "RandomState" else own
    fitted = encoder(RandomProjectionSSGE(4, random_state=state)).fit(X)
    first = projection(fitted)
    assert torch.equal(projection(fitted.partial_fit(X)), first)
    assert torch.equal(projection(pickle.loads(pickle.dumps(fitted)).partial_fit(X)), first)


def test_an_automatic_projection_is_left_out_where_exact_distances_cost_less() -> None:
    automatic = RandomProjectionSSGE(random_state=0)
    assert projection(encoder(automatic).fit(X)) is None
    assert automatic._training_projection(600, 0, n_rows=512) is None
    assert automatic._training_projection(512, 0, n_rows=600) is None
    assert automatic._training_projection(600, 0, n_rows=600).shape == (512, 600)


def test_more_components_than_rows_of_a_batch_cause_a_warning() -> None:
    message = "n_components=8 .* batches of 8 rows. Use fewer components, for example 2,"
    with pytest.warns(UserWarning, match=message):
        fitted = encoder(RandomProjectionSSGE(8), batch_size=8).fit(X)
    assert projection(fitted).shape == (8, 12)


def test_a_projection_is_refused_where_all_coordinates_are_needed() -> None:
    estimator = MutualInfoGradientEstimator(score_estimator=RandomProjectionSSGE(4))
    with pytest.raises(ValueError, match="must be .* without projection; got Random"):
        estimator.fit(X)


Y = np.arange(50) % 2


def variance(code: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -code.z.var()


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (InfoMax("jsd"), "information='jsd' does not estimate scores"),
        (InfoMax(Critic("infonce")), r"information=Critic\(\) does not estimate scores"),
        (InfoMax(variance), "information=<function variance.*> does not estimate scores"),
        (InfoMax("sigreg", n_views=2), "information='sigreg' does not estimate scores"),
        (InformationBottleneck("club"), "information='club' does not estimate scores"),
        (
            InformationBottleneck(Variational()),
            r"information=Variational\(\) does not estimate scores",
        ),
        (variance, "mode is a loss function"),
    ],
    ids=["jsd", "infonce", "own information", "views", "club", "variational", "own loss"],
)
@pytest.mark.parametrize("kind", [SSGEScoreEstimator, RandomProjectionSSGE])
def test_a_score_estimator_is_refused_where_no_score_is_estimated(
    kind: Any, mode: Any, reason: str
) -> None:
    said = f"score_estimator is set, but {reason}: set score_estimator=None"
    refused = encoder(kind(), mode=mode)
    for fit in (refused.fit, lambda X, y: refused.partial_fit(X, y, classes=[0, 1])):
        with pytest.raises(ValueError, match=said):
            fit(X, Y)
    refused.set_params(score_estimator=None).fit(X, Y)


@pytest.mark.parametrize("marginal", ["auto", "gaussian", "classes"])
def test_a_score_estimator_beside_entropies_in_closed_form_is_warned_of(marginal: str) -> None:
    unused = encoder(SSGEScoreEstimator(), mode=InformationBottleneck(MIGE(marginal=marginal)))
    said = "score_estimator has no effect: head='gaussian'.*MIGE.marginal='score'."
    with pytest.warns(UserWarning, match=said):
        unused.fit(X, Y)


@pytest.mark.parametrize(
    "mode",
    [
        InformationBottleneck(MIGE(marginal="score")),
        InformationBottleneck(MIGE(marginal="stein")),
        InformationBottleneck(MIGE(conditional="score")),
        InformationBottleneck(head="implicit"),
        InformationBottleneck(head="deterministic"),
    ],
    ids=str,
)
def test_a_score_estimator_has_an_effect_where_scores_are_estimated(mode: Any) -> None:
    codes = [
        encoder(estimator, mode=mode.set_params(beta=1.0)).fit(X, Y).transform(X)
        for estimator in (SSGEScoreEstimator(n_eigen=1), None)
    ]
    assert not np.array_equal(*codes)
