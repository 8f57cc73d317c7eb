"""The trainer: runs, interruptions, recovery and records, for any network and objective."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, LRScheduler
from torch import nn

from sk_mige import MIGEEncoder, NonLinearProbe, SlicedScoreMatching
from sk_mige.networks import Code, DeterministicHead, EncoderNetwork
from sk_mige.objectives import FunctionObjective, Objective
from sk_mige.training import Trainer
from sk_mige.training.data import ArrayDataset
from sk_mige.training.net import EncoderNet

ROWS = ArrayDataset(np.random.default_rng(0).normal(size=(16, 2)))


def spread(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (code.z.square().mean() - 1).square()


def trainer_of(loss: Any = spread, **parameters: Any) -> Trainer:
    linear = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        linear.weight.fill_(1.0)
    objective = loss if isinstance(loss, Objective) else FunctionObjective(loss)
    network = EncoderNetwork(linear, DeterministicHead(1))
    return Trainer(network, objective, **{"batch_size": 8, "optimizer": "sgd", **parameters})


def weight(trainer: Trainer) -> torch.Tensor:
    return trainer.net.module_.encoder.weight.detach().clone()


class At(Callback):
    """Call a function at a given training batch, counted over all epochs from 1."""

    def __init__(self, batch: int, action: Callable[[Any], None]) -> None:
        self.batch = batch
        self.action = action

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.seen_ = 0

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        self.seen_ += training
        if training and self.seen_ == self.batch:
            self.action(net)


def interrupt(net: Any) -> None:
    raise KeyboardInterrupt


def overflow(net: Any) -> None:
    with torch.no_grad():
        next(net.module_.parameters()).fill_(torch.inf)


def test_records_are_those_of_the_run() -> None:
    trainer = trainer_of()
    first = trainer.run(ROWS, epochs=2)
    second = trainer.run(ROWS, epochs=1)
    assert [row["epoch"] for row in first + second] == [1, 2, 3]
    assert trainer.records() == first + second
    assert trainer.records(2) == second
    for row in first:
        assert set(row) == {"epoch", "train_loss", "dur"}
        assert all(type(value) in (int, float) for value in row.values())


def test_records_hold_the_loss_of_held_out_rows_and_of_callbacks() -> None:
    scoring = EpochScoring(lambda net, X, y: 2.5, name="half", on_train=True, use_caching=False)
    trainer = trainer_of(callbacks=[scoring], batch_size=16)
    (row,) = trainer.run(ROWS, epochs=1, held_out=ROWS)
    with torch.no_grad():
        code = trainer.net.module_(ROWS[np.arange(16)][0])
        expected = spread(code, code.z, code.z)
    assert row["half"] == 2.5
    assert row["valid_loss"] == pytest.approx(float(expected), abs=1e-5)
    assert "valid_loss" not in trainer.run(ROWS, epochs=1)[0]


def test_equal_seeds_give_equal_batches() -> None:
    ends = []
    for seed in (0, 0, 1):
        trainer = trainer_of(seed=seed, lr=0.1)
        trainer.run(ROWS, epochs=3)
        ends.append(weight(trainer))
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_the_network_is_in_evaluation_mode_after_every_end() -> None:
    for callbacks in ([], [At(3, interrupt)], [At(3, overflow)]):
        trainer = trainer_of(callbacks=callbacks)
        if callbacks:
            with pytest.warns(UserWarning, match="interrupted|last finite loss"):
                trainer.run(ROWS, epochs=4)
        else:
            trainer.run(ROWS, epochs=4)
        assert not trainer.net.module_.training
        assert trainer.net.train_split is None


def test_ctrl_c_keeps_the_weights_of_the_last_step() -> None:
    trainer = trainer_of(callbacks=[At(5, interrupt)], lr=0.1)
    with pytest.warns(UserWarning, match="interrupted in epoch 3; the estimator keeps") as caught:
        records = trainer.run(ROWS, epochs=9)
    assert caught[0].filename == __file__
    assert [row["epoch"] for row in records] == [1, 2]
    whole = trainer_of(lr=0.1)
    whole.run(ROWS, epochs=2)
    assert torch.equal(weight(trainer), weight(whole))


def test_a_run_continues_after_ctrl_c() -> None:
    trainer = trainer_of(callbacks=[At(3, interrupt)])
    with pytest.warns(UserWarning, match="interrupted in epoch 2"):
        trainer.run(ROWS, epochs=9)
    trainer.update(FunctionObjective(spread), lr=0.1, batch_size=8, callbacks=None, verbose=0)
    assert [row["epoch"] for row in trainer.run(ROWS, epochs=2)] == [2, 3]  # no gap
    assert trainer.net.finished_epochs == 3


def test_a_first_loss_that_is_not_finite_raises_and_keeps_the_weights() -> None:
    trainer = trainer_of(lambda code, x, y: code.z.mean() * torch.nan)
    with pytest.raises(ValueError, match=r"step 1 of epoch 1, before any weight changed.*finite"):
        trainer.run(ROWS, epochs=2)
    assert torch.equal(weight(trainer), torch.ones(1, 2))
    assert trainer.records() == []


@pytest.mark.parametrize("batch", [2, 6])
def test_a_later_loss_that_is_not_finite_returns_to_the_last_good_weights(batch: int) -> None:
    good = []

    def remember(net: Any) -> None:
        good.append(next(net.module_.parameters()).detach().clone())

    watch = At(batch - 1, remember)
    trainer = trainer_of(callbacks=[watch, At(batch, overflow)], lr=0.1)
    with pytest.warns(
        ConvergenceWarning, match=f"step {2 - batch % 2} of epoch {(batch + 1) // 2}"
    ):
        records = trainer.run(ROWS, epochs=9)
    assert len(records) == (batch - 1) // 2
    assert len(trainer.records()) == len(records)
    torch.testing.assert_close(weight(trainer), good[0])
    assert weight(trainer).isfinite().all()
    trainer.update(FunctionObjective(spread), lr=0.1, batch_size=8, callbacks=None, verbose=0)
    assert len(trainer.run(ROWS, epochs=1)) == 1


class WithSpoiledGradient:
    """Loss that is finite at every batch, with gradients of NaN at one batch."""

    def __init__(self, batch: int) -> None:
        self.batch, self.seen = batch, 0

    def __call__(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        root = (code.z - code.z.detach()).square().sum().sqrt()  # 0, with a gradient of NaN
        return spread(code, x, y) + (root if self.seen == self.batch else 0.0)


def test_a_last_step_with_gradients_of_nan_is_undone() -> None:
    trainer, whole = trainer_of(WithSpoiledGradient(4), lr=0.1), trainer_of(lr=0.1)
    with pytest.warns(ConvergenceWarning, match="weights became infinite or NaN in the last step"):
        assert len(trainer.run(ROWS, epochs=2)) == 2
    whole.run(ROWS, epochs=1)
    assert weight(trainer).isfinite().all()
    assert not torch.equal(weight(trainer), weight(whole))  # the third step is kept


@pytest.mark.parametrize("optimizer", ["adam", "sgd", torch.optim.Adagrad])
def test_a_restored_network_trains_further_without_the_spoiled_moments(optimizer: Any) -> None:
    trainer = trainer_of(WithSpoiledGradient(2), lr=0.1, optimizer=optimizer)
    with pytest.warns(ConvergenceWarning, match="last finite loss are kept"):
        trainer.run(ROWS, epochs=1)
    before = weight(trainer)
    trainer.run(ROWS, epochs=2)
    assert weight(trainer).isfinite().all()
    assert not torch.equal(weight(trainer), before)


def test_a_scheduler_continues_after_a_recovery() -> None:
    schedule = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    losses = (WithSpoiledGradient(2), spread)
    trainer, whole = (trainer_of(loss, lr=0.1, callbacks=[schedule]) for loss in losses)
    with pytest.warns(ConvergenceWarning, match="last finite loss are kept"):
        trainer.run(ROWS, epochs=1)
    whole.run(ROWS, epochs=1)
    rates = [[row["event_lr"] for row in one.run(ROWS, epochs=2)] for one in (trainer, whole)]
    assert rates[0] == rates[1]


def test_a_first_loss_of_nan_after_an_interrupted_epoch_keeps_the_trained_weights() -> None:
    trainer = trainer_of(callbacks=[At(2, interrupt)])
    with pytest.warns(UserWarning, match="interrupted in epoch 1"):
        trainer.run(ROWS, epochs=1)
    before, broken = weight(trainer), FunctionObjective(lambda code, x, y: code.z.mean() * np.nan)
    trainer.update(broken, lr=0.1, batch_size=8, callbacks=None, verbose=0)
    with pytest.warns(ConvergenceWarning, match="step 1 of epoch 1; training stopped"):
        trainer.run(ROWS, epochs=1)
    assert torch.equal(weight(trainer), before)


def test_parameters_of_the_objective_are_trained_and_restored() -> None:
    class Scaled(Objective):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return (self.scale * code.z - x[:, :1]).square().mean()

    objective = Scaled()
    trainer = trainer_of(objective, lr=0.1)
    trainer.run(ROWS, epochs=1)
    assert objective.scale.detach() != 1
    trainer = trainer_of(Scaled(), lr=1e30)
    with pytest.warns(ConvergenceWarning):
        trainer.run(ROWS, epochs=5)
    assert trainer.net.criterion_.scale.isfinite()


@pytest.mark.parametrize("monitor", ["valid_loss", "valid_loss_best"])
def test_monitoring_the_loss_of_held_out_rows_needs_such_rows(monitor: str) -> None:
    stopping = EarlyStopping(monitor, sink=lambda text: None)
    with pytest.raises(ValueError, match=r"callbacks: .*'valid_loss'.*validation_fraction"):
        trainer_of(callbacks=[stopping]).run(ROWS, epochs=2)


def test_monitoring_held_out_rows_stops_early() -> None:
    stopping = EarlyStopping(
        patience=2, threshold=1e9, threshold_mode="abs", sink=lambda text: None
    )
    records = trainer_of(callbacks=[stopping]).run(ROWS, epochs=9, held_out=ROWS)
    assert len(records) == 3  # without a warning: a callback ended the run


def test_other_missing_records_are_not_blamed_on_held_out_rows() -> None:
    stopping = EarlyStopping("nonsense", sink=lambda text: None)
    with pytest.raises(ValueError, match="'nonsense', which no earlier callback records"):
        trainer_of(callbacks=[stopping]).run(ROWS, epochs=2)


def test_callbacks_are_copied_and_those_of_a_run_are_removed() -> None:
    stopping = EarlyStopping("train_loss", sink=lambda text: None)
    trainer = trainer_of(callbacks=[("stop", stopping)])
    before = list(trainer.net.callbacks_)
    trainer.run(ROWS, epochs=2, callbacks=[At(99, interrupt)])
    assert trainer.net.callbacks_ == before
    assert not hasattr(stopping, "best_epoch_")
    copies = [callback for _, callback in before if isinstance(callback, EarlyStopping)]
    assert len(copies) == 1
    assert copies[0] is not stopping


class Plain:
    """skorch's interface without its base class, with state."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("on_") or name in ("initialize", "set_params"):
            return lambda *args, **kwargs: self
        raise AttributeError(name)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self.epochs.append(len(net.history))


