"""skorch net that trains a network on an objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.dataset import unpack_data
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sk_mige.information._tensors import in_training
from sk_mige.information.copies import FEWEST_PAIRS, PART_VALUES, information_of_copies
from sk_mige.networks import Code, evaluate
from sk_mige.objectives import Objective

from .data import BatchLoader, EqualBatchSampler, read_parts
from .device import moved
from .items import ItemRows

WITHOUT_GRAPH = (
    "mode or encoder: the loss of a batch does not depend on the weights of the network through "
    "autograd. Use torch operations in a custom mode or encoder, without detach(), .item(), NumPy "
    "or torch.no_grad()"
)


class NonFiniteLossError(ArithmeticError):
    """Error that is raised if the loss of a batch is infinite or NaN.

    Parameters
    ----------
    epoch, step : int
        Epoch and step of the loss, counted from 1.

    Examples
    --------
    >>> from sk_mige.training.net import NonFiniteLossError
    >>> str(NonFiniteLossError(2, 7))
    'the loss became infinite or NaN at step 7 of epoch 2'
    """

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"the loss became infinite or NaN at step {step} of epoch {epoch}")
        self.epoch = epoch
        self.step = step


class EncoderNet(NeuralNet):
    """skorch net whose criterion is an :class:`~sk_mige.objectives.Objective`.

    The objective computes the loss from the code, the inputs and the targets of a batch. At each
    step with a finite loss, the net copies the weights. A diverging run returns to the last copy.
    :class:`Trainer` creates the net.

    Attributes
    ----------
    run_settings : mapping of str to str
        Settings that identify the run, for callbacks that store the run.
    read_rows : callable
        Function that validates inputs X and returns rows (n, d), for callbacks that evaluate codes.
    epochs_before : int
        Number of finished epochs that are not in the history, such as epochs before the model was
        loaded.
    run_start : int
        Number of finished epochs at the start of the current run.
    batches_an_epoch : int
        Number of batches in an epoch.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.objectives import FunctionObjective
    >>> from sk_mige.training.net import EncoderNet
    >>> objective = FunctionObjective(lambda code, x, y: code.z.mean())
    >>> EncoderNet(torch.nn.Linear, objective).initialized_
    False
    """

    run_settings: Mapping[str, str] = MappingProxyType({})
    read_rows: Callable[[Any], Any] = staticmethod(np.asarray)
    epochs_before: int = 0
    run_start: int = 0
    _copies_loss: Tensor
    criterion_: Objective

    @property
    def rank(self) -> int:
        """Rank of the current process among the processes that train together."""
        return 0

    @property
    def finished_epochs(self) -> int:
        """Number of finished epochs in all runs."""
        return self.epochs_before + sum("dur" in row for row in self.history)

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [pair for pair in super()._default_callbacks if pair[0] != "print_log"]

    def initialize_optimizer(self, *args: Any, **kwargs: Any) -> EncoderNet:
        """Create the optimizer, or raise TypeError with the name of the parameter."""
        try:
            super().initialize_optimizer(*args, **kwargs)
            len(self.optimizer_.param_groups)
        except (AttributeError, TypeError) as error:
            raise TypeError(
                f"optimizer: {error}; pass a class of torch.optim, or a function (parameters, lr) "
                "that returns an optimizer"
            ) from error
        return self

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Copy the weights at the start of training."""
        self._good_weights = [tensor.clone() for tensor in self._tensors()]
        super().on_train_begin(net, X=X, y=y, **kwargs)

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Drop the copy of the weights."""
        self._good_weights = []
        super().on_train_end(net, X=X, y=y, **kwargs)

    def on_epoch_begin(self, net: Any, *args: Any, **kwargs: Any) -> None:
        """Start a record with the number of the epoch, counted over all runs."""
        super().on_epoch_begin(net, *args, **kwargs)
        self.history.record("epoch", self.finished_epochs + 1)

    def get_iterator(self, dataset: Any, training: bool = False) -> DataLoader[Any]:
        """Return random batches in training, and batches in the order of the rows otherwise."""
        if not training:
            return BatchLoader(dataset, EqualBatchSampler(len(dataset), self.batch_size, None))
        sampler = EqualBatchSampler(len(dataset), self.batch_size, self.generator)
        self.batches_an_epoch = len(sampler)
        return BatchLoader(dataset, sampler, self.generator)

    def get_loss(
        self, y_pred: Code, y_true: Tensor, X: Tensor | None = None, training: bool = False
    ) -> Tensor:
        """Return the training loss of a batch."""
        with in_training():
            return self.criterion_(y_pred, X, y_true)

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Run the forward and backward pass of a batch, and raise for a non-finite loss."""
        self._set_training(True)
        x, y = (moved(part, self.device) for part in unpack_data(batch))
        code = self.infer(x, **fit_params)
        loss = self.get_loss(code, y, X=x, training=True)
        if not loss.requires_grad:
            raise ValueError(WITHOUT_GRAPH)
        joint = self._joint(loss)
        # Reading the loss waits until a GPU has finished all earlier work. The backward pass starts
        # first, because non-finite gradients have no effect before the optimizer's step.
        self._backward(loss)
        weights = [weight for weight in self.module_.parameters() if weight.requires_grad]
        if weights and all(weight.grad is None for weight in weights):
            raise ValueError(WITHOUT_GRAPH)
        value = float(joint)
        if not math.isfinite(value):
            raise NonFiniteLossError(self.history[-1, "epoch"], len(self.history[-1, "batches"]))
        self._keep_weights()
        return {"loss": torch.tensor(value, dtype=torch.float64), "y_pred": self._answer(code)}

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """Process all batches. For a surrogate, compute the held-out loss of all rows first."""
        if iterator is not None and not training and not self.criterion_.has_value:
            self._copies_loss = torch.tensor(-self.information_of_copies(iterator.dataset))
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)

    @torch.no_grad()
    def validation_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Return the held-out loss of a batch, or for a surrogate the loss of all held-out rows."""
        self._set_training(False)
        x, y = (moved(part, self.device) for part in unpack_data(batch))
        code = self.infer(x, **fit_params)
        has_value = self.criterion_.has_value
        loss = self.criterion_.held_out(code, x, y) if has_value else self._copies_loss
        return {"loss": loss, "y_pred": self._answer(code)}

    def information_of_copies(self, data: Dataset[Any], *, shuffled: bool = False) -> float:
        """Return the mutual information between the codes of two incomplete copies of each row.

        With ``shuffled=True``, each copy is compared with a copy of another row.
        """
        n = len(data)  # type: ignore[arg-type]
        return information_of_copies(self.codes, _parts(data), n, shuffled=shuffled)

    def codes(self, rows: NDArray[Any] | Tensor | ItemRows) -> Tensor:
        """Return the codes of rows in evaluation mode as a CPU tensor."""

        def z(x: Tensor) -> Tensor:
            code: Any = self.module_(x)
            return code.z if isinstance(code, Code) else code

        return torch.from_numpy(evaluate(self.module_, z, rows, read=read_parts))

    def evaluation_step(self, batch: Any, training: bool = False) -> Any:
        """Return predictions or codes of a batch, for skorch's ``predict`` methods."""
        with torch.set_grad_enabled(training):
            self._set_training(training)
            return self._answer(self.infer(unpack_data(batch)[0]))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the predicted class index or value, or z if the network has no decoder."""
        answers = np.asarray(self.predict_proba(X))
        return answers.argmax(-1) if self.criterion_.classifies else answers

    def _answer(self, code: Any) -> Any:
        """Return predictions averaged over draws of z, or z if the network has no decoder."""
        if not isinstance(code, Code):  # the output of another kind of network
            return code
        if code.prediction is None:
            return code.z.detach()
        answer = code.prediction.detach()
        answer = answer.softmax(-1) if self.criterion_.classifies else answer
        return answer if answer.ndim == 2 else answer.mean(0)

    def _joint(self, loss: Tensor) -> Tensor:
        """Return the loss that is recorded in the history."""
        return loss.detach()

    def _backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def has_finite_weights(self) -> bool:
        """Return whether all trained weights are finite."""
        parts = (self.module_, self.criterion_)
        trained = [w for part in parts for w in part.parameters() if w.requires_grad]
        return all(bool(weight.isfinite().all()) for weight in trained)

    @torch.no_grad()
    def restore_weights(self) -> None:
        """Restore the weights of the last finite loss, and create a new optimizer."""
        torch._foreach_copy_(self._tensors(), self._good_weights)
        before = self.optimizer_.param_groups
        self.initialize_optimizer()  # moments that are not finite would spoil each further step
        for group, old in zip(self.optimizer_.param_groups, before, strict=True):
            # A scheduler that continues in the next run needs the initial rate.
            group.update({key: old[key] for key in ("lr", "initial_lr") if key in old})

    @torch.no_grad()
    def _keep_weights(self) -> None:
        tensors = self._tensors()
        # One kernel copies all tensors of a dtype. Counters of batch norms are integers.
        for dtype in {good.dtype for good in self._good_weights}:
            same = [i for i, good in enumerate(self._good_weights) if good.dtype == dtype]
            torch._foreach_copy_([self._good_weights[i] for i in same], [tensors[i] for i in same])

    def _tensors(self) -> list[Tensor]:
        # Tensors are looked up at each call, because a module may replace the tensor of a buffer.
        parts = (self.module_, self.criterion_)
        return [t.detach() for part in parts for t in (*part.parameters(), *part.buffers())]


def _parts(data: Any) -> Iterator[Tensor]:
    """Yield the inputs of a data set in large parts, without using torch's global generators."""
    size = max(FEWEST_PAIRS, PART_VALUES // max(1, data[[0]][0].shape[1]))
    for rows, _ in BatchLoader(data, EqualBatchSampler(len(data), size, None), torch.Generator()):
        yield rows
