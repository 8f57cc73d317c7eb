"""Langevin dynamics along an estimated score, with steps scaled by the centres' covariance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_mige._warnings import warn_user

from .groups import nearest_group
from .kernels import neighbour_squares, squares_and_norms
from .model import ScoreModel
from .units import feature_units
from .whitening import principal_axes

# Fraction of the centres inside the radius at which the correction starts to decrease.
INNER = 0.95
# A chain has left the data if its log-density is too far below the centres' maximum. The limit is
# DEEP times the range of the centres' log-densities. Without a base, the log-density is constant
# far from the data. A chain has then also left the data if the distance to the nearest centre
# exceeds FAR times the largest nearest-neighbour distance of the centres. A warning is given if a
# fraction of the chains above MANY left the data or never moved.
DEEP, FAR, MANY = 4.0, 2.0, 0.05
# Steps with adjusted=False are too long in two cases: their acceptance rate would be below RARELY,
# or the variance of the chains exceeds WIDER times that of the centres.
RARELY, WIDER = 0.4, 1.5
# Acceptance rates of suggested steps with adjusted=True and with adjusted=False.
OFTEN, ALWAYS = 0.6, 0.9
# Number of centres at which suggested steps are tried.
TRIED = 256


def confined_score(model: ScoreModel) -> Callable[[Tensor], Tensor]:
    r"""Return the score of a model, with the correction to the base set to zero outside the data.

    With a wide kernel, the correction extends far beyond the samples. In many dimensions, most of
    the space is far from the samples, and chains would not return to the data. Let r be the
    distance from the mean in whitened coordinates. The correction is multiplied by the factor

    .. math:: \min\left(1, \max\left(0, \frac{r_1 - r}{r_1 - r_0}\right)\right) .

    The radius :math:`r_0` is the 95 % quantile of the centres' radii, and :math:`r_1` is the
    largest radius. The square :math:`r_1^2` is at least the mean of :math:`r^2` for a Gaussian plus
    three standard deviations. Without a base, the score is not changed.
    """
    base, alone = model.expansion.base, model.base_alone
    d = model.expansion.whitening.n_features
    radii = model.expansion.centers.square().sum(1).sqrt()
    usual = (base.variance * (d + 3 * (2 * d) ** 0.5)) ** 0.5
    start, end = float(radii.quantile(INNER)), max(float(radii.max()), usual)
    width = max(end - start, 1e-9 * end)

    def score(x: Tensor) -> Tensor:
        if base.dof is None:
            return model.score(x).to(x)
        share = ((end - model.radii(x)) / width).clamp(0, 1)[:, None]
        mixed = share * model.score(x) + (1 - share) * alone.score(x)
        return mixed.to(x)

    return score


def langevin(
    score: Callable[[Tensor], Tensor],
    centers: Tensor,
    n_samples: int,
    n_steps: int,
    step_size: float,
    adjusted: bool,
    rng: Any,
    *,
    log_density: Callable[[Tensor], Tensor],
    has_base: bool = False,
) -> Tensor:
    r"""Run Langevin chains from the centres, with steps scaled by the centres' covariance.

    Steps are scaled by the covariance :math:`C = L L^\top` of the centres. One step size suits all
    scales and correlations of the columns. Chains stay in the subspace of the centres. Columns are
    scaled to variance 1, so that the chains do not depend on the units of the columns.

    Let :math:`\hat g` be the estimated score. A step from x to x' with noise :math:`\xi` is
    reversed by a step with the noise :math:`-\xi - \sqrt{\epsilon / 2}\, L^\top (\hat g(x) +
    \hat g(x'))`. The increase in log-density along the step :math:`\Delta = x' - x` is computed by
    Simpson's rule,

    .. math:: \tfrac16 \langle \hat g(x) + 4\, \hat g(x + \tfrac12 \Delta) + \hat g(x'),
              \Delta \rangle .

    The error of the trapezoidal rule would be as large as the bias that the Metropolis rule
    removes.

    The samples determine the relative weights of separate groups, but the score does not. An error
    of the score in a gap changes the ratio of the densities on both sides. With ``adjusted=True``,
    a step to another of the :func:`~sk_mige.score.groups.separate_groups` of the centres is
    rejected. The share of each group is then that of the starting points.

    Parameters
    ----------
    score : callable
        Function that returns scores (n, d) at points (n, d).
    centers : Tensor of shape (m, d)
        Starting points.
    n_samples : int
        Number of chains.
    n_steps : int
        Number of steps of each chain, at least 1.
    step_size : float
        Step size ε.
    adjusted : bool
        Whether to accept or reject each step.
    rng : numpy.random.RandomState
        Source of starting points and noise.
    log_density : callable
        Function that returns log-densities (n,) at points (n, d), up to a constant. The log-density
        is only used to find chains that have left the data.
    has_base : bool, default=False
        Whether the score has a base. With a base, chains far from the data return to the data.

    Returns
    -------
    Tensor of shape (n_samples, d)
    """
    units = feature_units(centers)
    centers = units(centers)
    axes, root, inverse = _roots(centers)
    steps = _Steps(lambda z: score(units.inverse(z)) * units.scale, axes, root)
    x = centers[torch.from_numpy(rng.randint(len(centers), size=n_samples)).to(centers.device)]
    drift = steps.drift(x)
    group = nearest_group(centers)
    start = group(x)
    accepted = torch.zeros(n_samples, dtype=torch.float64, device=x.device)
    for number in range(n_steps):
        proposal, there, log_ratio = steps.propose(
            x, drift, step_size, rng, judged=adjusted or number == n_steps - 1
        )
        if adjusted:
            uniform = torch.from_numpy(rng.uniform(size=n_samples)).to(x)
            accept = (uniform.log() < log_ratio) & (group(proposal) == start)
            accepted += accept
            x = torch.where(accept[:, None], proposal, x)
            drift = torch.where(accept[:, None], there, drift)
        else:
            x, drift = proposal, there
    if not bool(x.isfinite().all()):
        raise ValueError(
            f"the chains of sample diverged, because step_size={step_size:g} is too long; use "
            f"{_shorter(adjusted)}"
        )
    lost = log_density(units.inverse(x)) < _lowest(log_density(units.inverse(centers)), axes)
    if not has_base:
        lost = lost | _are_far(x @ inverse, centers @ inverse)
    confined = _check_confined(float(lost.double().mean()), adjusted, has_base)
    if adjusted:
        _check_moved(accepted, n_steps, step_size, steps, centers)
    else:
        spread = ((x - centers.mean(0)) @ inverse).square().mean(1)
        if confined and _are_biased(log_ratio, spread):
            warn_user(
                f"step_size={step_size:g} is too long for sample with adjusted=False: the chains "
                f"do not have the estimated density. Their variance is {float(spread.mean()):.2g} "
                f"times that of the data, and the Metropolis rule would accept "
                f"{_acceptance(log_ratio):.0%} of the steps. Use adjusted=True, or "
                f"{steps.advice(centers, step_size, ALWAYS)}"
            )
        _check_long(n_steps, step_size, 1.0)
    return units.inverse(x)


@dataclass(frozen=True)
class _Steps:
    """Langevin steps for principal axes (d, r) and a root L (d, r) of the covariance."""

    drift: Callable[[Tensor], Tensor]
    axes: Tensor
    root: Tensor

    def propose(
        self, x: Tensor, drift: Tensor, step_size: float, rng: Any, *, judged: bool = True
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return proposals, drifts at the proposals and, if ``judged``, log acceptance ratios."""
        # Noise is drawn in column coordinates, because principal axes have arbitrary signs.
        noise = torch.from_numpy(rng.standard_normal((len(x), len(self.axes)))).to(x) @ self.axes
        step = step_size * (drift @ self.root) + (2 * step_size) ** 0.5 * noise
        proposal = x + step @ self.root.mT
        there = self.drift(proposal)
        if not judged:
            return proposal, there, step[:, 0]
        both = (drift + there) @ self.root
        middle = self.drift((x + proposal) / 2) @ self.root
        back = noise + (step_size / 2) ** 0.5 * both
        gain = ((both + 4 * middle) * step).sum(1) / 6
        forth = noise.square().sum(1) / 2 - back.square().sum(1) / 2
        return proposal, there, gain + forth

    def advice(self, centers: Tensor, step_size: float, wanted: float = OFTEN) -> str:
        """Return text that suggests a shorter step with the wanted acceptance rate."""
        x = centers[:: max(1, len(centers) // TRIED)]
        drift = self.drift(x)
        for _ in range(60):
            step_size = float(f"{step_size / 2:.1g}")
            *_, log_ratio = self.propose(x, drift, step_size, np.random.RandomState(0))
            rate = _acceptance(log_ratio)
            if rate >= wanted:
                return f"step_size={step_size:g}, whose acceptance rate is about {rate:.2g}"
        return "a smaller step_size"


def _acceptance(log_ratio: Tensor) -> float:
    """Return the mean acceptance probability of the steps."""
    return float(log_ratio.clamp_max(0).exp().nan_to_num(0.0).mean())


def _roots(centers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return principal axes (d, r), the root L, and the transpose of its pseudo-inverse."""
    values, vectors = principal_axes(centers - centers.mean(0))
    kept = values > 1e-13 * values[-1]
    roots, vectors = values[kept].sqrt(), vectors[:, kept]
    return vectors, vectors * roots, vectors / roots


def _shorter(adjusted: bool) -> str:
    """Return advice on shorter steps, for an error message."""
    return "a smaller step_size" if adjusted else "adjusted=True or a smaller step_size"


def _check_confined(share: float, adjusted: bool, has_base: bool) -> bool:
    """Warn and return False if many chains have left the data."""
    if share > MANY:
        # Without a base, the score is zero far from the data, for every step size.
        remedy = _shorter(adjusted) if has_base else "fewer n_steps, or an estimator with a base"
        warn_user(
            f"{share:.0%} of the chains of sample have left the data for regions of much lower "
            "density. The estimated score does not return the chains to the data. Use "
            f"{remedy}"
        )
    return share <= MANY


def _lowest(log_density: Tensor, axes: Tensor) -> float:
    """Return the log-density below which a chain has left the data.

    All centres may have a high density if there are few centres or many dimensions. The limit is
    therefore at least three standard deviations below the mean log-density of a Gaussian.
    """
    d = axes.shape[1]
    usual = float(log_density.max()) - d / 2 - 3 * math.sqrt(d / 2)
    highest, lowest = float(log_density.max()), min(float(log_density.min()), usual)
    return highest - DEEP * (highest - lowest)


def _are_far(x: Tensor, centers: Tensor) -> Tensor:
    """Return a mask (n,) of points that are far from all centres."""
    return squares_and_norms(x, centers)[0].amin(1) > FAR**2 * neighbour_squares(centers).max()


def _check_moved(
    accepted: Tensor, n_steps: int, step_size: float, steps: _Steps, centers: Tensor
) -> None:
    """Raise ValueError if no chain moved. Warn if many never moved, or if chains are too short."""
    rate, still = float(accepted.mean()) / n_steps, float((accepted == 0).double().mean())
    cause = f"step_size={step_size:g} is too long, with an acceptance rate of {rate:.2g}"
    if still == 1.0:
        raise ValueError(
            f"all chains of sample are still at their starting points, because {cause};"
            f" use {steps.advice(centers, step_size)}"
        )
    if still > MANY:
        warn_user(
            f"{still:.0%} of the chains of sample are still at their starting points, "
            f"because {cause}; use {steps.advice(centers, step_size)}"
        )
    else:
        _check_long(n_steps, step_size, rate)


def _are_biased(log_ratio: Tensor, spread: Tensor) -> bool:
    """Return whether steps would rarely be accepted, or the chains' variance is too large."""
    noise = float(spread.std()) / len(spread) ** 0.5 if len(spread) > 1 else float("inf")
    return _acceptance(log_ratio) < RARELY or float(spread.mean()) - 3 * noise > WIDER


def _check_long(n_steps: int, step_size: float, rate: float) -> None:
    """Warn if the chains are shorter than the mixing time of a Gaussian."""
    duration = n_steps * step_size * rate
    if duration < 1:
        wanted = float(f"{1.05 / (step_size * rate):.2g}")
        warn_user(
            "the chains of sample are too short to be independent of their starting points. "
            f"n_steps={n_steps} is too small for step_size={step_size:g} and an acceptance rate of "
            f"{rate:.2g}. Use n_steps={wanted:.0f} or more, or a larger step_size"
        )
