"""Bounds on mutual information, from a critic's scores of all pairs in a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.nn.functional import softplus

from sk_mige._arrays import check_real
from sk_mige._sizes import as_number
from sk_mige.score.precision import full_precision

CLIP = 5.0  # SMILE's threshold


class BoundEstimate(NamedTuple):
    """Value and objectives of a bound, computed from one batch.

    Attributes
    ----------
    value : tensor of shape ()
        Estimate of I(x; y) in nats, detached.
    objective : tensor of shape ()
        Objective of the encoder, to be maximised. For a bound in nats and an optimal critic, the
        gradient with respect to x and y estimates the gradient of mutual information.
    critic_objective : tensor of shape ()
        Objective of the critic, to be maximised. For most bounds, the critic's objective equals
        ``objective``. For CLUB, the critic's objective is the log-likelihood.

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


class Bound(nn.Module):
    """Base class of bounds on I(x; y).

    Calling a bound with the scores (M, M) of all pairs in a batch returns a :class:`BoundEstimate`.
    A subclass must define ``forward`` and may override the other methods.

    Attributes
    ----------
    critic : {"pairs", "density"}
        Kind of critic that the bound requires. The kind "pairs" is any network that scores pairs.
        The kind "density" is a conditional log-density log q(y | x), such as
        :class:`GaussianCritic`.
    shares_embedding : bool
        Whether the critic may use one embedding for x and y. Shared embeddings are suitable for
        bounds that depend only on differences of scores.

    See Also
    --------
    make_bound : Returns a bound by name.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import Bound, nwj
    >>> class ShiftedNWJ(Bound):
    ...     def forward(self, scores):
    ...         return nwj(scores + 1)
    >>> ShiftedNWJ().nats(torch.zeros(3, 3))
    tensor(0.)
    """

    critic: Literal["pairs", "density"] = "pairs"
    shares_embedding: bool = False

    def __init__(self) -> None:
        super().__init__()

    def __call__(self, scores: Tensor) -> BoundEstimate:
        """Return value and objectives for the critic's scores (M, M)."""
        return super().__call__(scores)

    def forward(self, scores: Tensor) -> BoundEstimate:
        """Return value and objectives for the critic's scores (M, M)."""
        raise NotImplementedError

    def nats(self, scores: Tensor) -> Tensor:
        """Return a differentiable estimate of I(x; y) in nats, without updating any state.

        By default, the objective of ``forward`` is returned. Bounds with a state, or with an
        objective in other units, override the method.
        """
        return self(scores).objective

    def local(self, scores: Tensor) -> Tensor:
        """Return the objective for scores (M, P, M) of P parts of each x, such as pixels.

        The default is the mean of the objective over the parts.
        """
        return torch.stack([self(part).objective for part in scores.unbind(1)]).mean()

    def held_out(self, scores: Tensor) -> Tensor:
        """Return the detached value by which models are compared on held-out batches.

        The default is the estimate of I(x; y) in nats.
        """
        return self(scores).value


class DonskerVaradhan(Bound):
    r"""MINE: :math:`I \ge \mathbb{E}_p[T] - \log \mathbb{E}_{p \otimes p}[e^T]`.

    The gradient of the logarithm of a batch mean is a biased estimate. As in [1]_, an exponential
    moving average of :math:`\mathbb{E}[e^T]` over batches therefore replaces the batch mean in the
    gradient. The moving average is a buffer and part of ``state_dict``. Only ``forward`` in
    training mode updates the average. Do not call the bound inside a function passed to
    ``torch.utils.checkpoint``, which computes the gradient with the updated average.

    Parameters
    ----------
    rate : float, default=0.01
        Weight of a new batch in the moving average. The weight 1 gives the plain, biased gradient.

    Attributes
    ----------
    log_average : tensor of shape ()
        Logarithm of the moving average, which is NaN before the first batch.

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

    log_average: Tensor

    def __init__(self, rate: float = 0.01) -> None:
        super().__init__()
        self.rate = as_number("rate", rate, 0, 1, "right")
        self.register_buffer("log_average", torch.tensor(math.nan))

    def forward(self, scores: Tensor) -> BoundEstimate:
        """Return value and objectives for the critic's scores (M, M), and update the average."""
        estimate, average = self._estimate(scores)
        if self.training:
            self._update(average)
        return estimate

    def _update(self, average: Tensor) -> None:
        """Replace the moving average.

        Transforms of ``torch.func`` need ``copy_``, because an assigned tensor is invalid after the
        transform. ``copy_`` raises an error if the buffer is not an argument of the transformed
        function.
        """
        if not torch.compiler.is_compiling() and is_functorch_wrapped_tensor(average):
            self.log_average.copy_(average)
        else:  # with copy_, the compiled average of torch 2.13 is wrong
            self.log_average = average

    def nats(self, scores: Tensor) -> Tensor:
        """Return the value with the gradient of the objective, without updating the average."""
        value, objective, _ = self._estimate(scores)[0]
        return value + (objective - objective.detach())

    def held_out(self, scores: Tensor) -> Tensor:
        """Return the value, without updating the average."""
        return self._estimate(scores)[0].value

    @full_precision
    def _estimate(self, scores: Tensor) -> tuple[BoundEstimate, Tensor]:
        """Return the estimate of a batch, and the moving average including the batch."""
        log_mean, joint = _log_mean_exp(_off_diagonal(scores)), scores.diagonal().mean()
        average = new = log_mean.detach()
        if self.rate < 1:
            kept = self.log_average.to(new) + math.log1p(-self.rate)
            moved = torch.logaddexp(kept, new + math.log(self.rate))
            average = torch.where(kept.isfinite(), moved, new)  # restart after divergence
        # Gradient E[e^T ∇T] / average. The bound on the exponent prevents overflow if the average
        # is much smaller than the batch mean.
        ratio = (log_mean - average).clamp(max=30).exp()
        objective = joint - ratio
        return BoundEstimate((joint - log_mean).detach(), objective, objective), average


