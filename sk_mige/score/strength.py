"""Strength of Tikhonov's regularisation, chosen on samples that are held out."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from .basis import SpectralBasis, kernel_basis, spectral_basis
from .expansion import KernelExpansion
from .filters import ALPHAS
from .folds import N_FOLDS
from .frame import ScoreSettings, frame_expansion
from .paths import path_losses
from .repeats import sample_folds
from .selection import select_candidate
from .sums import KernelSums, kernel_sums
from .sweep import Rows, SectionSweep

__all__ = ["choose_alpha", "choose_alpha_of_sums", "dense_problem", "loss_units"]

MIN_SAMPLES_TO_CHOOSE = 12  # below, folds are too small to say anything
FALLBACK_ALPHA = 0.1
# Up to this many rows a feature the kernel part is small beside the base, and half of the rows
# choose its strength as well as two thirds do, at half the price.
FEW_ROWS = 4


def choose_alpha(
    x: Tensor,
    settings: ScoreSettings,
    projection: Tensor | None,
    n_features: int,
    rows: Tensor,
) -> float:
    """Strength with the least Hyvärinen loss over folds, whitening and base refitted in each.

    Of whitened samples it is the loss in the features' standard units, see :func:`loss_units`.

    Parameters
    ----------
    x : Tensor of shape (n, r)
        Samples, in the coordinates of the fit.
    settings : ScoreSettings
        Choices, the bandwidth a number.
    projection : Tensor of shape (k, r) or None
        Projection of the kernel's coordinates.
    n_features : int
        Dimension of the space of which x gives coordinates.
    rows : Tensor of shape (n, n_features)
        Samples as they came, by which equal ones are told.

    Returns
    -------
    float
    """
    if len(x) < MIN_SAMPLES_TO_CHOOSE:
        return FALLBACK_ALPHA
    few = len(x) <= FEW_ROWS * n_features
    losses, units = [], loss_units(x, settings, n_features)
    standard = x if units is None else x / units
    part = sample_folds(standard, 2 * N_FOLDS if few else N_FOLDS, rows)
    for k in range(N_FOLDS):
        held, kept = part == k, part != k
        if few:
            held, left_out = part // 2 == k, (2 * k + 3) % (2 * N_FOLDS)
            kept = ~held & (part != left_out)
        train, held_out = x[kept], x[held]
        expansion, gram = frame_expansion(
            train, settings, projection=projection, n_features=n_features
        )
        expansion = replace(expansion, units=units)
        losses.append(_held_out_losses(expansion, gram, train, held_out))
    return _best_alpha(losses)


def loss_units(x: Tensor, settings: ScoreSettings, n_features: int) -> Tensor | None:
    """Units in which candidates are compared: standard deviations of the features.

    In input coordinates the feature with the smallest unit would decide alone. Where the kernel's
    distances are in input coordinates, and where fewer samples than features are given by
    coordinates in their span, so are losses: None.
    """
    if not settings.whiten or len(x) <= n_features:
        return None
    deviation = x.to(torch.float64).std(0, correction=0)
    return torch.where(deviation > 0, deviation, 1.0).to(x)


def choose_alpha_of_sums(
    expansion: KernelExpansion,
    kernel: SpectralBasis,
    fold_sums: list[KernelSums],
    total: KernelSums,
) -> float:
    """Strength with the least Hyvärinen loss over folds of which the sums are known.

    Parameters
    ----------
    expansion : KernelExpansion
        What the sums were taken over.
    kernel : SpectralBasis
        Of the centres' Gram matrix.
    fold_sums : list of KernelSums
        Sums of each fold.
    total : KernelSums
        Their sum.

    Returns
    -------
    float
    """
    if total.n_samples < MIN_SAMPLES_TO_CHOOSE:
        return FALLBACK_ALPHA
    losses, units = [], _units_of_coefficients(expansion)
    for held_out in fold_sums:
        if 0 < held_out.n_samples < total.n_samples:
            train = total - held_out
            basis = spectral_basis(kernel, train.fit[0])
            filters = _alpha_filters(basis, train.n_samples * expansion.operator_trace)
            losses.append(path_losses(basis, train.fit[1], filters, held_out, units))
    return _best_alpha(losses)


def dense_problem(
    expansion: KernelExpansion, x: Tensor, gram: Tensor
) -> tuple[SpectralBasis, KernelSums]:
    """Basis and sums at the centres themselves; A = K² stays unformed for the score itself."""
    sums = kernel_sums(expansion, x, quadratic=expansion.curl_free, gram=gram, purpose="fit")
    basis = kernel_basis(gram)
    return (spectral_basis(basis, sums.fit[0]) if expansion.curl_free else basis), sums


def _held_out_losses(
    expansion: KernelExpansion, gram: Tensor, train: Tensor, held_out: Tensor
) -> Tensor:
    """Loss of every strength on held-out rows, fitted to the training rows as centres."""
    if expansion.curl_free or expansion.projection is not None:
        basis, sums = dense_problem(expansion, train, gram)
        filters = _alpha_filters(basis, len(train) * expansion.operator_trace)
        measured = kernel_sums(expansion, held_out, purpose="loss")
        units = _units_of_coefficients(expansion)
        return path_losses(basis, sums.fit[1], filters, measured, units)
    white, bases = expansion.whitening, [expansion.base]
    rows = Rows(white, train, bases, expansion.units, y=expansion.centers)
    held = Rows(white, held_out, bases, expansion.units)
    basis = kernel_basis(gram)
    sweep = SectionSweep(rows, held, expansion.bandwidth, gram, expansion.gram(held.y), basis)
    return sweep.losses(0, _alpha_filters(basis, len(train)))[0]


def _units_of_coefficients(expansion: KernelExpansion) -> Tensor | None:
    """Units of the components of sections' coefficients; those of potentials have none."""
    return None if expansion.curl_free else expansion.units


def _alpha_filters(basis: SpectralBasis, n_samples: float) -> Tensor:
    alphas = torch.tensor(ALPHAS, dtype=basis.values.dtype, device=basis.values.device)
    return (basis.values + n_samples * alphas[:, None]).reciprocal()


def _best_alpha(losses: list[Tensor]) -> float:
    """Strength chosen from each fold's losses; the stronger it is, the smaller the bound."""
    table = torch.stack(losses)
    bounds = -torch.arange(len(ALPHAS)).expand(len(losses), -1)
    # Three folds are few: the kernel part has to earn its place beside the base, the last column.
    return ALPHAS[select_candidate(table, bounds.to(table), table[:, -1:])]
