"""Torch modules: encoders, heads and the network that holds them."""

from .architecture import HEADS, Architecture
from .conv import ConvEncoder
from .encoder import EncoderNetwork
from .evaluation import evaluate
from .heads import Code, DeterministicHead, GaussianHead, Head, StandardizingHead
from .implicit import ImplicitHead
from .mlp import MLPEncoder
from .representation import Representation
from .score import ScoreNetwork, SlicedScore

__all__ = [
    "HEADS",
    "Architecture",
    "Code",
    "ConvEncoder",
    "DeterministicHead",
    "EncoderNetwork",
    "GaussianHead",
    "Head",
    "ImplicitHead",
    "MLPEncoder",
    "Representation",
    "ScoreNetwork",
    "SlicedScore",
    "StandardizingHead",
    "evaluate",
]
