"""Estimators of the scikit-learn interface: validation, fitted attributes and tags."""

from ._chain_rule import InformationEstimate
from ._channel import MutualInfoGradientEstimator
from ._encoder import MIGEEncoder
from ._family import conditional_mutual_info, total_correlation, transfer_entropy
from ._feature_information import feature_information
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
    "conditional_mutual_info",
    "total_correlation",
    "transfer_entropy",
    "feature_information",
    "InformationEstimate",
]
