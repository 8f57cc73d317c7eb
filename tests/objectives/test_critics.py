"""Critics: training of the bound, which the encoder maximises or minimises."""

import math

import pytest
import torch
from torch.distributions import Normal
from torch.nn.functional import cross_entropy

from sk_mige import Critic, InfoMax, InformationBottleneck, MIGEEncoder
from sk_mige.information.bounds import BOUNDS
from sk_mige.networks import Code
from sk_mige.objectives import (
    CriticBound,
    CriticInfoMax,
    FunctionObjective,
    PriorMatched,
    ViewCriticInfoMax,
)


def batch(seed=0, n=32):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=generator)
    return x, (x[:, :2] + 0.1 * torch.randn(n, 2, generator=generator)).requires_grad_()


def gradients(loss, z, critic):
    return torch.autograd.grad(loss, [z, *critic.parameters()], allow_unused=True)


@pytest.fixture
def information(request):
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        return CriticBound(request.param, 5, 2)


class BestCritic(torch.nn.Module):
    """log p(z | x) / p(z) of standard Gaussians with correlation ρ."""

    def __init__(self, rho):
        super().__init__()
        self.rho = rho

    def forward(self, x, z):
        given_x = Normal(self.rho * x[:, None], math.sqrt(1 - self.rho**2)).log_prob(z)
        return (given_x - Normal(0.0, 1.0).log_prob(z)).sum(-1)


@pytest.mark.parametrize("name", ["mine", "mine-f", "jsd", "smile", "infonce"])
@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8])
def test_the_minimised_bound_has_the_gradient_of_nats(name, rho):
    """At the best critic the gradient through z is dI/dρ = ρ / (1 - ρ²) a dimension."""
    information = CriticBound(name, 1, 1, normalize=False)
    information.critic = BestCritic(rho)
    if name == "mine-f":  # its best critic is one nat higher
        information.scores = lambda *_: BestCritic(rho)(*_[:2]) + 1
    x, noise = torch.randn(2, 1500, 1, generator=torch.Generator().manual_seed(1)).double()
    correlation = torch.tensor(rho, dtype=torch.float64, requires_grad=True)
    z = correlation * x + (1 - correlation**2).sqrt() * noise
    (gradient,) = torch.autograd.grad(information.minimise(x, z)[0], correlation)
    assert float(gradient) == pytest.approx(rho / (1 - rho**2), rel=0.15)


def test_infomax_maximises_the_published_objectives():
    for name in ("jsd", "smile"):
        information = CriticBound(name, 1, 1, normalize=False)
        x, z = torch.randn(2, 50, 1, generator=torch.Generator().manual_seed(1))
        z.requires_grad_()
        published = information.bound(information.critic(x, z)).objective
        torch.testing.assert_close(
            torch.autograd.grad(-information.maximise(x, z), z), torch.autograd.grad(published, z)
        )


@pytest.mark.parametrize("information", ["infonce", "mine-f", "club"], indirect=True)
def test_minimising_reverses_the_gradient_of_z_and_keeps_that_of_the_critic(information):
    optimizer = torch.optim.Adam(information.critic.parameters(), lr=1e-3)
    for step in range(50):  # until the critic detects the dependence
        optimizer.zero_grad()
        information.minimise(*batch(step))[1].backward()
        optimizer.step()
    x, z = batch()
    up = gradients(information.maximise(x, z), z, information.critic)
    bound, critic_loss = information.minimise(x, z)
    down = gradients(bound + critic_loss, z, information.critic)
    torch.testing.assert_close(down[0], -up[0])
    torch.testing.assert_close(down[1:], up[1:])


@pytest.mark.parametrize("information", ["mine", "mine-f"], indirect=True)
def test_an_estimate_below_zero_trains_the_critic_only(information):
    """Without this rule, z would diverge, and the estimate would fall to minus infinity."""
    x, z = batch()
    z = (-3 * z).detach().requires_grad_()
    assert information.bound(information.scores(information.normalize(x), z)).value < 0
    bound, critic_loss = information.minimise(x, z)
    of_z, *of_critic = gradients(bound + critic_loss, z, information.critic)
    assert not of_z.any()
    assert any(part.abs().sum() > 0 for part in of_critic)


