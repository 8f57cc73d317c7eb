"""Callbacks that change learning rates, the weight β or the network's weights in training.

The callbacks read the number of finished epochs from the history of the net. A run that is restored
from a checkpoint therefore continues the schedule of the interrupted run.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

from sklearn.base import clone
from skorch.callbacks import Callback, LRScheduler
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sk_mige._sizes import as_number


class Shown(Callback):
    """Base class of callbacks whose ``repr`` shows the parameters."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in self.get_params(deep=False).items())
        return f"{type(self).__name__}({shown})"


class Rates(Shown):
    """Base class of callbacks that change learning rates and restore them after a run."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Store the initial learning rates."""
        self.rates_ = [group["lr"] for group in net.optimizer_.param_groups]

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Restore the initial learning rates."""
        self._scale(net, 1.0)

    def _scale(self, net: Any, factor: float) -> None:
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = factor * rate


class CosineDecay(Rates):
    r"""Callback that decreases the learning rate from its initial value to 0 along a half cosine.

    .. math:: \eta_t = \tfrac12 \eta_0 (1 + \cos(\pi t / T))

    The index t is the number of finished batches of the run. The learning rate returns to its
    initial value :math:`\eta_0` after the run. The next run repeats the schedule.

    Parameters
    ----------
    epochs : int
        Number of epochs of the run. T is ``epochs`` times the number of batches in an epoch.

    Examples
    --------
    >>> from sk_mige.training.schedules import CosineDecay
    >>> [round(CosineDecay.factor(t, 4), 2) for t in range(5)]
    [1.0, 0.85, 0.5, 0.15, 0.0]
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Store the initial learning rates."""
        _expect_positive(self, "epochs")
        super().on_train_begin(net)

    @staticmethod
    def factor(step: int, steps: int) -> float:
        """Return the factor of the learning rate after ``step`` of ``steps`` steps."""
        return 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Set the learning rate of the next step."""
        if training:
            step = _step(net) - net.run_start * net.batches_an_epoch
            self._scale(net, self.factor(step, self.epochs * net.batches_an_epoch))


class ExponentialDecay(Rates):
    r"""Callback that multiplies the learning rate by a constant factor in each epoch.

    .. math:: \eta_e = \eta_0\, q^{\,e / n}, \qquad e = 0, 1, 2, \ldots

    The index e is the number of finished epochs in all runs.

    Parameters
    ----------
    rate : float
        Factor q by which the learning rate is multiplied in n epochs.
    epochs : int, default=1
        Number n of epochs in which the learning rate is multiplied by q.

    Examples
    --------
    >>> from sk_mige import MIGEEncoder
    >>> from sk_mige.training import ExponentialDecay
    >>> decay = ExponentialDecay(0.25, epochs=2)
    >>> [decay.factor(e) for e in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    >>> encoder = MIGEEncoder(16, lr_schedule=decay)
    """

    def __init__(self, rate: float, epochs: int = 1) -> None:
        self.rate = rate
        self.epochs = epochs

    def factor(self, epoch: int) -> float:
        """Return the factor of the learning rate in epoch e."""
        return float(self.rate ** (epoch / self.epochs))

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Store the initial learning rates."""
        _expect_positive(self, "rate", "epochs")
        super().on_train_begin(net)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Set the learning rate of the next epoch."""
        self._scale(net, self.factor(net.finished_epochs))


