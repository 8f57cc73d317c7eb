"""Looking into searches and pipelines for the fitted estimator that a picture is about."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

__all__ = ["inner", "inner_with_rows"]


def inner(estimator: Any, attribute: str) -> Any:
    """The part that has the attribute: of a search its best estimator, of a pipeline a step."""
    if hasattr(estimator, attribute):
        return estimator
    part = getattr(estimator, "best_estimator_", estimator)
    if isinstance(part, Pipeline):
        part = next((s for _, s in reversed(part.steps) if hasattr(s, attribute)), part)
    check_is_fitted(part, attribute)
    return part


def inner_with_rows(estimator: Any, X: Any, attribute: str) -> tuple[Any, Any]:
    """The last step of a search's pipeline, and X as the steps before hand it over."""
    part = getattr(estimator, "best_estimator_", estimator)
    if isinstance(part, Pipeline):
        X = part[:-1].transform(X) if len(part) > 1 else X
        part = part[-1]
    check_is_fitted(part, attribute)
    return part, X
