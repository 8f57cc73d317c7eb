"""Torch modules: encoders, heads and the network that holds them."""

from .conv import ConvEncoder
from .encoder import EncoderNetwork
from .heads import Code, DeterministicHead, GaussianHead, StandardizingHead
from .implicit import ImplicitHead
from .mlp import MLPEncoder
from .representation import Representation
from .score import ScoreNetwork, SlicedScore

__all__ = [
    "Code",
    "ConvEncoder",
    "DeterministicHead",
    "EncoderNetwork",
    "GaussianHead",
    "ImplicitHead",
    "MLPEncoder",
    "Representation",
    "ScoreNetwork",
    "SlicedScore",
    "StandardizingHead",
]
