"""Where the noise of an estimate comes from."""

from __future__ import annotations

import numpy as np
import torch

__all__ = ["noise_generator"]


def noise_generator(seed: int) -> torch.Generator:
    """A generator for our own noise, seeded by a child of ``seed``.

    Users seed their data with 0 as well: with ``manual_seed(0)`` here the noise that is added to
    their samples could be those very samples again.
    """
    child = np.random.SeedSequence(seed).spawn(1)[0]
    return torch.Generator().manual_seed(int(child.generate_state(1, np.uint64)[0]) >> 1)
