"""Number of torch threads: one thread for small training steps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sk_mige.information import ConcatenatedCritic

# A new thread of Python must not read torch's default while another thread changes the default.
_LOCK = threading.Lock()
# Largest number of floating-point operations of a step in one thread: about 30 ms of one core.
# For a smaller step, more threads save little time, and slow down other processes.
LARGEST_STEP = 2e9
# A step multiplies each weight by each row once forward and twice backward, and adds the products.
OPERATIONS = 6


def is_small(network: nn.Module, objective: nn.Module, batch_size: int) -> bool:
    r"""Return whether a training step has at most :math:`2 \cdot 10^9` floating-point operations.

    A training step with W weights and M rows has :math:`6 W M` operations. The count is valid for
    linear layers and batch norms. Concatenated critics and other layers, such as convolutions,
    apply each weight several times to a row. Training steps with other layers or with concatenated
    critics are never counted as small.

    Parameters
    ----------
    network : nn.Module
        Network that is trained.
    objective : nn.Module
        Objective, whose parameters are counted as weights.
    batch_size : int
        Number M of rows in a batch.

    Returns
    -------
    bool
        True if a training step is small, so that one thread is enough.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training.threads import is_small
    >>> layer = torch.nn.Linear(64, 512)
    >>> is_small(layer, torch.nn.Identity(), 256), is_small(layer, torch.nn.Identity(), 65536)
    (True, False)
    """
    layers = [
        part for part in network.modules() if next(part.parameters(recurse=False), None) is not None
    ]
    if not all(isinstance(layer, nn.Linear | _BatchNorm) for layer in layers):
        return False
    if any(isinstance(part, ConcatenatedCritic) for part in objective.modules()):
        return False
    weights = sum(p.numel() for part in (network, objective) for p in part.parameters())
    return OPERATIONS * weights * batch_size <= LARGEST_STEP


@contextmanager
def threads_for(network: nn.Module, objective: nn.Module, batch_size: int) -> Iterator[None]:
    """Use one torch thread inside the context if a training step is small.

    torch stores the number of torch threads separately for each Python thread. Other Python threads
    are not affected. The previous number of torch threads is restored at the end of the context.

    Parameters
    ----------
    network, objective, batch_size : nn.Module, nn.Module, int
        Parameters of :func:`is_small`.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.training.threads import threads_for
    >>> with threads_for(torch.nn.Linear(64, 512), torch.nn.Identity(), 256):
    ...     torch.get_num_threads()
    1
    """
    with _LOCK:
        before = torch.get_num_threads()
    if before == 1 or not is_small(network, objective, batch_size):
        yield
        return
    try:
        with _LOCK:
            torch.set_num_threads(1)
            # set_num_threads also sets the default of new threads. The helper restores the default.
            helper = threading.Thread(target=torch.set_num_threads, args=(before,))
            helper.start()
            helper.join()
        yield
    finally:
        torch.set_num_threads(before)
