"""Joint batches of several processes: gathering of rows, and joint batch normalisation."""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sk_mige.networks import Code


def is_joint() -> bool:
    """Return whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def n_processes() -> int:
    """Return the number of processes that torchrun or a similar launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def make_accelerator(device: torch.device) -> Any:
    """Return Hugging Face's accelerator, which connects the processes that were started together.

    Parameters
    ----------
    device : torch.device
        Type of the devices, CPU or CUDA. With CUDA, each process uses its own GPU.

    Returns
    -------
    accelerate.Accelerator or None
        The accelerator, or None in a single process.

    Raises
    ------
    ImportError
        If there are several processes and accelerate is not installed.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training.processes import make_accelerator
    >>> make_accelerator(torch.device("cpu")) is None
    True
    """
    if n_processes() <= 1:
        return None
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise ImportError(
            "distributed=True needs the package accelerate, which is not installed: install "
            "sk-mige[distributed]"
        ) from error
    # The estimator's own parameter sets the precision. Loss scaling for float16 is not supported.
    return Accelerator(cpu=device.type == "cpu", device_placement=False, mixed_precision="no")


def join_processes(device: torch.device, seed: int) -> tuple[torch.device, int]:
    """Return the device of the current process, and the seed of the first process.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training.processes import join_processes
    >>> join_processes(torch.device("cpu"), 5)  # a single process
    (device(type='cpu'), 5)
    """
    accelerator = make_accelerator(device)
    if accelerator is None:
        return device, seed
    shared = [seed]
    if is_joint():
        dist.broadcast_object_list(shared)
    return torch.device(accelerator.device), int(shared[0])


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes, without a gradient."""
    total = value.detach().clone()
    if is_joint():
        dist.all_reduce(total)
        total /= dist.get_world_size()
    return total


def gather_rows(rows: Tensor, dim: int = 0) -> Tensor:
    r"""Gather the rows of all processes in the order of their ranks, differentiably.

    Process p of k processes computes a loss :math:`L_p` of the joint batch :math:`z`. The
    rows of process p receive the gradient :math:`\sum_q \partial L_q / \partial z_p`. Data-parallel
    training averages the gradients with respect to the parameters :math:`\phi` over processes. The
    average equals

    .. math:: \frac1k \sum_q \frac{\partial L_q}{\partial \phi} .

    Parameters
    ----------
    rows : tensor
        Rows of the current process. Processes may have different numbers of rows.
    dim : int, default=0
        Axis of the rows.

    Returns
    -------
    tensor
        Rows of the joint batch. In a single process, the result is ``rows``.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training.processes import gather_rows
    >>> gather_rows(torch.ones(3, 2)).shape  # a single process
    torch.Size([3, 2])
    """
    if not is_joint():
        return rows
    rows = rows.movedim(dim, 0)
    size = torch.tensor([len(rows)], device=rows.device)
    sizes = [torch.zeros_like(size) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, size)
    counts = [int(n) for n in sizes]
    # Collective operations need equal shapes, but the row counts of processes may differ by one.
    padding = rows.new_zeros(max(counts) - len(rows), *rows.shape[1:])
    padded = torch.cat([rows.detach(), padding]).contiguous()
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    parts[dist.get_rank()] = rows
    joint = torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)])
    if joint.requires_grad:  # the backward pass sums the gradients of all processes
        joint.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: len(counts) * mean_over_processes(gradient.contiguous())
        )
    return joint.movedim(0, dim)


def gather_code(code: Code) -> Code:
    """Return the code of the joint batch."""
    conditional = code.conditional
    return Code(
        gather_rows(code.z, -2),
        None if conditional is None else (gather_rows(conditional[0]), gather_rows(conditional[1])),
        None if code.prediction is None else gather_rows(code.prediction, -2),
        None if code.features is None else gather_rows(code.features),
        code.beta,  # equal in all processes
    )


class JointBatchNorm(_BatchNorm):
    r"""Batch normalisation with the statistics of the joint batch, for CPUs and GPUs.

    Mean and variance are computed from the rows of all processes, and gradients flow through mean
    and variance to all rows. In contrast, ``torch.nn.SyncBatchNorm`` supports only GPUs.

    Parameters
    ----------
    num_features : int
        Number of channels, the size of axis 1.
    eps, momentum, affine, track_running_stats : float, float, bool, bool
        Parameters of ``torch.nn.BatchNorm1d``.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training.processes import JointBatchNorm
    >>> x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    >>> torch.allclose(JointBatchNorm(3)(x), torch.nn.BatchNorm1d(3)(x), atol=1e-5)
    True
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass  # any shape (M, num_features, ...)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the joint batch in training, and by running averages in evaluation."""
        if not (self.training and is_joint()):
            return super().forward(input)
        kind = input.dtype
        if kind.itemsize < 4:  # bfloat16 cannot represent the row count 257
            input = input.float()
        axes = [axis for axis in range(input.ndim) if axis != 1]
        count = input.numel() // input.shape[1]
        own = torch.cat([input.sum(axes), input.new_full((1,), float(count))])
        total = gather_rows(own[None]).sum(0)
        n = total[-1].detach()
        mean = total[:-1] / n
        shape = [1, -1] + [1] * (input.ndim - 2)
        centred = input - mean.reshape(shape)
        # E[x²] - E[x]² would lose digits if the mean is far from 0.
        variance = gather_rows(centred.square().sum(axes)[None]).sum(0) / n
        if self.track_running_stats:
            stats: Any = self  # by torch's annotations, the buffers may be None
            stats.num_batches_tracked += 1
            share = 1 / float(stats.num_batches_tracked) if self.momentum is None else self.momentum
            stats.running_mean.lerp_(mean.detach(), share)
            stats.running_var.lerp_(variance.detach() * n / (n - 1), share)
        normal: Tensor = centred * (variance + self.eps).rsqrt().reshape(shape)
        if self.affine:
            normal = normal * self.weight.reshape(shape) + self.bias.reshape(shape)
        return normal.to(kind)


def with_joint_batch_norms(module: nn.Module) -> nn.Module:
    """Replace each batch norm of a module by a joint batch norm with the same weights.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training.processes import with_joint_batch_norms
    >>> type(with_joint_batch_norms(torch.nn.Sequential(torch.nn.BatchNorm1d(3)))[0]).__name__
    'JointBatchNorm'
    """
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm) and not isinstance(child, JointBatchNorm):
            settings = (child.eps, child.momentum, child.affine, child.track_running_stats)
            joint = JointBatchNorm(child.num_features, *settings)
            joint.load_state_dict(child.state_dict())
            setattr(module, name, joint.train(child.training))
        else:
            with_joint_batch_norms(child)
    return module
