"""Encoders: shapes, names of their layers, what each layer computes."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sk_mige import InfoMax, MIGEEncoder
from sk_mige.networks import (
    ConvEncoder,
    DeterministicHead,
    EncoderNetwork,
    MLPEncoder,
    ResNet18,
)


def test_perceptron_without_hidden_layers_is_linear() -> None:
    encoder = MLPEncoder(3, 2, ())
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(encoder(x), x @ encoder.Y.weight.T + encoder.Y.bias)


def test_perceptron_with_batch_norm_ignores_the_units_of_its_input() -> None:
    encoder = MLPEncoder(3, 2, (8,)).train()
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(encoder(1000 * x + 5), encoder(x), rtol=1e-2, atol=1e-3)


def test_perceptron_flattens_rows_of_any_shape() -> None:
    encoder = MLPEncoder(12, 2, (8,)).eval()
    x = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(encoder(x.reshape(5, 3, 2, 2)), encoder(x))


def test_perceptron_without_batch_norm_has_none() -> None:
    encoder = MLPEncoder(3, 2, (8, 4), batch_norm=False)
    assert not [m for m in encoder.modules() if isinstance(m, nn.BatchNorm1d)]
    assert encoder(torch.zeros(1, 3)).shape == (1, 2)


@pytest.mark.parametrize(
    ("shape", "maps"),
    [
        ((1, 28, 28), (256, 3, 3)),
        ((3, 32, 32), (256, 4, 4)),
        ((3, 64, 64), (512, 4, 4)),
        ((3, 96, 96), (512, 6, 6)),
    ],
)
def test_convolutions_halve_the_image_until_few_pixels_are_left(
    shape: tuple[int, int, int], maps: tuple[int, int, int]
) -> None:
    encoder = ConvEncoder(shape, 64, fc_size=32)
    x = torch.zeros(2, *shape)
    assert encoder.conv(x).shape == (2, *maps)
    assert encoder.fc(encoder.conv(x)).shape == (2, 32)
    assert encoder(x).shape == (2, 64)


def test_an_image_that_is_too_small_is_named_with_the_smallest_size() -> None:
    with pytest.raises(ValueError, match=r"7 x 28 pixels are too small.*At least 8 x 8"):
        ConvEncoder((1, 7, 28), 64)


def test_layers_are_read_by_name_and_compose_to_the_output() -> None:
    torch_generator = torch.Generator().manual_seed(0)
    network = EncoderNetwork(
        ConvEncoder((1, 8, 8), 3, channels=(4,), fc_size=16),
        DeterministicHead(3),
        input_shape=(1, 8, 8),
    ).eval()
    x = torch.randn(5, 64, generator=torch_generator)
    assert network.layer(x, "conv").shape == (5, 4 * 4 * 4)
    fc = network.layer(x, "fc")
    torch.testing.assert_close(network.encoder.Y(fc), network(x).z)
    torch.testing.assert_close(network.layer(x, "Y"), network(x).z)


def test_reading_a_layer_leaves_no_hook_behind() -> None:
    network = EncoderNetwork(MLPEncoder(4, 2, (8,)), DeterministicHead(2)).eval()
    network.layer(torch.zeros(2, 4), "hidden1")
    assert not network.encoder.hidden1._forward_hooks
    with pytest.raises(ValueError, match="no_such_layer"):
        network.layer(torch.zeros(2, 4), "no_such_layer")


@pytest.mark.parametrize(
    ("submodules", "got"),
    [((nn.LSTM(4, 4), nn.Linear(4, 2)), "tuple"), ((nn.Linear(4, 2), nn.Linear(4, 2)), "no value")],
)
def test_a_layer_without_a_tensor_is_refused(submodules: tuple[nn.Module, ...], got: str) -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = submodules

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.second(self.first(x)[0] if got == "tuple" else x)
            return made

    network = EncoderNetwork(Encoder(), DeterministicHead(2)).eval()
    message = f"gets {got} from the submodule 'first'.*use another of .*'second'"
    with pytest.raises(ValueError, match=message):
        network.layer(torch.zeros(3, 4), "first")


def test_a_layer_can_return_a_subclass_of_tensors() -> None:
    class Named(torch.Tensor):
        pass

    class Naming(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.as_subclass(Named)

    network = EncoderNetwork(nn.Sequential(Naming(), nn.Linear(4, 2)), DeterministicHead(2))
    assert torch.equal(network.layer(torch.ones(3, 4), "0"), torch.ones(3, 4))


class Compiled(nn.Module):
    """The wrapper that torch.compile makes: no hook of a submodule is called."""

    def __init__(self, module: nn.Sequential) -> None:
        super().__init__()
        self._orig_mod = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self._orig_mod:
            x = layer.forward(x)
        return x


@pytest.mark.parametrize("parameters", [{"mode": InfoMax("jsd", layer="1")}, {"output": "1"}])
def test_layers_of_a_compiled_encoder_have_the_names_of_the_module(parameters: Any) -> None:
    X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)).numpy()
    module = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    plain, compiled = (
        MIGEEncoder(2, encoder=encoder, max_epochs=1, random_state=0, **parameters)
        for encoder in (module, Compiled(module))
    )
    np.testing.assert_allclose(compiled.fit_transform(X), plain.fit_transform(X), rtol=1e-5)
    with pytest.raises(ValueError, match=r"output='no_layer' .* use one of \['0', '1', '2'\]"):
        compiled.set_params(output="no_layer").fit(X)


def test_layers_of_a_perceptron_on_images_have_their_own_names() -> None:
    X = torch.randn(30, 12, generator=torch.Generator().manual_seed(0)).numpy()
    encoder = MIGEEncoder(
        2, hidden_layer_sizes=(8,), input_shape=(1, 3, 4), output="hidden1", max_epochs=1
    )
    assert encoder.fit_transform(X).shape == (30, 8)


SMALL = (4, 4, 8, 8)


@pytest.mark.parametrize(("side", "maps"), [(32, 4), (16, 2), (96, 12), (5, 1)])
def test_resnet_halves_images_of_any_size_three_times(side: int, maps: int) -> None:
    encoder = ResNet18((3, 32, 32), 5, channels=SMALL)
    x = torch.zeros(2, 3, side, side)
    assert encoder.conv(x).shape == (2, 8, maps, maps)
    assert encoder.fc(encoder.conv(x)).shape == (2, 8)
    assert encoder(x).shape == (2, 5)


def test_resnet_has_the_published_number_of_convolutions_and_weights() -> None:
    """He et al.: 17 convolutions and 3 of shortcuts; 11.2 million weights at 32 x 32 pixels."""
    modules = list(ResNet18((3, 32, 32), 10).modules())
    assert sum(isinstance(module, nn.Conv2d) for module in modules) == 20
    assert sum(p.numel() for p in modules[0].parameters()) == 11_173_962


def test_a_projector_of_resnet_follows_the_averaged_features() -> None:
    encoder = MIGEEncoder(
        3, encoder=partial(ResNet18, projector=(16,), channels=SMALL), input_shape=(3, 8, 8),
        max_epochs=1, output="fc", random_state=0,
    )  # fmt: skip
    X = np.random.default_rng(0).random((40, 192))
    assert encoder.fit(X).transform(X).shape == (40, 8)
    again = pickle.loads(pickle.dumps(encoder)).set_params(output=None)
    assert again.transform(X).shape == (40, 3)
