"""Gradients and bounds of mutual information, as differentiable surrogates."""

from sk_mige.information.gaussian import gaussian_mutual_info
from sk_mige.information.gradients import (
    entropy_surrogate,
    hidden_mutual_info_surrogate,
    joint_squared_distances,
    mutual_info_surrogate,
)
from sk_mige.information.stochastic import conditional_scores, stochastic_mutual_info_surrogate

__all__ = [
    "conditional_scores",
    "entropy_surrogate",
    "gaussian_mutual_info",
    "hidden_mutual_info_surrogate",
    "joint_squared_distances",
    "mutual_info_surrogate",
    "stochastic_mutual_info_surrogate",
]
