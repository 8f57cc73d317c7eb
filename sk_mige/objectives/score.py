"""Default score function for training encoders."""

from __future__ import annotations

from functools import partial

import torch

from sk_mige.score import ssge

# If the score has far fewer eigenfunctions, the representation collapses to a few directions; see
# docs/guide/choosing.rst.
TRAINING_EIGEN_THRESHOLD = 0.999
# A ridge of 1e-4 is as accurate as the spectral cutoff at 0.999; see docs/guide/choosing.rst.
TRAINING_RIDGE = 1e-4


def default_training_score(mode: str) -> partial[torch.Tensor]:
    r"""Return SSGE with the default regularisation for training encoders.

    InfoMax uses a ridge of :math:`\alpha = 10^{-4}` on every device, because a Cholesky
    factorisation takes less time than an eigendecomposition. A bottleneck that estimates scores
    uses a spectral cutoff, as in the MIGE paper.

    Parameters
    ----------
    mode : {"infomax", "ib"}
        Objective: "infomax" maximises information, and "ib" limits information.

    Returns
    -------
    callable
        Function that estimates the scores of a batch.

    Examples
    --------
    >>> from sk_mige.objectives.score import default_training_score
    >>> default_training_score("ib").keywords
    {'eigen_threshold': 0.999}
    >>> default_training_score("infomax").keywords
    {'eigen_threshold': None, 'alpha': 0.0001, 'solver': 'cholesky'}
    """
    if mode != "infomax":
        return partial(ssge, eigen_threshold=TRAINING_EIGEN_THRESHOLD)
    return partial(ssge, eigen_threshold=None, alpha=TRAINING_RIDGE, solver="cholesky")
