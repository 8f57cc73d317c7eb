"""Estimators with the scikit-learn interface."""

from ._channel import MutualInfoGradientEstimator
from ._encoder import MIGEEncoder
from ._knn import WeightedKNNClassifier
from ._probe import NonLinearProbe
from ._sliced_score import SlicedScoreMatching
from ._ssge import RandomProjectionSSGE, SSGEScoreEstimator
from ._ssge_cv import SSGEScoreEstimatorCV
from ._stein import SteinScoreEstimator
from ._stein_tools import KernelSteinTest, SteinThinning

__all__ = [
    "KernelSteinTest",
    "MIGEEncoder",
    "NonLinearProbe",
    "MutualInfoGradientEstimator",
    "RandomProjectionSSGE",
    "SSGEScoreEstimator",
    "SSGEScoreEstimatorCV",
    "SlicedScoreMatching",
    "SteinScoreEstimator",
    "SteinThinning",
    "WeightedKNNClassifier",
]
