"""Dask: searches on workers, and sums and transforms of arrays by blocks."""

from __future__ import annotations

from typing import Any

import dask.array as da
import joblib
import numpy as np
import pytest
from distributed import Client
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from sk_mige import MIGEEncoder, RandomProjectionSSGE, SSGEScoreEstimator


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(300, 4))


@pytest.fixture(scope="module")
def encoder(X: np.ndarray) -> MIGEEncoder:
    return MIGEEncoder(2, hidden_layer_sizes=(8,), max_epochs=1, device="cpu", random_state=0).fit(
        X
    )


@pytest.mark.parametrize("chunks", [(64, 4), (100, 2)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_blocks_are_transformed_like_the_whole_array(
    encoder: MIGEEncoder, X: np.ndarray, chunks: Any, dtype: Any
) -> None:
    X = X.astype(dtype)
    for estimator in (encoder, SSGEScoreEstimator(n_landmarks=20, random_state=0).fit(X)):
        blocks = estimator.transform(da.from_array(X, chunks=chunks))
        expected = estimator.transform(X)
        assert blocks.shape == expected.shape
        assert blocks.dtype == expected.dtype == dtype
        found = blocks.compute(scheduler="synchronous")
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_transforms_are_lazy(encoder: MIGEEncoder) -> None:
    def fail(*args: Any) -> Any:
        raise AssertionError("computed")

    lazy = da.from_array(np.zeros((10, 4)), chunks=(5, 4)).map_blocks(
        fail, dtype=np.float64, meta=np.empty((0, 4))
    )
    transformed = encoder.transform(lazy)
    with pytest.raises(AssertionError, match="computed"):
        transformed.compute(scheduler="synchronous")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_search_on_two_workers_finds_what_one_process_finds(X: np.ndarray) -> None:
    y = (X[:, 0] > 0).astype(int)
    encoder = MIGEEncoder(
        3, score_estimator=RandomProjectionSSGE(), max_epochs=2, device="cpu", random_state=0
    )
    pipeline = Pipeline([("encode", encoder), ("classify", LogisticRegression())])
    grid = {"encode__score_estimator__n_components": [2, 4]}
    serial = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        with joblib.parallel_config("dask", client=client):
            parallel = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
        chunks = da.from_array(X, chunks=(100, 4))
        summed = SSGEScoreEstimator(n_landmarks=20, random_state=0).fit(chunks)
        scores = summed.transform(chunks).compute()
    for fold in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(parallel.cv_results_[fold], serial.cv_results_[fold])
    np.testing.assert_allclose(scores, summed.transform(X))
