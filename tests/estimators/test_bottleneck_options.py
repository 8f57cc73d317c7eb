"""The bottleneck's options: heads, rivals, regularisers, schedules; and what contradicts itself."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sk_mige import MIGEEncoder, SSGEScoreEstimator

SMALL: dict[str, Any] = {
    "n_components": 3,
    "hidden_layer_sizes": (16,),
    "max_epochs": 3,
    "batch_size": 64,
    "device": "cpu",
    "random_state": 0,
}
# What each adds to the defaults.
OPTIONS: dict[str, dict[str, Any]] = {
    "implicit": {"head": "implicit"},
    "score of a Gaussian": {"conditional": "score"},
    "several draws": {"n_training_samples": 4},
    "within classes": {"marginal": "classes"},
    "standard prior": {"mi_estimator": "variational"},
    "learned prior": {"mi_estimator": "variational", "marginal": "learned"},
    "mine": {"mi_estimator": "mine"},
    "plain": {"head": "deterministic", "beta": 0.0},
    "dropout": {"head": "deterministic", "beta": 0.0, "dropout": 0.3},
    "confidence penalty": {"head": "deterministic", "beta": 0.0, "confidence_penalty": 0.1},
    "label smoothing": {"head": "deterministic", "beta": 0.0, "label_smoothing": 0.1},
    "averaged": {"weight_averaging": 0.9},
    "exponential": {"lr_schedule": "exponential", "lr_decay": 0.5},
    "warm-up": {"beta_warmup": 2, "beta": 0.1},
    "ceiling": {"max_information": 2.0},
    "class weights": {"class_weight": {0: 1.0, 1: 2.0, 2: 1.0}},
    "balanced": {"class_weight": "balanced"},
}


def ib(**parameters: Any) -> MIGEEncoder:
    return MIGEEncoder(**{"mode": "ib", **SMALL, **parameters})


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 100)
    return rng.normal(size=(300, 5)) + 2.5 * np.eye(5)[y], y


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option_learns_and_its_pickle_predicts_the_same(
    options: dict[str, Any], data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = data
    encoder = ib(**options, max_epochs=25, lr=1e-2).fit(X, y)
    assert encoder.score(X, y) > 0.85
    for other in (pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder)):
        np.testing.assert_array_equal(other.predict_proba(X), encoder.predict_proba(X))
        assert other.beta_ == encoder.beta_
        if options.get("class_weight") != "balanced":
            assert other.partial_fit(X, y).n_iter_ == 26


@settings(max_examples=10)
@given(
    beta=st.floats(0, 1),
    n_components=st.sampled_from([2, 16, 256]),
    options=st.sampled_from(
        [{"head": "implicit"}, {"mi_estimator": "variational"}, {"max_information": 1.0}]
    ),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_no_beta_no_width_and_no_head_runs_away(
    beta: float, n_components: int, options: dict[str, Any], dtype: type
) -> None:
    X = np.random.default_rng(0).normal(size=(256, 5)).astype(dtype)
    y = (X[:, 0] > 0).astype(int)
    if options.get("head") == "implicit":
        n_components = min(n_components, 16)
    encoder = ib(beta=beta, n_components=n_components, max_epochs=6, lr=1e-2, **options).fit(X, y)
    assert np.isfinite(encoder.history_[-1]["train_loss"])
    Z = encoder.transform(X)
    assert Z.dtype == dtype
    assert np.abs(Z).max() < 1e3


@pytest.mark.slow
@settings(max_examples=12)
@given(
    beta=st.floats(0, 1),
    n_components=st.sampled_from([2, 8, 32, 128, 512]),
    options=st.sampled_from(
        [{}, {"head": "deterministic"}, {"mi_estimator": "variational"}, {"beta_warmup": 20}]
    ),
)
def test_long_runs_of_any_beta_and_width_stay_finite_with_positive_noise(
    beta: float, n_components: int, options: dict[str, Any]
) -> None:
    X = np.random.default_rng(0).normal(size=(600, 20))
    y = np.digitize(X[:, 0] + X[:, 1], [-1, 1])
    encoder = ib(beta=beta, n_components=n_components, max_epochs=40, lr=5e-3, **options).fit(X, y)
    assert np.isfinite(encoder.history_[-1]["train_loss"])
    with torch.no_grad():
        code = encoder.module_(torch.as_tensor(X, dtype=torch.float32))
    assert bool(torch.isfinite(code.z).all())
    if code.conditional is not None:
        assert 1e-5 < float(code.conditional[1].min()) <= float(code.conditional[1].max()) < 10


@pytest.mark.parametrize("head", ["gaussian", "implicit"])
def test_samples_scatter_around_the_mean_and_repeat(
    head: str, data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = data
    encoder = ib(head=head, beta=0.1, max_epochs=10, lr=1e-2).fit(X, y)
    mean = encoder.transform(X)
    sample = encoder.set_params(output="sample").transform(X)
    assert sample.shape == mean.shape
    np.testing.assert_array_equal(sample, encoder.transform(X))
    assert encoder.get_feature_names_out().shape == (3,)
    deviations = sample - mean
    assert np.abs(deviations.mean(0) / deviations.std(0)).max() < 5 / np.sqrt(300)


def test_implicit_noise_grows_with_its_reward(data: tuple[np.ndarray, np.ndarray]) -> None:
    # No density anywhere: only scores of draws tell that noise lowers I(z; x).
    X, y = data
    noise = []
    for beta in (0.0, 0.3):
        encoder = ib(head="implicit", n_components=2, beta=beta, max_epochs=30, lr=1e-2)
        encoder.fit(X, y).set_params(output=None)
        mean = encoder.transform(X)
        sample = encoder.set_params(output="sample").transform(X)
        noise.append((sample - mean).std() / mean.std())
    assert noise[1] > 1.5 * noise[0]


class Seen(Callback):
    """Prices and learning rates, batch by batch."""

    def __init__(self, into: list[tuple[float, float]]) -> None:
        self.into = into

    def on_grad_computed(self, net: Any, **kwargs: Any) -> None:
        criterion = net.criterion_
        rate = net.optimizer_.param_groups[0]["lr"]
        self.into.append((criterion.ramp * criterion.price, rate))


def test_schedules_are_those_of_their_formulas(
    data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, float]] = []
    monkeypatch.setattr(Seen, "__deepcopy__", lambda self, memo: self, raising=False)
    monkeypatch.setattr("sk_mige.estimators._encoder_callbacks.clone", lambda callback: callback)
    encoder = ib(
        beta=0.1, beta_warmup=2, max_epochs=2, batch_size=150, lr=0.01, warm_start=True,
        lr_schedule="exponential", lr_decay=0.25, lr_decay_epochs=2, callbacks=[Seen(seen)],
    )  # fmt: skip
    encoder.fit(*data).fit(*data)
    expected = [(0, 1), (0.25, 1), (0.5, 0.5), (0.75, 0.5), (1, 0.25), (1, 0.25), (1, 0.125)]
    found = [(price / 0.1, rate / 0.01) for price, rate in seen[:7]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_averaged_weights_lie_between_those_of_the_way(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    # The same steps are taken; with a short memory the average is near the last weights.
    last, short, long = (
        ib(weight_averaging=decay, max_epochs=8, lr=1e-2, lr_schedule="constant").fit(*data)
        for decay in (None, 1e-6, 0.999)
    )
    assert last.history_[-1]["train_loss"] == long.history_[-1]["train_loss"]
    distance = [
        float((m.module_.decoder.weight - last.module_.decoder.weight).detach().norm())
        for m in (short, long)
    ]
    assert 0 < distance[0] < distance[1]


def test_dearer_classes_are_found_more_often() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(600) % 6 == 0).astype(int)
    X = rng.normal(size=(600, 2)) + y[:, None]
    shares = [
        ib(class_weight=weight, max_epochs=20, lr=1e-2).fit(X, y).predict(X).mean()
        for weight in (None, "balanced")
    ]
    assert shares[0] < 0.2 < shares[1]


def test_weights_move_the_log_odds_before_anything_is_learned() -> None:
    weighted, plain = (
        ib(class_weight=weight, max_epochs=1, lr=1e-9).fit(X, Y).module_.decoder.bias.detach()
        for weight in ({0: 3.0, 1: 1.0}, None)
    )
    shift = weighted - plain
    assert float(shift[0] - shift[1]) == pytest.approx(np.log(3), rel=1e-4)


def test_grid_search_over_the_scores_of_a_bottleneck_in_a_pipeline(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    encoder = ib(task="classification", score_estimator=SSGEScoreEstimator(), marginal="stein")
    grid = {
        "migeencoder__beta": [1e-3, 1e-2],
        "migeencoder__score_estimator__eigen_threshold": [0.9, 0.99],
    }
    search = GridSearchCV(make_pipeline(StandardScaler(), encoder), grid, cv=2).fit(*data)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


X, Y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"head": "deterministic", "conditional": "score"}, r"there is none: use head='gaussian'"),
        ({"head": "implicit", "conditional": "closed-form"}, r"needs a density"),
        ({"head": "implicit", "mi_estimator": "variational"}, r"only head='gaussian' has"),
        ({"head": "implicit", "max_information": 1.0}, r"max_information=1.0 needs an upper"),
        ({"head": "deterministic", "max_information": 1.0}, r"got head='deterministic'"),
        ({"head": "implicit", "n_training_samples": 1}, r"n_training_samples=1 is too few"),
        ({"marginal": "classes", "task": "regression"}, r"within classes, got task='regression'"),
        ({"marginal": "classes", "head": "implicit"}, r"needs the mean and scale of head='gauss"),
        ({"marginal": "classes", "conditional": "score"}, r"conditional='score'"),
        ({"marginal": "learned"}, r"marginal='learned' is unknown to mi_estimator='mige'"),
        ({"mi_estimator": "variational", "marginal": "stein"}, r"one of \['auto', 'standard'"),
        ({"dropout": 0.5, "encoder": torch.nn.Linear(4, 6)}, r"dropout=0.5 is for encoder='mlp'"),
        ({"task": "regression", "label_smoothing": 0.1}, r"takes mode='ib' and task='class"),
        ({"task": "regression", "class_weight": {0: 1.0}}, r"class_weight=.* is for classes"),
        ({"mode": "infomax", "class_weight": "balanced"}, r"got mode='infomax'"),
        ({"max_information": 0.0}, r"'max_information' parameter"),
        ({"beta": -1.0}, r"'beta' parameter"),
        ({"weight_averaging": 1.0}, r"'weight_averaging' parameter"),
        ({"label_smoothing": 1.0}, r"'label_smoothing' parameter"),
    ],
    ids=str,
)
def test_contradictions_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ib(**parameters).fit(X, Y)


def test_more_components_than_draws_are_warned_about() -> None:
    with pytest.warns(UserWarning, match="n_components=20 dimensions, estimated from 16 draws"):
        ib(head="implicit", n_components=20, max_epochs=1).fit(X, Y)


def test_balanced_weights_need_all_rows_at_once() -> None:
    with pytest.raises(ValueError, match=r"'balanced' needs all of y at once"):
        ib(class_weight="balanced").partial_fit(X, Y, classes=[0, 1])


def test_rows_cannot_be_weighted() -> None:
    # The information is that of the rows as they are: weights would need weighted scores.
    with pytest.raises(TypeError, match="sample_weight"):
        ib().fit(X, Y, sample_weight=np.ones(40))
