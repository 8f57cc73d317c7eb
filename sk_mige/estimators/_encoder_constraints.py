"""What each parameter of MIGEEncoder may be."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import torch
from sklearn.utils._param_validation import Interval, StrOptions

from sk_mige.information.bounds import BOUNDS

from ._encoder_bottleneck import MARGINALS
from ._ssge import SSGEScoreEstimator

__all__ = ["PARAMETER_CONSTRAINTS"]

PARAMETER_CONSTRAINTS: dict[str, list[Any]] = {
    "n_components": [Interval(Integral, 1, None, closed="left")],
    "mode": [StrOptions({"infomax", "ib"})],
    "score_estimator": [SSGEScoreEstimator, None],
    "encoder": [StrOptions({"mlp", "conv"}), torch.nn.Module, callable],
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "input_shape": ["array-like", None],
    "output_scale": [StrOptions({"input", "unit"}), None],
    "corruption": [Interval(Real, 0, 1, closed="left")],
    "augmentation": [callable, None],
    "n_views": [Interval(Integral, 1, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "head": [StrOptions({"gaussian", "deterministic", "implicit"})],
    "conditional": [StrOptions({"auto", "closed-form", "score"})],
    "n_training_samples": [Interval(Integral, 1, None, closed="left"), None],
    "task": [StrOptions({"auto", "classification", "regression"})],
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    "confidence_penalty": [Interval(Real, 0, None, closed="left")],
    "beta": [Interval(Real, 0, None, closed="left")],
    "beta_warmup": [Interval(Integral, 0, None, closed="left")],
    "max_information": [Interval(Real, 0, None, closed="neither"), None],
    "marginal": [StrOptions({name for names in MARGINALS.values() for name in names})],
    "x_scale": [Interval(Real, 0, None, closed="left")],
    "mi_estimator": [StrOptions({"mige", "variational", *BOUNDS})],
    "critic": [StrOptions({"separable", "concatenated", "cosine"}), callable],
    "feature_layer": [str, None],
    "local_features": ["boolean"],
    "prior": [StrOptions({"uniform", "normal"})],
    "prior_weight": [Interval(Real, 0, None, closed="left")],
    "n_prediction_samples": [Interval(Integral, 0, None, closed="left")],
    "max_epochs": [Interval(Integral, 1, None, closed="left")],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither"), None],
    "batch_size": [Interval(Integral, 2, None, closed="left")],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "lr_schedule": [StrOptions({"constant", "cosine", "exponential"})],
    "lr_decay": [Interval(Real, 0, 1, closed="right")],
    "lr_decay_epochs": [Interval(Integral, 1, None, closed="left")],
    "weight_averaging": [Interval(Real, 0, 1, closed="neither"), None],
    "optimizer": [StrOptions({"adam", "adamw", "sgd"}), callable],
    "mixed_precision": ["boolean"],
    "output": [str, None],
    "device": [str, torch.device],
    "distributed": ["boolean"],
    "callbacks": [list, tuple, None],
    "warm_start": ["boolean"],
    "verbose": ["verbose"],
    "random_state": ["random_state"],
}
