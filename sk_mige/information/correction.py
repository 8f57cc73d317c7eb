"""Neural network correction of the pointwise information of a reference density."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
from scipy.stats import chi2
from torch import Tensor, nn

from sk_mige._contexts import built_apart, isolated
from sk_mige.information._samples import check_pair
from sk_mige.information.directions import related_directions
from sk_mige.information.references import GaussianReference, Reference, pair_sums, whitener

N_HIDDEN, N_FEATURES, WEIGHT_DECAY = 128, 16, 1.0
# Variables with more columns are projected to canonical directions.
MAX_COLUMNS = 6
# Largest number of bump functions of the squared radius, and of features multiplied by bumps.
MAX_BUMPS, MAX_RADIAL = 8, 56
N_SHUFFLES = 10
# Factors of the correction to compare on held-out rows.
SCALES = (0.25, 0.5, 0.75, 1.0)
# Quantiles at which to clip the pointwise information, because networks extrapolate without limit.
# If x and y share only a class, the pointwise information is bounded.
CEILINGS = (0.999, 0.9, 0.5, 0.1)


class CorrectedReference(Reference):
    r"""Sum of the pointwise information of a reference density and a trained correction.

    The correction is :math:`g(x)^\top h(y) + a(x) + b(y)`. One network returns (g, a), and another
    network returns (h, b). Each network receives the coordinates, the squared radius, and products
    of the coordinates with bump functions of the squared radius. Inputs can be projected to the
    directions found by ``related_directions``. The projection applies to variables with more than
    six columns, if the reference uses more than six columns of x or y. The networks minimise the
    symmetric InfoNCE loss. All other rows of the batch are negatives.

    Parameters
    ----------
    reference : GaussianReference
        Reference density to correct, fitted to the rows that ``fit`` receives. The reference may
        use only the first columns of x and of y. The networks use all columns.
    n_epochs : int, default=15
        Number of passes over the rows.
    lr : float, default=6e-3
        Largest learning rate of the one-cycle schedule.
    seed : int, default=0
        Seed of the initial weights and the order of the batches.
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
        n_epochs: int = 15,
        lr: float = 6e-3,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.reference = reference
        self.n_epochs = n_epochs
        self.lr = lr
        self.seed = seed
        self.device = str(device)  # skops files cannot store a torch.device

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
        check_pair(x, y)
        with isolated(torch.device(self.device)):
            self._train(x, y)
        self.scale_, self.constant_, self.ceiling_ = 1.0, 0.0, math.inf
        own, *others = self.shuffled(x, y, range(N_SHUFFLES + 1))
        self._set_ceiling(own.quantile(CEILINGS[0]), torch.cat(others))
        return self

    def _train(self, x: Tensor, y: Tensor) -> None:
        """Train new networks."""
        with built_apart(self.seed):
            self.sides_ = [_Side(*maps).to(self.device) for maps in self._input_maps(x, y)]
        generator = torch.Generator().manual_seed(self.seed)
        size = min(512, max(32, len(x) // 13))
        known = [
            self.reference.coordinates(z).to(self.device, torch.float32)
            for z in self._of_reference(x, y)
        ]
        inputs = [*self._inputs(x, y), *known]
        networks = nn.ModuleList(self.sides_)
        settings = self.n_epochs, len(x), size, self.lr, WEIGHT_DECAY, generator
        for rows, _ in batches(networks, *settings):
            self._differentiate(*(z[rows] for z in inputs))

    def shuffled(self, x: Tensor, y: Tensor, shifts: Sequence[int]) -> Tensor:
        """Return the corrected pointwise information for each cyclic shift of the rows of y.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x.
        y : tensor of shape (n, q)
            Normal scores of y.
        shifts : sequence of int
            Shifts of the rows of y.

        Returns
        -------
        tensor of shape (n_shifts, n)
        """
        reference = self.reference.shuffled(*self._of_reference(x, y), shifts)
        total = reference + self.scale_ * self._corrections(x, y, shifts)
        return total.clamp_max(self.ceiling_) - self.constant_

    def calibrate(
        self, x: Tensor, y: Tensor, shifts: Sequence[int], evidence: Callable[[Tensor], float]
    ) -> None:
        """Choose the correction's factor and upper clipping bound by the evidence of held-out rows.

        Parameters
        ----------
        x : tensor of shape (n, p)
            Normal scores of x in held-out rows.
        y : tensor of shape (n, q)
            Normal scores of y.
        shifts : sequence of int
            Shifts of the rows of y.
        evidence : callable
            Function to maximise. The argument has the shape of a result of :meth:`shuffled`.
        """
        reference = self.reference.shuffled(*self._of_reference(x, y), shifts)
        corrections = self._corrections(x, y, shifts)
        best = uncorrected = -math.inf
        for scale in (0.0, *SCALES):
            total = reference + scale * corrections
            for ceiling in total[0].quantile(total.new_tensor(CEILINGS)):
                found = evidence(total.clamp_max(ceiling))
                if scale == 0:
                    uncorrected = max(uncorrected, found)
                elif found > best:
                    best, self.scale_ = found, scale
                    self._set_ceiling(ceiling, total[1:].flatten())
        # Clipping alone improves an overfitted reference, so the gain is relative to the clipped
        # reference.
        self.gain_ = best - uncorrected

    def _set_ceiling(self, ceiling: Tensor, others: Tensor) -> None:
        """Set the upper clipping bound and the log-normaliser.

        The normaliser is the mean exponential of the clipped values at shuffled rows.
        """
        self.ceiling_ = float(ceiling)
        clipped = others.clamp_max(self.ceiling_)
        self.constant_ = float(torch.logsumexp(clipped, 0)) - math.log(len(clipped))

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, with arrays in place of tensors and networks."""
        state = super().__getstate__()
        if "sides_" in state:
            state["sides_"] = [
                {name: value.cpu().numpy() for name, value in side.state_dict().items()}
                for side in self.sides_
            ]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the attributes, with networks on the CPU."""
        super().__setstate__({**state, "device": "cpu"})
        if "sides_" in state:
            stored = [
                {name: torch.from_numpy(np.array(value)) for name, value in side.items()}
                for side in state["sides_"]
            ]
            with built_apart(self.seed):
                self.sides_ = [_Side(side["whiten"], side["directions"]) for side in stored]
                for side, values in zip(self.sides_, stored, strict=True):
                    side.load_state_dict(values)

    def _of_reference(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the columns that the reference uses."""
        return x[:, : len(self.reference.whiten_x_)], y[:, : len(self.reference.whiten_y_)]

    def _corrections(self, x: Tensor, y: Tensor, shifts: Sequence[int]) -> Tensor:
        """Return the networks' correction for each cyclic shift of the rows of y, (n_shifts, n)."""
        with isolated(torch.device(self.device)), torch.no_grad():
            left, right = (side(z) for side, z in zip(self.sides_, self._inputs(x, y), strict=True))
        own = left[:, -1]
        rolled = (right.roll(shift, 0) for shift in shifts)
        found = [(left[:, :-1] * r[:, :-1]).sum(1) + own + r[:, -1] for r in rolled]
        return torch.stack(found).to("cpu", x.dtype)

    def _inputs(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """Return the inputs of both networks."""
        pair = (z.to(self.device, torch.float32) for z in (x, y))
        return [side.inputs(z) for side, z in zip(self.sides_, pair, strict=True)]

    def _input_maps(self, x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return a whitening matrix (d, d) and whitened directions (d, k) for each variable.

        For a variable of at most ``MAX_COLUMNS`` columns, both matrices are identity matrices. All
        matrices are identity matrices if the reference uses at most ``MAX_COLUMNS`` columns of each
        variable.
        """
        plain = [torch.eye(z.shape[1], dtype=z.dtype) for z in (x, y)]
        if max(z.shape[1] for z in self._of_reference(x, y)) <= MAX_COLUMNS:
            return [(identity, identity) for identity in plain]
        whiten = [whitener(torch.cov(z.mT).reshape(z.shape[1], -1))[0] for z in (x, y)]
        directions = related_directions(x @ whiten[0], y @ whiten[1]) or plain
        return [
            (identity, identity) if len(identity) <= MAX_COLUMNS else (white, axes)
            for identity, white, axes in zip(plain, whiten, directions, strict=True)
        ]

    def _differentiate(self, x: Tensor, y: Tensor, u: Tensor, v: Tensor) -> None:
        r"""Add the gradient of the symmetric InfoNCE loss of a batch to the networks' gradients.

        Let S be the matrix of pointwise information of all pairs. The loss is

        .. math:: \frac{1}{2 n} \sum_i \Bigl(\log \sum_j e^{S_{ij}} + \log \sum_j e^{S_{ji}}
            - 2 S_{ii}\Bigr) .

        Let R be the softmax of each row of S, and C the softmax of each column. The derivative of
        the loss with respect to S is (R + C - 2 I) / (2 n).
        """
        left, right = (side(z) for side, z in zip(self.sides_, (x, y), strict=True))
        correction = pair_sums(left[:, :-1], right[:, :-1], left[:, -1], right[:, -1])
        with torch.no_grad():
            scores = self.reference.matrix(u, v).add_(correction)
            slopes = scores.softmax(0).add_(scores.softmax(1))
            slopes.diagonal().sub_(2)
            slopes /= 2 * len(slopes)
        correction.backward(slopes)  # type: ignore[no-untyped-call]


def batches(
    network: nn.Module,
    n_epochs: int,
    n: int,
    size: int,
    lr: float,
    weight_decay: float,
    generator: torch.Generator,
) -> Iterator[tuple[Tensor, bool]]:
    """Yield the rows of each batch, and whether the batch is the first one of an epoch.

    The caller adds the gradients of each batch. AdamW then changes the parameters, with a one-cycle
    schedule.
    """
    per_epoch = max(1, n // size)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=lr, weight_decay=weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=n_epochs * per_epoch, pct_start=0.15
    )
    for _ in range(n_epochs):
        order = torch.randperm(n, generator=generator)
        for k, rows in enumerate(order[: per_epoch * size].view(per_epoch, -1)):
            optimizer.zero_grad()
            yield rows, k == 0
            optimizer.step()
            schedule.step()


class _Side(nn.Module):
    """Features of one variable: a linear map plus a network with two hidden layers."""

    whiten: Tensor
    directions: Tensor
    centres: Tensor
    widths: Tensor

    def __init__(self, whiten: Tensor, directions: Tensor) -> None:
        super().__init__()
        self.register_buffer("whiten", whiten.float())
        self.register_buffer("directions", directions.float())
        d, k = directions.shape
        self.d = d
        bumps = min(MAX_BUMPS, MAX_RADIAL // (k + 1))
        bumps = bumps if bumps > 2 else 0
        levels = torch.linspace(0.02, 0.98, max(bumps, 2), dtype=torch.float64)
        centres = torch.from_numpy(chi2.ppf(levels.numpy(), d)).float()
        self.register_buffer("centres", centres[:bumps])
        self.register_buffer("widths", torch.cat([centres.diff(), centres.diff()[-1:]])[:bumps])
        width = k + 1 + bumps * (k + 1)
        self.linear = nn.Linear(width, N_FEATURES + 1)
        self.hidden = nn.Sequential(
            nn.Linear(width, N_HIDDEN),
            nn.SiLU(),
            nn.Linear(N_HIDDEN, N_HIDDEN),
            nn.SiLU(),
            nn.Linear(N_HIDDEN, N_FEATURES + 1),
        )
        # Start from a small correction.
        with torch.no_grad():
            self.linear.weight.mul_(0.5)

    @torch.no_grad()
    def inputs(self, z: Tensor) -> Tensor:
        """Compute the inputs of the network from the normal scores of the variable."""
        white = z @ self.whiten
        radius = white.square().sum(1, keepdim=True)
        z = white @ self.directions
        bumps = torch.exp(-0.5 * ((radius - self.centres) / self.widths).square())
        gated = (bumps[:, :, None] * z[:, None, :]).flatten(1)
        return torch.cat([z, (radius - self.d) / math.sqrt(2 * self.d), bumps, gated], dim=1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs) + self.hidden(inputs)
