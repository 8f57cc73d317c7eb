"""The bottleneck of a linear-Gaussian pair, in closed form (Chechik et al. 2005).

With y = w·x + noise and R² = 1 - λ, minimising H(y | z) + β I(z; x) is minimising
I(z; x) - I(z; y) / β. Below β = R² the optimum keeps one direction, with

    I(z; x) = ½ log((1/β - 1) (1 - λ) / λ),    I(z; y) = I(z; x) - ½ log((1 - λ) / β),

and above R² no direction.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sk_mige import InformationBottleneck, MIGEEncoder
from sk_mige.information import gaussian_mutual_info
from sk_mige.training import BetaWarmup

LAMBDA = 0.1


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 4))
    w = np.array([2.0, -1.0, 0.5, 0.0])
    signal = X @ w / np.std(X @ w)
    return X, math.sqrt(1 - LAMBDA) * signal + math.sqrt(LAMBDA) * rng.normal(size=3000)


def linear(
    beta: float, warmup: int = 15, n_components: int = 1, **parameters: object
) -> MIGEEncoder:
    mode = InformationBottleneck(beta=beta, task="regression", **parameters)
    return MIGEEncoder(
        n_components, mode=mode, hidden_layer_sizes=(), max_epochs=40, lr=2e-2,
        callbacks=[BetaWarmup(warmup)] if warmup else None, device="cpu", random_state=0,
    )  # fmt: skip


def information(encoder: MIGEEncoder, X: np.ndarray) -> tuple[float, float]:
    """I(z; x) and I(z; y) in nats, exact for linear-Gaussian encoders."""
    with torch.no_grad():
        code = encoder.module_(torch.as_tensor(X, dtype=torch.float32))
        unexplained = torch.nn.functional.softplus(encoder.net_.criterion_.likelihood.rho) + 1e-4
    return float(gaussian_mutual_info(*code.conditional)), -0.5 * math.log(float(unexplained))


@pytest.mark.parametrize("beta", [0.02, 0.1, 0.5])
def test_the_trained_encoder_has_the_optimal_information(
    beta: float, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    about_x = 0.5 * math.log((1 / beta - 1) * (1 - LAMBDA) / LAMBDA)
    about_y = about_x - 0.5 * math.log((1 - LAMBDA) / beta)
    found = information(linear(beta).fit(*pair), pair[0])
    assert found == (pytest.approx(about_x, abs=0.06), pytest.approx(about_y, abs=0.06))


def test_further_components_keep_nothing_more(pair: tuple[np.ndarray, np.ndarray]) -> None:
    about_x = 0.5 * math.log(9 * 9)
    assert information(linear(0.1, n_components=3).fit(*pair), pair[0])[0] == pytest.approx(
        about_x, abs=0.1
    )


def test_above_the_explained_variance_no_information_is_kept(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    assert information(linear(1.0, warmup=0).fit(*pair), pair[0]) == (
        pytest.approx(0, abs=0.02), pytest.approx(0, abs=0.02)
    )  # fmt: skip


def test_without_warm_up_a_large_beta_keeps_no_information(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    # A z without information is a stationary point; the optimum has 1.1 nats.
    assert information(linear(0.5, warmup=0).fit(*pair), pair[0])[0] < 0.05


def test_a_limit_is_reached_and_its_beta_is_the_slope_of_the_frontier(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    limit = 1.5
    encoder = linear(1e-2, warmup=0, max_information=limit).set_params(max_epochs=60)
    about_x, about_y = information(encoder.fit(*pair), pair[0])
    assert about_x == pytest.approx(limit, abs=0.1)
    # On the frontier 1/β = 1 + λ/(1 - λ) exp(2 I).
    slope = 1 / (1 + LAMBDA / (1 - LAMBDA) * math.exp(2 * limit))
    assert encoder.beta_ == pytest.approx(slope, rel=0.2)
    assert about_y == pytest.approx(limit - 0.5 * math.log((1 - LAMBDA) / slope), abs=0.06)
