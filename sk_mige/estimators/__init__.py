"""The scikit-learn shell: validation, fitted attributes, tags, and hardly any arithmetic."""

from ._channel import MutualInfoGradientEstimator
from ._encoder import MIGEEncoder
from ._mutual_info import MutualInfoEstimator
from ._probe import NonLinearProbe
from ._sliced_score import SlicedScoreMatching
from ._ssge import RandomProjectionSSGE, SSGEScoreEstimator
from ._ssge_cv import SSGEScoreEstimatorCV
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
