"""torch modules: encoders, heads, and the network of encoder, head and decoder."""

from .architecture import HEADS, Architecture
from .conditioned import ConditionedHead
from .encoder import EncoderNetwork
from .encoders import ConvEncoder, MLPEncoder
from .evaluation import Representation, evaluate
from .heads import Code, DeterministicHead, GaussianHead, Head, ImplicitHead, StandardizingHead
from .resnet import ResNet18
from .score import ScoreNetwork, SlicedScore

__all__ = [
    "HEADS",
    "Architecture",
    "Code",
    "ConditionedHead",
    "ConvEncoder",
    "DeterministicHead",
    "EncoderNetwork",
    "GaussianHead",
    "Head",
    "ImplicitHead",
    "MLPEncoder",
    "Representation",
    "ResNet18",
    "ScoreNetwork",
    "SlicedScore",
    "StandardizingHead",
    "evaluate",
]
