"""Conversion of ``mode`` of ``MIGEEncoder``: names, descriptions and loss functions."""

from __future__ import annotations

from typing import Any

from .base import Description, FunctionDescription, Information
from .bottleneck import InformationBottleneck
from .infomax import InfoMax
from .information import INFORMATIONS

MODES: dict[str, type[Description]] = {"infomax": InfoMax, "ib": InformationBottleneck}


def as_description(mode: Any) -> Description:
    """Return the description for a value of ``mode``: a name, a description or a function."""
    if isinstance(mode, Description):
        return mode
    if isinstance(mode, str) and mode in MODES:
        return MODES[mode]()
    if callable(mode):
        return FunctionDescription(mode)
    if isinstance(mode, Information) or (isinstance(mode, str) and mode in INFORMATIONS):
        raise ValueError(
            f"mode={mode!r:.80} is an estimator of information: pass mode=InfoMax({mode!r:.80}) or "
            f"mode=InformationBottleneck({mode!r:.80})"
        )
    raise ValueError(
        f"mode={mode!r:.80} is unknown; use one of {sorted(MODES)}, an object such as "
        "InformationBottleneck(beta=0.1), or a function loss(code, x, y)"
    )


def kind_of(description: Description) -> str:
    """Return the short name or the class name of an objective, for error messages."""
    if isinstance(description, FunctionDescription):
        return "loss function"
    names = {kind: name for name, kind in MODES.items()}
    return names.get(type(description), type(description).__name__)


def task_of(mode: Any) -> str | None:
    """Return the task of a ``mode``, or None for a ``mode`` without targets."""
    if isinstance(mode, str):
        return as_description(mode).task if mode in MODES else None
    return mode.task if isinstance(mode, Description) else None


def why_missing(mode: Any, method: str) -> str:
    """Return why an encoder lacks a method, and a remedy, or "" if ``method`` is unknown."""
    if method == "score_samples":
        return (
            f" with mode={mode!r:.80}, which has no density of z: use mode='ib', or put a density "
            "after the encoder, as in make_pipeline(encoder, GaussianMixture())"
        )
    if method not in ("predict", "predict_proba"):
        return ""
    if task_of(mode) == "regression":
        return " for a regression, which has no class probabilities: use predict"
    return (
        f" with mode={mode!r:.80}, which learns a representation, not predictions: use mode='ib', "
        "or put a predictor after the encoder, as in make_pipeline(encoder, LogisticRegression())"
    )
