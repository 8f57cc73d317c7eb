"""Bounds of the information that a bottleneck's representation has about x and about y."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sk_mige.networks import evaluate

__all__ = ["check_bottleneck", "information_about_x", "log_likelihood"]

N_DRAWS = 16
# Values of one chunk of log densities: 32 MiB as float64.
CHUNK_VALUES = 2**22


def check_bottleneck(encoder: Any, target: NDArray[Any]) -> None:
    """Raise for encoders and classes without a place in the information plane."""
    check_is_fitted(encoder, "module_")
    needs = "the information plane needs classifiers with mode='ib' and head='gaussian': "
    head = getattr(encoder.module_, "head", None)
    if not getattr(head, "stochastic", False):
        raise ValueError(needs + "I(x; z) of a deterministic encoder is infinite")
    if not getattr(head, "closed_form", False):
        raise ValueError(
            needs + f"I(x; z) needs the density q(z | x), which {type(head).__name__} does not have"
        )
    if encoder.task_ != "classification":
        raise ValueError(
            needs + f"I(y; z) is estimated for classes only, got task={encoder.task_!r}; if y are "
            "classes, fit mode=InformationBottleneck(task='classification')"
        )
    known = encoder.classes_.tolist()
    unseen = set(target.tolist()) - set(known)
    if unseen:
        raise ValueError(
            f"y has the classes {sorted(unseen, key=str)}, which were not seen in fit: pass rows "
            f"of the classes {known}"
        )


def information_about_x(encoder: Any, rows: NDArray[Any] | Tensor, seed: int) -> float:
    """Return a lower bound of I(x; z), from one draw of z for each row.

    The marginal density of z is the mixture of all rows' conditional densities.
    """

    def conditional(x: Tensor) -> Tensor:
        code = encoder.module_(x)
        assert code.conditional is not None  # the head has a closed form
        return torch.stack(code.conditional, dim=1)

    values = evaluate(encoder.module_, conditional, rows)
    mean, scale = torch.from_numpy(values).double().unbind(1)
    noise = _noise(*mean.shape, seed=seed).double()
    total = 0.0
    for part in torch.split(torch.arange(len(mean)), max(1, CHUNK_VALUES // mean.numel())):
        # log q(z_i | x_j), without the constant that is the same for all i and j.
        deviation = (mean[part] + scale[part] * noise[part])[:, None] - mean
        log_q = -(0.5 * (deviation / scale).square() + scale.log()).sum(-1)
        own = log_q[torch.arange(len(part)), part]
        total += float((own - log_q.logsumexp(1)).sum())
    return total / len(mean) + float(np.log(len(mean)))


def log_likelihood(
    encoder: Any, rows: NDArray[Any] | Tensor, target: NDArray[Any], seed: int
) -> float:
    """Return the mean of log p(y | z) over rows and draws of z.

    The logarithm is taken for each draw. An average of p over draws would use more information
    than one z has.
    """
    module = encoder.module_
    noise = _noise(N_DRAWS, module.head.n_components, seed=seed)

    def log_p(x: Tensor) -> Tensor:
        logits: Tensor = module.predictions(x, noise.to(x.device))
        return logits.double().log_softmax(-1).mean(0)

    values: NDArray[np.float64] = evaluate(module, log_p, rows)
    return float(values[np.arange(len(values)), np.searchsorted(encoder.classes_, target)].mean())


def _noise(*shape: int, seed: int) -> Tensor:
    """Return standard normal numbers, the same whatever the encoder's device is."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float32)
