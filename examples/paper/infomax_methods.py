"""Methods of Tables 1, 2 and 4 and Figure 2, by name, as parameters of MIGEEncoder."""

from __future__ import annotations

from functools import partial
from typing import Any

from augmentations import crop_and_color, shift_and_mirror

from sk_mige import Critic, InfoMax, RandomProjectionSSGE, SSGEScoreEstimator
from sk_mige.information import SeparableCritic

__all__ = ["METHODS"]

Parameters = dict[str, Any]
# The network of the paper has no corrupted inputs and no batch norm on z.
infomax = partial(InfoMax, corruption=0.0, output_scale=None)
# Batch size and learning rate for cropped and coloured images.
CROPPED: Parameters = {"batch_size": 128, "lr": 5e-4}


def mige(eigen_threshold: float = 0.999, **parameters: Any) -> Parameters:
    """Return MIGE with a truncated spectrum."""
    score = SSGEScoreEstimator(eigen_threshold=eigen_threshold)
    return {"mode": infomax(**parameters), "score_estimator": score}


def ridge(alpha: float, **parameters: Any) -> Parameters:
    """Return MIGE with Tikhonov regularisation, which needs no eigenpairs."""
    score = SSGEScoreEstimator(eigen_threshold=None, alpha=alpha)
    return {"mode": infomax(**parameters), "score_estimator": score}


def projected(k: int) -> Parameters:
    """Return MIGE as published, with distances after a random projection."""
    return {"mode": infomax(), "score_estimator": RandomProjectionSSGE(k, eigen_threshold=0.99)}


def contrastive(temperature: float, **parameters: Any) -> Parameters:
    """Return InfoNCE between two views by cosine similarity, as in SimCLR."""
    critic = partial(SeparableCritic, n_embedding=128, temperature=temperature, shared=True)
    mode = infomax(Critic("infonce", critic), augmentation=crop_and_color, n_views=2)
    return {"mode": mode, **CROPPED, **parameters}


def dim(bound: str, critic: str = "separable", prior_weight: float = 0.0) -> Parameters:
    """Return DIM(G), with a critic of the last feature map and z."""
    return {"mode": infomax(Critic(bound, critic), layer="conv", prior_weight=prior_weight)}


def dim_local(bound: str, prior_weight: float = 0.0) -> Parameters:
    """Return DIM(L), with a critic of z and one location of a feature map."""
    return {"mode": infomax(bound, layer="conv.5", local=True, prior_weight=prior_weight)}


# The names are those of the recorded cells. Other settings are in `encoder` of infomax_cells.
METHODS: dict[str, Parameters] = {
    "MIGE": mige(),
    "MIGE as published": mige(0.99),
    "MIGE, shifted and mirrored": mige(augmentation=shift_and_mirror),
    "MIGE, unit scale": mige(output_scale="unit"),
    "MIGE, half hidden": mige(corruption=0.5),
    "MIGE, cropped and coloured": {**mige(augmentation=crop_and_color), **CROPPED},
    "MIGE, two views": {**mige(augmentation=crop_and_color, n_views=2), **CROPPED},
    **{f"MIGE, ridge of {alpha}": ridge(float(alpha)) for alpha in ("1e-5", "1e-4", "1e-3")},
    **{
        f"MIGE, two views, ridge of {alpha}": {
            **ridge(float(alpha), augmentation=crop_and_color, n_views=2),
            **CROPPED,
        }
        for alpha in ("1e-5", "1e-4", "1e-3")
    },
    "infoNCE, two views": contrastive(0.1),
    **{
        f"infoNCE, two views, temperature of {temperature}": contrastive(temperature)
        for temperature in (0.05, 0.2, 0.5)
    },
    "infoNCE, two views, rate of 1e-3": contrastive(0.1, lr=1e-3),
    "MIGE of conv and Y": mige(layer="conv"),
    "MIGE of patches and Y": mige(layer="conv.5", local=True),
    "DIM (JSD)": dim("jsd"),
    "DIM (JSD), concatenated": dim("jsd", "concatenated"),
    "DIM (JSD + PM)": dim("jsd", prior_weight=1.0),
    "DIM (infoNCE)": dim("infonce"),
    "DIM (infoNCE + PM)": dim("infonce", prior_weight=1.0),
    "DIM(L) (JSD)": dim_local("jsd"),
    "DIM(L) (JSD + PM)": dim_local("jsd", prior_weight=0.1),
    "DIM(L) (infoNCE)": dim_local("infonce"),
    "DIM(L) (infoNCE + PM)": dim_local("infonce", prior_weight=0.1),
    **{f"MIGE + RP to {k}d": projected(k) for k in (16, 32, 64, 128, 256, 512, 1024)},
}
