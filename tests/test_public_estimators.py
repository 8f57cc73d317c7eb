"""Every public estimator computes the same after storage, and in every context of torch.

One table lists an example of every estimator. Add new estimators to the table.
"""

from __future__ import annotations

import copy
import inspect
import operator
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

import sk_mige
from sk_mige import (
    InfoMax,
    InformationBottleneck,
    KernelSteinTest,
    MIGEEncoder,
    MutualInfoEstimator,
    MutualInfoGradientEstimator,
    NonLinearProbe,
    RandomProjectionSSGE,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
    SteinThinning,
    WeightedKNNClassifier,
)
from sk_mige.networks import MLPEncoder
from sk_mige.objectives.views import VIEWS
from sk_mige.score import Matern
from sk_mige.training import EffectiveRank, OnlineKNN, OnlineProbe

# Few rows keep the tests fast.
pytestmark = pytest.mark.filterwarnings("ignore:.*rows do not resolve")

X = np.random.default_rng(0).normal(size=(60, 4))
Y = np.arange(60) % 2
OTHER = X[:, :2] + np.random.default_rng(1).normal(size=(60, 2))
SHORT: dict[str, Any] = {"max_epochs": 1, "device": "cpu", "random_state": 0}


def encoder(mode: Any = "infomax", **parameters: Any) -> MIGEEncoder:
    parameters = {"hidden_layer_sizes": (8,), **SHORT, **parameters}
    return MIGEEncoder(2, mode=mode, **parameters)


MONITORS = [OnlineProbe(X, Y), OnlineKNN(X, Y), EffectiveRank(X)]
EXAMPLES: dict[str, BaseEstimator] = {
    "infomax": encoder(),
    "bottleneck": encoder("ib"),
    "range of weights": encoder(InformationBottleneck(beta=(1e-4, 1.0))),
    "encoder of a function": MIGEEncoder(2, encoder=partial(MLPEncoder, dropout=0.1), **SHORT),
    "monitored": encoder(callbacks=MONITORS),
    "mixed precision": encoder(mixed_precision=True),
    "a layer": encoder(output="hidden1"),
    "one draw": encoder(output="sample"),
    "implicit": encoder(InformationBottleneck(head="implicit")),
    "deterministic": encoder(InformationBottleneck(head="deterministic")),
    "critic": encoder(InformationBottleneck("jsd")),
    "limited": encoder(InformationBottleneck(max_information=100.0)),
    **{name: encoder(InfoMax(name, n_views=2)) for name in VIEWS},
    "probe": NonLinearProbe(hidden_size=8, **SHORT),
    "neighbours": WeightedKNNClassifier(9),
    "channel": MutualInfoGradientEstimator(random_state=0),
    "information": MutualInfoEstimator(["gaussian", "network"], random_state=0, device="cpu"),
    "ssge": SSGEScoreEstimator(),
    "projection": RandomProjectionSSGE(2, random_state=0),
    "cv": SSGEScoreEstimatorCV(cv=2, bandwidth_factors=(1.0,)),
    "matern": SSGEScoreEstimator(kernel=Matern(nu=1.5), curl_free=True),
    "landmarks": SSGEScoreEstimator(kernel="imq", n_landmarks=20, random_state=0),
    "stein": SteinScoreEstimator(),
    "thinning": SteinThinning(5),
    "goodness": KernelSteinTest(operator.neg, n_bootstrap=9, random_state=0),
    "sliced": SlicedScoreMatching(hidden_layer_sizes=(8,), **SHORT),
}
# Results of methods, called with rows, and attributes.
METHODS = ("transform", "predict_proba", "select", "log_density", "pmi")
ATTRIBUTES = ("gradient_", "interval_", "p_value_", "statistic_", "discrepancy_")
examples = pytest.mark.parametrize("name", EXAMPLES)


def fit(name: str, rows: Any = X) -> Any:
    estimator: Any = clone(EXAMPLES[name])
    return estimator.fit(rows, OTHER if name == "information" else Y)


@cache
def fitted(name: str) -> Any:
    return fit(name)


