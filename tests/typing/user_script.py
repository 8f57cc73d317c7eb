"""A user's script with types: mypy --strict and pyright check it in the linters' stage."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from sk_mige import (
    MIGE,
    Critic,
    InfoMax,
    InformationBottleneck,
    InformationEstimate,
    MIGEEncoder,
    MutualInfoEstimator,
    RandomProjectionSSGE,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    Variational,
    VICReg,
    conditional_mutual_info,
    feature_information,
)
from sk_mige.datasets import make_banana
from sk_mige.information import (
    conditional_mutual_info_gradient,
    mutual_info_gradient,
    mutual_info_surrogate,
)
from sk_mige.inspection import ScoreFieldDisplay, TrainingCurveDisplay
from sk_mige.networks import Code, MLPEncoder, Representation, ResNet18
from sk_mige.objectives import Objective
from sk_mige.score import ssge
from sk_mige.training import BetaWarmup, ExponentialDecay, ImageAugmentation, WeightAveraging


def scores() -> NDArray[np.float64]:
    X, exact = make_banana(200, random_state=0)
    estimator = SSGEScoreEstimator(n_landmarks=50, random_state=0).fit(X)
    search: SSGEScoreEstimatorCV = SSGEScoreEstimatorCV(cv=3).fit(X)
    held_out: float = search.score(X)
    print(held_out, estimator.bandwidth_, exact(X).shape)
    display = ScoreFieldDisplay.from_estimator(estimator, X)
    display.ax_.set_title("scores")
    found: NDArray[np.float64] = estimator.transform(X)
    return found


def representation(X: NDArray[np.float64]) -> NDArray[np.float64]:
    encoder = MIGEEncoder(
        n_components=2, score_estimator=RandomProjectionSSGE(4), max_epochs=1, random_state=0
    )
    Z: NDArray[np.float64] = encoder.fit_transform(X)
    losses: list[float] = [row["train_loss"] for row in encoder.history_]
    module: torch.nn.Module = Representation(encoder.module_)
    TrainingCurveDisplay.from_estimator(encoder).figure_.savefig("curve.png")
    print(losses, module(torch.zeros(3, X.shape[1])).shape, encoder.n_iter_)
    return Z


class SmallCodes(Objective):
    def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return code.z.square().mean()


def spread(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -torch.logdet(torch.eye(2) + code.z.T.cov())


def objectives(X: NDArray[np.float64], y: NDArray[np.int64]) -> list[float]:
    modes = [
        InformationBottleneck(MIGE(marginal="classes"), beta=1e-2, n_prediction_samples=4),
        InformationBottleneck(Variational("learned"), max_information=2.0),
    ]
    scores: list[float] = []
    for mode in modes:
        classifier = MIGEEncoder(2, mode=mode, callbacks=[BetaWarmup(2), WeightAveraging(0.9)])
        classifier.fit(X, y).set_params(mode__n_prediction_samples=0)
        accuracy: float = classifier.score(X, y)
        scores.append(accuracy)
        print(classifier.task_, classifier.beta_, classifier.classes_)
    views = InfoMax(Critic("infonce", "cosine"), n_views=2, augmentation=torch.neg)
    MIGEEncoder(2, mode=views, lr_schedule=ExponentialDecay(0.9)).fit(X)
    crops = ImageAugmentation(size=8, scale=(0.25, 0.25), blur=0.5)
    many = InfoMax(VICReg(covariance=2.0), n_views=8, augmentation=crops, output_scale=None)
    network = partial(ResNet18, projector=(64,), channels=(8, 8, 16, 16))
    MIGEEncoder(2, mode=many, encoder=network, input_shape=(3, 8, 8)).fit(np.ones((9, 3, 8, 8)))
    MIGEEncoder(2, mode=spread, encoder=partial(MLPEncoder, dropout=0.1)).fit(X)
    MIGEEncoder(2, mode=SmallCodes(), lr_schedule=torch.optim.lr_scheduler.LinearLR).fit(X, y)
    return scores


def gradients(x: torch.Tensor) -> torch.Tensor:
    z = x[:, :1].clone().requires_grad_()
    torch.autograd.backward(mutual_info_surrogate(x, z, score=ssge))
    gradient, error = mutual_info_gradient(x, z.detach(), x)
    print(gradient, error)
    assert z.grad is not None
    return z.grad


def family(X: NDArray[np.float64], y: NDArray[np.int64]) -> tuple[float, float]:
    estimator = MutualInfoEstimator(["gaussian", "logistic"], random_state=0)
    found: InformationEstimate = conditional_mutual_info(X[:, 0], y, X[:, 1:], estimator=estimator)
    scores: NDArray[np.float64] = feature_information(X, y, groups=[0, 0, 1], estimator=estimator)
    gradient, error = conditional_mutual_info_gradient(X[:, 0], X[:, 1], X[:, 2], dy=X[:, 0])
    print(found.value, found.terms, found.pointwise.shape, scores, gradient, error)
    return found.interval
