"""Progress of a run: progress bar, and tasks for scikit-learn's callbacks."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from io import StringIO
from typing import Any

from skorch.callbacks import Callback
from tqdm.auto import tqdm  # type: ignore[import-untyped]


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
        """Open the bar."""
        try:
            self.bar_ = self._bar()
        except Exception:  # a console can raise any error
            self.bar_ = tqdm(total=self.epochs, file=StringIO(), disable=True)

    def _bar(self) -> Any:
        """Return the bar on standard error."""
        is_terminal = hasattr(sys.stderr, "isatty") and sys.stderr.isatty()
        return tqdm(
            total=self.epochs,
            desc=self.description,
            unit="epoch",
            file=sys.stderr,
            ncols=shutil.get_terminal_size().columns if is_terminal else None,
            # A log file stores the text of every refresh, so refreshes are rare.
            mininterval=0.1 if is_terminal else 5,
            bar_format="{desc}: {n:.1f}/{total} epochs |{bar}| {elapsed} < {remaining}{postfix}",
        )

    def on_batch_end(self, net: Any, batch: Any = None, training: bool = False, **kw: Any) -> None:
        """Advance the bar by one batch, a fraction of an epoch."""
        if not training:
            return
        step = 1 / net.batches_an_epoch
        with suppress(Exception):
            # The sum of fractions can exceed the total.
            self.bar_.update(min(step, self.bar_.total - self.bar_.n))

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Advance the bar by finished epochs, such as epochs restored from a checkpoint."""
        done = net.finished_epochs - net.run_start
        with suppress(Exception):
            self.bar_.update(max(0.0, min(done, self.bar_.total) - self.bar_.n))

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the mean loss of the epoch."""
        self.bar_.set_postfix_str(f"loss {net.history[-1, 'train_loss']:.4g}", refresh=False)

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
