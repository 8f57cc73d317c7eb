"""Checkpoints: a run that was killed goes on where its last finished epoch ended."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor, nn

from .device import current
from .run_identity import rows_in_words

__all__ = ["Checkpoint"]

FORMAT = "sk_mige checkpoint 3"


class Checkpoint(Callback):
    """Writes all that training needs to a file after each epoch, and continues from it.

    Given to ``MIGEEncoder(callbacks=[Checkpoint(path)])``, a ``fit`` that was killed at any
    moment can be called again, with the same parameters and data: it starts after the last
    finished epoch and gives what it would have given without the interruption, to the last bit
    on the same machine (but see the Notes on averages). A finished run's file leaves nothing to
    do: ``fit`` then only restores. A larger ``max_epochs`` makes a finished run longer.

    Parameters
    ----------
    path : str or path-like
        The file. One run has one file: delete it, or name another, to train anew. In a search or
        a cross-validation every fit is a run of its own, and the second one is refused.

    Raises
    ------
    ValueError
        When the file is no checkpoint, or one of another network, objective, optimizer, of other
        parameters or other rows.

    Notes
    -----
    Compared are the parameters of the encoder, functions and modules by their names alone, and
    the number of rows with a digest of 64 of them. Kept are the weights, what the objective has
    learned (critics, adversaries), the optimizer's moments, the states of the random generators
    and the history. The file holds tensors, numbers and words and is read with
    ``weights_only=True``: nothing is unpickled. Written is a new file that then takes the old
    one's name, so that a kill while writing loses one epoch. Averaged weights
    (``weight_averaging``) and the user's own callbacks start anew.

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
        """Continue from the file where there is one and the net is fresh."""
        self.resumed_ = 0
        self.run_ = {**net.run_settings, "rows": rows_in_words(kwargs["X"])}
        if len(net.history) == 0 and Path(self.path).exists():
            self._restore(net, self._read())

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Let the schedules of this run count the epochs that the file brought."""
        done, self.resumed_ = self.resumed_, 0
        for _, callback in net.callbacks_ if done else ():
            if hasattr(callback, "step_"):
                callback.step_ += done * net.batches_an_epoch
            if hasattr(callback, "epoch_"):
                callback.epoch_ += done
            if hasattr(callback, "bar_"):
                callback.bar_.update(done)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the file; of processes that train together the first one does."""
        if getattr(net, "rank", 0) > 0:
            return
        state = {
            "format": FORMAT,
            "run": self.run_,
            "module": net.module_.state_dict(),
            "objective": _objective(net).state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "good": getattr(net, "_good_weights", []),
            "generator": net.generator.get_state(),
            "random": _random_state(net.device),
            "history": [_plain(row) for row in net.history],
        }
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def _read(self) -> dict[str, Any]:
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
            raise ValueError(f"{self.path} is damaged or no checkpoint: {error}") from error
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise ValueError(f"{self.path} is no checkpoint of this version ({FORMAT!r})")
        return state

    def _restore(self, net: Any, state: dict[str, Any]) -> None:
        parts = {"module": net.module_, "objective": _objective(net)}
        for name, part in parts.items():
            self._check(name, part.state_dict(), state[name])
        self._check_run(state["run"])
        for name, part in parts.items():
            part.load_state_dict(state[name])
        # The net took its own as the last good ones before it had these.
        for tensor, good in zip(getattr(net, "_good_weights", []), state["good"], strict=True):
            tensor.copy_(good)
        rates = [group["lr"] for group in net.optimizer_.param_groups]
        try:
            net.optimizer_.load_state_dict(state["optimizer"])
        except (ValueError, KeyError) as error:
            raise ValueError(f"{self.path} is of another optimizer: {error}") from error
        for group, rate in zip(net.optimizer_.param_groups, rates, strict=True):
            group["lr"] = rate  # schedules start from the rate that the run started from
        net.generator.set_state(state["generator"])
        _set_random_state(net.device, state["random"])
        for row in state["history"]:
            net.history.new_epoch()
            for key, value in row.items():
                net.history.record(key, value)
        self.resumed_ = len(state["history"])

    def _check(self, what: str, ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
        wanted = {key: tuple(value.shape) for key, value in ours.items()}
        found = {key: tuple(value.shape) for key, value in theirs.items()}
        if wanted == found:
            return
        key = next(k for k in [*wanted, *found] if wanted.get(k) != found.get(k))
        raise ValueError(
            f"{self.path} is a checkpoint of another {what}: its {key!r} has the shape "
            f"{found.get(key)}, this one's {wanted.get(key)}. Give the encoder the parameters that "
            "it had, or name another file"
        )

    def _check_run(self, theirs: dict[str, str]) -> None:
        names = [*self.run_, *theirs]
        name = next((n for n in names if self.run_.get(n) != theirs.get(n)), None)
        if name is not None:
            raise ValueError(
                f"{self.path} is a checkpoint of another run: its {name} was {theirs.get(name)}, "
                f"here it is {self.run_.get(name)}. One run has one file: name another, or delete "
                "this one"
            )


def _objective(net: Any) -> nn.Module:
    criterion = net.criterion_
    return criterion if isinstance(criterion, nn.Module) else nn.Module()


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """One epoch's record without its batches: numbers alone, which weights_only=True reads."""
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
