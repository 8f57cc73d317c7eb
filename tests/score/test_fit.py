"""Dense and landmark fits, and the choice of the regularisation strength."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sk_mige.datasets import (
    make_banana,
    make_gaussian_clusters,
    make_gaussian_mixture,
    make_ring,
)
from sk_mige.score import ScoreSettings, fit, fit_dense, fit_stein, heldout, ssge, whitening
from sk_mige.score.fit import fit_in_units, fit_landmarks
from sk_mige.score.folds import radial_folds
from sk_mige.score.heldout import kernel_sums
from sk_mige.score.kernels import KERNELS, ROUGH
from sk_mige.score.model import build_expansion
from sk_mige.score.select import clear_gain
from sk_mige.score.spectrum import ALPHAS
from sk_mige.score.subspace import fold_coordinates, sample_subspace
from sk_mige.score.units import feature_units

from .conftest import gaussian


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("threshold", [0.94, 0.99])
@pytest.mark.parametrize(("n", "d"), [(60, 3), (20, 50)])
def test_the_published_settings_are_ssge(threshold, n, d, kernel):
    x = gaussian(n, d) * 3 + 5
    settings = ScoreSettings(eigen_threshold=threshold, whiten=False, base=None, kernel=kernel)
    model = fit_dense(x, settings).model
    torch.testing.assert_close(model.score(x), ssge(x, eigen_threshold=threshold, kernel=kernel))


def test_out_of_sample_scores_are_kernel_sections_times_coefficients():
    """ĝ(E) = k(E, X) C with C = σ⁻² U_J Λ_J⁻² U_J' (K X − diag(K1) X)."""
    x, fresh = gaussian(50, 3) + 1, gaussian(8, 3, seed=1)
    fit = fit_dense(x, ScoreSettings(n_eigen=7, whiten=False, base=None))
    sigma = fit.model.expansion.bandwidth
    gram = torch.exp(-torch.cdist(x, x).square() / (2 * sigma**2))
    values, u = torch.linalg.eigh(gram)
    values, u = values[-7:], u[:, -7:]
    g = gram @ x - gram.sum(1, keepdim=True) * x
    c = u @ ((u.mT @ g) / values[:, None].square()) / sigma**2
    cross = torch.exp(-torch.cdist(fresh, x).square() / (2 * sigma**2))
    torch.testing.assert_close(fit.model.score(fresh), cross @ c)
    assert fit.n_eigen == 7
    assert fit.alpha == 0.0


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("curl_free", [False, True])
def test_all_rows_as_landmarks_are_the_dense_fit(curl_free, kernel):
    x, fresh = gaussian(70, 8), gaussian(9, 8, seed=1)
    x = feature_units(x)(x)
    settings = ScoreSettings(alpha=1e-3, curl_free=curl_free, kernel=kernel)
    expansion, _ = build_expansion(x, settings, centers=x)
    parts = [kernel_sums(expansion, part) for part in x.split(25)]
    model = fit_landmarks(expansion, parts, settings).model
    expected = fit_dense(x, settings).model.score(fresh)
    torch.testing.assert_close(model.score(fresh), expected, rtol=1e-5, atol=1e-6)


def test_an_orthonormal_projection_onto_all_dimensions_changes_nothing():
    x, fresh = gaussian(40, 3) * 2, gaussian(5, 3, seed=1)
    rotation = torch.linalg.qr(gaussian(3, 3, seed=2))[0]
    plain = fit_dense(x, ScoreSettings())
    rotated = fit_dense(x, ScoreSettings(), projection=rotation)
    assert rotated.alpha == plain.alpha
    torch.testing.assert_close(rotated.model.score(fresh), plain.model.score(fresh))


