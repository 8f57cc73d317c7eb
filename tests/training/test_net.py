"""The net: the rows of a step, and the weights after a loss that is not finite."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from sk_mige.networks import Code, DeterministicHead, EncoderNetwork
from sk_mige.objectives import FunctionObjective
from sk_mige.training import Trainer
from sk_mige.training.data import ArrayDataset
from sk_mige.training.net import EncoderNet, NonFiniteLossError
from sk_mige.training.progress import TrainingProgress

Loss = Callable[[Code, torch.Tensor, torch.Tensor], torch.Tensor]


def small_net(objective: Loss, batch_size: int = 8, lr: float = 0.1) -> EncoderNet:
    linear = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        linear.weight.fill_(1.0)
    return Trainer(
        EncoderNetwork(linear, DeterministicHead(1)),
        FunctionObjective(objective),
        optimizer=torch.optim.SGD,
        lr=lr,
        batch_size=batch_size,
    ).net


def test_one_step_is_that_of_a_bare_torch_loop() -> None:
    X = np.random.default_rng(0).normal(size=(8, 2))
    net = small_net(lambda code, x, y: code.z.square().mean())
    net.partial_fit(ArrayDataset(X), epochs=1)
    weight = torch.ones(1, 2, requires_grad=True)
    (torch.as_tensor(X, dtype=torch.float32) @ weight.T).square().mean().backward()
    expected = weight.detach() - 0.1 * weight.grad
    torch.testing.assert_close(net.module_.encoder.weight.detach(), expected)


def test_objective_gets_inputs_and_targets_of_the_same_rows() -> None:
    X = np.arange(20.0).reshape(10, 2)
    seen = []

    def objective(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append((x, y))
        return code.z.mean()

    small_net(objective, batch_size=4).partial_fit(ArrayDataset(X, X[:, :1] + 1), epochs=1)
    for x, y in seen:
        torch.testing.assert_close(x[:, :1] + 1, y)
    assert sorted(float(v) for _, y in seen for v in y) == list(X[:, 0] + 1)


def test_non_finite_loss_stops_and_the_last_good_weights_are_kept() -> None:
    weights = []

    def objective(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        weights.append(net.module_.encoder.weight.detach().clone())
        good = code.z.mean()
        return good if len(weights) < 5 else good * torch.inf

    net = small_net(objective)
    net.notify("on_train_begin")
    with pytest.raises(NonFiniteLossError, match="at step 1 of epoch 3") as caught:
        net.fit_loop(ArrayDataset(np.ones((16, 2))), epochs=9)
    assert (caught.value.epoch, caught.value.step) == (3, 1)
    net.restore_weights()
    # The fifth step failed, so the last weights with a finite loss are those of the fourth.
    torch.testing.assert_close(net.module_.encoder.weight.detach(), weights[3])
    assert not torch.equal(weights[3], weights[4])


def test_the_copy_of_the_weights_is_dropped_after_training() -> None:
    net = small_net(lambda code, x, y: code.z.mean())
    net.partial_fit(ArrayDataset(np.ones((16, 2))))
    assert net._good_weights == []


def test_progress_shows_each_epoch_and_its_loss(capsys: pytest.CaptureFixture[str]) -> None:
    net = small_net(lambda code, x, y: code.z.mean() * 0 + 3.25)
    net.callbacks_.append(("progress", TrainingProgress(2, "fitting")))
    net.partial_fit(ArrayDataset(np.ones((16, 2))), epochs=2)
    shown = capsys.readouterr().err
    assert "fitting: 2.0/2 epochs" in shown
    assert "loss 3.25" in shown
