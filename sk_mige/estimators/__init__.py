"""The scikit-learn shell: validation, fitted attributes, tags, and hardly any arithmetic."""

from ._channel import MutualInfoGradientEstimator
from ._encoder import MIGEEncoder
from ._mutual_info import MutualInfoEstimator
from ._probe import NonLinearProbe
from ._score import SSGEScoreEstimator
from ._score_cv import SSGEScoreEstimatorCV
from ._score_projection import RandomProjectionSSGE
from ._sliced_score import SlicedScoreMatching
from ._stein import SteinScoreEstimator

__all__ = [
    "MIGEEncoder",
    "NonLinearProbe",
    "MutualInfoEstimator",
    "MutualInfoGradientEstimator",
    "RandomProjectionSSGE",
    "SSGEScoreEstimator",
    "SSGEScoreEstimatorCV",
    "SlicedScoreMatching",
    "SteinScoreEstimator",
]
