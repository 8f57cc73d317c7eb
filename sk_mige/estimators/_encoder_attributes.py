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

    _architecture: Architecture
    _device: torch.device
    _seed: int
    _fit_namespace: str
    _target_scaler: StandardScaler
    _flat_target: bool

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
        corruption: float = 0.5,
        head: str = "gaussian",
        task: str = "auto",
        beta: float = 1e-3,
        marginal: str = "auto",
        x_scale: float = 1.0,
        mi_estimator: str = "mige",
        critic: str = "separable",
        prior: str = "uniform",
        prior_weight: float = 0.0,
        n_prediction_samples: int = 12,
        max_epochs: int = 50,
        batch_size: int = 256,
        lr: float = 1e-3,
        lr_schedule: str = "cosine",
        optimizer: str | Callable[..., torch.optim.Optimizer] = "adam",
        output: str | None = None,
        device: str | torch.device = "auto",
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
        self.head = head
        self.task = task
        self.beta = beta
        self.marginal = marginal
        self.x_scale = x_scale
        self.mi_estimator = mi_estimator
        self.critic = critic
        self.prior = prior
        self.prior_weight = prior_weight
        self.n_prediction_samples = n_prediction_samples
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.optimizer = optimizer
        self.output = output
        self.device = device
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
