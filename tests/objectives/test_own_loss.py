"""User-defined losses as the encoder's mode: functions and modules."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from torch import nn

from sk_mige import InfoMax, InformationBottleneck, MIGEEncoder
from sk_mige.networks import Code

SMALL: dict[str, Any] = {
    "n_components": 2, "hidden_layer_sizes": (8,), "max_epochs": 3, "batch_size": 30,
    "device": "cpu", "random_state": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(90, 4)) * [4.0, 2.0, 1.0, 0.5]


@pytest.fixture(scope="module")
def y(X: np.ndarray) -> np.ndarray:
    return (X[:, 0] > 0).astype(int)


def log_determinant(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Minus the information of z = E(x) + N(0, I) in a Gaussian model, in nats."""
    return -0.5 * torch.logdet(torch.eye(code.z.shape[1]) + code.z.T.cov())


def square_error(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (code.z[:, 0] - y).square().mean()


class Reconstruction(nn.Module):
    """Error of a linear reconstruction of x from z, with trained weights."""

    def __init__(self, n_components: int, n_features: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.decoder = nn.Linear(n_components, n_features)

    def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (self.decoder(code.z) - x).square().mean()


def test_the_loss_of_an_epoch_is_that_of_the_function(X: np.ndarray) -> None:
    """One batch contains all rows, so the epoch's loss is that of the first code."""
    linear = nn.Linear(4, 2)
    encoder = MIGEEncoder(2, mode=log_determinant, encoder=linear, max_epochs=1, batch_size=90,
                          device="cpu").fit(X)  # fmt: skip
    with torch.no_grad():
        z = linear(torch.tensor(X, dtype=torch.float32))
        expected = log_determinant(Code(z), z, z)
    assert encoder.history_[0]["train_loss"] == pytest.approx(float(expected), abs=1e-5)


def test_training_is_that_of_a_few_lines_of_torch(X: np.ndarray) -> None:
    linear = nn.Linear(4, 2)
    encoder = MIGEEncoder(2, mode=log_determinant, encoder=linear, max_epochs=5, batch_size=90,
                          lr=0.1, lr_schedule="constant", optimizer=torch.optim.SGD,
                          device="cpu").fit(X)  # fmt: skip
    x = torch.tensor(X, dtype=torch.float32)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        log_determinant(Code(linear(x)), x, x).backward()
        optimizer.step()
    with torch.no_grad():
        np.testing.assert_allclose(encoder.transform(X), linear(x), rtol=1e-3, atol=1e-4)


def test_the_code_is_the_encoders_output_and_targets_are_zeros_without_y(X: np.ndarray) -> None:
    seen: list[Any] = []

    def loss(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append((code, x, y))
        return code.z.mean()

    encoder = MIGEEncoder(**SMALL, mode=loss).fit(X)
    code, x, targets = seen[0]
    assert code.z.shape == (30, 2)
    assert x.shape == (30, 4)
    assert torch.equal(targets, torch.zeros(30))
    assert code.conditional is None
    assert code.prediction is None
    assert set(encoder.module_.state_dict()) == {
        f"encoder.{name}" for name in encoder.module_.encoder.state_dict()
    }


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (lambda y: y, torch.int64),
        (lambda y: y > 0, torch.int64),
        (lambda y: y.astype(np.float64), torch.float32),
        (lambda y: np.column_stack([y, y]).astype(np.float32), torch.float32),
        (lambda y: torch.tensor(y), torch.int64),
        (list, torch.int64),
        (lambda y: y.astype(object), torch.int64),
    ],
    ids=["integers", "booleans", "reals", "several", "tensor", "list", "objects"],
)
def test_targets_reach_the_loss_as_numbers(
    targets: Any, expected: torch.dtype, X: np.ndarray, y: np.ndarray
) -> None:
    seen: list[torch.Tensor] = []

    def loss(code: Code, x: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        seen.append(batch)
        # Targets belong to the rows of their batch.
        own = batch if batch.ndim == 1 else batch[:, 0]
        assert torch.equal(own > 0, x[:, 0] > 0)
        return code.z.mean()

    encoder = MIGEEncoder(**SMALL, mode=loss).fit(X, targets(y))
    encoder.partial_fit(X, targets(y))
    assert {batch.dtype for batch in seen} == {expected}
    assert len(seen) == 12


@pytest.mark.parametrize("targets", [["a"] * 90, np.zeros(89), [None] * 90], ids=range(3))
def test_other_targets_are_refused(targets: Any, X: np.ndarray) -> None:
    with pytest.raises(ValueError, match="y must hold numbers in 90 rows"):
        MIGEEncoder(**SMALL, mode=square_error).fit(X, targets)


class Constant(nn.Module):
    """A loss with a trained parameter that does not depend on the code."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.weight.square().sum()


class Detached(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).detach()


GRAPHS: dict[str, dict[str, Any]] = {
    "detach": {"mode": lambda code, x, y: code.z.detach().mean()},
    "item": {"mode": lambda code, x, y: torch.tensor(code.z.mean().item(), requires_grad=True)},
    "inputs": {"mode": lambda code, x, y: x.mean()},
    "own parameter": {"mode": Constant()},
    "encoder": {"encoder": Detached(4, 3), "mode": InfoMax("vicreg", n_views=2)},
    "critic": {"encoder": Detached(4, 3), "mode": InfoMax("jsd")},
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_loss_that_autograd_cannot_follow_is_refused(name: str, X: np.ndarray) -> None:
    with pytest.raises(ValueError, match="does not depend on the weights of the network"):
        MIGEEncoder(3, max_epochs=1, **GRAPHS[name]).fit(X)


@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64])
def test_a_loss_that_is_no_real_number_is_named(dtype: torch.dtype, X: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"mode: .* floating-point tensor .*\(\) and torch"):
        MIGEEncoder(3, max_epochs=1, mode=lambda code, x, y: code.z.mean().to(dtype)).fit(X)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e155])
def test_targets_beyond_float32_are_named(value: float, X: np.ndarray) -> None:
    y = np.where(np.arange(90) == 3, value, 1.0)
    with pytest.raises(ValueError, match="y contains NaN, infinity, or a value too large"):
        MIGEEncoder(**SMALL, mode=square_error).fit(X, y)


def test_a_loss_with_targets_is_learned(X: np.ndarray, y: np.ndarray) -> None:
    encoder = MIGEEncoder(**SMALL | {"max_epochs": 40, "lr": 0.02}, mode=square_error).fit(X, y)
    assert encoder.history_[-1]["train_loss"] < 0.1
    predicted = encoder.transform(X)[:, 0] > 0.5
    assert np.mean(predicted == y) > 0.95


def test_parameters_of_a_module_are_trained_and_the_users_module_is_not(X: np.ndarray) -> None:
    own = Reconstruction(2, 4)
    start = {name: value.clone() for name, value in own.state_dict().items()}
    encoder = MIGEEncoder(
        **SMALL | {"max_epochs": 60, "lr": 0.02, "hidden_layer_sizes": ()}, mode=own
    ).fit(X)
    trained = encoder.net_.criterion_.loss
    assert trained is not own
    for name, value in start.items():
        assert torch.equal(own.state_dict()[name], value)
        assert not torch.equal(trained.state_dict()[name], value)
    # A linear autoencoder's error is at best that of PCA.
    best = np.square(X - X.mean(0)).mean() * (1 - PCA(2).fit(X).explained_variance_ratio_.sum())
    assert best * 0.9 < encoder.history_[-1]["train_loss"] < best * 1.5


def test_partial_fit_and_warm_start_continue_with_the_same_parameters(X: np.ndarray) -> None:
    encoder = MIGEEncoder(**SMALL, mode=Reconstruction(2, 4), warm_start=True).fit(X)
    parameters = list(encoder.net_.criterion_.parameters())
    values = [parameter.detach().clone() for parameter in parameters]
    encoder.fit(X).partial_fit(X)
    assert encoder.n_iter_ == 7
    now = list(encoder.net_.criterion_.parameters())
    assert all(a is b for a, b in zip(now, parameters, strict=True))
    assert all(not torch.equal(a, b) for a, b in zip(now, values, strict=True))
    with pytest.raises(ValueError, match=r"mode__loss=.* instead of .*warm_start=False"):
        encoder.set_params(mode=log_determinant).fit(X)
    with pytest.raises(ValueError, match="mode='infomax' instead of 'loss function'"):
        encoder.set_params(mode="infomax").fit(X)


@pytest.mark.parametrize(
    "loss", [log_determinant, Reconstruction(2, 4)], ids=["function", "module"]
)
def test_pickles_compute_the_same_and_continue(loss: Any, X: np.ndarray) -> None:
    encoder = MIGEEncoder(**SMALL, mode=loss).fit(X)
    stored = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(stored.transform(X), encoder.transform(X))
    ours, theirs = (e.net_.criterion_.state_dict() for e in (encoder, stored))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert stored.partial_fit(X).n_iter_ == 4
    assert repr(clone(stored)) == repr(clone(encoder))


def test_equal_seeds_train_equal_modules(X: np.ndarray) -> None:
    encoder = MIGEEncoder(**SMALL, mode=Reconstruction(2, 4))
    first, second = (clone(encoder).fit(X) for _ in range(2))
    np.testing.assert_array_equal(first.transform(X), second.transform(X))
    np.testing.assert_array_equal(encoder.fit(X).transform(X), first.transform(X))


def test_a_search_compares_losses_and_objectives(X: np.ndarray, y: np.ndarray) -> None:
    pipeline = Pipeline([("encode", MIGEEncoder(**SMALL)), ("classify", LogisticRegression())])
    modes = [log_determinant, square_error, "infomax", InfoMax("jsd")]
    search = GridSearchCV(pipeline, {"encode__mode": modes}, cv=2, error_score="raise").fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) > 1
    assert search.best_params_["encode__mode"] in modes
    alone = cross_val_score(clone(pipeline).set_params(encode__mode=modes[0]), X, y, cv=2)
    assert scores[0] == alone.mean()


def test_a_search_over_parameters_starts_from_a_name(X: np.ndarray, y: np.ndarray) -> None:
    searches = [
        GridSearchCV(
            MIGEEncoder(**SMALL | {"lr": 0.05, "max_epochs": 9}, mode=mode),
            {"mode__beta": [0.0, 10.0]},
            cv=2,
        ).fit(X, y)
        for mode in ("ib", InformationBottleneck())
    ]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_array_equal(*scores)
    assert len(set(scores[0])) == 2


def test_a_loss_can_hold_rows_out(X: np.ndarray, y: np.ndarray) -> None:
    encoder = MIGEEncoder(**SMALL, mode=square_error, validation_fraction=0.2).fit(X, y)
    assert all(np.isfinite(row["valid_loss"]) for row in encoder.history_)


def test_a_loss_makes_a_transformer_without_predictions(X: np.ndarray) -> None:
    encoder = MIGEEncoder(**SMALL, mode=square_error).fit(X, np.zeros(90))
    assert not is_classifier(encoder)
    assert not is_regressor(encoder)
    for method in ("predict", "predict_proba"):
        with pytest.raises(AttributeError, match=f"'{method}'.* a representation, not predictions"):
            getattr(encoder, method)
    assert not hasattr(encoder, "beta_")
    assert not hasattr(encoder, "task_")


@pytest.mark.parametrize("value", [lambda z: z.mean(1), lambda z: float(z.mean().detach())])
def test_a_loss_of_another_shape_is_named(value: Any, X: np.ndarray) -> None:
    with pytest.raises(ValueError, match="mode: .* must be a floating-point tensor"):
        MIGEEncoder(**SMALL, mode=lambda code, x, y: value(code.z)).fit(X)


@pytest.mark.parametrize("loss", [lambda code, x: code.z.mean(), nn.MSELoss(), torch.is_tensor])
@pytest.mark.parametrize("wrap", [lambda loss: loss, InfoMax, InformationBottleneck])
def test_a_loss_of_other_arguments_is_named(loss: Any, wrap: Any, X: np.ndarray, y: Any) -> None:
    message = r"mode: the loss .* must take the arguments \(code, x, y\), but takes \("
    with pytest.raises(TypeError, match=message):
        MIGEEncoder(**SMALL, mode=wrap(loss)).fit(X, y)


def test_more_arguments_may_have_defaults(X: np.ndarray) -> None:
    def loss(code: Code, x: torch.Tensor, *rest: torch.Tensor, weight: float = 1.0) -> torch.Tensor:
        return weight * code.z.square().mean()

    assert np.isfinite(MIGEEncoder(**SMALL, mode=loss).fit(X).history_[0]["train_loss"])


def test_an_error_inside_a_loss_is_not_changed(X: np.ndarray) -> None:
    def broken(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        MIGEEncoder(**SMALL, mode=broken).fit(X)
