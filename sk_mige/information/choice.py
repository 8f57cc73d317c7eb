"""Cross-validated selection among estimates of mutual information."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sk_mige._contexts import on_cpu
from sk_mige.information._samples import check_pair
from sk_mige.information.axes import independent_columns
from sk_mige.information.comparison import (
    MAX_MIXTURE_DIMENSIONS,
    MAX_NEIGHBOR_DIMENSIONS,
    MIN_NEIGHBOR_ROWS,
    MIN_NETWORK_DIMENSIONS,
    TOLERANCE,
    Comparison,
    Pair,
    weigh,
)
from sk_mige.information.correction import MAX_COLUMNS
from sk_mige.information.evidence import Evidence, deal_folds
from sk_mige.information.resolution import interval_of, upper_end_of_copulas
from sk_mige.information.screening import ColumnsReference, detectable_information, related_columns

CANDIDATES = ("gaussian", "elliptical", "mixture", "neighbors", "additive", "network")


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
    inputs : str, default="columns"
        Coordinates that ``columns`` refers to: "columns" or "components".

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import choose_information
    >>> x, noise = torch.randn(2, 300, 1, generator=torch.Generator().manual_seed(0)).double()
    >>> chosen = choose_information(x, x + noise, ("gaussian", "elliptical"))
    >>> low, high = chosen.interval
    >>> bool(low < chosen.value < high)
    True
    """

    value: float
    interval: tuple[float, float]
    candidates: list[Evidence]
    columns: tuple[list[int], list[int]] | None = None
    inputs: str = "columns"

    def selected(self, views: dict[str, Pair]) -> Pair:
        """Return the columns or components that the candidates with positive weight use."""
        x, y = views[self.inputs]
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


