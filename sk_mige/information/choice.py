"""Cross-validated selection among estimates of mutual information."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sk_mige.information.additive import AdditiveReference
from sk_mige.information.correction import MAX_COLUMNS, CorrectedReference
from sk_mige.information.evidence import (
    LARGE,
    Z_90,
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
from sk_mige.information.screening import (
    ColumnsReference,
    detectable_information,
    related_columns,
)

__all__ = ["CANDIDATES", "ChosenInformation", "choose_information", "coordinates"]

CANDIDATES = ("gaussian", "student", "mixture", "neighbors", "additive", "network")
ELLIPTICAL = ("gaussian", "student")
# Candidates whose resolution of edges increases with the number of rows.
SMOOTH = ("mixture", "additive")
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


Pair = tuple[Tensor, Tensor]


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
        All candidates; ``weight`` is 0 for candidates that are not used.
    columns : tuple of two lists of int, default=None
        Columns of x and of y that the candidates with positive weight use. None means all columns.

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
    columns: tuple[list[int], list[int]] | None = None

    def selected(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the columns that the candidates with positive weight use."""
        return (x, y) if self.columns is None else (x[:, self.columns[0]], y[:, self.columns[1]])

    def pointwise(
        self, x: Tensor, y: Tensor, components: Pair | None = None, numbers: Pair | None = None
    ) -> Tensor:
        """Return the pointwise information of rows, averaged over folds and candidates.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.
        components : tuple of two tensors, default=None
            Normal scores of independent components of x and y. Required if ``components`` was
            passed to :func:`choose_information`.
        numbers : tuple of two tensors, default=None
            Columns of x and y. Required if ``numbers`` was passed to :func:`choose_information`.

        Returns
        -------
        tensor of shape (n,)
        """
        views = coordinates(x, y, components, numbers)
        total = torch.zeros(len(x), dtype=x.dtype)
        for candidate in self.candidates:
            pair = views[candidate.inputs]
            for model in candidate.models if candidate.weight else ():
                total += candidate.weight / len(candidate.models) * model.pointwise(*pair)
        return total


