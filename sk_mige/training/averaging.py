"""Averages of the weights along a run, which predict better than the last ones."""

from __future__ import annotations

from typing import Any

import torch
from skorch.callbacks import Callback
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

__all__ = ["WeightAveraging"]


class WeightAveraging(Callback):
    r"""Exponential moving average of the weights, which takes their place at the end of a run.

    .. math:: \bar\theta_t = d_t \bar\theta_{t-1} + (1 - d_t)\, \theta_t,
              \qquad d_t = \min\big(d, \tfrac{1 + t}{10 + t}\big)

    Parameters
    ----------
    decay : float
        d, between 0 and 1: an average over the last 1 / (1 - d) steps. Early in a run it is
        shorter, so that the first weights are soon forgotten.

    Notes
    -----
    Running statistics of batch norms are averaged along. Weights enter once a loss at them was
    finite; so the average is good where a run ends at a loss that is not.

    Examples
    --------
    >>> from sk_mige.training import WeightAveraging
    >>> [round(WeightAveraging(0.999).factor(t), 3) for t in (0, 90, 10**6)]
    [0.1, 0.91, 0.999]
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def factor(self, step: int) -> float:
        """What the average keeps of itself at step t."""
        return min(self.decay, (1 + step) / (10 + step))

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start anew, from the weights as they are."""
        self.averaged_ = AveragedModel(
            net.module_, multi_avg_fn=self._update, use_buffers=True
        ).requires_grad_(False)

    def on_grad_computed(self, net: Any, named_parameters: Any, **kwargs: Any) -> None:
        """Take in the weights at which a loss was just found finite."""
        self.taken_in_ = int(self.averaged_.n_averaged)
        self.averaged_.update_parameters(net.module_)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Put the average in the network."""
        if int(self.averaged_.n_averaged) > 0:
            net.module_.load_state_dict(self.averaged_.module.state_dict())

    def _update(self, averaged: Any, current: Any, n_averaged: Any) -> None:
        # A number, read once a step: the count that comes along is a tensor.
        with torch.no_grad():
            update = get_ema_multi_avg_fn(self.factor(self.taken_in_))  # type: ignore[no-untyped-call]
            update(averaged, current, n_averaged)
