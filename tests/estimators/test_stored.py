"""Models are stored without tensors, so that skops can store them."""

from __future__ import annotations

import numpy as np
import skops.io
import torch
from torch import nn

from sk_mige.estimators._stored import to_stored, to_tensors

X = np.random.default_rng(0).normal(size=(200, 4))
CPU = torch.device("cpu")


def test_modules_and_tables_of_a_model_are_stored_without_tensors() -> None:
    frozen = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)).requires_grad_(False).eval()
    model = {"networks": (frozen, nn.Linear(4, 2)), "table": {(0, 1): torch.ones(2)}}
    stored = skops.io.dumps(to_stored(model))
    unknown = skops.io.get_untrusted_types(data=stored)
    loaded = to_tensors(skops.io.loads(stored, trusted=unknown), CPU)
    x = torch.as_tensor(X, dtype=torch.float32)
    for own, other in zip(model["networks"], loaded["networks"], strict=True):
        assert torch.equal(own(x), other(x))
    assert [p.requires_grad for part in loaded["networks"] for p in part.parameters()] == (
        [False] * 4 + [True] * 2
    )
    assert torch.equal(loaded["table"][0, 1], torch.ones(2))
