"""Training: batches, devices, objectives and the skorch net that runs them."""

from .alignment import input_alignment
from .averaging import WeightAveraging
from .bottleneck import Bottleneck, MIGEInformation
from .checkpoint import Checkpoint
from .critics import CriticInfoMax, CriticInformation, PriorMatched
from .data import ArrayDataset, EqualBatchSampler, keep_batch
from .device import available_device, resolve_device, seeded
from .features import FeatureCriticInfoMax, FeatureInfoMax, patches
from .likelihoods import ClassLikelihood, GaussianLikelihood
from .net import EncoderNet, NonFiniteLossError, build_net
from .objectives import InfoMax, Objective
from .progress import TrainingProgress
from .schedule import BetaWarmup, CosineDecay, ExponentialDecay
from .sliced import sliced_score_matching_loss
from .variational import VariationalInformation

__all__ = [
    "ArrayDataset",
    "BetaWarmup",
    "Bottleneck",
    "Checkpoint",
    "ClassLikelihood",
    "CosineDecay",
    "CriticInfoMax",
    "CriticInformation",
    "EncoderNet",
    "EqualBatchSampler",
    "ExponentialDecay",
    "FeatureCriticInfoMax",
    "FeatureInfoMax",
    "GaussianLikelihood",
    "InfoMax",
    "MIGEInformation",
    "NonFiniteLossError",
    "Objective",
    "PriorMatched",
    "TrainingProgress",
    "VariationalInformation",
    "WeightAveraging",
    "available_device",
    "build_net",
    "input_alignment",
    "keep_batch",
    "patches",
    "resolve_device",
    "seeded",
    "sliced_score_matching_loss",
]