def test_callbacks_of_other_classes_are_copied_with_their_state() -> None:
    plain = Plain()
    trainer = trainer_of(callbacks=[plain])
    trainer.run(ROWS, epochs=2)
    (copy,) = (callback for _, callback in trainer.net.callbacks_ if isinstance(callback, Plain))
    assert copy.epochs == [1, 2]
    assert plain.epochs == []


@pytest.mark.parametrize("callback", [3, int, "EarlyStopping", ("stop", 3)])
def test_other_objects_are_refused_as_callbacks_with_their_position(callback: Any) -> None:
    with pytest.raises(TypeError, match=r"callbacks\[1\] is .* not a skorch callback"):
        trainer_of(callbacks=[EarlyStopping, callback])


def test_same_callbacks_keep_their_state_between_runs_and_new_ones_start_anew() -> None:
    class Count(Callback):
        def initialize(self) -> Count:
            self.epochs_ = 0
            return self

        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            self.epochs_ += 1
            net.history.record("counted", self.epochs_)

    count = Count()
    trainer = trainer_of(callbacks=[count])
    trainer.run(ROWS, epochs=1)
    for callbacks, expected in (([count], 2), ([Count()], 1), (None, None)):
        trainer.update(
            FunctionObjective(spread), lr=0.1, batch_size=8, callbacks=callbacks, verbose=0
        )
        assert trainer.run(ROWS, epochs=1)[0].get("counted") == expected


