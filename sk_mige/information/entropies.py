"""Gradients of sums of entropies, from samples and their derivatives."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sk_mige._warnings import warn_user
from sk_mige.information._samples import check_derivative, check_rows, check_same_length
from sk_mige.information.axes import independent_axes
from sk_mige.information.gradients import checked_scores
from sk_mige.information.margins import gaussianize_margins, gaussianize_ranks
from sk_mige.information.screening import MAX_PRODUCTS, least_of_columns
from sk_mige.information.whitened import confirmed_bandwidth, whitened_scores
from sk_mige.score import ScoreFunction
from sk_mige.score.units import feature_units

# Largest relative violation of linear relations by derivatives that rounding can cause.
COPIES = 1e-6
# Smallest fraction of exp(2 I) - 1 that scores must describe, and value of exp(2 I) - 1 above which
# scores are compared with neighbouring rows.
DESCRIBED, STRONG = 0.25, 0.5
# Terms of a sum of entropies: signs, and indices of the variables.
Entropies = list[tuple[int, list[int]]]


class Variable(NamedTuple):
    """Samples (n, d) of a variable, and derivatives (n, d, p), with p = 0 for a fixed variable."""

    name: str
    rows: Tensor
    moved: Tensor

    def at(self, rows: Tensor) -> Variable:
        """Return the given rows."""
        return self._replace(rows=self.rows[rows], moved=self.moved[rows])

    def columns(self, kept: list[int]) -> Variable:
        """Return the kept columns, and warn if derivatives of other columns disagree."""
        if len(kept) < self.rows.shape[1] and self.moved.shape[2]:
            _check_copies(self, kept)
        return self._replace(rows=self.rows[:, kept], moved=self.moved[:, kept])

    def gaussianized(self) -> Variable:
        """Return nearly Gaussian margins, on independent axes if any."""
        rows, moved = self.rows, self.moved
        axes = independent_axes(rows)
        if axes is not None:
            rows, moved = rows @ axes, torch.einsum("ndp,de->nep", moved, axes)
        rows, slope = gaussianize_margins(rows)
        return self._replace(rows=rows, moved=slope[..., None] * moved)


def read_variables(named: dict[str, tuple[Any, Any]]) -> tuple[list[Variable], bool]:
    """Validate samples and derivatives, and detect a parameter axis of the derivatives."""
    samples = {name: check_rows(name, values) for name, (values, _) in named.items()}
    check_same_length(samples)
    found, axes = [], {}
    for name, (values, derivative) in named.items():
        rows = samples[name]
        moved = rows.new_empty(*rows.shape, 0)
        if derivative is not None:
            moved, several = check_derivative(f"d{name}", derivative, values, rows)
            axes[f"d{name}"] = (moved.shape[2], several)
        found.append(Variable(name, rows, moved))
    if not axes:
        raise ValueError(
            f"at least one derivative of {', '.join(named)} must be given; got None for each"
        )
    if len(set(axes.values())) > 1:
        lengths = ", ".join(str(p) if several else "none" for p, several in axes.values())
        raise ValueError(
            f"{', '.join(axes)} must be derivatives with respect to the same parameters; got "
            f"parameter axes of lengths {lengths}: pass last axes of equal length, or none"
        )
    return found, any(several for _, several in axes.values())


def gradient_terms(
    variables: list[Variable],
    entropies: Entropies,
    margins: str | None,
    score: ScoreFunction | None,
) -> tuple[Tensor, ScoreFunction]:
    """Return the per-sample gradient terms (n, p), and the score function that was used."""
    if margins == "gaussian":
        variables = [variable.gaussianized() for variable in variables]
    if score is None:
        # All scores have the same bandwidth, so that their errors cancel.
        bandwidth = confirmed_bandwidth(torch.cat([v.rows for v in variables], dim=1))
        score = partial(whitened_scores, bandwidth_factor=bandwidth)
    terms: list[Tensor] = []
    for sign, members in entropies:
        used = [variables[k] for k in members]
        if not any(v.moved.shape[2] for v in used):
            continue
        scores = checked_scores(score, torch.cat([v.rows for v in used], dim=1))
        parts = torch.split(scores, [v.rows.shape[1] for v in used], dim=1)
        for v, own in zip(used, parts, strict=True):
            if v.moved.shape[2]:
                terms.append(-sign * torch.einsum("nd,ndp->np", own, v.moved))
    return torch.stack(terms).sum(0), score


def with_undescribed(
    error: Tensor, variables: list[Variable], margins: str | None, score: ScoreFunction
) -> Tensor:
    r"""Return the standard error, or infinity if scores describe little of the information.

    Let y be a coordinate of variance v, and x all other variables. The entropy of y is at most
    :math:`\tfrac12 \log 2 \pi e v`. By the inequalities of Stam and Jensen,

    .. math:: v\, \mathbb{E}\big[(\partial_y \log q(x, y))^2\big]
              \ge 2 \pi e v\; e^{-2 h(y | x)} \ge e^{2 I(x; y)} .

    Scores of a normal y that do not resolve an oscillation of y with x have a mean square near
    1 / v. Neighbouring rows give a lower bound of I(x; y)
    (:func:`~sk_mige.information.screening.least_information`). The error is infinite if v times
    the mean square, minus 1, is below a quarter of :math:`e^{2 I} - 1`.

    Parameters
    ----------
    error : tensor of shape (p,)
        Standard error of the gradient.
    variables : list of Variable
        All variables, without redundant columns.
    margins : {"gaussian", None}
        Map of the margins.
    score : callable
        Score function of the estimate.

    Returns
    -------
    tensor of shape (p,)
    """
    mapped = [v.gaussianized() if margins == "gaussian" else v for v in variables]
    # Copies of rows are neighbours of each other.
    rows = torch.unique(torch.cat([v.rows for v in mapped], dim=1), dim=0)
    z, (n, d) = gaussianize_ranks(rows), rows.shape
    if n <= 3 * d or n * d**2 > MAX_PRODUCTS:
        return error
    parts = list(torch.split(z, [v.rows.shape[1] for v in mapped], dim=1))
    strength = torch.zeros_like(z[0])
    for k, own in enumerate(torch.split(strength, [part.shape[1] for part in parts])):
        if mapped[k].moved.shape[2]:
            others = torch.cat([*parts[:k], *parts[k + 1 :]], dim=1)
            own.copy_(torch.expm1(2 * least_of_columns(others, parts[k], d**2)))
    if not bool((strength > STRONG).any()):
        return error
    # A score function of the caller can be valid for the original coordinates only.
    is_own = margins == "gaussian" or getattr(score, "func", None) is whitened_scores
    points = z if is_own else rows
    excess = points.var(0) * checked_scores(score, points).square().mean(0) - 1
    undescribed = (strength > STRONG) & (excess < DESCRIBED * strength)
    if not bool(undescribed.any()):
        return error
    least = 0.5 * float(strength[undescribed].max().log1p())
    warn_user(
        "the standard error is infinite, because neighbouring rows imply an information of at "
        f"least {least:.2f} nats, which the scores do not describe. The relation between "
        "the variables may oscillate, or successive rows may depend on each other. Pass more "
        "samples, or project the variables to fewer coordinates"
    )
    return torch.full_like(error, torch.inf)


def _check_copies(variable: Variable, kept: list[int]) -> None:
    r"""Warn if columns are linear combinations of kept columns but their derivatives are not.

    Let :math:`z_R = z_K B + c` for all parameters near θ. The derivatives satisfy :math:`\partial
    z_R = \partial z_K\, B + z_K\, \partial B + \partial c`.
    """
    name, z, dz = variable
    units = feature_units(z)
    z, dz = units(z), dz / units.scale[:, None]
    rest = [k for k in range(z.shape[1]) if k not in kept]
    design = torch.cat([z[:, kept], torch.ones_like(z[:, :1])], dim=1)
    weights = torch.linalg.lstsq(design, z[:, rest]).solution[:-1]
    moved = dz[:, rest] - torch.einsum("nkp,kr->nrp", dz[:, kept], weights)
    moved = moved.flatten(1)
    left = moved - design @ torch.linalg.lstsq(design, moved).solution
    if left.norm() > COPIES * dz.norm():
        warn_user(
            f"columns {rest} of {name} are linear combinations of other columns, but the "
            f"derivatives d{name} contradict this relation. The information may be discontinuous "
            "in the parameters, and the result is the gradient of the other columns alone. Check "
            "the derivatives"
        )
