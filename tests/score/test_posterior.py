"""Posterior of the errors of fitted scores, and expected Stein kernels."""

from __future__ import annotations

import pytest
import torch

from sk_mige.score import ScoreSettings, fit_dense, posterior, stein_kernel
from sk_mige.score.posterior import ScoreErrors, score_errors


def samples(n=60, d=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, dtype=torch.float64, generator=generator)


def fit(x, alpha=1e-2, **options):
    return fit_dense(x, ScoreSettings(alpha=alpha, **options)).model


def test_the_posterior_of_a_dense_fit_is_that_of_a_gaussian_process(monkeypatch):
    monkeypatch.setattr(posterior, "N_DRAWS", 20_000)
    x, alpha = samples(), 1e-2
    model = fit(x, alpha, whiten=False, base=None)
    found = score_errors(model, alpha, x)
    gram, eye = model.expansion.gram(), torch.eye(60, dtype=torch.float64)
    ridge = 60 * alpha
    expected = gram - gram @ torch.linalg.solve(gram + ridge * eye, gram)
    torch.testing.assert_close(found.draws @ found.draws.mT, expected, atol=0.02, rtol=0)
    freedom = torch.linalg.solve(gram + ridge * eye, gram).trace()
    norm = model.coefficients.mT @ gram @ model.coefficients
    torch.testing.assert_close(found.root.mT @ found.root, norm / freedom, rtol=1e-3, atol=0)


def test_the_covariance_of_the_prior_is_in_the_units_of_the_scores():
    x, units = samples(), torch.tensor([1e-3, 1e4], dtype=torch.float64)
    first, second = (score_errors(fit(rows), 1e-2, rows) for rows in (x, x * units))
    torch.testing.assert_close(second.draws, first.draws, rtol=1e-3, atol=1e-5)
    expected = first.root.mT @ first.root / units / units[:, None]
    torch.testing.assert_close(second.root.mT @ second.root, expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize("largest", [60, 20])
def test_the_posterior_does_not_depend_on_the_order_of_the_rows(monkeypatch, largest):
    monkeypatch.setattr(posterior, "MAX_CENTERS", largest)
    x, order = samples(), torch.arange(60).flip(0)
    first, second = (score_errors(fit(rows), 1e-2, rows) for rows in (x, x[order]))
    torch.testing.assert_close(second.draws, first.draws[order], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("d", [3, 30])
def test_the_root_is_that_of_the_norm_in_few_and_in_many_columns(d):
    x = samples(12, d)
    model = fit(x, whiten=False)
    root, gram = score_errors(model, 1e-2, x).root, model.expansion.gram()
    freedom = torch.linalg.solve(gram + 0.12 * torch.eye(12, dtype=torch.float64), gram).trace()
    norm = model.coefficients.mT @ gram @ model.coefficients
    assert root.shape == (min(12, d), d)
    torch.testing.assert_close(root.mT @ root, norm / freedom)


def test_the_posterior_variance_is_largest_at_an_isolated_row():
    x = torch.cat([samples(200), torch.tensor([[12.0, 0.0]]).double()])
    variances = score_errors(fit(x, 1e-4), 1e-4, x).draws.square().sum(1)
    assert variances.argmax() == 200
    assert variances[:200].median() < 0.1 * variances[200]


def test_the_posterior_variance_is_of_the_size_of_the_squared_error():
    x = samples(500)
    x[:, 1] = x[:, 0].square() - 1 + 0.5 * x[:, 1]  # a banana
    ridge = (x[:, 1] - x[:, 0].square() + 1) / 0.25
    exact = torch.stack([2 * x[:, 0] * ridge - x[:, 0], -ridge], 1)
    found = fit_dense(x, ScoreSettings())
    errors = score_errors(found.model, found.alpha, x)
    size = errors.draws.square().sum(1) * errors.root.square().sum()
    true = (found.model.score(x) - exact).square().sum(1)
    assert 0.2 < size.mean() / true.mean() < 5


def test_few_centres_represent_many(monkeypatch):
    x = samples(200)
    model = fit(x)
    expected = score_errors(model, 1e-2, x).draws.square().sum(1).mean()
    monkeypatch.setattr(posterior, "MAX_CENTERS", 100)
    monkeypatch.setattr(posterior, "CHUNK_ROWS", 64)
    found = score_errors(model, 1e-2, x).draws.square().sum(1).mean()
    assert found == pytest.approx(float(expected), rel=0.2)


@pytest.mark.parametrize("n", [8, 40])
def test_any_number_of_rows_has_a_posterior(n):
    x = samples(n, 12)
    x = torch.cat([x, x[:2]])  # equal rows
    found = score_errors(fit(x), 1e-2, x)
    assert found.root.shape[1] == 12
    assert found.draws.isfinite().all()
    assert found.root.isfinite().all()


@pytest.mark.parametrize(
    "options", [{"curl_free": True}, {"eigen_threshold": 0.9, "alpha": 0.0}, {"alpha": torch.inf}]
)
def test_other_fits_have_no_posterior(options):
    x = samples()
    options = {"alpha": 1e-2, **options}
    assert score_errors(fit(x, **options), options["alpha"], x) is None


def test_the_kernel_with_errors_is_the_mean_of_stein_kernels():
    """Errors f b and -f b, each with probability 1/2, have the covariance f f' ⊗ b b'."""
    x, f, b = samples(20), samples(20, 1, seed=1), samples(1, 2, seed=2)
    options = {"preconditioner": "covariance"}
    found = stein_kernel(x, -x, errors=ScoreErrors(f, b), **options)
    pair = [stein_kernel(x, -x + sign * f * b, **options).matrix() for sign in (1, -1)]
    torch.testing.assert_close(found.matrix(), (pair[0] + pair[1]) / 2)
    torch.testing.assert_close(found.diagonal(), found.matrix().diagonal())
    torch.testing.assert_close(found.take(slice(5)).matrix(), found.matrix()[:5, :5])
