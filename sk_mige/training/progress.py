"""Progress of a run: progress bar, and tasks for scikit-learn's callbacks."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from typing import Any

from skorch.callbacks import Callback
from tqdm.auto import tqdm  # type: ignore[import-untyped]

BAR = "{desc}: {n:.1f}/{total} epochs |{bar}| {elapsed} < {remaining}{postfix}"


def print_line(text: str) -> None:
    """Print a line to standard output, and flush the stream if it has a buffer."""
    with suppress(Exception):  # a console can raise any error
        print(text, flush=True)  # noqa: T201


class TrainingProgress(Callback):
    """Progress bar for all epochs of a run, on standard error.

    Parameters
    ----------
    epochs : int
        Number of epochs of the run.
    description : str, default="training"
        Text before the bar.

    Examples
    --------
    >>> from sk_mige.training.progress import TrainingProgress
    >>> TrainingProgress(20, "MIGEEncoder").epochs
    20
    """

    def __init__(self, epochs: int, description: str = "training") -> None:
        self.epochs = epochs
        self.description = description

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Open the bar on standard error."""
        # A console can raise any error. Without a bar, the other methods do nothing.
        with suppress(Exception):
            is_terminal = hasattr(sys.stderr, "isatty") and sys.stderr.isatty()
            self.bar_ = tqdm(
                total=self.epochs,
                desc=self.description,
                unit="epoch",
                file=sys.stderr,
                ncols=shutil.get_terminal_size().columns if is_terminal else None,
                # A log file stores the text of every refresh, so refreshes are rare.
                mininterval=0.1 if is_terminal else 5,
                bar_format=BAR,
            )

    def on_batch_end(self, net: Any, batch: Any = None, training: bool = False, **kw: Any) -> None:
        """Advance the bar to the finished fraction of epochs."""
        if not training:
            return
        # A checkpoint can restore epochs.
        epochs = net.finished_epochs - net.run_start
        done = epochs + len(net.history[-1]["batches"]) / net.batches_an_epoch
        with suppress(Exception):
            self.bar_.update(done - self.bar_.n)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the mean loss of the epoch."""
        loss = f"loss {net.history[-1, 'train_loss']:.4g}"
        with suppress(Exception):
            self.bar_.set_postfix_str(loss, refresh=False)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Close the bar."""
        with suppress(Exception):
            self.bar_.close()


class EpochTasks(Callback):
    """Callback that reports epochs to scikit-learn's callbacks, such as progress bars.

    Parameters
    ----------
    estimator : estimator
        Estimator that is fitted.
    context : CallbackContext
        Context of scikit-learn's callbacks for the fit.
    """

    def __init__(self, estimator: Any, context: Any) -> None:
        self.estimator = estimator
        self.context = context

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Open a task for the epoch."""
        task = self.context.subcontext(task_name="epoch")
        self.task_ = task.call_on_fit_task_begin(estimator=self.estimator)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Close the task, and stop training if a callback requests a stop."""
        if self.task_.call_on_fit_task_end(estimator=self.estimator):
            raise KeyboardInterrupt  # stops skorch after the epoch
