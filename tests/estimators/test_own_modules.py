"""Modules that users bring: as encoder and as augmentation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sk_mige import MIGEEncoder

SMALL: dict[str, Any] = {
    "n_components": 3,
    "hidden_layer_sizes": (16,),
    "max_epochs": 2,
    "batch_size": 32,
    "device": "cpu",
    "random_state": 0,
}
X = np.random.default_rng(0).normal(size=(64, 36))
Y = np.arange(64) % 2
IMAGES: dict[str, Any] = {"input_shape": (1, 6, 6)}


def convolutions() -> nn.Module:
    """An encoder for images of any size."""
    layers = (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(4, 3))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_an_encoder_of_another_dtype_is_copied_to_float32(dtype: torch.dtype) -> None:
    given = nn.Linear(36, 3, dtype=dtype)
    encoder = MIGEEncoder(encoder=given, **SMALL).fit(X)
    assert given.weight.dtype == dtype
    assert encoder.module_.encoder.weight.dtype == torch.float32
    again = MIGEEncoder(encoder=given.float(), **SMALL).fit(X)
    np.testing.assert_array_equal(encoder.transform(X), again.transform(X))


def test_an_encoder_that_cannot_learn_is_refused_before_training() -> None:
    frozen = nn.Linear(36, 3).requires_grad_(False)
    for encoder in (frozen, nn.AdaptiveAvgPool1d(3)):
        with pytest.raises(ValueError, match="encoder has no parameter to train.*requires_grad"):
            MIGEEncoder(encoder=encoder, **SMALL).fit(X)
    MIGEEncoder(encoder=nn.Sequential(frozen, nn.Linear(3, 3)), **SMALL).fit(X)


@pytest.mark.parametrize("parameters", [{"mode": "ib"}, {"mi_estimator": "jsd"}], ids=str)
def test_a_frozen_encoder_is_taken_where_something_else_learns(parameters: Any) -> None:
    frozen = nn.Linear(36, 6 if "mode" in parameters else 3).requires_grad_(False)
    encoder = MIGEEncoder(encoder=frozen, **parameters, **SMALL).fit(X, Y)
    assert torch.equal(encoder.module_.encoder.weight, frozen.weight)


@pytest.mark.parametrize("n_views", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64])
def test_what_augmentation_returns_is_taken_in_the_encoders_dtype(
    n_views: int, dtype: torch.dtype
) -> None:
    def rounded(batch: torch.Tensor) -> torch.Tensor:
        return batch.round().to(dtype)

    encoder = MIGEEncoder(augmentation=rounded, n_views=n_views, **SMALL)
    alike = MIGEEncoder(augmentation=torch.round, n_views=n_views, **SMALL)
    np.testing.assert_array_equal(encoder.fit_transform(X), alike.fit_transform(X))


def cropped(batch: torch.Tensor) -> torch.Tensor:
    return batch[:, :, 1:, :4]


def test_crops_are_taken_by_an_encoder_for_any_size() -> None:
    encoder = MIGEEncoder(encoder=convolutions(), augmentation=cropped, **IMAGES, **SMALL)
    assert encoder.fit_transform(X).shape == (64, 3)


@pytest.mark.parametrize("n_views", [1, 2])
def test_a_shape_that_the_encoder_does_not_take_is_named(n_views: int) -> None:
    encoder = MIGEEncoder(augmentation=cropped, n_views=n_views, **IMAGES, **SMALL)
    said = r"augmentation made \(32, 1, 5, 4\) of inputs of shape \(32, 1, 6, 6\).*shapes cannot"
    with pytest.raises(ValueError, match=said):
        encoder.fit(X)


def test_views_of_unlike_shapes_are_named() -> None:
    widths = iter([6, 5] * 100)
    encoder = MIGEEncoder(
        encoder=convolutions(),
        augmentation=lambda batch: batch[..., : next(widths)],
        n_views=2,
        **IMAGES,
        **SMALL,
    )
    with pytest.raises(ValueError, match=r"augmentation made \(32, 1, 6, 5\) of inputs of shape"):
        encoder.fit(X)


def test_other_errors_of_the_encoder_are_left_as_they_are() -> None:
    class Failing(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                raise RuntimeError("as it is")
            return super().forward(x)

    with pytest.raises(RuntimeError, match="^as it is$"):
        MIGEEncoder(encoder=Failing(36, 3), augmentation=torch.round, **SMALL).fit(X)


@pytest.fixture
def blur() -> nn.Module:
    """An augmentation that has weights, and that training mode makes random."""
    return nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Dropout2d(0.1))


def test_an_augmentations_module_stays_its_owners(blur: nn.Module) -> None:
    before = {name: part.clone() for name, part in blur.state_dict().items()}
    encoder = MIGEEncoder(augmentation=blur, **IMAGES, **SMALL).fit(X)
    encoder.transform(X)
    assert blur.training
    assert all(weight.requires_grad and weight.grad is None for weight in blur.parameters())
    for name, part in encoder.module_.augmentation.state_dict().items():
        assert torch.equal(part, before[name])
        assert torch.equal(blur.state_dict()[name], before[name])
        assert blur.state_dict()[name].data_ptr() != part.data_ptr()


def test_an_augmentations_module_leaves_no_trace_of_one_fit_in_the_next(blur: nn.Module) -> None:
    first, second = (
        MIGEEncoder(augmentation=blur, **IMAGES, **SMALL).fit_transform(X) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
