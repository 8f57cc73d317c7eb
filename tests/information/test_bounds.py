"""Bounds evaluated at the best critic, the log density ratio of correlated Gaussians."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal

from sk_mige.information import (
    ConcatenatedCritic,
    DonskerVaradhan,
    GaussianCritic,
    PriorMatching,
    SeparableCritic,
    fit_critic,
    make_bound,
    smile,
)
from sk_mige.information.bounds import BOUNDS

RHO = 0.6


@pytest.fixture(autouse=True)
def _seed_networks():
    """Networks draw weights from the global generator, which is restored afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        yield


def correlated(n: int, d: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x, noise = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
    return x, RHO * x + math.sqrt(1 - RHO**2) * noise


def log_density_ratio(x: Tensor, y: Tensor) -> Tensor:
    """log p(y_j | x_i) / p(y_j), shape (M, M)."""
    given_x = Normal(RHO * x[:, None], math.sqrt(1 - RHO**2)).log_prob(y)
    return (given_x - Normal(0.0, 1.0).log_prob(y)).sum(-1)


@pytest.mark.parametrize("name", ["mine", "mine-f", "jsd", "smile", "infonce"])
def test_the_log_density_ratio_makes_every_bound_tight(name, generator):
    x, y = correlated(2000, 2, generator)
    ratio = log_density_ratio(x, y)
    truth = -math.log(1 - RHO**2)
    shifted = ratio + 1 if name == "mine-f" else ratio
    assert abs(make_bound(name)(shifted).value - truth) < 0.05


def test_club_is_above_the_information_by_a_known_amount(generator):
    x, y = correlated(3000, 1, generator)
    given_x = log_density_ratio(x, y) + Normal(0.0, 1.0).log_prob(y).sum(-1)
    upper = RHO**2 / (1 - RHO**2)
    assert abs(make_bound("club")(given_x).value - upper) < 0.08
    assert upper > -0.5 * math.log(1 - RHO**2)


@pytest.mark.parametrize("name", ["mine", "mine-f", "jsd", "smile", "infonce"])
def test_the_best_critic_is_a_stationary_point(name, generator):
    x, y = correlated(3000, 1, generator)
    shift = 1.0 if name == "mine-f" else 0.0
    gain = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    scores = gain * log_density_ratio(x, y) + shift
    objective = make_bound(name)(scores).critic_objective
    (slope,) = torch.autograd.grad(objective, gain)
    assert abs(slope) < 0.05


@settings(max_examples=20)
@given(m=st.integers(2, 30), size=st.floats(0, 100))
def test_infonce_never_exceeds_the_log_of_the_batch(m, size):
    scores = size * torch.randn(m, m, generator=torch.Generator().manual_seed(0))
    assert make_bound("infonce")(scores).value <= math.log(m) + 1e-4


@settings(max_examples=25)
@given(name=st.sampled_from(list(BOUNDS)), m=st.integers(2, 10), size=st.floats(0, 1e4))
def test_objectives_and_gradients_of_mine_jsd_and_the_others_are_finite(name, m, size):
    generator = torch.Generator().manual_seed(0)
    scores = (size * torch.randn(m, m, generator=generator).double()).requires_grad_()
    estimate = make_bound(name)(scores)
    if name != "mine-f" or size < 100:  # exponentials of NWJ overflow
        (gradient,) = torch.autograd.grad(estimate.critic_objective, scores)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", list(BOUNDS))
def test_derivatives_are_those_of_the_objective(name, generator):
    scores = torch.randn(4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    if name == "mine":  # the objective of MINE has another gradient
        return
    assert torch.autograd.gradcheck(lambda s: make_bound(name)(s).objective, scores)


@pytest.mark.parametrize("name", ["jsd", "smile"])
def test_jsd_and_smile_train_the_critic_by_the_odds_of_telling_pairs_apart(name, generator):
    """With σ the logistic function: σ(-T) / M for each pair, -σ(T) / M(M - 1) for the others."""
    m = 5
    scores = 3 * torch.randn(m, m, generator=generator, dtype=torch.float64)
    scores.requires_grad_()
    (gradient,) = torch.autograd.grad(make_bound(name)(scores).objective, scores)
    pairs = torch.eye(m, dtype=torch.bool)
    odds = scores.detach().sigmoid()
    torch.testing.assert_close(gradient, torch.where(pairs, (1 - odds) / m, -odds / (m * (m - 1))))


def test_mine_without_memory_is_donsker_and_varadhans_gradient(generator):
    scores = torch.randn(5, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    (plain,) = torch.autograd.grad(DonskerVaradhan(rate=1.0)(scores).objective, scores)
    off = ~torch.eye(5, dtype=torch.bool)
    value = scores.diagonal().mean() - scores[off].logsumexp(0) + math.log(20)
    (expected,) = torch.autograd.grad(value, scores)
    torch.testing.assert_close(plain, expected)


def test_mine_divides_by_the_average_over_past_batches(generator):
    bound = DonskerVaradhan(rate=0.25)
    bound(torch.zeros(3, 3))  # mean of exp is 1
    scores = torch.full((3, 3), math.log(5.0), requires_grad=True)
    (gradient,) = torch.autograd.grad(bound(scores).objective, scores)
    # average 0.75 · 1 + 0.25 · 5 = 2; each of 6 pairs weighs 5 / 6
    torch.testing.assert_close(gradient[0, 1], torch.tensor(-5 / 6 / 2))


@pytest.mark.parametrize("name", list(BOUNDS))
def test_nats_are_a_differentiable_estimate_of_the_information(name, generator):
    x, y = correlated(2000, 1, generator)
    ratio = log_density_ratio(x, y).requires_grad_()
    bound = make_bound(name)
    nats = bound.nats(ratio + 1 if name == "mine-f" else ratio)
    truth = RHO**2 / (1 - RHO**2) if name == "club" else -0.5 * math.log(1 - RHO**2)
    assert abs(nats - truth) < 0.08
    assert nats.requires_grad


@pytest.mark.parametrize("name", ["mine-f", "infonce", "club"])
def test_an_objective_in_nats_is_used_as_it_is(name, generator):
    scores = torch.randn(5, 5, generator=generator)
    bound = make_bound(name)
    assert bound.nats(scores) == bound(scores).objective == bound.held_out(scores)


@pytest.mark.parametrize("name", ["jsd", "smile"])
def test_held_out_batches_are_compared_by_the_divergence_that_is_maximised(name, generator):
    scores = torch.randn(5, 5, generator=generator)
    bound = make_bound(name)
    assert bound.held_out(scores) == bound(scores).objective


def test_nats_of_mine_have_the_gradient_of_its_objective_and_leave_the_average(generator):
    bound = DonskerVaradhan(rate=0.25)
    bound(torch.zeros(5, 5))
    kept = bound.log_average
    scores = torch.randn(5, 5, generator=generator, requires_grad=True)
    nats = bound.nats(scores)
    assert nats == bound.held_out(scores)
    assert bound.log_average is kept
    estimate = bound(scores)
    assert nats == estimate.value
    gradients = [torch.autograd.grad(part, scores)[0] for part in (nats, estimate.objective)]
    torch.testing.assert_close(*gradients)


def test_mine_updates_its_average_in_training_mode_only():
    bound = DonskerVaradhan()
    bound(torch.ones(3, 3))
    bound.eval()(torch.zeros(3, 3))
    assert bound.state_dict()["log_average"] == 1


def test_a_transform_updates_the_average_of_mine_only_if_it_is_an_argument(generator):
    bound, scores = DonskerVaradhan(), torch.randn(5, 5, generator=generator)
    with pytest.raises(RuntimeError, match="captured Tensor"):
        torch.func.grad(lambda scores: bound(scores).objective)(scores)
    assert bound.log_average.isnan()

    def objective(scores, state):
        objective = torch.func.functional_call(bound, state, (scores,)).objective
        return objective, state

    state = {"log_average": torch.tensor(0.0)}
    _, moved = torch.func.grad(objective, has_aux=True)(scores, state)
    bound.log_average.zero_()
    bound(scores)
    torch.testing.assert_close(moved["log_average"], bound.log_average)


@pytest.mark.parametrize("name", list(BOUNDS))
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_bounds_of_scores_in_half_precision_are_computed_in_float32(name, dtype, generator):
    scores = torch.randn(64, 64, generator=generator).to(dtype)
    parts = torch.stack([scores, -scores], dim=1)
    for half, single in zip(
        [make_bound(name).nats(scores), make_bound(name).local(parts), *make_bound(name)(scores)],
        [
            make_bound(name).nats(scores.float()),
            make_bound(name).local(parts.float()),
            *make_bound(name)(scores.float()),
        ],
        strict=True,
    ):
        torch.testing.assert_close(half, single)


def test_only_club_takes_a_density_as_critic():
    assert [name for name in BOUNDS if make_bound(name).critic == "density"] == ["club"]


@pytest.mark.parametrize("name", list(BOUNDS))
def test_only_an_upper_bound_trains_its_critic_by_another_objective(name, generator):
    estimate = make_bound(name)(torch.randn(5, 5, generator=generator))
    assert (estimate.objective is estimate.critic_objective) == (name != "club")


@pytest.mark.parametrize("name", ["mine-f", "jsd", "smile", "club"])
def test_the_local_objective_is_the_mean_over_the_parts(name, generator):
    scores, bound = torch.randn(5, 3, 5, generator=generator), make_bound(name)
    expected = sum(bound(scores[:, p]).objective for p in range(3)) / 3
    torch.testing.assert_close(bound.local(scores), expected)


def test_local_infonce_contrasts_each_part_with_all_parts_of_other_inputs(generator):
    scores = torch.randn(4, 2, 4, generator=generator)
    terms = [
        own - torch.cat([own[None], scores[torch.arange(4) != i, :, i].flatten()]).logsumexp(0)
        for i in range(4)
        for own in scores[i, :, i]
    ]
    expected = torch.stack(terms).mean() + math.log(1 + 3 * 2)
    torch.testing.assert_close(make_bound("infonce").local(scores), expected)


@pytest.mark.parametrize("name", list(BOUNDS))
def test_a_bound_can_be_copied_and_pickled(name, generator):
    scores, bound = torch.randn(4, 4, generator=generator), make_bound(name)
    value = bound(scores).value
    for other in (copy.deepcopy(bound), pickle.loads(pickle.dumps(bound))):
        assert other(scores).value == value


def test_a_smaller_clip_bounds_smiles_partition_function():
    scores = torch.full((3, 3), 50.0)
    torch.testing.assert_close(smile(scores, clip=2.0).value, torch.tensor(48.0))


def test_an_unknown_bound_is_named():
    with pytest.raises(ValueError, match="name must be one of.*'infonce'.*got 'mi'"):
        make_bound("mi")


def test_a_separable_critic_is_an_inner_product(generator):
    critic = SeparableCritic(3, 2, hidden=(7,), n_embedding=5)
    x, y = torch.randn(4, 3, generator=generator), torch.randn(6, 2, generator=generator)
    expected = critic.embed_x(x) @ critic.embed_y(y).T
    torch.testing.assert_close(critic(x, y), expected)


def test_a_concatenated_critic_scores_every_pair(generator):
    critic = ConcatenatedCritic(3, 2, hidden=(7, 5))
    x, y = torch.randn(4, 3, generator=generator), torch.randn(6, 2, generator=generator)
    matrix = critic(x, y)
    torch.testing.assert_close(matrix[2, 4], critic(x[2:3], y[4:5])[0, 0])
    assert matrix.shape == (4, 6)


def test_a_gaussian_critic_is_a_log_density(generator):
    critic = GaussianCritic(3, 2)
    x, y = torch.randn(4, 3, generator=generator), torch.randn(5, 2, generator=generator)
    mean, raw = critic.network(x).chunk(2, dim=1)
    scale = (5 * torch.tanh(raw / 10)).exp()
    expected = Normal(mean[:, None], scale[:, None]).log_prob(y).sum(-1)
    torch.testing.assert_close(critic(x, y), expected)


@pytest.mark.parametrize(("mean", "log_variance"), [(5.0, -3.0), (50.0, -8.0), (1000.0, 0.0)])
def test_a_gaussian_critic_keeps_its_digits_far_from_zero(mean, log_variance, generator):
    critic = GaussianCritic(2, 64)
    with torch.no_grad():
        critic.network[-1].weight.mul_(0.01)
        critic.network[-1].bias[:64], critic.network[-1].bias[64:] = mean, log_variance
        x = torch.randn(64, 2, generator=generator)
        center, raw = critic.network(x).chunk(2, dim=1)
        scale = (5 * torch.tanh(raw / 10)).exp()
        y = center + scale * torch.randn(64, 64, generator=generator)
        given_x = Normal(center[:, None].double(), scale[:, None].double())
        torch.testing.assert_close(
            critic(x, y).double(), given_x.log_prob(y.double()).sum(-1), rtol=1e-4, atol=1e-3
        )


@pytest.mark.parametrize("name", ["mine", "mine-f", "jsd", "smile", "infonce"])
def test_training_tightens_the_bound(name, generator):
    x, y = (part.float() for part in correlated(400, 2, generator))
    critic, bound = ConcatenatedCritic(2, 2, hidden=(32,)), make_bound(name)
    before = bound(critic(x, y)).critic_objective.item()
    fit_critic(critic, bound, [(x[:100], y[:100])] * 60, learning_rate=1e-2)
    estimate = make_bound(name)(critic(x[200:], y[200:]))
    assert estimate.critic_objective > before
    assert 0.15 < estimate.value < 0.7  # the truth is 0.45


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_critic_is_trained_in_every_context(context, generator):
    x, y = (part.float() for part in correlated(50, 2, generator))
    critics = [GaussianCritic(2, 2, hidden=(8,)) for _ in range(2)]
    critics[1].load_state_dict(critics[0].state_dict())
    fit_critic(critics[0], make_bound("club"), [(x, y)] * 3)
    with context():
        fit_critic(critics[1], make_bound("club"), [(x.clone(), y.clone())] * 3)
    torch.testing.assert_close(critics[1](x, y), critics[0](x, y))


def test_a_trained_critic_gives_a_gradient_with_respect_to_the_samples(generator):
    x, y = (part.float() for part in correlated(200, 2, generator))
    critic = GaussianCritic(2, 2, hidden=(16,))
    fit_critic(critic, make_bound("club"), [(x, y)] * 80, learning_rate=1e-2)
    noise = torch.tensor(0.0, requires_grad=True)
    scattered = y + noise * torch.randn(200, 2, generator=generator)
    (slope,) = torch.autograd.grad(make_bound("club")(critic(x, scattered)).objective, noise)
    assert torch.isfinite(slope)


def test_prior_matching_leaves_encoder_and_discriminator_to_their_own_losses(generator):
    matching = PriorMatching(2, hidden=(8,))
    z = torch.rand(30, 2, generator=generator, requires_grad=True)
    discriminator_loss, encoder_loss = matching(z, generator)
    weights = list(matching.parameters())
    assert torch.autograd.grad(discriminator_loss, [z], allow_unused=True) == (None,)
    assert torch.autograd.grad(encoder_loss, weights, allow_unused=True) == (None,) * len(weights)
    (gradient,) = torch.autograd.grad(matching(z, generator)[1], z)
    assert gradient.norm() > 0


def test_prior_matching_moves_samples_towards_the_prior(generator):
    matching = PriorMatching(1, hidden=(16,))
    z = torch.full((64, 1), -3.0) + 0.1 * torch.randn(64, 1, generator=generator)
    z.requires_grad_()
    learner = torch.optim.Adam(matching.parameters(), lr=1e-2)
    mover = torch.optim.Adam([z], lr=5e-2)
    for _ in range(60):
        discriminator_loss, encoder_loss = matching(z, generator)
        for optimizer, loss in ((learner, discriminator_loss), (mover, encoder_loss)):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert z.mean() > -2.0


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("shape", [(1, 1), (0, 0), (3, 2), (2, 2, 2)])
def test_scores_that_are_no_matrix_of_pairs_are_named(name, shape):
    for call in (make_bound(name), make_bound(name).nats, make_bound(name).held_out):
        with pytest.raises(ValueError, match=r"scores must be a matrix \(M, M\).*at least M = 2"):
            call(torch.zeros(shape))


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64])
def test_scores_that_are_no_real_numbers_are_named(name, dtype):
    with pytest.raises(TypeError, match="scores must be real and floating-point, got torch"):
        make_bound(name)(torch.ones(3, 3, dtype=dtype))


@pytest.mark.parametrize("name", BOUNDS)
def test_parts_of_a_single_pair_are_named(name):
    with pytest.raises(ValueError, match="at least M = 2"):
        make_bound(name).local(torch.zeros(1, 3, 1))


def test_arrays_are_no_tensors():
    x = np.zeros((3, 2))
    with pytest.raises(TypeError, match="scores must be a tensor, got ndarray"):
        make_bound("infonce")(x)
    for critic in (SeparableCritic, ConcatenatedCritic, GaussianCritic):
        with pytest.raises(TypeError, match="x must be a tensor, got ndarray"):
            critic(2, 2)(x, x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SeparableCritic(2, 3, shared=True), "n_features_x=2 and n_features_y=3"),
        (lambda: SeparableCritic(2, 2, temperature=0.0), "temperature must be positive.*got 0.0"),
        (lambda: ConcatenatedCritic(2, 2, ()), "hidden must contain at least one width"),
        (lambda: DonskerVaradhan(0.0), r"rate must be a number in \(0, 1\]; got 0.0"),
        (lambda: smile(torch.eye(3), -1.0), "clip must be positive and finite; got -1.0"),
    ],
)
def test_parameters_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


