"""Samples of one density are one group, and gaps separate groups."""

from __future__ import annotations

import pytest
import torch

from sk_mige.score.groups import nearest_group, separate_groups


def gaussian(n=200, d=2):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("d", [2, 20, 100])
def test_samples_of_a_gaussian_are_one_group(d):
    assert len(separate_groups(gaussian(d=d))[1].unique()) == 1


@pytest.mark.parametrize("copies", [1, 10])
def test_a_gap_separates_groups_of_samples_and_copies(copies):
    shift = torch.tensor([10.0, 0.0])
    x = torch.cat([gaussian(50), gaussian(100) + shift]).repeat_interleave(copies, dim=0)
    group = nearest_group(x)
    groups = [group(points).unique() for points in (gaussian(), gaussian() + shift)]
    assert len(groups[0]) == len(groups[1]) == 1
    assert groups[0] != groups[1]


def test_few_samples_in_a_gap_do_not_connect_groups():
    gap = torch.tensor([[5.0, 0.0], [5.0, 0.2]])
    x = torch.cat([gaussian(60), gap, gaussian(60) + torch.tensor([10.0, 0.0])])
    assert len(separate_groups(x)[1].unique()) == 2


@pytest.mark.parametrize("n_outliers", [1, 3])
def test_outliers_among_few_samples_are_no_group(n_outliers):
    outliers = gaussian(n_outliers) + torch.tensor([0.0, 10.0])
    assert len(separate_groups(torch.cat([gaussian(16), outliers]))[1].unique()) == 1


@pytest.mark.parametrize("x", [torch.zeros(1, 2), torch.zeros(30, 2), gaussian(3)])
def test_few_distinct_samples_are_one_group(x):
    assert len(separate_groups(x)[1].unique()) == 1