def results(estimator: Any, rows: Any = X) -> dict[str, Any]:
    found = {
        method: getattr(estimator, method)(rows, *([OTHER] if method == "pmi" else []))
        for method in METHODS
        if hasattr(estimator, method)
    }
    found |= {each: getattr(estimator, each) for each in ATTRIBUTES if hasattr(estimator, each)}
    keys = [monitor.name for monitor in MONITORS]
    for record in getattr(estimator, "history_", []):
        found |= {key: record[key] for key in keys if key in record}
    assert found
    return found


def assert_same(found: dict[str, Any], expected: dict[str, Any], **tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for key, values in found.items():
        np.testing.assert_allclose(values, expected[key], err_msg=key, **tolerance)


@contextmanager
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference_mode": torch.inference_mode,  # stricter than no_grad
    "float64": double,
    "another default device": lambda: torch.device("meta"),  # tensors on "meta" have no values
}
contexts = pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)


def through_skops(estimator: Any) -> Any:
    stored = skops.io.dumps(estimator)
    unknown = skops.io.get_untrusted_types(data=stored)
    assert all(each.startswith(("sk_mige.", "functools.", "_operator.")) for each in unknown)
    return skops.io.loads(stored, trusted=unknown)


def through_pickle(estimator: Any) -> Any:
    return pickle.loads(pickle.dumps(estimator))


def in_inference_mode(estimator: Any) -> Any:
    with torch.inference_mode():
        return copy.deepcopy(through_pickle(estimator))


def in_float64(estimator: Any) -> Any:
    with double():
        return through_pickle(estimator)


COPIES = [copy.deepcopy, through_pickle, through_skops, in_inference_mode, in_float64]


def test_every_public_estimator_has_an_example() -> None:
    members = (getattr(sk_mige, name) for name in sk_mige.__all__)
    public = {
        member
        for member in members
        if inspect.isclass(member) and issubclass(member, BaseEstimator)
    }
    # Other classes, such as InfoMax, are parameters of encoders.
    estimators = {member for member in public if hasattr(member, "fit")}
    assert estimators == {type(example) for example in EXAMPLES.values()}


@examples
@contexts
def test_a_context_changes_neither_a_fit_nor_results(
    name: str, context: Callable[[], AbstractContextManager[Any]]
) -> None:
    expected = results(fitted(name))
    with context():
        inside = fit(name)
        found = results(inside)
        fitted_outside = results(fitted(name))
    assert_same(fitted_outside, expected, rtol=1e-5, atol=1e-6)
    assert_same(found, expected, rtol=1e-5, atol=1e-6)
    assert_same(results(inside), expected, rtol=1e-5, atol=1e-6)


@examples
@pytest.mark.parametrize("copied", COPIES)
def test_a_stored_or_copied_estimator_computes_the_same(
    name: str, copied: Callable[[Any], Any]
) -> None:
    assert_same(results(copied(fitted(name))), results(fitted(name)), rtol=0, atol=0)


INVALID = {
    "optimizer": "none", "lr": -1.0, "batch_size": "a", "callbacks": 3, "verbose": "x",
    "device": "none", "mode": 3, "score_estimator": "x", "n_neighbors": "a", "temperature": -1.0,
}  # fmt: skip


@examples
@pytest.mark.parametrize("parameter", INVALID)
def test_a_copy_with_an_invalid_parameter_names_it_or_needs_it_not(
    name: str, parameter: str
) -> None:
    estimator = copy.deepcopy(fitted(name))
    if parameter not in estimator.get_params():
        return
    estimator.set_params(**{parameter: INVALID[parameter]})
    try:
        found = results(copy.deepcopy(estimator))
    except ValueError as error:
        assert parameter in str(error)  # noqa: PT017 - some results need no parameter
    else:
        assert_same(found, results(fitted(name)), rtol=0, atol=0)


