"""Counts of neighbours in one and in several columns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import digamma

from sk_mige.information import NeighbourReference, ksg_terms, local_dimension


def distances(a: torch.Tensor, b: torch.Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = (a[:, None] - b).abs().amax(2).numpy()
    return found


def rows(n: int, p: int, seed: int) -> torch.Tensor:
    return torch.randn(n, p, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_ksg_counts_only_rows_nearer_than_the_kth_neighbour(p: int, shift: float) -> None:
    x, n, k = rows(200, p, 0) + shift, 200, 3
    y = x[:, :1] + 0.1 * rows(200, 1, 1)
    of_x, of_y = distances(x, x), distances(y, y)
    radius = np.sort(np.maximum(of_x, of_y), axis=1)[:, [k]]
    counts = [(own < radius).sum(1) for own in (of_x, of_y)]  # with the row itself
    expected = digamma(k) + digamma(n) - sum(map(digamma, counts))
    np.testing.assert_allclose(ksg_terms(x, y, k), expected)


@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_pointwise_information_counts_the_kth_neighbour(shift: float) -> None:
    x, new_x = rows(200, 1, 0) + shift, rows(50, 1, 2) + shift
    y, new_y = x + 0.1 * rows(200, 1, 1), new_x + 0.1 * rows(50, 1, 3)
    of_x, of_y = distances(new_x, x), distances(new_y, y)
    radius = np.sort(np.maximum(of_x, of_y), axis=1)[:, [4]]
    counts = [(own <= radius).sum(1) for own in (of_x, of_y)]
    expected = np.log(5 * 200 / counts[0] / counts[1])
    np.testing.assert_allclose(NeighbourReference(5).fit(x, y).pointwise(new_x, new_y), expected)


# Differences of these values are rounded to the same number.
ROUNDED = torch.tensor(
    [-1.0, 1.0, 0.0, 1e-17, 1e-18, -1e-20, 1e-300, 2.0**-53, 1.0 - 2.0**-53], dtype=torch.float64
)


@pytest.mark.parametrize(
    "x",
    [
        rows(300, 1, 0).round(decimals=1),
        1e6 + rows(300, 1, 0).round() * 2.0**-33,
        ROUNDED.repeat(30)[:, None],
        torch.cat([ROUNDED, rows(291, 1, 0).round(decimals=1)[:, 0]])[:, None],
    ],
    ids=["tied", "shifted", "rounded", "both"],
)
def test_rows_at_equal_distances_are_counted_together(x: torch.Tensor) -> None:
    distance = distances(x, x)
    found = NeighbourReference(7).fit(x, x).pointwise(x, x)
    radius = np.sort(distance, axis=1)[:, [6]]
    counts = (distance <= radius).sum(1)
    np.testing.assert_allclose(found, np.log(7 * len(x)) - 2 * np.log(counts))


@pytest.mark.parametrize("seed", range(3))
def test_a_column_and_its_copy_have_the_counts_of_a_column(seed: int) -> None:
    x, y = rows(400, 1, seed).round(decimals=2), rows(400, 1, seed + 9).round(decimals=2)
    new_x, new_y = rows(200, 1, seed + 5).round(decimals=2), rows(200, 1, seed + 6)
    alone = NeighbourReference(5).fit(x, y).pointwise(new_x, new_y)
    copies = NeighbourReference(5).fit(x.repeat(1, 2), y).pointwise(new_x.repeat(1, 2), new_y)
    assert torch.equal(alone, copies)
    assert torch.equal(ksg_terms(x, y), ksg_terms(x.repeat(1, 2), y))


def test_counts_of_float32_rows_are_those_of_the_same_rows_in_float64() -> None:
    x, y = (rows(300, 1, seed).round(decimals=1).float() for seed in (0, 1))
    fitted = NeighbourReference(5)
    found = fitted.fit(x, y).pointwise(x, y)
    assert torch.equal(found, fitted.fit(x.double(), y.double()).pointwise(x.double(), y.double()))


def test_samples_with_a_graph_have_the_same_terms() -> None:
    x, y = torch.randn(2, 50, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(ksg_terms(x, y.clone().requires_grad_()), ksg_terms(x, y))


def test_copies_of_rows_do_not_change_the_dimension() -> None:
    z = rows(200, 2, 0)
    assert local_dimension(z.repeat(2, 1)) == local_dimension(z)
    with pytest.raises(ValueError, match="distinct rows"):
        local_dimension(torch.ones(50, 3))
