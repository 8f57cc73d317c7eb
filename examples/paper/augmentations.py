"""Augmentations of batches of images, drawn for each image, on the device of the images."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad


def shift_and_mirror(images: Tensor, by: int = 4) -> Tensor:
    """Shift each image by up to ``by`` pixels, and mirror half of the images."""
    m, _, height, width = images.shape
    top, left = torch.randint(2 * by + 1, (2, m))
    rows = top[:, None] + torch.arange(height)
    columns = left[:, None] + torch.arange(width)
    columns = torch.where(torch.rand(m, 1) < 0.5, columns.flip(1), columns)
    padded = pad(images, (by,) * 4, mode="reflect").permute(0, 2, 3, 1)
    which = torch.arange(m)[:, None, None]
    moved = padded[which.to(images.device), rows[:, :, None].to(images.device),
                   columns[:, None, :].to(images.device)]  # fmt: skip
    return moved.permute(0, 3, 1, 2)


def crop_and_color(images: Tensor) -> Tensor:
    """Crop each image, mirror half of the images, and change the colours.

    Crops cover 30 % to 100 % of the area, with aspect ratios from 3/4 to 4/3, and are resized to
    the image's size. In 80 % of the images, brightness, contrast and saturation are multiplied by
    0.6 to 1.4. 20 % of the images are converted to greyscale.
    """
    return colored(cropped(images)).clamp(0, 1)


def cropped(images: Tensor, smallest: float = 0.3) -> Tensor:
    """Crop and resize a random part of each image, and mirror half of the images."""
    m, device = len(images), images.device
    area = smallest + (1 - smallest) * torch.rand(m, device=device)
    aspect = torch.exp(math.log(4 / 3) * (2 * torch.rand(m, device=device) - 1))
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    sign = torch.where(torch.rand(m, device=device) < 0.5, -1.0, 1.0)
    maps = torch.zeros(m, 2, 3, device=device)
    maps[:, 0, 0], maps[:, 1, 1] = width * sign, height
    maps[:, 0, 2] = (2 * torch.rand(m, device=device) - 1) * (1 - width)
    maps[:, 1, 2] = (2 * torch.rand(m, device=device) - 1) * (1 - height)
    grid = affine_grid(maps, list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def colored(images: Tensor, by: float = 0.4, changed: float = 0.8, grey: float = 0.2) -> Tensor:
    """Change brightness, contrast and saturation, and convert some images to greyscale."""

    def drawn() -> Tensor:
        return torch.rand(len(images), 1, 1, 1, device=images.device)

    amount = by * (drawn() < changed)
    images = images * (1 + amount * (2 * drawn() - 1))
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * (1 + amount * (2 * drawn() - 1))
    luminance = images.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    plain = (images * luminance).sum(1, keepdim=True)
    return plain + (images - plain) * (1 + amount * (2 * drawn() - 1)) * (drawn() >= grey)
