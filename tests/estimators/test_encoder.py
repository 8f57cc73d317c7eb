"""MIGEEncoder as a transformer: its results, their types, and repeatability."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from torch import nn

from sk_mige import InfoMax, MIGEEncoder, RandomProjectionSSGE, SSGEScoreEstimator
from sk_mige.networks import ConvEncoder, MLPEncoder
from sk_mige.objectives import default_training_score

from .conftest import small


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(150, 3)) @ rng.normal(size=(3, 16)) + rng.normal(size=(150, 16)) / 9


def effective_rank(Z: np.ndarray) -> float:
    eigenvalues = np.linalg.eigvalsh(np.cov(Z.T)).clip(1e-12)
    p = eigenvalues / eigenvalues.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def test_training_raises_the_information_about_held_out_digits(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = digits
    encoder = MIGEEncoder(16, max_epochs=15, batch_size=128, random_state=0)
    trained = encoder.fit_transform(X)
    untrained = clone(encoder).set_params(max_epochs=1, lr=1e-30).fit_transform(X)
    probe = LogisticRegression(max_iter=2000)
    scores = [cross_val_score(probe, Z, y, cv=3).mean() for Z in (trained, untrained)]
    assert scores[0] > scores[1] + 0.02
    assert effective_rank(trained) > effective_rank(untrained)


def test_default_settings_do_not_collapse(digits: tuple[np.ndarray, np.ndarray]) -> None:
    encoder = MIGEEncoder(max_epochs=10, random_state=0).fit(digits[0])
    Z = encoder.transform(digits[0])
    assert Z.shape == (1797, 64)
    # In the units of the input, the first components are the largest, as in PCA.
    assert effective_rank(Z) > 0.5 * effective_rank(PCA().fit_transform(digits[0]))
    assert effective_rank(Z @ np.linalg.inv(encoder.module_.head.alignment.numpy())) > 24


def test_every_component_has_unit_variance_where_asked_for(X: np.ndarray) -> None:
    encoder = small(InfoMax(output_scale="unit", corruption=0.0), max_epochs=30)
    Z = encoder.fit_transform(X)
    np.testing.assert_allclose(Z.mean(0), 0, atol=0.2)
    np.testing.assert_allclose(Z.std(0), 1, atol=0.2)


def test_components_have_the_units_of_the_input_and_the_largest_comes_first(
    X: np.ndarray,
) -> None:
    Z = small(max_epochs=30).fit_transform(X)
    covariance = np.cov(Z.T)
    np.testing.assert_allclose(covariance - np.diag(covariance.diagonal()), 0, atol=1e-3)
    assert (np.diff(covariance.diagonal()) < 0).all()
    # Three components cannot explain more of X than its first three principal components.
    principal = np.linalg.eigvalsh(np.cov(X.T))[::-1][:3]
    assert covariance.trace() <= principal.sum() * 1.001
    assert covariance.trace() > 0.5 * principal.sum()
    in_other_units = small(max_epochs=30).fit_transform(1024 * X)
    assert in_other_units.std() == pytest.approx(1024 * Z.std(), rel=0.1)


def test_units_of_the_output_are_an_invertible_map_of_the_standardised_one(X: np.ndarray) -> None:
    unit = small(InfoMax(output_scale="unit")).fit_transform(X)
    encoder = small().fit(X)
    alignment = encoder.module_.head.alignment.numpy()
    np.testing.assert_allclose(encoder.transform(X), unit @ alignment, rtol=1e-4, atol=1e-5)
    assert np.linalg.cond(alignment) < 1e3


def test_linear_encoder_of_enough_width_finds_the_principal_components(X: np.ndarray) -> None:
    linear = small(n_components=16, encoder=nn.Linear).fit(X)
    principal = PCA(2).fit_transform(X)
    for found, expected in zip(linear.transform(X).T, principal.T, strict=False):
        assert abs(np.corrcoef(found, expected)[0, 1]) > 0.999


def test_a_stream_keeps_its_axes(X: np.ndarray) -> None:
    encoder = small().partial_fit(X)
    assert torch.equal(encoder.module_.head.alignment, torch.eye(3))
    fitted = encoder.fit(X).module_.head.alignment.clone()
    assert torch.equal(encoder.partial_fit(X).module_.head.alignment, fitted)


def test_without_standardising_the_network_ends_with_its_linear_layer(X: np.ndarray) -> None:
    encoder = small(InfoMax(output_scale=None)).fit(X)
    np.testing.assert_array_equal(
        encoder.transform(X), clone(encoder).set_params(output="Y").fit_transform(X)
    )


def test_units_of_the_input_do_not_matter(X: np.ndarray) -> None:
    # A factor that is a power of two changes the units without rounding.
    Z = small().fit_transform(X)
    scaled = small().fit_transform(X * 2.0**20)
    # The initial weights are equal, so only the epsilon of batch norm causes a difference.
    assert np.corrcoef(Z[:, 0], scaled[:, 0])[0, 1] > 0.9


def test_same_seed_same_result_and_global_state_untouched(
    X: np.ndarray, global_random_state_untouched: None
) -> None:
    first = small().fit_transform(X)
    np.testing.assert_array_equal(first, small().fit_transform(X))
    other = small(random_state=1).fit_transform(X)
    assert not np.allclose(first, other)


def test_infomax_ignores_targets(X: np.ndarray) -> None:
    y = np.arange(len(X))
    np.testing.assert_array_equal(small().fit(X, y).transform(X), small().fit(X).transform(X))
    assert not hasattr(small().fit(X, y), "predict")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_result_has_the_dtype_of_the_input(X: np.ndarray, dtype: type) -> None:
    assert small().fit_transform(X.astype(dtype)).dtype == dtype


def test_integer_images_are_taken_as_float32(rng: np.random.Generator) -> None:
    X = rng.integers(0, 255, size=(60, 16), dtype=np.uint8)
    encoder = small().fit(X)
    assert encoder.transform(X).dtype == np.float32
    np.testing.assert_allclose(
        encoder.transform(X), encoder.transform(X.astype(np.float64)), rtol=1e-6
    )


def test_a_row_does_not_depend_on_the_other_rows(X: np.ndarray) -> None:
    encoder = small().fit(X)
    together = encoder.transform(X[:20])
    alone = np.concatenate([encoder.transform(X[i : i + 1]) for i in range(20)])
    np.testing.assert_array_equal(together, alone)


def test_read_only_memory_maps_are_accepted(X: np.ndarray, tmp_path: Path) -> None:
    joblib.dump(X, tmp_path / "X.joblib")
    mapped = joblib.load(tmp_path / "X.joblib", mmap_mode="r")
    np.testing.assert_array_equal(small().fit_transform(mapped), small().fit_transform(X))


def test_pandas_and_polars_outputs_have_names(X: np.ndarray) -> None:
    names = [f"pixel{i}" for i in range(16)]
    encoder = small().set_output(transform="pandas")
    frame = encoder.fit_transform(pd.DataFrame(X, columns=names))
    assert list(frame.columns) == ["migeencoder0", "migeencoder1", "migeencoder2"]
    assert list(encoder.feature_names_in_) == names
    frame = encoder.set_output(transform="polars").transform(pl.DataFrame(X, schema=names))
    assert isinstance(frame, pl.DataFrame)
    assert frame.columns == list(encoder.get_feature_names_out())
    assert set(frame.dtypes) == {pl.Float64}


def test_torch_in_torch_out_under_dispatch(
    X: np.ndarray, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # scikit-learn requires it
    x = torch.as_tensor(X, dtype=torch.float32, device=device)
    with config_context(array_api_dispatch=True):
        Z = small().fit(x).transform(x)
    assert isinstance(Z, torch.Tensor)
    assert Z.dtype == torch.float32
    assert Z.device == x.device
    expected = small().fit_transform(X.astype(np.float32))
    np.testing.assert_allclose(Z.cpu().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_integer_tensors_are_taken_as_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    x = torch.arange(160).reshape(20, 8) % 7
    with config_context(array_api_dispatch=True):
        assert small().fit_transform(x).dtype == torch.float32


def test_tensors_become_arrays_without_dispatch(X: np.ndarray) -> None:
    assert isinstance(small().fit_transform(torch.as_tensor(X)), np.ndarray)


@pytest.mark.parametrize("name", ["conv", "fc", "Y"])
def test_outputs_of_inner_layers_are_selected_by_name(name: str, X: np.ndarray) -> None:
    encoder = small(
        encoder=lambda shape, k: ConvEncoder(shape, k, channels=(4,), fc_size=8),
        input_shape=(1, 4, 4),
    )
    Z = encoder.fit(X).set_params(output=name).transform(X)
    assert Z.shape == (150, {"conv": 16, "fc": 8, "Y": 3}[name])
    assert len(encoder.get_feature_names_out()) == Z.shape[1]


def test_convolutional_encoder_takes_rows_as_images(rng: np.random.Generator) -> None:
    X = rng.normal(size=(40, 64)).astype(np.float32)
    encoder = small(max_epochs=1, encoder="conv", input_shape=(1, 8, 8))
    assert encoder.fit_transform(X).shape == (40, 3)
    assert isinstance(encoder.module_.encoder, ConvEncoder)


def test_perceptron_takes_images_too(rng: np.random.Generator) -> None:
    X = rng.normal(size=(40, 12))
    assert small(input_shape=(3, 2, 2)).fit_transform(X).shape == (40, 3)


def test_own_module_is_copied_and_trained_from_its_weights(X: np.ndarray) -> None:
    module = nn.Linear(16, 3)
    before = module.weight.detach().clone()
    encoder = small(encoder=module).fit(X)
    assert torch.equal(module.weight, before)
    assert encoder.encoder is module
    assert not torch.equal(encoder.module_.encoder.weight, before)
    assert torch.allclose(encoder.module_.encoder.weight, before, atol=0.2)


@pytest.mark.parametrize("factory", [nn.Linear, MLPEncoder, lambda d, k: nn.LazyLinear(k)])
def test_factories_are_given_the_width_of_the_data(factory: Any, X: np.ndarray) -> None:
    pipeline = make_pipeline(MinMaxScaler(), small(encoder=factory))
    assert pipeline.fit_transform(X).shape == (150, 3)
    assert pipeline.fit_transform(X[:, :7]).shape == (150, 3)


@pytest.mark.parametrize("mode", ["infomax", "ib"])
@pytest.mark.parametrize("estimator", [SSGEScoreEstimator(), RandomProjectionSSGE(3)])
def test_a_default_score_estimator_scores_as_none_does(estimator: Any, mode: str) -> None:
    default = default_training_score(mode)
    given = estimator._training_score(mode)
    assert given.keywords == default.keywords | {"bandwidth": "median", "kernel": "rbf"}
    explicit = clone(estimator).set_params(eigen_threshold=0.999)
    assert explicit._training_score(mode).keywords["solver"] == "eigh"


def test_score_estimator_is_left_unfitted_and_takes_part(X: np.ndarray) -> None:
    few = SSGEScoreEstimator(n_eigen=1)
    encoder = small(score_estimator=few).fit(X)
    assert not [name for name in vars(few) if name.endswith("_")]
    assert not np.allclose(encoder.transform(X), small().fit_transform(X))


def test_projection_is_drawn_once_a_fit_and_applied_to_x_alone(X: np.ndarray) -> None:
    projected = RandomProjectionSSGE(n_components=5)
    encoder = small(score_estimator=projected).fit(X)
    projection = encoder.net_.criterion_.projection
    assert projection.shape == (5, 16)
    encoder.set_params(warm_start=True).fit(X)
    assert torch.equal(encoder.net_.criterion_.projection, projection)
    # z has 3 components, fewer than the 5 of the projection: z cannot have been projected.
    assert encoder.transform(X).shape == (150, 3)


def test_grid_search_over_the_projection_gives_the_same_with_two_jobs(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = digits[0][:200], digits[1][:200]
    pipeline = make_pipeline(
        small(score_estimator=RandomProjectionSSGE()),
        LogisticRegression(max_iter=500),
    )
    grid = {"migeencoder__score_estimator__n_components": [2, 8]}
    results = []
    for n_jobs in (1, 2):
        search = GridSearchCV(pipeline, grid, cv=2, n_jobs=n_jobs).fit(X, y)
        results.append(search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*results)


def test_a_ridge_trains_alike_with_and_without_a_threshold_that_cuts_nothing(X: np.ndarray) -> None:
    # One is solved by a Cholesky factorisation, the other by eigenpairs. Adam magnifies the
    # rounding errors of the first steps.
    codes = [
        small(
            score_estimator=SSGEScoreEstimator(eigen_threshold=threshold, alpha=0.1)
        ).fit_transform(X)
        for threshold in (None, 1 - 1e-12)
    ]
    np.testing.assert_allclose(codes[0], codes[1], rtol=0, atol=0.01 * codes[1].std())
