"""Cross-validation of models of the pointwise information."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sk_mige.information.correction import CorrectedReference
from sk_mige.information.references import ArrayState, DensityReference, Reference

# Number of shuffles of the held-out rows for an estimate of the normaliser.
N_SHUFFLES = 8
# Above this multiple of log(n) nats, shuffled rows cannot estimate the normaliser.
LARGE = 0.5
# Half of the width of a 90 % interval, in standard errors.
Z_90 = 1.645
# Smallest share of the total weight of a candidate that is used.
MIN_WEIGHT = 0.05


@dataclass
class Evidence(ArrayState):
    """Cross-validation results of one candidate.

    Attributes
    ----------
    name : str
        Name of the candidate.
    value : float
        Information in nats. For nearest neighbours, the value is the KSG estimate. For other
        candidates, the value is between ``in_sample`` and ``held_out``, where the two biases
        cancel.
    in_sample : float
        Mean pointwise information of the training rows, in nats.
    held_out : float
        Mean pointwise information of the held-out rows, in nats. The expectation of ``held_out`` is
        a lower bound on the mutual information.
    evidence : float
        Score by which candidates are compared, in nats.
    pointwise : tensor of shape (n,)
        Held-out pointwise information of each row, in nats.
    log_density : tensor of shape (n,) or None
        Held-out log-density of each row, or None if the candidate has no density.
    models : list
        Fitted models, one per fold.
    weight : float
        Weight in the average of the candidates.
    inputs : str
        Coordinates that the models use. The values "columns" and "components" mean normal scores of
        columns and of components. The value "both" means the components followed by the columns.
        The value "numbers" means the columns without a map to normal scores.

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information import choose_information
    >>> x, noise = torch.randn(2, 300, 1, generator=torch.Generator().manual_seed(0)).double()
    >>> chosen = choose_information(x, x + noise, ("gaussian",))
    >>> [candidate.name for candidate in chosen.candidates]
    ['independent', 'gaussian']
    """

    name: str
    value: float
    in_sample: float
    held_out: float
    evidence: float
    pointwise: Tensor
    log_density: Tensor | None = None
    models: list[Any] = field(default_factory=list)
    weight: float = 0.0
    inputs: str = "columns"


def set_weights(judged: list[Evidence], tolerance: float) -> None:
    """Set the weights from differences in evidence, divided by their standard errors.

    Parameters
    ----------
    judged : list of Evidence
        Candidates, evaluated at the same rows.
    tolerance : float
        Smallest standard error in nats.
    """
    best = max(judged, key=lambda e: e.evidence)
    for e in judged:
        if math.isinf(e.evidence):
            continue
        difference = best.pointwise - e.pointwise
        same = best.inputs == e.inputs
        if same and best.log_density is not None and e.log_density is not None:
            difference = best.log_density - e.log_density
        error = max(tolerance, float(difference.std()) / math.sqrt(len(difference)))
        e.weight = math.exp(-0.5 * ((best.evidence - e.evidence) / error) ** 2)
    for _ in range(2):
        total = sum(e.weight for e in judged)
        for e in judged:
            e.weight = e.weight / total if e.weight > MIN_WEIGHT * total else 0.0


def deal_folds(keys: Tensor, n_folds: int, seed: int) -> Tensor:
    """Assign rows to random folds, with rows of equal keys in the same fold.

    Parameters
    ----------
    keys : tensor of shape (n,)
        Integer key of each row. Copies of a row must have equal keys to share a fold.
    n_folds : int
        Number of folds.
    seed : int
        Seed of the random assignment.

    Returns
    -------
    tensor of shape (n,)

    Examples
    --------
    >>> import torch
    >>> from sk_mige.information.evidence import deal_folds
    >>> folds = deal_folds(torch.tensor([0, 1, 2, 0]), 3, seed=0)
    >>> bool(folds[0] == folds[3])
    True
    """
    _, owner = torch.unique(keys, return_inverse=True)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(int(owner.max()) + 1, generator=generator)
    return (order % n_folds)[owner]


def cross_fit(
    name: str,
    make: Callable[[int, Any], Reference],
    views: dict[str, tuple[Tensor, Tensor]],
    inputs: str,
    folds: Tensor,
    first: Reference | None = None,
) -> Evidence:
    """Fit a candidate once without each fold, and evaluate the training and held-out rows.

    Parameters
    ----------
    name : str
        Name of the candidate.
    make : callable
        Function that returns an unfitted model. The arguments are the fold, and the fitted model of
        the first fold. For the first fold, the second argument is None.
    views : dict of pairs of tensors
        Coordinates of x and y.
    inputs : str
        Name of the coordinates that the candidate uses.
    folds : tensor of shape (n,)
        Fold of each row.
    first : Reference, default=None
        Fitted model of the first fold. If None, ``make`` supplies the model.

    Returns
    -------
    Evidence
    """
    x, y = views[inputs]
    models = [] if first is None else [first]
    pointwise, log_density = torch.empty(2, len(x), dtype=x.dtype)
    inside, outside = [], []
    for fold in range(int(folds.max()) + 1):
        out = folds == fold
        if fold < len(models):
            pointwise[out] = held_out_information(models[fold], x[out], y[out])
        else:
            models.append(make(fold, models[0] if models else None))
            pointwise[out] = fitted_information(models[fold], x, y, out)
        model = models[fold]
        outside.append(float(pointwise[out].mean()))
        if not model.memorises:
            inside.append(float(held_out_information(model, x[~out], y[~out]).mean()))
        if isinstance(model, DensityReference):
            log_density[out] = model.log_density(x[out], y[out])
    held_out = sum(outside) / len(outside)
    in_sample = sum(inside) / len(inside) if inside else held_out
    evidence = float(pointwise.mean())
    # With d columns and n training rows, the in-sample bias of a Gaussian copula is about the
    # fraction (1 - d / n) / 2 of the difference.
    n = len(x) * (1 - 1 / len(models))
    fraction = max(0.0, 1 - (x.shape[1] + y.shape[1]) / n) / 2
    value = in_sample - fraction * (in_sample - held_out)
    density = log_density if isinstance(models[0], DensityReference) else None
    return Evidence(
        name, value, in_sample, held_out, evidence, pointwise, density, models, inputs=inputs
    )


def fitted_information(model: Reference, x: Tensor, y: Tensor, out: Tensor) -> Tensor:
    """Fit a model to the training rows, and return the information of the held-out rows.

    The held-out rows also calibrate the correction of a :class:`CorrectedReference`.

    Parameters
    ----------
    model : Reference
        Unfitted model.
    x : tensor of shape (n, p)
        Coordinates of x that the model uses.
    y : tensor of shape (n, q)
        Coordinates of y that the model uses.
    out : tensor of shape (n,)
        Mask of the held-out rows.

    Returns
    -------
    tensor of shape (n_held_out,)
    """
    model.fit(x[~out], y[~out])
    if isinstance(model, CorrectedReference):
        shifts = shuffles(int(out.sum()))
        model.calibrate(x[out], y[out], shifts, lambda f: float(_normalised(f, False).mean()))
    return held_out_information(model, x[out], y[out])


def held_out_information(model: Reference, x: Tensor, y: Tensor) -> Tensor:
    """Return the pointwise information minus a log-normaliser estimated from shuffled rows.

    Parameters
    ----------
    model : Reference
        Fitted model.
    x : tensor of shape (n, p)
        Coordinates of x that the model uses.
    y : tensor of shape (n, q)
        Coordinates of y that the model uses.

    Returns
    -------
    tensor of shape (n,)
    """
    shuffled = model.shuffled(x, y, shuffles(len(x)))
    return _normalised(shuffled, isinstance(model, DensityReference))


def shuffles(n: int) -> list[int]:
    """Return shift 0 for the true pairs, then the shifts for shuffled pairs."""
    shifts = torch.linspace(1, n - 1, min(N_SHUFFLES, n - 1), dtype=torch.float32)
    return [0, *shifts.long().tolist()]


def _normalised(shuffled: Tensor, is_density: bool) -> Tensor:
    own, others = shuffled[0], shuffled[1:]
    n = len(own)
    if n == 1:  # a single row cannot be shuffled
        return own
    means = torch.logsumexp(others, 1) - math.log(n)
    log_mean = torch.logsumexp(means, 0) - math.log(len(means))
    if is_density and len(means) > 1:
        # A density's normaliser is close to 1, so deviations from 1 within noise are ignored.
        noise = 2 * (means - log_mean).exp().std() / math.sqrt(len(means))
        log_mean = log_mean - log_mean.clamp(-noise, noise)
    if float(own.mean()) > LARGE * math.log(n):
        # Shuffled rows miss the pairs with large values, so a normaliser below 1 is ignored.
        log_mean = log_mean.clamp_min(0)
    return own - log_mean
