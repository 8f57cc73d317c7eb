"""Network that corrects the pointwise information of a reference density."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Self

import torch
from scipy.stats import chi2
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sk_mige.information.references import GaussianReference

__all__ = ["CorrectedReference"]

N_HIDDEN, N_FEATURES, WEIGHT_DECAY = 128, 16, 0.3
# Largest number of bumps over the squared radius, and of features gated by bumps.
MAX_BUMPS, MAX_RADIAL = 8, 56
N_SHUFFLES = 10
# Factors of the correction to compare on held-out rows.
SCALES = (0.25, 0.5, 0.75, 1.0)
# The pointwise information is clipped at this quantile of the training rows.
CEILING = 0.999


class CorrectedReference:
    r"""Pointwise information of a reference density plus a trained correction.

    The correction is :math:`g(x)^\top h(y) + a(x) + b(y)` with two networks (g, a) and (h, b).
    The inputs of a network are its coordinates and, in few dimensions, the coordinates times
    bumps over the squared radius. The networks minimise the symmetric InfoNCE loss. The
    negatives of a row are all other rows of the batch.

    Parameters
    ----------
    reference : GaussianReference
        Reference density to correct, fitted to the same rows.
    n_epochs : int, default=25
        Number of passes over the rows.
    lr : float, default=3e-3
        Largest learning rate of the one-cycle schedule.
    seed : int, default=0
        Seed of the initial weights and of the batches.
    device : str or torch.device, default="cpu"
        Device of the networks.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import CorrectedReference, GaussianReference
    >>> x, noise = torch.randn(2, 1000, 1, generator=torch.Generator().manual_seed(0)).double()
    >>> y = x.square() + noise  # uncorrelated
    >>> corrected = CorrectedReference(GaussianReference().fit(x, y)).fit(x, y)
    >>> bool(corrected.pointwise(x, y).mean() > 0.3)
    True
    """

    def __init__(
        self,
        reference: GaussianReference,
        n_epochs: int = 25,
        lr: float = 3e-3,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.reference = reference
        self.n_epochs = n_epochs
        self.lr = lr
        self.seed = seed
        self.device = device

    def fit(self, x: Tensor, y: Tensor) -> Self:
        """Train the networks.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.

        Returns
        -------
        self : CorrectedReference
            The fitted correction.
        """
        with torch.random.fork_rng():  # layers draw weights from the global generator
            torch.manual_seed(self.seed)
            sides = [_Side(z.shape[1]).to(self.device) for z in (x, y)]
        self.sides_ = nn.ModuleList(sides)
        generator = torch.Generator().manual_seed(self.seed)
        size = min(512, max(32, len(x) // 13))
        per_epoch = max(1, len(x) // size)
        optimizer = torch.optim.AdamW(
            self.sides_.parameters(), lr=self.lr, weight_decay=WEIGHT_DECAY
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.lr, total_steps=self.n_epochs * per_epoch, pct_start=0.15
        )
        for _ in range(self.n_epochs):
            order = torch.randperm(len(x), generator=generator)
            for rows in order[: per_epoch * size].view(per_epoch, -1):
                loss = self._loss(x[rows], y[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
        self.scale_, self.constant_, self.ceiling_ = 1.0, 0.0, math.inf
        # Far from the training rows the network extrapolates without limit.
        self.ceiling_ = float(self.pointwise(x, y).quantile(CEILING))
        others = torch.cat([self.pointwise(x, y.roll(s + 1, 0)) for s in range(N_SHUFFLES)])
        self.constant_ = float(torch.logsumexp(others, 0)) - math.log(len(others))
        return self

    @torch.no_grad()
    def pointwise(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the corrected pointwise information of rows.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.

        Returns
        -------
        tensor of shape (n,)
        """
        left, right = (
            side(z.to(self.device, torch.float32))
            for side, z in zip(self.sides_, (x, y), strict=True)
        )
        correction = (left[:, :-1] * right[:, :-1]).sum(1) + left[:, -1] + right[:, -1]
        total = self.reference.pointwise(x, y) + self.scale_ * correction.to("cpu", x.dtype)
        shifted: Tensor = (total - self.constant_).clamp_max(self.ceiling_)
        return shifted

    def calibrate(self, x: Tensor, y: Tensor, evidence: Callable[[Tensor, Tensor], float]) -> None:
        """Set the factor of the correction that maximises the evidence on held-out rows.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x, not used in fit.
        y : tensor of shape (n, q)
            Normal scores of y.
        evidence : callable
            Function of x and y to maximise.
        """
        tried = []
        for scale in SCALES:
            self.scale_ = scale
            tried.append(evidence(x, y))
        self.scale_ = SCALES[tried.index(max(tried))]

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the symmetric InfoNCE loss of a batch."""
        left, right = (
            side(z.to(self.device, torch.float32))
            for side, z in zip(self.sides_, (x, y), strict=True)
        )
        correction = left[:, :-1] @ right[:, :-1].mT + left[:, -1:] + right[:, -1]
        scores = correction + self.reference.matrix(x, y).to(correction)
        own = torch.arange(len(scores), device=scores.device)
        loss: Tensor = 0.5 * (cross_entropy(scores, own) + cross_entropy(scores.mT, own))
        return loss


class _Side(nn.Module):
    """Features of one variable: a linear map plus a network of two hidden layers."""

    centres: Tensor
    widths: Tensor

    def __init__(self, d: int) -> None:
        super().__init__()
        self.d = d
        bumps = min(MAX_BUMPS, MAX_RADIAL // (d + 1))
        bumps = bumps if bumps > 2 else 0
        levels = torch.linspace(0.02, 0.98, max(bumps, 2), dtype=torch.float64)
        centres = torch.from_numpy(chi2.ppf(levels.numpy(), d)).float()
        self.register_buffer("centres", centres[:bumps])
        self.register_buffer("widths", torch.cat([centres.diff(), centres.diff()[-1:]])[:bumps])
        width = d + 1 + bumps * (d + 1)
        self.linear = nn.Linear(width, N_FEATURES + 1)
        self.hidden = nn.Sequential(
            nn.Linear(width, N_HIDDEN),
            nn.SiLU(),
            nn.Linear(N_HIDDEN, N_HIDDEN),
            nn.SiLU(),
            nn.Linear(N_HIDDEN, N_FEATURES + 1),
        )
        # A small initial correction.
        with torch.no_grad():
            self.linear.weight.mul_(0.5)

    def forward(self, z: Tensor) -> Tensor:
        radius = z.square().sum(1, keepdim=True)
        bumps = torch.exp(-0.5 * ((radius - self.centres) / self.widths).square())
        gated = (bumps[:, :, None] * z[:, None, :]).flatten(1)
        inputs = torch.cat([z, (radius - self.d) / math.sqrt(2 * self.d), bumps, gated], dim=1)
        features: Tensor = self.linear(inputs) + self.hidden(inputs)
        return features
