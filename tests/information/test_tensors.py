"""Functions of tensors: errors for arguments that are not tensors of finite real numbers."""

from __future__ import annotations

import pytest
import torch

from sk_mige.information import (
    choose_information,
    gaussianize_margins,
    gaussianize_ranks,
    independent_axes,
    ksg_terms,
    local_dimension,
    relative_fisher_information,
    whitened_scores,
)
from sk_mige.score import (
    ScoreSettings,
    fit_dense,
    fit_stein,
    kernel_stein_discrepancy,
    median_bandwidth,
    squared_distances,
    stein_kernel,
    stein_thinning,
    whitening,
)

MAPS = [gaussianize_margins, gaussianize_ranks, independent_axes, relative_fisher_information]
Z = torch.arange(60).reshape(30, 2).sin()


@pytest.mark.parametrize("function", [*MAPS, whitened_scores])
@pytest.mark.parametrize(
    ("z", "error", "message"),
    [
        (Z.numpy(), TypeError, "z must be a tensor, got ndarray"),
        (Z + 1j, TypeError, "z must be real, got torch.complex64"),
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


OF_TWO = {
    "choice": lambda z: choose_information(z, Z, ("gaussian",)),
    "choice of y": lambda z: choose_information(Z, z, ("gaussian",)),
    "neighbours": lambda z: ksg_terms(z, Z),
    "neighbours of y": lambda z: ksg_terms(Z, z),
    "dimension": local_dimension,
    "whitening": whitening,
    "score": lambda z: fit_dense(z, ScoreSettings()),
    "Stein score": lambda z: fit_stein(z, ScoreSettings(), 0.1),
    "Stein kernel": lambda z: stein_kernel(z, -Z),
    "discrepancy": lambda z: kernel_stein_discrepancy(Z, z),
    "thinning": lambda z: stein_thinning(z, -Z, 3),
    "distances": squared_distances,
    "distances to y": lambda z: squared_distances(Z, z),
    "bandwidth": median_bandwidth,
}


@pytest.mark.parametrize("function", OF_TWO.values(), ids=OF_TWO)
@pytest.mark.parametrize(
    ("z", "message"),
    [
        (Z.numpy(), "must be a tensor, got ndarray"),
        (Z.tolist(), "must be a tensor, got list"),
        (None, "must be a tensor, got NoneType"),
        (Z + 1j, "must be real, got torch.complex64"),
        (Z.to_sparse(), "is a sparse tensor"),
    ],
    ids=["array", "list", "none", "complex", "sparse"],
)
def test_what_is_no_tensor_of_real_numbers_is_named(function, z, message):
    if z is None and function is OF_TWO["distances to y"]:
        return  # the default
    with pytest.raises((TypeError, ValueError), match=rf"^(x|y|z|sq|scores) {message}"):
        function(z)


@pytest.mark.parametrize("name", ["choice", "neighbours", "dimension", "discrepancy", "thinning"])
def test_a_missing_value_is_named_by_functions_that_search(name):
    with pytest.raises(ValueError, match="contains NaN or infinity"):
        OF_TWO[name](torch.where(Z > 0.9, torch.nan, Z))


@pytest.mark.parametrize("n_neighbors", [0, 30, 2.0, None])
def test_a_number_of_neighbours_that_no_row_has_is_named(n_neighbors):
    for call in (lambda: ksg_terms(Z, Z, n_neighbors), lambda: local_dimension(Z, n_neighbors)):
        with pytest.raises((TypeError, ValueError), match="n_neighbors"):
            call()


def test_tables_of_other_lengths_are_named():
    for function in (ksg_terms, choose_information):
        with pytest.raises(ValueError, match="x, y must have the same number of rows; got 30, 29"):
            function(Z, Z[1:])


def test_integers_have_scores_and_axes():
    z = (1000 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) ** 3).long()
    mixed = z @ torch.tensor([[1, 1], [-1, 1]])
    axes = independent_axes(mixed)
    torch.testing.assert_close(axes, independent_axes(mixed.double()))
    torch.testing.assert_close(whitened_scores(z), whitened_scores(z.double()))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_landmarks": 100.0}, ValueError, "n_landmarks must be a positive integer, got 100.0"),
        ({"n_landmarks": 0}, ValueError, "n_landmarks must be a positive integer, got 0"),
        ({"n_folds": 1}, ValueError, "n_folds must be an integer of at least 2, got 1"),
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
