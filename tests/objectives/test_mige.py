"""MIGE's objectives: signs of gradients and, if known, sizes of gradients."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from sk_mige.information import mutual_info_surrogate
from sk_mige.networks import Code
from sk_mige.objectives import (
    BottleneckLoss,
    ClassLikelihood,
    GaussianLikelihood,
    MIGEInfoMax,
    MIGETerm,
)
from sk_mige.score import ssge

score = partial(ssge, eigen_threshold=0.99)


def test_the_loss_falls_where_information_grows() -> None:
    # z = a x + noise that does not depend on a: more signal is more information.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 1, generator=generator)
    noise = torch.randn(400, 1, generator=generator)
    angle = torch.tensor(0.5, requires_grad=True)
    z = angle.sin() * x + angle.cos() * noise
    MIGEInfoMax(score)(Code(z), x, torch.zeros(400)).backward()
    # I = -log cos a, so the loss falls like -tan a.
    assert float(angle.grad) == pytest.approx(-math.tan(0.5), rel=0.25)


def test_infomax_is_minus_the_surrogate() -> None:
    generator = torch.Generator().manual_seed(0)
    x, z = (torch.randn(50, d, generator=generator) for d in (5, 2))
    z.requires_grad_()
    projection = torch.randn(3, 5, generator=generator)
    loss = MIGEInfoMax(score, x_scale=2.0, projection=projection)(Code(z), x, torch.zeros(50))
    expected = -mutual_info_surrogate(x, z, score=score, x_scale=2.0, projection=projection)
    torch.testing.assert_close(loss, expected)


def test_projection_by_an_orthogonal_matrix_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    x, z = (torch.randn(50, d, generator=generator) for d in (4, 2))
    z.requires_grad_()
    rotation, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator))
    plain = MIGEInfoMax(score)(Code(z), x, torch.zeros(50))
    turned = MIGEInfoMax(score, projection=rotation)(Code(z), x, torch.zeros(50))
    torch.testing.assert_close(plain, turned, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("beta", [0.0, 1e-2, 1.0])
def test_beta_weighs_a_nat_of_information(beta: float) -> None:
    # z = x + s ε with x of variance 1: I = ½ log(1 + 1/s²) for each of 3 components.
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(600, 3, generator=generator)
    scale = torch.tensor(0.7, requires_grad=True)
    eps = torch.randn(600, 3, generator=generator)
    code = Code(mean + scale * eps, (mean, scale.expand(600, 3)), torch.zeros(600, 2))
    objective = BottleneckLoss(ClassLikelihood(), MIGETerm(score), beta)
    labels = torch.zeros(600, dtype=torch.int64)
    loss = objective(code, mean, labels)
    if beta == 0:
        assert float(loss) == pytest.approx(math.log(2), rel=1e-6)
        return
    loss.backward()
    assert float(scale.grad) == pytest.approx(-3 * beta / (0.7 + 0.7**3), rel=0.15)


def test_bottleneck_of_a_deterministic_code_uses_circumstance_one() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=generator)
    z = torch.tanh(x[:, :2]).requires_grad_()
    code = Code(z, prediction=torch.zeros(60, 2))
    labels = torch.zeros(60, dtype=torch.int64)
    loss = BottleneckLoss(ClassLikelihood(), MIGETerm(score), 0.5)(code, x, labels)
    expected = math.log(2) + 0.5 * mutual_info_surrogate(x, z, score=score)
    torch.testing.assert_close(loss, expected)


def test_gaussian_likelihood_learns_the_variance_of_the_residuals() -> None:
    y = 2 * torch.randn(5000, 1, generator=torch.Generator().manual_seed(0))
    likelihood = GaussianLikelihood(1)
    optimizer = torch.optim.LBFGS(likelihood.parameters(), max_iter=50)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = likelihood(torch.zeros_like(y), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    # The minimum of the loss is the entropy of the Gaussian with the second moment of y.
    expected = 0.5 * math.log(2 * math.pi * math.e * float(y.square().mean()))
    assert float(closure().detach()) == pytest.approx(expected, rel=1e-4)


def test_the_likelihood_of_exact_predictions_is_bounded() -> None:
    likelihood = GaussianLikelihood(1)
    with torch.no_grad():
        likelihood.rho.fill_(-1e4)
    assert torch.isfinite(likelihood(torch.ones(3, 1), torch.ones(3, 1)))
