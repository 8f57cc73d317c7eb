"""Score of transformers without labels: known orders, invariances, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, FastICA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.random_projection import GaussianRandomProjection

from sk_mige import MIGEEncoder
from sk_mige.metrics import representation_score


def table(n: int = 1200, seed: int = 0) -> Any:
    """Return standardised rows: four factors in 20 columns, with noise in each column."""
    rng = np.random.default_rng(seed)
    loadings = np.random.default_rng(9).standard_normal((4, 20))
    return StandardScaler().fit_transform(
        rng.standard_normal((n, 4)) @ loadings + rng.standard_normal((n, 20))
    )


TRAIN, X = table(seed=1), table(seed=2)


def score_of(transformer: Any, **options: Any) -> float:
    return representation_score(transformer.fit(TRAIN), X, **options)


def last_components(n: int) -> Any:
    return make_pipeline(PCA(), FunctionTransformer(lambda Z: Z[:, -n:]))


def test_informative_components_have_higher_scores() -> None:
    scores = [score_of(PCA(n)) for n in (1, 2, 4)]
    assert scores == sorted(scores)
    assert score_of(last_components(4)) < 0.2 * scores[-1]
    projections = [GaussianRandomProjection(4, random_state=seed) for seed in range(3)]
    assert max(score_of(projection) for projection in projections) < 0.7 * scores[-1]


def test_a_constant_representation_has_the_lowest_score() -> None:
    assert score_of(FunctionTransformer(lambda Z: 0 * Z)) == 0
    assert score_of(make_pipeline(PCA(1), FunctionTransformer(lambda Z: np.c_[Z, Z]))) < 1


def test_rotations_and_units_of_components_hardly_matter() -> None:
    pca = score_of(PCA(4))
    assert score_of(FastICA(4, random_state=0)) == pytest.approx(pca, rel=0.02)
    assert score_of(PCA(4, whiten=True)) == pytest.approx(pca, rel=0.02)


def test_units_of_columns_do_not_matter_after_a_scaler() -> None:
    units = np.geomspace(1e-3, 1e3, 20)
    pipeline = make_pipeline(StandardScaler(), PCA(4))
    moved = representation_score(pipeline.fit(5 + units * TRAIN), 5 + units * X)
    assert moved == pytest.approx(score_of(pipeline), rel=1e-6)


@pytest.mark.parametrize("n", [100, 1200])
def test_the_order_of_the_rows_hardly_matters(n: int) -> None:
    pca = PCA(4).fit(TRAIN)
    rows = X[:n]
    for seed in range(3):
        mixed = np.random.default_rng(seed).permutation(rows)
        assert representation_score(pca, mixed) == pytest.approx(
            representation_score(pca, rows), rel=0.15
        )


def test_labels_are_ignored_and_calls_repeat_the_score() -> None:
    pca = PCA(4).fit(TRAIN)
    assert representation_score(pca, X, np.arange(len(X))) == representation_score(pca, X)


def test_copies_of_other_rows_share_no_information() -> None:
    assert score_of(PCA(4), shuffled=True) < 0.05


@pytest.mark.parametrize(
    "transformer",
    [
        PCA(8),
        FastICA(8, random_state=0, max_iter=1000, tol=1e-2),
        FunctionTransformer(lambda Z: np.tanh(Z @ np.random.default_rng(3).normal(size=(20, 8)))),
        FunctionTransformer(lambda Z: np.sign(Z[:, :8] - 1)),
    ],
)
def test_independent_columns_give_at_most_a_known_score(transformer: Any) -> None:
    noise = np.random.default_rng(0).exponential(size=(24_000, 20))
    score = representation_score(transformer.fit(noise[:2000]), noise[2000:])
    assert 0 < score < 1.05 * 8 * 0.5 * np.log(4 / 3)


def test_an_encoder_has_the_same_score_by_both_calls() -> None:
    rows = load_digits().data[:700]
    encoder = MIGEEncoder(8, max_epochs=1, random_state=0).fit(rows)
    assert representation_score(encoder, rows) == pytest.approx(encoder.score(rows), rel=1e-3)
    pipeline = make_pipeline(StandardScaler(), MIGEEncoder(8, max_epochs=1, random_state=0))
    assert representation_score(pipeline.fit(rows), rows) > 1


def test_images_keep_their_shape() -> None:
    images = load_digits().images[:200, None]
    encoder = MIGEEncoder(4, encoder="conv", max_epochs=1, random_state=0).fit(images)
    assert representation_score(encoder, images) == pytest.approx(encoder.score(images), rel=1e-3)


def test_a_search_without_labels_chooses_enough_components() -> None:
    pipeline = make_pipeline(StandardScaler(), PCA())
    grid = {"pca__n_components": [1, 4]}
    search = GridSearchCV(pipeline, grid, scoring=representation_score, cv=2).fit(TRAIN)
    assert search.best_params_ == {"pca__n_components": 4}
    assert representation_score(search, X) == representation_score(search.best_estimator_, X)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_data_frames_keep_their_columns(frame: Any) -> None:
    columns = [f"c{i}" for i in range(20)]
    pipeline = make_pipeline(StandardScaler(), PCA(4)).set_output(transform="pandas")
    names = frame(TRAIN, **{"columns" if frame is pd.DataFrame else "schema": columns})
    of_frame = representation_score(pipeline.fit(names), names)
    of_array = representation_score(PCA(4).fit(TRAIN), TRAIN)
    assert of_frame == pytest.approx(of_array, rel=1e-6)


@pytest.mark.parametrize(
    ("transformer", "error", "message"),
    [
        (LogisticRegression(), TypeError, r"no transform.*pipeline\[:-1\]"),
        (TSNE(), TypeError, "TSNE, which has no transform"),
        (PCA, TypeError, "class"),
        (GridSearchCV(PCA(), {}, refit=False), TypeError, "refit=True"),
        (PCA(), NotFittedError, "not fitted"),
        (make_pipeline(StandardScaler(), PCA()), NotFittedError, "not fitted"),
    ],
)
def test_estimators_without_representations_are_refused(
    transformer: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        representation_score(transformer, X)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (sp.csr_array(X), TypeError, "Sparse data was passed for X"),
        (X[:3], ValueError, "at least 4 rows.*got 3"),
        (np.where(X > 2, np.nan, X), ValueError, "(?s)X contains NaN.*imputer"),
        (np.where(X > 2, np.inf, X), ValueError, r"X contains infinity[^\n]*\Z"),
        (np.ones((20, 20)), ValueError, "0 columns that vary"),
        (np.eye(20)[:1] * X[:, :1], ValueError, "1 columns that vary"),
        (X[0], ValueError, r"shape \(n_samples, n_features\)"),
        (np.full((20, 20), "a"), ValueError, "X must be a table of numbers"),
        (X[:, :3], ValueError, "3 features"),
    ],
)
def test_unusable_rows_are_refused(rows: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        representation_score(PCA(4).fit(TRAIN), rows)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda Z: Z[:-1], ValueError, "output of transform has .* rows for"),
        (lambda Z: np.full_like(Z, np.nan), ValueError, "the output of transform contains"),
        (lambda Z: sp.csr_array(Z), TypeError, "Sparse data was passed for the output"),
        (lambda Z: Z[:, 0], ValueError, "Expected 2D array"),
    ],
)
def test_unusable_representations_are_refused(
    function: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        score_of(FunctionTransformer(function))
