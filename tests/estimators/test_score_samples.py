"""Typicality of rows under a bottleneck: detection of novel rows, bounds, heads and edge cases."""

from __future__ import annotations

import pickle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import TensorDataset

from sk_mige import MIGE, InformationBottleneck, MIGEEncoder
from sk_mige.inspection import InformationPlaneDisplay
from sk_mige.networks.marginal import CodeMarginal

from .conftest import interrupt_at, small

HEADS = {
    "gaussian": InformationBottleneck(beta=1e-2),
    "by classes": InformationBottleneck(MIGE(marginal="classes"), beta=1e-2),
    "variational": InformationBottleneck("variational", beta=1e-2),
    "deterministic": InformationBottleneck(head="deterministic", beta=0.0),
    "implicit": InformationBottleneck(head="implicit", beta=1e-3),
}


def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32), y


@pytest.mark.parametrize("mode", HEADS.values(), ids=HEADS)
def test_novel_rows_have_smaller_values_than_known_ones(mode: InformationBottleneck) -> None:
    X, y = digits()
    known = y < 8
    model = MIGEEncoder(
        8,
        mode=mode,
        max_epochs=10,
        lr=1e-2,
        batch_size=64,
        hidden_layer_sizes=(64,),
        random_state=0,
    ).fit(X[known][:900], y[known][:900])
    usual = model.score_samples(X[known][900:])
    for novel in (X[~known], np.random.default_rng(0).permuted(X[known][900:], axis=1)):
        truth = np.repeat([1, 0], [len(usual), len(novel)])
        found = roc_auc_score(truth, np.concatenate([usual, model.score_samples(novel)]))
        assert found > 0.85


def test_one_component_gives_minus_the_exact_divergence() -> None:
    rng = np.random.default_rng(0)
    codes = np.stack([rng.normal(size=(500, 3)), rng.uniform(0.5, 2, (500, 3))], axis=1)
    marginal = CodeMarginal(codes, np.zeros(500))
    normal = torch.distributions.Normal
    of_rows = normal(*torch.from_numpy(codes).unbind(1))
    whole = normal(*(torch.from_numpy(v[0]) for v in (marginal.centers, marginal.variances**0.5)))
    exact = torch.distributions.kl_divergence(of_rows, whole).sum(1)
    torch.testing.assert_close(marginal.log_density(torch.from_numpy(codes)), -exact)


def test_classes_give_an_upper_bound_of_the_rate() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=400)
    codes = np.stack([rng.normal(size=(400, 1)) + y[:, None], np.full((400, 1), 0.5)], axis=1)
    marginal = CodeMarginal(codes, y)
    of_classes = torch.distributions.Normal(
        torch.from_numpy(marginal.centers[:, 0]), torch.from_numpy(marginal.variances[:, 0] ** 0.5)
    )
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=torch.from_numpy(marginal.log_weights)), of_classes
    )
    q = torch.distributions.Normal(*torch.from_numpy(codes[..., 0]).unbind(1))
    z = q.sample((4000,))
    rate = (q.log_prob(z) - mixture.log_prob(z)).mean(0)
    bound = -marginal.log_density(torch.from_numpy(codes))
    assert (bound > rate - 0.1).all()
    assert (bound < rate + np.log(3) + 0.1).all()


def test_values_without_a_gaussian_are_log_densities_of_z() -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(300, 2)), np.arange(300) % 2
    marginal = CodeMarginal(z[:, None], y)
    grid = torch.cartesian_prod(*[torch.linspace(-8, 8, 200, dtype=torch.float64)] * 2)
    mass = marginal.log_density(grid[:, None]).exp().sum() * (16 / 199) ** 2
    assert float(mass) == pytest.approx(1, abs=1e-3)


def test_units_of_z_have_no_effect_on_a_rate() -> None:
    rng = np.random.default_rng(0)
    codes = np.stack([rng.normal(size=(90, 2)), rng.uniform(0.5, 2, (90, 2))], axis=1)
    y = np.arange(90) % 3
    units = np.array([1e-5, 1e7])
    one, other = (
        CodeMarginal(c, y).log_density(torch.from_numpy(c)) for c in (codes, codes * units)
    )
    torch.testing.assert_close(one, other)


def test_constant_and_rare_components_give_finite_values() -> None:
    for z in (np.zeros((8, 1, 2)), np.full((8, 1, 2), 3.7), np.eye(8)[:, None]):
        marginal = CodeMarginal(z, np.arange(8))
        assert marginal.log_density(torch.from_numpy(z)).isfinite().all()
        assert marginal.log_density(torch.from_numpy(z + 1e3)).isfinite().all()


