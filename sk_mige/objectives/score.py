"""The score function of a batch that encoders are trained with by default."""

from __future__ import annotations

from functools import partial

import torch

from sk_mige.score import ssge

__all__ = ["TRAINING_EIGEN_THRESHOLD", "default_training_score"]

# With far fewer eigenfunctions, an encoder collapses to the few directions that they can express;
# see docs/guide/choosing.rst.
TRAINING_EIGEN_THRESHOLD = 0.999
# Ridge with the accuracy of this cut; see docs/guide/gpu.rst.
TRAINING_RIDGE = 1e-4


def default_training_score(device: torch.device, mode: str) -> partial[torch.Tensor]:
    """Return SSGE with the regularisation that suits training on the device.

    On a GPU, the eigendecomposition of a few hundred rows takes many small launches, longer than
    a step of a small network. A Cholesky factorisation takes a fraction of that. The bottleneck's
    implicit conditionals, many small problems in one batch, keep the eigendecomposition.

    Parameters
    ----------
    device : torch.device
        Device of the training.
    mode : {"infomax", "ib"}
        Whether information is maximised or limited.

    Returns
    -------
    callable
        Score function of a batch.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.objectives.score import default_training_score
    >>> default_training_score(torch.device("cpu"), "infomax").keywords
    {'eigen_threshold': 0.999}
    """
    if device.type == "cpu" or mode != "infomax":
        return partial(ssge, eigen_threshold=TRAINING_EIGEN_THRESHOLD)
    return partial(ssge, eigen_threshold=None, alpha=TRAINING_RIDGE, solver="cholesky")
