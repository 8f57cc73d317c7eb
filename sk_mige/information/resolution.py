"""Intervals of an average of candidate estimates."""

from __future__ import annotations

import math
import statistics

import torch
from torch import Tensor

from sk_mige.information.comparison import (
    COPULAS,
    KSG_NEIGHBORS,
    MAX_NEIGHBOR_DIMENSIONS,
    Comparison,
    Pair,
    judge_references,
    ksg,
)
from sk_mige.information.elliptical import DEGREES
from sk_mige.information.evidence import Z_90, Evidence, deal_folds, shuffles
from sk_mige.information.margins import gaussianize_ranks

# Candidates that smooth the edges of a density.
SMOOTH = ("mixture", "neighbors")
# Number of cosines of each column, number of blocks of rows in a fold, and largest number of
# products of cosines.
N_COSINES, N_BLOCKS, MAX_PRODUCTS = 3, 8, 200_000
# Number of standard errors above which products of cosines are significant.
SIGNIFICANT = 3.0


def interval_of(found: Comparison, value: float) -> tuple[float, float]:
    """Return the 90 % interval of the weighted average of the candidates.

    Parameters
    ----------
    found : Comparison
        Candidates with weights.
    value : float
        Weighted average of the candidates' estimates, in nats.

    Returns
    -------
    tuple of float
        Lower and upper end in nats, at least 0.
    """
    judged, views, seed = found.judged, found.views, found.seed
    error, missing, edges = _standard_error(judged, value), 0.0, 0.0
    # The bias of an estimated radial law without an edge can have either sign.
    either = [
        e for e in judged if e.weight and (found.large or (_has_bins(e) and not _has_edge(e)))
    ]
    if either:
        gains = _gains_of_rows(either, views, seed, judged[0].inputs)
        error = math.hypot(error, sum(gains) / Z_90)
    if not found.large:
        missing = _unresolved_by_rows(judged, views, seed) + _unresolved_by_network(found)
        missing += sum(2 * e.weight * undescribed(e, found) for e in judged if e.weight)
        edges = _unresolved_by_neighbours(judged, views)
    value = max(value, 0.0)
    high = value + math.hypot(Z_90 * error, missing) + edges
    if judged[0].weight:
        high = max(high, upper_end_of_copulas(judged))
    return max(0.0, value - Z_90 * error), high


def upper_end_of_copulas(judged: list[Evidence]) -> float:
    """Return the largest upper end of the copulas' intervals, or 0 without copulas.

    With few rows per coordinate, copulas overfit. Independence, or a model of few columns, can then
    have the best evidence although the copulas describe more information.
    """
    copulas = [e for e in judged if e.name in COPULAS and math.isfinite(e.held_out)]
    ends = [e.value + Z_90 * _unconfirmed_by_copula(e) for e in copulas]
    return max(ends, default=0.0)


def _unconfirmed_by_copula(e: Evidence) -> float:
    """Return the error of an estimate between the in-sample and held-out means."""
    half = (e.in_sample - e.held_out) / 2
    return math.hypot(half / 2, half**2)


def _unresolved_by_rows(judged: list[Evidence], views: dict[str, Pair], seed: int) -> float:
    """Return the information that more rows would resolve.

    A mixture resolves edges and curves only with many components, and more rows allow more
    components. In many dimensions, the bias decreases slowly. Spacings of sorted values and the
    bins of a radial law also resolve edges better with more rows. For a mixture in few dimensions,
    nearest neighbours give a more accurate extrapolation.
    """
    few = _dimension(judged, views) <= MAX_NEIGHBOR_DIMENSIONS
    names = ("additive",) if few else ("mixture", "additive")
    used = [e for e in judged if e.weight and (e.name in names or _has_edge(e))]
    gains = _gains_of_rows(used, views, seed, slow=("mixture",)) if used else []
    return sum(max(0.0, gain) for gain in gains)


def _gains_of_rows(
    used: list[Evidence],
    views: dict[str, Pair],
    seed: int,
    inputs: str = "columns",
    slow: tuple[str, ...] = (),
) -> list[float]:
    """Return the weighted gain of each candidate from infinitely many rows.

    The gain is extrapolated from the mean of the estimates from each half of the rows, for a bias
    proportional to 1 / sqrt(n). Errors of the map of the columns and of the scatter matrix blur the
    edge of a radial law. The bias is then assumed proportional to n ** (-1 / 4). The bias of
    ``slow`` candidates is also assumed proportional to n ** (-1 / 4).
    """
    half = len(views[inputs][0]) // 2
    folds = deal_folds(torch.arange(half), 3, seed)
    values: dict[str, list[float]] = {}
    for rows in (slice(0, half), slice(half, 2 * half)):
        own = {name: (x[rows], y[rows]) for name, (x, y) in views.items()}
        left, right = own[inputs]
        own[inputs] = gaussianize_ranks(left), gaussianize_ranks(right)
        for e in judge_references(own, [e.name for e in used], folds, seed, inputs):
            values.setdefault(e.name, []).append(e.value)
    gains = (e.weight * (e.value - statistics.mean(values.get(e.name, [e.value]))) for e in used)
    powers = (0.25 if _has_edge(e) or e.name in slow else 0.5 for e in used)
    return [gain / (2**power - 1) for gain, power in zip(gains, powers, strict=True)]


def _has_bins(e: Evidence) -> bool:
    """Return whether the candidate is an elliptical copula with an estimated radial law."""
    return e.name == "elliptical" and bool(e.models) and e.models[0].n_bins_ > 1


def _has_edge(e: Evidence) -> bool:
    """Return whether the candidate is an elliptical copula whose density can have an edge."""
    return _has_bins(e) and bool(e.models[0].degrees_ == DEGREES[-1])


