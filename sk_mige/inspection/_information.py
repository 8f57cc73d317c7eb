"""What a bottleneck's representation keeps of x, and tells of y, on given rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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


def kept_of_x(encoder: Any, rows: Any, seed: int) -> float:
    """Bound of I(x; z) by the mixture of all rows' conditionals, from one draw of z a row."""

    def conditional(x: Tensor) -> Tensor:
        code = encoder.module_(x)
        assert code.conditional is not None  # of a Gaussian head
        return torch.stack(code.conditional, dim=1)

    mean, scale = torch.from_numpy(encoder._in_chunks(conditional, rows)).double().unbind(1)
    noise = _noise(*mean.shape, seed=seed).double()
    total = 0.0
    for part in torch.split(torch.arange(len(mean)), max(1, 2**22 // mean.numel())):
        # log q(z_i | x_j) without the constant that all of them share.
        deviation = (mean[part] + scale[part] * noise[part])[:, None] - mean
        log_q = -(0.5 * (deviation / scale).square() + scale.log()).sum(-1)
        own = log_q[torch.arange(len(part)), part]
        total += float((own - log_q.logsumexp(1)).sum())
    return total / len(mean) + float(np.log(len(mean)))


def log_likelihood(
    encoder: Any, rows: Any, target: NDArray[Any], seed: int, n_draws: int = 16
) -> float:
    """Mean log p(y | z) over draws of z: of each draw alone, as an average of p knows more."""
    module = encoder.module_
    noise = _noise(n_draws, module.head.n_components, seed=seed)

    def log_p(x: Tensor) -> Tensor:
        logits: Tensor = module.predictions(x, noise.to(x.device))
        return logits.double().log_softmax(-1).mean(0)

    found: NDArray[np.float64] = encoder._in_chunks(log_p, rows)
    return float(found[np.arange(len(found)), np.searchsorted(encoder.classes_, target)].mean())


def _noise(*shape: int, seed: int) -> Tensor:
    """Standard normal numbers, the same wherever the encoder is."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32)
