"""The skorch net that trains an encoder: batches at once, and no step after a non-finite loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import EpochTimer, PassthroughScoring
from skorch.dataset import unpack_data
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sk_mige.networks import Code

from .data import ArrayDataset, BatchLoader, EqualBatchSampler
from .device import moved
from .joint_batch import with_joint_batch_norms
from .likelihoods import ClassLikelihood
from .objectives import Objective

__all__ = ["EncoderNet", "NonFiniteLossError", "build_net"]


class NonFiniteLossError(ArithmeticError):
    """The loss of a batch was infinite or not a number.

    Parameters
    ----------
    epoch, step : int
        Where it happened, counted from 1.

    Examples
    --------
    >>> from sk_mige.training import NonFiniteLossError
    >>> str(NonFiniteLossError(2, 7))
    'the loss became infinite or NaN at step 7 of epoch 2'
    """

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"the loss became infinite or NaN at step {step} of epoch {epoch}")
        self.epoch = epoch
        self.step = step


class EncoderNet(NeuralNet):
    """A skorch net whose criterion sees code, inputs and targets; see :func:`build_net`.

    Weights are copied at each step with a finite loss: a run that diverges returns to the last.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training import EncoderNet
    >>> EncoderNet(torch.nn.Linear, lambda code, x, y: code.z.mean()).initialized_
    False
    """

    # What makes a run this run, for callbacks that store it: see `run_identity`.
    run_settings: Mapping[str, str] = MappingProxyType({})

    @property
    def rank(self) -> int:
        """Number of this process among those that train together."""
        return 0

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring(name="train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring(name="valid_loss")),
        ]

    def initialize_criterion(self) -> EncoderNet:
        """Take the objective as it is: it has been built already."""
        self.criterion_ = self.criterion
        return self

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Keep the weights that training starts from."""
        self._good_weights = [tensor.clone() for tensor in self._tensors()]
        super().on_train_begin(net, X=X, y=y, **kwargs)

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Let the copy of the weights go."""
        self._good_weights = []
        super().on_train_end(net, X=X, y=y, **kwargs)

    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any
    ) -> EncoderNet:
        """Train for some epochs; unlike skorch's, it passes Ctrl-C on to who may know better."""
        if not self.initialized_:
            self.initialize()
        self.notify("on_train_begin", X=X, y=y)
        self.fit_loop(X, y, **fit_params)
        self.notify("on_train_end", X=X, y=y)
        return self

    def _set_training(self, training: bool = True) -> None:
        """Switch modes where there is something to switch: each step asks."""
        if any(part.training != training for module in self._parts() for part in module.modules()):
            super()._set_training(training)

    def get_iterator(self, dataset: Any, training: bool = False) -> DataLoader[Any]:
        """Random batches of equal size from the net's own generator; held-out rows in order.

        In order, since what ``predict`` answers must be in the order of its rows.
        """
        if not training:
            return BatchLoader(dataset, EqualBatchSampler(len(dataset), self.batch_size, None))
        sampler = EqualBatchSampler(len(dataset), self.batch_size, self.generator)
        self.batches_an_epoch = len(sampler)
        return BatchLoader(dataset, sampler, self.generator)

    def get_loss(
        self, y_pred: Code, y_true: Tensor, X: Tensor | None = None, training: bool = False
    ) -> Tensor:
        """The objective's value."""
        loss: Tensor = self.criterion_(y_pred, X, y_true)
        return loss

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Forward and backward pass of one batch, refused when the loss is not finite."""
        self._set_training(True)
        x, y = (moved(part, self.device) for part in unpack_data(batch))
        code = self.infer(x, **fit_params)
        loss = self.get_loss(code, y, X=x, training=True)
        joint = self._joint(loss)
        # Gradients that are not finite harm nobody before the optimizer's step; so the backward
        # pass need not wait for the answer, which a card gives once it has done all before it.
        self._backward(loss)
        value = float(joint)
        if not math.isfinite(value):
            raise NonFiniteLossError(len(self.history), len(self.history[-1, "batches"]))
        self._keep_weights()
        return {"loss": torch.tensor(value, dtype=torch.float64), "y_pred": self._answer(code)}

    @torch.no_grad()
    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Loss of held-out rows: the objective's ``held_out``, where it has one."""
        self._set_training(False)
        x, y = (moved(part, self.device) for part in unpack_data(batch))
        code = self.infer(x, **fit_params)
        objective: Any = self.criterion_
        loss = getattr(objective, "held_out", objective)(code, x, y)
        return {"loss": loss, "y_pred": self._answer(code)}

    def evaluation_step(self, batch: Any, training: bool = False) -> Any:
        """What the network answers to a batch, for skorch's ``predict_proba`` and scoring."""
        with torch.set_grad_enabled(training):
            self._set_training(training)
            return self._answer(self.infer(unpack_data(batch)[0]))

    def predict(self, X: Any) -> NDArray[Any]:
        """Index of the likeliest class, or the predicted values; without a decoder, z."""
        answers = np.asarray(self.predict_proba(X))
        return answers.argmax(-1) if self._tells_classes() else answers

    def _answer(self, code: Any) -> Any:
        """Probabilities of classes or values, the mean over draws of z; without a decoder, z."""
        if not isinstance(code, Code):  # another network's
            return code
        if code.prediction is None:
            return code.z.detach()
        told = code.prediction.detach()
        told = told.softmax(-1) if self._tells_classes() else told
        return told if told.ndim == 2 else told.mean(0)

    def _tells_classes(self) -> bool:
        return isinstance(getattr(self.criterion_, "likelihood", None), ClassLikelihood)

    def _joint(self, loss: Tensor) -> Tensor:
        """The loss as it is recorded."""
        return loss.detach()

    def _backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def restore_weights(self) -> None:
        """Return to the weights at the last finite loss of the run in progress."""
        for tensor, good in zip(self._tensors(), self._good_weights, strict=True):
            tensor.copy_(good)

    @torch.no_grad()
    def _keep_weights(self) -> None:
        pairs = list(zip(self._good_weights, self._tensors(), strict=True))
        # One launch a type, where a loop would have one a tensor: batch norms count in integers.
        for dtype in {good.dtype for good, _ in pairs}:
            same = [pair for pair in pairs if pair[0].dtype == dtype]
            torch._foreach_copy_([good for good, _ in same], [tensor for _, tensor in same])

    def _tensors(self) -> list[Tensor]:
        return [t.detach() for m in self._parts() for t in (*m.parameters(), *m.buffers())]

    def _parts(self) -> list[nn.Module]:
        return [part for part in (self.module_, self.criterion_) if isinstance(part, nn.Module)]


