"""Arguments of networks: errors name the argument, and no shape is broadcast in silence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from sk_mige.networks import (
    Architecture,
    ConditionedHead,
    ConvEncoder,
    DeterministicHead,
    EncoderNetwork,
    GaussianHead,
    ImplicitHead,
    MLPEncoder,
    ResNet18,
    ScoreNetwork,
    StandardizingHead,
    evaluate,
)

IMAGE = (1, 16, 16)
HEADS: list[Any] = [DeterministicHead, StandardizingHead, GaussianHead, ImplicitHead]
network: Any = partial(EncoderNetwork, MLPEncoder(4, 2, 8), DeterministicHead(2))

SIZES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "perceptron": ("hidden_layer_sizes", lambda sizes: MLPEncoder(4, 2, sizes)),
    "score network": ("hidden_layer_sizes", lambda sizes: ScoreNetwork(4, sizes)),
    "convolutions": ("channels", lambda sizes: ConvEncoder(IMAGE, 2, sizes)),
    "ResNet": ("channels", lambda sizes: ResNet18(IMAGE, 2, channels=sizes)),
    "projector": ("projector", lambda sizes: ResNet18(IMAGE, 2, sizes, channels=4)),
    "architecture": (
        "hidden_layer_sizes",
        lambda sizes: Architecture(4, 2, hidden_layer_sizes=sizes).build(),
    ),
}
every_network = pytest.mark.parametrize(("name", "make"), SIZES.values(), ids=SIZES)


@every_network
def test_one_width_is_a_sequence_of_one_width(name: str, make: Callable[[Any], Any]) -> None:
    for size in (8, np.int64(8), np.array([8]), [8]):
        assert str(make(size)) == str(make((8,)))


@every_network
@pytest.mark.parametrize("sizes", [0, -1, 2.5, "ab", (8.0,), (8, None), [True], {"a": 8}], ids=str)
def test_widths_that_are_no_positive_integers_are_named(
    name: str, make: Callable[[Any], Any], sizes: Any
) -> None:
    with pytest.raises(ValueError, match=f"^{name} must hold positive integers, got"):
        make(sizes)


SIZE: dict[str, list[Callable[[Any], Any]]] = {
    "n_features": [lambda n: MLPEncoder(n, 2), ScoreNetwork, lambda n: Architecture(n, 2).build()],
    "n_outputs": [partial(MLPEncoder, 4), partial(ConvEncoder, IMAGE), partial(ResNet18, IMAGE)],
    "n_components": [*HEADS, lambda n: Architecture(4, n).build()],
    "n_draws": [partial(GaussianHead, 2), partial(ImplicitHead, 2)],
    "n_hidden": [partial(ImplicitHead, 2, 1)],
    "fc_size": [lambda n: ConvEncoder(IMAGE, 2, fc_size=n)],
    "n_directions": [partial(ScoreNetwork, 4, 8)],
    "n_views": [lambda n: network(n_views=n)],
}


@pytest.mark.parametrize("size", [0, -1, 2.5, None, "a", True, (3,)], ids=str)
@pytest.mark.parametrize("name", SIZE)
def test_a_size_that_is_no_positive_integer_is_named(name: str, size: Any) -> None:
    for make in SIZE[name]:
        with pytest.raises(ValueError, match=f"^{name} must be a positive integer, got"):
            make(size)


@pytest.mark.parametrize("encoder", [ConvEncoder, ResNet18])
@pytest.mark.parametrize("shape", [None, 16, (16, 16), (1, 16, 16, 1), (1.0, 16, 16), "abc", ()])
def test_a_shape_that_is_no_image_is_named(encoder: Any, shape: Any) -> None:
    with pytest.raises(ValueError, match="input_shape"):
        encoder(shape, 2)


@pytest.mark.parametrize("share", [-0.1, 1.5, None, "a", np.nan], ids=str)
def test_a_share_beyond_0_and_1_is_named(share: Any) -> None:
    with pytest.raises(ValueError, match="^dropout must be a number in .0, 1.; got"):
        MLPEncoder(4, 2, dropout=share)
    with pytest.raises(ValueError, match="^corruption must be a number in .0, 1.; got"):
        network(corruption=share)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("more", [-1, 1])
def test_an_encoder_of_another_width_is_refused_by_the_head(head: Any, more: int) -> None:
    made = head(2)
    with pytest.raises(ValueError, match=f"{head.__name__} with n_components=2 needs .* width"):
        EncoderNetwork(MLPEncoder(4, made.n_inputs + more, 8), made)(torch.zeros(3, 4))
    conditioned = ConditionedHead(made, 0.1, 1.0)
    with pytest.raises(ValueError, match="needs encoder outputs of width"):
        conditioned(torch.zeros(3, made.n_inputs + more))


@pytest.mark.parametrize(
    "limits", [(1, 0.1), (0.1, 0.1), (0, 1), ("a", 1), (0.1, np.inf), (0.1, 1, 5), (0.1, None)]
)
def test_a_range_of_weights_that_is_no_range_is_named(limits: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="0 < low < high"):
        ConditionedHead(GaussianHead(2), *limits)


WRONG_PARTS: list[tuple[Callable[[], Any], str]] = [
    (lambda: EncoderNetwork("mlp", DeterministicHead(2)), "encoder must be"),  # type: ignore[arg-type]
    (lambda: EncoderNetwork(MLPEncoder(4, 2), GaussianHead), "head must be"),  # type: ignore[arg-type]
    (lambda: network(decoder=3), "decoder must be"),
    (lambda: network(augmentation="flip"), "augmentation must be"),
    (lambda: network(input_shape=2.0), "input_shape must hold"),
    (lambda: network().layer(torch.zeros(3, 4), "none"), "layer='none' is not a submodule"),
    (lambda: network(feature_layer="none")(torch.zeros(3, 4)), "layer='none' is not a submodule"),
    (lambda: network().predictions(torch.zeros(3, 4)), "predictions need a decoder"),
    (lambda: ConditionedHead("gaussian", 0.1, 1.0), "head must be"),  # type: ignore[arg-type]
    (lambda: Architecture(4, 2, head="none").build(), "head='none' is unknown"),
    (lambda: Architecture(4, 2, n_targets=-1).build(), "n_targets must be"),
    (lambda: Architecture(4, 2, input_shape=(3,)).build(), r"input_shape=\(3,\) must hold"),
    (lambda: evaluate(network(), lambda x: x, [[0.0]]), "rows must be"),
    (lambda: evaluate(network(), lambda x: x, torch.zeros(0, 4)), "rows must be"),
    (lambda: evaluate(network(), network(), np.zeros((3, 4))), "function must return a tensor"),
    (lambda: evaluate("network", lambda x: x, np.zeros((3, 4))), "network must be"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "message"), WRONG_PARTS, ids=[part[1] for part in WRONG_PARTS])
def test_a_part_of_another_kind_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize("betas", [3, "ab", (1.0,), 0.5])
def test_weights_that_are_no_pair_are_named(betas: Any) -> None:
    with pytest.raises(ValueError, match="betas"):
        Architecture(n_features=3, n_components=2, head="gaussian", betas=betas).build()
