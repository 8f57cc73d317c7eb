"""Cross-validated selection among estimates of mutual information."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sk_mige.information.correction import CorrectedReference
from sk_mige.information.evidence import (
    LARGE,
    Evidence,
    cross_fit,
    deal_folds,
    fit_without,
    held_out_information,
)
from sk_mige.information.margins import gaussianize_ranks
from sk_mige.information.neighbours import NeighbourReference, ksg_terms
from sk_mige.information.references import (
    GaussianReference,
    MixtureReference,
    StudentReference,
)

__all__ = ["CANDIDATES", "ChosenInformation", "choose_information"]

CANDIDATES = ("gaussian", "student", "mixture", "neighbors", "network")
ELLIPTICAL = ("gaussian", "student")
# Largest total dimension of x and y for nearest neighbours.
MAX_NEIGHBOR_DIMENSIONS = 4
# Largest total dimension for mixtures, whose covariances have many parameters.
MAX_MIXTURE_DIMENSIONS = 40
# In two dimensions, neighbours and mixtures suffice without a network.
MIN_NETWORK_DIMENSIONS = 3
KSG_NEIGHBORS, SMOOTH_NEIGHBORS = (3, 5, 10), (5, 10, 20)
# Differences in evidence below .01 nats are treated as noise.
TOLERANCE = 0.01
MIN_WEIGHT = 0.05
Z_90 = 1.645


@dataclass
class ChosenInformation:
    """Mutual information as a weighted average of candidate estimates.

    Attributes
    ----------
    value : float
        Mutual information in nats, at least 0.
    interval : tuple of float
        Lower and upper end of the 90 % interval, in nats.
    candidates : list of Evidence
        All candidates. Unused candidates have ``weight`` 0.

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

    def pointwise(
        self, x: Tensor, y: Tensor, components: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Return the pointwise information of rows, averaged over folds and candidates.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.
        components : tuple of two tensors, default=None
            Normal scores of independent components of x and y. Required if the ``components`` of
            :func:`choose_information` are not None.

        Returns
        -------
        tensor of shape (n,)
        """
        total = torch.zeros(len(x), dtype=x.dtype)
        for candidate in self.candidates:
            pair = components if candidate.of_components and components else (x, y)
            for model in candidate.models if candidate.weight else ():
                total += candidate.weight / len(candidate.models) * model.pointwise(*pair)
        return total


def choose_information(
    x: Tensor,
    y: Tensor,
    candidates: Sequence[str] = CANDIDATES,
    *,
    components: tuple[Tensor, Tensor] | None = None,
    folds: Tensor | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> ChosenInformation:
    r"""Estimate I(x; y) by an average of the candidates with the best held-out evidence.

    Each candidate is a model of the pointwise information f(x, y). The evidence of a candidate is
    the Donsker-Varadhan bound on held-out rows,

    .. math:: \mathbb{E}_{p(x, y)} f - \log \mathbb{E}_{p(x) p(y)} e^f \le I(x; y).

    Candidates that overestimate the information therefore have low evidence. Shuffled rows cannot
    estimate the second term if the information exceeds log(n) / 2. Above log(n) / 2, the evidence
    is the mean held-out log-density, and candidates without a density are not used.

    Parameters
    ----------
    x : tensor of shape (n, p)
        Normal scores of x, for example from :func:`gaussianize_ranks`.
    y : tensor of shape (n, q)
        Normal scores of y.
    candidates : sequence of str, default=("gaussian", "student", "mixture", "neighbors", "network")
        Candidates to compare.
    components : tuple of two tensors, default=None
        Normal scores of independent components of x and y. The network uses the components if its
        held-out information is higher than with the columns. All candidates use the components if
        the held-out information with components exceeds log(n) / 2.
    folds : tensor of shape (n,), default=None
        Fold index of each row. If None, three random folds are used.
    seed : int, default=0
        Seed of the folds, the mixture's initial centres and the network's initial weights.
    device : str or torch.device, default="cpu"
        Device of the networks.

    Returns
    -------
    ChosenInformation

    Notes
    -----
    The in-sample mean of the pointwise information is biased upwards, and the held-out mean is
    biased downwards. The two biases have the same size to first order in 1 / n. For a model that
    contains the true density and has m parameters, each bias is m / (2 n) nats. The estimate is the
    average of the in-sample mean and the held-out mean. The width of the interval includes the
    sampling error, the difference between in-sample and held-out means, and the spread of the
    candidates.

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
    # Halves and shifts of the rows are random samples only if the rows have a random order.
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    x, y, folds = x[order], y[order], folds[order]
    components = components and (components[0][order], components[1][order])
    judged = _judge_references(x, y, candidates, folds, seed)
    least = LARGE * math.log(len(x))
    if components is not None:
        # Models of the components reach a larger density than models of the columns.
        others = _judge_references(*components, candidates, folds, seed)
        if max(e.held_out for e in others) > least:
            (x, y), judged = components, others
            for e in judged:
                e.of_components = True
    large = max(e.held_out for e in judged) > least
    if large:
        for e in judged:
            e.evidence = -math.inf if e.log_density is None else float(e.log_density.mean())
    elif "network" in candidates and x.shape[1] + y.shape[1] >= MIN_NETWORK_DIMENSIONS:
        judged.append(_judge_network(x, y, components, judged, folds, seed, device))
    _weigh(judged, len(x))
    value = sum(e.weight * e.value for e in judged if e.weight)
    error = _standard_error(judged, value, x, y)
    if large:
        error = math.hypot(error, _growth(judged, value, x, y, seed))
    value = max(value, 0.0)
    missing = 0.0 if large else _unresolved_by_mixture(judged, x, y, seed)
    high = max(value + math.hypot(Z_90 * error, missing), _unresolved(judged))
    _reorder(judged, order.argsort())
    return ChosenInformation(value, (max(0.0, value - Z_90 * error), high), judged)


def _reorder(judged: list[Evidence], order: Tensor) -> None:
    for e in judged:
        e.pointwise = e.pointwise[order]
        e.log_density = None if e.log_density is None else e.log_density[order]


def _judge_references(
    x: Tensor, y: Tensor, candidates: Sequence[str], folds: Tensor, seed: int
) -> list[Evidence]:
    """Cross-validate all candidates except the network."""
    d = x.shape[1] + y.shape[1]
    judged = [_independence(x)]
    if "gaussian" in candidates:
        judged.append(cross_fit("gaussian", lambda _: GaussianReference(), x, y, folds))
    if "student" in candidates:
        judged.append(
            cross_fit(
                "student", lambda first: StudentReference(first and first.degrees_), x, y, folds
            )
        )
    if "mixture" in candidates and d <= MAX_MIXTURE_DIMENSIONS:
        judged.append(
            cross_fit(
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
    """Cross-validate nearest neighbours, with the number of neighbours chosen on the first fold."""
    out = folds == folds.min()
    evidence = {}
    for k in SMOOTH_NEIGHBORS:
        if k <= len(x) // 4:
            model = NeighbourReference(k).fit(x[~out], y[~out])
            own = held_out_information(model, x[out], y[out])
            # A neighbour count k has relative variance 1 / k, which lowers the bound by 1 / (2 k).
            evidence[k] = float(own.mean()) + 0.5 / k
    best = max(evidence, key=lambda k: evidence[k])
    found = cross_fit("neighbors", lambda _: NeighbourReference(best), x, y, folds)
    found.evidence += 0.5 / best
    found.value = _ksg(x, y)
    return found


def _judge_network(
    x: Tensor,
    y: Tensor,
    components: tuple[Tensor, Tensor] | None,
    judged: list[Evidence],
    folds: Tensor,
    seed: int,
    device: str | torch.device,
) -> Evidence:
    """Fit a network without the first fold, and cross-validate it if the evidence increases."""
    best = max(judged, key=lambda e: e.evidence)
    elliptical = [e for e in judged if e.name in ELLIPTICAL]
    start = max(elliptical, key=lambda e: e.evidence, default=None)
    out = folds == 0

    def fitted(of_components: bool, fold: int) -> CorrectedReference:
        pair = components if of_components and components else (x, y)
        rows = folds != fold
        reference = start.models[fold] if start and not of_components else GaussianReference()
        if not start or of_components:
            reference.fit(pair[0][rows], pair[1][rows])
        return CorrectedReference(reference, seed=seed, device=device)

    trials = []
    for of_components in (False, True) if components else (False,):
        pair = components if of_components and components else (x, y)
        model = fitted(of_components, 0)
        fit_without(model, *pair, out)
        own = held_out_information(model, pair[0][out], pair[1][out])
        trials.append((float(own.mean()), of_components, model, own))
    value, of_components, model, own = max(trials, key=lambda trial: trial[0])
    # The evidence of neighbours exceeds the mean pointwise information by 1 / (2 k).
    gain = own - best.pointwise[out] - (best.evidence - float(best.pointwise.mean()))
    enough = TOLERANCE + float(gain.std()) / math.sqrt(len(gain))
    # Without copula candidates, the network need not improve a copula.
    correction = model.gain_ if start else math.inf
    if min(float(gain.mean()), correction) < enough:
        return Evidence("network", value, math.nan, value, -math.inf, torch.full_like(x[:, 0], 0))
    remaining = iter(range(1, int(folds.max()) + 1))
    pair = components if of_components and components else (x, y)
    found = cross_fit(
        "network", lambda _: fitted(of_components, next(remaining)), *pair, folds, model
    )
    found.of_components = of_components
    return found


def _independence(x: Tensor) -> Evidence:
    """Return the candidate for independence, with zero information."""
    zeros = torch.zeros(len(x), dtype=x.dtype)
    return Evidence("independent", 0.0, 0.0, 0.0, 0.0, zeros, None, [])


def _ksg(x: Tensor, y: Tensor) -> float:
    ks = [k for k in KSG_NEIGHBORS if k < len(x)]
    return sum(float(ksg_terms(x, y, k).mean()) for k in ks) / len(ks)


def _weigh(judged: list[Evidence], n: int) -> None:
    """Set the weights from differences in evidence, divided by their standard errors."""
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
    """Return the largest upper end of the copulas' intervals, or 0 if independence has weight 0.

    With few rows per coordinate, copulas overfit, and independence can have the best evidence
    although the information is positive.
    """
    independent, *others = judged
    copulas = [e for e in others if e.name in ELLIPTICAL and math.isfinite(e.held_out)]
    ends = [e.value + Z_90 * _unconfirmed_by_copula(e) for e in copulas]
    return max(ends, default=0.0) if independent.weight else 0.0


def _unconfirmed_by_copula(e: Evidence) -> float:
    """Return the error of the average of the in-sample and held-out means."""
    half = (e.in_sample - e.held_out) / 2
    return math.hypot(half / 2, half**2)


def _growth(judged: list[Evidence], value: float, x: Tensor, y: Tensor, seed: int) -> float:
    """Return the bias extrapolated from half of the rows, as a standard error.

    Ranks do not resolve structure finer than the spacing of neighbouring rows.
    """
    used = [e for e in judged if e.weight]
    halves = _of_halves([e.name for e in used], x, y, seed)
    total = sum(e.weight * statistics.mean(halves[e.name]) for e in used)
    return (value - total) / (math.sqrt(2) - 1) / Z_90


def _unresolved_by_mixture(judged: list[Evidence], x: Tensor, y: Tensor, seed: int) -> float:
    """Return the information that a mixture with more components would resolve.

    A mixture resolves edges and curves only with many components, and more rows allow more
    components. The increase of the estimate from n / 2 to n rows is extrapolated, with a bias of
    order 1 / sqrt(n).
    """
    used = [e for e in judged if e.name == "mixture" and e.weight]
    if not used:
        return 0.0
    half = statistics.mean(_of_halves(["mixture"], x, y, seed)["mixture"])
    return sum(e.weight * max(0.0, e.value - half) for e in used) / (math.sqrt(2) - 1)


def _of_halves(names: Sequence[str], x: Tensor, y: Tensor, seed: int) -> dict[str, list[float]]:
    """Return the estimates of each candidate from the two halves of the rows."""
    half = len(x) // 2
    folds = deal_folds(torch.arange(half), 3, seed)
    values: dict[str, list[float]] = {}
    for rows in (slice(0, half), slice(half, 2 * half)):
        left, right = (gaussianize_ranks(z[rows]) for z in (x, y))
        for e in _judge_references(left, right, names, folds, seed):
            values.setdefault(e.name, []).append(e.value)
    return values


def _standard_error(judged: list[Evidence], value: float, x: Tensor, y: Tensor) -> float:
    """Return the standard error due to sampling, bias and the spread of the candidates."""
    variance = 0.0
    for e in judged:
        if not e.weight:
            continue
        sampling = float(e.pointwise.std()) / math.sqrt(len(x))
        # The bias is at most half the difference between in-sample and held-out means.
        unconfirmed = (e.in_sample - e.held_out) / 2
        if e.name in ELLIPTICAL:
            unconfirmed = _unconfirmed_by_copula(e)
        if e.name == "network":
            # A network's resolution has no known bound, so the full difference of the means counts.
            unconfirmed *= 2
        if e.name == "neighbors":
            unconfirmed = e.value - e.evidence
            m = len(x) // 2
            halves = (_ksg(x[:m], y[:m]) + _ksg(x[m:], y[m:])) / 2
            # Extrapolate a bias of order 1 / sqrt(n), which occurs at the edges of a support.
            unconfirmed = math.hypot(unconfirmed, (e.value - halves) / (math.sqrt(2) - 1))
        variance += e.weight * (sampling**2 + unconfirmed**2 + (e.value - value) ** 2)
    return math.sqrt(variance)
