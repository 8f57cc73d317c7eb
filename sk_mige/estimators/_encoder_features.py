"""Objectives of MIGEEncoder that look at an inner layer or at several views."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

from sk_mige.networks import EncoderNetwork
from sk_mige.score import ScoreFunction
from sk_mige.training import (
    CriticInformation,
    FeatureCriticInfoMax,
    FeatureInfoMax,
    Objective,
    ViewCriticInfoMax,
)

__all__ = [
    "check_features",
    "check_views",
    "feature_objective",
    "layer_error",
    "layer_shape",
    "view_objective",
    "warn_of_few_differences",
    "warn_of_unseen_input",
]


# Critics that embed either side, and may do so by one network.
EMBEDDING = ("separable", "cosine")


def check_features(estimator: Any) -> None:
    """Refuse settings of an inner layer that cannot be meant."""
    if estimator.local_features and estimator.feature_layer is None:
        raise ValueError(
            "local_features=True needs feature_layer, the name of a layer whose output is a "
            "feature map: 'conv' or 'conv.5' for encoder='conv'"
        )
    if estimator.mode == "ib" and estimator.augmentation is not None:
        raise ValueError(
            "augmentation is for mode='infomax': a bottleneck would count it as noise of the "
            "encoder. Augment the rows before fit, or set augmentation=None"
        )
    if estimator.mode == "ib" and estimator.feature_layer is not None:
        raise ValueError(
            f"feature_layer={estimator.feature_layer!r} is for mode='infomax': a bottleneck "
            "forgets the input, not a layer"
        )


def check_views(estimator: Any) -> None:
    """Refuse several views where they would be equal or where no objective takes them."""
    views, where = estimator.n_views, f"n_views={estimator.n_views}"
    if views == 1:
        return
    if estimator.mode == "ib":
        raise ValueError(f"{where} is for mode='infomax'; draws of z are n_training_samples")
    if estimator.augmentation is None and estimator.corruption == 0:
        raise ValueError(
            f"{where} needs something in which the views differ: an augmentation, or corruption > 0"
        )
    if estimator.feature_layer is not None:
        raise ValueError(
            f"{where} holds views against each other, feature_layer={estimator.feature_layer!r} "
            "an inner layer against z: set n_views=1, or feature_layer=None"
        )


def warn_of_unseen_input(estimator: Any, stacklevel: int) -> None:
    """Warn of settings of x's kernel where views are held against each other, not against x."""
    projected = hasattr(estimator.score_estimator, "_training_projection")
    if estimator.n_views > 1 and (projected or estimator.x_scale != 1):
        named = "the projection of score_estimator" if projected else f"x_scale={estimator.x_scale}"
        warnings.warn(
            f"{named} has no effect: n_views={estimator.n_views} holds views against each other, "
            "and x itself is not looked at",
            UserWarning,
            stacklevel=stacklevel,
        )


def warn_of_few_differences(estimator: Any, n_rows: int, stacklevel: int) -> None:
    """Warn where views differ too seldom in a batch to tell the noise in each dimension."""
    others = estimator.n_views - 1
    processes = int(os.environ.get("WORLD_SIZE", "1")) if estimator.distributed else 1
    most = estimator.batch_size * processes
    # The rows of a pass are dealt to equal batches.
    batch = -(-n_rows // -(-n_rows // most))
    needed = -(-2 * estimator.n_components // max(1, others))
    if others and estimator.mi_estimator == "mige" and batch < needed:
        warnings.warn(
            f"n_views={estimator.n_views} in batches of {batch} rows (of {n_rows}, with "
            f"batch_size={estimator.batch_size}) give the noise in "
            f"n_components={estimator.n_components} dimensions too few differences to be estimated "
            f"from: use batches of {needed} rows or more, or fewer components",
            UserWarning,
            stacklevel=stacklevel,
        )


def layer_error(network: EncoderNetwork, parameter: str, name: str) -> ValueError:
    """What to say when the encoder has no submodule of that name."""
    names = [known for known, _ in network.encoder.named_modules() if known]
    return ValueError(f"{parameter}={name!r} is no submodule of the encoder; it has {names}")


def layer_shape(network: EncoderNetwork, rows: Any, *, local: bool) -> tuple[int, ...]:
    """Shape of the inner layer's output for one row."""
    name = network.feature_layer
    assert name is not None
    try:
        shape = tuple(network.feature_map(rows, name).shape[1:])
    except AttributeError as error:
        raise layer_error(network, "feature_layer", name) from error
    if local and len(shape) < 2:
        raise ValueError(
            f"local_features=True needs a feature map, (channels, height, width) for each row, "
            f"but feature_layer={name!r} puts out the shape {shape}: name a layer before the "
            "flattening"
        )
    return shape


def feature_objective(
    score: ScoreFunction,
    shape: tuple[int, ...],
    n_components: int,
    *,
    local: bool,
    mi_estimator: str,
    critic: str | Callable[..., Any],
    mixed_precision: bool = False,
) -> Objective:
    """InfoMax between the inner layer's output, of that shape, and z.

    The separable critic embeds in 512 dimensions, as Deep InfoMax's code does; the concatenated
    one has the two layers of 512 units of its text.
    """
    if mi_estimator == "mige":
        return FeatureInfoMax(score, local=local)
    width = 1
    for size in shape[:1] if local else shape:
        width *= size
    sizes: dict[str, Any] = {"hidden": (512, 512)} if critic == "concatenated" else {}
    if critic in EMBEDDING:
        sizes = {"n_embedding": 512}
    information = _information(width, n_components, mi_estimator, critic, mixed_precision, sizes)
    return FeatureCriticInfoMax(information, local=local)


def view_objective(
    n_components: int,
    *,
    mi_estimator: str,
    critic: str | Callable[..., Any],
    mixed_precision: bool = False,
) -> Objective:
    """InfoMax between views by a critic: two layers, of 512 and 128 units, are SimCLR's head.

    One embedding for both makes the scores a positive kernel. Of InfoNCE's only differences count;
    the other bounds need scores below zero for pairs that do not belong together.
    """
    sizes: dict[str, Any] = {}
    if critic in EMBEDDING:
        sizes = {"n_embedding": 128, "shared": mi_estimator == "infonce"}
    return ViewCriticInfoMax(
        _information(n_components, n_components, mi_estimator, critic, mixed_precision, sizes)
    )


def _information(
    n_features: int,
    n_components: int,
    mi_estimator: str,
    critic: str | Callable[..., Any],
    mixed_precision: bool,
    sizes: dict[str, Any],
) -> CriticInformation:
    """A bound between what the encoder itself puts out, whose units are left to it."""
    return CriticInformation(
        mi_estimator,
        n_features,
        n_components,
        critic,
        normalize=False,
        mixed_precision=mixed_precision,
        **({} if mi_estimator == "club" else sizes),  # CLUB's critic has its own
    )
