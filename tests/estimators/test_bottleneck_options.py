"""The bottleneck's options: heads, information, regularisation, schedules; and contradictions."""

from __future__ import annotations

import copy
import pickle
from functools import partial
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

from sk_mige import MIGE, InformationBottleneck, SSGEScoreEstimator, Variational
from sk_mige.networks import MLPEncoder
from sk_mige.training import BetaWarmup, ExponentialDecay, WeightAveraging

from .conftest import small

PLAIN: dict[str, Any] = {"head": "deterministic", "beta": 0.0}
DROPPING = partial(MLPEncoder, hidden_layer_sizes=(16,), dropout=0.3)
# Parameters of the objective, and of the encoder.
OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "implicit": ({"head": "implicit"}, {}),
    "score of a Gaussian": ({"information": MIGE(conditional="score")}, {}),
    "several draws": ({"n_draws": 4}, {}),
    "within classes": ({"information": MIGE(marginal="classes")}, {}),
    "standard prior": ({"information": "variational"}, {}),
    "learned prior": ({"information": Variational("learned")}, {}),
    "mine": ({"information": "mine"}, {}),
    "plain": (PLAIN, {}),
    "dropout": (PLAIN, {"encoder": DROPPING}),
    "confidence penalty": (PLAIN | {"confidence_penalty": 0.1}, {}),
    "label smoothing": (PLAIN | {"label_smoothing": 0.1}, {}),
    "averaged": ({}, {"callbacks": [WeightAveraging(0.9)]}),
    "exponential": ({}, {"lr_schedule": ExponentialDecay(0.5, 2)}),
    "warm-up": ({"beta": 0.1}, {"callbacks": [BetaWarmup(2)]}),
    "limit": ({"max_information": 4.0, "beta": 1e-2}, {"max_epochs": 25, "lr": 1e-2}),
    "class weights": ({"class_weight": {0: 1.0, 1: 2.0, 2: 1.0}}, {}),
    "balanced": ({"class_weight": "balanced"}, {}),
}


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 100)
    return rng.normal(size=(300, 5)) + 2.5 * np.eye(5)[y], y


@pytest.mark.parametrize(("objective", "parameters"), OPTIONS.values(), ids=OPTIONS)
def test_every_option_learns_and_its_pickle_predicts_the_same(
    objective: dict[str, Any], parameters: dict[str, Any], data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = data
    mode = InformationBottleneck(**objective)
    encoder = small(mode, **{"max_epochs": 10, "lr": 3e-2, **parameters}).fit(X, y)
    assert encoder.score(X, y) > 0.85
    for other in (pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder)):
        np.testing.assert_array_equal(other.predict_proba(X), encoder.predict_proba(X))
        assert other.beta_ == encoder.beta_
        if mode.class_weight != "balanced":
            assert other.partial_fit(X, y).n_iter_ == encoder.max_epochs + 1


@pytest.mark.slow
@settings(max_examples=12)
@given(
    beta=st.floats(0, 1),
    n_components=st.sampled_from([2, 8, 32, 128, 512]),
    options=st.sampled_from([{}, {"head": "deterministic"}, {"information": "variational"}]),
    warmup=st.booleans(),
)
def test_long_runs_of_any_beta_and_width_stay_finite_with_positive_noise(
    beta: float, n_components: int, options: dict[str, Any], warmup: bool
) -> None:
    X = np.random.default_rng(0).normal(size=(600, 20))
    y = np.digitize(X[:, 0] + X[:, 1], [-1, 1])
    mode = InformationBottleneck(beta=beta, **options)
    callbacks = [BetaWarmup(20)] if warmup else None
    encoder = small(mode, n_components=n_components, max_epochs=40, lr=5e-3, callbacks=callbacks)
    encoder.fit(X, y)
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
    mode = InformationBottleneck(head=head, beta=0.1)
    encoder = small(mode, max_epochs=10, lr=1e-2).fit(X, y)
    mean = encoder.transform(X)
    sample = encoder.set_params(output="sample").transform(X)
    assert sample.shape == mean.shape
    np.testing.assert_array_equal(sample, encoder.transform(X))
    assert encoder.get_feature_names_out().shape == (3,)
    deviations = sample - mean
    assert np.abs(deviations.mean(0) / deviations.std(0)).max() < 5 / np.sqrt(300)


