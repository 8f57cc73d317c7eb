"""Estimators of mutual information and of other information measures of several variables."""

from ._chain_rule import InformationEstimate
from ._family import conditional_mutual_info, total_correlation, transfer_entropy
from ._feature_information import feature_information
from ._mutual_info import MutualInfoEstimator

__all__ = [
    "MutualInfoEstimator",
    "InformationEstimate",
    "conditional_mutual_info",
    "total_correlation",
    "transfer_entropy",
    "feature_information",
]
