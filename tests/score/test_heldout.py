"""Score matching as a quadratic form in additive sums."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch

from sk_mige.score import (
    RBF,
    InverseMultiquadric,
    Matern,
    Multiscale,
    ScoreModel,
    ScoreSettings,
)
from sk_mige.score.fit import fit_landmarks
from sk_mige.score.heldout import fold_losses, kernel_sums
from sk_mige.score.spectrum import kernel_basis, orthonormal_sections, spectral_basis
from sk_mige.score.ssge import stein_moments

KINDS = [
    {},
    {"base": None},
    {"curl_free": True},
    {"projected": True},
    {"kernel": InverseMultiquadric()},
    {"kernel": Matern(nu=1.5), "curl_free": True},
    {"kernel": Multiscale(), "projected": True},
]
IDS = ["sections", "no base", "curl-free", "projected", "imq", "matern", "multiscale"]


@pytest.fixture(params=KINDS, ids=IDS)
def problem(request, expand):
    """An expansion over landmarks, samples to fit and samples to hold out."""
    return expand(**request.param)


def loss_of(sums):
    """Return the quadratic form of the held-out loss."""
    return sums.measured or sums.fit


def assert_equal_sums(left, right):
    assert left.n_samples == right.n_samples
    assert left.constant == pytest.approx(right.constant)
    for mine, other in ((left.fit, right.fit), (loss_of(left), loss_of(right))):
        torch.testing.assert_close(mine.quadratic, other.quadratic)
        torch.testing.assert_close(mine.linear, other.linear)


def test_sums_over_parts_add_up(problem):
    expansion, x, _ = problem
    whole, first, rest = (kernel_sums(expansion, part) for part in (x, x[:13], x[13:]))
    assert_equal_sums(first + rest, whole)
    assert_equal_sums(kernel_sums(expansion, x.flip(0)), whole)


def test_at_its_own_centres_the_quadratic_form_is_the_gram_matrix_squared(expand):
    expansion, x, _ = expand()
    centers = x[:12]
    gram = expansion.gram()
    torch.testing.assert_close(kernel_sums(expansion, centers).fit.quadratic, gram @ gram)


def test_without_a_base_the_linear_form_is_that_of_the_kernels_gradients(expand):
    """R is K'X/σ² − diag(s) Z/σ² in whitened coordinates, mapped back."""
    expansion, x, _ = expand(base=None)
    y, z = expansion.whitening(x), expansion.centers
    gram = expansion.gram(y)
    direct = torch.einsum("nm,nmd->md", gram, y[:, None] - z[None]) / expansion.bandwidth**2
    sums = kernel_sums(expansion, x)
    torch.testing.assert_close(sums.fit.linear, expansion.whitening.linear(direct))


def test_the_summed_loss_is_a_quadratic_form_of_the_coefficients(problem, generator):
    expansion, x, _ = problem
    sums = kernel_sums(expansion, x)
    quadratic, linear = loss_of(sums).quadratic, loss_of(sums).linear
    c = torch.randn(linear.shape, generator=generator, dtype=torch.float64)
    form = 0.5 * (c * (quadratic @ c)).sum() - (linear * c).sum()
    form = form + sums.constant
    direct = ScoreModel(expansion, c).hyvarinen_loss(x).sum()
    torch.testing.assert_close(form, direct)


def test_the_fit_is_where_the_penalised_forms_gradient_vanishes(problem):
    expansion, x, _ = problem
    alpha = 1e-2
    sums = kernel_sums(expansion, x)
    settings = ScoreSettings(alpha=alpha)
    c = fit_landmarks(expansion, [sums], settings).model.coefficients
    quadratic, linear = sums.fit.quadratic, sums.fit.linear
    penalty = len(x) * alpha * expansion.operator_trace
    gradient = quadratic @ c + penalty * expansion.gram() @ c - linear
    assert gradient.norm() < 1e-8 * linear.norm()


def test_held_out_losses_are_the_losses_of_the_models(problem):
    expansion, x, held_out = problem
    parts = [kernel_sums(expansion, part) for part in (x[:20], held_out, x[:0], x[20:])]
    train, alphas = [parts[0], parts[3]], (1e-4, 1e-2, 1.0, float("inf"))
    losses = list(fold_losses(expansion, orthonormal_sections(expansion.gram()), parts, alphas))
    assert len(losses) == 3  # a fold without rows has no loss
    for loss, alpha in zip(losses[1], alphas, strict=True):
        model = fit_landmarks(expansion, train, ScoreSettings(alpha=alpha)).model
        direct = model.hyvarinen_loss(held_out).mean()
        torch.testing.assert_close(loss, direct, rtol=1e-6, atol=1e-6)


def test_the_basis_diagonalises_kernel_and_fit_at_once(problem):
    expansion, x, _ = problem
    quadratic = kernel_sums(expansion, x).fit.quadratic
    vectors = orthonormal_sections(expansion.gram())
    basis = spectral_basis(vectors.mT @ quadratic @ vectors)
    s, eye = vectors @ basis.vectors, torch.eye(len(basis.values)).double()
    torch.testing.assert_close(s.mT @ expansion.gram() @ s, eye, rtol=1e-6, atol=1e-6)
    diagonal = s.mT @ quadratic @ s
    tolerance = 1e-8 * float(basis.values[0])
    torch.testing.assert_close(diagonal, torch.diag(basis.values), rtol=1e-6, atol=tolerance)
    assert torch.equal(basis.values, basis.values.sort(descending=True).values)


def test_with_an_infinite_strength_the_correction_is_zero(problem):
    expansion, x, _ = problem
    fit = fit_landmarks(expansion, [kernel_sums(expansion, x)], ScoreSettings(alpha=float("inf")))
    assert not fit.model.coefficients.any()
    assert fit.n_eigen == 0


def test_moments_of_sections_at_their_own_centres_are_the_rotated_linear_form(expand):
    """T Y W = S'R, with and without a base."""
    for base, kernel in product(("student", None), (RBF(), Matern())):
        expansion, x, _ = expand(base=base, kernel=kernel)
        expansion = replace(expansion, centers=expansion.whitening(x))
        matrices, white, s2 = expansion.matrices(), expansion.whitening, expansion.bandwidth**2
        basis, sums = kernel_basis(matrices.values), kernel_sums(expansion, x)
        weight, _ = expansion.base.weight(expansion.centers.square().sum(1))
        moments = stein_moments(basis.vectors, basis.values, matrices, s2, weight)
        rotated = basis.vectors.mT @ sums.fit.linear
        torch.testing.assert_close(
            moments @ white.linear(expansion.centers), rotated, atol=1e-6, rtol=1e-6
        )
