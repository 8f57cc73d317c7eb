"""Units of the input: uncorrelated components with explained variances, and full rank."""

from __future__ import annotations

import pytest
import torch

from sk_mige.training import input_alignment


@pytest.fixture
def x() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(400, 6, generator=generator) @ torch.randn(6, 6, generator=generator) + 5


def principal(x: torch.Tensor, k: int) -> torch.Tensor:
    centred = x - x.mean(0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    return u[:, :k] * s[:k]


@pytest.mark.parametrize("seed", range(3))
def test_any_linear_code_of_full_rank_becomes_pca(x: torch.Tensor, seed: int) -> None:
    mixing = torch.randn(6, 6, generator=torch.Generator().manual_seed(seed))
    z = x @ mixing
    aligned = z @ input_alignment(lambda rows: rows @ mixing, x.split(128), floor=0.0)
    aligned = aligned - aligned.mean(0)
    expected = principal(x, 6)
    signs = (aligned * expected).sum(0).sign()
    torch.testing.assert_close(aligned, expected * signs, rtol=1e-2, atol=2e-2)


def test_batches_add_up(x: torch.Tensor) -> None:
    whole = input_alignment(torch.tanh, [x])
    torch.testing.assert_close(whole, input_alignment(torch.tanh, x.split(57)))


def test_components_without_linear_information_are_kept(x: torch.Tensor) -> None:
    def encode(rows: torch.Tensor) -> torch.Tensor:
        centred = rows - 5
        return torch.stack([centred[:, 0], centred[:, 0].square(), centred[:, 1].abs()], dim=1)

    alignment = input_alignment(encode, [x])
    variances = (encode(x) @ alignment).var(0)
    assert torch.linalg.matrix_rank(alignment) == 3
    # The floor is a tenth of the root mean square scale.
    assert float(variances.min() / variances.mean()) == pytest.approx(0.01, rel=0.2)


def test_codes_that_do_not_vary_give_finite_maps(x: torch.Tensor) -> None:
    alignment = input_alignment(lambda rows: torch.cat([rows, rows], dim=1), [x])
    assert torch.isfinite(alignment).all()


@pytest.mark.parametrize("value", [0.0, 6.1, -1e8, torch.nan, torch.inf])
def test_a_constant_code_keeps_its_units(x: torch.Tensor, value: float) -> None:
    def encode(rows: torch.Tensor) -> torch.Tensor:
        return torch.full((len(rows), 3), value)

    assert torch.equal(input_alignment(encode, x.split(57)), torch.eye(3))


def test_a_code_of_small_variance_beside_its_mean_is_aligned(x: torch.Tensor) -> None:
    alignment = input_alignment(lambda rows: 100 + 1e-2 * rows, [x])
    aligned = 1e-2 * x @ alignment
    torch.testing.assert_close(aligned.var(0).sum(), x.var(0).sum(), rtol=0.1, atol=0.0)
