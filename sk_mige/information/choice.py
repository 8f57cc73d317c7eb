"""Cross-validated choice among estimates of mutual information."""

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
# Neighbours need few dimensions, those of x and y together.
MAX_NEIGHBOR_DIMENSIONS = 4
# In more dimensions, the mixture's covariances have too many parameters.
MAX_MIXTURE_DIMENSIONS = 40
# In two dimensions neighbours and mixtures need no network.
MIN_NETWORK_DIMENSIONS = 3
KSG_NEIGHBORS, SMOOTH_NEIGHBORS = (3, 5, 10), (5, 10, 20)
# Number of shuffles of the held-out rows that estimate a normaliser.
N_SHUFFLES = 8
# Differences of evidence below .01 nats or below their standard error are ignored.
TOLERANCE = 0.01
MIN_WEIGHT = 0.05
# The network is dropped if it gains less than this on the first fold, in nats.
MIN_GAIN = 0.005
# Above this multiple of log(n), shuffled rows cannot check a normaliser.
LARGE = 0.5
Z_90 = 1.645


@dataclass
class Evidence:
    """Cross-validation results of one candidate.

    Attributes
    ----------
    name : str
        Name of the candidate.
    value : float
        Estimate in nats: the mean of ``in_sample`` and ``held_out``, or the KSG estimate for
        neighbours.
    in_sample : float
        Mean pointwise information of the training rows, in nats.
    held_out : float
        Mean pointwise information of the held-out rows, in nats. Its expectation is a lower bound
        of the mutual information.
    evidence : float
        Score by which candidates are compared, in nats.
    pointwise : tensor of shape (n,)
        Held-out pointwise information of each row, in nats.
    log_density : tensor of shape (n,) or None
        Held-out log-density of each row; None if the candidate has no density.
    models : list
        Fitted models, one per fold.
    weight : float
        Weight in the average of the candidates.

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
    """Weighted average of the candidates with the best evidence.

    Attributes
    ----------
    value : float
        Mutual information in nats, not negative.
    interval : tuple of float
        Ends of the 90 % interval.
    candidates : list of Evidence
        All candidates; ``weight`` is 0 for candidates that are not used.

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
        """Return the pointwise information of rows, averaged over folds and candidates.

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
    """Assign each row to a fold; rows with equal keys share a fold.

    Parameters
    ----------
    keys : tensor of shape (n,)
        Integer keys. Copies of a row must have the same key, so that no copy is held out alone.
    n_folds : int
        Number of folds.
    seed : int
        Seed of the random assignment.

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
    r"""Estimate I(x; y) by the candidates with the best held-out evidence.

    Each candidate is a model of the pointwise information f(x, y). Its evidence is the
    Donsker-Varadhan bound on held-out rows,

    .. math:: \mathbb{E}_{p(x, y)} f - \log \mathbb{E}_{p(x) p(y)} e^f \le I(x; y).

    A candidate that overstates the information therefore has a low evidence. If the information
    exceeds half of log n, shuffled rows no longer estimate the second term. The evidence is then
    the held-out log-density of the pairs, and candidates without a density are not used.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Normal scores of x, as of :func:`gaussianize_ranks`.
    y : tensor of shape (n, q)
        Normal scores of y.
    candidates : sequence of str, default=("gaussian", "student", "mixture", "neighbors", "network")
        Candidates to compare.
    folds : tensor of shape (n,), default=None
        Fold of each row. None assigns three folds at random.
    seed : int, default=0
        Seed of the folds, the mixture's initial centres and the network's initial weights.
    device : str or torch.device, default="cpu"
        Device of the networks.

    Returns
    -------
    ChosenInformation

    Notes
    -----
    The in-sample mean is too large and the held-out mean too small, by the same amount to first
    order in 1 / n. For a correct density with m parameters the amount is m / 2n. The estimate is
    the average of the two means. The interval accounts for sampling, for the difference of the
    two means and for the spread of the candidates.

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
    """Cross-validate all candidates except the network."""
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
    """Cross-validate nearest neighbours, with the best number of neighbours."""
    tried = []
    for k in SMOOTH_NEIGHBORS:
        if k > len(x) // 4:
            continue
        found = _judge("neighbors", partial(_make_neighbours, k), x, y, folds)
        # A count of k has a relative variance of 1 / k, which lowers the bound by 1 / (2 k).
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
    """Cross-validate a network that corrects the best copula; stop if fold 0 shows no gain."""
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
    """Fit a candidate without each fold in turn; evaluate training and held-out rows."""
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
            inside.append(outside[-1])  # a training row is its own neighbour
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
    """Return the pointwise information of rows minus the log-normaliser of shuffled rows."""
    own = model.pointwise(x, y)
    shifts = torch.linspace(1, len(x) - 1, min(N_SHUFFLES, len(x) - 1)).long()
    others = torch.stack([model.pointwise(x, y.roll(int(s), 0)) for s in shifts])
    means = torch.logsumexp(others, 1) - math.log(len(x))
    log_mean = torch.logsumexp(means, 0) - math.log(len(means))
    if hasattr(model, "log_density") and len(means) > 1:
        # A density's normaliser is 1 up to wrong margins: differences within noise are ignored.
        noise = 2 * (means - log_mean).exp().std() / math.sqrt(len(means))
        log_mean = log_mean - log_mean.clamp(-noise, noise)
    if float(own.mean()) > LARGE * math.log(len(x)):
        # Shuffled rows miss the pairs with large values, so a normaliser below 1 is ignored.
        log_mean = log_mean.clamp_min(0)
    shifted: Tensor = own - log_mean
    return shifted


def _independence(x: Tensor) -> Evidence:
    """Return the candidate with zero information."""
    zeros = torch.zeros(len(x), dtype=x.dtype)
    return Evidence("independent", 0.0, 0.0, 0.0, 0.0, zeros, None, [])


def _ksg(x: Tensor, y: Tensor) -> float:
    ks = [k for k in KSG_NEIGHBORS if k < len(x)]
    return sum(float(ksg_terms(x, y, k).mean()) for k in ks) / len(ks)


def _weigh(judged: list[Evidence], n: int) -> None:
    """Set weights; differences of evidence below their standard error count little."""
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
    """Return the upper end of the copulas' intervals if independence has a weight, else 0.

    With few rows per coordinate, copulas overfit: independence can then have the best evidence
    although the information is positive.
    """
    independent, *others = judged
    copulas = [e for e in others if e.name in ELLIPTICAL and math.isfinite(e.held_out)]
    ends = [e.value + Z_90 * _unconfirmed_by_copula(e) for e in copulas]
    return max(ends, default=0.0) if independent.weight else 0.0


def _unconfirmed_by_copula(e: Evidence) -> float:
    """Return the error of averaging the in-sample and the held-out mean."""
    half = (e.in_sample - e.held_out) / 2
    return math.hypot(half / 2, half**2)


def _growth(judged: list[Evidence], value: float, x: Tensor, y: Tensor, seed: int) -> float:
    """Return the difference between the estimate and its extrapolation from half the rows.

    Ranks blur structure that is finer than the distance of neighbouring rows.
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
    """Return the standard error due to sampling, bias and differing candidates."""
    variance = 0.0
    for e in judged:
        if not e.weight:
            continue
        sampling = float(e.pointwise.std()) / math.sqrt(len(x))
        # Half the optimism of the training rows bounds the bias.
        unconfirmed = (e.in_sample - e.held_out) / 2
        if e.name in ELLIPTICAL:
            unconfirmed = _unconfirmed_by_copula(e)
        if e.name == "neighbors":
            unconfirmed = e.value - e.evidence
            m = len(x) // 2
            halves = (_ksg(x[:m], y[:m]) + _ksg(x[m:], y[m:])) / 2
            # Extrapolate a bias of order 1 / sqrt(n), as at the edges of a support.
            unconfirmed = math.hypot(unconfirmed, (e.value - halves) / (math.sqrt(2) - 1))
        variance += e.weight * (sampling**2 + unconfirmed**2 + (e.value - value) ** 2)
    return math.sqrt(variance)
