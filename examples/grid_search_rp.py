"""Choose the dimension of the random projection in a pipeline by GridSearchCV.

    python examples/grid_search_rp.py                # 1,797 digits of 64 pixels: some minutes
    python examples/grid_search_rp.py --data mnist   # 2,000 digits of 784 pixels

MIGE depends on the inputs x only through the distances between rows. A random projection to k
dimensions preserves squared distances up to a relative error of about sqrt(2/k). The pipeline
consists of a scaler, an encoder and a classifier. The search compares values of k by the
cross-validated accuracy of the pipeline.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")  # draw to a file, without a display

import sklearn
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    ValidationCurveDisplay,
    cross_val_score,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler

import sk_mige
from sk_mige import MIGEEncoder, RandomProjectionSSGE
from sk_mige.datasets import fetch_mnist

KEY = "represent__score_estimator__n_components"


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels."""
    if name == "digits":
        return load_digits(return_X_y=True)
    X, y = fetch_mnist(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(X))[:2000]
    return X[rows], y[rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=["digits", "mnist"], default="digits")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=Path("grid_search_rp.png"))
    parser.add_argument("--results", type=Path, default=None, help="also write the rows as JSON")
    arguments = parser.parse_args()
    X, y = load(arguments.data)
    start = time.perf_counter()

    pipeline = Pipeline(
        [
            ("scale", MinMaxScaler()),
            (
                "represent",
                MIGEEncoder(
                    n_components=32,
                    score_estimator=RandomProjectionSSGE(),
                    max_epochs=arguments.epochs,
                    device="cpu",
                    random_state=arguments.seed,
                ),
            ),
            ("classify", LogisticRegression(max_iter=2000)),
        ]
    )
    folds = StratifiedKFold(3, shuffle=True, random_state=arguments.seed)
    dimensions = [1, 2, 4, 8, 16, 32, 64]
    search = GridSearchCV(pipeline, {KEY: dimensions}, cv=folds, n_jobs=arguments.jobs, verbose=2)
    search.fit(X, y)
    plain = pipeline.set_params(represent__score_estimator=None)
    exact = cross_val_score(plain, X, y, cv=folds, n_jobs=arguments.jobs)
    seconds = time.perf_counter() - start

    print(f"{'k':>6}  accuracy, % (mean and standard deviation over the folds)")
    results = search.cv_results_
    for k, mean, std in zip(
        dimensions, results["mean_test_score"], results["std_test_score"], strict=True
    ):
        print(f"{k:>6}  {100 * mean:.2f} ± {100 * std:.2f}")
    print(f" exact  {100 * exact.mean():.2f} ± {100 * exact.std():.2f}")
    print(f"best: k = {search.best_params_[KEY]}; {seconds:.0f} s in all")
    title = f"{arguments.data}: {X.shape[1]} pixels, batches of {pipeline['represent'].batch_size}"
    scores = np.transpose([results[f"split{i}_test_score"] for i in range(search.n_splits_)])
    display = ValidationCurveDisplay(
        param_name="dimensions of the projection",
        param_range=dimensions,
        train_scores=scores,
        test_scores=scores,
        score_name="accuracy of a linear classifier on z",
    ).plot(score_type="test", std_display_style="errorbar")
    display.errorbar_[0].set_label("random projection")
    display.ax_.axhline(exact.mean(), color="C1", label="exact distances")
    display.ax_.set_xscale("log", base=2)
    display.ax_.set_title(title)
    display.ax_.legend()
    display.figure_.savefig(arguments.picture, dpi=110)
    print(f"picture saved in {arguments.picture}")
    if arguments.results:
        write(arguments, search, exact)


def write(arguments: argparse.Namespace, search: GridSearchCV, exact: np.ndarray) -> None:
    """Write the accuracy for each k and fold to a results file."""
    results = search.cv_results_
    scores = {
        f"MIGE, RP to {parameters[KEY]}": [
            results[f"split{fold}_test_score"][i] for fold in range(search.n_splits_)
        ]
        for i, parameters in enumerate(results["params"])
    }
    scores["MIGE, exact distances"] = list(exact)
    rows = [
        {
            "dataset": arguments.data,
            "method": method,
            "feature": "z (32)",
            "metric": "accuracy, logistic regression",
            "value": round(100 * float(score), 3),
            "seed": fold,
            "epochs": arguments.epochs,
            "seconds": None,
            "paper": None,
        }
        for method, values in scores.items()
        for fold, score in enumerate(values)
    ]
    content = {
        "command": "python " + " ".join(sys.argv),
        "versions": {
            "python": platform.python_version(),
            "scikit-learn": sklearn.__version__,
            "sk_mige": sk_mige.__version__,
            "torch": torch.__version__,
        },
        "machine": f"{platform.machine()}, {arguments.jobs} processes",
        "rows": rows,
    }
    arguments.results.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