@on_cpu()
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
        Candidates to compare. The default is "gaussian", "elliptical", "mixture", "neighbors",
        "additive" and "network". Candidates that do not apply are skipped. With p + q = d columns,
        "neighbors" needs d ≤ 4 and 20 rows, "mixture" d ≤ 40 and "network" d ≥ 3.
    components : tuple of two tensors, default=None
        Normal scores of independent components of x and y. A copula uses the columns or the
        components, whichever has the larger evidence. One network receives the columns and corrects
        a copula of the columns. Another network receives the components and corrects a copula of
        the components. If x and y have at most six components each, the second network also
        receives the columns. The network with the larger held-out information in the first fold is
        used. All candidates use the components if the held-out information with components exceeds
        log(n) / 2.
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

    Raises
    ------
    ValueError
        If a candidate is unknown, no candidate applies to x and y, or x and y are not valid.

    Notes
    -----
    The in-sample mean of the pointwise information is biased upwards, and the held-out mean is
    biased downwards. The two biases have the same size to first order in 1 / n, where n is the
    number of training rows of a fold. For a parametric family that contains the true density, each
    bias is m / (2 n) nats. Here m is the number of parameters, without the parameters of the
    marginal densities of x and y. For a Gaussian copula, m is p q. With d = p + q columns, the
    biases of a Gaussian copula are, to the next order, about

    .. math:: \frac{pq}{2n} \Big(1 + \frac{d}{2n}\Big)
              \quad\text{and}\quad -\frac{pq}{2n} \Big(1 + \frac{5d}{2n}\Big) .

    The estimate of a candidate is therefore the in-sample mean minus the fraction :math:`\tfrac12
    (1 - d / n)` of the difference between the two means. For "additive", the fraction is 1/2. For
    "neighbors", the estimate is that of KSG.

    With few rows per column, the held-out means of copulas can be negative. If a test of canonical
    correlations is significant, independence is not used. The width of the interval includes the
    sampling error, the difference between in-sample and held-out means, and the spread of the
    candidates.

    With more than four columns in total, columns and components are tested for relations other than
    those of a Gaussian copula. The candidates are also fitted to the few significant columns alone,
    and to the few significant components alone. The result for the few columns or components is
    used if their held-out information is larger in the first fold. The upper end of the interval is
    then at least that of each copula of all columns.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import choose_information, gaussianize_ranks
    >>> x, noise = torch.randn(2, 2000, 1, generator=torch.Generator().manual_seed(1)).double()
    >>> y = 0.8 * x + 0.6 * noise  # I = -log 0.6 = 0.51 nats
    >>> chosen = choose_information(
    ...     gaussianize_ranks(x), gaussianize_ranks(y), ("gaussian", "elliptical")
    ... )
    >>> bool(abs(chosen.value - 0.51) < 0.05)
    True
    """
    check_pair(x, y)
    candidates = (candidates,) if isinstance(candidates, str) else tuple(candidates)
    if not set(candidates) <= set(CANDIDATES):
        raise ValueError(f"candidates must be some of {list(CANDIDATES)}; got {candidates!r}")
    if folds is None:
        folds = deal_folds(torch.arange(len(x)), 3, seed)
    views = coordinates(x.detach(), y.detach(), components, numbers)
    # Parts and shifts of the rows are samples of all rows only if the rows have a random order.
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    rest = candidates, folds[order], seed, device
    ordered = {name: (left[order], right[order]) for name, (left, right) in views.items()}
    whole, part = Comparison(ordered, *rest), _Part()
    if not (whole.judged[1:] or whole.has_network):  # the first candidate is independence
        raise ValueError(
            f"no candidate of {candidates!r} applies to {x.shape[1]} + {y.shape[1]} columns and "
            f"{len(x)} rows: 'neighbors' needs at most {MAX_NEIGHBOR_DIMENSIONS} columns and at "
            f"least {MIN_NEIGHBOR_ROWS} rows, 'mixture' at most {MAX_MIXTURE_DIMENSIONS} columns, "
            f"'network' at least {MIN_NETWORK_DIMENSIONS} columns, and 'additive' numbers. Add "
            "'gaussian' to the candidates"
        )
    whole.fit_first_network()
    best = whole
    is_wide = x.shape[1] + y.shape[1] > MAX_NEIGHBOR_DIMENSIONS
    related = _related_parts(views, seed) if is_wide else []
    parts = [*related, *(_independent_part(views) if whole.large else [])]
    few = [(Comparison(p.of(ordered), *rest), p) for p in parts if not p.has_all(views)]
    few.sort(key=lambda pair: pair[0].first_fold())
    unused = [e for found, p in few[:-1] for e in p.named(found.judged)]
    for found, other in few[-1:]:
        found.fit_first_network()
        if found.first_fold() > best.first_fold() + TOLERANCE:
            unused += part.named(best.judged)
            best, part = found, other
        else:
            unused += other.named(found.judged)
    best.cross_validate_network()
    weigh(best.judged, *best.views["columns"])
    value = sum(e.weight * e.value for e in best.judged if e.weight)
    low, high = interval_of(best, value)
    value = max(value, 0.0)
    if best is not whole:
        high = max(high, upper_end_of_copulas(whole.judged))
    if is_wide and not related:
        # A relation that is not significant may exist.
        high = max(high, value + detectable_information(len(x), x.shape[1], y.shape[1]))
    judged = [*unused, *part.named(best.judged)]
    for e in judged:
        e.pointwise = e.pointwise[order.argsort()]
        e.log_density = None if e.log_density is None else e.log_density[order.argsort()]
    return ChosenInformation(value, (low, high), judged, part.columns, part.inputs)


@dataclass
class _Part:
    """Subset of the columns or components of x and y. The default is all columns."""

    inputs: str = "columns"
    columns: tuple[list[int], list[int]] | None = None

    def of(self, views: dict[str, Pair]) -> dict[str, Pair]:
        """Return the views of the part."""
        assert self.columns is not None
        left, right = self.columns
        own = {"columns": views[self.inputs]}
        if self.inputs == "columns" and "numbers" in views:
            own["numbers"] = views["numbers"]
        return {name: (x[:, left], y[:, right]) for name, (x, y) in own.items()}

    def has_all(self, views: dict[str, Pair]) -> bool:
        """Return whether the part consists of all columns or components."""
        widths = zip(self.columns or (), views[self.inputs], strict=True)
        return all(len(own) == z.shape[1] for own, z in widths)

    def named(self, judged: list[Evidence]) -> list[Evidence]:
        """Rename the candidates of the part, and wrap their models to use only the part."""
        if self.columns is not None:
            for e in judged:
                e.name += f" of few {self.inputs}"
                e.models = [ColumnsReference(model, *self.columns) for model in e.models]
                e.inputs = self.inputs if e.inputs == "columns" else e.inputs
        return judged


def _related_parts(views: dict[str, Pair], seed: int) -> list[_Part]:
    """Return the columns and the components with significant relations, if any."""
    found = (
        _Part(name, related_columns(*views[name], seed))
        for name in ("columns", "components")
        if name in views
    )
    return [part for part in found if part.columns is not None]


def _independent_part(views: dict[str, Pair]) -> list[_Part]:
    """Return the part without linear combinations of columns, which have no joint density."""
    if "numbers" not in views:
        return []
    left, right = (independent_columns(z) for z in views["numbers"])
    return [_Part(columns=(left, right))]


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
