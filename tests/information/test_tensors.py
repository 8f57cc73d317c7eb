"""Functions of tensors: errors for arguments that are not tensors of finite real numbers."""

from __future__ import annotations

import pytest
import torch

from sk_mige.information import (
    gaussianize_margins,
    gaussianize_ranks,
    independent_axes,
    relative_fisher_information,
    whitened_scores,
)

MAPS = [gaussianize_margins, gaussianize_ranks, independent_axes, relative_fisher_information]
Z = torch.arange(60).reshape(30, 2).sin()


@pytest.mark.parametrize("function", [*MAPS, whitened_scores])
@pytest.mark.parametrize(
    ("z", "error", "message"),
    [
        (Z.numpy(), TypeError, "z must be a tensor; got ndarray"),
        (Z + 1j, ValueError, "z must be real; got complex numbers"),
        (Z[:, 0], ValueError, r"z must have shape \(n, d\).*got \(30,\)"),
        (Z[:0], ValueError, r"z must have shape \(n, d\).*got \(0, 2\)"),
    ],
    ids=["array", "complex", "vector", "empty"],
)
def test_a_z_of_the_wrong_kind_is_named(function, z, error, message):
    with pytest.raises(error, match=message):
        function(z)


@pytest.mark.parametrize("function", MAPS)
def test_a_missing_value_is_named(function):
    with pytest.raises(ValueError, match="z contains NaN or infinity"):
        function(torch.where(Z > 0.9, torch.nan, Z))


def test_integers_have_scores_and_axes():
    z = (1000 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) ** 3).long()
    mixed = z @ torch.tensor([[1, 1], [-1, 1]])
    axes = independent_axes(mixed)
    torch.testing.assert_close(axes, independent_axes(mixed.double()))
    torch.testing.assert_close(whitened_scores(z), whitened_scores(z.double()))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_landmarks": 100.0}, TypeError, "n_landmarks must be an int; got 100.0"),
        ({"n_landmarks": 0}, ValueError, "n_landmarks must be at least 1; got 0"),
        ({"n_folds": 1}, ValueError, "n_folds must be at least 2; got 1"),
        ({"n_folds": 31}, ValueError, "n_folds must be at most .* 30; got 31"),
    ],
)
def test_numbers_of_landmarks_and_folds_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        relative_fisher_information(Z, **options)


def test_a_constant_column_has_no_fisher_information():
    with pytest.raises(ValueError, match="z has constant columns .the first is 1."):
        relative_fisher_information(Z * torch.tensor([1.0, 0.0]))


def test_one_sample_has_no_margin():
    with pytest.raises(ValueError, match="z must have at least 2 samples; got 1"):
        gaussianize_margins(Z[:1])