def build_net(
    module: nn.Module,
    objective: Objective,
    *,
    optimizer: Callable[..., torch.optim.Optimizer],
    lr: float,
    batch_size: int,
    device: torch.device,
    generator: torch.Generator,
    callbacks: Sequence[Any] | None = None,
    max_epochs: int = 1,
    verbose: int = 0,
    accelerator: Any = None,
) -> EncoderNet:
    """An initialised net, ready for ``fit_loop`` or ``partial_fit``.

    Parameters
    ----------
    module : nn.Module
        From rows to :class:`sk_mige.networks.Code`.
    objective : callable
        Loss of a batch; see :class:`Objective`.
    optimizer : callable
        Class or factory, called with parameter groups and ``lr``.
    lr : float
        Learning rate.
    batch_size : int
        Largest number of rows in a batch.
    device : torch.device
        Where to train.
    generator : torch.Generator
        Source of the batches' order, on the CPU.
    callbacks : sequence, default=None
        skorch callbacks, used as they are: clone those that belong to somebody else.
    max_epochs : int, default=1
        Epochs of a call to ``fit``.
    verbose : int, default=0
        skorch's verbosity.
    accelerator : accelerate.Accelerator, default=None
        Joins several processes, which train together on joint batches of ``batch_size`` rows
        each; the module's batch norms become joint ones.

    Returns
    -------
    EncoderNet

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sk_mige.networks import DeterministicHead, EncoderNetwork, MLPEncoder
    >>> from sk_mige.score import ssge
    >>> from sk_mige.training import ArrayDataset, InfoMax, build_net
    >>> module = EncoderNetwork(MLPEncoder(3, 2, (8,)), DeterministicHead(2))
    >>> generator = torch.Generator().manual_seed(0)
    >>> net = build_net(
    ...     module, InfoMax(ssge), optimizer=torch.optim.Adam, lr=1e-3, batch_size=16,
    ...     device=torch.device("cpu"), generator=generator,
    ... )
    >>> X = np.random.default_rng(0).normal(size=(32, 3))
    >>> len(net.partial_fit(ArrayDataset(X), epochs=2).history)
    2
    """
    kind: type[EncoderNet] = EncoderNet
    joint: dict[str, Any] = {}
    if accelerator is not None:
        from .distributed_net import DistributedNet  # brings accelerate's part of skorch along

        kind = DistributedNet
        module = with_joint_batch_norms(module)
        # Wrapped once and for all: the estimator keeps the module itself.
        joint = {"accelerator": accelerator, "unwrap_after_train": False}
    net = kind(
        module,
        objective,
        optimizer=optimizer,
        lr=lr,
        batch_size=batch_size,
        max_epochs=max_epochs,
        dataset=ArrayDataset,
        train_split=None,
        callbacks=_as_list(callbacks),
        device=device,
        verbose=verbose,
        **joint,
    )
    net.generator = generator
    net.initialize()
    return net


def _as_list(callbacks: Iterable[Any] | None) -> list[Any]:
    return [] if callbacks is None else list(callbacks)
