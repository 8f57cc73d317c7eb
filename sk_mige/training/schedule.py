"""Learning rates that fall while a run lasts."""

from __future__ import annotations

import math
from typing import Any

from skorch.callbacks import Callback

__all__ = ["CosineDecay"]


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
