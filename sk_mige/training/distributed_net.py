"""skorch net that several processes train together with Hugging Face's accelerate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from sk_mige.networks import Code

from .data import BatchLoader, EqualBatchSampler
from .net import EncoderNet
from .processes import gather_code, gather_rows, mean_over_processes


class DistributedNet(EncoderNet):
    """Variant of :class:`EncoderNet` that computes the objective from the rows of all processes.

    Every process passes ``batch_size`` rows through a copy of the network. The codes of all
    processes are gathered, and each process computes the objective of the joint batch. With k
    processes and b rows in each process, scores are estimated from k·b rows. These scores are
    usually more accurate than the mean of k estimates from b rows each. The class
    ``DistributedDataParallel`` of torch averages the gradients over the processes. The average
    equals the gradient of the joint batch in a single process.
    """

    def __init__(self, *args: Any, accelerator: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.accelerator = accelerator

    @property
    def rank(self) -> int:
        """Rank of the current process."""
        return int(self.accelerator.process_index)

    def initialize(self) -> DistributedNet:
        """Initialise the net, and wrap the network for training."""
        super().initialize()
        # Callbacks and the estimator use the network without the wrapper.
        self._joint_forward = self.accelerator.prepare(self.module_).__call__
        return self

    def get_iterator(self, dataset: Any, training: bool = False) -> DataLoader[Any]:
        """Return the process's part of each joint batch, or all held-out rows in validation."""
        if not training:
            return super().get_iterator(dataset, training)
        processes = int(self.accelerator.num_processes)
        joint = EqualBatchSampler(len(dataset), self.batch_size * processes, self.generator)
        self.batches_an_epoch = len(joint)
        joint.share = slice(self.rank, None, processes)
        # Only the sampler may draw from the joint generator.
        return BatchLoader(dataset, joint, torch.Generator())

    def get_loss(
        self, y_pred: Code, y_true: Tensor, X: Tensor | None = None, training: bool = False
    ) -> Tensor:
        """Return the training loss of the joint batch."""
        assert X is not None
        code, y, x = gather_code(y_pred), gather_rows(y_true), gather_rows(X)
        return super().get_loss(code, y, x, training)

    def infer(self, x: Tensor, **fit_params: Any) -> Any:
        """Compute codes, and in training use the wrapper that averages gradients."""
        forward = self._joint_forward if self.module_.training else self.module_
        return forward(x, **fit_params)

    def _joint(self, loss: Tensor) -> Tensor:
        return mean_over_processes(loss)

    def _backward(self, loss: Tensor) -> None:
        super()._backward(loss)  # the wrapper averages the gradients of the network
        for parameter in self.criterion_.parameters():
            if parameter.grad is not None:
                parameter.grad = mean_over_processes(parameter.grad)

    def save_params(self, *args: Any, **kwargs: Any) -> None:
        """Write the weights in the first process."""
        if self.rank == 0:
            super().save_params(*args, **kwargs)
        self.accelerator.wait_for_everyone()
