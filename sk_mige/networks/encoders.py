"""Multilayer perceptron, and the convolutional encoder of Deep InfoMax."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sk_mige._sizes import as_image_shape, as_number, as_size, as_sizes


class MLPEncoder(nn.Sequential):
    r"""Multilayer perceptron with batch normalisation and ReLU in each hidden layer.

    .. math:: h_l = \mathrm{ReLU}(\mathrm{BN}(W_l h_{l-1})), \qquad Y = V h_L + b

    Parameters
    ----------
    n_features : int
        Width of the input. Rows of any shape, such as images, are flattened.
    n_outputs : int
        Width of the output.
    hidden_layer_sizes : sequence of int or int, default=(512, 512)
        Widths of the hidden layers. An empty sequence gives a linear encoder.
    batch_norm : bool, default=True
        Whether to normalise each hidden layer over the batch. With hidden layers, batch
        normalisation makes the training independent of the scale of the inputs.
    dropout : float, default=0.0
        Probability with which dropout sets each hidden unit to 0 in training.

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
        hidden_layer_sizes: Sequence[int] | int = (512, 512),
        *,
        batch_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width, n_outputs = as_size("n_features", n_features), as_size("n_outputs", n_outputs)
        dropout = as_number("dropout", dropout, 0, 1, "both")
        for index, size in enumerate(as_sizes("hidden_layer_sizes", hidden_layer_sizes), start=1):
            # Batch normalisation subtracts the mean, so a bias of the linear layer has no effect.
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
        return super().forward(torch.flatten(x, 1))  # type: ignore[no-untyped-call]


class ConvEncoder(nn.Sequential):
    """Encoder of strided convolutions, a fully connected layer and a linear layer.

    Each convolution has kernel size 4, stride 2 and padding 1, and halves height and width. Batch
    normalisation and ReLU follow each convolution and the fully connected layer.

    Parameters
    ----------
    input_shape : tuple (channels, height, width)
        Shape of an image.
    n_outputs : int
        Width of the output.
    channels : sequence of int or int, default=None
        Channels of the convolutions. None means (64, 128, 256), followed by layers of 512 channels
        until the shorter side of the feature map is below 8 pixels. As in Deep InfoMax, the
        channels are (64, 128, 256) for images of 32 x 32 pixels. For images of 64 x 64 and 96 x 96
        pixels, the channels are (64, 128, 256, 512).
    fc_size : int, default=1024
        Width of the fully connected layer.

    Raises
    ------
    ValueError
        If the image is too small to be halved by every convolution.

    Notes
    -----
    The submodules are ``conv`` (feature maps of shape (channels, height, width)), ``fc`` and ``Y``.

    References
    ----------
    R. D. Hjelm et al., "Learning deep representations by mutual information estimation and
    maximization", ICLR 2019.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import ConvEncoder
    >>> encoder = ConvEncoder((1, 16, 16), 10, channels=(8, 16), fc_size=32)
    >>> encoder(torch.zeros(5, 1, 16, 16)).shape
    torch.Size([5, 10])
    >>> encoder.conv(torch.zeros(5, 1, 16, 16)).shape
    torch.Size([5, 16, 4, 4])
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        n_outputs: int,
        channels: Sequence[int] | int | None = None,
        fc_size: int = 1024,
    ) -> None:
        depth, height, width = as_image_shape(input_shape)
        if width in (1, 3) and depth > 4:
            raise ValueError(
                f"input_shape={input_shape} puts the channels last, but torch needs channels "
                f"first: transpose the images, and pass input_shape={(width, depth, height)}"
            )
        n_outputs, fc_size = as_size("n_outputs", n_outputs), as_size("fc_size", fc_size)
        usual = _channels(min(height, width))
        channels = usual if channels is None else as_sizes("channels", channels)
        smallest = 2 ** len(channels)
        if min(height, width) < smallest:
            raise ValueError(
                f"input_shape: images of {height} x {width} pixels are too small for "
                f"{len(channels)} convolutions that each halve the image. At least {smallest} x "
                f"{smallest} pixels are needed. Use fewer channels, or encoder='mlp'"
            )
        convolutions: list[nn.Module] = []
        for size in channels:
            convolutions += [
                nn.Conv2d(depth, size, kernel_size=4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(size),
                nn.ReLU(),
            ]
            depth, height, width = size, height // 2, width // 2
        super().__init__(
            OrderedDict(
                conv=nn.Sequential(*convolutions),
                fc=nn.Sequential(
                    nn.Flatten(),
                    nn.Linear(depth * height * width, fc_size, bias=False),
                    nn.BatchNorm1d(fc_size),
                    nn.ReLU(),
                ),
                Y=nn.Linear(fc_size, n_outputs),
            )
        )


def _channels(side: int) -> list[int]:
    """Return 64, 128, 256, then 512 until the shorter side of the feature map is below 8."""
    channels = [64, 128, 256]
    while side // 2 ** len(channels) >= 8:
        channels.append(512)
    return channels
