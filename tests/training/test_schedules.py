"""Callbacks that change the training: learning rates, β, averaged weights."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, LRScheduler
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, StepLR

from sk_mige import InfoMax, InformationBottleneck, MIGEEncoder
from sk_mige.networks import DeterministicHead, EncoderNetwork
from sk_mige.objectives import FunctionObjective
from sk_mige.training import BetaWarmup, ExponentialDecay, Trainer, WeightAveraging
from sk_mige.training.data import ArrayDataset
from sk_mige.training.schedules import CosineDecay

SMALL: dict[str, Any] = {
    "n_components": 2, "hidden_layer_sizes": (8,), "max_epochs": 2, "batch_size": 20,
    "device": "cpu", "random_state": 0, "warm_start": True, "lr": 0.01,
}  # fmt: skip
X = np.random.default_rng(0).normal(size=(60, 4))  # three batches in an epoch
Y = (X[:, 0] > 0).astype(int)


class Watch(Callback):
    """Collect the value of a function of the net at each training batch."""

    def __init__(self, function: Any, seen: list[float]) -> None:
        self.function = function
        self.seen = seen

    def on_grad_computed(self, net: Any, named_parameters: Any, **kwargs: Any) -> None:
        self.seen.append(self.function(net))

    def __sklearn_clone__(self) -> Watch:
        return self


def rate(net: Any) -> float:
    return float(net.optimizer_.param_groups[0]["lr"])


def ramp(net: Any) -> float:
    return float(net.criterion_.ramp)


def watched(function: Any, **parameters: Any) -> tuple[MIGEEncoder, list[float]]:
    """Return an encoder and the list to which each batch adds a value."""
    seen: list[float] = []
    callbacks = [*parameters.pop("callbacks", []), Watch(function, seen)]
    return MIGEEncoder(**SMALL, **parameters, callbacks=callbacks), seen


@pytest.mark.parametrize("runs", [1, 2])
def test_each_run_of_the_cosine_starts_at_the_learning_rate_and_falls_to_zero(runs: int) -> None:
    seen: list[float] = []
    trainer = Trainer(
        EncoderNetwork(nn.Linear(2, 1), DeterministicHead(1)),
        FunctionObjective(lambda code, x, y: code.z.mean()),
        optimizer=torch.optim.SGD,
        lr=0.5,
        batch_size=4,
    )
    for _ in range(runs):
        trainer.run(
            ArrayDataset(np.ones((16, 2))), epochs=2, callbacks=[CosineDecay(2), Watch(rate, seen)]
        )
    expected = 0.25 * (1 + np.cos(np.pi * np.arange(8) / 8))
    np.testing.assert_allclose(seen, np.tile(expected, runs))
    assert rate(trainer.net) == 0.5


def test_fit_passes_the_cosine_through_all_its_epochs() -> None:
    encoder, seen = watched(rate)
    encoder.fit(X)
    np.testing.assert_allclose(seen, 0.005 * (1 + np.cos(np.pi * np.arange(6) / 6)))
    encoder.partial_fit(X)
    np.testing.assert_allclose(seen[6:], 0.01)  # constant


@pytest.mark.parametrize(
    "schedule",
    [ExponentialDecay(0.25, 2), partial(ExponentialDecay, rate=0.25, epochs=2)],
    ids=["instance", "partial"],
)
def test_exponential_decay_counts_the_epochs_of_all_runs(schedule: Any) -> None:
    encoder, seen = watched(rate, lr_schedule=schedule)
    encoder.fit(X).fit(X)
    np.testing.assert_allclose(seen, 0.01 * np.repeat(0.5 ** np.arange(4), 3))
    assert rate(encoder.net_) == 0.01


@pytest.mark.parametrize("calls", ["fit", "partial_fit"])
def test_beta_grows_from_batch_to_batch_over_all_runs(calls: str) -> None:
    mode = InformationBottleneck(beta=0.5)
    encoder, seen = watched(ramp, mode=mode, callbacks=[BetaWarmup(3)])
    if calls == "fit":
        encoder.fit(X, Y).fit(X, Y)
    else:
        for _ in range(4):
            encoder.partial_fit(X, Y, classes=[0, 1])
    np.testing.assert_allclose(seen, np.minimum(1, np.arange(12) / 9))
    assert ramp(encoder.net_) == 1
    assert encoder.beta_ == 0.5


@pytest.mark.parametrize(("epochs", "beta"), [(1, 0.125), (4, 0.5), (5, 0.5)])
def test_beta_is_the_weight_that_a_warm_up_has_reached(epochs: int, beta: float) -> None:
    mode = InformationBottleneck(beta=0.5)
    parameters = SMALL | {"max_epochs": epochs, "callbacks": [BetaWarmup(4)]}
    encoder = MIGEEncoder(**parameters, mode=mode)
    assert encoder.fit(X, Y).beta_ == beta
    assert encoder.set_params(callbacks=None).fit(X, Y).beta_ == 0.5


def test_warm_up_starts_with_a_loss_of_the_likelihood_alone() -> None:
    encoders = [
        MIGEEncoder(**SMALL | {"batch_size": 60, "max_epochs": 1}, mode=mode, callbacks=callbacks)
        for mode, callbacks in [
            (InformationBottleneck(beta=0.5), [BetaWarmup(3)]),
            (InformationBottleneck(beta=0.0), None),
            (InformationBottleneck(beta=0.5), None),
        ]
    ]
    warm, without, full = (e.fit(X, Y).history_[0]["train_loss"] for e in encoders)
    assert warm == without != full


@pytest.mark.parametrize("mode", ["infomax", InfoMax("jsd"), lambda code, x, y: code.z.mean()])
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_warm_up_needs_a_bottleneck(mode: Any, call: str) -> None:
    encoder = MIGEEncoder(**SMALL, mode=mode, callbacks=[BetaWarmup(3)])
    with pytest.raises(ValueError, match=r"BetaWarmup is for mode=InformationBottleneck"):
        getattr(encoder, call)(X)


@pytest.mark.parametrize(
    "schedule",
    [
        partial(StepLR, step_size=1, gamma=0.1),
        LRScheduler("StepLR", step_size=1, gamma=0.1),
        partial(LRScheduler, policy="StepLR", step_size=1, gamma=0.1),
        partial(LambdaLR, lr_lambda=lambda epoch: 0.1**epoch),
    ],
    ids=["partial", "callback", "partial of a callback", "function"],
)
def test_schedules_of_torch_are_applied_by_epoch_in_each_fit(schedule: Any) -> None:
    encoder, seen = watched(rate, lr_schedule=schedule)
    encoder.fit(X)
    np.testing.assert_allclose(seen, [0.01] * 3 + [0.001] * 3)
    encoder.set_params(lr=1.0).fit(X)
    np.testing.assert_allclose(seen[6:], [1.0] * 3 + [0.1] * 3)


def test_a_scheduler_class_needs_no_arguments_if_it_has_defaults() -> None:
    encoder, seen = watched(rate, lr_schedule=torch.optim.lr_scheduler.LinearLR)
    encoder.fit(X)
    np.testing.assert_allclose(seen[:3], 0.01 / 3)


@pytest.mark.parametrize("schedule", [max, lambda epoch: 0.1, partial(max, 1)])
def test_other_callables_are_refused_as_schedules(schedule: Any) -> None:
    message = r"lr_schedule=.* (is not a schedule: use 'cosine'|has arguments without names)"
    with pytest.raises(ValueError, match=message):
        MIGEEncoder(**SMALL, lr_schedule=schedule).fit(X)


def test_averages_replace_the_weights_at_the_end_of_each_run() -> None:
    def weights(net: Any) -> Any:
        return [value.detach().clone() for value in net.module_.state_dict().values()]

    averaging = WeightAveraging(0.3)
    mode = InfoMax(output_scale=None)
    encoder, seen = watched(weights, mode=mode, callbacks=[averaging], lr_schedule="constant")
    for run in range(2):
        encoder.fit(X)
        assert len(seen) == 6 * (run + 1)
        average = seen[6 * run]
        for step in range(1, 6):
            d = min(0.3, (1 + step) / (10 + step))
            average = [
                d * a + (1 - d) * b for a, b in zip(average, seen[6 * run + step], strict=True)
            ]
        for ours, theirs in zip(weights(encoder.net_), average, strict=True):
            if ours.dtype.is_floating_point:  # batch norms count batches in integers
                torch.testing.assert_close(ours, theirs)


def test_a_net_with_averaged_weights_can_be_pickled() -> None:
    encoder = MIGEEncoder(**SMALL, callbacks=[WeightAveraging(0.9)]).fit(X)
    loaded = pickle.loads(pickle.dumps(encoder.net_))
    for ours, theirs in zip(loaded.module_.parameters(), encoder.module_.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("callback", "named"),
    [
        (BetaWarmup(0), "epochs must be positive and finite; got 0"),
        (BetaWarmup(-2), "epochs must be positive and finite; got -2"),
        (ExponentialDecay(0.0), "rate must be positive and finite; got 0.0"),
        (ExponentialDecay(0.9, 0), "epochs must be positive and finite; got 0"),
        (WeightAveraging(1.0), r"decay must be a number in \(0, 1\); got 1.0"),
        (WeightAveraging(-0.1), r"decay must be a number in \(0, 1\); got -0.1"),
    ],
    ids=repr,
)
def test_values_out_of_range_are_named(callback: Callback, named: str) -> None:
    encoder = MIGEEncoder(**SMALL, mode="ib", callbacks=[callback])
    with pytest.raises(ValueError, match=f"{type(callback).__name__}: {named}"):
        encoder.fit(X, Y)


@pytest.mark.parametrize(
    "callback", [CosineDecay(3), ExponentialDecay(0.5, 2), BetaWarmup(5), WeightAveraging(0.9)]
)
def test_callbacks_are_shown_with_their_parameters(callback: Callback) -> None:
    assert repr(eval(repr(callback))) == repr(callback)
