"""Checkpoints for continuing a killed run after the last finished epoch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import partial
from numbers import Number
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor

from .device import current

FORMAT = "sk_mige checkpoint 4"

# Parameters that a continued run may change.
FREE = (
    "callbacks", "device", "distributed", "max_epochs", "mode__n_prediction_samples", "output",
    "verbose", "warm_start",
)  # fmt: skip
# Number of rows in the digest of the data.
N_ROWS = 64


class Checkpoint(Callback):
    """Callback that stores the training state after each epoch, and resumes from the file.

    Pass the callback as ``MIGEEncoder(callbacks=[Checkpoint(path)])``. If the process is killed,
    call ``fit`` again with the same parameters and data. The new ``fit`` continues after the last
    finished epoch. On the same machine, the result equals the result of an uninterrupted run if no
    callback has a state. If the file contains a finished run, ``fit`` restores the finished run
    without training. With a larger ``max_epochs``, training continues from the finished run. With
    a smaller ``max_epochs``, ``fit`` raises an error.

    Parameters
    ----------
    path : str or path-like
        Path of the file. Each run needs a separate file. To restart training from the first epoch,
        delete the file or use another path. A parameter search or cross-validation raises an error
        at the second fit, because every fit is a separate run.

    Raises
    ------
    ValueError
        If the file is not a checkpoint. The error is also raised if the checkpoint belongs to
        another network, objective or optimizer, to other parameters or to other rows.

    Notes
    -----
    The file contains the weights of network and objective, the optimizer's moments, the states of
    the random generators and the history. The file is read with ``weights_only=True``, which does
    not unpickle arbitrary objects. The old file is replaced after the new file is complete, so an
    interruption during writing loses at most one epoch. The parameters of the encoder and a digest
    of 64 rows identify the run. Functions are compared by their names, and modules by their class
    names. The file does not contain averages of :class:`WeightAveraging` or states of the user's
    callbacks.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sk_mige import MIGEEncoder
    >>> from sk_mige.training import Checkpoint
    >>> X = np.random.default_rng(0).normal(size=(200, 4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "run.pt")
    ...     encoder = MIGEEncoder(2, max_epochs=3, callbacks=[Checkpoint(path)], random_state=0)
    ...     first = encoder.fit_transform(X)
    ...     second = encoder.fit_transform(X)  # restored, not trained again
    >>> bool((first == second).all())
    True
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Continue from the file if the file exists and the net has not been trained."""
        if not isinstance(self.path, str | os.PathLike) or not str(self.path):
            raise ValueError(f"Checkpoint: path must be the path of a file, got {self.path!r}")
        self.run_ = {**net.run_settings, "rows": _rows_in_words(kwargs["X"])}
        if net.finished_epochs == 0 and Path(self.path).exists():
            state = self._read()
            try:
                self._restore(net, state)
            except ValueError:  # the file belongs to another run
                raise
            except Exception as error:  # the entries of a file can have any type and shape
                raise self._damaged(error) from error
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)  # raises before training

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the file in the first process."""
        if net.rank > 0:
            return
        state = {
            "format": FORMAT,
            "run": self.run_,
            "module": net.module_.state_dict(),
            "objective": net.criterion_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "good": net._good_weights,
            "generator": net.generator.get_state(),
            "random": _random_state(net.device),
            "history": [_plain(row) for row in net.history],
        }
        path = Path(self.path)
        unfinished = path.with_name(path.name + ".partial")
        torch.save(state, unfinished)
        os.replace(unfinished, path)

    def _read(self) -> dict[str, Any]:
        try:
            with ZipFile(self.path) as stored:  # torch does not compare the checksums of tensors
                if (part := stored.testzip()) is not None:
                    raise ValueError(f"the checksum of {part} is wrong")
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file can raise any error
            raise self._damaged(error) from error
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise ValueError(
                f"{self.path} is not a checkpoint of this version ({FORMAT!r}): delete the file, "
                "or use another path"
            )
        return state

    def _damaged(self, error: Exception) -> ValueError:
        return ValueError(
            f"{self.path} is damaged or is not a checkpoint ({error!s:.80}): delete the file, or "
            "use another path"
        )

    def _restore(self, net: Any, state: dict[str, Any]) -> None:
        parts = {"module": net.module_, "objective": net.criterion_}
        for name, part in parts.items():
            self._check(name, part.state_dict(), state[name])
        self._check_run(state["run"])
        rates = [group["lr"] for group in net.optimizer_.param_groups]
        try:
            net.optimizer_.load_state_dict(state["optimizer"])
            self._check_moments(net.optimizer_)
        except Exception as error:  # an optimizer can raise any error for the state of another
            raise ValueError(
                f"{self.path} is a checkpoint of another optimizer ({error}): set the optimizer "
                "of the first run, or use another path"
            ) from error
        for group, rate in zip(net.optimizer_.param_groups, rates, strict=True):
            group["lr"] = rate  # schedules start from the initial rate of the run
        for name, part in parts.items():
            part.load_state_dict(state[name])
        # Before this call, the net copied the initial weights as the last good weights.
        torch._foreach_copy_(net._good_weights, state["good"])
        net.generator.set_state(state["generator"])
        _set_random_state(net.device, state["random"])
        for row in state["history"]:
            net.history.new_epoch()
            for key, value in row.items():
                net.history.record(key, value)

    def _check(self, what: str, ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
        wanted = {key: tuple(value.shape) for key, value in ours.items()}
        found = {key: tuple(getattr(value, "shape", ())) for key, value in theirs.items()}
        if (key := _difference(wanted, found)) is not None:
            raise ValueError(
                f"{self.path} is a checkpoint of another {what}: {key!r} has the shape "
                f"{found.get(key)} in the file and {wanted.get(key)} in this run. Set the "
                "parameters of the first run, or use another path"
            )

    def _check_moments(self, optimizer: torch.optim.Optimizer) -> None:
        """Raise ValueError for moments of wrong shapes, with which a fused step would crash."""
        for group in optimizer.param_groups:
            for weight in group["params"] if group.get("fused") else ():
                for key, moment in optimizer.state[weight].items():
                    wanted = torch.empty_like(weight) if key != "step" else torch.empty(())
                    if (moment.shape, moment.stride()) != (wanted.shape, wanted.stride()):
                        raise ValueError(
                            f"{key!r} must have the shape {tuple(wanted.shape)} and the strides "
                            f"{wanted.stride()}; got {tuple(moment.shape)} and {moment.stride()}"
                        )

    def _check_run(self, theirs: dict[str, str]) -> None:
        if (name := _difference(self.run_, theirs)) is not None:
            raise ValueError(
                f"{self.path} is a checkpoint of another run: {name} was {theirs.get(name)} in the "
                f"other run, and is {self.run_.get(name)} in this run. Each run needs a separate "
                "file: use another path, or delete the file"
            )


def _difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str | None:
    """Return the first key whose values differ, or None."""
    return next((key for key in [*ours, *theirs] if ours.get(key) != theirs.get(key)), None)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Convert the record of an epoch to types that ``weights_only=True`` can read."""
    return {
        key: value if isinstance(value, bool | int) else float(value)
        for key, value in row.items()
        if key != "batches" and isinstance(value, bool | int | float)
    }


def _random_state(device: Any) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    device = torch.device(device)
    if device.type != "cpu":
        with current(device):
            state[device.type] = torch.get_device_module(device).get_rng_state()
    return state


def _set_random_state(device: Any, state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    device = torch.device(device)
    if device.type in state and device.type != "cpu":
        with current(device):
            torch.get_device_module(device).set_rng_state(state[device.type])


def settings_in_words(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return descriptions of the parameters that must not change when a run continues.

    Functions are represented by their names, modules by their class names, and callbacks by their
    class names and parameters.

    Examples
    --------
    >>> from sk_mige.training.checkpoint import settings_in_words
    >>> settings_in_words({"lr": 0.1, "optimizer": dict, "verbose": 1})
    {'lr': '0.1', 'optimizer': 'dict'}
    """
    return {name: _words(value) for name, value in parameters.items() if name not in FREE}


def _words(value: Any) -> str:
    if value is None or isinstance(value, str | bool):
        return repr(value)
    if isinstance(value, Number):
        return repr(value.item() if isinstance(value, np.generic) else value)
    if isinstance(value, list | tuple):
        return f"({', '.join(_words(item) for item in value)})"
    if isinstance(value, Mapping):
        return str({str(key): _words(item) for key, item in value.items()})
    if isinstance(value, partial):
        return f"partial of {_words(value.func)} {_words(value.args)} {_words(value.keywords)}"
    if is_dataclass(value) and not isinstance(value, type):  # such as ImageAugmentation
        return repr(value)
    if isinstance(value, Callback):
        return f"{type(value).__qualname__} {_words(value.get_params(deep=False))}"
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def _rows_in_words(data: Any) -> str:
    """Return the number of rows of a data set, and a digest of 64 rows with their targets."""
    picks = np.unique(np.linspace(0, len(data) - 1, N_ROWS).astype(int)).tolist()
    digest = hashlib.sha256()
    for part in data.__getitems__(picks):
        digest.update(np.ascontiguousarray(part.cpu().numpy()).tobytes())
    return f"{len(data)} rows, {digest.hexdigest()[:16]}"
