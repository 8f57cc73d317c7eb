"""Bounds of mutual information from a critic's scores on all pairs of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import softplus

__all__ = [
    "BOUNDS",
    "BoundEstimate",
    "DonskerVaradhan",
    "club",
    "infonce",
    "jensen_shannon",
    "make_bound",
    "nwj",
    "smile",
]


class BoundEstimate(NamedTuple):
    """What a bound says of a batch.

    Attributes
    ----------
    value : tensor of shape ()
        Estimate of I(x; y) in nats, detached.
    objective : tensor of shape ()
        Its gradient with respect to x and y is the bound's MI gradient.
    critic_objective : tensor of shape ()
        What the critic maximises. The same tensor as ``objective`` but for CLUB, an upper bound.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import infonce
    >>> value, objective, _ = infonce(torch.zeros(3, 3, requires_grad=True))
    >>> value.requires_grad, objective.requires_grad
    (False, True)
    """

    value: Tensor
    objective: Tensor
    critic_objective: Tensor


Bound: TypeAlias = Callable[[Tensor], BoundEstimate]


class DonskerVaradhan:
    r"""MINE: :math:`I \ge \mathbb{E}_p[T] - \log \mathbb{E}_{p \otimes p}[e^T]`.

    The gradient of the logarithm of a batch mean is biased; as in [1]_ its denominator is an
    exponential moving average over the batches seen.

    Parameters
    ----------
    rate : float, default=0.01
        Weight of a new batch in the moving average; 1 is the plain, biased gradient.

    References
    ----------
    .. [1] M. I. Belghazi et al., "Mutual Information Neural Estimation", ICML 2018.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import DonskerVaradhan
    >>> DonskerVaradhan()(torch.eye(2) * torch.log(torch.tensor(2.0))).value  # log 2 - log 1
    tensor(0.6931)
    """

    def __init__(self, rate: float = 0.01) -> None:
        self.rate = rate
        self.log_average: Tensor | None = None

    def __call__(self, scores: Tensor) -> BoundEstimate:
        """Bound of a batch from its critic scores (M, M)."""
        joint, log_mean = scores.diagonal().mean(), _log_mean_exp(_off_diagonal(scores))
        new = log_mean.detach()
        if self.log_average is None or self.rate >= 1:
            self.log_average = new
        else:
            kept = self.log_average.to(new) + math.log1p(-self.rate)
            moved = torch.logaddexp(kept, new + math.log(self.rate))
            self.log_average = torch.where(kept.isfinite(), moved, new)  # anew after divergence
        # Gradient E[e^T ∇T] / average; the exponent is bounded where the average lags far behind.
        ratio = (log_mean - self.log_average).clamp(max=30).exp()
        objective = joint - ratio
        return BoundEstimate((joint - log_mean).detach(), objective, objective)


def nwj(scores: Tensor) -> BoundEstimate:
    r"""MINE-f, also NWJ: :math:`I \ge \mathbb{E}_p[T] - \mathbb{E}_{p \otimes p}[e^{T-1}]`.

    Unbiased in value and gradient, at the price of a variance that grows like :math:`e^I`.

    Parameters
    ----------
    scores : tensor of shape (M, M)
        Critic scores T(x_i, y_j) of all pairs; the diagonal holds those that belong together.

    Returns
    -------
    BoundEstimate
        Value, objective and the critic's objective.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import nwj
    >>> nwj(torch.ones(3, 3)).value  # T = 1 is the critic of independence
    tensor(0.)
    """
    log_mean = _log_mean_exp(_off_diagonal(scores))
    objective = scores.diagonal().mean() - (log_mean - 1).exp()
    return BoundEstimate(objective.detach(), objective, objective)


def jensen_shannon(scores: Tensor) -> BoundEstimate:
    r"""JSD, Deep InfoMax's objective: a bound of the Jensen-Shannon divergence.

    .. math:: \mathbb{E}_p[-\mathrm{sp}(-T)] - \mathbb{E}_{p \otimes p}[\mathrm{sp}(T)],
              \qquad \mathrm{sp}(t) = \log(1 + e^t)

    Its gradient is of low variance and bounded, but that of a divergence which grows with I. The
    optimal critic is the log density ratio, so ``value`` evaluates the NWJ bound at T + 1.

    Parameters
    ----------
    scores : tensor of shape (M, M)
        Critic scores T(x_i, y_j) of all pairs; the diagonal holds those that belong together.

    Returns
    -------
    BoundEstimate
        Value, objective and the critic's objective.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import jensen_shannon
    >>> jensen_shannon(torch.zeros(3, 3)).value  # T = 0 is the critic of independence
    tensor(0.)
    """
    joint, product = scores.diagonal(), _off_diagonal(scores)
    objective = -softplus(-joint).mean() - softplus(product).mean()
    return BoundEstimate(nwj(scores + 1).value, objective, objective)


def smile(scores: Tensor, clip: float = 5.0) -> BoundEstimate:
    r"""SMILE: Donsker-Varadhan with the density ratio clipped to :math:`e^{\pm\tau}`.

    The critic and the gradient are those of :func:`jensen_shannon`; clipping trades the variance
    of the log-partition function for bias.

    Parameters
    ----------
    scores : tensor of shape (M, M)
        Critic scores of all pairs.
    clip : float, default=5.0
        Threshold τ. Smaller is biased more and varies less; 5 is a value its authors recommend.

    Returns
    -------
    BoundEstimate
        Value, objective and the critic's objective.

    References
    ----------
    J. Song, S. Ermon, "Understanding the Limitations of Variational Mutual Information
    Estimators", ICLR 2020.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import smile
    >>> smile(torch.eye(3) * 9).value
    tensor(9.)
    """
    objective = jensen_shannon(scores).objective
    log_mean = _log_mean_exp(_off_diagonal(scores).clamp(-clip, clip))
    return BoundEstimate((scores.diagonal().mean() - log_mean).detach(), objective, objective)


def infonce(scores: Tensor) -> BoundEstimate:
    r"""InfoNCE: :math:`I \ge \mathbb{E}[\log e^{T(x_i, y_i)} / \frac1M \sum_j e^{T(x_i, y_j)}]`.

    Of low variance, never above log M.

    Parameters
    ----------
    scores : tensor of shape (M, M)
        Critic scores T(x_i, y_j) of all pairs; the diagonal holds those that belong together.

    Returns
    -------
    BoundEstimate
        Value, objective and the critic's objective.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import infonce
    >>> infonce(torch.eye(4) * 100).value  # log 4
    tensor(1.3863)
    """
    m = scores.shape[-1]
    objective = (scores.diagonal() - scores.logsumexp(-1)).mean() + math.log(m)
    return BoundEstimate(objective.detach(), objective, objective)


def club(scores: Tensor) -> BoundEstimate:
    r"""CLUB, an upper bound of I.

    .. math:: I \le \mathbb{E}_p[\log q(y \mid x)] - \mathbb{E}_{p \otimes p}[\log q(y \mid x)]

    The critic is a conditional density, learnt by maximum likelihood; the bound holds as far as
    it is right.

    Parameters
    ----------
    scores : tensor of shape (M, M)
        Critic scores T(x_i, y_j) of all pairs; the diagonal holds those that belong together.

    Returns
    -------
    BoundEstimate
        Value, objective and the critic's objective.

    References
    ----------
    P. Cheng et al., "CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information", ICML 2020.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import club
    >>> club(torch.eye(3)).value
    tensor(1.)
    """
    joint = scores.diagonal().mean()
    objective = joint - _off_diagonal(scores).mean()
    return BoundEstimate(objective.detach(), objective, joint)


BOUNDS: dict[str, Callable[[], Bound]] = {
    "mine": DonskerVaradhan,
    "mine-f": lambda: nwj,
    "jsd": lambda: jensen_shannon,
    "smile": lambda: smile,
    "infonce": lambda: infonce,
    "club": lambda: club,
}


def make_bound(name: str) -> Bound:
    """Bound of the given name, with a state of its own where it has one.

    Parameters
    ----------
    name : {"mine", "mine-f", "jsd", "smile", "infonce", "club"}
        Which bound.

    Returns
    -------
    callable
        ``bound(scores) -> BoundEstimate`` for the critic's scores (M, M) of all pairs of a batch.

    Raises
    ------
    ValueError
        If there is no bound of that name.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import make_bound
    >>> bound = make_bound("infonce")
    >>> bound(torch.zeros(4, 4)).value
    tensor(0.)
    """
    if name not in BOUNDS:
        raise ValueError(f"unknown bound {name!r}; there are {', '.join(map(repr, BOUNDS))}")
    return BOUNDS[name]()


def _off_diagonal(scores: Tensor) -> Tensor:
    m = scores.shape[-1]
    return scores.flatten()[1:].view(m - 1, m + 1)[:, :-1].flatten()


def _log_mean_exp(values: Tensor) -> Tensor:
    return values.logsumexp(-1) - math.log(values.shape[-1])
