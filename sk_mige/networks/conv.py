"""Convolutional encoder of Deep InfoMax."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

__all__ = ["ConvEncoder"]


class ConvEncoder(nn.Sequential):
    """Convolutional encoder: strided convolutions, one fully connected layer, one linear layer.

    Each convolution has kernel 4, stride 2 and padding 1, so it halves the image. Batch norm and
    ReLU follow each convolution and the fully connected layer.

    Parameters
    ----------
    input_shape : tuple (channels, height, width)
        Shape of an image.
    n_outputs : int
        Width of the output.
    channels : sequence of int, default=None
        Channels of the convolutions. None is (64, 128, 256), followed by 512 until the shorter
        side is below 8 pixels. As in Deep InfoMax, this is (64, 128, 256) for images of 32 x 32
        pixels and (64, 128, 256, 512) for 64 x 64 pixels; also for 96 x 96.
    fc_size : int, default=1024
        Width of the fully connected layer.

    Raises
    ------
    ValueError
        If the image is too small to be halved by every convolution.

    Notes
    -----
    The layers are submodules ``conv`` (feature maps of shape (channels, height, width)), ``fc``
    and ``Y``.

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
        channels: Sequence[int] | None = None,
        fc_size: int = 1024,
    ) -> None:
        depth, height, width = input_shape
        channels = _channels(min(height, width)) if channels is None else channels
        smallest = 2 ** len(channels)
        if min(height, width) < smallest:
            raise ValueError(
                f"input_shape: images of {height} x {width} pixels are too small for "
                f"{len(channels)} convolutions that each halve them; at least {smallest} x "
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
    """Channels 64, 128, 256, then 512 until the shorter side of the feature map is below 8."""
    channels = [64, 128, 256]
    while side // 2 ** len(channels) >= 8:
        channels.append(512)
    return channels
