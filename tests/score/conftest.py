"""Expansions of every kind, for models and sums."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sk_mige.score import (
    InverseMultiquadric,
    Kernel,
    Matern,
    Multiscale,
    ScoreSettings,
    fit_dense,
)
from sk_mige.score.fit import ScoreFit
from sk_mige.score.kernels import GAUSSIAN
from sk_mige.score.model import KernelExpansion

KINDS = {
    "sections": {},
    "student": {"base": "student", "heavy": True},
    "no base": {"base": None},
    "unwhitened": {"whiten": False},
    "spherical": {"shrinkage": 1.0},
    "shrunk": {"shrinkage": 0.3},
    "curl-free": {"curl_free": True},
    "curl-free student": {"curl_free": True, "base": "student", "heavy": True},
    "projected": {"projected": True},
    "d > n": {"wide": True},
    "d > n, curl-free": {"wide": True, "curl_free": True},
    "d > n, spherical": {"wide": True, "shrinkage": 1.0},
    "imq": {"kernel": InverseMultiquadric()},
    "matern 3/2": {"kernel": Matern(nu=1.5)},
    "multiscale, projected": {"kernel": Multiscale(), "projected": True},
    "curl-free imq": {"curl_free": True, "kernel": InverseMultiquadric(beta=1.0)},
    "curl-free matern 3/2": {"curl_free": True, "kernel": Matern(nu=1.5)},
    "d > n, curl-free matern": {"wide": True, "curl_free": True, "kernel": Matern()},
}


def gaussian(n: int, d: int, seed: int = 0) -> Tensor:
    """Draw n rows of d independent normal features."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


@pytest.fixture(params=KINDS)
def fitted(request: pytest.FixtureRequest) -> tuple[ScoreFit, Tensor]:
    """Fit each kind of model, and draw five other points."""
    return fit_kind(request.param)


def fit_kind(kind: str) -> tuple[ScoreFit, Tensor]:
    options = dict(KINDS[kind])
    heavy, wide = options.pop("heavy", False), options.pop("wide", False)
    projected = options.pop("projected", False)
    generator = torch.Generator().manual_seed(0)
    d = 40 if wide else 4
    mixing = torch.randn(d, d, generator=generator, dtype=torch.float64)
    x = torch.randn(25, d, generator=generator, dtype=torch.float64)
    if heavy:
        x = x / torch.rand(25, 1, generator=generator, dtype=torch.float64)
    x = x @ mixing + 3.0
    projection = None
    if projected:
        projection = torch.randn(3, d, generator=generator, dtype=torch.float64) / 3**0.5
    options = {"base": "gaussian", "shrinkage": 0.2 if wide else 0.0, "alpha": 1e-3} | options
    fit = fit_dense(x, ScoreSettings(**options), projection=projection)
    return fit, x[:5] + 0.3 * torch.randn(5, d, generator=generator, dtype=torch.float64)


@pytest.fixture
def expand() -> Callable[..., tuple[KernelExpansion, Tensor, Tensor]]:
    """Return an expansion over 12 landmarks and two sets of samples."""
    from sk_mige.score.model import build_expansion

    def make(
        *,
        curl_free: bool = False,
        projected: bool = False,
        base: str | None = "student",
        kernel: Kernel = GAUSSIAN,
    ) -> tuple[KernelExpansion, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(90, 3, generator=generator, dtype=torch.float64)
        x = x @ torch.tensor([[2.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.3, 0.1]]).double() + 5.0
        projection = torch.randn(2, 3, generator=generator).double() if projected else None
        settings = ScoreSettings(base=base, curl_free=curl_free, shrinkage=0.0, kernel=kernel)
        expansion, _ = build_expansion(x, settings, centers=x[:12], projection=projection)
        return expansion, x[:60], x[60:]

    return make
