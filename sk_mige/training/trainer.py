"""Training of a network on an objective: runs, interruptions, recovery, history."""

from __future__ import annotations

import copy
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, PrintLog
from skorch.exceptions import SkorchException
from skorch.helper import predefined_split
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.data import Dataset

from sk_mige._contexts import isolated
from sk_mige._sizes import as_number, as_size
from sk_mige._warnings import warn_user
from sk_mige.objectives import Objective

from .data import ArrayDataset
from .distributed_net import DistributedNet
from .net import EncoderNet, NonFiniteLossError
from .processes import make_accelerator, with_joint_batch_norms
from .progress import TrainingProgress, print_line
from .schedules import made
from .threads import threads_for

OptimizerFactory: TypeAlias = Callable[..., torch.optim.Optimizer]

OPTIMIZERS: dict[str, OptimizerFactory] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}
# Devices on which torch has a fused kernel for a whole optimizer step. For an encoder of five
# million weights on a CPU, separate operations take several times as long.
FUSED = ("cpu", "cuda")


class Trainer:
    """Training of a network on an objective, in one or several runs.

    Parameters
    ----------
    module : nn.Module
        Network that maps rows to a :class:`sk_mige.networks.Code` or to another object that the
        objective takes as first argument.
    objective : Objective
        Objective that computes the loss of a batch.
    optimizer : {"adam", "adamw", "sgd"} or callable, default="adam"
        Optimizer, as in :func:`make_optimizer`.
    lr : float, default=1e-3
        Learning rate.
    batch_size : int, default=256
        Largest number of rows in a batch.
    device : torch.device, default=None
        Device of the training. None means the CPU.
    seed : int, default=0
        Seed for the random order of the rows.
    callbacks : sequence or None, default=None
        Callbacks of skorch for all runs. The trainer copies the callbacks.
    verbose : int, default=0
        Verbosity level. With 1, a progress bar is shown. With 2, a line is printed for each epoch.
    epochs_before : int, default=0
        Number of epochs for which the network has already been trained.
    distributed : bool, default=False
        Whether all processes started by torchrun train together. Each process contributes
        ``batch_size`` rows to a joint batch. Batch norms use the statistics of the joint batch.
    name : str, default="training"
        Text before the progress bar.

    Attributes
    ----------
    net : EncoderNet
        Initialised skorch net.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_mige.networks import Architecture
    >>> from sk_mige.objectives import MIGEInfoMax
    >>> from sk_mige.score import ssge
    >>> from sk_mige.training import Trainer
    >>> from sk_mige.training.data import ArrayDataset
    >>> network = Architecture(n_features=3, n_components=2, hidden_layer_sizes=(8,)).build()
    >>> trainer = Trainer(network, MIGEInfoMax(ssge), batch_size=16)
    >>> X = np.random.default_rng(0).normal(size=(32, 3))
    >>> [record["epoch"] for record in trainer.run(ArrayDataset(X), epochs=2)]
    [1, 2]
    """

    def __init__(
        self,
        module: nn.Module,
        objective: Objective,
        *,
        optimizer: str | OptimizerFactory = "adam",
        lr: float = 1e-3,
        batch_size: int = 256,
        device: torch.device | None = None,
        seed: int = 0,
        callbacks: Sequence[Any] | None = None,
        verbose: int = 0,
        epochs_before: int = 0,
        distributed: bool = False,
        name: str = "training",
    ) -> None:
        self.device = device = torch.device("cpu") if device is None else device
        weights = [*module.parameters(), *objective.parameters()]
        if any(is_lazy(weight) for weight in weights):
            raise ValueError(
                "the loss or the critic has uninitialized parameters, as in nn.LazyLinear: use "
                "modules with given sizes, such as nn.Linear"
            )
        if not any(weight.requires_grad for weight in weights):
            raise ValueError(
                "encoder has no parameter to train: pass a module with parameters that require "
                "gradients; encoder.requires_grad_() unfreezes a frozen module"
            )
        self.name = name
        accelerator = make_accelerator(device) if distributed else None
        make_net: Callable[..., EncoderNet] = EncoderNet
        if accelerator is not None:
            make_net = partial(DistributedNet, accelerator=accelerator)
            module = with_joint_batch_norms(module)
        self.net = make_net(
            module,
            objective,
            optimizer=make_optimizer(optimizer, device),
            lr=as_number("lr", lr, closed="left"),
            batch_size=as_size("batch_size", batch_size),
            dataset=ArrayDataset,
            train_split=None,
            device=device,
        )
        self._set_callbacks(tuple(callbacks or ()), int(verbose))
        self.net.epochs_before = int(as_number("epochs_before", epochs_before, closed="left"))
        self.net.generator = torch.Generator().manual_seed(seed)
        self.net.initialize()

    def _set_callbacks(self, callbacks: tuple[Any, ...], verbose: int) -> None:
        """Set copies of the user's callbacks, and the printer of epochs with ``verbose=2``."""
        copies = [_copied(callback, index) for index, callback in enumerate(callbacks)]
        prints = verbose > 1 and self.net.rank == 0  # rank 0 is the first process
        self.net.callbacks = copies + [PrintLog(sink=print_line)] * prints
        self.net.verbose = int(prints)
        self._callbacks, self.verbose = callbacks, verbose

    def update(
        self,
        objective: Objective,
        *,
        lr: float,
        batch_size: int,
        callbacks: Sequence[Any] | None,
        verbose: int,
    ) -> None:
        """Apply settings that may change between runs, and keep the learned parts of the objective.

        If the same callback object is passed again, the callback keeps its state, such as the best
        loss.
        """
        net = self.net
        objective.continue_from(net.criterion_)
        net.criterion_ = objective
        net.batch_size = as_size("batch_size", batch_size)
        verbose, callbacks = int(verbose), tuple(callbacks or ())
        if (callbacks, verbose > 1) != (self._callbacks, self.verbose > 1):
            self._set_callbacks(callbacks, verbose)
            net.initialize_callbacks()
        self.verbose = verbose
        for group in net.optimizer_.param_groups:
            group["lr"] = lr

    def run(
        self,
        data: Dataset[Any],
        *,
        epochs: int,
        callbacks: Sequence[Callback] = (),
        held_out: Dataset[Any] | None = None,
        settings: dict[str, str] | None = None,
        read: Callable[[Any], Any] = np.asarray,
    ) -> list[dict[str, Any]]:
        """Train for a number of epochs, and return one record for each epoch.

        Ctrl-C ends the run with a warning. A non-finite loss ends the run, and the weights of the
        last finite loss are restored. The network remains usable after Ctrl-C and after a
        non-finite loss. Seed torch's global generators before the call, because dropout, noise and
        draws of z use the global generators.

        Parameters
        ----------
        data : Dataset
            Data set of rows and targets that returns whole batches.
        epochs : int
            Number of passes over the data, including passes that a checkpoint restores.
        callbacks : sequence of skorch callbacks, default=()
            Callbacks for the current run only.
        held_out : Dataset, default=None
            Held-out rows. ``valid_loss`` is the mean of the objective's ``held_out`` over batches
            of held-out rows. If ``has_value`` of the objective is False, ``valid_loss`` is minus
            :meth:`sk_mige.MIGEEncoder.score` of the held-out rows.
        settings : dict of str to str, default=None
            Settings that identify the run, for :class:`Checkpoint`.
        read : callable, default=numpy.asarray
            Function that validates inputs X and returns rows (n, d), for callbacks that evaluate
            codes, such as :class:`EffectiveRank`.

        Returns
        -------
        list of dict
            One record for each finished epoch, with its number, losses and duration.

        Raises
        ------
        ValueError
            If the first loss is not finite, or if a callback monitors "valid_loss" and ``held_out``
            is None.
        """
        net = self.net
        known = len(net.history)
        epochs = int(as_number("epochs", epochs, closed="left"))
        own, extra = net.callbacks_, list(callbacks)
        if self.verbose == 1 and net.rank == 0:
            extra.append(TrainingProgress(epochs, self.name))
        net.callbacks_ = own + [(type(one).__name__, one.initialize()) for one in extra]
        net.run_settings, net.read_rows = settings or {}, read
        net.run_start = net.finished_epochs
        net.train_split = None if held_out is None else predefined_split(held_out)
        try:
            with isolated(self.device), self.threads():
                self._fit_loop(data, epochs)
        except (KeyError, SkorchException) as error:
            missing = re.search(r"'(\w+)' was not found in history", str(error))
            if "valid_loss" in str(error) and held_out is None:
                raise ValueError(
                    "callbacks: a callback monitors 'valid_loss', which is recorded only by fit "
                    "with validation_fraction: set validation_fraction, or monitor 'train_loss'"
                ) from error
            if missing is None:
                raise
            keys = [*_plain(net.history[-1])]
            raise ValueError(
                f"callbacks: a callback monitors {missing[1]!r}, which no earlier callback "
                f"records: monitor one of {keys}, or move the callback that records "
                f"{missing[1]!r} to the front"
            ) from error
        finally:
            net.callbacks_, net.train_split = own, None
            del net.read_rows  # the function can hold the estimator
            net.module_.eval()
        return self.records(known)

    def threads(self) -> AbstractContextManager[None]:
        """Return a context that uses one CPU thread if a training step is small."""
        if self.device.type != "cpu":
            return nullcontext()
        return threads_for(self.net.module_, self.net.criterion_, self.net.batch_size)

    def records(self, start: int = 0) -> list[dict[str, Any]]:
        """Return the records of finished epochs, from index ``start`` of the history."""
        return [_plain(row) for row in self.net.history[start:] if "dur" in row]

    def _fit_loop(self, data: Dataset[Any], epochs: int) -> None:
        net = self.net
        net.notify("on_train_begin", X=data, y=None)
        signals: list[int] = []
        try:
            restored = net.finished_epochs - net.run_start
            with _noting_signals(signals):
                net.fit_loop(data, epochs=max(0, epochs - restored))
        except KeyboardInterrupt:
            # Without a signal, a callback such as early stopping ends training after an epoch.
            if signals or not net.history or "dur" not in net.history[-1]:
                epoch = net.history[-1]["epoch"] if net.history else net.finished_epochs + 1
                warn_user(
                    f"training was interrupted in epoch {epoch}; the estimator keeps the current "
                    "weights"
                )
        except NonFiniteLossError as error:
            self._recover(error)
        finally:
            if not net.has_finite_weights():  # a finite loss can have gradients that are not finite
                self._recover("the weights became infinite or NaN in the last step")
            net.notify("on_train_end", X=data, y=None)

    def _recover(self, error: NonFiniteLossError | str) -> None:
        self.net.restore_weights()
        is_alone = len(self.net.history) == 1  # no earlier run was interrupted in this epoch
        if isinstance(error, NonFiniteLossError) and error.epoch == error.step == 1 and is_alone:
            raise ValueError(
                f"{error}, before any weight changed: scale the features, use larger batches, or "
                "check that a custom loss, encoder or augmentation returns finite values"
            ) from error
        advice = "use a smaller lr, scale the features, or use larger batches"
        warn_user(
            f"{error}; training stopped and the weights of the last finite loss are kept: {advice}",
            ConvergenceWarning,
        )