NO_NUMBERS: dict[str, Any] = {
    "strings": np.where(X > 0, "a", "b"),
    "categories": pd.DataFrame(np.where(X > 0, "a", "b")).astype("category"),
    "dates": np.arange(240).astype("datetime64[D]").reshape(60, 4),
    "frame of dates": pd.DataFrame({"a": pd.date_range("2020", periods=60)}),
    "dates and numbers": pd.DataFrame({"a": X[:, 0], "b": pd.date_range("2020", periods=60)}),
    "polars": pl.DataFrame({"a": X[:, 0], "b": pd.date_range("2020", periods=60).to_numpy()}),
    "durations": np.arange(240).astype("timedelta64[D]").reshape(60, 4),
    "mappings": [{"a": 1.0}, {"a": 2.0}],
    "ragged lists": [[1.0, 2.0], [3.0]],
    "records": np.zeros(60, dtype=[("a", float), ("b", float)]),
    "complex objects": (X + 1j).astype(object),
    "huge integers": np.full((60, 4), 10**400, dtype=object),
    "tensor without values": torch.empty(60, 4, device="meta"),
    "nested tensor": torch.nested.nested_tensor([torch.ones(4)] * 60, layout=torch.jagged),
    "sparse tensor": torch.as_tensor(X).to_sparse(),
}
# MutualInfoEstimator takes labels, and uses ranks of dates.
LABELS = (
    "strings", "categories", "dates", "frame of dates", "dates and numbers", "polars", "durations",
)  # fmt: skip


REFUSED = [
    (name, kind)
    for name in EXAMPLES
    for kind in NO_NUMBERS
    if name != "information" or kind not in LABELS
]


@pytest.mark.parametrize(("name", "kind"), REFUSED)
def test_a_table_without_numbers_is_named_and_refused(name: str, kind: str) -> None:
    with pytest.raises((TypeError, ValueError), match=r"\bX\b"):
        fit(name, NO_NUMBERS[kind])


MISSING = {
    "pandas' NA": pd.DataFrame(X).astype("Float64").mask(X > 2),
    "missing integers": pd.DataFrame(X).round().astype("Int64").mask(X > 2),
    "None": pd.DataFrame(X).astype(object).where(X < 2, None),
}


@examples
@pytest.mark.parametrize("kind", MISSING)
def test_missing_values_of_a_frame_are_named_as_missing(name: str, kind: str) -> None:
    with pytest.raises(ValueError, match=r"^(Input )?X contains NaN"):
        fit(name, MISSING[kind])


@examples
@pytest.mark.parametrize("make", [iter, enumerate, set, dict], ids=lambda make: make.__name__)
def test_a_container_that_is_no_table_is_named(name: str, make: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"^X is a .*: pass an array"):
        fit(name, make([(0.0, 1.0), (1.0, 2.0)]))


@examples
def test_lazy_frames_and_structured_arrays_are_named(name: str) -> None:
    frame = pl.DataFrame(X)
    for rows, kind in [
        (frame.lazy(), "LazyFrame"),
        (frame.to_numpy(structured=True), "structured"),
    ]:
        with pytest.raises(TypeError, match=f"^X is a {kind}.*: pass an array"):
            fit(name, rows)


@examples
def test_an_estimator_is_not_fitted_after_a_fit_that_failed(name: str) -> None:
    estimator: Any = clone(EXAMPLES[name])
    with pytest.raises(ValueError, match=r"constant|number"):
        estimator.fit(np.ones_like(X), Y[1:])
    for method in METHODS:
        if hasattr(estimator, method):
            with pytest.raises(NotFittedError):
                getattr(estimator, method)(X, *([OTHER] if method == "pmi" else []))


@examples
@pytest.mark.parametrize(
    "like",
    [np.ndarray.tolist, np.asfortranarray, pd.DataFrame, partial(torch.tensor, requires_grad=True)],
    ids=["lists", "Fortran order", "frame", "tensor with a graph"],
)
def test_a_table_in_another_form_gives_the_same(name: str, like: Callable[[Any], Any]) -> None:
    assert_same(results(fit(name, like(X))), results(fitted(name)), rtol=1e-6, atol=1e-9)


@examples
def test_memory_maps_are_as_good_as_arrays(name: str, tmp_path: Path) -> None:
    joblib.dump((fitted(name), X), tmp_path / "stored")
    estimator, rows = joblib.load(tmp_path / "stored", mmap_mode="r")
    assert not rows.flags.writeable
    assert_same(results(estimator, rows), results(fitted(name)), rtol=0, atol=0)
    assert_same(results(fit(name, rows)), results(fitted(name)), rtol=0, atol=0)
