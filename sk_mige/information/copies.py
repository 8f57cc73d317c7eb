"""Mutual information between the codes of two incomplete copies of each sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from sk_mige.score.whitening import fit_whitening, principal_axes

# Candidate factors of the correlations. The factor with the best held-out value is used. Few
# samples in many dimensions need small factors.
FACTORS = (0.999, 0.98, 0.9, 0.7, 0.4, 0.0)
# Smallest variance of a principal component of standardised codes, relative to the largest.
SMALLEST_VARIANCE = 1e-6
# Smaller variances of standardised codes are squares of rounding errors.
ROUNDING = 1e-24
# Smallest number of rows whose copies can be compared. Small sets of rows are copied several times,
# up to about ENOUGH_COPIES copies in all, to reduce the noise of the random copies.
FEWEST_PAIRS = 4
ENOUGH_COPIES = 2000
# Seed of the missing values. Rows that a user draws with a small seed would depend on the missing
# values if both had the same seed.
SEED = 20_200_426
# Largest number of values that are read or encoded at once.
PART_VALUES = 2**21


def information_of_copies(
    encode: Callable[[Tensor], Tensor], parts: Iterable[Tensor], n: int, *, shuffled: bool = False
) -> float:
    """Return the mutual information between the codes of two incomplete copies of each row.

    The copies are the same in each call. Up to 666 rows, the correlations are estimated from min(n,
    2000 // n) copies of each row instead of two. A value is in two copies with probability ¼. A
    linear code of standardised columns, with weights of unit norm, has the correlation λ / (1 + λ)
    between two copies. Here λ is the variance of the code, which is 1 for independent columns.

    For independent columns, all canonical correlations are at most ½, also for nonlinear codes. The
    two copies of a column have the maximal correlation ½, and pairs of copies of different columns
    are independent. The maximal correlation of independent pairs is the largest maximal correlation
    of a single pair (Witsenhausen 1975). The information of many rows is therefore at most ½
    log(4/3) = 0.144 nats for each code.

    Parameters
    ----------
    encode : callable
        Function that maps rows (m, d) to codes (m, K) on the CPU.
    parts : iterable of tensors of shape (m, d)
        Consecutive parts of the rows. The missing values of a copy are the column means of the
        part.
    n : int
        Number of rows in all parts, at least 4.
    shuffled : bool, default=False
        If True, each copy is compared with a copy of another row.

    Returns
    -------
    float
        Information in nats, at least 0.

    Examples
    --------
    The first half of the columns repeats the second half:

    >>> import torch
    >>> from sk_mige.information.copies import information_of_copies
    >>> x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0)).repeat(1, 2)
    >>> round(information_of_copies(lambda rows: rows, [x], len(x)), 1)
    0.6
    >>> round(information_of_copies(lambda rows: rows, [x], len(x), shuffled=True), 1)
    0.0
    """
    if n < FEWEST_PAIRS:
        raise ValueError(
            f"at least {FEWEST_PAIRS} rows of X are needed to compare incomplete copies of rows, "
            f"got {n}: pass more rows, or a larger validation_fraction"
        )
    n_copies = max(2, min(n, ENOUGH_COPIES // n))
    generator = torch.Generator().manual_seed(SEED)
    encoded = [_codes_of_copies(encode, rows, n_copies, generator) for rows in parts]
    codes = torch.cat(encoded, 1).reshape(n_copies, n, -1)
    if shuffled:
        other = other_rows(n)
        for copy in range(1, n_copies):  # all copies that are compared are of different rows
            codes[copy:] = codes[copy:, other]
    return shared_information(codes)


def _codes_of_copies(
    encode: Callable[[Tensor], Tensor], rows: Tensor, n_copies: int, generator: torch.Generator
) -> Tensor:
    """Return the codes (n_copies, n, K) of incomplete copies of n rows, in few passes."""
    at_once = max(1, PART_VALUES // max(1, rows.numel()))
    counts = [min(at_once, n_copies - done) for done in range(0, n_copies, at_once)]
    codes = [
        encode(torch.cat([incomplete_copy(rows, generator) for _ in range(count)]))
        for count in counts
    ]
    return torch.cat(codes).reshape(n_copies, len(rows), -1)


def incomplete_copy(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Return rows (n, d), each value replaced by the mean of the column with probability ½.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.copies import incomplete_copy
    >>> incomplete_copy(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), torch.Generator().manual_seed(0))
    tensor([[1., 4.],
            [3., 6.]])
    """
    kept = torch.rand(rows.shape, generator=generator, dtype=torch.float32, device="cpu") < 0.5
    return torch.where(kept.to(rows.device), rows, rows.mean(0))


def other_rows(n: int) -> Tensor:
    """Return a fixed permutation of n rows that leaves no row in place.

    Examples
    --------
    >>> from sk_mige.information.copies import other_rows
    >>> import torch
    >>> bool((other_rows(50) == torch.arange(50)).any())
    False
    """
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0), device="cpu")
    return order.roll(1)[order.argsort()]  # the next row of a random cycle


