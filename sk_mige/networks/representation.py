"""The part of a trained network that other programs run: from rows to representations."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from .encoder import EncoderNetwork

__all__ = ["Representation"]


class Representation(nn.Module):
    """Rows to representations, as a plain function of one tensor, for exporters.

    A copy of the network on the CPU, in evaluation mode and without what training alone needs:
    no corruption, no draws, batch norms with their running averages.
    ``torch.export.export``, ``torch.onnx.export`` and ``torch.compile`` take it as it is.

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
        """Stay in evaluation mode, whatever is asked for."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """Representations (M, K) of the rows x (M, n_features), float32."""
        z: Tensor = self.network(x).z
        return z