def test_implicit_noise_grows_with_beta(data: tuple[np.ndarray, np.ndarray]) -> None:
    # The density q(z | x) is unknown, so the gradient of I(z; x) is estimated from scores of draws.
    X, y = data
    noise = []
    for beta in (0.0, 0.3):
        mode = InformationBottleneck(head="implicit", beta=beta)
        encoder = small(mode, n_components=2, max_epochs=30, lr=1e-2).fit(X, y)
        mean = encoder.transform(X)
        sample = encoder.set_params(output="sample").transform(X)
        noise.append((sample - mean).std() / mean.std())
    assert noise[1] > 1.5 * noise[0]


class Schedules(Callback):
    """Record β and the learning rate of each batch."""

    def on_grad_computed(self, net: Any, **kwargs: Any) -> None:
        net.history.record_batch("beta", net.criterion_.ramp * net.criterion_.current_beta)
        net.history.record_batch("rate", net.optimizer_.param_groups[0]["lr"])


def test_schedules_follow_their_formulas_over_several_calls(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    encoder = small(
        InformationBottleneck(beta=0.1), max_epochs=2, batch_size=150, lr=0.01, warm_start=True,
        lr_schedule=ExponentialDecay(0.25, 2), callbacks=[BetaWarmup(2), Schedules],
    )  # fmt: skip
    encoder.fit(*data).fit(*data)
    expected = [(0, 1), (0.25, 1), (0.5, 0.5), (0.75, 0.5), (1, 0.25), (1, 0.25), (1, 0.125)]
    batches = [batch for epoch in encoder.net_.history for batch in epoch["batches"]]
    found = [(batch["beta"] / 0.1, batch["rate"] / 0.01) for batch in batches[:7]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_beta_grows_in_partial_fit_too(data: tuple[np.ndarray, np.ndarray]) -> None:
    mode = InformationBottleneck(beta=0.1)
    encoder = small(mode, batch_size=150, callbacks=[BetaWarmup(2), Schedules])
    for _ in range(3):
        encoder.partial_fit(*data, classes=[0, 1, 2])
    batches = [batch for epoch in encoder.net_.history for batch in epoch["batches"]]
    found = [batch["beta"] / 0.1 for batch in batches]
    np.testing.assert_allclose(found, [0, 0.25, 0.5, 0.75, 1, 1], rtol=1e-6)
    assert encoder.beta_ == 0.1


def test_averaged_weights_lie_between_those_of_the_steps(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    # All runs take the same steps. With a small decay, the average is close to the last weights.
    last, short, long = (
        small("ib", callbacks=callbacks, max_epochs=8, lr=1e-2, lr_schedule="constant").fit(*data)
        for callbacks in (None, [WeightAveraging(1e-6)], [WeightAveraging(0.999)])
    )
    assert last.history_[-1]["train_loss"] == long.history_[-1]["train_loss"]
    distance = [
        float((m.module_.decoder.weight - last.module_.decoder.weight).detach().norm())
        for m in (short, long)
    ]
    assert 0 < distance[0] < distance[1]


def test_weighted_classes_are_predicted_more_often() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(600) % 6 == 0).astype(int)
    X = rng.normal(size=(600, 2)) + y[:, None]
    shares = [
        small(InformationBottleneck(class_weight=weight), max_epochs=20, lr=1e-2)
        .fit(X, y)
        .predict(X)
        .mean()
        for weight in (None, "balanced")
    ]
    assert shares[0] < 0.2 < shares[1]


def test_class_weights_shift_the_log_odds_before_training() -> None:
    modes = [InformationBottleneck(class_weight=weight) for weight in ({0: 3.0, 1: 1.0}, None)]
    weighted, plain = (small(mode, max_epochs=1, lr=1e-9).fit(X, Y) for mode in modes)
    shift = (weighted.module_.decoder.bias - plain.module_.decoder.bias).detach()
    assert float(shift[0] - shift[1]) == pytest.approx(np.log(3), rel=1e-4)


def test_grid_search_over_the_scores_of_a_bottleneck_in_a_pipeline(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    mode = InformationBottleneck(MIGE(marginal="stein"))
    encoder = small(mode, score_estimator=SSGEScoreEstimator())
    grid = {
        "migeencoder__mode__beta": [1e-3, 1e-2],
        "migeencoder__score_estimator__eigen_threshold": [0.9, 0.99],
    }
    search = GridSearchCV(make_pipeline(StandardScaler(), encoder), grid, cv=2).fit(*data)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


X, Y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"head": "deterministic", "information": MIGE(conditional="score")},
            r"conditional='score' needs noise in z.*use 'auto', or head='gaussian'",
        ),
        (
            {"head": "deterministic", "information": MIGE(marginal="score")},
            r"marginal='score' needs noise in z.*use 'auto', or head='gaussian'",
        ),
        (
            {"head": "implicit", "information": MIGE(conditional="closed-form")},
            r"needs a known density.*use conditional='score' or 'auto'",
        ),
        (
            {"information": MIGE(2.0)},
            r"x_scale=2.0 .*use x_scale=1, or head='deterministic'",
        ),
        (
            {"head": "implicit", "information": "variational"},
            r"Variational\(\) needs the density q\(z \| x\), which only head='gaussian' has",
        ),
        ({"head": "implicit", "max_information": 1.0}, r"max_information=1.0 needs an upper"),
        ({"head": "deterministic", "max_information": 1.0}, r"got head='deterministic'"),
        ({"head": "deterministic", "n_draws": 4}, r"n_draws=4 is for stochastic heads"),
        ({"head": "implicit", "n_draws": 1}, r"n_draws=1 is too few"),
        (
            {"information": MIGE(marginal="classes"), "task": "regression"},
            r"within classes, got task='regression': use marginal='auto'",
        ),
        (
            {"information": MIGE(marginal="classes"), "head": "implicit"},
            r"needs the mean and scale of head='gaussian'",
        ),
        (
            {"information": MIGE(marginal="classes", conditional="score")},
            r"conditional='score'",
        ),
        ({"information": MIGE(marginal="learned")}, r"'marginal' parameter of MIGE"),
        ({"information": Variational("stein")}, r"'prior' parameter of Variational.*'stein'"),
        ({"task": "regression", "label_smoothing": 0.1}, r"label_smoothing=0.1 is for task='class"),
        ({"task": "regression", "class_weight": {0: 1.0}}, r"class_weight=.* is for task='class"),
        *(
            ({"class_weight": {0: weight, 1: 1.0}}, "class_weight.*(positive numbers|invalid)")
            for weight in (0.0, -1.0, np.nan, np.inf, 1e300, 1e-300, "a")
        ),
        ({"class_weight": {0: 1.0, "1": 2.0}}, r"\['1'\] are not among the classes of y, \[0, 1\]"),
        ({"task": "auto"}, r"'task' parameter of InformationBottleneck.*'auto' instead"),
        ({"max_information": 0.0}, r"'max_information' parameter"),
        ({"beta": -1.0}, r"'beta' parameter"),
        ({"label_smoothing": 1.0}, r"'label_smoothing' parameter"),
    ],
    ids=str,
)
def test_contradictions_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(InformationBottleneck(**parameters)).fit(X, Y)


def test_a_warm_up_without_a_bottleneck_is_refused() -> None:
    with pytest.raises(ValueError, match="BetaWarmup is for mode=InformationBottleneck"):
        small(callbacks=[BetaWarmup(2)]).fit(X)


def test_more_components_than_draws_are_warned_about() -> None:
    mode = InformationBottleneck(head="implicit")
    with pytest.warns(UserWarning, match="n_components=20 exceeds the 16 draws of z.*n_draws"):
        small(mode, n_components=20, max_epochs=1).fit(X, Y)


def test_balanced_weights_need_all_rows_at_once() -> None:
    with pytest.raises(ValueError, match=r"'balanced' needs all of y at once"):
        small(InformationBottleneck(class_weight="balanced")).partial_fit(X, Y, classes=[0, 1])


def test_rows_cannot_be_weighted() -> None:
    # Weights of rows would require weighted score estimates.
    with pytest.raises(TypeError, match="sample_weight"):
        small("ib").fit(X, Y, sample_weight=np.ones(40))
