"""Spectral cutoffs, and solvers without an eigendecomposition."""

from __future__ import annotations

import pytest
import torch

from sk_mige.score import leading_eigenpairs, rbf_kernel, squared_distances, ssge
from sk_mige.score.spectrum import cholesky_in_place, orthonormal_sections, solved


@pytest.fixture
def z(generator):
    return torch.randn(3, 80, 2, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("threshold", [0.6, torch.tensor([0.6], dtype=torch.float64)])
def test_a_threshold_that_the_first_eigenvalue_reaches_keeps_no_other(threshold):
    values = torch.tensor([6.0, 3.0, 1.0], dtype=torch.float64)
    kept = leading_eigenpairs(values, eigen_threshold=threshold)
    assert kept.tolist() == [True, False, False]


@pytest.mark.parametrize("alpha", [1e-3, 1.0])
def test_tikhonov_by_cholesky_is_tikhonov_over_the_whole_spectrum(z, alpha):
    direct = ssge(z, alpha=alpha, solver="cholesky")
    torch.testing.assert_close(direct, ssge(z, alpha=alpha, eigen_threshold=None))


def test_an_error_names_the_parameter_that_cholesky_needs(z):
    with pytest.raises(ValueError, match="alpha > 0"):
        ssge(z, solver="cholesky")


@pytest.mark.parametrize(("bandwidth", "rank"), [(0.01, 80), (1.0, None)])
def test_sections_are_orthonormal_and_their_number_is_that_of_the_resolved_directions(
    z, bandwidth, rank
):
    gram = rbf_kernel(squared_distances(z[0]), bandwidth)
    values = torch.linalg.eigvalsh(gram)
    assert (float(values[0]) > 80e-9) == (rank == 80)
    vectors = orthonormal_sections(gram)
    rank = rank or int((values > 1e-10 * values[-1]).sum())
    assert vectors.shape == (80, rank)
    eye = torch.eye(rank, dtype=torch.float64)
    torch.testing.assert_close(vectors.mT @ gram @ vectors, eye, rtol=0, atol=1e-5)


@pytest.mark.parametrize("by_rows", [True, False])
@pytest.mark.parametrize("m", [80, 128])  # 128 rows are factorised with a border
def test_factors_in_place_equal_factors_in_a_new_tensor(generator, m, by_rows):
    right = torch.randn(3, m, 2, generator=generator, dtype=torch.float64)
    gram = rbf_kernel(squared_distances(right), 1.0) + 0.1 * torch.eye(m)
    expected, solution = torch.linalg.cholesky(gram), torch.linalg.solve(gram, right)
    factors, failed = cholesky_in_place(gram if by_rows else gram.mT)
    torch.testing.assert_close(factors, expected)
    torch.testing.assert_close(solved(factors, right), solution)
    assert failed.tolist() == [0, 0, 0]


@pytest.mark.parametrize("m", [80, 128])
def test_a_matrix_without_a_factor_is_reported_and_does_not_change_other_factors(generator, m):
    z = torch.randn(3, m, 2, generator=generator, dtype=torch.float64)
    gram = rbf_kernel(squared_distances(z), 1.0) + 0.1 * torch.eye(m)
    expected = torch.linalg.cholesky(gram)
    gram[1].neg_()
    factors, failed = cholesky_in_place(gram)
    assert (failed > 0).tolist() == [False, True, False]
    torch.testing.assert_close(factors[::2], expected[::2])
