"""Progress of a run: progress bar, and tasks for scikit-learn's callbacks."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from typing import Any

from skorch.callbacks import Callback
from tqdm.auto import tqdm  # type: ignore[import-untyped]


class Console:
    """Stream that passes text to another stream and ignores errors of that stream.

    In a program without a console, ``sys.stdout`` and ``sys.stderr`` are None. Other streams fail
    later, for example because a disk is full. Training then continues without output.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.encoding = None
        with suppress(Exception):
            self.encoding = stream.encoding  # tqdm draws blocks in Unicode

    def write(self, text: str) -> None:
        """Write the text if possible."""
        with suppress(Exception):
            self.stream.write(text)

    def flush(self) -> None:
        """Flush the stream if possible."""
        with suppress(Exception):
            self.stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        with suppress(Exception):
            return bool(self.stream.isatty())
        return False


def print_line(text: str) -> None:
    """Print a line to standard output, and flush the stream if it has a buffer."""
    with suppress(Exception):
        print(text, file=Console(sys.stdout), flush=True)


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
            self.bar_ = self._bar(Console(sys.stderr))
        except Exception:  # tqdm compares the stream with sys.stderr, which may fail
            self.bar_ = tqdm(total=self.epochs, file=Console(None), disable=True)

    def _bar(self, stream: Console) -> Any:
        """Return the bar on a stream."""
        is_terminal = stream.isatty()
        return tqdm(
            total=self.epochs,
            desc=self.description,
            unit="epoch",
            file=stream,
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
        self.bar_.update(min(step, self.bar_.total - self.bar_.n))  # the sum can exceed the total

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Advance the bar by finished epochs, such as epochs restored from a checkpoint."""
        done = net.finished_epochs - net.run_start
        self.bar_.update(max(0.0, min(done, self.bar_.total) - self.bar_.n))

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the mean loss of the epoch."""
        self.bar_.set_postfix_str(f"loss {net.history[-1, 'train_loss']:.4g}", refresh=False)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Close the bar."""
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
