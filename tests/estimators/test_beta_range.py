"""One training for a range of weights β: encoders of single weights, storage and refusals."""

from __future__ import annotations

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from torch import nn

from sk_mige import MIGE, Critic, InformationBottleneck, MIGEEncoder, Variational
from sk_mige.information import gaussian_mutual_info
from sk_mige.inspection import InformationPlaneDisplay
from sk_mige.training import BetaWarmup, Checkpoint

from .conftest import small
from .test_linear_bottleneck import LAMBDA, linear, pair  # noqa: F401

RANGE = (1e-3, 1.0)


def ranged(*args: Any, beta: Any = RANGE, **parameters: Any) -> InformationBottleneck:
    return InformationBottleneck(*args, beta=beta, **parameters)


@pytest.fixture(scope="module")
def fitted(digits: tuple[np.ndarray, np.ndarray]) -> MIGEEncoder:
    parameters = {"n_components": 8, "hidden_layer_sizes": (64,), "max_epochs": 20, "lr": 3e-3}
    return small(ranged(), **parameters).fit(digits[0][:1200], digits[1][:1200])


def test_one_training_has_the_optimal_information_at_each_weight(
    pair: tuple[np.ndarray, np.ndarray],  # noqa: F811
) -> None:
    encoder = linear((1e-2, 1.0), n_components=2).set_params(max_epochs=50).fit(*pair)
    for beta in (0.02, 0.1, 0.3):
        with torch.no_grad():
            code = encoder.at_beta(beta).module_(torch.as_tensor(pair[0], dtype=torch.float32))
        optimal = 0.5 * math.log((1 / beta - 1) * (1 - LAMBDA) / LAMBDA)
        assert float(gaussian_mutual_info(*code.conditional)) == pytest.approx(optimal, abs=0.2)


