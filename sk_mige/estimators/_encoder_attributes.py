"""The attributes that the parts of MIGEEncoder share: parameters, and what fitting sets."""

from __future__ import annotations

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
    """Declares and sets nothing: documented in :class:`MIGEEncoder`."""

    n_components: int
    mode: str
    score_estimator: Any
    encoder: Any
    hidden_layer_sizes: Any
    input_shape: tuple[int, ...] | None
    output_scale: str | None
    corruption: float
    head: str
    task: str
    beta: float
    marginal: Any
    x_scale: float
    mi_estimator: str
    critic: str
    prior: str
    prior_weight: float
    n_prediction_samples: int
    max_epochs: int
    batch_size: int
    lr: float
    lr_schedule: str
    optimizer: Any
    output: str | None
    device: str | torch.device
    callbacks: list[Any] | None
    warm_start: bool
    verbose: int
    random_state: int | np.random.RandomState | None

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

    def _is_started(self) -> bool:
        """Whether there is a network to train on."""
        return hasattr(self, "net_")

    def _current_task(self) -> str | None:
        """The task where it is known: by parameter, or by fit."""
        return getattr(self, "task_", None) if self.task == "auto" else self.task
