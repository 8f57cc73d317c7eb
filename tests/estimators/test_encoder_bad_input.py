"""Bad input: errors that name the parameter, the value and a remedy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.helper import SliceDataset
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sk_mige import (
    MIGE,
    Critic,
    InfoMax,
    InformationBottleneck,
    MIGEEncoder,
    NonLinearProbe,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinThinning,
    WeightedKNNClassifier,
)
from sk_mige.training import ImageAugmentation

from .conftest import small

X = np.random.default_rng(0).normal(size=(40, 8))
Y = np.arange(40) % 2


def with_value(value: float) -> np.ndarray:
    changed = X.copy()
    changed[3, 2] = value
    return changed


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (with_value(np.nan), "Input X contains NaN"),
        (with_value(np.inf), "Input X contains infinity"),
        (with_value(1e300), r"values up to 1.0e\+300, too large for dtype\('float32'\)"),
        (X[:1], r"1 sample\(s\).*minimum of 2 is required"),
        (np.full((40, 8), 3.0), "X is constant: its 40 rows are all the same"),
        (X[0], "Expected 2D array, got 1D array"),
    ],
    ids=["nan", "inf", "huge", "one row", "constant", "one-dimensional"],
)
@pytest.mark.parametrize("mode", ["infomax", "ib"])
def test_rows_without_information_are_refused(bad: np.ndarray, message: str, mode: str) -> None:
    y = Y[: len(bad)]
    with pytest.raises(ValueError, match=message):
        small(mode, max_epochs=1).fit(bad, y)
    with pytest.raises(ValueError, match=message):
        small(mode, max_epochs=1).partial_fit(bad, y)


@pytest.mark.parametrize(
    "estimator",
    [small(max_epochs=1), SSGEScoreEstimator(), SSGEScoreEstimatorCV(), SlicedScoreMatching()],
)
def test_masked_rows_are_refused(estimator: Any) -> None:
    with pytest.raises(ValueError, match="X has masked values: drop their rows, or impute"):
        estimator.fit(np.ma.masked_greater(X, 1))


ESTIMATORS = [small(max_epochs=1), SSGEScoreEstimator(), NonLinearProbe(), SteinThinning()]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("folder", ["images", Path("images")])
def test_a_folder_is_refused_with_the_data_set_to_make(estimator: Any, folder: Any) -> None:
    with pytest.raises(TypeError, match=r"X is the path or string 'images'.*ImageFolder\("):
        estimator.fit(folder, Y)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_equal_names_of_columns_are_refused_by_name(estimator: Any) -> None:
    with pytest.raises(ValueError, match="X has several columns with the name 'b': rename"):
        estimator.fit(pd.DataFrame(X[:, :4], columns=list("abbc")), Y)


@pytest.mark.parametrize(
    "estimator", [small("ib", max_epochs=1), NonLinearProbe(), WeightedKNNClassifier()]
)
def test_masked_targets_are_refused(estimator: Any) -> None:
    with pytest.raises(ValueError, match="y has masked values: drop"):
        estimator.fit(X, np.ma.masked_greater(Y, 0))


@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix, sp.coo_array])
def test_sparse_rows_are_refused_with_the_transformer_to_put_before(container: Any) -> None:
    with pytest.raises(TypeError, match="TruncatedSVD before the estimator"):
        small().fit(container(X))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"mode": "supervised"}, r"mode='supervised' is unknown; use one of"),
        ({"n_components": 0}, r"'n_components' parameter.*range \[1, inf\)"),
        ({"batch_size": 1}, r"'batch_size' parameter.*range \[2, inf\)"),
        ({"lr": 0.0}, r"'lr' parameter"),
        ({"max_epochs": 0}, r"'max_epochs' parameter"),
        ({"encoder": "transformer"}, r"'encoder' parameter.*'transformer' instead"),
        ({"optimizer": "lion"}, r"'optimizer' parameter"),
        (
            {"optimizer": partial(torch.optim.SGD, lr=0.1)},
            r"optimizer sets lr=0.1, but training uses the parameter lr: set lr=0.1",
        ),
        ({"score_estimator": "ssge"}, r"'score_estimator' parameter.*'ssge' instead"),
        ({"score_estimator": SSGEScoreEstimatorCV()}, "an instance of .*SSGEScoreEstimator"),
        ({"lr_schedule": "exponential"}, r"'lr_schedule' parameter"),
        ({"lr_schedule": len}, r"lr_schedule=<built-in.*is not a schedule: use 'cosine'"),
        ({"mode": InformationBottleneck(beta=-1e-3)}, r"'beta' parameter.*range \[0"),
        ({"mode": InformationBottleneck(head="cauchy")}, r"'head' parameter.*'cauchy' instead"),
        (
            {"mode": InformationBottleneck(MIGE(marginal="gausian"))},
            r"'marginal' parameter.*'gausian' instead",
        ),
        ({"mode": InfoMax(corruption=1.0)}, r"'corruption' parameter of InfoMax"),
        ({"mode": InfoMax("nats")}, r"'information' parameter of InfoMax.*Got 'nats' instead"),
        ({"mode": InfoMax(Critic("nats"))}, r"'bound' parameter of Critic.*Got 'nats' instead"),
        (
            {"mode": InfoMax("variational")},
            r"cannot be maximised.*use it in InformationBottleneck",
        ),
        (
            {"mode": InfoMax(MIGE(marginal="stein"))},
            r"marginal='stein' is for InformationBottleneck.*use 'auto'",
        ),
        (
            {"mode": InfoMax(MIGE(2.0), layer="hidden1")},
            r"x_scale=2.0 is the weight of x.*layer='hidden1'.*use x_scale=1",
        ),
        ({"mode": InfoMax(local=True)}, r"local=True needs layer.*'conv.5' for encoder='conv'"),
        (
            {"mode": InfoMax(local=True, layer="hidden1")},
            r"local=True needs a layer.*layer='hidden1' has the shape \(16,\)",
        ),
        ({"mode": InfoMax(layer="conv")}, r"layer='conv' is not a submodule.*'hidden1'.*'Y'"),
        (
            {"encoder": "conv", "input_shape": (8, 1, 1)},
            r"channels last.*input_shape=\(1, 8, 1\)",
        ),
        ({"hidden_layer_sizes": (16, 0)}, r"hidden_layer_sizes must hold positive integers"),
        (
            {"hidden_layer_sizes": 16, "encoder": nn.Linear(8, 3)},
            r"hidden_layer_sizes=16 is for encoder='mlp', got encoder=Linear.*functools.partial",
        ),
        (
            {"hidden_layer_sizes": (16,), "encoder": "conv", "input_shape": (8, 1, 1)},
            r"hidden_layer_sizes=\(16,\) is for encoder='mlp', got encoder='conv'",
        ),
        ({"device": "gpu"}, r"device='gpu' is not a device: use 'auto'"),
        ({"encoder": "conv"}, r"convolutions need input_shape=\(channels, height, width\)"),
        (
            {"input_shape": (2.0, 4.0)},
            r"input_shape must hold positive integers, got \(2\.0, 4\.0\)",
        ),
        ({"input_shape": (3, 3)}, r"input_shape=\(3, 3\) must .* product is 8, the number"),
        (
            {"encoder": "conv", "input_shape": (2, 2, 2)},
            r"2 x 2 pixels are too small.*At least 8 x 8",
        ),
        (
            {"encoder": nn.Linear(8, 4)},
            r"must have shape \(2, 3\) for n_components=3; got \(2, 4\)",
        ),
        (
            {"encoder": nn.Linear(5, 3)},
            r"encoder must accept two rows of X as a tensor of shape \(2, 8\): mat1",
        ),
        (
            {"encoder": nn.Linear(8, 3), "mode": "ib"},
            r"\(2, 6\) for n_components=3 \(means and scales of a Gaussian head\); got \(2, 3\)",
        ),
        (
            {"encoder": nn.Sequential(nn.Linear(8, 3), nn.Unflatten(1, (3, 1)))},
            r"got \(2, 3, 1\)",
        ),
    ],
    ids=str,
)
def test_invalid_parameters_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**{"max_epochs": 1, **parameters}).fit(X, Y)


def test_probes_refuse_images_and_data_sets_with_the_way_to_rows() -> None:
    probe = NonLinearProbe(device="cpu")
    images = X.reshape(40, 1, 2, 4)
    with pytest.raises(ValueError, match=r"X has the shape .*X\.reshape\(40, -1\)"):
        probe.fit(images, Y)
    dataset = TensorDataset(torch.as_tensor(X))
    for data in (dataset, DataLoader(dataset), SliceDataset(dataset)):
        with pytest.raises(TypeError, match="X must be an array.*Stack its inputs"):
            probe.fit(data, Y)


def test_settings_of_a_score_estimator_that_training_does_not_use_are_named() -> None:
    published = SSGEScoreEstimator(eigen_threshold=0.99, alpha=0.0, whiten=False, base=None)
    small(score_estimator=published).fit(X)
    for ignored in ({"curl_free": True}, {"n_landmarks": 20}, {"shrinkage": 0.5}):
        estimator = SSGEScoreEstimator(**ignored)
        with pytest.warns(UserWarning, match=f"{next(iter(ignored))}=.* training does not use"):
            small(score_estimator=estimator).fit(X)


@pytest.mark.parametrize("optimizer", [lambda weights: None, lambda weights, lr: None])
def test_factories_must_make_optimizers(optimizer: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^optimizer: .*a function \(parameters, lr\) that returns"
    ):
        small(optimizer=optimizer).fit(X)


def test_factories_must_make_modules() -> None:
    with pytest.raises(TypeError, match=r"must return a torch\.nn\.Module; got str"):
        small(encoder=lambda d, k: "module").fit(X)


def test_a_network_class_of_other_arguments_is_named() -> None:
    class Fixed(nn.Linear):
        def __init__(self) -> None:
            super().__init__(8, 3)

    with pytest.raises(TypeError, match=r"encoder, called with \(8, 3\), raised TypeError: .*init"):
        small(encoder=Fixed).fit(X)
    with pytest.raises(TypeError, match=r"\(\(1, 2, 4\), 3\), raised .*Pass a torch.nn.Module, or"):
        small(encoder=nn.Linear, input_shape=(1, 2, 4)).fit(X)


def test_a_missing_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(RuntimeError, match="use device='auto' or device='cpu'"):
        small(device="cuda").fit(X)


def test_more_components_than_rows_are_warned_about() -> None:
    with pytest.warns(UserWarning, match="n_components=50 exceeds the 40 rows.*use fewer"):
        small(n_components=50).fit(X)


def test_unknown_layers_are_refused_with_the_known_ones() -> None:
    said = r"output='conv' is not a submodule.*'hidden1'.*'Y'"
    with pytest.raises(ValueError, match=said):  # before any training
        small(output="conv").fit(X)
    with pytest.raises(ValueError, match=said):
        small().fit(X).set_params(output="conv").transform(X)


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        (None, "classification", "requires y to be passed, but the target y is None"),
        (Y[:-1], "classification", "inconsistent numbers of samples"),
        (np.zeros(40), "classification", r"at least two classes, but y has 1: \[0.0\]"),
        (
            X[:, 0],
            "classification",
            r"label type: continuous.*mode=InformationBottleneck\(task='regression'\)",
        ),
        (np.eye(40)[:, :3], "classification", r"shape \(40, 3\).*pass y.argmax\(axis=1\)"),
        (X.reshape(40, 2, 2, 2), "regression", r"y must have shape \(n,\) or"),
        (np.array(["a", "b"] * 20), "regression", "y must be a table of numbers"),
        (np.arange(40).astype("M8[D]"), "regression", "y holds dates or durations"),
        (X[:, 0] * 1e300, "classification", "label type: continuous"),
        (np.array(["a", None] * 20, dtype=object), "classification", "y contains None"),
        (np.where(Y, np.nan, 1.0), "regression", "Input y contains NaN"),
        (np.where(Y, np.nan, 1.0), "classification", "Input y contains NaN"),
    ],
    ids=[
        "none",
        "short",
        "one class",
        "values as classes",
        "labels",
        "cube",
        "strings",
        "dates",
        "huge values as classes",
        "None",
        "nan",
        "nan class",
    ],
)
def test_targets_that_do_not_fit_are_refused(y: Any, task: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(InformationBottleneck(task=task)).fit(X, y)


def test_rows_of_another_width_are_refused_and_change_nothing() -> None:
    encoder = small().fit(X)
    with pytest.raises(ValueError, match="features"):
        encoder.transform(X[:, :5])
    with pytest.raises(ValueError, match="features"):
        encoder.partial_fit(X[:, :5])
    assert encoder.transform(X).shape == (40, 3)


def test_rows_of_another_namespace_than_fits_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    encoder = small().fit(X)
    with (
        config_context(array_api_dispatch=True),
        pytest.raises(ValueError, match=r"MIGEEncoder.transform\(\) must use the same namespace"),
    ):
        encoder.transform(torch.as_tensor(X))


def test_classes_in_place_of_objects_are_refused() -> None:
    with pytest.raises(TypeError, match=r"mode .*got the class InfoMax: pass InfoMax\(\)"):
        small(InfoMax).fit(X)
    for mode in (InfoMax(MIGE), InformationBottleneck(MIGE)):
        with pytest.raises(TypeError, match=r"information .*got the class MIGE: pass MIGE\(\)"):
            small(mode).fit(X, Y)
    with pytest.raises(TypeError, match="augmentation .* pass ImageAugmentation"):
        small(InfoMax(augmentation=ImageAugmentation)).fit(X)


WAYS: dict[str, Callable[[MIGEEncoder], Any]] = {
    "fit": lambda encoder: encoder.fit(X, Y),
    "fit_transform": lambda encoder: encoder.fit_transform(X, Y),
    "partial_fit": lambda encoder: encoder.partial_fit(X, Y, classes=[0, 1]),
    "pipeline": lambda encoder: make_pipeline(StandardScaler(), encoder).fit(X, Y),
    "cross-validation": lambda encoder: cross_val_score(encoder, X, Y, cv=2, n_jobs=1),
}


@pytest.mark.parametrize("mode", ["infomax", "ib"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_warnings_point_at_the_users_line(way: Callable[[MIGEEncoder], Any], mode: str) -> None:
    if mode == "infomax" and way is WAYS["cross-validation"]:
        pytest.skip("InfoMax has no score")
    with pytest.warns(UserWarning, match="n_components=50 exceeds") as record:
        way(small(mode, n_components=50, max_epochs=1))
    assert {warning.filename for warning in record} == {__file__}
