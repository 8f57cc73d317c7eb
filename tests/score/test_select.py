"""Choice among candidates by held-out losses."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from sk_mige.datasets import make_banana
from sk_mige.score import (
    RBF,
    Matern,
    ScoreModel,
    ScoreSettings,
    fit_base,
    spectral_filter,
    whitening,
)
from sk_mige.score.fit import fit_in_units
from sk_mige.score.heldout import DenseSplit, WhitenedSamples, kernel_sums
from sk_mige.score.kernels import squared_distances
from sk_mige.score.model import KernelExpansion
from sk_mige.score.select import (
    CandidateGrid,
    candidates,
    cross_validate_scores,
    select_candidate,
)
from sk_mige.score.spectrum import kernel_basis


@pytest.fixture(scope="module")
def compared():
    """Every candidate of a grid, its losses and bounds on two splits."""
    x = torch.from_numpy(make_banana(60, random_state=0)[0])
    splits = [(torch.arange(40), torch.arange(40, 60)), (torch.arange(20, 60), torch.arange(20))]
    grid = CandidateGrid(
        ("auto", 1.0),
        tuple(product((RBF(), Matern()), (0.5, 2.0))),
        (False, True),
        ("student", None),
        (0.9,),
        (0.1,),
    )
    losses, bounds = cross_validate_scores(x, [grid], splits)
    return x, splits, candidates(grid), losses, bounds


def test_shared_losses_are_those_of_candidates_fitted_one_by_one(compared):
    x, splits, settings, losses, _ = compared
    assert losses.shape == (2, len(settings)) == (2, 64)
    for row, (train, held_out) in zip(losses, splits, strict=True):
        for loss, candidate in zip(row, settings, strict=True):
            model = fit_in_units(x[train], candidate).model
            direct = model.hyvarinen_loss(x[held_out]).mean()
            torch.testing.assert_close(loss, direct, rtol=1e-6, atol=1e-6)


def test_the_bound_bounds_the_correction_everywhere(compared):
    x, splits, settings, _, bounds = compared
    everywhere = 5 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0)).double()
    for bound, candidate in zip(bounds[0], settings, strict=True):
        model = fit_in_units(x[splits[0][0]], candidate).model
        base = ScoreModel(model.expansion, torch.zeros_like(model.coefficients))
        correction = model.score(everywhere) - base.score(everywhere)
        correction = correction.square().sum(1)
        assert correction.max() <= bound * (1 + 1e-9)


def test_norms_are_those_of_the_coefficients_in_the_kernels_space():
    x = torch.from_numpy(make_banana(30, random_state=0)[0])
    base = fit_base("student", whitening(x)[1], 2)
    white = whitening(x)[0]
    y = white(x)
    rows, expansion = WhitenedSamples(white, y, [base]), KernelExpansion(white, base, y, 0.7)
    matrices, sums, sq = expansion.matrices(), kernel_sums(expansion, x), squared_distances(y)
    gram, basis = matrices.values, kernel_basis(matrices.values)
    filters = torch.stack([spectral_filter(basis.values, len(x), a) for a in (1e-3, 1.0)])
    split = DenseSplit(rows, rows, (sq, sq))
    _, norms = split.sections(RBF(), 0.7, (matrices, basis), lambda values, n: filters)
    for norm, filter_ in zip(norms[0], filters, strict=True):
        c = basis.vectors @ (filter_[:, None] * (basis.vectors.mT @ sums.fit.linear))
        torch.testing.assert_close(norm, (c * (gram @ c)).sum())


@pytest.mark.parametrize("kernel", [RBF(), Matern()])
def test_losses_with_a_projection_are_those_of_the_fitted_model(kernel):
    x = torch.from_numpy(make_banana(60, random_state=0)[0])
    projection = torch.tensor([[1.0, 0.5]]).double()
    model = fit_in_units(x[:40], ScoreSettings(alpha=1e-2, kernel=kernel), projection).model
    ex = model.expansion
    rows, held = (
        WhitenedSamples(ex.whitening, y, [ex.base], projection)
        for y in (ex.centers, ex.whitening(x[40:]))
    )
    u, u_held = ex.kernel_coordinates(rows.y), ex.kernel_coordinates(held.y)
    split = DenseSplit(rows, held, (squared_distances(u), squared_distances(u_held, u)))
    losses, _ = split.sections(
        kernel,
        ex.bandwidth,
        (ex.matrices(), kernel_basis(ex.gram())),
        lambda values, n: spectral_filter(values, n, 1e-2)[None],
    )
    torch.testing.assert_close(losses[0, 0], model.hyvarinen_loss(x[40:]).mean())


def test_an_intensity_of_the_grid_chosen_by_a_rule_is_computed_once():
    """The correlations of the rows are spherical, so "auto" chooses a shrinkage of 1."""
    x = torch.randn(60, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert whitening(x[:40])[0].shrinkage == 1.0
    splits = [(torch.arange(40), torch.arange(40, 60))]
    scales = ((RBF(), 0.5),)
    grid = CandidateGrid(("auto", 1.0), scales, (False, True), ("student",), (0.9,), (0.1,))
    with torch.profiler.profile() as profile:
        losses, _ = cross_validate_scores(x, [grid], splits)
    torch.testing.assert_close(losses[0, :4], losses[0, 4:], rtol=0, atol=0)
    calls = {event.key: event.count for event in profile.key_averages()}
    assert calls["aten::_linalg_eigh"] == 2 + 2  # two whitenings, a kernel and its gradients


def test_the_smallest_bound_decides_between_losses_that_differ_by_noise_only():
    losses = torch.tensor([[1.0, 1.1, 5.0, 1.0], [2.0, 1.9, 5.0, 2.2], [3.0, 3.0, 5.0, 2.8]])
    bounds = torch.tensor([[9.0, 4.0, 0.0, 9.0]]).expand(3, -1)
    assert select_candidate(losses, bounds) in (0, 1)  # candidate 2 is clearly worse
    equal = torch.tensor([[1.0, 1.0, 5.0], [2.0, 2.0, 5.0], [3.0, 3.0, 5.0]])
    assert select_candidate(equal, torch.tensor([[9.0, 4.0, 0.0]]).expand(3, -1)) == 1


def test_a_gain_over_a_reference_must_exceed_its_noise():
    """The expansion is better in two folds and the base in one fold, which is not a clear gain."""
    base = torch.tensor([[-0.50], [-0.53], [-0.51]])
    wild = torch.tensor([[-1.2], [-0.1], [-1.2]])
    steady = torch.tensor([[-0.60], [-0.64], [-0.63]])
    bounds = torch.tensor([[9.0, 4.0, 0.0]]).expand(3, -1)
    assert select_candidate(torch.cat([wild, steady, base], 1), bounds, base) == 1
    assert select_candidate(torch.cat([wild, base], 1), bounds[:, [0, 2]], base) == 1


def test_a_very_low_loss_in_one_fold_does_not_decide():
    """The candidate with the lowest mean loss has a very low loss on a single fold."""
    steady = torch.tensor([[1.0], [1.0], [1.0], [1.0], [1.0]])
    lucky = torch.tensor([[2.0], [2.0], [2.0], [2.0], [-3.5]])
    losses = torch.cat([lucky, steady, steady + 0.01], dim=1)
    assert losses.mean(0).argmin() == 0
    assert select_candidate(losses, torch.ones(5, 3)) == 1


def test_a_correction_far_longer_than_any_score_is_not_plausible():
    losses = torch.tensor([[-1.2, -1.0], [-1.2, -1.0], [-1.2, -1.0]])
    plausible, wild = torch.tensor([[4.0, 1.0]]), torch.tensor([[10.0, 1.0]])
    assert select_candidate(losses, plausible.expand(3, -1)) == 0
    assert select_candidate(losses, wild.expand(3, -1)) == 1
    assert select_candidate(losses, (1e5 * wild).expand(3, -1)) in (0, 1)  # none is plausible


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_candidate_that_fails_on_a_fold_is_never_chosen(bad):
    losses = torch.tensor([[bad, 3.0], [1.0, 3.0]])
    assert select_candidate(losses, torch.tensor([[0.0, 9.0], [0.0, 9.0]])) == 1


def test_a_single_split_is_decided_by_its_losses():
    assert select_candidate(torch.tensor([[2.0, 1.0]]), torch.tensor([[0.0, 9.0]])) == 1


def test_a_gain_over_the_base_alone_must_exceed_two_standard_errors():
    base = torch.zeros(5, 1)
    luck = torch.tensor([[-0.13], [-0.06], [-0.41], [0.25], [-0.36]])  # 1.2 standard errors
    structure = torch.tensor([[-1.3], [-0.6], [-1.1], [-0.9], [-1.6]])  # 7 standard errors
    bounds = torch.ones(5, 2)
    simplest = torch.tensor([0])
    assert select_candidate(torch.cat([base, luck], 1), bounds, simplest=simplest) == 0
    assert select_candidate(torch.cat([base, structure], 1), bounds, simplest=simplest) == 1
    assert select_candidate(torch.cat([base, luck], 1), bounds) == 1  # without a simplest candidate