def choose_information(
    x: Tensor,
    y: Tensor,
    candidates: Sequence[str] = CANDIDATES,
    *,
    components: Pair | None = None,
    numbers: Pair | None = None,
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
    candidates : sequence of str
        Candidates to compare. The default is "gaussian", "student", "mixture", "neighbors",
        "additive" and "network".
    components : tuple of two tensors, default=None
        Normal scores of independent components of x and y. A copula uses the columns or the
        components, whichever has the larger evidence. The network corrects a copula of the
        components. If x and y have at most six components each, the columns are further inputs of
        the network. All candidates use the components if the held-out information with components
        exceeds log(n) / 2.
    numbers : tuple of two tensors, default=None
        Columns of x and y for the candidate "additive". If None, the candidate is skipped.
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

    With more than four columns, the candidates also describe the few columns that have
    significant relations other than those of a Gaussian copula. The result for the few columns is
    used if their held-out information is larger.

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
    found = _choose(x, y, candidates, components, numbers, folds, seed, device)
    if x.shape[1] + y.shape[1] <= MAX_NEIGHBOR_DIMENSIONS:
        return found
    columns = related_columns(x, y, seed)
    if columns is None:
        # A relation that is not significant may exist.
        low, high = found.interval
        missing = detectable_information(len(x), x.shape[1], y.shape[1])
        return replace(found, interval=(low, max(high, found.value + missing)))
    if (len(columns[0]), len(columns[1])) == (x.shape[1], y.shape[1]):
        return found
    few = x[:, columns[0]], y[:, columns[1]]
    pairs = None if numbers is None else (numbers[0][:, columns[0]], numbers[1][:, columns[1]])
    other = _choose(*few, candidates, None, pairs, folds, seed, device)
    if _held_out(other) <= _held_out(found) + TOLERANCE:
        return found
    for e in found.candidates:
        e.weight = 0.0
    for e in other.candidates:
        e.name += " of few columns"
        e.models = [ColumnsReference(model, *columns) for model in e.models]
    return replace(other, candidates=[*found.candidates, *other.candidates], columns=columns)


def _held_out(chosen: ChosenInformation) -> float:
    """Return the weighted mean of the held-out information of the candidates."""
    used = [e for e in chosen.candidates if e.weight]
    return sum(e.weight * (e.evidence if e.name == "neighbors" else e.held_out) for e in used)


def _choose(
    x: Tensor,
    y: Tensor,
    candidates: Sequence[str],
    components: Pair | None,
    numbers: Pair | None,
    folds: Tensor,
    seed: int,
    device: str | torch.device,
) -> ChosenInformation:
    """Estimate I(x; y) from all columns."""
    # Parts and shifts of the rows are samples of all rows only if the rows have a random order.
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    folds = folds[order]
    views = {
        name: (left[order], right[order])
        for name, (left, right) in coordinates(x, y, components, numbers).items()
    }
    x, y = views["columns"]
    judged = _judge_references(views, candidates, folds, seed)
    least = LARGE * math.log(len(x))
    starts = judged
    if "components" in views:
        copulas = [name for name in candidates if name in ELLIPTICAL] or candidates
        starts = _judge_references(views, copulas, folds, seed, "components")
        if max(e.held_out for e in starts) > least:
            # The components have a larger density than the columns.
            judged = _judge_references(views, candidates, folds, seed, "components")
        else:
            judged = _better(judged, starts)
    large = max(e.held_out for e in judged if math.isfinite(e.evidence)) > least
    if large:
        for e in judged:
            # Log-densities of columns and of components are not comparable.
            known = e.inputs == "numbers" and judged[0].inputs == "components"
            density = None if known else e.log_density
            e.evidence = -math.inf if density is None else float(density.mean())
    elif "network" in candidates and x.shape[1] + y.shape[1] >= MIN_NETWORK_DIMENSIONS:
        judged.append(_judge_network(views, judged, starts, folds, seed, device))
    _weigh(judged, len(x))
    value = sum(e.weight * e.value for e in judged if e.weight)
    error = _standard_error(judged, value, views)
    if large:
        error = math.hypot(error, _growth(judged, value, views, seed))
    value = max(value, 0.0)
    missing = 0.0 if large else _unresolved_by_rows(judged, views, seed)
    high = max(value + math.hypot(Z_90 * error, missing), _unresolved(judged))
    _reorder(judged, order.argsort())
    return ChosenInformation(value, (max(0.0, value - Z_90 * error), high), judged)


def _reorder(judged: list[Evidence], order: Tensor) -> None:
    for e in judged:
        e.pointwise = e.pointwise[order]
        e.log_density = None if e.log_density is None else e.log_density[order]


def coordinates(
    x: Tensor, y: Tensor, components: Pair | None, numbers: Pair | None
) -> dict[str, Pair]:
    """Return the coordinates that candidates use, by the name in ``Evidence.inputs``."""
    views = {"columns": (x, y)}
    if components is not None:
        views["components"] = views["both"] = components
        if max(z.shape[1] for z in components) <= MAX_COLUMNS:
            views["both"] = torch.cat([components[0], x], 1), torch.cat([components[1], y], 1)
    if numbers is not None:
        views["numbers"] = numbers
    return views


def _better(judged: list[Evidence], others: list[Evidence]) -> list[Evidence]:
    """Replace candidates by candidates of the same name with higher evidence."""
    found = {e.name: e for e in others}
    return [max(e, found.get(e.name, e), key=lambda e: e.evidence) for e in judged]


def _judge_references(
    views: dict[str, Pair],
    candidates: Sequence[str],
    folds: Tensor,
    seed: int,
    inputs: str = "columns",
) -> list[Evidence]:
    """Cross-validate all candidates except the network."""
    x, y = views[inputs]
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
    for e in judged:
        e.inputs = inputs
    if "additive" in candidates and "numbers" in views:
        judged.append(_judge_additive(views, judged, folds))
    return judged


def _judge_additive(views: dict[str, Pair], judged: list[Evidence], folds: Tensor) -> Evidence:
    """Fit a regression without the first fold, and cross-validate it if the evidence increases."""
    x, y = views["numbers"]
    out = folds == folds.min()
    model = fit_without(AdditiveReference(), x, y, out)
    own = held_out_information(model, x[out], y[out])
    gain, required = _gain(own, judged, out)
    if gain < required:
        return _rejected("additive", own, len(x), "numbers")
    found = cross_fit("additive", lambda _: AdditiveReference(), x, y, folds, model)
    found.inputs = "numbers"
    raw = sum(
        float(model.pointwise(x[folds == k], y[folds == k]).sum())
        for k, model in enumerate(found.models)
    )
    # The noise of densities from spacings lowers the bound by at most 1 / sqrt(n) per column.
    noise = max(x.shape[1], y.shape[1]) / math.sqrt(int((~out).sum()))
    lost = min(noise, max(0.0, raw / len(x) - found.evidence))
    found.evidence += lost
    found.value += lost
    return found


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
    views: dict[str, Pair],
    judged: list[Evidence],
    starts: list[Evidence],
    folds: Tensor,
    seed: int,
    device: str | torch.device,
) -> Evidence:
    """Fit a network without the first fold, and cross-validate it if the evidence increases."""
    copulas = [e for e in starts if e.name in ELLIPTICAL]
    start = max(copulas, key=lambda e: e.evidence, default=None)
    inputs = "both" if "both" in views else "columns"
    x, y = views[inputs]

    def fitted(fold: int) -> CorrectedReference:
        rows = folds != fold
        reference = start.models[fold] if start else GaussianReference()
        if not start:
            reference.fit(*(z[rows] for z in views.get("components", views["columns"])))
        return CorrectedReference(reference, seed=seed, device=device)

    out = folds == 0
    model = fitted(0)
    fit_without(model, x, y, out)
    own = held_out_information(model, x[out], y[out])
    gain, required = _gain(own, judged, out)
    # Without copula candidates, the network need not improve a copula.
    correction = model.gain_ if start else math.inf
    if min(gain, correction) < required:
        return _rejected("network", own, len(x), inputs)
    remaining = iter(range(1, int(folds.max()) + 1))
    found = cross_fit("network", lambda _: fitted(next(remaining)), x, y, folds, model)
    found.inputs = inputs
    return found


