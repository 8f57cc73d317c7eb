"""Write the files of this version that later ones must read: python tests/persistence/write.py."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import skops.io

import sk_mige
from sk_mige import (
    MIGEEncoder,
    RandomProjectionSSGE,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
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
}


def main() -> None:
    HERE.mkdir(exist_ok=True)
    X = np.random.default_rng(0).normal(size=(24, 3))
    expected = {"X": X}
    for name, estimator in ESTIMATORS.items():
        estimator.fit(X, (X[:, 0] > 0).astype(int))
        path = HERE / f"{name}.skops"
        skops.io.dump(estimator, path, compression=zipfile.ZIP_DEFLATED, compresslevel=9)
        expected[name] = estimator.transform(X)
        if hasattr(estimator, "predict"):
            expected[f"{name}.predict"] = estimator.predict(X)
    np.savez_compressed(HERE / "expected.npz", **expected)


if __name__ == "__main__":
    main()
