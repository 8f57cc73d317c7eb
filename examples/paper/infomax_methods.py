"""The methods of Tables 1, 2 and 4 and Figure 2, by name, as parameters of MIGEEncoder."""

from __future__ import annotations

from functools import partial
from typing import Any

from augmentations import crop_and_color, shift_and_mirror

from sk_mige import RandomProjectionSSGE, SSGEScoreEstimator
from sk_mige.information import SeparableCritic

__all__ = ["METHODS"]


def ssge(eigen_threshold: float) -> SSGEScoreEstimator:
    return SSGEScoreEstimator(eigen_threshold=eigen_threshold)


def projected(k: int, eigen_threshold: float = 0.99) -> RandomProjectionSSGE:
    return RandomProjectionSSGE(k, eigen_threshold=eigen_threshold)


def ridge(alpha: float) -> SSGEScoreEstimator:
    """Tikhonov's regularisation in the place of a cut: no eigenpairs, hence fast on GPUs."""
    return SSGEScoreEstimator(eigen_threshold=None, alpha=alpha)


def cropped(score: SSGEScoreEstimator, **parameters: Any) -> dict[str, Any]:
    """MIGE of cropped and coloured images, with the batches and the rate that suit them."""
    settings = {"augmentation": crop_and_color, "batch_size": 128, "lr": 5e-4}
    return {"score_estimator": score, **settings, **parameters}


def contrastive(temperature: float, **parameters: Any) -> dict[str, Any]:
    """InfoNCE between two views by the cosine of a shared embedding, as SimCLR."""
    critic = partial(SeparableCritic, n_embedding=128, temperature=temperature, shared=True)
    settings = {"mi_estimator": "infonce", "critic": critic, "n_views": 2}
    return {**cropped(ssge(0.999)), **settings, **parameters}


def dim(bound: str, critic: str = "separable", **parameters: Any) -> dict[str, Any]:
    """DIM(G): the critic embeds the last feature map and z, and multiplies."""
    return {"mi_estimator": bound, "feature_layer": "conv", "critic": critic, **parameters}


def dim_local(bound: str, **parameters: Any) -> dict[str, Any]:
    """DIM(L): the critic sees each location of the second feature map beside z."""
    return {"mi_estimator": bound, "feature_layer": "conv.5", "local_features": True, **parameters}


# What is passed to MIGEEncoder beside the settings of the paper: `encoder` of infomax_cells.
METHODS: dict[str, dict[str, Any]] = {
    "MIGE": {"score_estimator": ssge(0.999)},
    "MIGE as published": {"score_estimator": ssge(0.99)},
    "MIGE, shifted and mirrored": {
        "score_estimator": ssge(0.999),
        "augmentation": shift_and_mirror,
    },
    "MIGE, unit scale": {"score_estimator": ssge(0.999), "output_scale": "unit"},
    "MIGE, half hidden": {"score_estimator": ssge(0.999), "corruption": 0.5},
    "MIGE, cropped and coloured": cropped(ssge(0.999)),
    "MIGE, two views": cropped(ssge(0.999), n_views=2),
    **{
        f"MIGE, ridge of {alpha}": {"score_estimator": ridge(float(alpha))}
        for alpha in ("1e-5", "1e-4", "1e-3")
    },
    **{
        f"MIGE, two views, ridge of {alpha}": cropped(ridge(float(alpha)), n_views=2)
        for alpha in ("1e-5", "1e-4", "1e-3")
    },
    "infoNCE, two views": contrastive(0.1),
    **{
        f"infoNCE, two views, temperature of {temperature}": contrastive(temperature)
        for temperature in (0.05, 0.2, 0.5)
    },
    "infoNCE, two views, rate of 1e-3": contrastive(0.1, lr=1e-3),
    "MIGE of conv and Y": {"score_estimator": ssge(0.999), "feature_layer": "conv"},
    "MIGE of patches and Y": {
        "score_estimator": ssge(0.999), "feature_layer": "conv.5", "local_features": True,
    },
    "DIM (JSD)": dim("jsd"),
    "DIM (JSD), concatenated": dim("jsd", "concatenated"),
    "DIM (JSD + PM)": dim("jsd", prior_weight=1.0),
    "DIM (infoNCE)": dim("infonce"),
    "DIM (infoNCE + PM)": dim("infonce", prior_weight=1.0),
    "DIM(L) (JSD)": dim_local("jsd"),
    "DIM(L) (JSD + PM)": dim_local("jsd", prior_weight=0.1),
    "DIM(L) (infoNCE)": dim_local("infonce"),
    "DIM(L) (infoNCE + PM)": dim_local("infonce", prior_weight=0.1),
    **{
        f"MIGE + RP to {k}d": {"score_estimator": projected(k)}
        for k in (16, 32, 64, 128, 256, 512, 1024)
    },
}  # fmt: skip
