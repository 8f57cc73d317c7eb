"""All checks of scikit-learn, for every estimator in every mode.

With ``SCIPY_ARRAY_API=1`` in the environment, the checks of array API inputs run as well.
"""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

from sk_mige import (
    Critic,
    InfoMax,
    InformationBottleneck,
    KernelSteinTest,
    MIGEEncoder,
    MutualInfoGradientEstimator,
    NonLinearProbe,
    RandomProjectionSSGE,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
    SteinThinning,
    WeightedKNNClassifier,
)
from sk_mige.networks import Code
from sk_mige.training import BetaWarmup, ExponentialDecay, WeightAveraging

SMALL = {"n_components": 2, "hidden_layer_sizes": (16,), "max_epochs": 5, "device": "cpu"}
# The checks need an accuracy of .83 and an R² of .5, for which five epochs are too few.
LEARNING = {**SMALL, "max_epochs": 10, "lr": 3e-2}


class Spread:
    """A loss function with the same repr, which names its tests, in each process."""

    def __call__(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return -torch.logdet(torch.eye(code.z.shape[1]) + code.z.T.cov())

    def __repr__(self) -> str:
        return "Spread()"


@pytest.mark.filterwarnings("ignore:.*(columns, too many for|predict little of y):UserWarning")
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
        MIGEEncoder(**SMALL, mode=InfoMax(output_scale=None)),
        MIGEEncoder(**SMALL, mode=InfoMax("jsd", prior_weight=0.1)),
        MIGEEncoder(**SMALL, mode=InfoMax(Critic("infonce", "cosine"), n_views=2)),
        MIGEEncoder(**SMALL, mode=InfoMax("vicreg", n_views=2)),
        MIGEEncoder(**SMALL, mode=InfoMax(layer="hidden1")),
        MIGEEncoder(**SMALL, mode=Spread()),
        SteinScoreEstimator(),
        SteinThinning(5),
        SteinThinning(5, operator.neg),
        KernelSteinTest(operator.neg, n_bootstrap=9),
        SSGEScoreEstimator(kernel="matern", curl_free=True),
        SlicedScoreMatching(hidden_layer_sizes=(8,), max_epochs=2),
        MutualInfoGradientEstimator(),
        NonLinearProbe(hidden_size=16, max_epochs=25, lr=1e-2, device="cpu"),
        WeightedKNNClassifier(),
        WeightedKNNClassifier(5),
        MIGEEncoder(**LEARNING, mode="ib"),
        MIGEEncoder(**LEARNING, mode=InformationBottleneck(head="deterministic")),
        MIGEEncoder(**LEARNING, mode=InformationBottleneck(head="implicit")),
        MIGEEncoder(
            **LEARNING,
            mode=InformationBottleneck("variational"),
            callbacks=[BetaWarmup(2), WeightAveraging(0.9)],
            lr_schedule=ExponentialDecay(0.99),
        ),
        MIGEEncoder(**LEARNING, mode=InformationBottleneck(task="regression")),
    ]
)
def test_scikit_learns_checks_pass(estimator: BaseEstimator, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
# The smallest data of the checks have fewer rows than 64.
@pytest.mark.filterwarnings("ignore:n_components=64 is more than the:UserWarning")
@parametrize_with_checks(
    [
        MIGEEncoder(),
        MIGEEncoder(mode=InfoMax(Critic())),
        MIGEEncoder(mode=Spread()),
        NonLinearProbe(),
        MIGEEncoder(mode="ib"),
        MIGEEncoder(mode=InformationBottleneck()),
        MIGEEncoder(mode=InformationBottleneck(task="regression")),
    ]
)
def test_scikit_learns_checks_pass_with_default_parameters(
    estimator: BaseEstimator, check: Any
) -> None:
    check(estimator)
