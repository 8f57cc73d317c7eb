"""Module for the export of a trained network: from rows to representations."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from .encoder import EncoderNetwork

__all__ = ["Representation"]


class Representation(nn.Module):
    """Trained network as a function of one tensor, for exporters.

    It is a copy of the network on the CPU in evaluation mode, without corruption and without
    draws; batch norms use their running averages. It is a valid input of
    ``torch.export.export``, ``torch.onnx.export`` and ``torch.compile``.

    Parameters
    ----------
    network : EncoderNetwork
        Trained network, such as ``MIGEEncoder().fit(X).module_``.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import (
    ...     DeterministicHead, EncoderNetwork, MLPEncoder, Representation
    ... )
    >>> network = EncoderNetwork(MLPEncoder(4, 2), DeterministicHead(2))
    >>> rows = torch.zeros(5, 4)
    >>> program = torch.export.export(Representation(network), (rows,))
    >>> program.module()(rows).shape
    torch.Size([5, 2])
    """

    def __init__(self, network: EncoderNetwork) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Representation:
        """Stay in evaluation mode for every value of ``mode``."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Return representations (M, K) of the rows x (M, n_features), float32."""
        z: Tensor = self.network(x).z
        return z
