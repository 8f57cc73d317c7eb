"""Learn a representation of handwritten digits without labels, and evaluate the representation.

    python examples/quickstart.py                # scikit-learn's 1,797 digits: a minute
    python examples/quickstart.py --data mnist   # 10,000 digits of MNIST: some minutes

The script fits a pipeline of a scaler, `MIGEEncoder` and a classifier, and prints its accuracy. For
comparison, the encoder is replaced by raw pixels, principal components and an untrained encoder. A
picture shows the representation in two dimensions and the training curve.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")  # draw to a file, without a display

import matplotlib.pyplot as plt
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.manifold import TSNE
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler
from skorch.callbacks import Callback

from sk_mige import MIGEEncoder
from sk_mige.datasets import fetch_mnist


def load(name: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training images, test images, and their labels."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        return tuple(train_test_split(X, y, test_size=0.25, stratify=y, random_state=seed))
    X, y = fetch_mnist(return_X_y=True)
    rows = np.random.default_rng(seed).permutation(len(X))[:10_000]
    X_test, y_test = fetch_mnist(subset="test", return_X_y=True)
    return X[rows], X_test, y[rows], y_test


class EffectiveRank(Callback):
    """Record the effective rank of the representation of some rows after each epoch."""

    def __init__(self, rows: int = 1000) -> None:
        self.rows = rows

    def on_epoch_end(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        z = net.evaluation_step(dataset_train[np.arange(min(self.rows, len(dataset_train)))])
        eigenvalues = np.linalg.eigvalsh(np.cov(z.T.cpu().numpy())).clip(1e-12)
        share = eigenvalues / eigenvalues.sum()
        net.history.record("effective_rank", float(np.exp(-(share * np.log(share)).sum())))


def accuracy(before: Any, data: tuple[np.ndarray, ...], seed: int) -> tuple[Pipeline, float, float]:
    """Fit scaler, representation and classifier, and return model, accuracy in % and seconds."""
    X_train, X_test, y_train, y_test = data
    model = Pipeline(
        [
            ("scale", MinMaxScaler()),
            ("represent", before),
            ("classify", MLPClassifier(max_iter=200, random_state=seed)),
        ]
    )
    start = time.perf_counter()
    with warnings.catch_warnings():
        # For some representations, the classifier has not converged after 200 epochs.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X_train, y_train)
    return model, 100 * model.score(X_test, y_test), time.perf_counter() - start


def draw(model: Pipeline, X: np.ndarray, y: np.ndarray, path: Path, title: str) -> None:
    """Draw the representation of test images in two dimensions, and the training curve."""
    rows = np.random.default_rng(0).permutation(len(X))[:2000]
    plane = TSNE(init="pca", random_state=0).fit_transform(model[:-1].transform(X[rows]))
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    points = left.scatter(*plane.T, c=y[rows], cmap="tab10", s=8, vmin=-0.5, vmax=9.5)
    figure.colorbar(points, ax=left, ticks=range(10), label="digit (not used by the encoder)")
    left.set(title=title, xticks=[], yticks=[], xlabel="t-SNE of z, test images")
    history = model["represent"].history_
    epochs = [row["epoch"] for row in history]
    right.plot(epochs, [-row["train_loss"] for row in history], color="C0")
    right.set(title="Training", xlabel="epoch")
    right.set_ylabel("surrogate of I(x; z), maximised", color="C0")
    rank = right.twinx()
    rank.plot(epochs, [row["effective_rank"] for row in history], color="C3")
    rank.set_ylim(0, model["represent"].n_components)
    rank.set_ylabel("effective rank of z", color="C3")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=["digits", "mnist"], default="digits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=None, help="default: as in the encoder")
    parser.add_argument("--picture", type=Path, default=Path("quickstart.png"))
    arguments = parser.parse_args()
    seed = arguments.seed
    data = load(arguments.data, seed)
    sizes = f"{len(data[0])} training images, {len(data[1])} test images"
    print(f"{arguments.data}: {sizes}", flush=True)

    encoder = MIGEEncoder(verbose=1, random_state=seed, callbacks=[EffectiveRank()])
    if arguments.epochs is not None:
        encoder.set_params(max_epochs=arguments.epochs)
    # With a learning rate near 0, only the statistics of batch norms change.
    untrained = clone(encoder).set_params(lr=1e-30, max_epochs=5, verbose=0, callbacks=None)
    rows = {
        "raw pixels": "passthrough",
        "PCA, 64 components": PCA(64, random_state=seed),
        "encoder, untrained": untrained,
        "MIGEEncoder()": encoder,
    }
    results = {}
    for name, before in rows.items():
        model, percent, seconds = accuracy(before, data, seed)
        results[name] = percent
        print(f"{name:>20}: {percent:5.2f} % accuracy  ({seconds:.0f} s)", flush=True)
    title = f"{arguments.data}: accuracy of a classifier on z {results['MIGEEncoder()']:.1f} %"
    draw(model, data[1], data[3], arguments.picture, title)
    print(f"picture saved in {arguments.picture}")


if __name__ == "__main__":
    main()
