"""The information plane of bottlenecks."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from sk_mige import InformationBottleneck, MIGEEncoder
from sk_mige.inspection import InformationPlaneDisplay, _information_plane
from sk_mige.networks import evaluation

from .conftest import SMALL


def test_a_larger_beta_keeps_less_information_and_bounds_hold(
    bottlenecks: list[MIGEEncoder], X: np.ndarray, y: np.ndarray
) -> None:
    display = InformationPlaneDisplay.from_estimators(bottlenecks, X, y)
    small_beta, large_beta = display.information_x
    assert large_beta < small_beta <= np.log(len(X))
    assert (display.information_y <= display.entropy_y).all()
    # I(y; z) cannot exceed I(x; z); the tolerance is for the spread of the two estimates.
    assert (display.information_y <= display.information_x + 0.1).all()
    assert [text.get_text() for text in display.texts_] == ["β = 0.001", "β = 1"]
    named = InformationPlaneDisplay.from_estimators(bottlenecks, X, y, labels=np.array(["a", "b"]))
    assert [text.get_text() for text in named.texts_] == ["a", "b"]
    unnamed = InformationPlaneDisplay(information_x=[2.0, 1.0], information_y=[1.0, 0.5])
    assert unnamed.plot().texts_ == []
    with pytest.raises(ValueError, match="1 labels for 2 points"):
        InformationPlaneDisplay.from_estimators(bottlenecks, X, y, labels=["a"])


def test_information_of_a_known_gaussian_channel_is_found() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = (X[:, 0] > 0).astype(int)
    encoder = MIGEEncoder(2, mode="ib", hidden_layer_sizes=(), max_epochs=1, random_state=0)
    encoder.fit(X, y)
    layer = next(m for m in encoder.module_.encoder.modules() if hasattr(m, "weight"))
    weight = np.zeros((4, 2))
    weight[0, 0] = weight[1, 1] = 1.0
    layer.weight.data = layer.weight.new_tensor(weight)
    layer.bias.data = layer.bias.new_tensor([0, 0, 5.5413, 5.5413])  # both scales are 1
    display = InformationPlaneDisplay.from_estimators([encoder], X, y)
    # Two channels of signal-to-noise ratio 1: I = log 2.
    np.testing.assert_allclose(display.information_x, np.log(2), atol=0.06)


def test_information_plane_of_many_rows_draws_some_for_the_information_about_x(
    bottlenecks: list[MIGEEncoder], X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = InformationPlaneDisplay.from_estimator(bottlenecks[0], X, y)
    monkeypatch.setattr(_information_plane, "MAX_ROWS", 60)
    monkeypatch.setattr(_information_plane, "PART_ROWS", 50)
    part = InformationPlaneDisplay.from_estimator(bottlenecks[0], X, y)
    assert part.information_x[0] <= np.log(60)
    np.testing.assert_allclose(part.information_x, whole.information_x, rtol=0.2)
    np.testing.assert_allclose(part.information_y, whole.information_y, rtol=1e-6)


def test_the_label_of_a_point_is_the_beta_at_the_end_of_training(
    X: np.ndarray, y: np.ndarray
) -> None:
    mode = InformationBottleneck("variational", max_information=50.0, beta=1e-3)
    encoder = MIGEEncoder(**SMALL, mode=mode).fit(X, y)
    display = InformationPlaneDisplay.from_estimator(encoder, X, y)
    assert encoder.beta_ != mode.beta
    assert display.texts_[0].get_text() == f"β = {encoder.beta_:g}"


def test_the_best_encoder_of_a_search_over_beta_is_drawn(X: np.ndarray, y: np.ndarray) -> None:
    search = GridSearchCV(MIGEEncoder(**SMALL, mode="ib"), {"mode__beta": [1e-3, 1e-2]}, cv=2)
    display = InformationPlaneDisplay.from_estimator(search.fit(X, y), X, y)
    best = InformationPlaneDisplay.from_estimator(search.best_estimator_, X, y)
    np.testing.assert_array_equal(display.information_x, best.information_x)
    assert display.texts_[0].get_text() == f"β = {search.best_params_['mode__beta']:g}"


def test_information_plane_refuses_other_heads_tasks_and_classes(
    bottlenecks: list[MIGEEncoder], X: np.ndarray, y: np.ndarray
) -> None:
    implicit = MIGEEncoder(**SMALL, mode=InformationBottleneck(head="implicit")).fit(X, y)
    message = r"head='gaussian': got ImplicitHead, .* density q\(z \| x\) is unknown"
    with pytest.raises(ValueError, match=message):
        InformationPlaneDisplay.from_estimator(implicit, X, y)
    regressor = MIGEEncoder(**SMALL, mode=InformationBottleneck(task="regression"))
    regressor.fit(X, X[:, 0])
    with pytest.raises(ValueError, match="must be a classifier.*task='regression'"):
        InformationPlaneDisplay.from_estimator(regressor, X, y)
    for unseen in (np.where(y == 1, 7, y), np.where(y == 1, -3, y)):
        message = rf"y has the classes \[{unseen[y == 1][0]}\], which fit did not receive.*\[0, 1\]"
        with pytest.raises(ValueError, match=message):
            InformationPlaneDisplay.from_estimator(bottlenecks[0], X, unseen)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        InformationPlaneDisplay.from_estimator(bottlenecks[0], X, y[1:])


def test_information_plane_refuses_encoders_without_noise(
    encoder: MIGEEncoder, X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="head='gaussian'"):
        InformationPlaneDisplay.from_estimators([encoder], X, y)


def test_information_plane_takes_the_rows_that_the_encoder_takes(
    bottlenecks: list[MIGEEncoder], X: np.ndarray, y: np.ndarray
) -> None:
    encoder = bottlenecks[0]
    expected = InformationPlaneDisplay.from_estimator(encoder, X, y)
    read_only, backwards = X.copy(), X[::-1].copy()[::-1]
    read_only.flags.writeable = False
    for rows in (read_only, backwards, torch.tensor(X, requires_grad=True), X.tolist()):
        display = InformationPlaneDisplay.from_estimator(encoder, rows, y)
        assert display.information_x == expected.information_x
        assert display.information_y == expected.information_y


def test_information_plane_refuses_the_rows_that_the_encoder_refuses(
    bottlenecks: list[MIGEEncoder], X: np.ndarray, y: np.ndarray
) -> None:
    frame = pd.DataFrame(X, columns=list("abcdef"))
    named = MIGEEncoder(**SMALL, mode="ib").fit(frame, y)
    refused_by = [(named, frame[list("fbcdea")]), (named, frame[list("abcde")])]
    refused_by += [(bottlenecks[0], rows) for rows in (X[:, :5], X[:, :5, None])]
    for encoder, rows in refused_by:
        with pytest.raises(ValueError) as refused:  # noqa: PT011 - whatever transform says
            encoder.transform(rows)
        with pytest.raises(ValueError, match=f"^{re.escape(str(refused.value))}$"):
            InformationPlaneDisplay.from_estimator(encoder, rows, y)


def test_information_plane_evaluates_the_network_in_chunks_of_rows(
    bottlenecks: list[MIGEEncoder],
    X: np.ndarray,
    y: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder, rows, target = bottlenecks[0], np.tile(X, (5, 1)), np.tile(y, 5)
    whole = InformationPlaneDisplay.from_estimator(encoder, rows, target)
    sizes: list[int] = []
    handle = encoder.module_.encoder.register_forward_pre_hook(
        lambda _module, inputs: sizes.append(len(inputs[0]))
    )
    monkeypatch.setattr(evaluation, "CPU_CHUNK_VALUES", 300 * 8)
    chunked = InformationPlaneDisplay.from_estimator(encoder, rows, target)
    handle.remove()
    assert max(sizes) == 300
    np.testing.assert_allclose(chunked.information_x, whole.information_x, rtol=1e-5)
    np.testing.assert_allclose(chunked.information_y, whole.information_y, rtol=1e-5)
