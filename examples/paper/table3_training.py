"""The methods of Table 3, their network, and a run that can be interrupted."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from sk_mige import MIGE, InformationBottleneck, MIGEEncoder
from sk_mige.networks import MLPEncoder
from sk_mige.training import ExponentialDecay, WeightAveraging
from sk_mige.training.schedules import CosineDecay


class Method(NamedTuple):
    """A method, with its objective, its tuned parameter and the candidate values.

    The tuned parameter is a parameter of the objective, or "dropout". The recorded results contain
    the name of the method.
    """

    mode: InformationBottleneck
    tuned: str | None = None
    strengths: tuple[float, ...] = ()
    n_components: int = 256


PLAIN = InformationBottleneck(head="deterministic", beta=0.0)
METHODS = {
    "MIGE-IB": Method(InformationBottleneck(), "beta", (1e-3, 1e-2, 3e-2, 1e-1)),
    "DVB": Method(InformationBottleneck("variational"), "beta", (3e-4, 1e-3, 3e-3, 1e-2)),
    "Baseline": Method(PLAIN),
    "Dropout": Method(PLAIN, "dropout", (0.1, 0.2, 0.35, 0.5)),
    "Confidence penalty": Method(PLAIN, "confidence_penalty", (0.03, 0.1, 0.3, 1.0)),
    "Label smoothing": Method(PLAIN, "label_smoothing", (0.02, 0.05, 0.1, 0.2)),
    "MINE-IB": Method(InformationBottleneck("mine"), "beta", (1e-4, 1e-3, 1e-2, 1e-1)),
    # The following are not in the paper.
    "MIGE-IB, by classes": Method(
        InformationBottleneck(MIGE(marginal="classes")), "beta", (1e-3, 1e-2, 3e-2, 1e-1)
    ),
    "MIGE-IB, K = 16": Method(InformationBottleneck(), "beta", (1e-3, 3e-3, 1e-2, 3e-2), 16),
    "MIGE-IB, implicit, K = 16": Method(
        InformationBottleneck(head="implicit"), "beta", (1e-3, 3e-3, 1e-2, 3e-2), 16
    ),
}
PAPER = {
    "Baseline": 1.38, "Dropout": 1.34, "Confidence penalty": 1.36, "Label smoothing": 1.40,
    "DVB": 1.13, "MINE-IB": 1.11, "MIGE-IB": 1.05,
}  # fmt: skip


# Settings of training that a run can change, with the values in the paper.
SETTINGS = {
    "hidden": 0.0, "noise": 0.0, "adversarial": 0.0, "dropout": 0.0, "smoothing": 0.0,
    "batch": 100, "lr": 2e-4, "cosine": False, "draws": 12,
}  # fmt: skip


class NoisyPixels(nn.Module):
    """Set a share of the pixels to the background and add Gaussian noise, in training."""

    def __init__(self, hidden: float, noise: float) -> None:
        super().__init__()
        self.hidden = hidden
        self.noise = noise

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the images. The background is −1."""
        if self.training and self.hidden:
            x = x.masked_fill(torch.rand_like(x) < self.hidden, -1)
        return x + self.noise * torch.randn_like(x) if self.training and self.noise else x


def make_encoder(
    n_features: int, n_outputs: int, dropout: float, hidden: float, noise: float
) -> nn.Module:
    """Return the paper's ReLU network with layers 784-1024-1024-n_outputs, without batch norm."""
    network = MLPEncoder(n_features, n_outputs, (1024, 1024), batch_norm=False, dropout=dropout)
    return nn.Sequential(NoisyPixels(hidden, noise), network) if hidden or noise else network


