"""The published estimator at its samples, without arrays of shape (M, M, d)."""

from __future__ import annotations

import pytest
import torch

from sk_mige.score import RBF, leading_eigenpairs, median_bandwidth, squared_distances, ssge
from sk_mige.score.kernels import KERNELS


def tensor_formulation(x, evaluate_at, sigma, n_eigen, kernel=None):
    """Eqs. 4-7 of the paper, with eigenfunctions and gradients as (M, M, d) arrays."""
    m = len(x)
    differences = x[:, None] - x[None]
    kernel = RBF() if kernel is None else kernel
    u = differences.square().sum(-1) / sigma**2
    values, vectors = torch.linalg.eigh(kernel(u))
    values, vectors = values.flip(0)[:n_eigen], vectors.flip(1)[:, :n_eigen]
    # of k(x_a, x_b) in x_a
    gradients = -kernel.matrices(u, 1.0).slopes[..., None] * differences / sigma**2
    psi_gradients = m**0.5 / values[:, None, None] * torch.einsum("bj,abd->jad", vectors, gradients)
    beta = -psi_gradients.mean(1)
    cross = kernel((evaluate_at[:, None] - x[None]).square().sum(-1) / sigma**2)
    psi = m**0.5 * cross @ vectors / values
    return psi @ beta


@pytest.fixture
def x(generator):
    return torch.randn(60, 3, generator=generator, dtype=torch.float64) + 2.0


