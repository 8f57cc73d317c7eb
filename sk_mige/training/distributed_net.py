"""skorch net that several processes train together with Hugging Face's accelerate."""

from __future__ import annotations

from typing import Any

import torch
from skorch.hf import AccelerateMixin
from torch import Tensor
from torch.utils.data import DataLoader

from sk_mige.networks import Code

from .data import BatchLoader, EqualBatchSampler
from .net import EncoderNet
from .processes import gather_code, gather_rows, mean_over_processes


class DistributedNet(AccelerateMixin, EncoderNet):
    """Variant of :class:`EncoderNet` that computes the objective from the rows of all processes.

    Every process passes ``batch_size`` rows through a copy of the network. The codes of all
    processes are gathered, and each process computes the objective of the joint batch. With k
    processes and b rows in each process, scores are estimated from k·b rows. These scores are
    usually more accurate than the mean of k estimates from b rows each. The class
    ``DistributedDataParallel`` of torch averages the gradients over the processes. The average
    equals the gradient of the joint batch in a single process.
    """

    @property
    def rank(self) -> int:
        """Rank of the current process."""
        return int(self.accelerator.process_index)

    def _initialize_accelerator(self) -> DistributedNet:
        # skorch would wrap the network and the objective. Callbacks and the estimator use the
        # unwrapped network, and _backward averages the gradients of the objective.
        module: Any = self.module_
        objective: Any = self.criterion_
        self.module_: Any = None
        self.criterion_: Any = None
        super()._initialize_accelerator()
        self.module_, self.criterion_ = module, objective
        self._joint_forward = self.accelerator.prepare(module).__call__
        return self

    def get_iterator(self, dataset: Any, training: bool = False) -> DataLoader[Any]:
        """Return the process's part of each joint batch, or all held-out rows in validation."""
        if not training:
            return super(AccelerateMixin, self).get_iterator(dataset, training)
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

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Run the forward and backward pass, and raise in all processes for a non-finite loss."""
        return EncoderNet.train_step_single(self, batch, **fit_params)

    def _joint(self, loss: Tensor) -> Tensor:
        return mean_over_processes(loss)

    def _backward(self, loss: Tensor) -> None:
        self.accelerator.backward(loss)
        for parameter in self.criterion_.parameters():
            if parameter.grad is not None:
                parameter.grad = mean_over_processes(parameter.grad)

    def save_params(self, *args: Any, **kwargs: Any) -> None:
        """Write the weights in the first process."""
        if self.accelerator.is_main_process:
            EncoderNet.save_params(self, *args, **kwargs)
        self.accelerator.wait_for_everyone()
