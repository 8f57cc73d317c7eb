"""The head of a range of weights β: its scales, its sequence of β and its fixed weight."""

from __future__ import annotations

import math

import pytest
import torch

from sk_mige.networks import ConditionedHead, DeterministicHead, GaussianHead, ImplicitHead

H = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))


def test_at_first_no_weight_changes_the_code() -> None:
    inner = GaussianHead(3)
    head = ConditionedHead(inner, 1e-4, 1.0, beta=0.1)
    torch.testing.assert_close(head.eval()(H).z, inner.eval()(H).z)


@pytest.mark.parametrize("n_batches", [7, 100])
def test_weights_of_batches_are_spread_evenly_over_the_range(n_batches: int) -> None:
    head = ConditionedHead(DeterministicHead(6), 1e-4, 1.0)
    logs = torch.stack([head(H).beta.log10() for _ in range(n_batches)])
    even = torch.linspace(-4, 0, n_batches)
    assert float((logs.sort().values - even).abs().max()) < 4 * 2 / n_batches


@pytest.mark.parametrize("beta", [None, 0.01])
def test_in_evaluation_the_geometric_middle_is_the_default(beta: float | None) -> None:
    head = ConditionedHead(GaussianHead(3), 1e-4, 1.0, beta=beta).eval()
    torch.nn.init.normal_(head.modulation[-1].weight, generator=torch.Generator().manual_seed(0))
    assert head(H).beta is None
    assert head._fixed().item() == pytest.approx(0, abs=1e-6)
    noise = torch.zeros(1, 1, 3)
    torch.testing.assert_close(head.draws(H, noise)[0], head(H).z)


def test_a_fixed_weight_is_not_drawn_in_training() -> None:
    head = ConditionedHead(ImplicitHead(3), 1e-4, 1.0, beta=1.0)
    assert head.train()(torch.zeros(2, 67)).beta is None
    assert head._fixed().item() == pytest.approx(1.0)
    assert float(head.position) == 0.5


def test_the_first_weight_is_the_geometric_middle() -> None:
    head = ConditionedHead(GaussianHead(3), 1e-3, 10.0)
    assert float(head(H).beta) == pytest.approx(math.sqrt(1e-3 * 10))
