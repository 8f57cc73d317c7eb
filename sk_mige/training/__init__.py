"""Training: batches, devices, objectives and the skorch net that runs them."""

from .alignment import input_alignment
from .critics import CriticInfoMax, CriticInformation, PriorMatched
from .data import ArrayDataset, EqualBatchSampler, keep_batch
from .device import available_device, resolve_device, seeded
from .net import EncoderNet, NonFiniteLossError, build_net
from .objectives import Bottleneck, GaussianLikelihood, InfoMax, Objective, class_likelihood
from .progress import TrainingProgress
from .schedule import CosineDecay
from .sliced import sliced_score_matching_loss

__all__ = [
    "ArrayDataset",
    "Bottleneck",
    "CosineDecay",
    "CriticInfoMax",
    "CriticInformation",
    "EncoderNet",
    "EqualBatchSampler",
    "GaussianLikelihood",
    "InfoMax",
    "NonFiniteLossError",
    "Objective",
    "PriorMatched",
    "TrainingProgress",
    "available_device",
    "build_net",
    "class_likelihood",
    "input_alignment",
    "keep_batch",
    "resolve_device",
    "seeded",
    "sliced_score_matching_loss",
]
