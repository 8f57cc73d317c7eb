"""User-defined functions and modules: encoders, augmentations and losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sk_mige import InfoMax, InformationBottleneck
from sk_mige.networks import Code

from .conftest import small

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
    encoder = small(encoder=given).fit(X)
    assert given.weight.dtype == dtype
    assert encoder.module_.encoder.weight.dtype == torch.float32
    again = small(encoder=given.float()).fit(X)
    np.testing.assert_array_equal(encoder.transform(X), again.transform(X))


def test_an_encoder_that_cannot_learn_is_refused_before_training() -> None:
    frozen = nn.Linear(36, 3).requires_grad_(False)
    for encoder in (frozen, nn.AdaptiveAvgPool1d(3)):
        with pytest.raises(ValueError, match="encoder has no parameter to train.*requires_grad"):
            small(encoder=encoder).fit(X)
    small(encoder=nn.Sequential(frozen, nn.Linear(3, 3))).fit(X)


@pytest.mark.parametrize("mode", ["ib", InfoMax("jsd")], ids=str)
def test_a_frozen_encoder_is_taken_where_something_else_learns(mode: Any) -> None:
    frozen = nn.Linear(36, 6 if mode == "ib" else 3).requires_grad_(False)
    encoder = small(mode, encoder=frozen).fit(X, Y)
    assert torch.equal(encoder.module_.encoder.weight, frozen.weight)


@pytest.mark.parametrize("n_views", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64])
def test_augmented_rows_have_the_encoders_dtype(n_views: int, dtype: torch.dtype) -> None:
    def rounded(batch: torch.Tensor) -> torch.Tensor:
        return batch.round().to(dtype)

    encoder = small(InfoMax(augmentation=rounded, n_views=n_views))
    alike = small(InfoMax(augmentation=torch.round, n_views=n_views))
    np.testing.assert_array_equal(encoder.fit_transform(X), alike.fit_transform(X))


def cropped(batch: torch.Tensor) -> torch.Tensor:
    return batch[:, :, 1:, :4]


def test_crops_are_taken_by_an_encoder_for_any_size() -> None:
    encoder = small(InfoMax(augmentation=cropped), encoder=convolutions(), **IMAGES)
    assert encoder.fit_transform(X).shape == (64, 3)


@pytest.mark.parametrize("n_views", [1, 2])
def test_a_shape_that_the_encoder_does_not_take_is_named(n_views: int) -> None:
    encoder = small(InfoMax(augmentation=cropped, n_views=n_views), batch_size=32, **IMAGES)
    said = r"augmentation changed the shape \(32, 1, 6, 6\) .* to \(32, 1, 5, 4\).*shapes cannot"
    with pytest.raises(ValueError, match=said):
        encoder.fit(X)


def test_views_of_unlike_shapes_are_named() -> None:
    widths = iter([6, 5] * 100)
    mode = InfoMax(augmentation=lambda batch: batch[..., : next(widths)], n_views=2)
    encoder = small(mode, encoder=convolutions(), batch_size=32, **IMAGES)
    with pytest.raises(ValueError, match=r"augmentation changed .* to \(32, 1, 6, 5\)"):
        encoder.fit(X)


def test_other_errors_of_the_encoder_are_left_as_they_are() -> None:
    class Failing(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                raise RuntimeError("as it is")
            return super().forward(x)

    with pytest.raises(RuntimeError, match="^as it is$"):
        small(InfoMax(augmentation=torch.round), encoder=Failing(36, 3)).fit(X)


@pytest.fixture
def blur() -> nn.Module:
    """An augmentation with weights, which is random in training mode."""
    return nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Dropout2d(0.1))


def test_a_module_for_augmentation_is_not_changed(blur: nn.Module) -> None:
    before = {name: part.clone() for name, part in blur.state_dict().items()}
    encoder = small(InfoMax(augmentation=blur), **IMAGES).fit(X)
    encoder.transform(X)
    assert blur.training
    assert all(weight.requires_grad and weight.grad is None for weight in blur.parameters())
    for name, part in encoder.module_.augmentation.state_dict().items():
        assert torch.equal(part, before[name])
        assert torch.equal(blur.state_dict()[name], before[name])
        assert blur.state_dict()[name].data_ptr() != part.data_ptr()


def test_a_module_for_augmentation_has_no_memory_of_an_earlier_fit(blur: nn.Module) -> None:
    first, second = (small(InfoMax(augmentation=blur), **IMAGES).fit_transform(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def spread(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Minus the log-determinant of the covariance of z."""
    return -torch.logdet(torch.eye(3) + code.z.T.cov())


