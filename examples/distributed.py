"""Train one encoder in several processes, with scores estimated from the joint batch.

    torchrun --standalone --nproc-per-node 2 examples/distributed.py --device cpu

On machines with GPUs, omit ``--device``. Each process uses one GPU, and the processes communicate
by NCCL. On CPUs, the processes communicate by gloo. Every process loads the same rows, and applies
the encoder to a part of the rows of each batch. After a crash, the same command continues the
training from the last checkpoint.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from sk_mige import MIGEEncoder
from sk_mige.training import Checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128, help="rows of each process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path, default=Path("distributed.pt"))
    arguments = parser.parse_args()

    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=arguments.seed)
    encoder = MIGEEncoder(
        n_components=16,
        distributed=True,
        max_epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        device=arguments.device,
        callbacks=[Checkpoint(arguments.checkpoint)],
        verbose=1,
        random_state=arguments.seed,
    )
    Z_train = encoder.fit_transform(X_train)
    if int(os.environ.get("RANK", "0")) == 0:  # all processes have the same encoder
        probe = LogisticRegression(max_iter=2000).fit(Z_train, y_train)
        accuracy = probe.score(encoder.transform(X_test), y_test)
        print(f"{encoder.n_iter_} epochs on {os.environ.get('WORLD_SIZE', '1')} processes")
        print(f"accuracy of a linear classifier on z: {100 * accuracy:.1f} %")


if __name__ == "__main__":
    main()
