"""Random augmentation of images for objectives with several views."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch
from sklearn.utils._param_validation import Interval, validate_parameter_constraints
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, pad

# Weights of red, green and blue in the luminance of an image (ITU-R BT.601).
LUMINANCE = (0.299, 0.587, 0.114)
# Fraction of the images whose colours change, as in SimCLR.
JITTERED = 0.8

FRACTION = [Interval(Real, 0, 1, closed="both")]
CONSTRAINTS = {
    "size": [Interval(Integral, 1, None, closed="left"), None],
    **dict.fromkeys(("flip", "jitter", "grey", "blur"), FRACTION),
}


@dataclass(frozen=True)
class ImageAugmentation:
    r"""Random crop, flip, colour jitter, greyscale and blur, drawn for each image of a batch.

    An instance maps images of shape (M, channels, height, width) to augmented images. Pass the
    instance as ``augmentation`` to :class:`sk_mige.InfoMax`. The augmentation follows SimCLR.
    All images of a batch are augmented at once, on the device of the batch. The random numbers come
    from torch's CPU generator, which ``fit`` seeds. The same seed therefore gives the same
    augmentation on every device.

    Parameters
    ----------
    size : int, default=None
        Height and width of the output in pixels. None means the size of the input. Encoders with a
        fully connected layer, such as "conv", require the size given by ``input_shape``.
    scale : tuple of two floats, default=(0.2, 1.0)
        Smallest and largest area of a crop, as a fraction of the image's area. The area of a crop
        is drawn uniformly between the two limits. The aspect ratio, in units of the image's aspect
        ratio, is log-uniform between 3/4 and 4/3. For areas above 3/4, the range is narrower, so
        that every crop fits into the image. EMP-SSL uses 20 views with ``scale=(0.25, 0.25)``.
    flip : float, default=0.5
        Probability of a horizontal flip.
    jitter : float, default=0.4
        Strength s of the colour jitter. Each image is jittered with probability 0.8. Brightness,
        contrast and saturation are multiplied by independent factors from 1 - s to 1 + s. The hue
        of images with three channels is rotated by up to s/4 of a turn.
    grey : float, default=0.2
        Probability of a greyscale image, whose channels are all equal to the luminance.
    blur : float, default=0.0
        Probability of a Gaussian blur. The standard deviation is uniform between 0.1 and 2 pixels.
        The width of the kernel is about a tenth of the height of the output, at least 3 pixels.

    Raises
    ------
    ValueError
        If a parameter is out of range, or if the input is not a batch of images.

    Notes
    -----
    The augmentation is linear in the pixel values, so pixel values can have any unit. Values are
    not clipped. For pixel values from 0 to 1, the output can therefore be above 1.

    References
    ----------
    T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A Simple Framework for Contrastive Learning of
    Visual Representations", ICML 2020.

    Examples
    --------
    >>> import torch
    >>> from sk_mige import InfoMax
    >>> from sk_mige.training import ImageAugmentation
    >>> augmentation = ImageAugmentation(size=16, blur=0.5)
    >>> augmentation(torch.rand(8, 3, 32, 32)).shape
    torch.Size([8, 3, 16, 16])
    >>> mode = InfoMax(augmentation=augmentation, n_views=4, corruption=0.0)
    """

    size: int | None = None
    scale: tuple[float, float] = (0.2, 1.0)
    flip: float = 0.5
    jitter: float = 0.4
    grey: float = 0.2
    blur: float = 0.0

    def __post_init__(self) -> None:
        validate_parameter_constraints(CONSTRAINTS, vars(self), type(self).__name__)
        try:
            smallest, largest = map(float, self.scale)
        except (TypeError, ValueError):  # not two numbers
            smallest = largest = math.nan
        if not 0 < smallest <= largest <= 1:
            raise ValueError(
                "scale must be a pair (smallest, largest) of areas in (0, 1], as fractions of the "
                f"image, got {self.scale!r}"
            )

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return augmented copies of images (M, channels, height, width)."""
        _check_images(images)
        draws = torch.rand(13, len(images), dtype=torch.float32, device="cpu")
        with torch.autocast(images.device.type, enabled=False):
            changed = images.float() if images.dtype.itemsize < 4 else images
            draws = draws.to(changed, non_blocking=True)
            changed = self._cropped(changed, draws[:5])
            changed = self._colored(changed, draws[5:11])
            return self._blurred(changed, draws[11:]).to(images.dtype)

    def _cropped(self, images: Tensor, draws: Tensor) -> Tensor:
        size, ratio, left, top, flip = draws
        area = self.scale[0] + (self.scale[1] - self.scale[0]) * size
        widest = (-area.log()).clamp(max=math.log(4 / 3))  # no side is longer than the image's
        aspect = torch.exp(widest * (2 * ratio - 1))
        width, height = (area * aspect).sqrt(), (area / aspect).sqrt()
        maps = images.new_zeros(len(images), 2, 3)
        maps[:, 0, 0], maps[:, 0, 2] = width, (2 * left - 1) * (1 - width)
        maps[:, 1, 1], maps[:, 1, 2] = height, (2 * top - 1) * (1 - height)
        maps[:, 0, 0] *= torch.where(flip < self.flip, -1.0, 1.0)
        shape = list(images.shape) if self.size is None else [*images.shape[:2]] + 2 * [self.size]
        grid = affine_grid(maps, shape, align_corners=False)
        return grid_sample(images, grid, padding_mode="border", align_corners=False)

    def _colored(self, images: Tensor, draws: Tensor) -> Tensor:
        brightness, contrast, saturation, hue, changed, grey = draws[:, :, None, None, None]
        strength = self.jitter * (changed < JITTERED).to(images.dtype)
        images = images * (1 + strength * (2 * brightness - 1))
        mean = images.mean((1, 2, 3), keepdim=True)
        images = mean + (images - mean) * (1 + strength * (2 * contrast - 1))
        plain = (images * _luminance(images)).sum(1, keepdim=True)
        color = (images - plain) * (1 + strength * (2 * saturation - 1)) * (grey >= self.grey)
        return plain + _rotated(color, math.pi / 2 * strength * (2 * hue - 1))

    def _blurred(self, images: Tensor, draws: Tensor) -> Tensor:
        if self.blur == 0:
            return images
        m, c, height, width = images.shape
        radius = min(max(height // 20, 1), height - 1, width - 1)
        deviation = torch.where(draws[0] < self.blur, 0.1 + 1.9 * draws[1], 1e-3)[:, None]
        offsets = torch.arange(-radius, radius + 1, device=images.device)
        kernel = torch.softmax(-0.5 * (offsets / deviation).square(), 1).repeat_interleave(c, 0)
        rows = pad(images, 4 * (radius,), mode="reflect").view(1, m * c, -1, width + 2 * radius)
        rows = conv2d(rows, kernel[:, None, None], groups=m * c)
        return conv2d(rows, kernel[:, None, :, None], groups=m * c).view(images.shape)


def _check_images(images: Any) -> None:
    found = type(images).__name__
    if isinstance(images, Tensor):
        found = f"{images.dtype} and {tuple(images.shape)}"
        channels_last = images.ndim == 4 and images.shape[3] == 3 and images.shape[1] > 4
        if channels_last:
            found += ", which puts the channels last"
        elif images.ndim == 4 and images.is_floating_point() and images.numel():
            return
    raise ValueError(
        "ImageAugmentation needs a tensor of floating-point images of shape (M, channels, height, "
        f"width), got {found}: convert the pixels, and set input_shape=(channels, height, width)"
    )


def _rotated(color: Tensor, angle: Tensor) -> Tensor:
    """Rotate the hue of pixels, given as differences from the luminance."""
    if color.shape[1] != 3:
        return color
    across = (color.roll(1, 1) - color.roll(-1, 1)) / math.sqrt(3)  # cross product with the axis
    axis = color.mean(1, keepdim=True)
    turned = (color - axis) * angle.cos() + across * angle.sin()
    return turned - (turned * _luminance(turned)).sum(1, keepdim=True)


def _luminance(images: Tensor) -> Tensor:
    """Return the weight of each channel in the luminance, shape (channels, 1, 1)."""
    channels = images.shape[1]
    weights = LUMINANCE if channels == 3 else [1 / channels] * channels
    # A non-blocking copy does not wait for a GPU.
    found = torch.tensor(weights, dtype=torch.float64, device="cpu")
    return found.to(images, non_blocking=True)[:, None, None]
