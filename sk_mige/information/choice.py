"""Choice among estimates of mutual information by evidence on held-out rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sk_mige.information.correction import CorrectedReference
from sk_mige.information.margins import gaussianize_ranks
from sk_mige.information.neighbours import NeighbourReference, ksg_terms
from sk_mige.information.references import (
    GaussianReference,
    MixtureReference,
    StudentReference,
)

__all__ = ["CANDIDATES", "ChosenInformation", "Evidence", "choose_information", "deal_folds"]

CANDIDATES = ("gaussian", "student", "mixture", "neighbors", "network")
ELLIPTICAL = ("gaussian", "student")
# Neighbours are of use in few dimensions, x and y together.
MAX_NEIGHBOR_DIMENSIONS = 4
# The mixture's covariances have too many parameters in more.
MAX_MIXTURE_DIMENSIONS = 40
# In two, neighbours and mixtures resolve what a network does.
MIN_NETWORK_DIMENSIONS = 3
KSG_NEIGHBORS, SMOOTH_NEIGHBORS = (3, 5, 10), (5, 10, 20)
# Shuffles of the held-out rows for the normaliser of an evidence.
N_SHUFFLES = 8
# Evidence differences below this many nats do not matter, nor do those below their standard error.
TOLERANCE = 0.01
MIN_WEIGHT = 0.05
# A network must gain this much on the first fold before the other folds are tried.
MIN_GAIN = 0.005
# Share of log(n) from which on shuffled rows cannot check a normaliser any more.
LARGE = 0.5
Z_90 = 1.645


@dataclass
class Evidence:
    """Evidence of the folds for one candidate.

    Attributes
    ----------
    name : str
        Name of the candidate.
    value : float
        Its estimate: the mean of the in-sample and the held-out one, or the KSG estimate.
    in_sample : float
        Mean pointwise information on the rows of the fits.
    held_out : float
        The same on rows that the fit has not seen: a lower bound of the information on average.
    evidence : float
        Number by which candidates are compared; nats.
    pointwise : tensor of shape (n,)
        Pointwise information of each row, of the fit that has not seen it.
    log_density : tensor of shape (n,) or None
        Log-density of each row, of that fit; None if the candidate is no density.
    models : list
        The fits, one a fold.
    weight : float
        Weight in the average.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import choose_information
    >>> x, noise = torch.randn(2, 300, 1, generator=torch.Generator().manual_seed(0)).double()
    >>> chosen = choose_information(x, x + noise, ("gaussian",))
    >>> [candidate.name for candidate in chosen.candidates]
    ['independent', 'gaussian']
    """

    name: str
    value: float
    in_sample: float
    held_out: float
    evidence: float
    pointwise: Tensor
    log_density: Tensor | None = None
    models: list[Any] = field(default_factory=list)
    weight: float = 0.0


@dataclass
class ChosenInformation:
    """The average of the candidates that the evidence cannot tell apart.

    Attributes
    ----------
    value : float
        Mutual information in nats, not negative.
    interval : tuple of float
        Ends of the 90 % interval.
    candidates : list of Evidence
        All candidates with their weights.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import choose_information
    >>> x, noise = torch.randn(2, 300, 1, generator=torch.Generator().manual_seed(0)).double()
    >>> chosen = choose_information(x, x + noise, ("gaussian", "student"))
    >>> low, high = chosen.interval
    >>> bool(low < chosen.value < high)
    True
    """

    value: float
    interval: tuple[float, float]
    candidates: list[Evidence]

    def pointwise(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the pointwise information of normal scores, averaged over folds and candidates.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.

        Returns
        -------
        tensor of shape (n,)
        """
        total = torch.zeros(len(x), dtype=x.dtype)
        for candidate in self.candidates:
            for model in candidate.models if candidate.weight else ():
                total += candidate.weight / len(candidate.models) * model.pointwise(x, y)
        return total


def deal_folds(keys: Tensor, n_folds: int, seed: int) -> Tensor:
    """Return the fold of each row; rows of equal keys share one.

    Parameters
    ----------
    keys : tensor of shape (n,)
        Integers; equal rows have equal keys, so that no fit has seen a held-out row's copy.
    n_folds : int
        Number of folds.
    seed : int
        Seed of the order in which keys are dealt out.

    Returns
    -------
    tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.choice import deal_folds
    >>> folds = deal_folds(torch.tensor([0, 1, 2, 0]), 3, seed=0)
    >>> bool(folds[0] == folds[3])
    True
    """
    _, owner = torch.unique(keys, return_inverse=True)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(int(owner.max()) + 1, generator=generator)
    return (order % n_folds)[owner]


