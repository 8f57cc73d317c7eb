"""Multi-layer perceptron encoder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["MLPEncoder"]


class MLPEncoder(nn.Sequential):
    r"""Multi-layer perceptron: hidden blocks linear → batch norm → ReLU, then a linear layer.

    .. math:: h_l = \mathrm{ReLU}(\mathrm{BN}(W_l h_{l-1})), \qquad Y = V h_L + b

    Parameters
    ----------
    n_features : int
        Width of the input. Rows of any shape, such as images, are flattened.
    n_outputs : int
        Width of the output.
    hidden_layer_sizes : sequence of int, default=(512, 512)
        Widths of the hidden layers. An empty sequence gives a linear encoder.
    batch_norm : bool, default=True
        Whether to normalise each hidden layer over the batch. The encoder is then invariant to
        the units of its input.
    dropout : float, default=0.0
        Fraction of the units of each hidden layer that is dropped in training.

    Notes
    -----
    The submodules are the blocks ``hidden1``, ``hidden2``, … and the last linear layer ``Y``.

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
            # Batch norm subtracts the mean, so a bias before it would have no effect.
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
        """Return outputs (M, n_outputs) for rows (M, ...) of n_features values each."""
        output: Tensor = super().forward(torch.flatten(x, 1))  # type: ignore[no-untyped-call]
        return output