def test_an_update_sets_learning_rate_batch_size_and_objective() -> None:
    trainer = trainer_of()
    trainer.update(FunctionObjective(lambda code, x, y: 0 * code.z.mean() + 7), lr=0.5,
                   batch_size=16, callbacks=None, verbose=0)  # fmt: skip
    (row,) = trainer.run(ROWS, epochs=1)
    assert row["train_loss"] == 7
    assert trainer.net.batches_an_epoch == 1
    assert trainer.net.optimizer_.param_groups[0]["lr"] == 0.5


def test_epochs_before_the_trainer_count_as_finished() -> None:
    trainer = trainer_of(epochs_before=3)
    assert trainer.net.finished_epochs == 3
    assert [row["epoch"] for row in trainer.run(ROWS, epochs=2)] == [4, 5]
    assert trainer.net.finished_epochs == 5


def test_something_must_be_trained() -> None:
    frozen = EncoderNetwork(nn.Linear(2, 1), DeterministicHead(1)).requires_grad_(False)
    with pytest.raises(ValueError, match="encoder has no parameter to train"):
        Trainer(frozen, FunctionObjective(spread))
    learning = FunctionObjective(nn.MultiheadAttention(2, 1))
    assert Trainer(frozen, learning).net.initialized_


def test_the_bar_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    trainer_of(verbose=1, name="two weights").run(ROWS, epochs=2)
    assert "two weights: 2.0/2 epochs" in capfd.readouterr().err


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("verbose", [1, 2])
def test_only_the_first_process_prints(
    rank: int, verbose: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EncoderNet, "rank", rank)
    trainer = trainer_of(verbose=verbose)
    for _ in range(2):
        trainer.run(ROWS, epochs=1)
        trainer.update(
            FunctionObjective(spread), lr=0.1, batch_size=8, callbacks=None, verbose=verbose
        )
    assert bool("".join(capfd.readouterr())) == (rank == 0)


