"""Training of networks: batches, devices, callbacks and the trainer."""

from .alignment import input_alignment
from .augmentation import ImageAugmentation
from .checkpoint import Checkpoint
from .monitors import EffectiveRank, OnlineKNN, OnlineProbe
from .schedules import BetaWarmup, ExponentialDecay, WeightAveraging
from .trainer import Trainer

__all__ = [
    "BetaWarmup",
    "Checkpoint",
    "EffectiveRank",
    "ExponentialDecay",
    "ImageAugmentation",
    "OnlineKNN",
    "OnlineProbe",
    "Trainer",
    "WeightAveraging",
    "input_alignment",
]