@pytest.mark.parametrize("n_eigen", [1, 5, 20])
def test_products_of_matrices_equal_the_tensor_formulation(x, n_eigen):
    sigma = float(median_bandwidth(squared_distances(x)))
    expected = tensor_formulation(x, x, sigma, n_eigen)
    torch.testing.assert_close(ssge(x, n_eigen=n_eigen), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_every_kernel_equals_the_tensor_formulation(x, kernel):
    sigma = float(median_bandwidth(squared_distances(x)))
    expected = tensor_formulation(x, x, sigma, 8, kernel)
    torch.testing.assert_close(ssge(x, n_eigen=8, kernel=kernel), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_ridge_by_cholesky_is_that_of_the_spectrum_for_every_kernel(x, kernel):
    options = {"alpha": 1e-2, "eigen_threshold": None, "kernel": kernel}
    torch.testing.assert_close(ssge(x, solver="cholesky", **options), ssge(x, **options))


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_is_invariant_to_the_scale_of_the_samples(x, kernel):
    torch.testing.assert_close(ssge(1e-6 * x, kernel=kernel) * 1e-6, ssge(x, kernel=kernel))


@pytest.mark.parametrize("threshold", [0.5, 0.94, 0.99])
def test_the_threshold_keeps_the_fewest_eigenpairs_that_reach_it(x, threshold):
    sigma = float(median_bandwidth(squared_distances(x)))
    values = torch.linalg.eigvalsh(torch.exp(-squared_distances(x) / (2 * sigma**2))).flip(0)
    shares = values.cumsum(0) / values.sum()
    n_eigen = int((shares < threshold).sum()) + 1
    expected = ssge(x, n_eigen=n_eigen)
    torch.testing.assert_close(ssge(x, eigen_threshold=threshold), expected)


def test_at_least_one_eigenpair_is_kept():
    assert leading_eigenpairs(torch.tensor([5.0, 1.0]), eigen_threshold=1e-6).sum() == 1


@pytest.mark.parametrize("threshold", [None, 1.0])
def test_eigenvalues_that_are_rounding_errors_are_never_kept(threshold):
    values = torch.tensor([1.0, 1e-3, 1e-17, -1e-18], dtype=torch.float64)
    expected = torch.tensor([True, True, False, False])
    assert torch.equal(leading_eigenpairs(values, eigen_threshold=threshold), expected)
    assert torch.equal(leading_eigenpairs(values, n_eigen=4), expected)


@pytest.mark.parametrize("options", [{}, {"n_eigen": 4}, {"alpha": 1e-2, "eigen_threshold": None}])
def test_a_batch_of_sets_equals_a_loop_over_them(generator, options):
    z = torch.randn(4, 3, 20, 2, generator=generator, dtype=torch.float64)
    z *= torch.tensor([1.0, 3.0, 10.0]).double()[:, None, None]  # unlike spectra
    z[0, 0, 5:] = z[0, 0, :1]
    looped = torch.stack([torch.stack([ssge(b, **options) for b in a]) for a in z])
    torch.testing.assert_close(ssge(z, **options), looped)


def test_given_distances_replace_those_of_the_kernel(x, generator):
    other = torch.randn(60, 2, generator=generator, dtype=torch.float64)
    joint = torch.cat([x, other], dim=1)
    sq = squared_distances(x) + squared_distances(other)
    # The x-block of the joint score has the kernel of (x, z) and the displacements of x.
    torch.testing.assert_close(ssge(x, sq_distances=sq), ssge(joint)[:, :3])


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_float32_is_within_a_thousandth_of_float64(x, shift):
    single = (x + shift).float()
    exact = ssge(single.double())
    estimated = ssge(single)
    assert estimated.dtype == torch.float32
    assert (estimated.double() - exact).norm() < 1e-3 * exact.norm()


def test_no_gradient_flows_through_the_score(x):
    assert not ssge(x.requires_grad_()).requires_grad


def test_tikhonov_divides_by_the_shifted_eigenvalues(x):
    sigma = float(median_bandwidth(squared_distances(x)))
    gram = torch.exp(-squared_distances(x) / (2 * sigma**2))
    laplacian = gram @ x - gram.sum(1, keepdim=True) * x
    expected = torch.linalg.solve(gram + 60 * 0.1 * torch.eye(60).double(), laplacian) / sigma**2
    torch.testing.assert_close(ssge(x, alpha=0.1, eigen_threshold=None), expected)


@pytest.mark.parametrize("alpha", [1e-4, 1e-2])
def test_the_ridge_by_cholesky_solves_the_literal_system(alpha, generator):
    z = torch.randn(2, 3, 40, 2, generator=generator, dtype=torch.float64) + 5.0
    sq = squared_distances(z)
    sigma = median_bandwidth(sq)[..., None, None]
    gram = torch.exp(-sq / (2 * sigma**2))
    laplacian = gram @ z - gram.sum(-1, keepdim=True) * z
    shifted = gram + 40 * alpha * torch.eye(40).double()
    expected = torch.linalg.solve(shifted, laplacian) / sigma**2
    torch.testing.assert_close(ssge(z, alpha=alpha, solver="cholesky"), expected)


@pytest.mark.parametrize("features", [1, 2, 64])
@pytest.mark.parametrize("rows", [64, 512])
def test_a_ridge_of_1e_4_in_float32_is_within_a_thousandth_of_float64(rows, features, generator):
    z = torch.randn(rows, features, generator=generator) + 10.0
    exact = ssge(z.double(), alpha=1e-4, solver="cholesky")
    estimated = ssge(z, alpha=1e-4, solver="cholesky").double()
    assert (estimated - exact).norm() < 1e-3 * exact.norm()


def test_distances_that_are_passed_are_not_overwritten(x):
    sq = squared_distances(x)
    before = sq.clone()
    ssge(x, sq_distances=sq, alpha=1e-4, solver="cholesky")
    assert torch.equal(sq, before)


@pytest.mark.parametrize(("rows", "features"), [(64, 64), (128, 64), (256, 64), (128, 16)])
def test_a_ridge_of_1e_4_makes_scores_as_long_as_the_cut_of_training(rows, features, generator):
    def length(**options):  # -E[g z], which is 1 for the exact score by Stein's identity
        batches = torch.randn(5, rows, features, generator=generator, dtype=torch.float64)
        return -(ssge(batches, **options) * (batches - batches.mean(1, keepdim=True))).mean()

    cut = length(eigen_threshold=0.999)
    assert abs(length(eigen_threshold=None, alpha=1e-4, solver="cholesky") / cut - 1) < 0.05
    assert length(eigen_threshold=None, alpha=1e-2, solver="cholesky") < 0.75 * cut


@pytest.mark.parametrize("options", [{}, {"alpha": 1e-4, "solver": "cholesky"}])
def test_scores_of_a_set_with_nan_are_nan_and_no_error(options, x):
    x[3] = torch.nan
    assert ssge(x, **options).isnan().all()


def test_a_ridge_lost_in_rounding_gives_nan_and_leaves_other_sets_alone(x):
    equal = torch.ones_like(x)  # a kernel of rank one
    both = ssge(torch.stack([x, equal]), alpha=1e-30, solver="cholesky")
    assert both[1].isnan().all()
    assert both[0].isfinite().all()


@pytest.mark.parametrize("shape", [(1, 3), (2, 1), (3, 8)])
def test_small_and_collapsed_sets_give_finite_scores(shape, generator):
    assert ssge(torch.randn(*shape, generator=generator)).isfinite().all()
    assert torch.equal(ssge(torch.ones(*shape)), torch.zeros(*shape))


UNUSABLE = {
    "array": ({}, TypeError, "z must be a tensor, got ndarray"),
    "whole numbers": ({}, TypeError, "z must be real and floating-point, got torch.int64"),
    "vector": ({}, ValueError, r"z must have shape \(..., M, d\).*got \(60,\)"),
    "no rows": ({}, ValueError, r"with at least one row and column; got \(0, 3\)"),
    "sparse": ({}, TypeError, r"z is a sparse tensor: pass z.to_dense\(\)"),
    "width": ({"bandwidth": -1.0}, ValueError, "bandwidth must be positive and finite; got -1.0"),
    "no width": (
        {"bandwidth": float("nan")},
        ValueError,
        "bandwidth must be positive and finite; got nan",
    ),
    "ridge": ({"alpha": -1.0}, ValueError, "alpha must be a number in .0, inf.; got"),
    "count": ({"n_eigen": 0}, ValueError, "n_eigen must be a positive integer, got 0"),
    "half": ({"n_eigen": 2.5}, ValueError, "n_eigen must be a positive integer"),
    "fraction": ({"eigen_threshold": 2.0}, ValueError, r"eigen_threshold must .* \(0, 1\]; got 2"),
    "oblong": ({"sq_distances": torch.ones(60, 3)}, ValueError, r"sq_distances .* \(60, 3\)"),
    "name": ({"bandwidth": "mean"}, ValueError, "bandwidth must be 'median' or a number"),
    "kernel": ({"kernel": "cubic"}, ValueError, "kernel must be one of 'rbf'.*got 'cubic'"),
    "solver": ({"solver": "lu"}, ValueError, "solver must be one of 'eigh'.*got 'lu'"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_arguments_are_named(case, x):
    options, error, message = UNUSABLE[case]
    z = {
        "array": x.numpy(),
        "whole numbers": x.long(),
        "vector": x[:, 0],
        "no rows": x[:0, :3],
        "sparse": x.to_sparse(),
    }.get(case, x)
    with pytest.raises(error, match=message):
        ssge(z, **options)


@pytest.mark.parametrize("solver", ["eigh", "cholesky"])
def test_scores_stay_on_the_device_of_the_samples_with_another_default_device(solver):
    z = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    options = {"solver": solver, "alpha": 0.01}
    expected = ssge(z, **options)
    with torch.device("meta"):
        found = ssge(z, **options)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
