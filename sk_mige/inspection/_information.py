"""What a bottleneck's representation keeps of x, and tells of y, on given rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sk_mige.networks import GaussianHead, ImplicitHead

__all__ = ["check_classifier", "kept_of_x", "log_likelihood"]


def check_classifier(encoder: Any, target: NDArray[Any]) -> None:
    """Refuse what has no place in the plane, and say what would have."""
    needs = "the information plane needs classifiers with mode='ib' and head='gaussian': "
    head = getattr(encoder.module_, "head", None)
    if isinstance(head, ImplicitHead):
        raise ValueError(
            needs + "of an implicit head's q(z | x) draws are known and no density, by which "
            "I(x; z) is measured"
        )
    if not isinstance(head, GaussianHead):
        raise ValueError(
            needs + "a deterministic encoder keeps infinitely many nats of a continuous x"
        )
    if encoder.task_ != "classification":
        raise ValueError(
            needs + f"got one of task {encoder.task_!r}, whose I(y; z) is not measured here. Where "
            "y are classes, fit it with task='classification'"
        )
    known = encoder.classes_.tolist()
    unseen = set(target.tolist()) - set(known)
    if unseen:
        raise ValueError(
            f"y has {sorted(unseen, key=str)}, which the encoder has not seen in fit and gives no "
            f"probability: pass rows of its classes {known}"
        )


@torch.inference_mode()
def kept_of_x(estimator: Any, rows: NDArray[Any], seed: int) -> float:
    """Bound of I(x; z) by the mixture of all rows' conditionals, from one draw of z a row."""
    module = estimator.module_.eval()
    device = next(module.parameters()).device
    code = module(torch.as_tensor(rows, dtype=torch.float32, device=device))
    assert code.conditional is not None  # of a Gaussian head
    mean, scale = (part.double().cpu() for part in code.conditional)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed)).double()
    total = 0.0
    for part in torch.split(torch.arange(len(mean)), max(1, 2**22 // mean.numel())):
        # log q(z_i | x_j) without the constant that all of them share.
        deviation = (mean[part] + scale[part] * noise[part])[:, None] - mean
        log_q = -(0.5 * (deviation / scale).square() + scale.log()).sum(-1)
        own = log_q[torch.arange(len(part)), part]
        total += float((own - log_q.logsumexp(1)).sum())
    return total / len(mean) + float(np.log(len(mean)))


@torch.inference_mode()
def log_likelihood(
    estimator: Any, rows: NDArray[Any], target: NDArray[Any], seed: int, n_draws: int = 16
) -> float:
    """Mean log p(y | z) over draws of z: of each draw alone, as an average of p knows more."""
    module = estimator.module_
    device = next(module.parameters()).device
    noise = torch.randn(
        n_draws, module.head.n_components, generator=torch.Generator().manual_seed(seed)
    )
    x = torch.as_tensor(rows, dtype=torch.float32, device=device)
    log_p = module.predictions(x, noise.to(device)).double().log_softmax(-1).mean(0).cpu()
    columns = torch.as_tensor(np.searchsorted(estimator.classes_, target))
    return float(log_p[torch.arange(len(rows)), columns].mean())
