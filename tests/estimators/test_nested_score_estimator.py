"""The score_estimator inside an encoder: read without being fitted, and checked all the same."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

from sk_mige import (
    MIGEEncoder,
    MutualInfoGradientEstimator,
    RandomProjectionSSGE,
    SSGEScoreEstimator,
)

SMALL: dict[str, Any] = {
    "n_components": 2,
    "hidden_layer_sizes": (8,),
    "max_epochs": 1,
    "device": "cpu",
    "random_state": 0,
}
X = np.random.default_rng(0).normal(size=(50, 12))


def encoder(score_estimator: Any, **parameters: Any) -> MIGEEncoder:
    return MIGEEncoder(score_estimator=score_estimator, **{**SMALL, **parameters})


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


@pytest.mark.parametrize("ignored", [{"base": "gaussian"}, {"landmark_selection": "leverage"}])
def test_parameters_that_training_does_not_read_are_warned_of(ignored: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match=f"{next(iter(ignored))}=.* training does not use"):
        encoder(SSGEScoreEstimator(**ignored)).fit(X)


@pytest.mark.parametrize("unread", [{}, {"base": None}, {"whiten": False}], ids=str)
def test_what_a_batch_does_anyway_is_no_reason_to_warn(unread: dict[str, Any]) -> None:
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


def test_a_projection_has_no_place_where_all_coordinates_enter() -> None:
    estimator = MutualInfoGradientEstimator(score_estimator=RandomProjectionSSGE(4))
    with pytest.raises(ValueError, match="projects, but .* pass an SSGEScoreEstimator"):
        estimator.fit(X)
