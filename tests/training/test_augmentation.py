"""Augmentations of images: sizes, seeds, units, and each change separately."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sk_mige import InfoMax, MIGEEncoder
from sk_mige.training import Checkpoint, ImageAugmentation

WHOLE: dict[str, Any] = {"scale": (1.0, 1.0), "flip": 0.0, "jitter": 0.0, "grey": 0.0}
LUMINANCE = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


@pytest.fixture
def images() -> Tensor:
    return torch.rand(32, 3, 20, 20, generator=torch.Generator().manual_seed(0))


def drawn(augmentation: ImageAugmentation, images: Tensor, seed: int = 0) -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return augmentation(images)


def only(**parameters: Any) -> ImageAugmentation:
    return ImageAugmentation(**{**WHOLE, **parameters})


def test_equal_seeds_give_equal_changes_and_the_input_stays(images: Tensor) -> None:
    augmentation, before = ImageAugmentation(blur=0.5), images.clone()
    first = drawn(augmentation, images)
    assert torch.equal(first, drawn(augmentation, images))
    assert not torch.equal(first, drawn(augmentation, images, seed=1))
    assert torch.equal(images, before)


def test_each_image_of_a_batch_changes_differently(images: Tensor) -> None:
    same = images[:1].expand(32, -1, -1, -1)
    changed = drawn(ImageAugmentation(blur=0.5), same)
    assert len(changed.flatten(1).unique(dim=0)) == 32


@pytest.mark.parametrize("shape", [(4, 1, 8, 8), (4, 3, 9, 13), (4, 5, 8, 8)])
def test_any_channels_and_sides_are_accepted(shape: tuple[int, ...]) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    assert ImageAugmentation(blur=1.0)(images).shape == shape
    assert ImageAugmentation(6)(images).shape == (4, shape[1], 6, 6)


@pytest.mark.parametrize("factor", [1e-3, 255.0])
def test_the_unit_of_pixels_does_not_matter(images: Tensor, factor: float) -> None:
    augmentation = ImageAugmentation(blur=0.5)
    found = drawn(augmentation, factor * images) / factor
    torch.testing.assert_close(found, drawn(augmentation, images), rtol=1e-4, atol=1e-5)


def test_no_change_is_the_identity(images: Tensor) -> None:
    torch.testing.assert_close(only()(images), images)


def test_mirror_images_are_exact(images: Tensor) -> None:
    torch.testing.assert_close(only(flip=1.0)(images), images.flip(-1))


def test_crops_have_the_area_and_the_aspect_ratio() -> None:
    """Two ramps: the ranges of a crop are its width and height."""
    ramp = torch.linspace(0, 1, 64).expand(500, 64, 64)
    crops = drawn(only(scale=(0.25, 0.25)), torch.stack([ramp, ramp.mT], dim=1))
    width, height = (crops.amax((2, 3)) - crops.amin((2, 3))).T
    assert ((width * height - 0.25).abs() < 0.02).all()
    assert abs(float((width / height).max()) - 4 / 3) < 0.05
    assert abs(float(crops.mean()) - 0.5) < 0.03


def test_grey_images_have_the_luminance_in_each_channel(images: Tensor) -> None:
    luminance = (images * LUMINANCE).sum(1, keepdim=True).expand_as(images)
    torch.testing.assert_close(only(grey=1.0)(images), luminance)


def test_jitter_changes_four_images_of_five_and_keeps_grey_images_grey(images: Tensor) -> None:
    many = images.repeat(20, 1, 1, 1)
    changed = (drawn(only(jitter=0.4), many) - many).abs().amax((1, 2, 3)) > 1e-4
    assert abs(float(changed.float().mean()) - 0.8) < 0.05
    grey = images.mean(1, keepdim=True).expand_as(images)
    made = drawn(only(jitter=1.0), grey)
    torch.testing.assert_close(made, made.mean(1, keepdim=True).expand_as(made))


def test_blur_lowers_the_variance_and_keeps_constants(images: Tensor) -> None:
    blurred = drawn(only(blur=1.0), images)
    assert (blurred.var((1, 2, 3)) < images.var((1, 2, 3))).all()
    constant = torch.full_like(images, 0.7)
    torch.testing.assert_close(only(blur=1.0)(constant), constant)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 0}, "The 'size' parameter"),
        ({"size": 2.5}, "The 'size' parameter"),
        ({"size": (8, 8)}, "The 'size' parameter"),
        ({"scale": 0.5}, "scale must be a pair .* got 0.5"),
        ({"scale": (0.5,)}, "scale must be a pair"),
        ({"scale": (0.1, 0.2, 0.3)}, "scale must be a pair"),
        ({"scale": ("a", "b")}, "scale must be a pair"),
        ({"scale": (0.0, 1.0)}, "scale must be a pair"),
        ({"scale": (0.5, 0.2)}, "scale must be a pair"),
        ({"scale": (0.5, 2.0)}, "scale must be a pair"),
        ({"flip": -0.1}, "The 'flip' parameter .* range"),
        ({"jitter": None}, "The 'jitter' parameter .* range"),
        ({"grey": float("nan")}, "The 'grey' parameter .* range"),
        ({"blur": "3"}, "The 'blur' parameter .* range"),
    ],
)
def test_parameters_out_of_range_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageAugmentation(**parameters)


def test_integers_are_refused_with_the_remedy(images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"got torch.uint8 .*: convert the pixels"):
        ImageAugmentation()((255 * images).byte())


@pytest.mark.parametrize(
    "wrong", [np.ones((2, 3, 8, 8)), [0.5], torch.ones(0, 3, 8, 8), torch.ones(2, 8, 8, 3)]
)
def test_other_images_than_tensors_with_rows_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="needs a tensor of floating-point images"):
        ImageAugmentation()(wrong)


def changed(images: Tensor) -> Tensor:
    torch.manual_seed(0)
    return ImageAugmentation(blur=0.5)(images)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_images_keep_their_precision(images: Tensor, dtype: torch.dtype) -> None:
    found = changed(images.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), changed(images.to(dtype).float()), atol=4e-3, rtol=0)


def test_autocast_and_the_default_dtype_have_no_effect(images: Tensor) -> None:
    expected = changed(images)
    with torch.autocast("cpu"):
        torch.testing.assert_close(changed(images), expected, atol=0, rtol=0)
    torch.set_default_dtype(torch.float64)
    try:
        torch.testing.assert_close(changed(images), expected, atol=0, rtol=0)
    finally:
        torch.set_default_dtype(torch.float32)


def test_flat_rows_are_refused_with_the_remedy() -> None:
    encoder = MIGEEncoder(2, mode=InfoMax(augmentation=ImageAugmentation(), n_views=2))
    with pytest.raises(ValueError, match=r"set input_shape=\(channels, height, width\)"):
        encoder.fit(np.random.default_rng(0).random((20, 12)))


def small(**parameters: Any) -> MIGEEncoder:
    mode = InfoMax("vicreg", augmentation=ImageAugmentation(**parameters), n_views=4)
    return MIGEEncoder(
        2, mode=mode, hidden_layer_sizes=(8,), input_shape=(3, 8, 8), max_epochs=1, random_state=0
    )


def test_training_with_many_views_is_repeatable_and_pickled(tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((40, 192))
    encoder = small(blur=0.3).fit(X)
    again = pickle.loads(pickle.dumps(copy.deepcopy(encoder)))
    np.testing.assert_array_equal(again.transform(X), small(blur=0.3).fit_transform(X))
    assert again.mode.augmentation == ImageAugmentation(blur=0.3)


def test_a_checkpoint_of_another_augmentation_is_refused(tmp_path: Path) -> None:
    X = np.random.default_rng(0).random((40, 192))
    saving = [Checkpoint(tmp_path / "run.pt")]
    small().set_params(callbacks=saving).fit(X)
    with pytest.raises(ValueError, match=r"mode__augmentation was ImageAugmentation\(.*blur=0.0"):
        small(blur=0.3).set_params(callbacks=saving).fit(X)
