"""Train an encoder until the process is stopped, as one of two processes."""

from __future__ import annotations

import sys

import numpy as np

from sk_mige import MIGEEncoder
from sk_mige.training import Checkpoint

X = np.random.default_rng(0).normal(size=(64, 5))


def encoder(path: str, max_epochs: int) -> MIGEEncoder:
    return MIGEEncoder(
        2,
        hidden_layer_sizes=(8,),
        distributed=True,
        batch_size=32,
        max_epochs=max_epochs,
        lr_schedule="constant",
        callbacks=[Checkpoint(path)],
        device="cpu",
        random_state=0,
    )


if __name__ == "__main__":
    encoder(sys.argv[1], 1_000_000).fit(X)
