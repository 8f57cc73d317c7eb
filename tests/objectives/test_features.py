"""Information between an inner layer and the representation."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from sk_mige import Critic, InfoMax, MIGEEncoder, SSGEScoreEstimator
from sk_mige.information import hidden_mutual_info_surrogate, make_bound
from sk_mige.networks import Code, DeterministicHead, EncoderNetwork
from sk_mige.objectives import (
    CriticBound,
    FeatureCriticInfoMax,
    FeatureInfoMax,
    patches,
)
from sk_mige.score import ssge

SHAPE = (1, 16, 16)
SMALL: dict[str, Any] = {
    "n_components": 4, "encoder": "conv", "input_shape": SHAPE, "batch_size": 32,
    "max_epochs": 1, "device": "cpu", "random_state": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(64, 256)).astype(np.float32)


def code(m: int = 24) -> Code:
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(m, 3, 2, 2, generator=generator).requires_grad_()
    return Code(h.mean((2, 3)), features=h)


def gradient(objective: Any, code: Code) -> torch.Tensor:
    loss = objective(code, torch.zeros(len(code.z), 1), torch.zeros(len(code.z)))
    (result,) = torch.autograd.grad(loss, code.features, retain_graph=True)
    return result


def test_a_patch_is_a_column_of_the_feature_map() -> None:
    maps = torch.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    assert torch.equal(patches(maps)[1, 2], maps[1, :, 1, 0])


def test_the_local_gradient_is_the_average_over_locations() -> None:
    here = code()
    every = FeatureInfoMax(ssge, local=True, n_locations=4)
    parts = [
        -hidden_mutual_info_surrogate(here.features[:, :, i, j], here.z)
        for i in range(2)
        for j in range(2)
    ]
    (expected,) = torch.autograd.grad(torch.stack(parts).mean(), here.features, retain_graph=True)
    torch.testing.assert_close(gradient(every, here), expected)


def test_few_locations_are_an_unbiased_sample_of_all() -> None:
    here = code()
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        one = FeatureInfoMax(ssge, local=True, n_locations=1)
        mean = torch.stack([gradient(one, here) for _ in range(300)]).mean(0)
    torch.testing.assert_close(mean, gradient(FeatureInfoMax(ssge, local=True), here),
                               atol=0.15 * float(mean.std()) + 2e-3, rtol=0.3)  # fmt: skip


def test_local_infonce_is_zero_for_equal_scores_and_has_a_maximum() -> None:
    m, locations = 5, 3
    maximum = math.log(1 + (m - 1) * locations)
    assert float(make_bound("infonce").local(torch.zeros(m, locations, m))) == pytest.approx(
        0, abs=1e-6
    )
    certain = 100 * torch.eye(m)[:, None].expand(m, locations, m)
    assert float(make_bound("infonce").local(certain)) == pytest.approx(maximum, abs=1e-5)


def test_local_infonce_counts_all_locations_of_other_images_as_negative() -> None:
    scores = torch.randn(4, 3, 4, generator=torch.Generator().manual_seed(0))
    terms = []
    for j in range(4):
        for p in range(3):
            others = [scores[i, q, j] for i in range(4) if i != j for q in range(3)]
            candidates = torch.stack([scores[j, p, j], *others])
            terms.append(scores[j, p, j] - candidates.logsumexp(0) + math.log(len(candidates)))
    torch.testing.assert_close(make_bound("infonce").local(scores), torch.stack(terms).mean())


@pytest.mark.parametrize("bound", ["jsd", "infonce", "mine-f"])
@pytest.mark.parametrize("local", [False, True], ids=["global", "local"])
def test_encoder_and_critic_maximise_the_same_bound(bound: str, local: bool) -> None:
    here = code()
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        information = CriticBound(bound, 3 if local else 12, 3, normalize=False)
        objective = FeatureCriticInfoMax(information, local=local)
        optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
        losses = []
        for _ in range(60):
            optimizer.zero_grad()
            loss = objective(here, torch.zeros(24, 1), torch.zeros(24))
            loss.backward(retain_graph=True)
            optimizer.step()
            losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.03


def test_the_published_critic_of_deep_infomax(X: np.ndarray) -> None:
    encoder = MIGEEncoder(
        **SMALL, mode=InfoMax(Critic("jsd", "concatenated"), layer="conv", prior_weight=1.0)
    ).fit(X)
    critic = encoder.net_.criterion_.objective.information.critic
    # conv's 256 maps of 2 × 2, and z, into two layers of 512 units.
    assert critic.first_x.in_features == 1024
    assert critic.first_y.in_features == 4
    assert [p.shape[0] for n, p in critic.named_parameters() if "weight" in n] == [512, 512, 512, 1]
    adversary = encoder.net_.criterion_.matching.discriminator
    assert [p.shape[0] for p in adversary.parameters() if p.ndim == 2] == [1000, 200, 1]


@pytest.mark.parametrize(
    "parameters",
    [
        {"mode": InfoMax(layer="fc")},
        {
            "mode": InfoMax(layer="conv"),
            "score_estimator": SSGEScoreEstimator(eigen_threshold=0.9),
        },
        {"mode": InfoMax(layer="conv.5", local=True)},
        {"mode": InfoMax("infonce", layer="conv.5", local=True)},
        {"mode": InfoMax("club", layer="conv")},
    ],
)
def test_encoders_on_layers_are_pickled_and_continue(
    X: np.ndarray, parameters: dict[str, Any]
) -> None:
    encoder = MIGEEncoder(**SMALL, **parameters).fit(X)
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_allclose(again.transform(X), encoder.transform(X), rtol=1e-5)
    assert again.partial_fit(X).transform(X).shape == (64, 4)


@pytest.mark.parametrize(
    ("mode", "named"),
    [
        (InfoMax(layer="nowhere"), r"layer='nowhere' is not a submodule.*'conv'"),
        (InfoMax(local=True), "local=True needs layer"),
        (InfoMax(layer="fc", local=True), r"needs a layer.*\(1024,\)"),
    ],
)
def test_layers_that_do_not_suit_are_named(X: np.ndarray, mode: InfoMax, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        MIGEEncoder(**SMALL, mode=mode).fit(X)


class Flip:
    """Record the shapes of batches, and mirror them."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(images.shape))
        return images.flip(-1)


def test_augmentation_is_applied_to_images_in_training_only(X: np.ndarray) -> None:
    flip = Flip()
    encoder = MIGEEncoder(**SMALL, mode=InfoMax(augmentation=flip)).fit(X)
    assert encoder.module_.augmentation.shapes == [(32, *SHAPE)] * 2
    encoder.transform(X)
    assert len(encoder.module_.augmentation.shapes) == 2


def test_the_encoder_takes_what_the_augmentation_returns() -> None:
    network = EncoderNetwork(
        torch.nn.Flatten(), DeterministicHead(4), input_shape=(1, 2, 2), augmentation=torch.neg
    )
    x = torch.arange(8.0).reshape(2, 4)
    torch.testing.assert_close(network.train()(x).z, -x)
    torch.testing.assert_close(network.eval()(x).z, x)
