"""Tests of each row of the comparison with scikit-learn and skorch."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import skops.io
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch import NeuralNetClassifier

from sk_mige import InfoMax, InformationBottleneck, MIGEEncoder, inspection

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "comparison.rst"
X = np.random.default_rng(0).normal(size=(120, 6))
y = (X[:, 0] > 0).astype(int)

SMALL: dict[str, Any] = {
    "n_components": 2,
    "hidden_layer_sizes": (8,),
    "max_epochs": 1,
    "device": "cpu",
    "random_state": 0,
}
encoder = MIGEEncoder(**SMALL)
bottleneck = MIGEEncoder(mode="ib", **SMALL)


def skorch_net() -> NeuralNetClassifier:
    with torch.random.fork_rng():
        module = torch.nn.Sequential(torch.nn.Linear(6, 2), torch.nn.Softmax(-1))
    return NeuralNetClassifier(module, max_epochs=1, verbose=0)


def fitted(estimator: Any = encoder) -> Any:
    return clone(estimator).fit(X, y)


def transforms() -> None:
    assert encoder.fit_transform(X).shape == PCA(2).fit_transform(X).shape
    assert not hasattr(skorch_net(), "transform")


def inverse() -> None:
    assert hasattr(PCA, "inverse_transform")
    assert not hasattr(encoder, "inverse_transform")


def predicts() -> None:
    model = fitted(bottleneck)
    assert model.predict_proba(X).shape == (120, 2)
    assert model.score(X, y) == np.mean(model.predict(X) == y)
    assert not hasattr(fitted(), "predict")
    assert fitted().score(X) >= 0


def continues() -> None:
    assert fitted().partial_fit(X).n_iter_ == 2
    assert fitted().set_params(warm_start=True).fit(X).n_iter_ == 2
    assert hasattr(IncrementalPCA, "partial_fit")


def checks() -> None:  # tests/test_common.py
    assert hasattr(encoder, "__sklearn_tags__")


def searched() -> None:
    for dtype in (np.float32, np.float64, np.int64):
        rows = (10 * X).astype(dtype)
        GridSearchCV(
            make_pipeline(clone(bottleneck)), {"migeencoder__mode__beta": [0, 1]}, cv=2
        ).fit(rows, y)
    with pytest.raises(RuntimeError, match="dtype"):
        skorch_net().fit(X, y)


def width() -> None:
    assert make_pipeline(PCA(4), clone(encoder)).fit(X)[-1].n_features_in_ == 4


def frames() -> None:
    frame = pd.DataFrame(X, columns=list("abcdef"))
    shown = clone(encoder).set_output(transform="pandas").fit(frame)
    assert list(shown.feature_names_in_) == list("abcdef")
    assert list(shown.transform(frame).columns) == ["migeencoder0", "migeencoder1"]
    assert isinstance(shown.set_output(transform="polars").transform(frame), pl.DataFrame)
    assert not hasattr(skorch_net(), "set_output")


def array_api() -> None:  # tests/test_common.py runs the checks of scikit-learn
    assert encoder.__sklearn_tags__().array_api_support


def sparse() -> None:
    with pytest.raises(TypeError, match="TruncatedSVD"):
        clone(encoder).fit(sp.csr_array(X))
    assert skorch_net().fit(sp.csr_matrix(X.astype(np.float32)), y).predict(X.astype("f")).any()


def dask() -> None:
    blocks = fitted().transform(da.from_array(X, chunks=(40, 6)))
    assert blocks.chunks[0] == (40, 40, 40)


def weights() -> None:
    assert "class_weight" in InformationBottleneck().get_params()
    with pytest.raises(TypeError, match="sample_weight"):
        clone(bottleneck).fit(X, y, sample_weight=np.ones(120))


def notebook() -> None:
    for estimator in (PCA(), skorch_net(), encoder):
        assert type(estimator).__name__ in estimator._repr_html_()


def units() -> None:
    assert "whiten" in PCA().get_params()
    long = {**SMALL, "max_epochs": 60, "mode": InfoMax(corruption=0.0, output_scale="unit")}
    unit = MIGEEncoder(**long).fit_transform(X)
    np.testing.assert_allclose(unit.std(0), 1.0, atol=0.15)


def components() -> None:
    assert PCA(0.5).fit(X).n_components_ < 6
    GridSearchCV(clone(bottleneck), {"n_components": [1, 2]}, cv=2).fit(X, y)


def repeatable() -> None:  # NumPy's generator: the fixture global_random_state_untouched
    state = torch.get_rng_state()
    np.testing.assert_array_equal(fitted().transform(X), fitted().transform(X))
    assert torch.equal(torch.get_rng_state(), state)
    assert "random_state" not in skorch_net().get_params()


def device() -> None:  # on a GPU, tests run with --device cuda
    assert MIGEEncoder().device == "auto"
    assert "device" in skorch_net().get_params()


def processes() -> None:  # tests/distributed
    assert "distributed" in encoder.get_params()


def watched() -> None:  # tests/estimators/test_encoder_callbacks.py
    assert "callbacks" in encoder.get_params()
    assert hasattr(encoder, "set_callbacks")


def held_out() -> None:
    model = clone(bottleneck).set_params(validation_fraction=0.2).fit(X, y)
    assert "valid_loss" in model.history_[0]
    assert "train_split" in skorch_net().get_params()


def stored() -> None:  # tests/estimators/test_encoder_export.py
    data = skops.io.dumps(fitted())
    known = skops.io.get_untrusted_types(data=data)
    np.testing.assert_array_equal(
        skops.io.loads(data, trusted=known).transform(X), fitted().transform(X)
    )


def pictures() -> None:  # tests/inspection
    assert inspection.__all__


def density() -> None:
    assert hasattr(PCA, "score_samples")
    assert not hasattr(encoder, "score_samples")


def explained() -> None:
    assert hasattr(PCA(2).fit(X), "explained_variance_ratio_")
    long = MIGEEncoder(**{**SMALL, "max_epochs": 30}).fit(X)
    variances = long.transform(X).var(0)
    assert (variances <= 1.1 * PCA(2).fit(X).explained_variance_[0]).all()


TRIED: dict[str, Callable[[], None]] = {
    "fit, transform, fit_transform": transforms,
    "inverse_transform": inverse,
    "predict, predict_proba, score": predicts,
    "partial_fit, warm_start": continues,
    "All checks of check_estimator": checks,
    "Pipeline, GridSearchCV, clone": searched,
    "Input width set by the pipeline": width,
    "pandas and polars output, feature names": frames,
    "Array API inputs (torch tensors, …)": array_api,
    "Sparse input": sparse,
    "Dask arrays": dask,
    "Weights of rows or classes": weights,
    "Diagram in a notebook": notebook,
    "Whitening, units of the output": units,
    "Choice of the number of components": components,
    "random_state for repeatable results": repeatable,
    "GPU": device,
    "Several processes": processes,
    "Progress, callbacks": watched,
    "Validation split": held_out,
    "Storing without a GPU, without pickle": stored,
    "Plots": pictures,
    "Density of x": density,
    "Explained fraction of the variance": explained,
}


def test_the_table_has_exactly_the_rows_that_are_tested() -> None:
    rows = re.findall(r"^   \* - (.*)$", PAGE.read_text(encoding="utf-8"), re.M)
    assert [row.replace("``", "") for row in rows[1:]] == list(TRIED)


@pytest.mark.parametrize("row", TRIED)
def test_a_row_is_true(row: str) -> None:
    TRIED[row]()
