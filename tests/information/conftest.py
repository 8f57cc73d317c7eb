"""Samples with exact empirical moments, for which closed forms hold up to rounding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor


def exact_normal(n: int, d: int, generator: torch.Generator) -> Tensor:
    """Samples (n, d) with mean 0 and covariance I exactly, so averages equal expectations."""
    z = torch.randn(n, d, generator=generator, dtype=torch.float64)
    z = z - z.mean(0)
    factor = torch.linalg.cholesky(z.mT @ z / n)
    return torch.linalg.solve_triangular(factor, z.mT, upper=False).mT


def gaussian_score(z: Tensor, *, sq_distances: Tensor | None = None) -> Tensor:
    """Scores of the Gaussian with the sample's moments, exact for linear maps of such samples."""
    centred = z - z.mean(0)
    return -torch.linalg.solve(centred.mT @ centred / len(z), centred.mT).mT


@pytest.fixture
def seeded() -> Callable[[int], torch.Generator]:
    return lambda seed: torch.Generator().manual_seed(seed)