@pytest.mark.parametrize("information", ["jsd", "infonce", "mine", "smile"], indirect=True)
def test_training_the_critic_alone_raises_the_bound_for_dependent_pairs(information):
    optimizer = torch.optim.Adam(information.critic.parameters(), lr=1e-4)  # as published
    values = []
    for step in range(60):
        x, z = batch(step)
        _, loss = information.minimise(x, z)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scores = information.critic(information.normalize(x), z)
        values.append(information.bound(scores).value.item())
    assert sum(values[-10:]) > sum(values[:10]) + 5


@pytest.mark.parametrize("information", ["infonce"], indirect=True)
def test_the_critics_loss_does_not_depend_on_the_units_of_x(information):
    x, z = batch()
    objective = CriticInfoMax(information)
    here = objective(Code(z), x, torch.zeros(len(x)))
    there = objective(Code(z), 1000 * x + 7, torch.zeros(len(x)))
    torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-3)


def test_two_views_and_the_cosine_of_a_shared_embedding_are_a_contrastive_loss():
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        information = CriticBound("infonce", 3, 3, "cosine", normalize=False, shared=True)
    first, second = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1))
    embedded = [information.critic.embed_x(z) for z in (first, second)]
    cosines = torch.cosine_similarity(embedded[0][:, None], embedded[1][None], dim=-1)
    own = torch.arange(6)
    expected = (cross_entropy(cosines / 0.5, own) + cross_entropy(cosines.mT / 0.5, own)) / 2
    loss = ViewCriticInfoMax(information)(Code(torch.stack([first, second])), first, own)
    torch.testing.assert_close(loss, expected - math.log(6))


def test_a_shared_embedding_is_learned_once():
    apart, shared = (CriticBound("jsd", 3, 3, shared=shared) for shared in (False, True))
    counts = [sum(p.numel() for p in part.critic.parameters()) for part in (apart, shared)]
    assert counts[0] == 2 * counts[1]


def test_the_likelihood_of_an_upper_bound_trains_the_critic_only():
    """Features that are trained to be predictable would increase the error of the bound."""
    information = CriticBound("club", 3, 2, normalize=False)
    h, z = torch.randn(8, 3, requires_grad=True), torch.randn(8, 2, requires_grad=True)
    loss = information._critic_loss(h, z)
    assert torch.autograd.grad(loss, [h, z], allow_unused=True, retain_graph=True) == (None, None)
    assert torch.autograd.grad(loss, list(information.critic.parameters()))


def test_the_moving_average_is_updated_in_training_only_and_recovers_from_nan():
    information = CriticBound("mine", 5, 2)
    information.maximise(*batch())
    kept = information.bound.log_average.clone()
    information.eval()
    information.maximise(*batch(1))
    assert torch.equal(information.bound.log_average, kept)
    information.train()
    information.bound.log_average.fill_(torch.nan)
    information.maximise(*batch())
    assert torch.equal(information.bound.log_average, kept)
    assert "bound.log_average" in information.state_dict()


def test_the_loss_of_held_out_rows_is_minus_the_bound():
    """A constant added to all scores changes MINE's objective, but not the bound."""
    information = CriticBound("mine", 5, 2)
    x, z = batch()
    information.maximise(x, z)
    objective = CriticInfoMax(information).eval()
    expected = information.bound(information.scores(information.normalize(x), z)).value
    torch.testing.assert_close(objective.held_out(Code(z), x, torch.zeros(32)), -expected)
    information.scores = lambda *pair: CriticBound.scores(information, *pair) + 5
    torch.testing.assert_close(objective.held_out(Code(z), x, torch.zeros(32)), -expected)


