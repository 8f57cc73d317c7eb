"""From MIGEEncoder's parameters to torch: the network, the optimizer, the objective."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from torch import nn

from sk_mige.networks import (
    ConvEncoder,
    DeterministicHead,
    EncoderNetwork,
    GaussianHead,
    ImplicitHead,
    MLPEncoder,
    StandardizingHead,
)
from sk_mige.score import ScoreFunction
from sk_mige.training import (
    Bottleneck,
    ClassLikelihood,
    CriticInfoMax,
    CriticInformation,
    GaussianLikelihood,
    InfoMax,
    MIGEInformation,
    Objective,
    PriorMatched,
    VariationalInformation,
)

from ._encoder_features import feature_objective, layer_shape, view_objective
from ._training_score import default_training_score

__all__ = ["Architecture", "build_objective", "expect_something_to_learn"]


@dataclass(frozen=True)
class Architecture:
    """What determines the network's shape: enough to build it again, without its weights."""

    n_features: int
    n_components: int
    mode: str
    encoder: Any
    head: str
    hidden_layer_sizes: tuple[int, ...]
    input_shape: tuple[int, ...] | None
    output_scale: str | None
    corruption: float
    n_targets: int = 0
    dropout: float = 0.0
    n_draws: int = 1
    augmentation: Any = None
    n_views: int = 1
    feature_layer: str | None = None
    local_features: bool = False
    mixed_precision: bool = False

    def build(self) -> EncoderNetwork:
        """A new network with fresh weights (those of a given module are kept)."""
        head = self._head()
        encoder = self._encoder(head.n_inputs)
        decoder = nn.Linear(self.n_components, self.n_targets) if self.n_targets else None
        network = EncoderNetwork(
            encoder,
            head,
            decoder,
            input_shape=self.input_shape,
            corruption=self.corruption if self.mode == "infomax" else 0.0,
            augmentation=self.augmentation,
            n_views=self.n_views,
            feature_layer=self.feature_layer,
            mixed_precision=self.mixed_precision,
        ).float()  # whatever torch's default dtype is, and that of a given module
        self._check_output(network, head.n_inputs)
        return network

    def portable(self) -> Architecture:
        """The same on the CPU, so that it unpickles on machines without a GPU."""
        if isinstance(self.encoder, nn.Module):
            return replace(self, encoder=copy.deepcopy(self.encoder).cpu())
        return self

    def _head(self) -> DeterministicHead | GaussianHead | ImplicitHead:
        if self.mode == "infomax":
            head = DeterministicHead if self.output_scale is None else StandardizingHead
            return head(self.n_components)
        if self.head == "gaussian":
            return GaussianHead(self.n_components, self.n_draws)
        if self.head == "implicit":
            return ImplicitHead(self.n_components, self.n_draws)
        return DeterministicHead(self.n_components)

    def _encoder(self, n_outputs: int) -> nn.Module:
        shape = self.input_shape
        if shape is not None and prod(shape) != self.n_features:
            raise ValueError(
                f"input_shape={shape} holds {prod(shape)} values, but X has {self.n_features} "
                "features; their product must be the number of features"
            )
        if isinstance(self.encoder, nn.Module):
            return copy.deepcopy(self.encoder)
        if isinstance(self.encoder, str) and self.encoder == "mlp":
            sizes = self.hidden_layer_sizes
            return MLPEncoder(self.n_features, n_outputs, sizes, dropout=self.dropout)
        if isinstance(self.encoder, str):
            if shape is None or len(shape) != 3:
                raise ValueError(
                    "encoder='conv' needs input_shape=(channels, height, width), for example "
                    f"input_shape=(1, 28, 28) for 784 features; got input_shape={shape}"
                )
            if shape[2] in (1, 3) and shape[0] > 4:
                raise ValueError(
                    f"input_shape={shape} puts the channels last; torch has them first: transpose "
                    f"the images, and pass input_shape={(shape[2], *shape[:2])}"
                )
            return ConvEncoder((shape[0], shape[1], shape[2]), n_outputs)
        made = self.encoder(self.n_features if shape is None else shape, n_outputs)
        if not isinstance(made, nn.Module):
            raise TypeError(
                "encoder, called with (n_features or input_shape, n_outputs), must return a "
                f"torch.nn.Module; got {type(made).__name__}"
            )
        return copy.deepcopy(made)  # the function may return a module that it keeps

    def _check_output(self, network: EncoderNetwork, n_outputs: int) -> None:
        # Also gives lazy modules their shapes. Evaluation mode leaves batch norms untouched.
        network.eval()
        device = next((p.device for p in network.encoder.parameters()), torch.device("cpu"))
        rows = torch.zeros(2, self.n_features, dtype=torch.float32, device=device)
        with torch.no_grad():
            output = network.encoder(network.shaped(rows))
            if network.feature_layer is not None:
                network.feature_shape = layer_shape(network, rows, local=self.local_features)
        got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        if got != (2, n_outputs):
            raise ValueError(
                f"the encoder's output for 2 rows must have shape (2, {n_outputs}) "
                f"for n_components={self.n_components}" + self._said_of_outputs() + f"; got {got}"
            )

    def _said_of_outputs(self) -> str:
        if self.mode == "ib" and self.head == "gaussian":
            return " (means and scales of a Gaussian head)"
        if self.mode == "ib" and self.head == "implicit":
            return " (means, and thresholds of an implicit head's hidden units)"
        return ""


