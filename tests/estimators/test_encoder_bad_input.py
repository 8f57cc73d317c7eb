"""Bad input is refused by name, with what was got and what would work."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sk_mige import MIGEEncoder, NonLinearProbe, SSGEScoreEstimator, SSGEScoreEstimatorCV

SMALL: dict[str, Any] = {
    "n_components": 3,
    "hidden_layer_sizes": (16,),
    "max_epochs": 1,
    "device": "cpu",
    "random_state": 0,
}
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
        MIGEEncoder(mode=mode, **SMALL).fit(bad, y)
    with pytest.raises(ValueError, match=message):
        MIGEEncoder(mode=mode, **SMALL).partial_fit(bad, y)


@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix, sp.coo_array])
def test_sparse_rows_are_refused_with_the_transformer_to_put_before(container: Any) -> None:
    with pytest.raises(TypeError, match="TruncatedSVD.* before it"):
        MIGEEncoder(**SMALL).fit(container(X))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"mode": "supervised"}, r"'mode' parameter.*'supervised' instead"),
        ({"n_components": 0}, r"'n_components' parameter.*range \[1, inf\)"),
        ({"batch_size": 1}, r"'batch_size' parameter.*range \[2, inf\)"),
        ({"beta": -1e-3}, r"'beta' parameter.*range \[0"),
        ({"lr": 0.0}, r"'lr' parameter"),
        ({"max_epochs": 0}, r"'max_epochs' parameter"),
        ({"encoder": "transformer"}, r"'encoder' parameter.*'transformer' instead"),
        ({"head": "cauchy"}, r"'head' parameter"),
        ({"marginal": "gausian"}, r"'marginal' parameter.*'gausian' instead"),
        ({"optimizer": "lion"}, r"'optimizer' parameter"),
        ({"score_estimator": "ssge"}, r"'score_estimator' parameter.*'ssge' instead"),
        ({"score_estimator": SSGEScoreEstimatorCV()}, "an instance of .*SSGEScoreEstimator"),
        ({"mi_estimator": "variational"}, r"mi_estimator='variational' is for mode='ib'"),
        ({"max_information": 2.0}, r"max_information=2.0 is for mode='ib'"),
        ({"mode": "ib", "augmentation": nn.Identity()}, "augmentation is for mode='infomax'"),
        (
            {"encoder": "conv", "input_shape": (8, 1, 1)},
            r"channels last.*input_shape=\(1, 8, 1\)",
        ),
        ({"hidden_layer_sizes": (16, 0)}, r"hidden_layer_sizes must hold positive integers"),
        ({"device": "gpu"}, r"device='gpu' is not a device: use 'auto'"),
        ({"encoder": "conv"}, r"encoder='conv' needs input_shape=\(channels, height, width\)"),
        ({"input_shape": (3, 3)}, r"input_shape=\(3, 3\) holds 9 values, but X has 8 features"),
        (
            {"encoder": "conv", "input_shape": (2, 2, 2)},
            r"2 x 2 pixels are too small.*at least 8 x 8",
        ),
        (
            {"encoder": nn.Linear(8, 4)},
            r"must have shape \(2, 3\) for n_components=3; got \(2, 4\)",
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
def test_parameters_that_cannot_be_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MIGEEncoder(**{**SMALL, **parameters}).fit(X, Y)


@pytest.mark.parametrize("estimator", [MIGEEncoder(**SMALL), NonLinearProbe(device="cpu")])
def test_what_is_no_table_of_rows_is_refused_with_how_it_becomes_one(estimator: Any) -> None:
    images = X.reshape(40, 1, 2, 4)
    with pytest.raises(ValueError, match=r"X has the shape .*X\.reshape\(40, -1\)"):
        estimator.fit(images, Y)
    dataset = TensorDataset(torch.as_tensor(X))
    for loader in (dataset, DataLoader(dataset)):
        with pytest.raises(TypeError, match="takes rows.*Stack its inputs"):
            estimator.fit(loader, Y)


@pytest.mark.parametrize("parameters", [{"encoder": "conv"}, {"encoder": "mlp"}], ids=str)
def test_the_shape_that_images_are_refused_with_is_accepted(parameters: dict[str, Any]) -> None:
    images = np.random.default_rng(0).normal(size=(40, 8, 8))
    encoder = MIGEEncoder(**SMALL, **parameters)
    with pytest.raises(ValueError, match=r"input_shape=\(.*8, 8\)") as refusal:
        encoder.fit(images)
    numbers = str(refusal.value).partition("input_shape=(")[2].rstrip(")").split(", ")
    encoder.set_params(input_shape=tuple(int(n) for n in numbers)).fit(images.reshape(40, -1))


def test_settings_of_a_score_estimator_that_training_does_not_read_are_named() -> None:
    published = SSGEScoreEstimator(eigen_threshold=0.99, alpha=0.0, whiten=False, base=None)
    MIGEEncoder(**SMALL, score_estimator=published).fit(X)
    for ignored in ({"curl_free": True}, {"n_landmarks": 20}, {"shrinkage": 0.5}):
        estimator = SSGEScoreEstimator(**ignored)
        with pytest.warns(UserWarning, match=f"{next(iter(ignored))}=.* training does not use"):
            MIGEEncoder(**SMALL, score_estimator=estimator).fit(X)


def test_factories_must_make_modules() -> None:
    with pytest.raises(TypeError, match=r"must return a torch\.nn\.Module; got str"):
        MIGEEncoder(**SMALL, encoder=lambda d, k: "module").fit(X)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(RuntimeError, match="device='auto' takes what there is"):
        MIGEEncoder(**{**SMALL, "device": "cuda"}).fit(X)


def test_more_components_than_rows_are_warned_about() -> None:
    with pytest.warns(UserWarning, match="n_components=50 is more than the 40 rows"):
        MIGEEncoder(**{**SMALL, "n_components": 50}).fit(X)


def test_unknown_layers_are_refused_with_those_there_are() -> None:
    said = r"output='conv' is no submodule.*'hidden1'.*'Y'"
    with pytest.raises(ValueError, match=said):  # before any training
        MIGEEncoder(**SMALL, output="conv").fit(X)
    with pytest.raises(ValueError, match=said):
        MIGEEncoder(**SMALL).fit(X).set_params(output="conv").transform(X)


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        (None, "auto", "requires y to be passed, but the target y is None"),
        (Y[:-1], "auto", "inconsistent numbers of samples"),
        (np.zeros(40), "auto", r"at least two classes, y has one class: \[0.0\]"),
        (X[:, 0], "classification", "Unknown label type: continuous.*set task='regression'"),
        (np.eye(40)[:, :3], "auto", "Unknown label type: multilabel-indicator"),
        (X.reshape(40, 2, 2, 2), "regression", "dim"),
        (np.array(["a", None] * 20, dtype=object), "auto", "y contains None"),
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
        "None",
        "nan",
        "nan class",
    ],
)
def test_targets_that_do_not_fit_are_refused(y: Any, task: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MIGEEncoder(mode="ib", task=task, **SMALL).fit(X, y)


def test_a_failed_fit_of_new_parameters_says_so_before_training() -> None:
    encoder = MIGEEncoder(**SMALL).fit(X)
    with pytest.raises(ValueError, match="features"):
        encoder.transform(X[:, :5])
    with pytest.raises(ValueError, match="features"):
        encoder.partial_fit(X[:, :5])
    assert encoder.transform(X).shape == (40, 3)


def test_rows_of_another_namespace_than_fits_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    encoder = MIGEEncoder(**SMALL).fit(X)
    with (
        config_context(array_api_dispatch=True),
        pytest.raises(ValueError, match=r"MIGEEncoder.transform\(\) must use the same namespace"),
    ):
        encoder.transform(torch.as_tensor(X))
