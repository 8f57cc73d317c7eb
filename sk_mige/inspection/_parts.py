"""Access to the estimators inside fitted pipelines and searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def find_part(estimator: Any, attribute: str, works: str, *, first: bool = False) -> Any:
    """Return the part of an estimator, search or pipeline that has a given attribute.

    If several steps of a pipeline have the attribute, the last matching step is returned. With
    ``first=True``, the first matching step is returned.
    """
    if hasattr(estimator, attribute) and not isinstance(estimator, type):
        return estimator
    part = _best_estimator(estimator)
    if isinstance(part, Pipeline):
        steps = part.steps if first else reversed(part.steps)
        part = next((step for _, step in steps if hasattr(step, attribute)), part)
    require(part, attribute, works)
    return part


def require(part: Any, attribute: str, works: str, *, name: str = "estimator") -> None:
    """Raise an error for an estimator that is not fitted or lacks the attribute."""
    check_is_fitted(part)
    if not hasattr(part, attribute):
        raise TypeError(
            f"{name} must be {works}, got {type(part).__name__}, which has no {attribute}"
        )


def find_transformer(estimator: Any) -> Any:
    """Return the transformer in a search or pipeline, without a final predictor."""
    part = _best_estimator(estimator)
    if isinstance(part, Pipeline) and len(part) > 1 and not hasattr(part[-1], "transform"):
        part = part[:-1]
    require(part, "transform", "a fitted transformer, or a pipeline or search that contains one")
    return part


def last_step(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the last step of a pipeline or of a searched pipeline, and the input of the step."""
    part = _best_estimator(estimator)
    if isinstance(part, Pipeline):
        X = part[:-1].transform(X) if len(part) > 1 else X
        part = part[-1]
    return part, X


def searched_parameters(cv_results: Mapping[str, Any]) -> list[str]:
    """Return the names of the parameters that a search has varied."""
    return [key.removeprefix("param_") for key in cv_results if key.startswith("param_")]


def _best_estimator(estimator: Any) -> Any:
    if getattr(estimator, "refit", True) is False:
        raise ValueError(
            f"estimator is a {type(estimator).__name__} with refit=False, which keeps no fitted "
            "estimator: set refit=True"
        )
    return getattr(estimator, "best_estimator_", estimator)