def choose_information(
    x: Tensor,
    y: Tensor,
    candidates: Sequence[str] = CANDIDATES,
    *,
    folds: Tensor | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> ChosenInformation:
    r"""Estimate I(x; y) by the candidates that do best on held-out rows.

    Every candidate gives a pointwise information f(x, y). On rows that its fit has not seen its
    evidence is the bound of Donsker and Varadhan,

    .. math:: \mathbb{E}_{p(x, y)} f - \log \mathbb{E}_{p(x) p(y)} e^f \le I(x; y),

    which a candidate that overstates the information cannot pass. Where the information exceeds
    half of log n, no shuffling of n rows checks the normaliser; the held-out log-density of the
    pairs is the evidence there, and candidates without a density do not count.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Normal scores of x, as of :func:`gaussianize_ranks`.
    y : tensor of shape (n, q)
        Normal scores of y.
    candidates : sequence of str, default=("gaussian", "student", "mixture", "neighbors", "network")
        Candidates to compare.
    folds : tensor of shape (n,), default=None
        Fold of each row; three folds by default.
    seed : int, default=0
        Seed of folds, shuffles, initial centres and weights.
    device : str or torch.device, default="cpu"
        Device of the networks.

    Returns
    -------
    ChosenInformation

    Notes
    -----
    In-sample means are too large and held-out ones too small, by the same amount to first order
    (half the number of parameters over n in a density that holds the truth). The estimate is
    their mean. Its interval contains sampling, half of that amount, and the candidates' spread.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import choose_information, gaussianize_ranks
    >>> x, noise = torch.randn(2, 2000, 1, generator=torch.Generator().manual_seed(1)).double()
    >>> y = 0.8 * x + 0.6 * noise  # I = -log 0.6 = .51 nats
    >>> chosen = choose_information(
    ...     gaussianize_ranks(x), gaussianize_ranks(y), ("gaussian", "student")
    ... )
    >>> bool(abs(chosen.value - 0.51) < 0.05)
    True
    """
    if folds is None:
        folds = deal_folds(torch.arange(len(x)), 3, seed)
    judged = _judge_references(x, y, candidates, folds, seed)
    large = max(e.held_out for e in judged) > LARGE * math.log(len(x))
    if large:
        for e in judged:
            dense = e.log_density is not None
            e.evidence = float(e.log_density.mean()) if dense else -math.inf  # type: ignore[union-attr]
    elif "network" in candidates and x.shape[1] + y.shape[1] >= MIN_NETWORK_DIMENSIONS:
        judged.append(_judge_network(x, y, judged, folds, seed, device))
    _weigh(judged, len(x))
    value = sum(e.weight * e.value for e in judged if e.weight)
    error = _standard_error(judged, value, x, y)
    if large:
        error = math.hypot(error, _growth(judged, value, x, y, seed))
    value = max(value, 0.0)
    high = max(value + Z_90 * error, _unresolved(judged))
    return ChosenInformation(value, (max(0.0, value - Z_90 * error), high), judged)


def _judge_references(
    x: Tensor, y: Tensor, candidates: Sequence[str], folds: Tensor, seed: int
) -> list[Evidence]:
    """Cross-fit all candidates but the network."""
    d = x.shape[1] + y.shape[1]
    judged = [_independence(x)]
    if "gaussian" in candidates:
        judged.append(_judge("gaussian", lambda _: GaussianReference(), x, y, folds))
    if "student" in candidates:
        judged.append(
            _judge("student", lambda first: StudentReference(first and first.degrees_), x, y, folds)
        )
    if "mixture" in candidates and d <= MAX_MIXTURE_DIMENSIONS:
        judged.append(
            _judge(
                "mixture",
                lambda first: MixtureReference(first and len(first.means_), seed),
                x,
                y,
                folds,
            )
        )
    if "neighbors" in candidates and d <= MAX_NEIGHBOR_DIMENSIONS and len(x) >= 20:
        judged.append(_judge_neighbours(x, y, folds))
    return judged


def _judge_neighbours(x: Tensor, y: Tensor, folds: Tensor) -> Evidence:
    """Cross-fit neighbours with the number that has the largest evidence."""
    tried = []
    for k in SMOOTH_NEIGHBORS:
        if k > len(x) // 4:
            continue
        found = _judge("neighbors", partial(_make_neighbours, k), x, y, folds)
        # A count of k has a relative variance of 1 / k, which lowers the bound by half as much.
        found.evidence += 0.5 / k
        tried.append(found)
    best = max(tried, key=lambda e: e.evidence)
    best.value = _ksg(x, y)
    return best


def _make_neighbours(k: int, _: Any) -> NeighbourReference:
    return NeighbourReference(k)


def _judge_network(
    x: Tensor,
    y: Tensor,
    judged: list[Evidence],
    folds: Tensor,
    seed: int,
    device: str | torch.device,
) -> Evidence:
    """Cross-fit a network on top of the best elliptical reference, if the first fold shows gain."""
    elliptical = [e for e in judged if e.name in ELLIPTICAL]
    best = max(judged, key=lambda e: e.evidence)
    start = max(elliptical, key=lambda e: e.evidence, default=None)
    fold_models = iter(start.models if start else [])

    def make(first: Any) -> CorrectedReference:
        reference = next(fold_models, None)
        if reference is None:
            reference = GaussianReference()
        return CorrectedReference(reference, seed=seed, device=device)

    first = folds == folds.min()

    def promising(pointwise: Tensor) -> bool:
        return float(pointwise.mean() - best.pointwise[first].mean()) > MIN_GAIN

    return _judge("network", make, x, y, folds, promising)


def _judge(
    name: str,
    make: Callable[[Any], Any],
    x: Tensor,
    y: Tensor,
    folds: Tensor,
    promising: Callable[[Tensor], bool] | None = None,
) -> Evidence:
    """Fit a candidate without each fold in turn, and evaluate it on both parts."""
    models: list[Any] = []
    pointwise = torch.full((len(x),), math.nan, dtype=x.dtype)
    density: Tensor | None = torch.empty(len(x), dtype=x.dtype)
    inside, outside = [], []
    for fold in range(int(folds.max()) + 1):
        out = folds == fold
        model = make(models[0] if models else None).fit(x[~out], y[~out])
        models.append(model)
        if isinstance(model, CorrectedReference):
            model.calibrate(x[out], y[out], _mean_normalised(model))
        pointwise[out] = _normalised(model, x[out], y[out])
        outside.append(float(pointwise[out].mean()))
        if isinstance(model, NeighbourReference):
            inside.append(outside[-1])  # each row would be its own neighbour
        else:
            inside.append(float(_normalised(model, x[~out], y[~out]).mean()))
        if hasattr(model, "log_density") and density is not None:
            density[out] = model.log_density(x[out], y[out])
        else:
            density = None
        if promising is not None and not promising(pointwise[out]):
            models.clear()
            break
        promising = None
    in_sample, held_out = sum(inside) / len(inside), sum(outside) / len(outside)
    evidence = float(pointwise.mean()) if models else -math.inf
    value = (in_sample + held_out) / 2
    return Evidence(name, value, in_sample, held_out, evidence, pointwise, density, models)


def _mean_normalised(model: Any) -> Callable[[Tensor, Tensor], float]:
    return lambda x, y: float(_normalised(model, x, y).mean())


def _normalised(model: Any, x: Tensor, y: Tensor) -> Tensor:
    """Pointwise information of rows, less the logarithm of its normaliser over shuffled rows."""
    own = model.pointwise(x, y)
    shifts = torch.linspace(1, len(x) - 1, min(N_SHUFFLES, len(x) - 1)).long()
    others = torch.stack([model.pointwise(x, y.roll(int(s), 0)) for s in shifts])
    means = torch.logsumexp(others, 1) - math.log(len(x))
    log_mean = torch.logsumexp(means, 0) - math.log(len(means))
    if hasattr(model, "log_density") and len(means) > 1:
        # A density's normaliser is 1 unless its margins are wrong: chance alone is no evidence.
        noise = 2 * (means - log_mean).exp().std() / math.sqrt(len(means))
        log_mean = log_mean - log_mean.clamp(-noise, noise)
    if float(own.mean()) > LARGE * math.log(len(x)):
        # The pairs that matter are not among the shuffled ones: only an excess is evidence.
        log_mean = log_mean.clamp_min(0)
    shifted: Tensor = own - log_mean
    return shifted


def _independence(x: Tensor) -> Evidence:
    """The candidate without any information."""
    zeros = torch.zeros(len(x), dtype=x.dtype)
    return Evidence("independent", 0.0, 0.0, 0.0, 0.0, zeros, None, [])


def _ksg(x: Tensor, y: Tensor) -> float:
    ks = [k for k in KSG_NEIGHBORS if k < len(x)]
    return sum(float(ksg_terms(x, y, k).mean()) for k in ks) / len(ks)


def _weigh(judged: list[Evidence], n: int) -> None:
    """Set weights by evidence: equal where its differences are within their standard error."""
    best = max(judged, key=lambda e: e.evidence)
    for e in judged:
        if math.isinf(e.evidence):
            continue
        difference = best.pointwise - e.pointwise
        if best.log_density is not None and e.log_density is not None:
            difference = best.log_density - e.log_density
        error = max(TOLERANCE, float(difference.std()) / math.sqrt(n))
        e.weight = math.exp(-0.5 * ((best.evidence - e.evidence) / error) ** 2)
    total = sum(e.weight for e in judged)
    for e in judged:
        e.weight = e.weight / total if e.weight > MIN_WEIGHT * total else 0.0
    total = sum(e.weight for e in judged)
    for e in judged:
        e.weight /= total


def _unresolved(judged: list[Evidence]) -> float:
    """Upper end of the copulas, where independence may win because they overfit.

    With few rows for their coordinates, copulas predict held-out rows worse than independence
    does, whatever the information is.
    """
    independent, *others = judged
    copulas = [e for e in others if e.name in ELLIPTICAL and math.isfinite(e.held_out)]
    ends = [e.value + Z_90 * _unconfirmed_by_copula(e) for e in copulas]
    return max(ends, default=0.0) if independent.weight else 0.0


def _unconfirmed_by_copula(e: Evidence) -> float:
    """Error of the mean of both ends, which is right to first order in their difference."""
    half = (e.in_sample - e.held_out) / 2
    return math.hypot(half / 2, half**2)


def _growth(judged: list[Evidence], value: float, x: Tensor, y: Tensor, seed: int) -> float:
    """Difference between the estimate and its extrapolation from half the rows.

    Ranks blur what is finer than the distance of neighbouring rows.
    """
    names = [e.name for e in judged if e.weight]
    weights = [e.weight for e in judged if e.weight]
    half = len(x) // 2
    total = 0.0
    for rows in (slice(0, half), slice(half, 2 * half)):
        left, right = (gaussianize_ranks(z[rows]) for z in (x, y))
        folds = deal_folds(torch.arange(half), 3, seed)
        found = _judge_references(left, right, names, folds, seed)[1:]
        values = {e.name: e.value for e in found}
        total += sum(w * values[name] for w, name in zip(weights, names, strict=True)) / 2
    return (value - total) / (math.sqrt(2) - 1) / Z_90


def _standard_error(judged: list[Evidence], value: float, x: Tensor, y: Tensor) -> float:
    """Sampling, resolution and disagreement, as one standard deviation."""
    variance = 0.0
    for e in judged:
        if not e.weight:
            continue
        sampling = float(e.pointwise.std()) / math.sqrt(len(x))
        # What the held-out rows do not confirm.
        unconfirmed = (e.in_sample - e.held_out) / 2
        if e.name in ELLIPTICAL:
            unconfirmed = _unconfirmed_by_copula(e)
        if e.name == "neighbors":
            unconfirmed = e.value - e.evidence
            m = len(x) // 2
            halves = (_ksg(x[:m], y[:m]) + _ksg(x[m:], y[m:])) / 2
            # A bias of order 1 / sqrt(n), as at the edges of a support, goes on from there.
            unconfirmed = math.hypot(unconfirmed, (e.value - halves) / (math.sqrt(2) - 1))
        variance += e.weight * (sampling**2 + unconfirmed**2 + (e.value - value) ** 2)
    return math.sqrt(variance)