class AdversarialNoise(Callback):
    r"""Add noise to training images in the direction that increases the cross-entropy L.

    .. math:: x \leftarrow x + \epsilon \, \mathrm{sign}(\nabla_x L), \qquad
              \epsilon \sim U(0, \epsilon_{\max})

    Each image has its own ε. The pixels remain between −1 and 1. The cross-entropy uses one draw of
    z (Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", ICLR 2015).
    """

    def __init__(self, largest: float) -> None:
        self.largest = largest

    def on_batch_begin(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Change the images of a training batch in place."""
        if not training or not self.largest:
            return
        images, target = batch
        x = images.detach().clone().requires_grad_()
        net.module_.train()
        prediction = net.infer(x).prediction
        target = target.to(prediction.device).expand(prediction.shape[:-1])
        loss = nn.functional.cross_entropy(prediction.flatten(0, -2), target.flatten())
        (gradient,) = torch.autograd.grad(loss, x)
        size = self.largest * torch.rand(len(images), 1, device=images.device)
        images.add_(size * gradient.sign()).clamp_(-1, 1)


class Checkpoint(Callback):
    """Store a run with the average of its weights after each epoch, and continue stored runs.

    The callback must come after WeightAveraging, because the callback restores the average. The
    callback also prints the remaining time.
    """

    def __init__(self, path: str, epochs: int, label: str) -> None:
        self.path = path
        self.epochs = epochs
        self.label = label

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Continue an interrupted run."""
        self.seconds_ = 0.0
        stored = load(Path(self.path))
        if stored is None:
            return
        self.seconds_ = stored["seconds"]
        net.epochs_before = stored["epoch"]
        net.module_.load_state_dict(stored["module"])
        net.criterion_.load_state_dict(stored["criterion"])
        rates = [group["lr"] for group in net.optimizer_.param_groups]
        net.optimizer_.load_state_dict(stored["optimizer"])
        for group, rate in zip(net.optimizer_.param_groups, rates, strict=True):
            group["lr"] = rate  # the schedule starts from the initial rate
        self.average(net).load_state_dict(stored["average"])
        net.generator.set_state(stored["batches"])
        torch.set_rng_state(stored["noise"])  # fit has forked the global generator

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Store the run. Replace the last file when the new file is complete."""
        epoch = net.finished_epochs
        self.seconds_ += net.history[-1, "dur"]
        state = {
            "epoch": epoch, "seconds": self.seconds_, "module": net.module_.state_dict(),
            "criterion": net.criterion_.state_dict(), "optimizer": net.optimizer_.state_dict(),
            "average": self.average(net).state_dict(), "batches": net.generator.get_state(),
            "noise": torch.get_rng_state(),
        }  # fmt: skip
        path = Path(self.path)
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)
        left = (self.epochs - epoch) * self.seconds_ / epoch
        loss = net.history[-1, "train_loss"]
        print(
            f"{self.label}: epoch {epoch}/{self.epochs}, loss {loss:.4f}, "
            f"{self.seconds_ / epoch:.1f} s an epoch, {left / 60:.1f} min left",
            flush=True,
        )

    @staticmethod
    def average(net: Any) -> Any:
        """Return the running average of the weights."""
        found = (c for _, c in net.callbacks_ if isinstance(c, WeightAveraging))
        return next(found).averaged_


def load(path: Path) -> dict[str, Any] | None:
    """Return a stored run, or None."""
    return torch.load(path, weights_only=True) if path.exists() else None


def encoder_of(cell: dict[str, Any], checkpoint: Path, device: str) -> MIGEEncoder:
    """Return the estimator of one run."""
    method = METHODS[cell["method"]]
    setting = {**SETTINGS, **cell}
    mode = clone(method.mode).set_params(
        label_smoothing=setting["smoothing"], n_prediction_samples=setting["draws"]
    )
    if method.tuned == "dropout":
        setting["dropout"] = cell["strength"]
    elif method.tuned is not None:
        mode.set_params(**{method.tuned: cell["strength"]})
    label = " ".join(str(value) for value in cell.values())
    return MIGEEncoder(
        method.n_components,
        mode=mode,
        encoder=partial(make_encoder, **{k: setting[k] for k in ("dropout", "hidden", "noise")}),
        mixed_precision=cell["mixed"],
        optimizer=partial(torch.optim.Adam, betas=(0.5, 0.999), fused=True),
        lr=setting["lr"],
        lr_schedule=(
            CosineDecay(cell["epochs"]) if setting["cosine"] else ExponentialDecay(0.96, 2)
        ),
        batch_size=setting["batch"],
        max_epochs=cell["epochs"],
        callbacks=[
            AdversarialNoise(setting["adversarial"]),
            WeightAveraging(0.999),
            Checkpoint(str(checkpoint), cell["epochs"], label),
        ],
        device=device,
        random_state=cell["seed"],
    )