def shared_information(copies: Tensor) -> float:
    r"""Held-out Gaussian mutual information between the codes of two copies of each sample.

    The code of copy j of sample i is :math:`u_i + e_{ij}`, where u has the covariance B and e the
    covariance W. Let :math:`\rho_k` be the canonical correlations between two copies, which are the
    eigenvalues of :math:`(B + W)^{-1} B` for training samples. Let :math:`r_k` be the correlations
    of the same canonical coordinates on held-out samples. The value is the mean log-likelihood
    ratio of a dependent and an independent Gaussian on the held-out samples. Both Gaussians have
    the variances of the held-out coordinates:

    .. math:: \sum_{k=1}^K \Big[ -\tfrac12 \log(1 - \rho_k^2)
              + \frac{\rho_k (r_k - \rho_k)}{1 - \rho_k^2} \Big]
              \le -\tfrac12 \sum_{k=1}^K \log(1 - r_k^2)

    Every second sample is a training sample. The two sets of samples then exchange roles, and the
    two values are averaged. For each half, the correlations are multiplied by the factor from 0 to
    0.999 that gives the largest value. The means and the contrasts of the m copies of a sample are
    independent Gaussians with the covariances B + W / m and W. The shrinkage of both covariances
    maximises their leave-one-out likelihood (:func:`sk_mige.score.whitening`). Directions in which
    the codes do not vary are left out. For many samples and exchangeable Gaussian codes, the value
    is nearly the mutual information between the codes. For few samples, the value is smaller.

    Parameters
    ----------
    copies : tensor of shape (m, n, K)
        Codes of m copies of n samples, with m at least two and n at least four.

    Returns
    -------
    float
        Information in nats, at least 0. Constant codes give 0. Codes that are not finite give NaN.

    Examples
    --------
    Two copies with correlation 0.8 have the mutual information -½ log(1 - 0.8²) = 0.51 nats:

    >>> import torch
    >>> from sk_mige.information.copies import shared_information
    >>> x, noise = torch.randn(2, 4000, 1, generator=torch.Generator().manual_seed(0))
    >>> round(shared_information(torch.stack([x, 0.8 * x + 0.6 * noise])), 1)
    0.5
    """
    flat = copies.detach().double().flatten(0, 1)
    if not bool(flat.isfinite().all()):
        return math.nan
    largest = flat.abs().amax(0)
    flat = flat / torch.where(largest > 0, largest, 1.0)  # squares neither overflow nor vanish
    centred, scale = flat - flat.mean(0), flat.std(0)
    varies = scale > 1e-12
    if not bool(varies.any()):
        return 0.0
    codes = centred[:, varies] / scale[varies]
    codes = (codes @ _basis(codes)).reshape(*copies.shape[:2], -1)
    even, odd = codes[:, ::2], codes[:, 1::2]
    return 0.5 * (_held_out(even, odd) + _held_out(odd, even))


def _basis(codes: Tensor) -> Tensor:
    """Return a random orthonormal basis (K, r) of the directions in which codes vary."""
    variances, axes = principal_axes(codes)
    axes = axes[:, variances > SMALLEST_VARIANCE * variances[-1]]
    # The principal axes of all rows would depend on the held-out rows.
    seeded = torch.Generator().manual_seed(0)
    mix = torch.randn(axes.shape, generator=seeded, dtype=axes.dtype, device="cpu")
    return torch.linalg.qr(axes @ (axes.mT @ mix))[0]


def _held_out(train: Tensor, test: Tensor) -> float:
    """Return the mean log-likelihood ratio of test rows, with axes from training rows."""
    correlations, axes = _canonical(train - train.mean((0, 1)))
    coordinates = test @ axes
    coordinates = coordinates - coordinates.mean((0, 1))
    # The mean over pairs of copies follows from the sum of the copies.
    m, squares = len(test), coordinates.square().mean((0, 1))
    products = (m * coordinates.mean(0).square().mean(0) - squares) / (m - 1)
    held_out = products / squares.clamp_min(ROUNDING)
    return max(_log_ratio(held_out, factor * correlations) for factor in FACTORS)


def _canonical(copies: Tensor) -> tuple[Tensor, Tensor]:
    """Return canonical correlations (K,) and canonical axes (K, K) of copies with zero mean."""
    m = len(copies)
    count = torch.arange(1, m, dtype=copies.dtype, device=copies.device)[:, None, None]
    # Helmert contrasts: the difference of each copy from the mean of the copies before.
    contrasts = (copies[1:] - copies[:-1].cumsum(0) / count) * (count / (count + 1)).sqrt()
    of_means, within = _covariance(copies.mean(0)), _covariance(contrasts.flatten(0, 1))
    values, vectors = torch.linalg.eigh(of_means + (1 - 1 / m) * within)
    whitening = vectors / values.clamp_min(max(1e-12 * float(values[-1]), ROUNDING)).sqrt()
    between = whitening.mT @ (of_means - within / m) @ whitening
    correlations, turns = torch.linalg.eigh(between)
    return correlations.clamp(0, 1), whitening @ turns


def _covariance(x: Tensor) -> Tensor:
    """Return the covariance (K, K) of samples, with the shrinkage of the best likelihood."""
    covariance, shrinkage = x.mT @ x / len(x), fit_whitening(x)[0].shrinkage
    sphere = (
        covariance.trace() / len(covariance) * torch.eye(len(x.mT), dtype=x.dtype, device=x.device)
    )
    return covariance.lerp(sphere, shrinkage)


def _log_ratio(held_out: Tensor, correlations: Tensor) -> float:
    """Return the mean log-likelihood ratio, given the correlations of the held-out coordinates."""
    rest = 1 - correlations.square()
    return float((-0.5 * rest.log() + correlations * (held_out - correlations) / rest).sum())
