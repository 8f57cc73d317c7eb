"""Langevin dynamics along an estimated score, in the units of the samples' own covariance."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_mige.score.whitening import principal_axes

__all__ = ["langevin"]

# Chains this many times as far from the mean as the outermost centre have left the data, and
# where more than this share of them has, the user hears of it.
FAR, MANY = 2.0, 0.05


def langevin(
    score: Callable[[Tensor], Tensor],
    centers: Tensor,
    n_samples: int,
    n_steps: int,
    step_size: float,
    adjusted: bool,
    rng: np.random.RandomState,
) -> Tensor:
    r"""Chains that start at centres, of whose covariance :math:`C = L L^\top` steps are made.

    In coordinates of unit covariance a step of one size suits every direction, whatever the
    columns' scales and correlations; L suffices for it, its inverse is not needed, and chains
    never leave the plane of the centres. The reverse of a step with noise :math:`\xi` has the noise
    :math:`-\xi - \sqrt{\epsilon / 2}\, L^\top (\hat g(x) + \hat g(x'))`, and the gain in
    log-density along a step :math:`\Delta` is Simpson's

    .. math:: \tfrac16 \langle \hat g(x) + 4\, \hat g(x + \tfrac12 \Delta) + \hat g(x'),
              \Delta \rangle .

    By the ends alone it would err by the third power of the step, hence not at all for a Gaussian,
    but elsewhere by as much as the correction corrects.
    """
    root, inverse = _roots(centers)
    x = centers[torch.from_numpy(rng.randint(len(centers), size=n_samples)).to(centers.device)]
    drift = score(x)
    for _ in range(n_steps):
        noise = torch.from_numpy(rng.standard_normal((n_samples, root.shape[1]))).to(x)
        step = step_size * (drift @ root) + (2 * step_size) ** 0.5 * noise
        proposal = x + step @ root.mT
        there = score(proposal)
        if adjusted:
            both = (drift + there) @ root
            middle = score((x + proposal) / 2) @ root
            back = noise + (step_size / 2) ** 0.5 * both
            gain = ((both + 4 * middle) * step).sum(1) / 6
            forth = noise.square().sum(1) / 2 - back.square().sum(1) / 2
            uniform = torch.from_numpy(rng.uniform(size=n_samples)).to(x)
            accept = (uniform.log() < gain + forth)[:, None]
            x, drift = torch.where(accept, proposal, x), torch.where(accept, there, drift)
        else:
            x, drift = proposal, there
    _check_confined(x, centers, inverse, adjusted)
    return x


def _roots(centers: Tensor) -> tuple[Tensor, Tensor]:
    """L (d, r), and of the same shape the pseudo-inverse's transpose."""
    points = centers.to(torch.float64)
    centred = points - points.mean(0)
    deviation = centred.square().mean(0).sqrt()
    # Columns of unit variance first: eigenvalues of the covariance itself would be lost to
    # rounding beside those of columns in much larger units.
    varies = deviation > 1e-12 * points.abs().amax(0)
    unit = torch.where(varies, deviation, 1.0)
    values, vectors = principal_axes(torch.where(varies, centred / unit, 0.0))
    kept = values > 1e-13 * values[-1]
    roots, vectors = values[kept].sqrt(), vectors[:, kept]
    root, inverse = unit[:, None] * vectors * roots, vectors / roots / unit[:, None]
    return root.to(centers), inverse.to(centers)


def _check_confined(x: Tensor, centers: Tensor, inverse: Tensor, adjusted: bool) -> None:
    """Refuse chains that diverged, and warn of those that an estimate lets go."""
    advice: Any = "a smaller step_size" if adjusted else "adjusted=True, or a smaller step_size"
    if not bool(x.isfinite().all()):
        raise ValueError(f"the chains of sample diverged: its steps are too long; use {advice}")
    mean = centers.mean(0)
    radii, reach = (((p - mean) @ inverse).square().sum(1) for p in (x, centers))
    # The outermost of a handful of centres is nearer than a Gaussian's farthest samples are.
    d = inverse.shape[1]
    farthest = max(float(reach.max()), d + 3 * (2 * d) ** 0.5)
    share = float((radii > FAR**2 * farthest).double().mean())
    if share > MANY:
        warnings.warn(
            f"{share:.0%} of the chains of sample have left the data, where the estimate does "
            f"not hold them back: use {advice}, fewer n_steps, or an estimator with a base",
            UserWarning,
            stacklevel=4,
        )
