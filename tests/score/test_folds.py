"""Equal rows are held out together."""

from __future__ import annotations

import pytest
import torch

from sk_mige.datasets import make_gaussian
from sk_mige.score import ScoreSettings, fit_dense
from sk_mige.score.folds import hashed_folds, radial_folds, sample_folds
from sk_mige.score.subspace import sample_subspace

from .conftest import gaussian


@pytest.mark.parametrize("digits", [0, 12])  # rounded columns have equal values
def test_without_copies_folds_are_radial_folds(digits):
    x = torch.cat([gaussian(200, 1).round(decimals=digits), gaussian(200, 2)], 1)
    assert torch.equal(sample_folds(x, 5), radial_folds(x, 5))


def test_equal_rows_are_in_one_fold_wherever_they_stand():
    x = gaussian(90, 2)
    copies = torch.cat([x, x, -x[:30]])  # -x has the radii of x and other values
    order = torch.randperm(210, generator=torch.Generator().manual_seed(0))
    fold = torch.empty(210, dtype=torch.long)
    fold[order] = sample_folds(copies[order])
    assert torch.equal(fold[:90], fold[90:180])
    assert torch.bincount(fold[:90]).min() > 20


def test_copies_are_found_among_the_rows_if_coordinates_have_rounding_errors():
    rows = gaussian(20, 60).repeat(2, 1)
    fold = sample_folds(sample_subspace(rows)[1], 3, rows)
    assert torch.equal(fold[:20], fold[20:])


def test_a_handful_of_distinct_rows_is_dealt_copy_by_copy():
    x = gaussian(4, 2).repeat(10, 1)
    assert torch.bincount(sample_folds(x)).tolist() == [14, 13, 13]


def test_copies_do_not_change_the_accuracy_of_the_chosen_strength():
    X, exact = make_gaussian(100, 2, random_state=0)
    x, fresh = torch.from_numpy(X), torch.from_numpy(exact.sample(500, random_state=1))
    truth = torch.from_numpy(exact(fresh.numpy()))
    bootstrap = x[torch.randint(100, (200,), generator=torch.Generator().manual_seed(0))]
    for rows in (x, x.repeat(2, 1), bootstrap):
        error = fit_dense(rows, ScoreSettings()).model.score(fresh) - truth
        assert error.square().sum() < 0.06 * truth.square().sum()


@pytest.mark.parametrize("radii", [gaussian(3000, 2).norm(dim=1), torch.arange(3000) / 1000])
def test_hashed_folds_have_similar_sizes(radii):
    assert torch.bincount(hashed_folds(radii), minlength=3).min() > 900


def test_the_hashed_fold_of_a_row_depends_on_its_key_alone():
    radii = gaussian(90, 2).norm(dim=1)
    assert torch.equal(hashed_folds(torch.cat([radii[50:], radii]))[40:], hashed_folds(radii))
    assert torch.equal(hashed_folds(radii * (1 + 1e-15)), hashed_folds(radii))
    assert hashed_folds(torch.tensor([0.0, 1e300])).min() >= 0