def make_optimizer(optimizer: str | OptimizerFactory, device: torch.device) -> OptimizerFactory:
    """Return the optimizer factory for a name, and return a class or factory unchanged.

    Parameters
    ----------
    optimizer : {"adam", "adamw", "sgd"} or callable
        Name or factory of the optimizer. The optimizer "sgd" has a momentum of 0.9.
    device : torch.device
        Device of the parameters.

    Returns
    -------
    callable
        Factory that takes parameters, or groups of parameters, and ``lr``.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training.trainer import make_optimizer
    >>> factory = make_optimizer("adam", torch.device("cpu"))
    >>> type(factory([torch.zeros(2, requires_grad=True)], lr=1e-3)).__name__
    'Adam'
    """
    if isinstance(optimizer, partial) and "lr" in optimizer.keywords:
        rate = optimizer.keywords["lr"]
        raise ValueError(
            f"optimizer sets lr={rate}, but training uses the parameter lr: set lr={rate}, and "
            "remove lr from optimizer"
        )
    if not isinstance(optimizer, str):
        return optimizer
    return partial(OPTIMIZERS[optimizer], fused=device.type in FUSED or None)


@contextmanager
def _noting_signals(signals: list[int]) -> Iterator[None]:
    """Append the interrupt signals (Ctrl-C) that arrive inside the context to a list."""
    handler = signal.getsignal(signal.SIGINT)
    # Only the main thread receives signals.
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def noted(number: int, frame: Any) -> None:
        signals.append(number)
        handler(number, frame)

    signal.signal(signal.SIGINT, noted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _copied(callback: Any, index: int) -> Any:
    """Return a copy of a user's callback, so that training does not change the original."""
    if isinstance(callback, tuple) and len(callback) == 2 and isinstance(callback[0], str):
        name, inner = callback
        return name, _copied(inner, index)
    if not hasattr(callback, "on_train_begin"):
        raise TypeError(
            f"callbacks[{index}] is {callback!r}, which is not a skorch callback: pass a class, an "
            "instance, or a pair (name, callback); for scikit-learn's callbacks, use set_callbacks"
        )
    if isinstance(callback, type):
        return made(callback, f"callbacks[{index}]")
    if not isinstance(callback, Callback):  # the same interface without the base class
        return copy.deepcopy(callback)
    try:
        return clone(callback)
    except TypeError:
        # A parameter that cannot be copied, such as the open file of a writer, is shared.
        return type(callback)(**callback.get_params(deep=False))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return the record of an epoch without batches and without skorch's internal entries."""
    return {
        key: float(value) if isinstance(value, np.floating) else value
        for key, value in row.items()
        if key != "batches" and not key.endswith(("_best", "_batch_count"))
    }