def test_minus_the_mean_is_above_a_lower_bound_of_the_information(
    X: np.ndarray, y: np.ndarray
) -> None:
    for beta in (1e-3, 0.3):
        model = small(InformationBottleneck(beta=beta), max_epochs=50, lr=1e-2).fit(X, y)
        below = InformationPlaneDisplay.from_estimator(model, X, y).information_x[0]
        assert 0 < below < -model.score_samples(X).mean() < below + 5
    plt.close("all")


@pytest.mark.parametrize("names", [np.array(["no", "yes"]), np.array([7.0, -1.0])])
def test_names_of_classes_have_no_effect(X: np.ndarray, y: np.ndarray, names: np.ndarray) -> None:
    named = small("ib").fit(X, np.sort(names)[y])
    np.testing.assert_array_equal(named.score_samples(X), small("ib").fit(X, y).score_samples(X))


def test_predicted_rows_of_one_class_have_values(X: np.ndarray, y: np.ndarray) -> None:
    model = small("ib").fit(X, y)
    np.testing.assert_array_equal(model.score_samples(X[y == 1]), model.score_samples(X)[y == 1])
    with pytest.raises(ValueError, match="at least two classes"):
        small("ib").fit(X, np.zeros(len(X)))


def test_rare_classes_are_not_novel(X: np.ndarray) -> None:
    y = np.zeros(len(X), dtype=int)
    y[:3] = 1
    shifted = X + 8.0 * (y == 1)[:, None]
    model = small("ib", max_epochs=30, lr=1e-2).fit(shifted, y)
    values = model.score_samples(np.concatenate([shifted, shifted + 50.0]))
    assert values[:3].min() > values[len(X) :].max()


def test_a_regression_has_one_gaussian(X: np.ndarray) -> None:
    model = small(InformationBottleneck(task="regression"), max_epochs=30).fit(X, X[:, 0])
    assert model.score_samples(X).mean() > model.score_samples(X + 20.0).mean()


def test_types_of_inputs_give_equal_values(X: np.ndarray, y: np.ndarray) -> None:
    model = small("ib").fit(X, y)
    values = model.score_samples(X)
    assert values.dtype == X.dtype
    tensor = torch.tensor(X, dtype=torch.float32)
    data_set = model.score_samples(TensorDataset(tensor, torch.tensor(y)))
    np.testing.assert_allclose(data_set, values, rtol=1e-5)
    fitted = small("ib").fit(TensorDataset(tensor, torch.tensor(y)))
    np.testing.assert_allclose(fitted.score_samples(X), values, rtol=1e-3)
    np.testing.assert_allclose(model.score_samples(X[:1]), values[:1], rtol=1e-6)


def test_a_pipeline_and_a_pickle_have_the_values_too(X: np.ndarray, y: np.ndarray) -> None:
    pipeline = make_pipeline(StandardScaler(), small("ib")).fit(X, y)
    values = pipeline.score_samples(X)
    np.testing.assert_array_equal(values, pipeline[-1].score_samples(pipeline[0].transform(X)))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pipeline)).score_samples(X), values)


def test_the_score_of_rows_is_that_of_at_most_ten_thousand_training_rows(
    X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = small("ib").fit(X, y).score_samples(X)
    monkeypatch.setattr("sk_mige.networks.marginal.MARGINAL_ROWS", 100)
    some = small("ib").fit(X, y).score_samples(X)
    assert 0 < abs(some - whole).max() < 2


def test_a_continued_training_needs_a_complete_fit(X: np.ndarray, y: np.ndarray) -> None:
    model = small("ib").fit(X, y).partial_fit(X, y)
    with pytest.raises(NotFittedError, match="call fit.*warm_start=True"):
        model.score_samples(X)
    assert model.set_params(warm_start=True).fit(X, y).score_samples(X).shape == (len(X),)


def test_an_interrupted_fit_has_the_density_of_its_weights(
    X: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(4, monkeypatch)
    with pytest.warns(UserWarning, match="interrupted"):
        model = small("ib").fit(X, y)
    assert np.isfinite(model.score_samples(X)).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda X: np.where(X > 2, np.nan, X), "contains NaN"),
        (lambda X: X[:, :5], "5 features, but MIGEEncoder is expecting 8"),
        (lambda X: X[0], "Expected 2D array"),
    ],
)
def test_rows_that_have_no_value_are_refused(
    X: np.ndarray, y: np.ndarray, rows: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        small("ib").fit(X, y).score_samples(rows(X))


def test_encoders_without_a_density_name_a_remedy(X: np.ndarray) -> None:
    for mode in ("infomax", lambda code, x, y: code.z.square().mean()):
        with pytest.raises(AttributeError, match="mode='ib'.*GaussianMixture"):
            small(mode).fit(X).score_samples(X)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        small("ib").score_samples(X)