@full_precision
def nwj(scores: Tensor) -> BoundEstimate:
    r"""MINE-f or NWJ: :math:`I \ge \mathbb{E}_p[T] - \mathbb{E}_{p \otimes p}[e^{T-1}]`.

    The estimates of the bound and of its gradient are unbiased. For an optimal critic, the variance
    grows at least like :math:`e^I`.

    Parameters
    ----------
    scores : tensor of shape (M, M)
        Critic scores T(x_i, y_j) of all pairs. The diagonal contains the pairs of the joint
        distribution.

    Returns
    -------
    BoundEstimate
        Value, objective and critic objective.

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


@full_precision
def jensen_shannon(scores: Tensor) -> BoundEstimate:
    r"""Jensen-Shannon bound (JSD), the objective of Deep InfoMax.

    .. math:: \mathbb{E}_p[-\mathrm{sp}(-T)] - \mathbb{E}_{p \otimes p}[\mathrm{sp}(T)],
              \qquad \mathrm{sp}(t) = \log(1 + e^t)

    The gradient with respect to the scores is bounded. The objective is at most 2 D − 2 log 2,
    where D is the Jensen-Shannon divergence of joint and product density. The objective does not
    estimate I. The optimal critic is the log density ratio. The ``value`` is therefore the NWJ
    bound at T + 1.

    Parameters
    ----------
    scores : tensor of shape (M, M)
        Critic scores T(x_i, y_j) of all pairs. The diagonal contains the pairs of the joint
        distribution.

    Returns
    -------
    BoundEstimate
        Value, objective and critic objective.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import jensen_shannon
    >>> jensen_shannon(torch.zeros(3, 3)).value  # T = 0 is the critic of independence
    tensor(0.)
    """
    product, joint = _off_diagonal(scores), scores.diagonal()
    objective = -softplus(-joint).mean() - softplus(product).mean()
    return BoundEstimate(nwj(scores + 1).value, objective, objective)


@full_precision
def smile(scores: Tensor, clip: float = CLIP) -> BoundEstimate:
    r"""SMILE: Donsker-Varadhan bound with a density ratio clipped to :math:`e^{\pm\tau}`.

    The critic and the gradient are the same as for :func:`jensen_shannon`. Clipping reduces the
    variance of the second term and adds bias.

    Parameters
    ----------
    scores : tensor of shape (M, M)
        Critic scores T(x_i, y_j) of all pairs. The diagonal contains the pairs of the joint
        distribution.
    clip : float, default=5.0
        Threshold τ. Smaller thresholds increase the bias and decrease the variance.

    Returns
    -------
    BoundEstimate
        Value, objective and critic objective.

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
    as_number("clip", clip, closed="right")
    objective = jensen_shannon(scores).objective
    return BoundEstimate(_donsker_varadhan(scores, clip).detach(), objective, objective)


@full_precision
def infonce(scores: Tensor) -> BoundEstimate:
    r"""InfoNCE: :math:`I \ge \mathbb{E}[\log e^{T(x_i, y_i)} / \frac1M \sum_j e^{T(x_i, y_j)}]`.

    The estimate is at most log M for batches of M pairs.

    Parameters
    ----------
    scores : tensor of shape (M, M)
        Critic scores T(x_i, y_j) of all pairs. The diagonal contains the pairs of the joint
        distribution.

    Returns
    -------
    BoundEstimate
        Value, objective and critic objective.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import infonce
    >>> infonce(torch.eye(4) * 100).value  # log 4
    tensor(1.3863)
    """
    _check_pairs(scores)
    m = scores.shape[-1]
    objective = (scores.diagonal() - scores.logsumexp(-1)).mean() + math.log(m)
    return BoundEstimate(objective.detach(), objective, objective)