def _gain(own: Tensor, judged: list[Evidence], out: Tensor) -> tuple[float, float]:
    """Return a fold's increase of information over the best candidate, and the required one."""
    best = max(judged, key=lambda e: e.evidence)
    # Evidence may contain more than the mean pointwise information.
    gain = own - best.pointwise[out] - (best.evidence - float(best.pointwise.mean()))
    return float(gain.mean()), TOLERANCE + float(gain.std()) / math.sqrt(len(gain))


def _rejected(name: str, own: Tensor, n: int, inputs: str) -> Evidence:
    """Return a candidate that is not cross-validated, with the information of one fold."""
    value, unknown = float(own.mean()), torch.zeros(n, dtype=own.dtype)
    return Evidence(name, value, math.nan, value, -math.inf, unknown, inputs=inputs)


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
        same = best.inputs == e.inputs
        if same and best.log_density is not None and e.log_density is not None:
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


def _growth(judged: list[Evidence], value: float, views: dict[str, Pair], seed: int) -> float:
    """Return the difference between the estimate and an extrapolation from half the rows.

    Ranks do not resolve structure finer than the spacing of neighbouring rows.
    """
    used = [e for e in judged if e.weight]
    inputs = judged[0].inputs
    halves = _of_halves([e.name for e in used], views, seed, inputs)
    total = sum(e.weight * statistics.mean(halves.get(e.name, [e.value])) for e in used)
    return (value - total) / (math.sqrt(2) - 1) / Z_90


def _unresolved_by_rows(judged: list[Evidence], views: dict[str, Pair], seed: int) -> float:
    """Return the information that more rows would resolve.

    A mixture resolves edges and curves only with many components, and more rows allow more
    components. Spacings of sorted values also resolve edges better with more rows. The
    extrapolation assumes a bias proportional to 1 / sqrt(n).
    """
    used = [e for e in judged if e.name in SMOOTH and e.weight]
    if not used:
        return 0.0
    halves = _of_halves([e.name for e in used], views, seed)
    gains = {name: statistics.mean(values) for name, values in halves.items()}
    more = sum(e.weight * max(0.0, e.value - gains.get(e.name, e.value)) for e in used)
    return more / (math.sqrt(2) - 1)


def _of_halves(
    names: Sequence[str], views: dict[str, Pair], seed: int, inputs: str = "columns"
) -> dict[str, list[float]]:
    """Return the estimates from either half of the rows."""
    half = len(views[inputs][0]) // 2
    folds = deal_folds(torch.arange(half), 3, seed)
    values: dict[str, list[float]] = {}
    for rows in (slice(0, half), slice(half, 2 * half)):
        own = {name: (x[rows], y[rows]) for name, (x, y) in views.items()}
        left, right = own[inputs]
        own[inputs] = gaussianize_ranks(left), gaussianize_ranks(right)
        for e in _judge_references(own, names, folds, seed, inputs):
            values.setdefault(e.name, []).append(e.value)
    return values


def _standard_error(judged: list[Evidence], value: float, views: dict[str, Pair]) -> float:
    """Return the standard error due to sampling, bias and the spread of the candidates."""
    variance = 0.0
    for e in judged:
        if not e.weight:
            continue
        x, y = views[e.inputs]
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
