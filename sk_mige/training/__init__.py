"""Training: batches, devices, objectives and the skorch net that runs them."""

from .alignment import input_alignment
from .averaging import WeightAveraging
from .bottleneck import Bottleneck, MIGEInformation
from .checkpoint import Checkpoint
from .critics import CriticInfoMax, CriticInformation, PriorMatched
from .data import ArrayDataset, EqualBatchSampler, keep_batch, resident
from .device import available_device, resolve_device, seeded
from .features import FeatureCriticInfoMax, FeatureInfoMax, patches
from .joint_batch import (
    JointBatchNorm,
    gather_rows,
    join_processes,
    make_accelerator,
    with_joint_batch_norms,
)
from .likelihoods import ClassLikelihood, GaussianLikelihood
from .net import EncoderNet, NonFiniteLossError, build_net
from .objectives import InfoMax, Objective
from .optimizers import make_optimizer
from .progress import TrainingProgress
from .schedule import BetaWarmup, CosineDecay, ExponentialDecay
from .sliced import sliced_score_matching_loss
from .variational import VariationalInformation
from .view_critics import ViewCriticInfoMax

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
    "JointBatchNorm",
    "MIGEInformation",
    "NonFiniteLossError",
    "Objective",
    "PriorMatched",
    "TrainingProgress",
    "VariationalInformation",
    "ViewCriticInfoMax",
    "WeightAveraging",
    "available_device",
    "build_net",
    "gather_rows",
    "input_alignment",
    "join_processes",
    "keep_batch",
    "make_accelerator",
    "make_optimizer",
    "patches",
    "resident",
    "resolve_device",
    "seeded",
    "sliced_score_matching_loss",
    "with_joint_batch_norms",
]
