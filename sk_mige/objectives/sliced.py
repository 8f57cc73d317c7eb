"""The loss of sliced score matching."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sk_mige.networks import SlicedScore


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
