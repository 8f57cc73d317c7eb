"""bfloat16 only in matrix products of encoder and critic during training."""

import numpy as np
import pytest
import torch

from sk_mige import Critic, InfoMax, MIGEEncoder
from sk_mige.networks import ConvEncoder, DeterministicHead, EncoderNetwork, GaussianHead
from sk_mige.objectives import CriticBound, MIGEInfoMax
from sk_mige.score import ssge

SHAPE = (1, 16, 16)


def networks(head=None, **parameters):
    """Two networks of equal weights, the second with mixed precision."""
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        head = head or DeterministicHead(8)
        first, second = (
            EncoderNetwork(
                ConvEncoder(SHAPE, head.n_inputs, (16, 32), 64), head, input_shape=SHAPE,
                mixed_precision=mixed, **parameters,
            )
            for mixed in (False, True)
        )  # fmt: skip
    second.load_state_dict(first.state_dict())
    return first, second


@pytest.fixture
def x():
    return torch.rand(64, 256, generator=torch.Generator().manual_seed(0))


def gradient(network, x):
    """Gradient of MIGE's loss with respect to all weights, as one vector."""
    network.zero_grad()
    MIGEInfoMax(ssge)(network(x), x, torch.zeros(len(x))).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def test_the_gradient_of_information_is_that_of_float32_up_to_bfloat16s_rounding(x):
    exact, mixed = (gradient(network.train(), x) for network in networks())
    assert torch.nn.functional.cosine_similarity(exact, mixed, dim=0) > 0.995
    assert not torch.equal(exact, mixed)


def test_codes_and_features_reach_the_objective_in_float32(x):
    network = networks(GaussianHead(8), feature_layer="conv")[1].train()
    code = network(x)
    assert {code.z.dtype, code.features.dtype, code.conditional[1].dtype} == {torch.float32}


def test_evaluation_is_in_float32_to_the_last_bit(x):
    first, second = (network.eval()(x).z for network in networks())
    assert torch.equal(first, second)


@pytest.mark.parametrize("bound", ["jsd", "infonce", "club"])
def test_scores_of_critics_are_rounded_except_those_of_clubs_density(bound, x):
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        information = CriticBound(bound, 256, 8, mixed_precision=True)
    z = x[:, :8]
    exact = information.critic(x, z)
    scores = information.scores(x, z)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, exact, rtol=0.05, atol=0.05)
    assert torch.equal(scores, exact) == (bound == "club")


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"mode": InfoMax(Critic("jsd", "concatenated"), layer="conv")},
        {"mode": "ib"},
    ],
)
def test_an_encoder_learns_with_mixed_precision(parameters, x):
    X, y = x.numpy(), np.arange(64) % 2
    encoder = MIGEEncoder(
        4, encoder="conv", input_shape=SHAPE, batch_size=32, max_epochs=2, random_state=0,
        mixed_precision=True, **parameters,
    )  # fmt: skip
    Z = encoder.fit(X, y).transform(X)
    assert Z.dtype == np.float32
    assert np.isfinite(Z).all()
    plain = encoder.set_params(mixed_precision=False).fit(X, y).transform(X)
    assert not np.array_equal(Z, plain)