@full_precision
def club(scores: Tensor) -> BoundEstimate:
    r"""CLUB upper bound on I(x; y).

    .. math:: I \le \mathbb{E}_p[\log q(y \mid x)] - \mathbb{E}_{p \otimes p}[\log q(y \mid x)]

    The critic is a conditional density q(y | x), trained by maximum likelihood. The bound holds if
    q is the true conditional density.

    Parameters
    ----------
    scores : tensor of shape (M, M)
        Critic scores T(x_i, y_j) of all pairs. The diagonal contains the pairs of the joint
        distribution.

    Returns
    -------
    BoundEstimate
        Value, objective and critic objective.

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
    others = _off_diagonal(scores).mean()
    joint = scores.diagonal().mean()
    objective = joint - others
    return BoundEstimate(objective.detach(), objective, joint)


class _FunctionBound(Bound):
    """Bound without state, defined by functions of the scores.

    Parameters
    ----------
    function : callable
        ``function(scores) -> BoundEstimate``.
    critic : {"pairs", "density"}, default="pairs"
        Kind of critic.
    nats : callable, default=None
        Function ``nats(scores)`` that estimates I in nats. None means the objective.
    local : callable, default=None
        Function ``local(scores)``, the objective for scores (M, P, M) of P parts of each x. If
        None, the objective is averaged over the parts.
    shares_embedding : bool, default=False
        Whether the critic may use one embedding for x and y.
    """

    def __init__(
        self,
        function: Callable[[Tensor], BoundEstimate],
        *,
        critic: Literal["pairs", "density"] = "pairs",
        nats: Callable[[Tensor], Tensor] | None = None,
        local: Callable[[Tensor], Tensor] | None = None,
        shares_embedding: bool = False,
    ) -> None:
        super().__init__()
        self.function, self.critic = function, critic
        self._nats, self._local = nats, local
        self.shares_embedding = shares_embedding

    def forward(self, scores: Tensor) -> BoundEstimate:
        return self.function(scores)

    def nats(self, scores: Tensor) -> Tensor:
        return super().nats(scores) if self._nats is None else self._nats(scores)

    def local(self, scores: Tensor) -> Tensor:
        return super().local(scores) if self._local is None else self._local(scores)

    def held_out(self, scores: Tensor) -> Tensor:
        # An objective that is another divergence has a lower variance than the value in nats.
        estimate = self.function(scores)
        return estimate.value if self._nats is None else estimate.objective.detach()


def _check_pairs(scores: Tensor) -> None:
    check_real("scores", scores, floating=True)
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or len(scores) < 2:
        raise ValueError(
            "scores must be a matrix (M, M) of all pairs of at least M = 2 samples; got shape "
            f"{tuple(scores.shape)}"
        )


def _off_diagonal(scores: Tensor) -> Tensor:
    _check_pairs(scores)
    m = scores.shape[-1]
    return scores.flatten()[1:].view(m - 1, m + 1)[:, :-1].flatten()


def _log_mean_exp(values: Tensor) -> Tensor:
    return values.logsumexp(-1) - math.log(values.shape[-1])


@full_precision
def _donsker_varadhan(scores: Tensor, clip: float = math.inf) -> Tensor:
    """Donsker-Varadhan bound on I, with scores in the second term clipped to ±clip."""
    return scores.diagonal().mean() - _log_mean_exp(_off_diagonal(scores).clamp(-clip, clip))


@full_precision
def _local_infonce(scores: Tensor) -> Tensor:
    """InfoNCE bound for parts of x, with all parts of all other x as negatives.

    The axes of ``scores`` (M, P, M) are the inputs, their parts and the rows of y.
    """
    m, parts, _ = scores.shape
    _check_pairs(scores[:, 0])
    by_y = scores.permute(2, 0, 1)
    own = torch.eye(m, dtype=torch.bool, device=scores.device)
    positive = by_y.diagonal().mT  # indexing by a mask would synchronise with a GPU
    others = by_y.masked_fill(own[:, :, None], -torch.inf).flatten(1).logsumexp(1, keepdim=True)
    n_candidates = 1 + (m - 1) * parts
    return (positive - torch.logaddexp(positive, others)).mean() + math.log(n_candidates)


BOUNDS: dict[str, Callable[[], Bound]] = {
    "mine": DonskerVaradhan,
    "mine-f": partial(_FunctionBound, nwj),
    "jsd": partial(_FunctionBound, jensen_shannon, nats=_donsker_varadhan),
    "smile": partial(_FunctionBound, smile, nats=partial(_donsker_varadhan, clip=CLIP)),
    "infonce": partial(_FunctionBound, infonce, local=_local_infonce, shares_embedding=True),
    "club": partial(_FunctionBound, club, critic="density"),
}


def make_bound(name: str) -> Bound:
    """Return a new bound with the given name.

    Parameters
    ----------
    name : {"mine", "mine-f", "jsd", "smile", "infonce", "club"}
        Name of the bound.

    Returns
    -------
    Bound
        Bound. The call ``bound(scores)`` returns a :class:`BoundEstimate` for the critic's scores
        (M, M) of all pairs of a batch.

    Raises
    ------
    ValueError
        If ``name`` is unknown.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import make_bound
    >>> bound = make_bound("infonce")
    >>> bound(torch.zeros(4, 4)).value
    tensor(0.)
    """
    if name not in BOUNDS:
        raise ValueError(f"name must be one of {', '.join(map(repr, BOUNDS))}; got {name!r}")
    return BOUNDS[name]()
