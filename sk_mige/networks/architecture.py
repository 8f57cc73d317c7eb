"""Architecture of an encoder network, without weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sk_mige._sizes import as_image_shape, as_size, as_sizes

from .conditioned import ConditionedHead
from .encoder import EncoderNetwork
from .encoders import ConvEncoder, MLPEncoder
from .heads import DeterministicHead, GaussianHead, Head, ImplicitHead, StandardizingHead

# To add a head, write a subclass of Head and add a line here.
HEADS: dict[str, type[Head]] = {
    "deterministic": DeterministicHead,
    "standardizing": StandardizingHead,
    "gaussian": GaussianHead,
    "implicit": ImplicitHead,
}


@dataclass(frozen=True)
class Architecture:
    """Specification of an encoder network, from which the network can be rebuilt.

    Attributes
    ----------
    n_features, n_components : int
        Number of values in a row and in its representation.
    encoder : {"mlp", "conv"}, torch.nn.Module or callable
        Network that maps rows to the inputs of the head. A callable returns the network. The
        arguments of the callable are ``(n_features, n_outputs)``, or ``(input_shape, n_outputs)``
        if ``input_shape`` is given.
    hidden_layer_sizes : tuple of int
        Widths of the hidden layers of "mlp".
    input_shape : tuple of int or None
        Shape to which a row is reshaped in the network.
    head : str
        Name of the head, a key of ``HEADS``.
    n_draws : int
        Number of draws of z for each row in training.
    n_targets : int
        Width of the decoder's output, or 0 for no decoder.
    corruption, augmentation, n_views : float, callable or None, int
        Corruption, augmentation and number of copies of the inputs, as in :class:`EncoderNetwork`.
    layer : str or None
        Name of the submodule of the encoder whose output is part of the code in training.
    local : bool
        Whether the output of ``layer`` must be a feature map.
    mixed_precision : bool
        Whether the encoder multiplies matrices in bfloat16 in training.
    betas : tuple (low, high) or None
        Range of the weight β, as in :class:`ConditionedHead`.
    beta : float or None
        Fixed weight β within ``betas``.

    Examples
    --------
    >>> from sk_mige.networks import Architecture
    >>> architecture = Architecture(n_features=4, n_components=2, hidden_layer_sizes=(8,))
    >>> architecture.build().encoder.Y.out_features
    2
    """

    n_features: int
    n_components: int
    encoder: Any = "mlp"
    hidden_layer_sizes: tuple[int, ...] = (512, 512)
    input_shape: tuple[int, ...] | None = None
    head: str = "deterministic"
    n_draws: int = 1
    n_targets: int = 0
    corruption: float = 0.0
    augmentation: Any = None
    n_views: int = 1
    layer: str | None = None
    local: bool = False
    mixed_precision: bool = False
    betas: tuple[float, float] | None = None
    beta: float | None = None

    def build(self) -> EncoderNetwork:
        """Return a network with new weights. Only a module ``encoder`` keeps its weights."""
        if self.head not in HEADS:
            raise ValueError(f"head={self.head!r} is unknown; use one of {sorted(HEADS)}")
        head = HEADS[self.head].build(self.n_components, self.n_draws)
        if self.betas is not None:
            if not isinstance(self.betas, list | tuple) or len(self.betas) != 2:
                raise ValueError(f"betas must be a pair (low, high); got {self.betas!r:.80}")
            head = ConditionedHead(head, *self.betas, self.beta)
        encoder = self._encoder(head.n_inputs)
        decoder = None
        if self.n_targets:
            decoder = nn.Linear(self.n_components, as_size("n_targets", self.n_targets))
        network = EncoderNetwork(
            encoder,
            head,
            decoder,
            input_shape=self.input_shape,
            corruption=self.corruption,
            augmentation=self.augmentation,
            n_views=self.n_views,
            feature_layer=self.layer,
            mixed_precision=self.mixed_precision,
        ).float()  # independent of torch's default dtype and of a given module's dtype
        self._check_output(network, head)
        return network

    def at_beta(self, beta: float) -> Architecture:
        """Return a copy with a fixed weight β within the range ``betas``."""
        if self.betas is None or self.beta is not None:
            raise ValueError(
                "at_beta needs an encoder that was trained for a range of weights, got "
                + ("no range" if self.betas is None else f"the single weight {self.beta}")
                + ": fit with mode=InformationBottleneck(beta=(low, high))"
            )
        low, high = self.betas
        if not (isinstance(beta, int | float | np.number) and low <= beta <= high):
            raise ValueError(
                f"beta={beta!r} is outside of the trained range {self.betas}: use a weight within "
                "the range, or fit with a wider range"
            )
        return replace(self, beta=float(beta))

    def on_cpu(self) -> Architecture:
        """Return a copy for storage. A module ``encoder`` is copied to the CPU."""
        if isinstance(self.encoder, nn.Module):
            return replace(self, encoder=copy.deepcopy(self.encoder).cpu())
        return self

    def _encoder(self, n_outputs: int) -> nn.Module:
        shape = self.input_shape
        if shape is not None and prod(as_sizes("input_shape", shape)) != self.n_features:
            raise ValueError(
                f"input_shape={shape} must hold positive integers whose product is "
                f"{self.n_features}, the number of features of X"
            )
        if isinstance(self.encoder, nn.Module):
            return copy.deepcopy(self.encoder)
        if self.encoder == "mlp":
            return MLPEncoder(self.n_features, n_outputs, self.hidden_layer_sizes)
        if self.encoder == "conv":
            return ConvEncoder(as_image_shape(shape), n_outputs)
        size = self.n_features if shape is None else shape
        try:
            made = self.encoder(size, n_outputs)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"encoder, called with ({size}, {n_outputs}), raised {type(error).__name__}: "
                f"{error}. Pass a torch.nn.Module, or a function of (n_features or input_shape, "
                "n_outputs)"
            ) from error
        if not isinstance(made, nn.Module):
            raise TypeError(
                "encoder, called with (n_features or input_shape, n_outputs), must return a "
                f"torch.nn.Module; got {type(made).__name__}"
            )
        return copy.deepcopy(made)  # the function may return the same module in each call

    def _check_output(self, network: EncoderNetwork, head: Head) -> None:
        # The forward pass also gives lazy modules their shapes. In evaluation mode, batch norms
        # do not change.
        network.eval()
        device = next((p.device for p in network.encoder.parameters()), torch.device("cpu"))
        rows = torch.zeros(2, self.n_features, dtype=torch.float32, device=device)
        with torch.no_grad():
            try:
                output = network.encoder(network.shaped(rows))
            except RuntimeError as error:
                shape = tuple(network.shaped(rows).shape)
                raise ValueError(
                    f"encoder must accept two rows of X as a tensor of shape {shape}: {error}"
                ) from error
            if self.layer is not None:
                network.feature_shape = self._layer_shape(network, rows)
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        if got != (2, head.n_inputs):
            meaning = f" ({head.inputs})" if head.inputs else ""
            raise ValueError(
                f"the encoder's output for 2 rows must have shape (2, {head.n_inputs}) for "
                f"n_components={self.n_components}{meaning}; got {got}"
            )

    def _layer_shape(self, network: EncoderNetwork, rows: Tensor) -> tuple[int, ...]:
        """Return the shape of the inner layer's output for one row."""
        assert self.layer is not None
        shape = tuple(network.feature_map(rows, self.layer).shape[1:])
        if self.local and len(shape) < 2:
            raise ValueError(
                "local=True needs a layer whose output has two or more dimensions for each row, "
                f"such as (channels, height, width). The output of layer={self.layer!r} has the "
                f"shape {shape}: name a layer before the flattening"
            )
        return shape
