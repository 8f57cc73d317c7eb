"""Learning rates that fall while a run lasts."""

from __future__ import annotations

import math
from typing import Any

from skorch.callbacks import Callback

__all__ = ["BetaWarmup", "CosineDecay", "ExponentialDecay"]


class CosineDecay(Callback):
    r"""Half a cosine from the optimizer's learning rate to 0, over the steps of one run.

    .. math:: \eta_t = \tfrac12 \eta_0 (1 + \cos(\pi t / T))

    Parameters
    ----------
    epochs : int
        Epochs of the run; T is that many times the batches of an epoch.

    Notes
    -----
    Each run starts anew from the learning rates that the optimizer has then, which the end of
    the run gives back. (skorch's ``LRScheduler`` counts on from the history of earlier runs.)

    Examples
    --------
    >>> from sk_mige.training import CosineDecay
    >>> [round(CosineDecay.factor(t, 4), 2) for t in range(5)]
    [1.0, 0.85, 0.5, 0.15, 0.0]
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    @staticmethod
    def factor(step: int, steps: int) -> float:
        """What the learning rate is multiplied by after ``step`` of ``steps`` steps."""
        return 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Remember where to start."""
        self.rates_ = [group["lr"] for group in net.optimizer_.param_groups]
        self.step_ = 0

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Set the learning rate of the coming step."""
        if not training:
            return
        factor = self.factor(self.step_, self.epochs * net.batches_an_epoch)
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = factor * rate
        self.step_ += 1

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Return to the learning rates before the run."""
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = rate


class ExponentialDecay(Callback):
    r"""A learning rate that is multiplied by the same factor every few epochs, in equal steps.

    .. math:: \eta_e = \eta_0\, q^{\,e / n}, \qquad e = 0, 1, 2, \ldots

    Parameters
    ----------
    rate : float
        q, what n epochs multiply the learning rate by.
    epochs : int, default=1
        n.
    done : int, default=0
        Epochs of earlier runs: e counts on from there.

    Examples
    --------
    >>> from sk_mige.training import ExponentialDecay
    >>> decay = ExponentialDecay(0.25, epochs=2)
    >>> [decay.factor(e) for e in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """

    def __init__(self, rate: float, epochs: int = 1, done: int = 0) -> None:
        self.rate = rate
        self.epochs = epochs
        self.done = done

    def factor(self, epoch: int) -> float:
        """What the learning rate is multiplied by in epoch e."""
        return float(self.rate ** (epoch / self.epochs))

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Remember where to start."""
        self.rates_ = [group["lr"] for group in net.optimizer_.param_groups]
        self.epoch_ = self.done

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Set the learning rate of the coming epoch."""
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = self.factor(self.epoch_) * rate
        self.epoch_ += 1

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Return to the learning rates before the run."""
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = rate


class BetaWarmup(Callback):
    """A bottleneck's price of information, growing from 0 over the first epochs.

    Parameters
    ----------
    epochs : int
        Over how many epochs it grows, by equal steps from batch to batch; full from then on.
    done : int, default=0
        Epochs of earlier runs, which count.

    Examples
    --------
    >>> from sk_mige.training import BetaWarmup
    >>> [BetaWarmup(2).factor(t, batches=2) for t in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def __init__(self, epochs: int, done: int = 0) -> None:
        self.epochs = epochs
        self.done = done

    def factor(self, step: int, batches: int) -> float:
        """What β is multiplied by after ``step`` batches, of which ``batches`` are an epoch."""
        return min(1.0, step / (self.epochs * batches))

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Count the batches of this run."""
        self.step_ = 0

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Set the share of the coming batch."""
        if training:
            batches = net.batches_an_epoch
            net.criterion_.ramp = self.factor(self.step_ + self.done * batches, batches)
            self.step_ += 1

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Leave the full price."""
        net.criterion_.ramp = 1.0
