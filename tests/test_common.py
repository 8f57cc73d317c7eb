"""scikit-learn's own judgement: every check, for every class, in every mode.

With ``SCIPY_ARRAY_API=1`` in the environment the checks of array API inputs run, too.
"""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

from sk_mige import (
    MIGEEncoder,
    MutualInfoGradientEstimator,
    NonLinearProbe,
    RandomProjectionSSGE,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
)

SMALL = {"n_components": 2, "hidden_layer_sizes": (16,), "max_epochs": 5, "device": "cpu"}
# The checks ask for an accuracy of .83 and an R² of .5, for which five epochs do not do.
LEARNING = {**SMALL, "max_epochs": 25, "lr": 1e-2}


def ib(**parameters: Any) -> MIGEEncoder:
    return MIGEEncoder(mode="ib", **parameters)


@parametrize_with_checks(
    [
        SSGEScoreEstimator(),
        SSGEScoreEstimatorCV(cv=2),
        RandomProjectionSSGE(),
        RandomProjectionSSGE(n_components=1),
        MIGEEncoder(**SMALL),
        MIGEEncoder(**SMALL, score_estimator=SSGEScoreEstimator(eigen_threshold=0.9)),
        MIGEEncoder(**SMALL, score_estimator=RandomProjectionSSGE(n_components=1)),
        MIGEEncoder(**SMALL, output="hidden1"),
        MIGEEncoder(**SMALL, output_scale=None),
        MIGEEncoder(**SMALL, mi_estimator="jsd", prior_weight=0.1),
        MIGEEncoder(**SMALL, feature_layer="hidden1"),
        SteinScoreEstimator(),
        SlicedScoreMatching(hidden_layer_sizes=(8,), max_epochs=2),
        MutualInfoGradientEstimator(),
        NonLinearProbe(hidden_size=16, max_epochs=25, lr=1e-2, device="cpu"),
        ib(**SMALL),
        ib(**SMALL, head="deterministic"),
        ib(**SMALL, head="implicit"),
        ib(**SMALL, mi_estimator="variational", beta_warmup=2, weight_averaging=0.9),
        ib(**LEARNING, task="classification"),
        ib(**LEARNING, task="regression"),
    ]
)
def test_scikit_learn_finds_nothing_to_object(estimator: BaseEstimator, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
# The smallest data of the checks have fewer rows than 64 components.
@pytest.mark.filterwarnings("ignore:n_components=64 is more than the:UserWarning")
@parametrize_with_checks(
    [
        MIGEEncoder(),
        NonLinearProbe(),
        ib(),
        ib(task="classification"),
        ib(task="regression"),
    ]
)
def test_nor_in_the_default_settings(estimator: BaseEstimator, check: Any) -> None:
    check(estimator)
