"""What a user writes, with types: checked by mypy --strict and pyright in the linters' stage."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from sk_mige import MIGEEncoder, RandomProjectionSSGE, SSGEScoreEstimator, SSGEScoreEstimatorCV
from sk_mige.datasets import make_banana
from sk_mige.information import mutual_info_gradient, mutual_info_surrogate
from sk_mige.inspection import ScoreFieldDisplay, TrainingCurveDisplay
from sk_mige.networks import Representation
from sk_mige.score import ssge


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


def gradients(x: torch.Tensor) -> torch.Tensor:
    z = x[:, :1].clone().requires_grad_()
    torch.autograd.backward(mutual_info_surrogate(x, z, score=ssge))
    gradient, error = mutual_info_gradient(x, z.detach(), x)
    print(gradient, error)
    assert z.grad is not None
    return z.grad
