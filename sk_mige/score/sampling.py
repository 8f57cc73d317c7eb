"""Langevin dynamics along an estimated score, in units of the covariance of the samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sk_mige._warnings import warn_user

from .units import feature_units
from .whitening import principal_axes

__all__ = ["langevin"]

# A chain has left the data if its distance from the mean is FAR times that of the outermost centre.
# A fraction of such chains above MANY causes a warning.
FAR, MANY = 2.0, 0.05


def langevin(
    score: Callable[[Tensor], Tensor],
    centers: Tensor,
    n_samples: int,
    n_steps: int,
    step_size: float,
    adjusted: bool,
    rng: Any,
) -> Tensor:
    r"""Run Langevin chains that start at centres, with steps in the centres' covariance.

    Steps are scaled by the covariance :math:`C = L L^\top` of the centres. One step size thus suits
    all scales and correlations of the columns. Chains stay in the subspace of the centres. Columns
    are brought to units of variance 1, so that the same noise gives the same chains in any units.

    A step with noise :math:`\xi` is reversed by a step with the noise
    :math:`-\xi - \sqrt{\epsilon / 2}\, L^\top (\hat g(x) + \hat g(x'))`. The gain in log-density
    along a step :math:`\Delta` is computed by Simpson's rule,

    .. math:: \tfrac16 \langle \hat g(x) + 4\, \hat g(x + \tfrac12 \Delta) + \hat g(x'),
              \Delta \rangle .

    The error of the trapezoidal rule is of third order in the step. For densities other than the
    Gaussian it would be as large as the correction by acceptance.

    Parameters
    ----------
    score : callable
        Function that returns scores (n, d) at points (n, d).
    centers : Tensor of shape (m, d)
        Starting points.
    n_samples : int
        Number of chains.
    n_steps : int
        Number of steps of each chain.
    step_size : float
        Step size ε.
    adjusted : bool
        Whether to accept or reject each step.
    rng : numpy.random.RandomState
        Source of starting points and noise.

    Returns
    -------
    Tensor of shape (n_samples, d)
    """
    units = feature_units(centers)
    centers = units(centers)
    axes, root, inverse = _roots(centers)

    def drift_at(z: Tensor) -> Tensor:
        return score(units.inverse(z)) * units.scale

    x = centers[torch.from_numpy(rng.randint(len(centers), size=n_samples)).to(centers.device)]
    drift = drift_at(x)
    for _ in range(n_steps):
        # Drawn in the coordinates of the columns, because principal axes have arbitrary signs.
        noise = torch.from_numpy(rng.standard_normal((n_samples, len(axes)))).to(x) @ axes
        step = step_size * (drift @ root) + (2 * step_size) ** 0.5 * noise
        proposal = x + step @ root.mT
        there = drift_at(proposal)
        if adjusted:
            both = (drift + there) @ root
            middle = drift_at((x + proposal) / 2) @ root
            back = noise + (step_size / 2) ** 0.5 * both
            gain = ((both + 4 * middle) * step).sum(1) / 6
            forth = noise.square().sum(1) / 2 - back.square().sum(1) / 2
            uniform = torch.from_numpy(rng.uniform(size=n_samples)).to(x)
            accept = (uniform.log() < gain + forth)[:, None]
            x, drift = torch.where(accept, proposal, x), torch.where(accept, there, drift)
        else:
            x, drift = proposal, there
    _check_confined(x, centers, inverse, adjusted)
    return units.inverse(x)


def _roots(centers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return principal axes (d, r), the root L, and the transpose of its pseudo-inverse."""
    values, vectors = principal_axes(centers - centers.mean(0))
    kept = values > 1e-13 * values[-1]
    roots, vectors = values[kept].sqrt(), vectors[:, kept]
    return vectors, vectors * roots, vectors / roots


def _check_confined(x: Tensor, centers: Tensor, inverse: Tensor, adjusted: bool) -> None:
    """Raise if a chain is not finite, and warn if many chains have left the data."""
    advice = "a smaller step_size" if adjusted else "adjusted=True or a smaller step_size"
    if not bool(x.isfinite().all()):
        raise ValueError(
            f"the chains of sample diverged, because its steps are too long; use {advice}"
        )
    mean = centers.mean(0)
    radii, reach = (((p - mean) @ inverse).square().sum(1) for p in (x, centers))
    # The outermost of few centres is closer to the mean than the farthest samples of a Gaussian.
    d = inverse.shape[1]
    farthest = max(float(reach.max()), d + 3 * (2 * d) ** 0.5)
    share = float((radii > FAR**2 * farthest).double().mean())
    if share > MANY:
        warn_user(
            f"{share:.0%} of the chains of sample have left the data, where the estimated score "
            f"does not bring them back; use {advice}, fewer n_steps, or an estimator with a base"
        )
