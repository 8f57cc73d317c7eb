"""Progress of a training run: one bar, with the time that is left."""

from __future__ import annotations

import sys
from typing import Any

from skorch.callbacks import Callback, PrintLog
from tqdm.auto import tqdm  # type: ignore[import-untyped]

__all__ = ["TrainingProgress", "progress_callbacks"]


class TrainingProgress(Callback):
    """One progress bar for all epochs, on standard error.

    Parameters
    ----------
    epochs : int
        Number of epochs in this run.
    description : str, default="training"
        Text before the bar.

    Examples
    --------
    >>> from sk_mige.training import TrainingProgress
    >>> TrainingProgress(20, "MIGEEncoder").epochs
    20
    """

    def __init__(self, epochs: int, description: str = "training") -> None:
        self.epochs = epochs
        self.description = description

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Open the bar."""
        self.bar_ = tqdm(
            total=self.epochs,
            desc=self.description,
            unit="epoch",
            # In a log file each refresh is kept: a few a minute will do.
            mininterval=0.1 if sys.stderr.isatty() else 5,
            bar_format="{desc}: {n:.1f}/{total} epochs |{bar}| {elapsed} < {remaining}{postfix}",
        )

    def on_batch_end(self, net: Any, batch: Any = None, training: bool = False, **kw: Any) -> None:
        """Advance by one batch's share of an epoch."""
        if not training:
            return
        step = 1 / net.batches_an_epoch
        self.bar_.update(min(step, self.bar_.total - self.bar_.n))  # sums of fractions overshoot

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the epoch's mean loss."""
        self.bar_.set_postfix_str(f"loss {net.history[-1, 'train_loss']:.4g}", refresh=False)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Close the bar."""
        self.bar_.close()


def progress_callbacks(verbose: int, epochs: int, description: str = "training") -> list[Callback]:
    """What an estimator's ``verbose`` asks for: 1 is a bar, more is a line an epoch.

    Parameters
    ----------
    verbose : int
        0 for silence.
    epochs : int
        Number of epochs in this run.
    description : str, default="training"
        Text before the bar.

    Returns
    -------
    list of skorch callbacks
        None or one.

    Examples
    --------
    >>> from sk_mige.training.progress import progress_callbacks
    >>> progress_callbacks(0, 20)
    []
    """
    if verbose > 1:
        return [PrintLog()]
    return [TrainingProgress(int(epochs), description)] if verbose == 1 else []
