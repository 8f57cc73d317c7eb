"""The grid of SSGEScoreEstimatorCV, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sk_mige.score.filters import ALPHAS
from sk_mige.score.selection import CandidateGrid

__all__ = ["checked_grid"]


def checked_grid(estimator: Any) -> CandidateGrid:
    """Grid of a cross-validating estimator, or an error that names the part that is impossible."""
    alphas = ALPHAS if isinstance(estimator.alphas, str) else _numbers(estimator, "alphas")
    grid = CandidateGrid(
        tuple(estimator.shrinkages),
        _numbers(estimator, "bandwidth_factors"),
        tuple(map(bool, estimator.curl_free)),
        tuple(estimator.bases),
        _numbers(estimator, "eigen_thresholds"),
        alphas,
    )
    for name in ("shrinkages", "bandwidth_factors", "curl_frees", "bases"):
        if not getattr(grid, name):
            shown = "curl_free" if name == "curl_frees" else name
            raise ValueError(f"{shown} is empty: give at least one value to try")
    if not grid.eigen_thresholds and not grid.alphas:
        raise ValueError("eigen_thresholds and alphas are both empty: give one of them values")
    _check_values(
        "bandwidth_factors", grid.bandwidth_factors, lambda v: 0 < v < math.inf, "positive"
    )
    _check_values("eigen_thresholds", grid.eigen_thresholds, lambda v: 0 < v <= 1, "in (0, 1]")
    _check_values("alphas", grid.alphas, lambda v: v >= 0, "0 or more")
    _check_values(
        "shrinkages",
        grid.shrinkages,
        lambda v: v in ("auto", "ledoit-wolf") if isinstance(v, str) else 0 <= v <= 1,
        "in [0, 1], 'auto' or 'ledoit-wolf'",
    )
    _check_values(
        "bases",
        grid.bases,
        lambda v: v in ("student", "gaussian", None),
        "'student', 'gaussian' or None",
    )
    return grid


def _numbers(estimator: Any, name: str) -> tuple[float, ...]:
    values = getattr(estimator, name)
    try:
        return tuple(map(float, values))
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {values!r}") from None


def _check_values(name: str, values: Sequence[Any], valid: Any, wanted: str) -> None:
    bad = [value for value in values if not valid(value)]
    if bad:
        raise ValueError(f"{name} must be {wanted}, got {bad}")