def _unresolved_by_neighbours(judged: list[Evidence], views: dict[str, Pair]) -> float:
    """Return the information at edges and on curves that the candidates do not resolve.

    The bias of nearest neighbours at an edge is proportional to the radius. In d dimensions, the
    radius of four times as many neighbours is larger by a factor of 4 ** (1 / d). The extrapolation
    is to a radius of 0.
    """
    used = [e for e in judged if (e.name in SMOOTH or _has_edge(e)) and e.weight]
    d = _dimension(judged, views)
    if not used or d > MAX_NEIGHBOR_DIMENSIONS:
        return 0.0
    x, y = views[used[0].inputs]
    ks = [k for k in KSG_NEIGHBORS if 4 * k < len(x)]
    if not ks:
        return 0.0
    fine, coarse = ksg(x, y, ks), ksg(x, y, [4 * k for k in ks])
    limit = fine + (fine - coarse) / (4 ** (1 / d) - 1)
    return sum(e.weight * max(0.0, limit - e.value) for e in used)


def _dimension(judged: list[Evidence], views: dict[str, Pair]) -> int:
    """Return the total number of columns of x and y."""
    return sum(z.shape[1] for z in views[judged[0].inputs])


def _unresolved_by_network(found: Comparison) -> float:
    """Return the information that a network trained with more rows would resolve.

    The held-out information of a network is a lower bound, which increases with the number of
    training rows. The increase from half of the rows is extrapolated with a bias of order
    n ** (-1 / 4). The bias of a function of several coordinates decreases more slowly than
    1 / sqrt(n).
    """
    e = found.judged[-1]
    if e.name != "network" or not e.weight:
        return 0.0
    limit = e.held_out + found.network_growth() / (2**0.25 - 1)
    return e.weight * max(0.0, limit - e.value)


def undescribed(e: Evidence, found: Comparison) -> float:
    r"""Return a significant part of the information that a candidate does not describe.

    Let f be the pointwise information of the candidate. Let :math:`\phi_k` be products of two
    cosines. The arguments are ranks of a column of x and ranks of a column of y. The norm of the
    rows is a further column of each variable. For the true f,

    .. math:: m_k = \mathbb{E}_{p(x, y)} \phi_k - \mathbb{E}_{p(x) p(y)} e^f \phi_k

    is zero. A correction of f by small multiples of uncorrelated products increases the
    information by :math:`\tfrac12 \sum_k m_k^2`. The square :math:`m_k^2` is estimated by the mean
    product of estimates of :math:`m_k` from different folds, so independent errors cancel. Products
    of the first cosines of columns are left out, because errors of estimated correlations are part
    of the standard error.

    Parameters
    ----------
    e : Evidence
        Candidate of the comparison.
    found : Comparison
        Candidates and coordinates.

    Returns
    -------
    float
        Information in nats. The result is 0 if the sum is not significant, or is not computed.
    """
    x, y = found.views["components" if e.inputs == "components" else "columns"]
    left, right = _cosines(x), _cosines(y)
    is_known = e.models and not e.models[0].memorises
    if not is_known or left[0].numel() * right[0].numel() > MAX_PRODUCTS:
        return 0.0
    estimates = []
    for fold, model in enumerate(e.models):
        out = found.folds == fold
        a, b, n = left[out].flatten(1), right[out].flatten(1), int(out.sum())
        _, *shifts = shuffles(n)
        f = model.shuffled(*(z[out] for z in found.views[e.inputs]), [0, *shifts])[1:]
        weights = n * f.flatten().softmax(0).view(f.shape)
        for rows in torch.arange(n).tensor_split(N_BLOCKS):
            total = a[rows].mT @ b[rows]
            for shift, own in zip(shifts, weights, strict=True):
                total -= (a[rows] * own[rows, None]).mT @ b.roll(shift, 0)[rows]
            total = total.view(*left.shape[1:], *right.shape[1:]) / len(x)
            total[0, :-1, 0, :-1] = 0
            estimates.append(total.flatten())
    products = torch.stack(estimates) @ torch.stack(estimates).mT
    fold_of = torch.arange(len(products)) // N_BLOCKS
    products *= fold_of[:, None] != fold_of
    information = 0.5 * float(products.sum()) / (1 - 1 / len(e.models))
    error = 0.5 * float((2 * products.square().sum()).sqrt()) / (1 - 1 / len(e.models))
    return information if information > SIGNIFICANT * error else 0.0


def _cosines(z: Tensor) -> Tensor:
    """Return cosines (n, N_COSINES, d + 1) of the ranks of the columns and of the radius."""
    z = torch.cat([z, gaussianize_ranks(z.square().sum(1, keepdim=True))], dim=1)
    frequencies = math.pi * torch.arange(1, N_COSINES + 1, dtype=z.dtype)
    cosines: Tensor = (frequencies[:, None] * torch.special.ndtr(z)[:, None]).cos()
    return math.sqrt(2) * cosines


def _standard_error(judged: list[Evidence], value: float) -> float:
    """Return the standard error due to sampling, bias and the spread of the candidates."""
    variance = 0.0
    for e in judged:
        if not e.weight:
            continue
        sampling = float(e.pointwise.std()) / math.sqrt(len(e.pointwise))
        # The bias is at most half the difference between in-sample and held-out means.
        unconfirmed = (e.in_sample - e.held_out) / 2
        if e.name in COPULAS and not _has_bins(e):
            unconfirmed = _unconfirmed_by_copula(e)
        if e.name == "network":
            # A network's resolution has no known bound, so the full difference of the means counts.
            unconfirmed *= 2
        if e.name == "neighbors":
            unconfirmed = e.value - e.evidence
        variance += e.weight * (sampling**2 + unconfirmed**2 + (e.value - value) ** 2)
    return math.sqrt(variance)
