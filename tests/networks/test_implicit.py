"""The implicit head: noise through hidden units, draws and their averages."""

from __future__ import annotations

import torch
from torch import nn

from sk_mige.networks import EncoderNetwork, ImplicitHead


def head_of(n_components: int, **parameters: int) -> ImplicitHead:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return ImplicitHead(n_components, **parameters)


def test_each_row_and_draw_has_noise_of_its_own() -> None:
    head = head_of(2, n_draws=3)
    z = head(torch.zeros(4, head.n_inputs)).z.reshape(12, 2)
    assert len({tuple(row.tolist()) for row in z}) == 12


def test_the_shape_of_the_distribution_depends_on_x() -> None:
    head = head_of(1, n_draws=500)
    h = torch.zeros(2, head.n_inputs)
    h[1, 1:] = -10  # below all thresholds, noise has no effect
    z = head(h).z
    assert float(z[:, 0].std().detach()) > 0.01
    assert float(z[:, 1].std().detach()) == 0


def test_in_evaluation_z_is_a_fixed_average_of_draws() -> None:
    head = head_of(3).eval()
    h = torch.randn(5, head.n_inputs, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(20_000, 1, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        mean, draws = head(h).z, head.draws(h, noise)
        torch.testing.assert_close(head(h).z, mean)
    error = 5 * draws.std(0) / len(head.noise) ** 0.5
    assert bool(((draws.mean(0) - mean).abs() < error).all())


def test_one_draw_is_a_matrix() -> None:
    head = head_of(2, n_draws=1)
    assert head(torch.zeros(4, head.n_inputs)).z.shape == (4, 2)


def test_predictions_are_made_for_every_draw() -> None:
    head = head_of(2, n_draws=3)
    network = EncoderNetwork(nn.Linear(4, head.n_inputs), head, nn.Linear(2, 5))
    assert network(torch.zeros(6, 4)).prediction.shape == (3, 6, 5)
    assert network.predictions(torch.zeros(6, 4), torch.randn(7, 2)).shape == (7, 6, 5)