@pytest.mark.parametrize("settings", [
    ScoreSettings(alpha=1e-3), ScoreSettings(alpha=1e-3, curl_free=True),
    ScoreSettings(alpha=1e-3, shrinkage=1.0), ScoreSettings(eigen_threshold=0.99, base=None),
])  # fmt: skip
def test_a_fit_in_the_span_equals_the_fit_in_all_coordinates(settings):
    """Rotating the samples rotates their scores."""
    generator = torch.Generator().manual_seed(3)
    x = gaussian(12, 30)
    turn = torch.linalg.qr(torch.randn(30, 30, generator=generator, dtype=torch.float64))[0]
    subspace, coordinates = sample_subspace(x)
    torch.testing.assert_close(torch.cdist(coordinates, coordinates), torch.cdist(x, x))
    fresh = torch.cat([x[:3], gaussian(3, 30, seed=4)])
    torch.testing.assert_close(torch.cdist(subspace.embed(fresh[3:]), coordinates),
                               torch.cdist(fresh[3:], x))  # fmt: skip
    plain = fit_in_units(x, settings).model.score(fresh)
    turned = fit_in_units(x @ turn, settings).model.score(fresh @ turn) @ turn.mT
    torch.testing.assert_close(turned, plain, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_span_is_accurate_for_a_far_mean(dtype):
    """Displacements of float32 samples are exact to rounding."""
    x = (gaussian(20, 300) + 1e4).to(dtype)
    subspace, coordinates = sample_subspace(x)
    displacements = x.double() - x.double().mean(0)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(
        subspace.rows.double(), displacements, rtol=tolerance, atol=tolerance
    )
    axes = subspace.rows.double().mT @ subspace.mixing
    torch.testing.assert_close(axes.mT @ axes, torch.eye(19).double(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        subspace.lift_inside(coordinates) + subspace.origin,
        x.double(),
        rtol=1e-6,
        atol=1e-4,
        check_dtype=False,
    )


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_coordinates_of_a_fold_are_those_in_the_span_of_its_training_rows(shift):
    x = gaussian(30, 40) + shift
    kept, held = torch.arange(30) % 3 > 0, torch.arange(30) % 3 == 0
    train, held_out = fold_coordinates(x @ x.mT, kept, held)
    span, expected = sample_subspace(x[kept])
    torch.testing.assert_close(torch.cdist(train, train), torch.cdist(expected, expected))
    torch.testing.assert_close(torch.cdist(held_out, train), torch.cdist(x[held], x[kept]))
    torch.testing.assert_close(held_out.abs(), span.embed(x[held]).abs(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("d", [3, 300])
def test_scores_at_the_samples_are_those_of_the_model(d):
    x = gaussian(40, d)
    for settings in (
        ScoreSettings(alpha=1e-2),
        ScoreSettings(alpha=1e-2, curl_free=True),
        ScoreSettings(alpha=float("inf")),
    ):
        fit = fit_dense(x, settings)
        torch.testing.assert_close(fit.scores(x), fit.model.score(x), rtol=1e-6, atol=1e-6)


def test_hyvarinens_loss_finds_the_estimate_closest_to_the_truth():
    for make in (make_banana, make_gaussian_mixture, make_ring):
        X, exact = make(400, random_state=0)
        held_out = exact.sample(4000, random_state=1)
        x, held = torch.from_numpy(X), torch.from_numpy(held_out)
        truth = torch.from_numpy(exact(held_out))
        losses, errors = [], []
        for threshold in (0.5, 0.9, 0.99, 0.9999):
            model = fit_dense(x, ScoreSettings(eigen_threshold=threshold)).model
            losses.append(float(model.hyvarinen_loss(held).mean()))
            errors.append(float((model.score(held) - truth).square().sum(1).mean()) / 2)
        assert np.argmin(losses) == np.argmin(errors)
        # The loss is half the squared distance, up to a constant of the density.
        constant = -0.5 * float(truth.square().sum(1).mean())
        for loss, error in zip(losses, errors, strict=True):
            assert loss == pytest.approx(error + constant, abs=0.15 * abs(constant))


def test_folds_share_the_radii_and_do_not_depend_on_the_order():
    x = gaussian(301, 2)
    fold = radial_folds(x)
    assert sorted(torch.bincount(fold).tolist()) == [100, 100, 101]
    order = torch.randperm(301, generator=torch.Generator().manual_seed(0))
    assert torch.equal(radial_folds(x[order]), fold[order])
    radii = (x - x.mean(0)).norm(dim=1)
    medians = torch.stack([radii[fold == k].median() for k in range(3)])
    assert medians.max() - medians.min() < 0.2


def test_neighbours_of_a_held_out_row_are_held_out_as_often_as_by_chance():
    """In independent folds, a third of the rows share the fold of their nearest neighbour."""
    x = gaussian(3000, 1)
    by_radius = radial_folds(x)[x.abs()[:, 0].argsort()]
    alike = (by_radius[1:] == by_radius[:-1]).double().mean()
    assert alike == pytest.approx(1 / 3, abs=0.03)


def test_the_error_on_a_line_is_small_whatever_the_samples():
    for seed in range(5):
        x, fresh = gaussian(400, 1, seed=seed), gaussian(400, 1, seed=seed + 50)
        score = fit_dense(x, ScoreSettings()).model.score(fresh)
        assert (score + fresh).square().mean() < 0.1


def test_the_chosen_strength_is_among_the_best_of_its_grid_on_the_folds():
    x = torch.from_numpy(make_banana(150, random_state=0)[0])
    fold = radial_folds(x)
    losses = torch.stack([
        torch.stack([
            fit_dense(x[fold != k], ScoreSettings(alpha=alpha)).model.hyvarinen_loss(x[fold == k])
            .mean() for alpha in ALPHAS
        ]) for k in range(3)
    ])  # fmt: skip
    chosen = ALPHAS.index(fit_dense(x, ScoreSettings()).alpha)
    excess = losses - losses[:, [int(losses.mean(0).argmin())]]
    assert excess.mean(0)[chosen] <= excess.std(0)[chosen]


def test_for_gaussian_data_the_score_is_close_to_that_of_the_base():
    fit = fit_dense(gaussian(500, 5), ScoreSettings())
    assert fit.alpha > 1e-2
    x = gaussian(9, 5, seed=1)
    torch.testing.assert_close(fit.model.score(x), -x, atol=0.5, rtol=0.2)


def test_too_few_samples_to_hold_any_out_fall_back_on_a_fixed_strength():
    assert fit_dense(gaussian(6, 2), ScoreSettings()).alpha == 0.1


@pytest.mark.parametrize("projected", [False, True])
@pytest.mark.parametrize(("n", "d"), [(120, 30), (40, 60)])
def test_cholesky_gives_the_scores_of_the_spectral_filter(monkeypatch, n, d, projected):
    x, fresh = gaussian(n, d) ** 3, gaussian(20, d, seed=1) ** 3
    projection = gaussian(d // 2, d, seed=2) / d**0.5 if projected and n > d else None
    settings = ScoreSettings(alpha=1e-3)
    solved = fit_dense(x, settings, projection=projection)
    assert solved.spectrum is None
    monkeypatch.setattr(fit, "CHOLESKY_RESOLUTION", 1.0)
    filtered = fit_dense(x, settings, projection=projection)
    assert filtered.spectrum is not None
    torch.testing.assert_close(
        solved.model.score(fresh), filtered.model.score(fresh), rtol=1e-6, atol=1e-6
    )
    torch.testing.assert_close(fit.spectrum_of(solved.model.expansion), filtered.spectrum)
    assert solved.n_eigen == filtered.n_eigen


@pytest.mark.parametrize("d", [20, 60])
@pytest.mark.parametrize("seed", range(3))
def test_folds_in_float32_choose_the_strength_of_float64(monkeypatch, seed, d):
    x = gaussian(150, d, seed)
    x = torch.cat([x, x[:, :3] ** 2 + x[:, 3:6]], 1)
    chosen = fit_dense(x, ScoreSettings()).alpha
    monkeypatch.setattr(heldout, "FLOAT32_RESOLUTION", 1.0)
    assert fit_dense(x, ScoreSettings()).alpha == chosen


def test_folds_with_a_narrow_kernel_choose_the_strength_of_float64(monkeypatch):
    """The distance between the modes is thousands of bandwidths."""
    x = gaussian(100, 10)
    x[:, 9] += x[:, 0].square()
    x[50:] += 1e4
    settings = ScoreSettings(bandwidth=1e-3, shrinkage=1.0, kernel=KERNELS["matern"])
    chosen = fit_dense(x, settings).alpha
    monkeypatch.setattr(heldout, "FLOAT32_RESOLUTION", 1.0)
    assert fit_dense(x, settings).alpha == chosen


@pytest.mark.parametrize("make", [make_banana, make_ring])
def test_dense_fits_to_many_rows_are_as_accurate_as_eigendecompositions(monkeypatch, make):
    x, score = make(500, random_state=0)
    fresh = score.sample(500, random_state=1)

    def error() -> float:
        found = fit_dense(torch.from_numpy(x), ScoreSettings()).model.score(torch.from_numpy(fresh))
        return float(np.square(found.numpy() - score(fresh)).sum())

    exact = error()
    monkeypatch.setattr(fit, "MAX_EIGH_ROWS", 400)
    monkeypatch.setattr(fit, "LANDMARKS", 160)
    assert error() < 1.1 * exact


@pytest.mark.parametrize("seed", [11, 23, 26])
def test_the_correction_of_a_single_feature_does_not_diverge_outside_the_data(seed):
    """The narrow mode needs a weak ridge, with which the wide mode can diverge."""
    covariances = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.01])[:, None, None]
    means = [[0.0], [0.0], [0.0], [0.0], [3.0]]
    X, score = make_gaussian_mixture(200, means=means, covariances=covariances, random_state=seed)
    fresh = score.sample(2000, random_state=0)
    found = fit_dense(torch.from_numpy(X), ScoreSettings()).model.score(torch.from_numpy(fresh))
    truth = score(fresh)
    assert np.square(found.numpy() - truth).sum() < np.square(truth).sum()


def test_skipped_folds_do_not_change_the_choice():
    """The choice equals that from all folds, of which some are not computed."""
    generator, computed = torch.Generator().manual_seed(0), 0
    variants = ScoreSettings().variants
    for _ in range(200):
        losses = torch.randn(3, 3, len(ALPHAS), generator=generator).double()
        losses[1:] -= torch.rand(2, 1, 1, generator=generator).double()
        losses[:, :, -1] = torch.rand(1, generator=generator).double() - 2

        def losses_of(variant, losses=losses):
            nonlocal computed
            for fold in losses[variants.index(variant)]:
                computed += 1
                yield fold

        chosen, (alpha, least) = variants[0], fit._best_alpha(losses[0])
        for variant, found in zip(variants[1:], losses[1:], strict=True):
            strength, lower = fit._best_alpha(found)
            comparable = alpha < float("inf") or variant.shrinkage == 1.0
            if comparable and clear_gain(least, lower):
                chosen, alpha, least = variant, strength, lower
        assert fit._best_variant(variants, losses_of) == (chosen, alpha)
    assert computed < 0.8 * 200 * 9


@pytest.mark.parametrize("d", [2, 10])
def test_modes_of_other_shapes_than_their_common_covariance_are_not_whitened_by_it(d):
    x, exact = make_gaussian_clusters(512, d, random_state=0)
    fresh = torch.from_numpy(exact.sample(500, random_state=1))
    truth, x = torch.from_numpy(exact(fresh.numpy())), torch.from_numpy(x)
    plain, whitened = (fit_dense(x, ScoreSettings(kernel=kind)).model for kind in ("auto", ROUGH))
    assert plain.expansion.whitening.shrinkage == 1.0
    errors = [float((model.score(fresh) - truth).square().sum()) for model in (plain, whitened)]
    assert errors[0] < 0.9 * errors[1]


@pytest.mark.parametrize("curl_free", [False, True])
def test_fits_stay_on_the_device_of_the_samples_with_another_default_device(curl_free):
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    settings = ScoreSettings(curl_free=curl_free)
    expected = fit_dense(x, settings).model.score(x)
    with torch.device("meta"):
        found = fit_dense(x, settings).model.score(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_fit_of_samples_with_a_graph_is_a_constant():
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fitted = fit_dense(x.clone().requires_grad_(), ScoreSettings()).model.score(x)
    assert not fitted.requires_grad
    assert torch.equal(fitted, fit_dense(x, ScoreSettings()).model.score(x))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: fit_dense(x, ScoreSettings()),
        lambda x: fit_dense(x, ScoreSettings(whiten=True, base="gaussian")),
        lambda x: fit_stein(x, ScoreSettings(), 0.1),
        whitening,
    ],
    ids=["dense", "whitened", "stein", "whitening"],
)
@pytest.mark.parametrize("shape", [(40, 2), (30, 8), (6, 20)])
def test_samples_that_are_not_finite_are_named(function, shape, value):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[3, 1] = value
    with pytest.raises(ValueError, match="^x contains NaN or infinity"):
        function(x)


@pytest.mark.parametrize("number", [None, -1.0, np.nan, [1.0]])
@pytest.mark.parametrize("name", ["alpha", "bandwidth", "bandwidth_factor"])
def test_settings_that_are_no_numbers_are_named(name, number):
    with pytest.raises(ValueError, match=f"^{name} must be "):
        fit_dense(torch.eye(3).double(), ScoreSettings(**{name: number}))
