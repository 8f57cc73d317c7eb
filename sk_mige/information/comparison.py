"""Cross-validation of candidate estimates of the information between x and y."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from scipy.special import chdtrc
from torch import Tensor

from sk_mige.information.additive import AdditiveReference
from sk_mige.information.axes import independent_columns
from sk_mige.information.correction import CorrectedReference
from sk_mige.information.elliptical import EllipticalReference
from sk_mige.information.evidence import (
    LARGE,
    Evidence,
    cross_fit,
    fitted_information,
    set_weights,
)
from sk_mige.information.neighbours import NeighbourReference, ksg_terms
from sk_mige.information.references import (
    GaussianReference,
    MixtureReference,
    Reference,
)

COPULAS = ("gaussian", "elliptical")
# Largest total dimension of x and y for nearest neighbours, and smallest number of rows.
MAX_NEIGHBOR_DIMENSIONS, MIN_NEIGHBOR_ROWS = 4, 20
# Largest total dimension for mixtures, whose covariances have many parameters.
MAX_MIXTURE_DIMENSIONS = 40
# In two dimensions, neighbours and mixtures suffice without a network.
MIN_NETWORK_DIMENSIONS = 3
KSG_NEIGHBORS, SMOOTH_NEIGHBORS = (3, 5, 10), (5, 10, 20)
# Differences in evidence below 0.01 nats are treated as noise.
TOLERANCE = 0.01
# Level of the test of correlations.
LEVEL = 0.001

Pair = tuple[Tensor, Tensor]


class Comparison:
    """Candidate estimates of the information between x and y, in given coordinates.

    All candidates except the network are cross-validated, unless the first fold shows that a
    candidate is not useful. :meth:`fit_first_network` fits the network without the first fold, and
    :meth:`cross_validate_network` without the other folds.

    Parameters
    ----------
    views : dict of pairs of tensors
        Coordinates of x and y, by the name in ``Evidence.inputs``.
    candidates : sequence of str
        Names of the candidates.
    folds : tensor of shape (n,)
        Fold of each row.
    seed : int
        Seed of the mixture's initial centres and of the network's initial weights.
    device : str or torch.device
        Device of the networks.

    Attributes
    ----------
    judged : list of Evidence
        Candidates.
    large : bool
        Whether the information is too large for an estimate of the normaliser from shuffled rows.
    """

    def __init__(
        self,
        views: dict[str, Pair],
        candidates: Sequence[str],
        folds: Tensor,
        seed: int,
        device: str | torch.device,
    ) -> None:
        self.views, self.folds, self.seed, self.device = views, folds, seed, device
        x, y = views["columns"]
        judged = starts = of_columns = judge_references(views, candidates, folds, seed)
        least = LARGE * math.log(len(x))
        if "components" in views:
            names = [name for name in candidates if name in COPULAS] or candidates
            starts = judge_references(views, names, folds, seed, "components")
            if max(e.held_out for e in starts) > least:
                # The components have a larger density than the columns.
                judged = judge_references(views, candidates, folds, seed, "components")
            else:
                others = {e.name: e for e in starts}
                judged = [max(e, others.get(e.name, e), key=lambda e: e.evidence) for e in judged]
        self.judged = judged
        # Copulas for the networks to correct, by the networks' inputs.
        self.starts = {"columns": _best_copula(of_columns)}
        if starts is not of_columns:
            self.starts["both"] = _best_copula(starts)
        self.network: CorrectedReference | None = None
        self.large = max(e.held_out for e in judged if math.isfinite(e.evidence)) > least
        if self.large:
            for e in judged:
                # Log-densities of columns and of components are not comparable.
                known = e.inputs == "numbers" and judged[0].inputs == "components"
                density = None if known else e.log_density
                e.evidence = -math.inf if density is None else float(density.mean())
        is_allowed = "network" in candidates and x.shape[1] + y.shape[1] >= MIN_NETWORK_DIMENSIONS
        self.has_network = is_allowed and not self.large

    def fit_first_network(self) -> None:
        """Fit the network without the first fold, if ``has_network``.

        If there are components, a second network receives them. The network with the larger
        held-out information is used.
        """
        if not self.has_network:
            return
        out = self.folds == 0
        fits = []
        for inputs in self.starts:
            x, y = self.views[inputs]
            model = self._network(0, inputs)
            fits.append((fitted_information(model, x, y, out), model, inputs))
        own, model, self.inputs = max(fits, key=lambda fit: float(fit[0].mean()))
        gain, required = _gain(own, self.judged, out)
        # Without copula candidates, the network need not improve a copula.
        correction = model.gain_ if self.starts[self.inputs] else math.inf
        self.judged.append(_rejected("network", own, len(out), self.inputs))
        if min(gain, correction) >= required:
            self.network, self.first_information = model, own

    def first_fold(self) -> float:
        """Return the held-out information of the best candidate, in the first fold."""
        out = self.folds == 0
        best = max(self.judged, key=lambda e: e.evidence)
        known = float(best.pointwise[out].mean())
        if not self.large:
            known += best.evidence - float(best.pointwise.mean())
        return known if self.network is None else float(self.first_information.mean())

    def cross_validate_network(self) -> None:
        """Cross-validate the network in the other folds, if it was better in the first fold."""
        if self.network is None:
            return
        self.judged[-1] = cross_fit(
            "network",
            lambda fold, _: self._network(fold, self.inputs),
            self.views,
            self.inputs,
            self.folds,
            first=self.network,
        )

    def network_growth(self) -> float:
        """Return the increase of the network's information from half to all training rows.

        The information is evaluated on the held-out rows of the first fold.
        """
        out = self.folds == 0
        kept = out | (torch.arange(len(out)) % 2 == 0)
        x, y = self.views[self.inputs]
        model = self._network(0, self.inputs)
        of_half = fitted_information(model, x[kept], y[kept], out[kept])
        return float((self.first_information - of_half).mean())

    def _network(self, fold: int, inputs: str) -> CorrectedReference:
        """Return an unfitted correction of a copula of the rows outside the fold."""
        start = self.starts[inputs]
        if start:
            reference = start.models[fold]
        else:
            pair = self.views["columns" if inputs == "columns" else "components"]
            reference = GaussianReference().fit(*(z[self.folds != fold] for z in pair))
        return CorrectedReference(reference, seed=self.seed, device=self.device)


def _best_copula(judged: list[Evidence]) -> Evidence | None:
    copulas = [e for e in judged if e.name in COPULAS]
    return max(copulas, key=lambda e: e.evidence, default=None)


def judge_references(
    views: dict[str, Pair],
    candidates: Sequence[str],
    folds: Tensor,
    seed: int,
    inputs: str = "columns",
) -> list[Evidence]:
    """Cross-validate all candidates except the network."""
    x, y = views[inputs]
    d = x.shape[1] + y.shape[1]
    zeros = torch.zeros(len(x), dtype=x.dtype)
    judged = [Evidence("independent", 0.0, 0.0, 0.0, 0.0, zeros, inputs=inputs)]
    # The first fold selects degrees of freedom, shrinkage, and numbers of bins and of components.
    makers: dict[str, Callable[[int, Any], Reference]] = {
        "gaussian": lambda *_: GaussianReference(),
        "elliptical": lambda _, first: EllipticalReference(
            first and first.degrees_, first and first.n_bins_
        ),
        "mixture": lambda _, first: MixtureReference(
            first and len(first.means_), seed, first.shrinkage_ if first else 0
        ),
    }
    for name, make in makers.items():
        if name in candidates and (name != "mixture" or d <= MAX_MIXTURE_DIMENSIONS):
            judged.append(cross_fit(name, make, views, inputs, folds))
    has_neighbours = d <= MAX_NEIGHBOR_DIMENSIONS and len(x) >= MIN_NEIGHBOR_ROWS
    if "neighbors" in candidates and has_neighbours:
        judged.append(_judge_neighbours(views, inputs, judged, folds))
    if "additive" in candidates and "numbers" in views:
        judged.append(_judge_additive(views, judged, folds))
    return judged


def _judge_additive(views: dict[str, Pair], judged: list[Evidence], folds: Tensor) -> Evidence:
    """Fit a regression without the first fold, and cross-validate it if the evidence increases."""
    x, y = views["numbers"]
    out = folds == folds.min()
    model = AdditiveReference()
    own = fitted_information(model, x, y, out)
    gain, required = _gain(own, judged, out)
    if gain < required:
        return _rejected("additive", own, len(x), "numbers")
    found = cross_fit("additive", lambda *_: AdditiveReference(), views, "numbers", folds, model)
    if any(len(independent_columns(z)) < z.shape[1] for z in (x, y)):
        found.log_density = None  # not comparable with densities of all columns
    raw = sum(
        float(model.pointwise(x[folds == k], y[folds == k]).sum())
        for k, model in enumerate(found.models)
    )
    # The noise of densities from spacings lowers the bound by at most 1 / sqrt(n) per column.
    noise = max(x.shape[1], y.shape[1]) / math.sqrt(int((~out).sum()))
    lost = min(noise, max(0.0, raw / len(x) - found.evidence))
    found.evidence += lost
    # Insignificant weights are zero, so a regression has fewer parameters than a copula.
    found.value = (found.in_sample + found.held_out) / 2 + lost
    return found


def _judge_neighbours(
    views: dict[str, Pair], inputs: str, judged: list[Evidence], folds: Tensor
) -> Evidence:
    """Fit neighbours without the first fold, and cross-validate unless the evidence is low.

    The first fold selects the number of neighbours.
    """
    x, y = views[inputs]
    out = folds == folds.min()
    fits = {}
    for k in SMOOTH_NEIGHBORS:
        if k <= len(x) // 4:
            model = NeighbourReference(k)
            fits[k] = fitted_information(model, x, y, out), model
    # A neighbour count k has relative variance 1 / k, which lowers the bound by 1 / (2 k).
    best = max(fits, key=lambda k: float(fits[k][0].mean()) + 0.5 / k)
    own, model = fits[best]
    gain, required = _gain(own + 0.5 / best, judged, out)
    if gain < -required:
        return _rejected("neighbors", own, len(x), inputs)
    found = cross_fit("neighbors", lambda *_: NeighbourReference(best), views, inputs, folds, model)
    found.evidence += 0.5 / best
    found.value = ksg(x, y)
    return found


def _gain(own: Tensor, judged: list[Evidence], out: Tensor) -> tuple[float, float]:
    """Return the increase over the best candidate in one fold, and the required increase."""
    best = max(judged, key=lambda e: e.evidence)
    # Evidence may contain more than the mean pointwise information.
    gain = own - best.pointwise[out] - (best.evidence - float(best.pointwise.mean()))
    return float(gain.mean()), TOLERANCE + float(gain.std()) / math.sqrt(len(gain))


def _rejected(name: str, own: Tensor, n: int, inputs: str) -> Evidence:
    """Return a candidate that is not cross-validated, with the information of one fold."""
    value, unknown = float(own.mean()), torch.zeros(n, dtype=own.dtype)
    return Evidence(name, value, math.nan, value, -math.inf, unknown, inputs=inputs)


def ksg(x: Tensor, y: Tensor, numbers: Sequence[int] = KSG_NEIGHBORS) -> float:
    """Return the mean of KSG estimates with the numbers of neighbours below the number of rows."""
    ks = [k for k in numbers if k < len(x)]
    return sum(float(ksg_terms(x, y, k).mean()) for k in ks) / len(ks)


def weigh(judged: list[Evidence], x: Tensor, y: Tensor) -> None:
    """Set the weights of the candidates.

    With few rows per column, copulas overfit, and their evidence can be below that of independence.
    If correlations are significant, the weight of independence is nevertheless 0.
    """
    if any(e.name in COPULAS for e in judged) and _are_correlated(x, y):
        judged[0].evidence = -math.inf
    set_weights(judged, TOLERANCE)


def _are_correlated(x: Tensor, y: Tensor) -> bool:
    """Return whether Bartlett's test of canonical correlations is significant.

    The test is not valid with fewer than three rows per column.
    """
    p, q = x.shape[1], y.shape[1]
    if len(x) < 3 * (p + q):
        return False
    statistic = (2 * len(x) - p - q - 3) * GaussianReference().fit(x, y).information_
    return bool(chdtrc(p * q, float(statistic)) < LEVEL)
