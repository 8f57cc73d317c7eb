"""Which of MIGEEncoder's parameters of the bottleneck go together."""

from __future__ import annotations

import warnings
from typing import Any, get_args

import torch

from sk_mige.information.stochastic import Marginal
from sk_mige.networks import EncoderNetwork

__all__ = [
    "check_bottleneck",
    "check_likelihood",
    "expect_weighted_classes",
    "n_draws",
    "uses_closed_form",
]

# Draws of z for each x from which a conditional's score is estimated.
DRAWS = 16
MARGINALS = {
    "mige": (*get_args(Marginal), "classes"),
    "variational": ("auto", "standard", "learned"),
}


def uses_closed_form(encoder: Any) -> bool:
    """Whether H(z | x) is taken in closed form."""
    return bool(encoder.head == "gaussian" and encoder.conditional != "score")


def n_draws(encoder: Any) -> int:
    """Draws of z for each row in training."""
    if encoder.n_training_samples is not None:
        return int(encoder.n_training_samples)
    return DRAWS if encoder.head == "implicit" or encoder.conditional == "score" else 1


def check_bottleneck(encoder: Any) -> None:
    """Refuse parameters that contradict each other, before anything is built; warn of poor ones."""
    head, conditional = encoder.head, encoder.conditional
    if encoder.dropout > 0 and not (isinstance(encoder.encoder, str) and encoder.encoder == "mlp"):
        raise ValueError(
            f"dropout={encoder.dropout} is for encoder='mlp', got encoder={encoder.encoder!r}: "
            "put torch.nn.Dropout into your own network and set dropout=0"
        )
    needs_bound = [
        name
        for name, meant in (
            ("mi_estimator", encoder.mi_estimator == "variational"),
            ("max_information", encoder.max_information is not None),
        )
        if meant
    ]
    if encoder.mode != "ib":
        check_likelihood(encoder, None)
        for name in needs_bound:
            raise ValueError(
                f"{name}={getattr(encoder, name)!r} is for mode='ib', where information is "
                f"lowered; got mode={encoder.mode!r}"
            )
        return
    if head == "deterministic" and conditional != "auto":
        raise ValueError(
            f"conditional={conditional!r} is about q(z | x), and with head='deterministic' there "
            "is none: use head='gaussian' or 'implicit', or conditional='auto'"
        )
    if head == "implicit" and conditional == "closed-form":
        raise ValueError(
            "conditional='closed-form' needs a density, and that of head='implicit' is unknown: "
            "use conditional='score' or 'auto', or head='gaussian'"
        )
    if head != "gaussian":
        for name in needs_bound:
            raise ValueError(
                f"{name}={getattr(encoder, name)!r} needs an upper bound of I(z; x), which "
                f"only head='gaussian' has; got head={head!r}"
            )
    known = MARGINALS.get(encoder.mi_estimator)
    if known is not None and encoder.marginal not in known:
        raise ValueError(
            f"marginal={encoder.marginal!r} is unknown to mi_estimator={encoder.mi_estimator!r}; "
            f"use one of {list(known)}"
        )
    if encoder.marginal == "classes" and not uses_closed_form(encoder):
        raise ValueError(
            "marginal='classes' needs the mean and scale of head='gaussian' in closed form; got "
            f"head={head!r}, conditional={conditional!r}"
        )
    if head == "deterministic" or uses_closed_form(encoder):
        return
    if n_draws(encoder) < 2:
        raise ValueError(
            f"n_training_samples={encoder.n_training_samples} is too few to estimate the score of "
            "q(z | x) from, which takes 16 or so; use None, or conditional='closed-form'"
        )
    if encoder.n_components > n_draws(encoder):
        warnings.warn(
            f"scores of q(z | x) in n_components={encoder.n_components} dimensions, estimated from "
            f"{n_draws(encoder)} draws, are too short: use at most as many components as "
            "n_training_samples, or conditional='closed-form' where the head has it",
            UserWarning,
            stacklevel=5,
        )


def check_likelihood(encoder: Any, task: str | None) -> None:
    """Refuse parameters of a classifier where there are no classes."""
    if task == "classification":
        return
    for name in ("class_weight", "label_smoothing", "confidence_penalty"):
        if getattr(encoder, name):
            raise ValueError(
                f"{name}={getattr(encoder, name)!r} is for classes: it takes mode='ib' and "
                f"task='classification', got mode={encoder.mode!r}"
                + (f" with task={task!r}" if task else "")
            )
    if encoder.mode == "ib" and encoder.marginal == "classes":
        raise ValueError(
            f"marginal='classes' is the information within classes, got task={task!r}: use "
            "marginal='auto'"
        )


@torch.no_grad()
def expect_weighted_classes(network: EncoderNetwork, weights: Any) -> None:
    """Start the decoder's log-odds where class weights move them: log w_c higher.

    Weights w multiply each class's share of the likelihood, so that they add log w_c to the
    logits that maximise it. Learning that by gradient would take long for extreme weights.
    """
    assert network.decoder is not None
    weights = torch.as_tensor(weights, dtype=torch.float32)
    shift = (weights / weights.max()).log().clamp_min(-20)
    network.decoder.bias += shift.to(network.decoder.bias.device)
