"""The learning rate's way down."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from sk_mige.networks import DeterministicHead, EncoderNetwork
from sk_mige.training import ArrayDataset, CosineDecay, build_net


class Rates(Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_batch_end(self, net: object, **kwargs: object) -> None:
        self.seen.append(net.optimizer_.param_groups[0]["lr"])


@pytest.mark.parametrize("runs", [1, 2])
def test_each_run_goes_from_the_learning_rate_to_nothing_and_gives_it_back(runs: int) -> None:
    rates = Rates()
    net = build_net(
        EncoderNetwork(nn.Linear(2, 1), DeterministicHead(1)),
        lambda code, x, y: code.z.mean(),
        optimizer=torch.optim.SGD,
        lr=0.5,
        batch_size=4,
        device=torch.device("cpu"),
        generator=torch.Generator().manual_seed(0),
        callbacks=[CosineDecay(2), rates],
    )
    for _ in range(runs):
        net.partial_fit(ArrayDataset(np.ones((16, 2))), epochs=2)
    expected = 0.25 * (1 + np.cos(np.pi * np.arange(8) / 8))
    np.testing.assert_allclose(rates.seen, np.tile(expected, runs))
    assert net.optimizer_.param_groups[0]["lr"] == 0.5
