"""Callbacks that record probes and ranks without an effect on training."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from sk_mige import InfoMax, MIGEEncoder
from sk_mige.training import EffectiveRank, OnlineKNN, OnlineProbe
from sk_mige.training.monitors import neighbour_votes

X, Y = load_digits(return_X_y=True)
X, Y = X[:300] / 16, Y[:300]


def small(*callbacks: Any, **parameters: Any) -> MIGEEncoder:
    """Return a small encoder with dropout of inputs, so that training draws random numbers."""
    settings = {"max_epochs": 4, "random_state": 0, "device": "cpu", **parameters}
    return MIGEEncoder(8, hidden_layer_sizes=(32,), callbacks=list(callbacks), **settings)


def all_monitors() -> list[Any]:
    return [OnlineProbe(X, Y, every=2), OnlineKNN(X, Y), EffectiveRank(X)]


@pytest.mark.parametrize("parameters", [{}, {"validation_fraction": 0.2}, {"mode": "ib"}], ids=str)
def test_weights_are_the_same_with_and_without_monitors(parameters: dict[str, Any]) -> None:
    before = torch.get_rng_state()
    plain = small(**parameters).fit(X, Y)
    watched = small(*all_monitors(), **parameters).fit(X, Y)
    np.testing.assert_array_equal(plain.transform(X), watched.transform(X))
    assert torch.equal(before, torch.get_rng_state())


def test_numbers_are_recorded_every_few_epochs() -> None:
    history = small(*all_monitors()).fit(X).history_
    assert ["probe_accuracy" in row for row in history] == [False, True, False, True]
    assert all(0.2 < row["knn_accuracy"] <= 1 for row in history)
    assert all(1 <= row["effective_rank"] <= 8 for row in history)


def test_the_probe_is_a_logistic_regression_on_the_codes_of_held_out_rows() -> None:
    encoder = small(OnlineProbe(X, Y), mode=InfoMax(output_scale="unit")).fit(X)
    train, test = train_test_split(np.arange(300), test_size=0.3, stratify=Y, random_state=0)
    Z = encoder.transform(X)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(
        Z[train], Y[train]
    )
    found = encoder.history_[-1]["probe_accuracy"]
    assert found == pytest.approx(probe.score(Z[test], Y[test]), abs=0.02)


IMAGES = torch.as_tensor(X, dtype=torch.float32).reshape(-1, 1, 8, 8)
SOURCES = {
    "data set": (TensorDataset(IMAGES, torch.as_tensor(Y)), None),
    "loader": (DataLoader(TensorDataset(IMAGES, torch.as_tensor(Y)), batch_size=None), None),
    "images": (IMAGES.numpy(), Y),
    "tensor": (IMAGES, Y),
    "lists": (X.tolist(), Y.astype(str).tolist()),
}


@pytest.mark.parametrize("source", SOURCES)
def test_rows_come_from_arrays_and_data_sets(source: str) -> None:
    rows, labels = SOURCES[source]
    found = small(OnlineProbe(rows, labels), max_epochs=1).fit(X).history_
    expected = small(OnlineProbe(X, Y), max_epochs=1).fit(X).history_
    assert found[0]["probe_accuracy"] == expected[0]["probe_accuracy"]


def test_copies_share_the_rows_and_pickles_keep_them() -> None:
    monitor = OnlineKNN(X, Y, every=3, name="kNN")
    assert clone(monitor).X is monitor.X
    again = pickle.loads(pickle.dumps(small(monitor).fit(X))).callbacks[0]
    np.testing.assert_array_equal(again.X, X)
    assert (again.every, again.name) == (3, "kNN")


class Endless(IterableDataset[Any]):
    """A data set without a length."""

    def __iter__(self) -> Iterator[Any]:
        return iter(X)


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        (OnlineProbe(X, Y, every=0), "OnlineProbe: every must be a positive integer, got 0"),
        (OnlineKNN(X), "OnlineKNN requires y to be passed"),
        (OnlineProbe(X, Y[:9]), r"numbers of samples: \[300, 9\]"),
        (OnlineProbe(X, X[:, 20]), "continuous"),
        (OnlineProbe(X, 0 * Y), "OnlineProbe: classification needs at least two classes"),
        (
            EffectiveRank(X[:, :5]),
            "X has 5 features, but .* 64 .*input\\. Pass .* steps before the enc",
        ),
        (EffectiveRank(np.full((9, 64), np.nan)), "NaN"),
        (EffectiveRank(np.ma.masked_less(X, 0.1)), "EffectiveRank: X has masked values"),
        (OnlineProbe(X, np.ma.masked_less(Y, 1)), "OnlineProbe: y has masked values"),
        (OnlineProbe(X, 5), r"OnlineProbe: y should be a 1d array, got .* shape \(\)"),
        (OnlineProbe(X, np.where(Y, Y, np.nan)), "OnlineProbe: Input y contains NaN"),
        (OnlineProbe(X, np.where(Y, "b", None)), "OnlineProbe: Input y contains None"),
        (OnlineKNN(X, np.eye(10)[Y]), r"y.argmax\(axis=1\)"),
        (OnlineKNN(X, csr_array(Y[:, None])), "OnlineKNN: Sparse data was passed for y"),
        (OnlineProbe(X, np.r_[10, Y[1:]]), r"a single row of \[10\]: drop these rows"),
        (OnlineProbe(X[:60], np.arange(60) % 30), "smaller part has 18 rows for 30 classes"),
        (EffectiveRank(X * 1e50), "EffectiveRank: X has values up to 1.0e[+]50"),
        (EffectiveRank(X[:1]), "EffectiveRank: .* minimum of 2"),
        (EffectiveRank(csr_array(X)), "EffectiveRank: MIGEEncoder takes dense input"),
        (EffectiveRank(np.full((60, 8), "a")), "EffectiveRank: X must be a table of numbers"),
        (EffectiveRank(X.astype("M8[s]")), "EffectiveRank: X holds dates or durations"),
        (EffectiveRank(Endless()), "EffectiveRank: X is a Endless without a length"),
        (EffectiveRank(X, every=1.5), "every must be a positive integer, got 1.5"),
        (EffectiveRank(X, every=None), "every must be a positive integer, got None"),
        (EffectiveRank(X, name="train_loss"), "other than the keys of a history, got 'train_loss'"),
        (EffectiveRank(X, name="rank_best"), "other than the keys of a history, got 'rank_best'"),
        (EffectiveRank(X, name=3), "name must be a string"),
    ],
)
def test_rows_and_labels_that_do_not_fit_are_named(monitor: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(monitor).fit(X)


@pytest.mark.parametrize("monitor", [OnlineProbe, OnlineKNN, EffectiveRank])
def test_columns_in_another_order_are_refused_as_in_transform(monitor: Any) -> None:
    table = pd.DataFrame(X).add_prefix("pixel")
    labels = {} if monitor is EffectiveRank else {"y": Y}
    assert small(monitor(table, **labels), max_epochs=1).fit(table).n_iter_ == 1
    with pytest.raises(ValueError, match=f"{monitor.__name__}: The feature names should match"):
        small(monitor(table.iloc[:, ::-1], **labels)).fit(table)


def test_images_with_axes_in_another_order_are_refused_as_in_transform() -> None:
    images = X.reshape(-1, 4, 4, 4)[:, :, :, :2]
    with pytest.raises(ValueError, match=r"shape \(4, 2, 4\), but input_shape is \(4, 4, 2\)"):
        small(EffectiveRank(images.swapaxes(2, 3))).fit(images)


def test_two_callbacks_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two callbacks record name='probe_accuracy'"):
        small(OnlineProbe(X, Y), OnlineKNN(X, Y, name="probe_accuracy")).fit(X)


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_a_column_of_labels_has_the_accuracy_of_a_row_of_labels() -> None:
    row, column = (small(OnlineProbe(X, y), max_epochs=1).fit(X) for y in (Y, Y[:, None]))
    assert row.history_[0]["probe_accuracy"] == column.history_[0]["probe_accuracy"]


def test_uncorrelated_components_have_full_rank_and_constant_codes_none() -> None:
    z = np.random.default_rng(0).normal(size=(20_000, 5))
    assert EffectiveRank(X).measure(z) == pytest.approx(5, abs=0.01)
    assert EffectiveRank(X).measure(z[:, :1] * np.ones(5)) == pytest.approx(1, abs=0.01)
    assert EffectiveRank(X).measure(np.ones((9, 5))) == 0


def test_codes_that_differ_by_rounding_only_have_rank_zero() -> None:
    noise = np.random.default_rng(0).normal(size=(500, 5))
    assert EffectiveRank(X).measure((3 + 1e-7 * noise).astype(np.float32).astype(float)) == 0
    expected = pytest.approx(EffectiveRank(X).measure(noise), rel=1e-12)
    assert EffectiveRank(X).measure(1e-30 * noise) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_of_zeros_has_the_cosine_zero(dtype: type) -> None:
    known = np.array([[0, 0], [1, 2], [-1, 1]], dtype)  # cosines to [1, 0]: 0, .447, -.707
    queries = np.array([[1, 0], [0, 0]], dtype)
    (votes,) = neighbour_votes(known, np.arange(3), queries, temperature=1.0)
    expected = np.exp([[0, 5**-0.5, -(0.5**0.5)], [0, 0, 0]])
    np.testing.assert_allclose(votes, expected / expected.sum(1, keepdims=True), rtol=1e-5)


def test_near_neighbours_have_more_votes() -> None:
    known = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
    query = np.array([[3.0, 0.0]])
    (votes,) = neighbour_votes(known, np.array([0, 1, 1]), query, temperature=0.5)
    weights = np.exp(np.array([1, 0, -1]) / 0.5)
    np.testing.assert_allclose(votes, [[weights[0], weights[1:].sum()]] / weights.sum())
