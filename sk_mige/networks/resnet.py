"""Residual network for small images, with an optional projector."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu

from sk_mige._sizes import as_image_shape, as_sizes

from .encoders import MLPEncoder


class ResNet18(nn.Sequential):
    """ResNet-18 for small images, with a 3 x 3 first convolution and without max-pooling.

    The first convolution is followed by stages of two residual blocks, by default four stages. Each
    stage except the first halves the height and width of its input. The output of the last stage is
    averaged over all locations.

    Parameters
    ----------
    input_shape : tuple (channels, height, width)
        Shape of an image. The network also accepts images of any other height and width.
    n_outputs : int
        Width of the output.
    projector : sequence of int or int, default=()
        Widths of the hidden layers between the averaged features and the output. Losses of several
        views are often computed from the output of a projector. The averaged features are then used
        as the representation.
    channels : sequence of int or int, default=(64, 128, 256, 512)
        Channels of each stage.

    Notes
    -----
    The submodules are ``conv`` (feature maps), ``fc`` (features averaged over locations) and ``Y``
    (projector and output). ``MIGEEncoder(encoder=ResNet18, output="fc")`` returns the averaged
    features. Pass ``encoder=partial(ResNet18, projector=(2048,))`` for a projector.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import ResNet18
    >>> encoder = ResNet18((3, 32, 32), 10, projector=(64,), channels=(8, 8, 16, 16))
    >>> encoder(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    >>> encoder.conv(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 16, 4, 4])
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        n_outputs: int,
        projector: Sequence[int] | int = (),
        channels: Sequence[int] | int = (64, 128, 256, 512),
    ) -> None:
        sizes = as_sizes("channels", channels)
        if not sizes:
            raise ValueError("channels must hold the channels of at least one stage, got none")
        n_channels, depth = as_image_shape(input_shape)[0], sizes[0]
        stages: list[nn.Module] = [*_convolution(n_channels, depth, 1), nn.ReLU()]
        for stage, size in enumerate(sizes):
            stages += [_Block(depth, size, 1 if stage == 0 else 2), _Block(size, size, 1)]
            depth = size
        super().__init__(
            OrderedDict(
                conv=nn.Sequential(*stages),
                fc=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
                Y=MLPEncoder(depth, n_outputs, as_sizes("projector", projector)),
            )
        )


class _Block(nn.Module):
    """Two 3 x 3 convolutions, whose output is added to the input."""

    def __init__(self, n_inputs: int, n_outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_convolution(n_inputs, n_outputs, stride),
            nn.ReLU(),
            *_convolution(n_outputs, n_outputs, 1),
        )
        same = n_inputs == n_outputs and stride == 1
        projection = _convolution(n_inputs, n_outputs, stride, kernel_size=1)
        self.shortcut = nn.Identity() if same else nn.Sequential(*projection)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the block, with ``n_outputs`` channels."""
        return relu(self.residual(x) + self.shortcut(x))


def _convolution(
    n_inputs: int, n_outputs: int, stride: int, kernel_size: int = 3
) -> list[nn.Module]:
    return [
        nn.Conv2d(n_inputs, n_outputs, kernel_size, stride, kernel_size // 2, bias=False),
        nn.BatchNorm2d(n_outputs),
    ]
