"""Plots of fitted estimators or of given numbers, as displays in the style of scikit-learn."""

from ._eigenvalues import EigenvalueDisplay
from ._information_plane import InformationPlaneDisplay
from ._mutual_info import MutualInfoDisplay
from ._prediction_trust import PredictionTrustDisplay
from ._representation import RepresentationDisplay
from ._score_cv import ScoreCVDisplay
from ._score_field import ScoreFieldDisplay
from ._training_curve import TrainingCurveDisplay

__all__ = [
    "EigenvalueDisplay",
    "InformationPlaneDisplay",
    "MutualInfoDisplay",
    "PredictionTrustDisplay",
    "RepresentationDisplay",
    "ScoreCVDisplay",
    "ScoreFieldDisplay",
    "TrainingCurveDisplay",
]
