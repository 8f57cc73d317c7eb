"""Full precision inside regions of mixed precision."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from sk_mige.information import (
    entropy_surrogate,
    gaussian_mutual_info,
    hidden_mutual_info_surrogate,
    multiview_mutual_info_surrogate,
    mutual_info_surrogate,
    stochastic_mutual_info_surrogate,
)
from sk_mige.score import squared_distances, ssge

SURROGATES = {
    "entropy": entropy_surrogate,
    "information": lambda z: mutual_info_surrogate(z.repeat(1, 3), z),
    "hidden layer": lambda z: hidden_mutual_info_surrogate(z[:, :2], z),
    "views": lambda z: multiview_mutual_info_surrogate(z.reshape(2, 32, 4)),
    "Gaussian head": lambda z: stochastic_mutual_info_surrogate(z, conditional=(z, z.exp())),
    "Gaussian information": lambda z: gaussian_mutual_info(z, z.exp()),
}


def gradient(name: str, z: torch.Tensor) -> torch.Tensor:
    z = z.clone().requires_grad_()
    (found,) = torch.autograd.grad(SURROGATES[name](z), z)
    return found


@pytest.fixture
def z(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(64, 4, generator=generator)


@pytest.mark.parametrize("name", SURROGATES)
def test_surrogates_within_autocast_have_the_gradients_of_those_outside(
    name: str, z: torch.Tensor
) -> None:
    expected = gradient(name, z)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradient(name, z)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", SURROGATES)
def test_codes_in_half_precision_lose_only_their_own_digits(name: str, z: torch.Tensor) -> None:
    rounded = z.bfloat16()
    found = gradient(name, rounded)
    assert found.dtype == torch.bfloat16
    expected = gradient(name, rounded.float())
    torch.testing.assert_close(found.float(), expected, rtol=1e-2, atol=1e-3 * float(z.norm()))


def test_distances_of_half_precision_are_float32(z: torch.Tensor) -> None:
    rounded = z.bfloat16()
    torch.testing.assert_close(squared_distances(rounded), squared_distances(rounded.float()))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(squared_distances(z, z[:5]).diagonal(), torch.zeros(5))
        inside = ssge(z)
    assert torch.equal(inside, ssge(z))


@pytest.mark.parametrize("alpha", [1e-3, 1e-5])
def test_scores_in_half_precision_lose_only_their_own_digits(alpha: float, z: torch.Tensor) -> None:
    score = partial(ssge, alpha=alpha, solver="cholesky", kernel="imq")
    rounded = z.bfloat16()
    torch.testing.assert_close(score(rounded), score(rounded.float()).bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        inside = score(z)
    assert torch.equal(inside, score(z))
