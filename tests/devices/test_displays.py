"""Displays of estimators that were fitted on any device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sk_mige import MIGEEncoder, SSGEScoreEstimator, SSGEScoreEstimatorCV
from sk_mige.inspection import (
    EigenvalueDisplay,
    InformationPlaneDisplay,
    PredictionTrustDisplay,
    RepresentationDisplay,
    ScoreCVDisplay,
    ScoreFieldDisplay,
    TrainingCurveDisplay,
)

pytest.importorskip("matplotlib")
X = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
Y = np.arange(60) % 3


@pytest.mark.parametrize(
    ("display", "model", "arguments"),
    [
        (EigenvalueDisplay, SSGEScoreEstimator(), ()),
        (ScoreFieldDisplay, SSGEScoreEstimator(), (X,)),
        (ScoreCVDisplay, SSGEScoreEstimatorCV(bandwidth_factors=(0.5, 1.0), cv=2), ()),
        (RepresentationDisplay, MIGEEncoder(2, max_epochs=1, random_state=0), (X, Y)),
        (TrainingCurveDisplay, MIGEEncoder(2, max_epochs=1, random_state=0), ()),
        (
            InformationPlaneDisplay,
            MIGEEncoder(2, mode="ib", max_epochs=2, random_state=0),
            (X, Y),
        ),
        (
            PredictionTrustDisplay,
            MIGEEncoder(2, mode="ib", max_epochs=2, random_state=0),
            (X, Y, X),
        ),
    ],
)
def test_displays(display: Any, model: Any, arguments: Any, device: torch.device) -> None:
    model = model.set_params(device=str(device)).fit(X, Y)
    assert display.from_estimator(model, *arguments).figure_ is not None
