"""Write the files that later versions must read: python tests/persistence/write.py.

Existing files stay, because later versions must read the files of earlier commits too.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import skops.io

import sk_mige
from sk_mige import (
    MIGE,
    BarlowTwins,
    CodingRate,
    Critic,
    InfoMax,
    InformationBottleneck,
    KernelSteinTest,
    MIGEEncoder,
    MutualInfoEstimator,
    MutualInfoGradientEstimator,
    NonLinearProbe,
    RandomProjectionSSGE,
    SIGReg,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
    SteinThinning,
    Variational,
    VICReg,
    WeightedKNNClassifier,
)

HERE = Path(__file__).parent / sk_mige.__version__
SMALL: dict[str, Any] = {
    "n_components": 2,
    "hidden_layer_sizes": (4,),
    "max_epochs": 2,
    "device": "cpu",
    "random_state": 0,
}
X = np.random.default_rng(0).normal(size=(24, 3))
ESTIMATORS = {
    "infomax": MIGEEncoder(**SMALL),
    "projected": MIGEEncoder(**SMALL, score_estimator=RandomProjectionSSGE(2)),
    **{
        name: MIGEEncoder(mode=InfoMax(information, n_views=2), **SMALL)
        for name, information in {
            "barlow-twins": BarlowTwins(),
            "coding-rate": CodingRate(),
            "sigreg": SIGReg(n_directions=8),
            "vicreg": VICReg(),
        }.items()
    },
    "critic": MIGEEncoder(mode=InfoMax(Critic("club")), **SMALL),
    "classes": MIGEEncoder(mode="ib", **SMALL),
    "values": MIGEEncoder(
        mode=InformationBottleneck(MIGE(0.5), task="regression", head="deterministic"), **SMALL
    ),
    "implicit": MIGEEncoder(mode=InformationBottleneck(head="implicit"), **SMALL),
    "variational": MIGEEncoder(mode=InformationBottleneck(Variational("learned")), **SMALL),
    "ssge": SSGEScoreEstimator(),
    "landmarks": SSGEScoreEstimator(n_landmarks=8, curl_free=True, random_state=0),
    "projection": RandomProjectionSSGE(2, random_state=0),
    "cv": SSGEScoreEstimatorCV(bandwidth_factors=(1.0,), alphas=(1e-2,), eigen_thresholds=(), cv=2),
    "sliced": SlicedScoreMatching(hidden_layer_sizes=(4,), max_epochs=1, random_state=0),
    "stein": SteinScoreEstimator(),
    "probe": NonLinearProbe(hidden_size=4, max_epochs=2, device="cpu", random_state=0),
    "neighbours": WeightedKNNClassifier(5),
    "channel": MutualInfoGradientEstimator(random_state=0),
    "goodness": KernelSteinTest(SSGEScoreEstimator().fit(X), n_bootstrap=9, random_state=0),
    "thinning": SteinThinning(5, SSGEScoreEstimator()),
    "information": MutualInfoEstimator(["gaussian"], random_state=0),
}


def computed(name: str, estimator: Any, X: np.ndarray) -> dict[str, np.ndarray]:
    """Return results of a fitted estimator, keyed by their names in the file."""
    found = {
        f"{name}.{method}": getattr(estimator, method)(X)
        for method in ("transform", "predict", "predict_proba")
        if hasattr(estimator, method)
    }
    for attribute in ("gradient_", "mutual_info_", "p_value_", "indices_"):
        if hasattr(estimator, attribute):
            found[f"{name}.{attribute}"] = np.asarray(getattr(estimator, attribute))
    return found


def main() -> None:
    HERE.mkdir(exist_ok=True)
    expected = {"X": X}
    if (HERE / "expected.npz").exists():
        with np.load(HERE / "expected.npz") as kept:
            expected = dict(kept)
    for name, estimator in ESTIMATORS.items():
        path = HERE / f"{name}.skops"
        if path.exists():
            continue
        labels = (X[:, 0] > 0).astype(int)
        estimator.fit(X, X[:, :2] + X[:, 1:] if name == "information" else labels)
        skops.io.dump(estimator, path, compression=zipfile.ZIP_DEFLATED, compresslevel=9)
        expected |= computed(name, estimator, X)
    np.savez_compressed(HERE / "expected.npz", **expected)


if __name__ == "__main__":
    main()
