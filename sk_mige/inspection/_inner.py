"""Looking into searches and pipelines for the fitted estimator that a picture is about."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

__all__ = ["inner", "inner_with_rows", "last_with_rows", "transforming"]


def inner(estimator: Any, attribute: str, *, first: bool = False) -> Any:
    """The part that has the attribute: of a search its best estimator, of a pipeline a step.

    Where several steps have it, that is the last one, or the first one where asked for.
    """
    if hasattr(estimator, attribute):
        return estimator
    part = getattr(estimator, "best_estimator_", estimator)
    if isinstance(part, Pipeline):
        steps = part.steps if first else reversed(part.steps)
        part = next((s for _, s in steps if hasattr(s, attribute)), part)
    check_is_fitted(part)
    if not hasattr(part, attribute):
        raise TypeError(f"{type(part).__name__} has no {attribute}, which this picture is about")
    return part


def transforming(estimator: Any) -> Any:
    """Of a search its best estimator, of a pipeline what comes before a predictor at its end."""
    part = getattr(estimator, "best_estimator_", estimator)
    if isinstance(part, Pipeline) and not hasattr(part[-1], "transform"):
        part = part[:-1]
    return part


def last_with_rows(estimator: Any, X: Any) -> tuple[Any, Any]:
    """The last step of a search's pipeline, and X as the steps before hand it over."""
    part = getattr(estimator, "best_estimator_", estimator)
    if isinstance(part, Pipeline):
        X = part[:-1].transform(X) if len(part) > 1 else X
        part = part[-1]
    return part, X


def inner_with_rows(estimator: Any, X: Any, attribute: str) -> tuple[Any, Any]:
    """As :func:`last_with_rows`, of a step that is fitted."""
    part, X = last_with_rows(estimator, X)
    check_is_fitted(part, attribute)
    return part, X
