"""The attributes that the parts of MIGEEncoder share: parameters, and what fitting sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from sk_mige.networks import EncoderNetwork
from sk_mige.training import EncoderNet

from ._encoder_building import Architecture

__all__ = ["EncoderAttributes"]


class EncoderAttributes:
    """Documented in :class:`MIGEEncoder`; what fitting sets is declared only."""

    module_: EncoderNetwork
    net_: EncoderNet
    history_: list[dict[str, Any]]
    n_iter_: int
    n_features_in_: int
    classes_: NDArray[Any]
    task_: str
    beta_: float

    _architecture: Architecture
    _built_with: dict[str, Any]
    _copied_callbacks: list[Any]
    _device: torch.device
    _seed: int
    _fit_namespace: str
    _target_scaler: StandardScaler
    # Class attributes are for files of versions that did not know them.
    _target_dtype: str = "float64"
    _flat_target: bool
    _class_weights: NDArray[Any] | None

    def __init__(
        self,
        n_components: int = 64,
        *,
        mode: str = "infomax",
        score_estimator: Any = None,
        encoder: str | torch.nn.Module | Callable[..., torch.nn.Module] = "mlp",
        hidden_layer_sizes: Any = (512, 512),
        input_shape: tuple[int, ...] | None = None,
        output_scale: str | None = "input",
        corruption: float = 0.3,
        augmentation: Callable[[torch.Tensor], torch.Tensor] | None = None,
        n_views: int = 1,
        dropout: float = 0.0,
        head: str = "gaussian",
        conditional: str = "auto",
        n_training_samples: int | None = None,
        task: str = "auto",
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        confidence_penalty: float = 0.0,
        beta: float = 1e-3,
        beta_warmup: int = 0,
        max_information: float | None = None,
        marginal: str = "auto",
        x_scale: float = 1.0,
        mi_estimator: str = "mige",
        critic: str | Callable[..., torch.nn.Module] = "separable",
        feature_layer: str | None = None,
        local_features: bool = False,
        prior: str = "uniform",
        prior_weight: float = 0.0,
        n_prediction_samples: int = 12,
        max_epochs: int = 30,
        validation_fraction: float | None = None,
        batch_size: int = 256,
        lr: float = 1e-3,
        lr_schedule: str = "cosine",
        lr_decay: float = 0.97,
        lr_decay_epochs: int = 2,
        weight_averaging: float | None = None,
        optimizer: str | Callable[..., torch.optim.Optimizer] = "adam",
        mixed_precision: bool = False,
        output: str | None = None,
        device: str | torch.device = "auto",
        distributed: bool = False,
        callbacks: list[Any] | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.mode = mode
        self.score_estimator = score_estimator
        self.encoder = encoder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.input_shape = input_shape
        self.output_scale = output_scale
        self.corruption = corruption
        self.augmentation = augmentation
        self.n_views = n_views
        self.dropout = dropout
        self.head = head
        self.conditional = conditional
        self.n_training_samples = n_training_samples
        self.task = task
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.confidence_penalty = confidence_penalty
        self.beta = beta
        self.beta_warmup = beta_warmup
        self.max_information = max_information
        self.marginal = marginal
        self.x_scale = x_scale
        self.mi_estimator = mi_estimator
        self.critic = critic
        self.feature_layer = feature_layer
        self.local_features = local_features
        self.prior = prior
        self.prior_weight = prior_weight
        self.n_prediction_samples = n_prediction_samples
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.batch_size = batch_size
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.lr_decay = lr_decay
        self.lr_decay_epochs = lr_decay_epochs
        self.weight_averaging = weight_averaging
        self.optimizer = optimizer
        self.mixed_precision = mixed_precision
        self.output = output
        self.device = device
        self.distributed = distributed
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    def _is_started(self) -> bool:
        """Whether there is a network to train on."""
        return hasattr(self, "net_")

    def _current_task(self) -> str | None:
        """The task where it is known: by parameter, or by fit."""
        return getattr(self, "task_", None) if self.task == "auto" else self.task