def make_score(
    score_estimator: Any, n_features: int, seed: int, device: torch.device, mode: str
) -> tuple[ScoreFunction, torch.Tensor | None]:
    """Score function of a batch and the projection of x, drawn once for a fit."""
    if score_estimator is None:
        return default_training_score(device, mode), None
    if not hasattr(score_estimator, "_training_score"):
        raise TypeError(
            "score_estimator must be an SSGEScoreEstimator, a RandomProjectionSSGE or None; got "
            f"{score_estimator!r}"
        )
    score: ScoreFunction = score_estimator._training_score(device, mode)
    if not hasattr(score_estimator, "_training_projection"):
        return score, None
    # A copy: the projection is drawn anew, and must be the same, when training goes on.
    own = copy.deepcopy(score_estimator.random_state)
    projection = score_estimator._training_projection(n_features, seed if own is None else own)
    if projection is None:
        return score, None
    if hasattr(projection, "toarray"):
        projection = projection.toarray()
    return score, torch.as_tensor(np.asarray(projection), dtype=torch.float32)


def build_objective(
    *,
    mode: str,
    task: str | None,
    score_estimator: Any,
    n_features: int,
    n_targets: int,
    x_scale: float,
    beta: float,
    marginal: Any,
    seed: int,
    device: torch.device,
    mi_estimator: str = "mige",
    critic: str | Callable[..., nn.Module] = "separable",
    n_components: int = 1,
    n_views: int = 1,
    prior: str = "uniform",
    prior_weight: float = 0.0,
    closed_form: bool = True,
    max_information: float | None = None,
    class_weights: Any = None,
    label_smoothing: float = 0.0,
    confidence_penalty: float = 0.0,
    feature_shape: tuple[int, ...] | None = None,
    local_features: bool = False,
    mixed_precision: bool = False,
    previous: Any = None,
) -> Objective:
    """The loss of a batch; learned parameters are carried over from the ``previous`` objective."""
    score, projection = make_score(score_estimator, n_features, seed, device, mode)
    if projection is not None:
        projection = projection.to(device)
    learned = None
    by: dict[str, Any] = {
        "mi_estimator": mi_estimator, "critic": critic, "mixed_precision": mixed_precision,
    }  # fmt: skip
    if mi_estimator not in ("mige", "variational") and feature_shape is None and n_views == 1:
        learned = CriticInformation(
            mi_estimator, n_features, n_components, critic, mixed_precision=mixed_precision
        ).to(device)
    if mode == "ib":
        likelihood: Any = GaussianLikelihood(n_targets)
        if task == "classification":
            likelihood = ClassLikelihood(
                None if class_weights is None else torch.as_tensor(class_weights).float(),
                label_smoothing=label_smoothing,
                confidence_penalty=confidence_penalty,
            )
        information: Any
        if mi_estimator == "variational":
            information = VariationalInformation(n_components, learned=marginal == "learned")
        else:
            information = MIGEInformation(
                score,
                marginal=marginal,
                closed_form=closed_form,
                x_scale=x_scale,
                projection=projection,
            )
        objective: Any = Bottleneck(
            likelihood, information, beta, critic=learned, max_information=max_information
        ).to(device)
    else:
        infomax = InfoMax(score, x_scale=x_scale, projection=projection)
        objective = infomax if learned is None else CriticInfoMax(learned)
        if feature_shape is not None:
            objective = feature_objective(
                score, feature_shape, n_components, local=local_features, **by
            )
        elif n_views > 1 and mi_estimator != "mige":
            objective = view_objective(n_components, **by)
        if prior_weight > 0:
            objective = PriorMatched(objective, n_components, prior, prior_weight)
    if isinstance(objective, nn.Module):
        objective = objective.float().to(device)
    result: Objective = objective if previous is None else _continued(objective, previous)
    return result


def _continued(objective: Any, previous: Any) -> Any:
    """The new objective with the learned parts of the previous one, which the optimizer holds."""
    if not isinstance(objective, nn.Module):
        return objective
    parts = dict(previous.named_children()) if isinstance(previous, nn.Module) else {}
    for name, part in objective.named_children():
        if not list(part.parameters()):
            continue
        if shapes(part) != shapes(parts.get(name)):
            raise ValueError(
                "mi_estimator, critic, marginal, prior and prior_weight decide what is learned "
                "beside the encoder; after changing them call fit with warm_start=False"
            )
        setattr(objective, name, parts[name])
    if getattr(objective, "log_price", None) is not None and previous.log_price is not None:
        objective.log_price = previous.log_price  # a dual variable goes on from where it is
    return objective


def expect_something_to_learn(network: EncoderNetwork, objective: Any) -> None:
    """Refuse to train where neither the network nor the objective has a parameter for it."""
    parts = [part for part in (network, objective) if isinstance(part, nn.Module)]
    if not any(weight.requires_grad for part in parts for weight in part.parameters()):
        raise ValueError(
            "encoder has no parameter to train: give a module that has some, with "
            "requires_grad=True (encoder.requires_grad_() thaws a frozen one)"
        )


def shapes(module: nn.Module | None) -> dict[str, torch.Size]:
    """Names and shapes of what a module learns."""
    return {} if module is None else {k: v.shape for k, v in module.named_parameters()}
