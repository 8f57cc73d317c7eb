"""Write the files of this version that later ones must read: python tests/persistence/write.py.

Files that are there already stay: what an earlier commit wrote must be read as well.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import skops.io

import sk_mige
from sk_mige import (
    MIGEEncoder,
    MutualInfoGradientEstimator,
    NonLinearProbe,
    RandomProjectionSSGE,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
)

HERE = Path(__file__).parent / sk_mige.__version__
SMALL: dict[str, Any] = {
    "n_components": 2,
    "hidden_layer_sizes": (4,),
    "max_epochs": 2,
    "device": "cpu",
    "random_state": 0,
}
ESTIMATORS = {
    "infomax": MIGEEncoder(**SMALL),
    "projected": MIGEEncoder(**SMALL, score_estimator=RandomProjectionSSGE(2)),
    "classes": MIGEEncoder(mode="ib", **SMALL),
    "values": MIGEEncoder(mode="ib", task="regression", head="deterministic", **SMALL),
    "implicit": MIGEEncoder(mode="ib", head="implicit", **SMALL),
    "ssge": SSGEScoreEstimator(),
    "landmarks": SSGEScoreEstimator(n_landmarks=8, curl_free=True, random_state=0),
    "projection": RandomProjectionSSGE(2, random_state=0),
    "cv": SSGEScoreEstimatorCV(bandwidth_factors=(1.0,), alphas=(1e-2,), eigen_thresholds=(), cv=2),
    "sliced": SlicedScoreMatching(hidden_layer_sizes=(4,), max_epochs=1, random_state=0),
    "stein": SteinScoreEstimator(),
    "probe": NonLinearProbe(hidden_size=4, max_epochs=2, device="cpu", random_state=0),
    "channel": MutualInfoGradientEstimator(random_state=0),
}


def computed(name: str, estimator: Any, X: np.ndarray) -> dict[str, np.ndarray]:
    """What a fitted estimator computes, by the names under which it is kept."""
    found = {
        f"{name}.{method}": getattr(estimator, method)(X)
        for method in ("transform", "predict", "predict_proba")
        if hasattr(estimator, method)
    }
    if hasattr(estimator, "gradient_"):
        found[f"{name}.gradient_"] = np.asarray(estimator.gradient_)
    return found


def main() -> None:
    HERE.mkdir(exist_ok=True)
    X = np.random.default_rng(0).normal(size=(24, 3))
    expected = {"X": X}
    if (HERE / "expected.npz").exists():
        with np.load(HERE / "expected.npz") as kept:
            expected = dict(kept)
    for name, estimator in ESTIMATORS.items():
        path = HERE / f"{name}.skops"
        if path.exists():
            continue
        estimator.fit(X, (X[:, 0] > 0).astype(int))
        skops.io.dump(estimator, path, compression=zipfile.ZIP_DEFLATED, compresslevel=9)
        expected |= computed(name, estimator, X)
    np.savez_compressed(HERE / "expected.npz", **expected)


if __name__ == "__main__":
    main()
