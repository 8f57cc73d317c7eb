"""Objectives of an encoder: descriptions with parameters, and losses built from descriptions."""

from .base import Description, FunctionObjective, Information, Objective, Problem
from .bottleneck import BottleneckLoss, InformationBottleneck
from .critics import CriticBound, CriticInfoMax, CriticTerm, FeatureCriticInfoMax, ViewCriticInfoMax
from .infomax import InfoMax, PriorMatched
from .information import MIGE, Critic, Variational
from .likelihoods import ClassLikelihood, GaussianLikelihood
from .mige import FeatureInfoMax, MIGEInfoMax, MIGETerm, patches
from .score import default_training_score, sliced_score_matching_loss
from .variational import VariationalTerm
from .views import ViewInformation

__all__ = [
    # descriptions
    "InfoMax",
    "InformationBottleneck",
    "MIGE",
    "Critic",
    "Variational",
    "Description",
    "Information",
    "ViewInformation",
    "Problem",
    # losses of a batch
    "Objective",
    "FunctionObjective",
    "MIGEInfoMax",
    "FeatureInfoMax",
    "CriticInfoMax",
    "FeatureCriticInfoMax",
    "ViewCriticInfoMax",
    "PriorMatched",
    "BottleneckLoss",
    "sliced_score_matching_loss",
    # parts of losses
    "MIGETerm",
    "CriticBound",
    "CriticTerm",
    "VariationalTerm",
    "ClassLikelihood",
    "GaussianLikelihood",
    "default_training_score",
    "patches",
]
