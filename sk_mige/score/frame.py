"""What is settled before the kernel: choices, whitening, base, bandwidth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .base import RadialBase, fit_base
from .expansion import KernelExpansion
from .kernels import median_bandwidth, squared_distances
from .whitening import Whitening, identity_whitening, whitening

__all__ = ["ScoreSettings", "fit_frame", "frame_expansion"]


@dataclass(frozen=True)
class ScoreSettings:
    """What determines a fit; see :class:`sk_mige.SSGEScoreEstimator` for the meanings.

    Examples
    --------
    >>> from sk_mige.score import ScoreSettings
    >>> published = ScoreSettings(eigen_threshold=0.99, whiten=False, base=None)
    >>> published.truncates
    True
    """

    n_eigen: int | None = None
    eigen_threshold: float | None = None
    alpha: float | str = "auto"
    bandwidth: float | str = "median"
    whiten: bool = True
    shrinkage: float | str = "auto"
    base: str | None = "student"
    curl_free: bool = False
    bandwidth_factor: float = 1.0  # multiplies the median

    @property
    def truncates(self) -> bool:
        """Whether the spectrum is cut off."""
        return self.n_eigen is not None or self.eigen_threshold is not None

    @property
    def chooses_alpha(self) -> bool:
        """Whether the Tikhonov strength is chosen on held-out folds."""
        return self.alpha == "auto" and not self.truncates


def fit_frame(
    x: Tensor,
    settings: ScoreSettings,
    n_features: int | None = None,
    *,
    principal: bool = False,
) -> tuple[Whitening, RadialBase]:
    """Whitening and base, all that is estimated before the kernel.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples.
    settings : ScoreSettings
        Choices.
    n_features : int, default=None
        Dimension of the space of which x gives coordinates.
    principal : bool, default=False
        Whether those are principal components, see :func:`whitening`.

    Returns
    -------
    whitening : Whitening
    base : RadialBase
    """
    d = n_features or x.shape[1]
    if settings.whiten:
        white, radii = whitening(x, settings.shrinkage, d, principal=principal)
        return white, fit_base(settings.base, radii, d)
    white = identity_whitening(x, d)
    if settings.base is None:
        return white, fit_base(None, white.mean, d)
    squares = (x - white.mean).square().sum(1)
    variance = float(squares.mean()) / d or 1.0
    return white, fit_base(settings.base, squares / variance, d, variance)


def frame_expansion(
    x: Tensor,
    settings: ScoreSettings,
    *,
    centers: Tensor | None = None,
    projection: Tensor | None = None,
    n_features: int | None = None,
    principal: bool = False,
) -> tuple[KernelExpansion, Tensor]:
    """Expansion over the rows of x, or over other centres, and the Gram matrix of its centres.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Samples that determine whitening and base.
    settings : ScoreSettings
        Choices.
    centers : Tensor of shape (m, d), default=None
        Landmarks in input coordinates; the rows of x by default.
    projection : Tensor of shape (k, d), default=None
        Projection of the kernel's coordinates.
    n_features : int, default=None
        Dimension of the space of which x gives coordinates.
    principal : bool, default=False
        Whether those are principal components, see :func:`whitening`.

    Returns
    -------
    expansion : KernelExpansion
    gram : Tensor of shape (m, m)
    """
    white, base = fit_frame(x, settings, n_features, principal=principal)
    y = white(x if centers is None else centers)
    expansion = KernelExpansion(white, base, y, 1.0, projection, settings.curl_free)
    sq = squared_distances(expansion.kernel_coordinates(y))
    if isinstance(settings.bandwidth, str):
        sigma = settings.bandwidth_factor * float(median_bandwidth(sq))
    else:
        sigma = float(settings.bandwidth)
    if sq.dtype == torch.float32 and sq.device.type != "mps":
        sq = sq.to(torch.float64)  # the eigendecomposition's dtype
    gram = sq.div_(-2 * sigma**2).exp_()
    return replace(expansion, bandwidth=sigma), gram
