"""scikit-learn estimators for scores, mutual information and its gradient, and representations."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .dependence import (
    InformationEstimate,
    MutualInfoEstimator,
    conditional_mutual_info,
    feature_information,
    total_correlation,
    transfer_entropy,
)
from .estimators import (
    KernelSteinTest,
    MIGEEncoder,
    MutualInfoGradientEstimator,
    NonLinearProbe,
    RandomProjectionSSGE,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
    SteinThinning,
    WeightedKNNClassifier,
)
from .objectives import MIGE, Critic, InfoMax, InformationBottleneck, Variational
from .objectives.views import BarlowTwins, CodingRate, SIGReg, VICReg

__version__ = "0.1.0"

__all__ = [
    # estimators
    "MIGEEncoder",
    "NonLinearProbe",
    "WeightedKNNClassifier",
    "MutualInfoEstimator",
    "MutualInfoGradientEstimator",
    "RandomProjectionSSGE",
    "SSGEScoreEstimator",
    "SSGEScoreEstimatorCV",
    "SlicedScoreMatching",
    "SteinScoreEstimator",
    # Stein discrepancies
    "KernelSteinTest",
    "SteinThinning",
    # information of several variables
    "conditional_mutual_info",
    "total_correlation",
    "transfer_entropy",
    "feature_information",
    "InformationEstimate",
    # objectives of MIGEEncoder
    "InfoMax",
    "InformationBottleneck",
    # estimators of information for these objectives
    "MIGE",
    "Critic",
    "Variational",
    # objectives of several views
    "BarlowTwins",
    "CodingRate",
    "SIGReg",
    "VICReg",
    "__version__",
]

# Modules that the estimators do not need, imported at the first access.
_ON_DEMAND = ("datasets", "inspection")

if TYPE_CHECKING:
    from . import datasets as datasets
    from . import inspection as inspection
else:  # type checkers accept any name of a module with __getattr__

    def __getattr__(name: str) -> Any:
        if name in _ON_DEMAND:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_DEMAND})
