"""The seven methods of Table 3, their network, and a run that can be interrupted."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import nn

from sk_mige import MIGEEncoder
from sk_mige.networks import MLPEncoder
from sk_mige.training import ExponentialDecay, WeightAveraging

# What each method adds to the plain network, the parameter that is tuned, and its four values.
PLAIN: dict[str, Any] = {"head": "deterministic", "beta": 0.0}
METHODS: dict[str, tuple[dict[str, Any], str | None, tuple[float, ...]]] = {
    "MIGE-IB": ({"head": "gaussian"}, "beta", (1e-3, 1e-2, 3e-2, 1e-1)),
    "DVB": ({"head": "gaussian", "mi_estimator": "variational"}, "beta", (3e-4, 1e-3, 3e-3, 1e-2)),
    "Baseline": (PLAIN, None, ()),
    "Dropout": (PLAIN, "dropout", (0.1, 0.2, 0.35, 0.5)),
    "Confidence penalty": (PLAIN, "confidence_penalty", (0.03, 0.1, 0.3, 1.0)),
    "Label smoothing": (PLAIN, "label_smoothing", (0.02, 0.05, 0.1, 0.2)),
    "MINE-IB": ({"head": "gaussian", "mi_estimator": "mine"}, "beta", (1e-4, 1e-3, 1e-2, 1e-1)),
    # Not in the paper: information within the classes, as labels are known.
    "MIGE-IB, by classes": ({"marginal": "classes"}, "beta", (1e-3, 1e-2, 3e-2, 1e-1)),
    # Nor are 16 dimensions, where the conditional may be of unknown density.
    "MIGE-IB, K = 16": ({"n_components": 16}, "beta", (1e-3, 3e-3, 1e-2, 3e-2)),
    "MIGE-IB, implicit, K = 16": (
        {"n_components": 16, "head": "implicit"}, "beta", (1e-3, 3e-3, 1e-2, 3e-2),
    ),
}  # fmt: skip
PAPER = {
    "Baseline": 1.38, "Dropout": 1.34, "Confidence penalty": 1.36, "Label smoothing": 1.40,
    "DVB": 1.13, "MINE-IB": 1.11, "MIGE-IB": 1.05,
}  # fmt: skip


def make_encoder(n_features: int, n_outputs: int, dropout: float = 0.0) -> nn.Module:
    """784-1024-1024-n_outputs, ReLU, without batch norm: that of the paper."""
    return MLPEncoder(n_features, n_outputs, (1024, 1024), batch_norm=False, dropout=dropout)


class Checkpoint(Callback):
    """All that a run needs to continue, stored after every epoch; progress with the time left."""

    def __init__(self, path: str, epochs: int, label: str) -> None:
        self.path = path
        self.epochs = epochs
        self.label = label

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Find out where the last run was interrupted."""
        self.stored_ = load(Path(self.path))
        self.epoch_ = self.stored_["epoch"] if self.stored_ else 0
        self.seconds_ = self.stored_["seconds"] if self.stored_ else 0.0

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Continue there: weights, their average, the optimizer, the generators."""
        if self.stored_ is None:
            return
        net.module_.load_state_dict(self.stored_["module"])
        net.criterion_.load_state_dict(self.stored_["criterion"])
        net.optimizer_.load_state_dict(self.stored_["optimizer"])
        self.average(net).load_state_dict(self.stored_["average"])
        net.generator.set_state(self.stored_["batches"])
        torch.set_rng_state(self.stored_["noise"])  # the run's own: fit has forked the global one
        for _, callback in net.callbacks_:
            if isinstance(callback, ExponentialDecay):
                callback.epoch_ = self.epoch_
        self.stored_ = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Store the run, by a rename that leaves the last file whole whatever happens."""
        self.epoch_ += 1
        self.seconds_ += net.history[-1, "dur"]
        state = {
            "epoch": self.epoch_, "seconds": self.seconds_, "module": net.module_.state_dict(),
            "criterion": net.criterion_.state_dict(), "optimizer": net.optimizer_.state_dict(),
            "average": self.average(net).state_dict(), "batches": net.generator.get_state(),
            "noise": torch.get_rng_state(),
        }  # fmt: skip
        path = Path(self.path)
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)
        left = (self.epochs - self.epoch_) * self.seconds_ / self.epoch_
        loss = net.history[-1, "train_loss"]
        print(
            f"{self.label}: epoch {self.epoch_}/{self.epochs}, loss {loss:.4f}, "
            f"{self.seconds_ / self.epoch_:.1f} s an epoch, {left / 60:.1f} min left",
            flush=True,
        )

    @staticmethod
    def average(net: Any) -> Any:
        """The running average of the weights."""
        found = (c for _, c in net.callbacks_ if isinstance(c, WeightAveraging))
        return next(found).averaged_


def load(path: Path) -> dict[str, Any] | None:
    """A stored run, or None."""
    return torch.load(path, weights_only=True) if path.exists() else None


def encoder_of(cell: dict[str, Any], checkpoint: Path, device: str) -> MIGEEncoder:
    """The estimator of one cell, with as many epochs as are left to do."""
    fixed, tuned, _ = METHODS[cell["method"]]
    parameters = {"n_components": 256, **fixed}
    dropout = 0.0
    if tuned == "dropout":
        dropout = cell["strength"]
    elif tuned is not None:
        parameters[tuned] = cell["strength"]
    stored = load(checkpoint)
    epochs = cell["epochs"]
    label = f"{cell['method']} {cell['strength'] or ''} seed {cell['seed']}"
    return MIGEEncoder(
        mode="ib",
        task="classification",
        encoder=partial(make_encoder, dropout=dropout),
        mixed_precision=cell["mixed"],
        optimizer=partial(torch.optim.Adam, betas=(0.5, 0.999), fused=True),
        lr=2e-4,
        lr_schedule="exponential",
        lr_decay=0.96,
        lr_decay_epochs=2,
        weight_averaging=0.999,
        batch_size=100,
        max_epochs=epochs - (stored["epoch"] if stored else 0),
        callbacks=[Checkpoint(str(checkpoint), epochs, label)],
        device=device,
        random_state=cell["seed"],
        **parameters,
    )
