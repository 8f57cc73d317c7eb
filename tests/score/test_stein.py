"""Stein kernels: their formula, discrepancies, bootstrap and greedy selection."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.autograd.functional import hessian, jacobian

from sk_mige.score import (
    InverseMultiquadric,
    kernel_stein_discrepancy,
    stein,
    stein_kernel,
    stein_thinning,
)
from sk_mige.score.kernels import KERNELS, resolve_kernel


def samples(n=40, d=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, dtype=torch.float64, generator=generator)


def literal_value(kernel, a, b, s, t):
    """Return k_p(a, b) by automatic differentiation of the kernel."""

    def k(x, y):
        return kernel((x - y).square().sum())

    in_a, in_b = jacobian(k, (a, b))
    return torch.trace(hessian(k, (a, b))[0][1]) + s @ in_b + t @ in_a + k(a, b) * (s @ t)


def literal_thinning(matrix, n_points):
    """Minimise the discrepancy of the selected rows over all rows, with the whole matrix."""
    picked = []
    for _ in range(n_points):
        trials = [[*picked, i] for i in range(len(matrix))]
        picked = min(trials, key=lambda rows: float(matrix[rows][:, rows].sum()))
    return picked


@pytest.mark.parametrize("name", KERNELS)
def test_values_are_those_of_the_definition(name):
    x, scores = samples(5), samples(5, seed=1)
    found = stein_kernel(x, scores, kernel=name, bandwidth=1.0, preconditioner=None).matrix()
    for i in range(5):
        for j in set(range(5)) - {i}:
            expected = literal_value(resolve_kernel(name), x[i], x[j], scores[i], scores[j])
            torch.testing.assert_close(found[i, j], expected)


@pytest.mark.parametrize("name", KERNELS)
def test_the_diagonal_is_that_of_the_matrix(name):
    kernel = stein_kernel(samples(), -2 * samples(), kernel=name)
    torch.testing.assert_close(kernel.diagonal(), kernel.matrix().diagonal())


def test_the_default_kernel_is_the_inverse_multiquadric_with_exponent_one_half():
    assert stein_kernel(samples(), samples()).kernel == InverseMultiquadric(beta=0.5)


def test_the_kernel_has_mean_zero_under_the_density_of_the_scores():
    grid = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]
    weights = torch.exp(-grid[:, 0].square() / 2) / (2 * torch.pi) ** 0.5
    kernel = stein_kernel(grid, -grid, bandwidth=1.0, preconditioner=None)
    means = torch.trapezoid(kernel.take(slice(1800, 2200)).matrix(kernel) * weights, grid[:, 0])
    torch.testing.assert_close(means, torch.zeros_like(means), rtol=0, atol=1e-9)


def test_statistics_are_sums_over_the_matrix(monkeypatch):
    monkeypatch.setattr(stein, "BLOCK_ROWS", 7)
    x = samples()
    matrix = stein_kernel(x, -x).matrix()
    n, total, trace = len(x), float(matrix.sum()), float(matrix.trace())
    assert kernel_stein_discrepancy(x, -x, statistic="v") == pytest.approx(total / n**2)
    assert kernel_stein_discrepancy(x, -x) == pytest.approx((total - trace) / (n * (n - 1)))


def test_replicates_are_statistics_with_random_signs(monkeypatch):
    monkeypatch.setattr(stein, "BLOCK_ROWS", 7)
    kernel = stein_kernel(samples(), 1 - samples())
    statistic, replicates = kernel.bootstrap(5, np.random.RandomState(3))
    signs = np.random.RandomState(3).randint(0, 2, size=(40, 6), dtype=np.int8)[:, 1:]
    w = torch.from_numpy(2.0 * signs - 1)
    off = kernel.matrix().fill_diagonal_(0)
    torch.testing.assert_close(replicates, (w * (off @ w)).sum(0) / (40 * 39))
    assert statistic == pytest.approx(kernel.discrepancy("u"))


@pytest.mark.parametrize("scores", ["exact", "others"])
def test_thinning_is_the_literal_greedy_algorithm(scores):
    x = samples(60, 2)
    given = -x if scores == "exact" else samples(60, 2, seed=1)
    matrix = stein_kernel(x, given, bandwidth="scaled-median").matrix()
    expected = literal_thinning(matrix, 25)
    assert stein_thinning(x, given, 25).tolist() == expected


def test_fewer_points_are_the_first_of_more_points():
    x = samples(60, 2)
    assert torch.equal(stein_thinning(x, -x, 5), stein_thinning(x, -x, 20)[:5])


def test_thinned_points_have_a_lower_discrepancy_than_the_first_rows():
    x = samples(1000, 2)
    kernel = stein_kernel(x, -x)
    chosen, first = kernel.take(kernel.thin(30)), kernel.take(slice(30))
    assert chosen.discrepancy("v") < 0.1 * first.discrepancy("v")


def test_thinning_corrects_rows_of_another_density():
    x = 1.5 * samples(2000, 2) + 0.5
    chosen = x[stein_thinning(x, -x, 100)]
    assert chosen.mean(0).norm() < 0.1
    assert (chosen.std(0) - 1).abs().max() < 0.15


def test_the_scaled_median_is_the_median_over_the_root_of_the_logarithm_of_the_rows():
    median, scaled = (
        stein_kernel(samples(), samples(), bandwidth=name) for name in ("median", "scaled-median")
    )
    assert scaled.bandwidth == pytest.approx(median.bandwidth / np.log(40) ** 0.5)


@pytest.mark.parametrize("d", [3, 60])
def test_values_do_not_depend_on_units(d):
    x, u = samples(40, d), torch.logspace(-5, 5, d, dtype=torch.float64)
    expected = stein_kernel(x, -x).matrix()
    torch.testing.assert_close(stein_kernel(x * u + u, -x / u).matrix(), expected)


def test_whitened_values_do_not_depend_on_correlations():
    x, mixing = samples(), samples(3, 3, seed=5)
    options = {"preconditioner": "covariance"}
    mixed = stein_kernel(x @ mixing, -x @ torch.linalg.inv(mixing).mT, **options)
    # A rotation of whitened coordinates changes no value.
    torch.testing.assert_close(mixed.matrix(), stein_kernel(x, -x, **options).matrix())


@pytest.mark.parametrize("preconditioner", ["std", "covariance", None])
def test_constant_and_redundant_columns_give_finite_values(preconditioner):
    x = samples(40, 2)
    wide = torch.cat([x, x.sum(1, keepdim=True), torch.ones(40, 1, dtype=x.dtype)], 1)
    kernel = stein_kernel(wide, -wide, preconditioner=preconditioner)
    assert kernel.matrix().isfinite().all()


@pytest.mark.parametrize("preconditioner", ["std", "covariance", None])
def test_a_constant_column_with_zero_scores_changes_nothing(preconditioner):
    x = samples(40, 2)
    wide = torch.cat([x, torch.full((40, 1), 3.0, dtype=x.dtype)], 1)
    scores = torch.cat([-x, torch.zeros(40, 1, dtype=x.dtype)], 1)
    found = stein_kernel(wide, scores, preconditioner=preconditioner).matrix()
    expected = stein_kernel(x, -x, preconditioner=preconditioner).matrix()
    torch.testing.assert_close(found.mean(), expected.mean())
    torch.testing.assert_close(found.diagonal(), expected.diagonal())


def test_memory_does_not_grow_with_the_square_of_the_rows(monkeypatch):
    sizes = []
    original = stein.SteinKernel.matrix

    def matrix(self, other=None):
        found = original(self, other)
        sizes.append(found.numel())
        return found

    monkeypatch.setattr(stein.SteinKernel, "matrix", matrix)
    x = samples(2000, 2)
    kernel_stein_discrepancy(x, -x)
    assert max(sizes) <= stein.BLOCK_ROWS**2


def test_wrong_arguments_are_named():
    x = samples()
    with pytest.raises(ValueError, match="shape of x"):
        stein_kernel(x, x[:5])
    with pytest.raises(ValueError, match="statistic must be 'u' or 'v', got 'w'"):
        kernel_stein_discrepancy(x, -x, statistic="w")
    with pytest.raises(ValueError, match="'std', 'covariance' or None, got 'med'"):
        stein_kernel(x, -x, preconditioner="med")
    with pytest.raises(ValueError, match="'scaled-median' or a number, got 'med'"):
        stein_kernel(x, -x, bandwidth="med")
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        stein_kernel(x, -x).take(slice(1)).discrepancy("u")


@pytest.mark.parametrize("preconditioner", ["std", "covariance", None])
def test_the_gradient_of_a_discrepancy_is_its_derivative(preconditioner):
    x, scores, direction = samples(), samples(seed=1), samples(seed=2)

    def mean(x):
        return stein_kernel(x, scores, preconditioner=preconditioner).matrix().mean()

    found = torch.autograd.functional.jvp(mean, x, direction)[1]
    difference = mean(x + 1e-5 * direction) - mean(x - 1e-5 * direction)
    torch.testing.assert_close(found, difference / 2e-5, rtol=1e-5, atol=0)


@pytest.mark.parametrize("preconditioner", ["covariance", None])
def test_rows_in_a_plane_have_the_stein_kernel_of_the_plane(preconditioner):
    x, axes = samples(60, 2), torch.linalg.qr(samples(3, 2, seed=1))[0]
    found = stein_kernel(x @ axes.mT + 1.0, -x @ axes.mT, preconditioner=preconditioner)
    expected = stein_kernel(x, -x, preconditioner=preconditioner)
    torch.testing.assert_close(found.matrix(), expected.matrix())


@pytest.mark.parametrize("preconditioner", ["std", "covariance", None])
def test_the_component_of_scores_across_a_plane_depends_on_units_and_has_no_effect(preconditioner):
    x = samples(60, 2) @ torch.tensor([[1.0, 0.0, 3.0], [0.0, 1.0, 3.0]], dtype=torch.float64)
    tangent = -x @ torch.linalg.pinv(x.mT @ x / 60)
    normal = torch.tensor([3.0, 3.0, -1.0], dtype=torch.float64)
    other = tangent + tangent[:, :1] * normal  # as of an estimator in other units
    expected = stein_kernel(x, tangent, preconditioner=preconditioner).matrix()
    found = stein_kernel(x, other, preconditioner=preconditioner).matrix()
    torch.testing.assert_close(found, expected)


def test_a_density_with_an_extent_across_the_plane_of_the_rows_has_a_discrepancy():
    x = samples(200, 2)
    wide = torch.cat([x, x.sum(1, keepdim=True)], 1)
    scores = torch.cat([-x, torch.ones(200, 1, dtype=x.dtype)], 1)
    assert kernel_stein_discrepancy(wide, scores) > 0.1
