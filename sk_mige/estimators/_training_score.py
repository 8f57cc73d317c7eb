"""Score function of a batch that encoders train with by default."""

from __future__ import annotations

from functools import partial

import torch

from sk_mige.score import ssge

__all__ = ["TRAINING_EIGEN_THRESHOLD", "TRAINING_RIDGE", "default_training_score"]

# With far fewer eigenfunctions an encoder collapses to the few directions that they can express;
# see docs/guide/choosing.rst.
TRAINING_EIGEN_THRESHOLD = 0.999
# Ridge with the same effect on a batch as this cutoff; see docs/guide/gpu.rst.
TRAINING_RIDGE = 1e-4


def default_training_score(device: torch.device, mode: str) -> partial[torch.Tensor]:
    """Return SSGE with a spectral cutoff, or with a ridge on a GPU.

    On a GPU an eigendecomposition of a few hundred rows takes many small launches, and longer than
    the whole step of a small network. A Cholesky factorisation takes a fraction of that. The
    implicit conditionals of the bottleneck, many small sets, are one batch and keep the cutoff.
    """
    if device.type == "cpu" or mode != "infomax":
        return partial(ssge, eigen_threshold=TRAINING_EIGEN_THRESHOLD)
    return partial(ssge, eigen_threshold=None, alpha=TRAINING_RIDGE, solver="cholesky")
