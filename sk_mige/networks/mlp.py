"""Multi-layer perceptron encoder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["MLPEncoder"]


class MLPEncoder(nn.Sequential):
    r"""Perceptron: hidden blocks linear → batch norm → ReLU, then a linear layer.

    .. math:: h_l = \mathrm{ReLU}(\mathrm{BN}(W_l h_{l-1})), \qquad Y = V h_L + b

    Parameters
    ----------
    n_features : int
        Width of the input, of which rows of any shape, such as images, are flattened.
    n_outputs : int
        Width of the output.
    hidden_layer_sizes : sequence of int, default=(512, 512)
        Widths of the hidden layers; an empty sequence leaves a linear encoder.
    batch_norm : bool, default=True
        Normalise each hidden layer over the batch. It makes the encoder indifferent to the units
        of its input.
    dropout : float, default=0.0
        In training, the fraction of each hidden layer's units that is left out.

    Notes
    -----
    The blocks are submodules ``hidden1``, ``hidden2``, …, and ``Y``, the last linear layer.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import MLPEncoder
    >>> encoder = MLPEncoder(64, 10, hidden_layer_sizes=(32,))
    >>> list(dict(encoder.named_children()))
    ['hidden1', 'Y']
    >>> encoder(torch.zeros(5, 64)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        hidden_layer_sizes: Sequence[int] = (512, 512),
        *,
        batch_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = n_features
        for index, size in enumerate(hidden_layer_sizes, start=1):
            # Batch norm subtracts the mean, so a bias before it would never be felt.
            block: list[nn.Module] = [nn.Linear(width, size, bias=not batch_norm)]
            if batch_norm:
                block.append(nn.BatchNorm1d(size))
            block.append(nn.ReLU())
            if dropout > 0:
                block.append(nn.Dropout(dropout))
            layers[f"hidden{index}"] = nn.Sequential(*block)
            width = size
        layers["Y"] = nn.Linear(width, n_outputs)
        super().__init__(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (M, n_outputs) of rows (M, ...) that hold n_features values each."""
        output: Tensor = super().forward(torch.flatten(x, 1))  # type: ignore[no-untyped-call]
        return output
