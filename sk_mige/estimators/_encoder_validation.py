"""Whether held-out rows can be judged."""

from __future__ import annotations

from typing import Any

__all__ = ["check_validation"]


def check_validation(estimator: Any) -> None:
    """Refuse held-out rows where the objective has a gradient but no value."""
    if estimator.validation_fraction is None or estimator.mode == "ib":
        return
    between = estimator.feature_layer is not None or estimator.n_views > 1
    if estimator.mi_estimator == "mige" or between:
        raise ValueError(
            f"validation_fraction={estimator.validation_fraction} needs a loss whose value means "
            "something on held-out rows: that of mode='ib', or a bound as mi_estimator, no "
            "feature_layer and n_views=1. The surrogate of mi_estimator='mige' has a gradient "
            "only; to watch mode='infomax', score a probe by skorch's EpochScoring"
        )