def test_the_loss_of_held_out_rows_leaves_the_adversary_out():
    x, z = batch()
    for name in ("mine", "infonce"):
        objective = CriticInfoMax(CriticBound(name, 5, 2))
        objective(Code(z), x, torch.zeros(32))
        matched = PriorMatched(objective, 2, 1.0).eval()
        alone = objective.held_out(Code(z), x, torch.zeros(32))
        torch.testing.assert_close(matched.held_out(Code(z), x, torch.zeros(32)), alone)


class Blind(torch.nn.Module):
    """A critic that gives all pairs the same score."""

    def __init__(self, n_features, n_components):
        super().__init__()
        self.score = torch.nn.Parameter(torch.zeros(()))
        self.dimensions = n_features, n_components

    def forward(self, x, z):
        return (self.score * z.mean()).expand(len(x), len(z))


@pytest.mark.parametrize(
    ("parameters", "dimensions"),
    [({}, (5, 2)), ({"layer": "hidden1"}, (16, 2)), ({"n_views": 2}, (2, 2))],
)
def test_a_users_critic_is_made_for_the_dimensions_of_its_inputs(parameters, dimensions):
    encoder = MIGEEncoder(
        2, mode=InfoMax(Critic("infonce", Blind), **parameters), hidden_layer_sizes=(16,),
        max_epochs=1, random_state=0,
    ).fit(batch(n=64)[0].numpy())  # fmt: skip
    assert encoder.net_.criterion_.information.critic.dimensions == dimensions
    assert encoder.history_[0]["train_loss"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("critic", "error", "message"),
    [
        (Blind(5, 2), TypeError, "critic must be a name, or a function.*the module Blind itself"),
        (lambda d, k: "no module", TypeError, "critic must be .* the function returned str"),
        (lambda d, k: torch.nn.Bilinear(d, k, 1), ValueError, r"shape \(64, 64\); got \(64, 1\)"),
        ("cosin", ValueError, "'critic' parameter"),
    ],
    ids=["module", "word", "pairs", "unknown"],
)
def test_critics_that_cannot_be_used_are_refused(critic, error, message):
    encoder = MIGEEncoder(2, mode=InfoMax(Critic("jsd", critic)), hidden_layer_sizes=(16,))
    with pytest.raises(error, match=message):
        encoder.fit(batch(n=64)[0].numpy())


def test_the_adversary_moves_codes_towards_the_prior():
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        matched = PriorMatched(FunctionObjective(lambda code, x, y: code.z.sum() * 0), 1, 1.0)
        z = torch.nn.Parameter(5 + 0.1 * torch.randn(64, 1))
        optimizer = torch.optim.Adam([z, *matched.parameters()], lr=3e-2)
        for _ in range(200):
            optimizer.zero_grad()
            matched(Code(z), torch.zeros(64, 1), torch.zeros(64)).backward()
            optimizer.step()
    assert abs(float(z.detach().mean())) < 2.5


@pytest.mark.parametrize("name", sorted(BOUNDS))
@pytest.mark.parametrize("mode", [InfoMax, InformationBottleneck])
def test_the_name_of_a_bound_selects_its_objective(name, mode):
    x, _ = batch(n=64)
    X, y = x.numpy(), (x[:, 0] > 0).numpy().astype(int)
    encoder = MIGEEncoder(
        2, mode=mode(name), hidden_layer_sizes=(16,), max_epochs=2, random_state=0
    ).fit(X, y)
    assert encoder.transform(X).shape == (64, 2)
    before = [p.clone() for p in encoder.net_.criterion_.parameters()]
    encoder.partial_fit(X, y)
    after = encoder.net_.criterion_.parameters()
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert any(changed), "partial_fit must continue the training of the same critic"


def test_a_changed_objective_needs_a_fresh_fit():
    x, _ = batch(n=64)
    encoder = MIGEEncoder(2, mode=InfoMax("jsd"), hidden_layer_sizes=(16,), max_epochs=1)
    encoder.fit(x.numpy()).set_params(mode__information="club")
    with pytest.raises(ValueError, match="mode__information=.*club.*warm_start=False"):
        encoder.partial_fit(x.numpy())