def test_a_larger_weight_keeps_less_information_and_predicts_as_well(
    fitted: MIGEEncoder, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = digits[0][1200:], digits[1][1200:]
    encoders = [fitted.at_beta(beta) for beta in (1e-3, 1e-2, 1e-1, 1.0)]
    display = InformationPlaneDisplay.from_estimators(encoders, X, y)
    assert (np.diff(display.information_x) < 0).all()
    assert display.labels == ["β = 0.001", "β = 0.01", "β = 0.1", "β = 1"]
    assert min(encoder.score(X, y) for encoder in encoders) > 0.88


def test_the_encoder_itself_is_that_of_the_geometric_middle(
    fitted: MIGEEncoder, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    assert fitted.beta_ == pytest.approx(math.sqrt(1e-3))
    middle = fitted.at_beta(fitted.beta_)
    np.testing.assert_allclose(middle.predict_proba(digits[0]), fitted.predict_proba(digits[0]))


def test_the_encoder_of_one_weight_has_that_weight_as_parameter(fitted: MIGEEncoder) -> None:
    weak = fitted.at_beta(0.1)
    assert weak.mode.beta == weak.beta_ == 0.1
    assert clone(weak).get_params()["mode__beta"] == 0.1
    assert fitted.mode.beta == RANGE


def test_the_encoder_of_one_weight_shares_no_memory(
    fitted: MIGEEncoder, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    before = fitted.predict_proba(digits[0])
    fitted.at_beta(0.1).partial_fit(*digits)
    np.testing.assert_array_equal(fitted.predict_proba(digits[0]), before)


@pytest.mark.parametrize("beta", [None, 0.1])
def test_copies_and_files_compute_the_same_and_train_on(
    beta: float | None, fitted: MIGEEncoder, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    encoder = fitted if beta is None else fitted.at_beta(beta)
    skops.io.dump(encoder, tmp_path / "encoder.skops")
    trusted = skops.io.get_untrusted_types(file=tmp_path / "encoder.skops")
    for other in (
        copy.deepcopy(encoder),
        pickle.loads(pickle.dumps(encoder)),
        skops.io.load(tmp_path / "encoder.skops", trusted=trusted),
    ):
        expected = encoder.predict_proba(digits[0])
        np.testing.assert_array_equal(other.predict_proba(digits[0]), expected)
        assert other.partial_fit(*digits).beta_ == encoder.beta_


@pytest.mark.parametrize(
    "mode",
    [
        ranged(MIGE(marginal="classes")),
        ranged(Variational("learned")),
        ranged(Critic("infonce")),
        ranged(head="deterministic"),
        ranged(head="implicit"),
        ranged(beta=[0.01, 0.1]),
    ],
    ids=str,
)
def test_every_information_and_head_can_be_read_at_each_weight(
    mode: InformationBottleneck, X: np.ndarray, y: np.ndarray
) -> None:
    encoder = small(mode).fit(X, y)
    low, high = (encoder.at_beta(beta).predict_proba(X) for beta in (0.01, 0.1))
    assert np.isfinite(low).all()
    assert not np.array_equal(low, high)


@pytest.mark.parametrize("encoder", ["conv", nn.Sequential(nn.Flatten(), nn.Linear(64, 6))])
def test_every_encoder_can_be_read_at_each_weight(encoder: Any, y: np.ndarray) -> None:
    images = np.random.default_rng(0).normal(size=(150, 1, 8, 8))
    fitted = small(ranged(), encoder=encoder, max_epochs=1).fit(images, y)
    low, high = (fitted.at_beta(beta).transform(images) for beta in (1e-3, 1.0))
    assert not np.array_equal(low, high)


def test_a_pipeline_is_read_at_a_weight_of_its_last_step(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    pipeline = make_pipeline(MinMaxScaler(), small(ranged())).fit(*digits)
    strong = make_pipeline(pipeline[:-1], pipeline[-1].at_beta(1.0))
    assert strong.predict(digits[0]).shape == digits[1].shape


def test_a_warm_up_and_a_checkpoint_go_with_a_range(
    X: np.ndarray, y: np.ndarray, tmp_path: Path
) -> None:
    plain = small(ranged(), callbacks=[BetaWarmup(2)]).fit(X, y)
    stored = small(ranged(), callbacks=[BetaWarmup(2), Checkpoint(tmp_path / "run.pt")])
    for _ in range(2):  # the second is restored
        np.testing.assert_array_equal(stored.fit(X, y).transform(X), plain.transform(X))


def test_a_warm_start_continues_a_range_and_refuses_another(X: np.ndarray, y: np.ndarray) -> None:
    encoder = small(ranged(), warm_start=True).fit(X, y)
    assert encoder.fit(X, y).n_iter_ == 6
    with pytest.raises(ValueError, match="beta"):
        encoder.set_params(mode__beta=0.1).fit(X, y)


@pytest.mark.parametrize("beta", [(1.0, 0.1), (0.1, 0.1), (0.0, 1.0), (0.1, np.inf), (0.1,), "ab"])
def test_a_pair_that_is_no_range_is_refused(beta: Any, X: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(ValueError, match="beta"):
        small(ranged(beta=tuple(beta))).fit(X, y)


def test_a_limit_is_refused_with_a_range(X: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(ValueError, match="max_information=None"):
        small(ranged(max_information=2.0)).fit(X, y)


@pytest.mark.parametrize("beta", [1e-4, 2.0, np.nan, "a", None])
def test_a_weight_outside_of_the_range_is_refused(beta: Any, fitted: MIGEEncoder) -> None:
    with pytest.raises(ValueError, match="outside of the trained range"):
        fitted.at_beta(beta)


def test_an_encoder_of_one_weight_has_no_others(
    fitted: MIGEEncoder, X: np.ndarray, y: np.ndarray
) -> None:
    for encoder in (fitted.at_beta(0.1), small("ib").fit(X, y), small().fit(X)):
        with pytest.raises(ValueError, match="beta=\\(low, high\\)"):
            encoder.at_beta(0.1)
