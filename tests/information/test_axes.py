"""Axes that make coordinates independent."""

from __future__ import annotations

import math

import pytest
import torch

from sk_mige.information import independent_axes


def test_independent_axes_undo_a_rotation(generator):
    z = torch.randn(2000, 3, generator=generator, dtype=torch.float64) ** 3
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    axes = independent_axes(z @ turn)
    product = (turn @ axes).abs()  # a scaled permutation
    product = product / product.max(0).values
    assert (product.sort(0).values[:-1] < 0.1).all()


def test_axes_stay_where_none_are_better(generator):
    z = torch.randn(500, 4, generator=generator, dtype=torch.float64)
    with_a_constant = torch.cat([z**3, torch.ones_like(z[:, :1])], dim=1)
    with_copies = torch.cat([z**3, z**3], dim=1)
    for given in (z, z.exp(), z[:, :1], z[:15], with_a_constant, with_copies):
        assert independent_axes(given) is None


@pytest.mark.parametrize("degrees", [20, 30, 45])
def test_rotations_of_few_cubes_are_undone(degrees, generator):
    z = torch.randn(256, 2, generator=generator, dtype=torch.float64) ** 3
    angle = torch.tensor(math.radians(degrees))
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).reshape(2, 2).double()
    axes = independent_axes(z @ turn)
    product = (turn @ axes).abs()
    product = product / product.max(0).values
    assert (product.sort(0).values[:-1] < 0.2).all()
