"""Scores, gradients of mutual information and representations, in scikit-learn's manner."""

from .estimators import (
    MIGEEncoder,
    MutualInfoGradientEstimator,
    NonLinearProbe,
    RandomProjectionSSGE,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
)

__version__ = "0.1.0"

__all__ = [
    "MIGEEncoder",
    "NonLinearProbe",
    "MutualInfoGradientEstimator",
    "RandomProjectionSSGE",
    "SSGEScoreEstimator",
    "SSGEScoreEstimatorCV",
    "SlicedScoreMatching",
    "SteinScoreEstimator",
    "__version__",
]
