"""Gradients, values and bounds of mutual information, from samples and for training."""

from sk_mige.information.additive import AdditiveReference
from sk_mige.information.axes import independent_axes
from sk_mige.information.bounds import (
    Bound,
    BoundEstimate,
    DonskerVaradhan,
    club,
    infonce,
    jensen_shannon,
    make_bound,
    nwj,
    smile,
)
from sk_mige.information.channel import channel_gradient
from sk_mige.information.choice import ChosenInformation, choose_information
from sk_mige.information.correction import CorrectedReference
from sk_mige.information.critics import (
    ConcatenatedCritic,
    GaussianCritic,
    SeparableCritic,
    fit_critic,
)
from sk_mige.information.elliptical import EllipticalReference
from sk_mige.information.evidence import Evidence
from sk_mige.information.family_gradient import (
    conditional_mutual_info_gradient,
    total_correlation_gradient,
    transfer_entropy_gradient,
)
from sk_mige.information.fisher import relative_fisher_information
from sk_mige.information.gaussian import gaussian_mutual_info
from sk_mige.information.gradients import (
    entropy_surrogate,
    joint_squared_distances,
    mutual_info_surrogate,
)
from sk_mige.information.hidden import hidden_mutual_info_surrogate
from sk_mige.information.margins import gaussianize_margins, gaussianize_ranks
from sk_mige.information.neighbours import NeighbourReference, ksg_terms, local_dimension
from sk_mige.information.prior import PriorMatching
from sk_mige.information.references import GaussianReference, MixtureReference
from sk_mige.information.sample_gradient import MutualInfoGradient, mutual_info_gradient
from sk_mige.information.stochastic import conditional_scores, stochastic_mutual_info_surrogate
from sk_mige.information.views import multiview_mutual_info_surrogate
from sk_mige.information.whitened import whitened_scores

__all__ = [
    # from samples
    "mutual_info_gradient",
    "MutualInfoGradient",
    "conditional_mutual_info_gradient",
    "total_correlation_gradient",
    "transfer_entropy_gradient",
    "channel_gradient",
    "relative_fisher_information",
    "whitened_scores",
    "independent_axes",
    "gaussianize_margins",
    "gaussianize_ranks",
    # values chosen by held-out evidence
    "choose_information",
    "ChosenInformation",
    "Evidence",
    "GaussianReference",
    "EllipticalReference",
    "MixtureReference",
    "NeighbourReference",
    "AdditiveReference",
    "CorrectedReference",
    "ksg_terms",
    "local_dimension",
    # surrogates: maximise them to maximise the information
    "entropy_surrogate",
    "mutual_info_surrogate",
    "hidden_mutual_info_surrogate",
    "stochastic_mutual_info_surrogate",
    "multiview_mutual_info_surrogate",
    "gaussian_mutual_info",
    "conditional_scores",
    "joint_squared_distances",
    # critics and their bounds
    "make_bound",
    "Bound",
    "BoundEstimate",
    "DonskerVaradhan",
    "nwj",
    "jensen_shannon",
    "smile",
    "infonce",
    "club",
    "SeparableCritic",
    "ConcatenatedCritic",
    "GaussianCritic",
    "fit_critic",
    "PriorMatching",
]
