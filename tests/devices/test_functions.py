"""Functions of tensors have the same values and gradients on every device.

``pytest --device cuda`` runs the tests on a GPU, and ``--device simulated`` on the simulated
device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sk_mige import MutualInfoEstimator, score
from sk_mige import information as info

FITS = {
    "whitening and base": score.ScoreSettings(),
    "published": score.ScoreSettings(eigen_threshold=0.99, alpha=0.0, whiten=False, base=None),
    "curl-free": score.ScoreSettings(curl_free=True, base="gaussian"),
    "shrunk": score.ScoreSettings(shrinkage=0.3, alpha=1e-3),
}
NOISY = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)

# Functions of 200 rows z with three columns and x with four columns. Each function returns a tensor
# or a tuple of tensors.
OF_SAMPLES: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "entropy": lambda z, x: info.entropy_surrogate(z),
    "information": lambda z, x: info.mutual_info_surrogate(x, z),
    "information, projected": lambda z, x: info.mutual_info_surrogate(
        x, z, projection=torch.eye(2, 4).to(x)
    ),
    "information of a hidden layer": lambda z, x: info.hidden_mutual_info_surrogate(x, z),
    "information of two views": lambda z, x: info.multiview_mutual_info_surrogate(
        z.reshape(2, 100, 3)
    ),
    "information of an implicit head": lambda z, x: info.stochastic_mutual_info_surrogate(
        z[:40].reshape(8, 5, 3)
    ),
    "information of a Gaussian head": lambda z, x: info.stochastic_mutual_info_surrogate(
        z, conditional=(z.mean(1, keepdim=True) + z, NOISY.to(z))
    ),
    "information of the batch's mixture": lambda z, x: info.stochastic_mutual_info_surrogate(
        z, conditional=(z + 1, NOISY.to(z)), marginal="mixture"
    ),
    "information within classes": lambda z, x: info.gaussian_mutual_info(
        z, NOISY.to(z), labels=(x[:, 0] > 0).long()
    ),
    "Gaussian information": lambda z, x: info.gaussian_mutual_info(z, NOISY.to(z)),
    "Gaussian information, wide": lambda z, x: info.gaussian_mutual_info(
        5 * z[:40].reshape(3, 40), torch.ones(40).to(z)
    ),
    "independent axes": lambda z, x: info.independent_axes(z.pow(3) @ z[:3]),
    "margins": lambda z, x: info.gaussianize_margins(z),
    "ranks": lambda z, x: info.gaussianize_ranks(z),
    "whitened scores": lambda z, x: info.whitened_scores(z),
    "joint distances": lambda z, x: info.joint_squared_distances(
        score.squared_distances(x), score.squared_distances(z)
    ),
    "Fisher information": lambda z, x: info.relative_fisher_information(z, 20, 2),
    "SSGE": lambda z, x: score.ssge(z),
    "SSGE by Cholesky": lambda z, x: score.ssge(
        z, eigen_threshold=None, alpha=0.1, solver="cholesky"
    ),
    **{
        f"score, {name}": lambda z, x, settings=settings: score.fit_dense(
            z.detach(), settings
        ).model.score(z[:5])
        for name, settings in FITS.items()
    },
    "Stein's estimator": lambda z, x: score.fit_stein(z.detach(), score.ScoreSettings(), 0.1).score(
        z
    ),
    "a score between the samples": lambda z, x: score.fit_dense(
        z.detach(), FITS["shrunk"]
    ).model.score(z[:5] + 1),
    "median bandwidth": lambda z, x: score.median_bandwidth(score.squared_distances(x)),
    "InfoNCE": lambda z, x: info.infonce(z @ x[:, :3].mT).value,
    "JSD": lambda z, x: info.jensen_shannon(z @ x[:, :3].mT).value,
    "NWJ": lambda z, x: info.nwj(z @ x[:, :3].mT).value,
    "SMILE": lambda z, x: info.smile(z @ x[:, :3].mT).value,
    "CLUB": lambda z, x: info.club(z @ x[:, :3].mT).value,
    "Donsker and Varadhan": lambda z, x: info.DonskerVaradhan()(z @ x[:, :3].mT).value,
}


def _leaves(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return []


def _values_and_gradients(function: Callable[..., Any], z: Tensor, x: Tensor) -> list[Tensor]:
    z = z.requires_grad_()
    values = _leaves(function(z, x))
    total = sum((v.sum() for v in values if v.requires_grad), start=0.0 * z.sum())
    (gradient,) = torch.autograd.grad(total, z)
    return [v.detach() for v in values] + [gradient]


@pytest.mark.parametrize("name", OF_SAMPLES)
def test_samples(name: str, generator: torch.Generator, device: torch.device) -> None:
    z = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    x = torch.cat([z + 0.3, z[:, :1].square()], dim=1)
    expected = _values_and_gradients(OF_SAMPLES[name], z.clone(), x)
    found = _values_and_gradients(OF_SAMPLES[name], z.to(device), x.to(device))
    assert len(expected) == len(found) >= 2
    for here, there in zip(expected, found, strict=True):
        assert there.device.type == device.type
        torch.testing.assert_close(there.cpu(), here, rtol=1e-6, atol=1e-9)


@pytest.mark.skipif("config.getoption('device') != 'simulated'", reason="simulated device only")
def test_the_simulated_card_refuses_what_is_elsewhere(device: torch.device) -> None:
    there = torch.ones(3, 3, device=device)
    torch.testing.assert_close((there @ there + torch.tensor(1.0)).cpu(), torch.full((3, 3), 4.0))
    assert there[torch.tensor([0, 2])].device.type == "simulated"
    with pytest.raises(RuntimeError, match="all tensors to be on one device"):
        there @ torch.ones(3, 3)
    with pytest.raises(RuntimeError, match="the generator to be on the device"):
        torch.randn(3, device=device, generator=torch.Generator())


# Functions of two arrays of shape (40, 2), which compute on the CPU.
OF_ARRAYS: dict[str, Callable[[Any, Any], Any]] = {
    "total correlation": lambda x, y: info.total_correlation_gradient(
        [x, y], [None, y], standard_error="batch"
    ),
    "channel": lambda x, y: info.channel_gradient(
        lambda x, t, e: t * x + e, 1.0, x, standard_error="batch"
    ),
    "estimator": lambda x, y: MutualInfoEstimator(["gaussian"], random_state=0).fit(x, y).pmi(x, y),
    "choice": lambda x, y: info.choose_information(x, y, ["gaussian", "mixture"]).value,
    "additive": lambda x, y: info.AdditiveReference().fit(x, y).pointwise(x, y),
    "margins": lambda x, y: info.gaussianize_margins(x),
    "ranks": lambda x, y: info.gaussianize_ranks(y),
    "neighbours": info.ksg_terms,
    "Fisher": lambda x, y: info.relative_fisher_information(y),
    "whitened scores": lambda x, y: info.whitened_scores(y),
    "elliptical": lambda x, y: info.EllipticalReference().fit(x, y).pointwise(x, y),
}


@pytest.mark.filterwarnings("ignore:40 rows do not resolve")
@pytest.mark.parametrize("name", OF_ARRAYS)
def test_functions_of_arrays_ignore_torchs_default_device(
    name: str, generator: torch.Generator
) -> None:
    x, noise = torch.randn(2, 40, 2, generator=generator, dtype=torch.float64)
    expected = OF_ARRAYS[name](x, x + noise)
    with torch.device("meta"):
        found = OF_ARRAYS[name](x, x + noise)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