class Regression(nn.Module):
    """The squared error of a linear prediction of y with trained weights."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (self.linear(code.z)[:, 0] - y).square().mean()


def test_an_own_loss_is_minimised() -> None:
    encoder = small(spread, max_epochs=20, lr=1e-2).fit(X)
    losses = [row["train_loss"] for row in encoder.history_]
    assert losses[-1] < losses[0] - 1
    assert encoder.transform(X).shape == (64, 3)
    assert not hasattr(encoder, "predict")


def test_an_own_module_is_copied_and_trained() -> None:
    given = Regression()
    before = given.linear.weight.detach().clone()
    encoder = small(given, max_epochs=20, lr=1e-2).fit(X, X[:, 0])
    assert torch.equal(given.linear.weight, before)
    assert not torch.equal(encoder.net_.criterion_.loss.linear.weight, before)
    assert encoder.history_[-1]["train_loss"] < 0.5 * encoder.history_[0]["train_loss"]


def test_an_own_loss_gets_rows_and_targets_of_the_batch() -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def loss(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append((x, y))
        return code.z.square().mean()

    small(loss, max_epochs=1).fit(X, Y)
    small(loss, max_epochs=1).fit(X, X[:, :2])
    small(loss, max_epochs=1).fit(X)
    for (x, y), dtype in zip(seen, (torch.int64, torch.float32, torch.float32), strict=True):
        assert x.shape == (64, 36)
        assert len(y) == 64
        assert y.dtype == dtype
    order = [int(np.abs(X - row).sum(1).argmin()) for row in seen[0][0].numpy()]
    np.testing.assert_array_equal(seen[0][1], Y[order])
    assert not seen[2][1].any()


@pytest.mark.parametrize("dtype", ["<f2", ">f4", ">f8", "longdouble", "?", ">i2", "u8"])
def test_targets_of_an_own_loss_can_have_any_dtype_of_numbers(dtype: str) -> None:
    def loss(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return code.z.square().mean() + y.float().mean()

    given = np.abs(X[:, :2]).round().astype(dtype)
    ends = [small(loss, max_epochs=1).fit(X, y).history_[-1] for y in (given, given.astype(float))]
    assert ends[0]["train_loss"] == pytest.approx(ends[1]["train_loss"], rel=1e-6)


def test_an_own_information_is_lowered_by_a_bottleneck() -> None:
    def scale(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return code.z.square().mean()

    sizes = []
    for beta in (0.0, 10.0):
        mode = InformationBottleneck(scale, beta=beta)
        Z = small(mode, max_epochs=20, lr=1e-2).fit(X, Y).transform(X)
        sizes.append(np.square(Z).mean())
    assert sizes[1] < 0.5 * sizes[0]
    bounded = InformationBottleneck(scale, beta=1e-3, max_information=50.0)
    assert small(bounded).fit(X, Y).beta_ != 1e-3


def test_an_own_information_of_infomax_is_its_loss() -> None:
    encoder = small(InfoMax(spread, corruption=0.0), max_epochs=20, lr=1e-2).fit(X)
    assert encoder.history_[-1]["train_loss"] < encoder.history_[0]["train_loss"]


@pytest.mark.parametrize(
    ("value", "got"),
    [(1.0, "float"), (torch.ones(2), r"\(2,\)"), (None, "NoneType")],
    ids=["number", "vector", "nothing"],
)
@pytest.mark.parametrize("place", ["mode", "information"])
def test_an_own_loss_of_another_shape_is_refused(place: str, value: Any, got: str) -> None:
    def loss(code: Code, x: torch.Tensor, y: torch.Tensor) -> Any:
        return value

    with pytest.raises(ValueError, match=rf"a floating-point tensor of shape \(\), got {got}"):
        small(loss if place == "mode" else InfoMax(loss)).fit(X)


def test_labels_of_an_own_loss_must_be_numbers() -> None:
    for y in (np.array(["a", "b"] * 32), Y[:-1]):
        with pytest.raises(ValueError, match="y must hold numbers.*LabelEncoder"):
            small(spread).fit(X, y)


def test_errors_do_not_print_all_layers_of_a_module() -> None:
    deep = nn.Sequential(*[nn.Linear(36, 36) for _ in range(20)])
    with pytest.raises(ValueError, match="got encoder=Sequential") as sizes:
        small(encoder=deep, hidden_layer_sizes=8).fit(X)
    with pytest.raises(AttributeError, match="no attribute 'predict' with mode=Seq") as method:
        small(deep).predict(X)
    assert max(len(str(caught.value)) for caught in (sizes, method)) < 300