@pytest.mark.parametrize(
    "estimator",
    [
        MIGEEncoder(1, hidden_layer_sizes=(4,), max_epochs=3, batch_size=10),
        NonLinearProbe(4, max_epochs=3, batch_size=10),
        SlicedScoreMatching(hidden_layer_sizes=(4,), max_epochs=3, batch_size=10),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_every_trained_estimator_points_at_the_users_line_and_recovers(
    estimator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = np.random.default_rng(0).normal(size=(20, 2))
    y = np.arange(20) % 2
    step = EncoderNet.train_step_single
    for broken, message in ((KeyboardInterrupt, "interrupted in epoch 2"), (None, "last finite")):
        steps = iter(range(1, 9))

        def third(net: EncoderNet, *args: Any, broken: Any = broken, steps: Any = steps) -> Any:
            if next(steps) == 3:
                if broken is not None:
                    raise broken
                overflow(net)
            return step(net, *args)

        monkeypatch.setattr(EncoderNet, "train_step_single", third)
        with pytest.warns(UserWarning, match=message) as caught:
            estimator.set_params(device="cpu", random_state=0).fit(X, y)
        assert caught[0].filename == __file__
        assert estimator.n_iter_ == len(estimator.history_) == 1
        assert all(np.isfinite(row["train_loss"]) for row in estimator.history_)


class InterruptedAtTheEnd(Callback):
    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_in_a_callback_at_the_end_of_an_epoch_warns_as_elsewhere() -> None:
    # Shells start background jobs with another handler, which ignores the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    trainer = trainer_of(callbacks=[InterruptedAtTheEnd()])
    try:
        with pytest.warns(UserWarning, match="interrupted in epoch 1; the estimator keeps"):
            assert len(trainer.run(ROWS, epochs=9)) == 1
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_loss_with_lazy_layers_is_named() -> None:
    class Lazy(Objective):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LazyLinear(1)

    with pytest.raises(ValueError, match=r"uninitialized parameters, as in nn\.LazyLinear: use"):
        trainer_of(Lazy())


@pytest.mark.parametrize("name", ["lr", "batch_size", "epochs_before"])
@pytest.mark.parametrize("number", ["a", None, -1, np.nan])
def test_what_is_no_number_is_named(name: str, number: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be "):
        trainer_of(**{name: number})