class TorchSchedule(Rates, LRScheduler):
    """torch scheduler that restarts in each run, and continues after a checkpoint.

    skorch's ``LRScheduler`` counts all epochs of the history. Each run starts from the initial
    learning rate, so counting the epochs of earlier runs would give wrong learning rates.
    """

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Create the scheduler, then replay its steps for epochs restored from a checkpoint."""
        for group in net.optimizer_.param_groups:
            group.pop("initial_lr", None)  # of an earlier run
        super().on_train_begin(net)
        self.batch_idx_ = 0
        try:
            self.lr_scheduler_ = self.policy_(net.optimizer_, **self.kwargs)
        except TypeError as error:  # missing or unknown arguments
            raise TypeError(
                f"lr_schedule: {error}; pass the arguments by name, as in partial(StepLR, "
                "step_size=5)"
            ) from error
        done = [row for row in net.history if "dur" in row]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            scored = isinstance(self.lr_scheduler_, ReduceLROnPlateau)
            for row in done[len(done) - (net.finished_epochs - net.run_start) :]:
                for _ in range(row["train_batch_count"] if self.step_every == "batch" else 1):
                    self._step(net, self.lr_scheduler_, score=row[self.monitor] if scored else None)


class BetaWarmup(Shown):
    """Callback that increases the weight β of a bottleneck from 0 to its full value.

    Pass the callback to the encoder:
    ``MIGEEncoder(mode=InformationBottleneck(...), callbacks=[BetaWarmup(5)])``.

    Parameters
    ----------
    epochs : int
        Number of epochs in which β increases linearly from batch to batch. Epochs of earlier runs
        are counted.

    Examples
    --------
    >>> from sk_mige.training import BetaWarmup
    >>> [BetaWarmup(2).factor(t, batches=2) for t in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def factor(self, step: int, batches: int) -> float:
        """Return the factor of β after ``step`` batches, with ``batches`` batches per epoch."""
        return min(1.0, step / (self.epochs * batches))

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Raise ValueError if ``epochs`` is not positive, or if the objective has no β."""
        _expect_positive(self, "epochs")
        if not hasattr(net.criterion_, "ramp"):
            raise ValueError(
                "callbacks: BetaWarmup is for mode=InformationBottleneck(...), the only mode with "
                "a beta; remove BetaWarmup from callbacks"
            )

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Set the factor of β for the next batch."""
        if training:
            net.criterion_.ramp = self.factor(_step(net), net.batches_an_epoch)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Keep the factor that the run has reached."""
        net.criterion_.ramp = min(1.0, net.finished_epochs / self.epochs)


class WeightAveraging(Shown):
    r"""Callback that replaces the weights by their exponential moving average at the end of a run.

    .. math:: \bar\theta_t = d_t \bar\theta_{t-1} + (1 - d_t)\, \theta_t,
              \qquad d_t = \min\big(d, \tfrac{1 + t}{10 + t}\big)

    Parameters
    ----------
    decay : float
        Decay d between 0 and 1. The average covers about the last 1 / (1 - d) steps. Early in a
        run, :math:`d_t` is smaller than d, so that the average hardly contains the initial weights.

    Notes
    -----
    Running statistics of batch norms are averaged as well. The average excludes weights for which
    the loss was not finite. A run that ends at a non-finite loss therefore has a valid average.

    Examples
    --------
    >>> from sk_mige.training import WeightAveraging
    >>> [round(WeightAveraging(0.999).factor(t), 3) for t in (0, 90, 10**6)]
    [0.1, 0.91, 0.999]
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def factor(self, step: int) -> float:
        """Return the weight of the previous average at a step."""
        return min(self.decay, (1 + step) / (10 + step))

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start a new average."""
        _expect_positive(self, "decay", below=1)
        self.averaged_ = AveragedModel(net.module_, use_buffers=True).requires_grad_(False)

    def on_grad_computed(self, net: Any, named_parameters: Any, **kwargs: Any) -> None:
        """Add the current weights, whose loss is finite, to the average."""
        decay = self.factor(int(self.averaged_.n_averaged))
        self.averaged_.multi_avg_fn = partial(_average, decay)  # unlike torch's, can be pickled
        self.averaged_.update_parameters(net.module_)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Replace the network's weights by the average."""
        if int(self.averaged_.n_averaged) > 0:
            net.module_.load_state_dict(self.averaged_.module.state_dict())


def _average(decay: float, *tensors: Any) -> None:
    get_ema_multi_avg_fn(decay)(*tensors)  # type: ignore[no-untyped-call]


def make_schedule(schedule: Any, epochs: int, others: Sequence[Any] | None) -> list[Callback]:
    """Return the callbacks of a learning-rate schedule for one run.

    Parameters
    ----------
    schedule : {"cosine", "constant"}, callback, or torch scheduler class
        Name of a schedule, skorch callback, or class from ``torch.optim.lr_scheduler``. Use
        ``functools.partial`` to pass keyword arguments to a class.
    epochs : int
        Number of epochs of the run.
    others : sequence or None
        Callbacks of the user. If a callback is skorch's ``LRScheduler``, "cosine" has no effect.

    Returns
    -------
    list of skorch callbacks
        List of one callback, or an empty list.

    Examples
    --------
    >>> from functools import partial
    >>> from torch.optim.lr_scheduler import StepLR
    >>> from sk_mige.training.schedules import make_schedule
    >>> type(make_schedule("cosine", 10, [])[0]).__name__
    'CosineDecay'
    >>> type(make_schedule(partial(StepLR, step_size=5), 10, [])[0]).__name__
    'TorchSchedule'
    """
    if isinstance(schedule, str):
        decays = schedule == "cosine" and not _has_lr_scheduler(others)
        return [CosineDecay(epochs)] if decays else []
    if isinstance(schedule, partial) and schedule.args:
        raise ValueError(
            f"lr_schedule={schedule!r} has arguments without names: pass them by name, as in "
            "partial(StepLR, step_size=5)"
        )
    factory = schedule.func if isinstance(schedule, partial) else schedule
    arguments = dict(schedule.keywords) if isinstance(schedule, partial) else {}
    if isinstance(factory, type) and hasattr(factory, "get_lr"):
        return [TorchSchedule(factory, **arguments)]
    if isinstance(factory, type) and issubclass(factory, Callback):
        schedule = made(factory, "lr_schedule", **arguments)
    if isinstance(schedule, LRScheduler):
        own = {name: getattr(schedule, name) for name in ("monitor", "event_name", "step_every")}
        return [TorchSchedule(schedule.policy, **own, **schedule.kwargs)]
    if isinstance(schedule, Callback):
        return [clone(schedule)]
    raise ValueError(
        f"lr_schedule={schedule!r} is not a schedule: use 'cosine', 'constant', a callback such as "
        "ExponentialDecay(0.97, 2), or a class of torch.optim.lr_scheduler; functools.partial adds "
        "arguments to a class"
    )


def made(kind: type, name: str, **arguments: Any) -> Any:
    """Return an instance of a class, and raise TypeError for missing or unknown arguments."""
    try:
        return kind(**arguments)
    except TypeError as error:
        raise TypeError(
            f"{name} is the class {kind.__name__}, which needs other arguments ({error}): pass an "
            "instance"
        ) from error


def _has_lr_scheduler(callbacks: Sequence[Any] | None) -> bool:
    """Return whether a user's callbacks include skorch's ``LRScheduler``."""
    bare = [entry[1] if isinstance(entry, tuple) else entry for entry in callbacks or []]
    return any(
        issubclass(entry if isinstance(entry, type) else type(entry), LRScheduler) for entry in bare
    )


def _step(net: Any) -> int:
    """Return the number of finished batches of all runs, including the current epoch."""
    batches = len(net.history[-1]["batches"]) - 1  # the next batch already has a record
    return int(net.finished_epochs * net.batches_an_epoch + batches)


def _expect_positive(callback: Callback, *names: str, below: float = math.inf) -> None:
    """Raise ValueError for parameters that are not positive numbers less than ``below``."""
    for name in names:
        as_number(f"{type(callback).__name__}: {name}", getattr(callback, name), 0, below)
