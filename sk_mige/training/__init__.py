"""Training of networks: batches, devices, callbacks and the trainer."""

from .alignment import input_alignment
from .augmentation import ImageAugmentation
from .checkpoint import Checkpoint
from .data import ArrayDataset, EqualBatchSampler, keep_batch, read_parts, resident
from .device import available_device, resolve_device, seeded
from .monitors import EffectiveRank, OnlineKNN, OnlineProbe, neighbour_votes
from .net import EncoderNet, NonFiniteLossError
from .processes import (
    JointBatchNorm,
    gather_rows,
    join_processes,
    make_accelerator,
    with_joint_batch_norms,
)
from .progress import TrainingProgress
from .schedules import BetaWarmup, CosineDecay, ExponentialDecay, WeightAveraging
from .trainer import Trainer, make_optimizer

__all__ = [
    "ArrayDataset",
    "BetaWarmup",
    "Checkpoint",
    "CosineDecay",
    "EffectiveRank",
    "EncoderNet",
    "EqualBatchSampler",
    "ExponentialDecay",
    "ImageAugmentation",
    "JointBatchNorm",
    "NonFiniteLossError",
    "OnlineKNN",
    "OnlineProbe",
    "Trainer",
    "TrainingProgress",
    "WeightAveraging",
    "available_device",
    "gather_rows",
    "input_alignment",
    "join_processes",
    "keep_batch",
    "make_accelerator",
    "make_optimizer",
    "neighbour_votes",
    "read_parts",
    "resident",
    "resolve_device",
    "seeded",
    "with_joint_batch_norms",
]