CRITICS = [SeparableCritic, ConcatenatedCritic, GaussianCritic]


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("size", [0, -1, 2.0, "a", None])
def test_sizes_of_a_critic_are_named(critic, size):
    for arguments, name in [
        ((size, 2), "n_features_x"),
        ((2, size), "n_features_y"),
        ((2, 2, (size,)), "hidden"),
    ]:
        with pytest.raises(ValueError, match=f"^{name} must"):
            critic(*arguments)


@pytest.mark.parametrize("critic", CRITICS)
def test_one_hidden_width_is_a_sequence_of_one_width(critic):
    assert str(critic(2, 2, 8)) == str(critic(2, 2, (8,)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"critic": "separable"}, "critic must be a torch.nn.Module"),
        ({"bound": "nwj"}, "bound must be a function"),
        ({"learning_rate": -1.0}, "learning_rate must be positive"),
        ({"batches": [(torch.eye(3).numpy(), torch.eye(3))]}, "x must be a tensor, got ndarray"),
        ({"batches": [(torch.eye(3), [[1.0]])]}, "y must be a tensor, got list"),
    ],
    ids=str,
)
def test_arguments_of_the_training_of_a_critic_are_named(change, message):
    arguments = {
        "critic": SeparableCritic(3, 3, 4),
        "bound": make_bound("infonce"),
        "batches": [(torch.eye(3), torch.eye(3))],
    }
    with pytest.raises((TypeError, ValueError), match=message):
        fit_critic(**{**arguments, **change})
