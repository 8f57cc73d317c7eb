"""The bottleneck: likelihoods, variational information, and β as a dual variable."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch.distributions import Normal, kl_divergence

from sk_mige.networks import Code
from sk_mige.objectives import (
    BottleneckLoss,
    ClassLikelihood,
    GaussianLikelihood,
    MIGETerm,
    VariationalTerm,
)
from sk_mige.score import ssge


def gaussian_code(generator: torch.Generator, n: int = 100, k: int = 3) -> Code:
    mean = torch.randn(n, k, generator=generator)
    scale = torch.rand(n, k, generator=generator) + 0.1
    return Code(mean + scale * torch.randn(n, k, generator=generator), (mean, scale))


def test_smoothed_labels_are_spread_over_all_classes(generator: torch.Generator) -> None:
    logits, y = torch.randn(6, 4, generator=generator), torch.tensor([0, 1, 2, 3, 0, 1])
    target = 0.9 * torch.eye(4)[y] + 0.1 / 4
    expected = -(target * logits.log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(ClassLikelihood(label_smoothing=0.1)(logits, y), expected)


def test_confidence_penalty_is_a_bonus_for_predictive_entropy(generator: torch.Generator) -> None:
    logits, y = torch.randn(6, 4, generator=generator), torch.tensor([0, 1, 2, 3, 0, 1])
    entropy = torch.distributions.Categorical(logits=logits).entropy().mean()
    expected = ClassLikelihood()(logits, y) - 0.3 * entropy
    torch.testing.assert_close(ClassLikelihood(confidence_penalty=0.3)(logits, y), expected)


def test_class_of_weight_two_counts_as_two_rows(generator: torch.Generator) -> None:
    logits, y = torch.randn(3, 2, generator=generator), torch.tensor([0, 1, 1])
    twice = ClassLikelihood()(logits[[0, 0, 1, 2]], y[[0, 0, 1, 2]])
    torch.testing.assert_close(ClassLikelihood(torch.tensor([2.0, 1.0]))(logits, y), twice)


@pytest.mark.parametrize("likelihood", [ClassLikelihood(), GaussianLikelihood(4)])
def test_all_draws_of_a_row_have_its_target(
    likelihood: torch.nn.Module, generator: torch.Generator
) -> None:
    classes = isinstance(likelihood, ClassLikelihood)
    y = torch.tensor([0, 3]) if classes else torch.randn(2, 4, generator=generator)
    draws = torch.randn(5, 2, 4, generator=generator)
    expected = torch.stack([likelihood(draw, y) for draw in draws]).mean()
    torch.testing.assert_close(likelihood(draws, y), expected)


@pytest.mark.parametrize("learned", [False, True])
def test_variational_information_is_a_divergence(learned: bool, generator: torch.Generator) -> None:
    code = gaussian_code(generator)
    bound = VariationalTerm(3, learned=learned)
    model = Normal(0.0, 1.0)
    if learned:
        with torch.no_grad():
            bound.center.copy_(torch.tensor([1.0, 0.0, -2.0]))
        width = torch.nn.functional.softplus(bound.rho) + 1e-4
        model = Normal(bound.center, width)
    expected = kl_divergence(Normal(*code.conditional), model).sum(-1).mean()
    information, own_loss = bound(code, code.z)
    torch.testing.assert_close(information, expected)
    torch.testing.assert_close(bound.upper_bound(code), expected.detach())
    assert own_loss is None


def test_variational_information_exceeds_the_gaussian_bound(generator: torch.Generator) -> None:
    # The Gaussian of MIGE's bound has the moments of q(z), so no other Gaussian is closer.
    for _ in range(5):
        code = gaussian_code(generator, n=2000)
        variational = VariationalTerm(3).upper_bound(code)
        assert variational >= MIGETerm(ssge).upper_bound(code)


@pytest.mark.parametrize("k", [2, 8, 32, 128, 256])
def test_gradient_of_information_is_right_at_batch_100_in_any_dimension(k: int) -> None:
    # z = W x + σ ε with 10 directions of signal: d I / d log σ, default settings.
    generator = torch.Generator().manual_seed(k)
    root = torch.randn(10, k, generator=generator).double() / 10**0.5
    log_scale = (0.3 * torch.randn(k, generator=generator)).double().requires_grad_()
    covariance = root.mT @ root + (2 * log_scale).exp().diag()
    (truth,) = torch.autograd.grad(0.5 * torch.logdet(covariance) - log_scale.sum(), log_scale)
    total = torch.zeros(k, dtype=torch.float64)
    for _ in range(20):
        mean = torch.randn(100, 10, generator=generator).double() @ root
        scale = log_scale.exp().expand(100, k)
        code = Code(mean + scale * torch.randn(100, k, generator=generator).double(), (mean, scale))
        information = MIGETerm(partial(ssge, eigen_threshold=0.999))
        surrogate, _ = information(code, mean)
        total += torch.autograd.grad(surrogate, log_scale)[0] / 20
    assert float((total - truth).norm() / truth.norm()) < 0.1


def test_score_of_a_known_conditional_can_be_estimated_from_draws(
    generator: torch.Generator,
) -> None:
    # z = x + σ ε in one dimension: dI/dσ = -1/(σ + σ³).
    mean = torch.randn(200, 1, generator=generator)
    scale = torch.tensor(0.5, requires_grad=True)
    z = mean + scale * torch.randn(32, 200, 1, generator=generator)
    code = Code(z, (mean, scale.expand(200, 1)))
    MIGETerm(ssge, closed_form=False)(code, mean)[0].backward()
    assert float(scale.grad) == pytest.approx(-1 / (0.5 + 0.5**3), rel=0.15)


@pytest.mark.parametrize(("limit", "grows"), [(0.01, True), (100.0, False)])
def test_beta_grows_while_information_exceeds_its_limit(
    limit: float, grows: bool, generator: torch.Generator
) -> None:
    objective = BottleneckLoss(ClassLikelihood(), MIGETerm(ssge), 1e-2, max_information=limit)
    code = gaussian_code(generator)._replace(prediction=torch.zeros(100, 2))
    for _ in range(3):
        objective(code, code.z, torch.zeros(100, dtype=torch.int64))
    assert (objective.current_beta > 1e-2) == grows


@pytest.mark.parametrize(
    "term", [MIGETerm(ssge), MIGETerm(ssge, marginal="classes"), VariationalTerm(3)]
)
def test_the_limit_uses_the_value_of_the_information(
    term: MIGETerm | VariationalTerm, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = gaussian_code(generator)._replace(prediction=torch.zeros(100, 2))
    y = torch.arange(100) % 2
    expected = term.upper_bound(code, y)
    objective = BottleneckLoss(ClassLikelihood(), term, 1e-2, max_information=1.0)
    monkeypatch.setattr(type(term), "upper_bound", None)
    objective(code, code.z, y)
    torch.testing.assert_close(objective.reached, expected)


def test_the_limit_within_classes_does_not_count_the_entropy_of_the_classes(
    generator: torch.Generator,
) -> None:
    # I(x; z | y) = 1.5 log(1 + 0.25) = .33 nats, and H(y) = log 10 = 2.3 nats.
    y = torch.arange(2000) % 10
    mean = 10 * torch.randn(10, 3, generator=generator)[y]
    mean = mean + 0.5 * torch.randn(2000, 3, generator=generator)
    code = Code(mean, (mean, torch.ones(2000, 3)), prediction=torch.zeros(2000, 10))
    term = MIGETerm(ssge, marginal="classes")
    assert float(term.upper_bound(code, y)) == pytest.approx(1.5 * math.log(1.25), abs=0.03)
    objective = BottleneckLoss(ClassLikelihood(), term, 1e-2, max_information=1.0)
    for _ in range(3):
        objective(code, code.z, y)
    assert objective.current_beta < 1e-2


def test_an_estimate_that_is_no_bound_is_not_compared_with_the_limit(
    generator: torch.Generator,
) -> None:
    code = gaussian_code(generator)._replace(prediction=torch.zeros(100, 2))
    code.z.requires_grad_()
    term = MIGETerm(ssge, marginal="mixture")
    objective = BottleneckLoss(ClassLikelihood(), term, 1e-2, max_information=1.0)
    objective(code, code.z, torch.zeros(100, dtype=torch.int64))
    torch.testing.assert_close(objective.reached, term.upper_bound(code))


@pytest.mark.parametrize("beta", [0.0, 1e-2])
def test_beta_stays_finite_for_any_value_of_the_information(beta: float) -> None:
    objective = BottleneckLoss(ClassLikelihood(), MIGETerm(ssge), beta, max_information=1.0)
    for value in (math.inf, -math.inf, math.nan, *[1e30] * 2000):
        objective._adjust(torch.tensor(value))
    assert 0 < objective.current_beta < 1001


@pytest.mark.parametrize("information", [0.0, 0.5, 2.0, 5.0, -1.0])
def test_the_step_of_log_beta_is_the_relative_excess(information: float) -> None:
    """log β ← log β + 0.05 (I - c) / (|I| + c): at most a factor e in 20 batches."""
    objective = BottleneckLoss(ClassLikelihood(), MIGETerm(ssge), 0.1, max_information=2.0)
    before = math.log(objective.current_beta)
    objective._adjust(torch.tensor(information))
    step = 0.05 * (information - 2) / (abs(information) + 2)
    assert math.log(objective.current_beta) - before == pytest.approx(step, abs=1e-6)


def test_the_weight_of_a_code_replaces_that_of_the_loss_and_divides_it(
    generator: torch.Generator,
) -> None:
    code = gaussian_code(generator)._replace(prediction=torch.zeros(100, 2))
    y = torch.zeros(100, dtype=torch.int64)
    loss = BottleneckLoss(ClassLikelihood(), VariationalTerm(3), beta=0.1)
    rate = VariationalTerm(3).upper_bound(code)
    found = loss(code._replace(beta=torch.tensor(0.5)), y, y)
    torch.testing.assert_close(found, (math.log(2) + 0.5 * rate) / (1 + 0.5 / 0.1))


def test_an_unlearned_variance_is_the_mean_squared_error(generator: torch.Generator) -> None:
    errors = torch.randn(40, 2, generator=generator, requires_grad=True)
    loss = GaussianLikelihood(2, learned=False)(errors, torch.zeros(40, 2))
    expected = 0.5 * (errors.square().mean(0) + 1e-4).log().sum()
    torch.testing.assert_close(
        torch.autograd.grad(loss, errors), torch.autograd.grad(expected, errors)
    )


def test_the_attributes_of_a_fit_are_the_weight_and_a_limited_information() -> None:
    free = BottleneckLoss(ClassLikelihood(), MIGETerm(ssge), 0.1)
    assert free.fitted_attributes() == {"beta_": 0.1}
    limited = BottleneckLoss(ClassLikelihood(), MIGETerm(ssge), 0.1, max_information=2.0)
    limited.reached = torch.tensor(1.5)
    assert limited.fitted_attributes() == {"beta_": pytest.approx(0.1), "information_": 1.5}
    limited.reached = torch.tensor(2.5)
    with pytest.warns(ConvergenceWarning, match="2.5 nats at the end of training, above"):
        limited.fitted_attributes()
