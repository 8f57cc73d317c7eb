"""Default score function for training encoders, and the loss of sliced score matching."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from sk_mige.networks import SlicedScore
from sk_mige.score import ssge

# At much smaller thresholds, the representation collapses to a few directions; see
# docs/guide/choosing.rst.
TRAINING_EIGEN_THRESHOLD = 0.999
# A ridge of 1e-4 is as accurate as the spectral cutoff at 0.999; see docs/guide/choosing.rst.
TRAINING_RIDGE = 1e-4


def default_training_score(mode: str) -> partial[Tensor]:
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


def sliced_score_matching_loss(output: SlicedScore, x: Any = None, y: Any = None) -> Tensor:
    r"""Hyvärinen loss, with the divergence of the score estimated from random directions.

    .. math:: J = \mathbb E_{x, v}\big[\tfrac12 \|s(x)\|^2 + v^\top J_s(x)\, v\big],
              \qquad \mathbb E[v v^\top] = I .

    The loss is the variance-reduced form of sliced score matching. The norm of s(x) is exact, and
    random directions estimate only the divergence.

    Parameters
    ----------
    output : SlicedScore
        Output of a :class:`sk_mige.networks.ScoreNetwork` in training mode.
    x, y : object, default=None
        Not used, present because the training loop passes inputs and targets.

    Returns
    -------
    Tensor of shape ()
        The loss, to be minimised.

    References
    ----------
    Y. Song, S. Garg, J. Shi, S. Ermon, "Sliced Score Matching: A Scalable Approach to Density and
    Score Estimation", UAI 2019.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.networks import SlicedScore
    >>> from sk_mige.objectives import sliced_score_matching_loss
    >>> sliced_score_matching_loss(SlicedScore(torch.ones(4, 2), -2 * torch.ones(4)))
    tensor(-1.)
    """
    return 0.5 * output.score.square().sum(1).mean() + output.curvature.mean()
