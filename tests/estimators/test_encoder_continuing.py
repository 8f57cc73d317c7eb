"""Changes of parameters between two calls that train one encoder, allowed and refused."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from sk_mige import (
    MIGE,
    Critic,
    InfoMax,
    InformationBottleneck,
    MIGEEncoder,
    SSGEScoreEstimator,
    Variational,
)
from sk_mige.estimators import _base
from sk_mige.information import SeparableCritic
from sk_mige.training import WeightAveraging

from .conftest import small


def started(mode: Any = "infomax", **parameters: Any) -> MIGEEncoder:
    return small(mode, **{"max_epochs": 1, "warm_start": True, **parameters})


def jitter(batch: torch.Tensor) -> torch.Tensor:
    return batch + 0.1 * torch.randn_like(batch)


def spread(code: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -code.z.var()


class Trained(nn.Module):
    """A user-defined objective with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, code: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (code.z.var() - self.weight).square()


class CriticFactory:
    """A function from the dimensions of x and z to a critic, with a state."""

    def __call__(self, n_features: int, n_components: int) -> nn.Module:
        return SeparableCritic(n_features, n_components)


def linear(n_features: int, n_outputs: int) -> nn.Module:
    return nn.Linear(n_features, n_outputs)


class Note(Callback):
    """Count the epochs."""

    def initialize(self) -> Note:
        self.epochs_ = 0
        return self

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self.epochs_ += 1
        net.history.record("noted", self.epochs_)


def named(value: Any) -> str:
    """Names of parameters, because the representation of a function differs between processes."""
    return "-".join(value) if isinstance(value, dict) else "refused"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 4}, "n_components=4 instead of 3"),
        ({"hidden_layer_sizes": (8, 8)}, r"hidden_layer_sizes=\(8, 8\) instead of \(16,\)"),
        ({"encoder": nn.Linear(8, 3)}, r"encoder=Linear\(.* instead of 'mlp'"),
        ({"encoder": linear}, "encoder=<.*function.* instead of 'mlp'"),
        ({"input_shape": (2, 4)}, r"input_shape=\(2, 4\) instead of None"),
        ({"mode__output_scale": None}, "mode__output_scale=None instead of 'input'"),
        ({"mode__corruption": 0.5}, "mode__corruption=0.5 instead of 0.3"),
        ({"mode__augmentation": jitter}, "mode__augmentation=<.* instead of None"),
        ({"mode__n_views": 2}, "mode__n_views=2 instead of 1"),
        ({"mode__layer": "hidden1"}, "mode__layer='hidden1' instead of None"),
        (
            {"mode__information": "jsd"},
            r"mode__information=Critic\(bound='jsd'\) instead of MIGE\(\)",
        ),
        ({"mode": InfoMax(corruption=0.5)}, "mode__corruption=0.5 instead of 0.3"),
        ({"mixed_precision": True}, "mixed_precision=True instead of False"),
        ({"optimizer": "sgd"}, "optimizer='sgd' instead of 'adam'"),
        ({"distributed": True}, "distributed=True instead of False"),
        ({"mode": "ib"}, "mode='ib' instead of 'infomax'"),
        ({"mode": spread}, "mode='loss function' instead of 'infomax'"),
        ({"n_components": 4, "mode__n_views": 2}, "n_components=4 .*mode__n_views=2 "),
    ],
    ids=named,
)
def test_changes_of_the_network_are_refused_until_a_fresh_fit(
    parameters: dict[str, Any], message: str, X: np.ndarray, y: np.ndarray
) -> None:
    encoder = started().fit(X)
    before = encoder.transform(X)
    encoder.set_params(**parameters)
    if not isinstance(encoder.encoder, str):
        encoder.set_params(hidden_layer_sizes=(512, 512))
    for continued in (encoder.fit, encoder.partial_fit):
        with pytest.raises(ValueError, match=f"{message}.*fit with warm_start=False"):
            continued(X, y)
    np.testing.assert_array_equal(encoder.transform(X), before)
    assert encoder.set_params(warm_start=False).fit(X, y).n_iter_ == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"mode__head": "deterministic"}, "mode__head='deterministic' instead of 'gaussian'"),
        ({"mode__n_draws": 4}, "mode__n_draws=4 instead of 1"),
        ({"mode__information__conditional": "score"}, "mode__n_draws=16 instead of 1"),
        ({"mode__information": "jsd"}, r"mode__information=Critic\(bound='jsd'\) instead of MIGE"),
        (
            {"mode__information": Variational("learned")},
            r"mode__information=Variational\(prior='learned'\) instead of MIGE\(\)",
        ),
        ({"mode__task": "regression"}, "mode__task='regression' instead of 'classification'"),
        ({"mode": "infomax"}, "mode='infomax' instead of 'ib'"),
    ],
    ids=named,
)
def test_changes_of_a_bottlenecks_network_are_refused_alike(
    parameters: dict[str, Any], message: str, X: np.ndarray, y: np.ndarray
) -> None:
    encoder = started("ib").fit(X, y).set_params(**parameters)
    for continued in (encoder.fit, encoder.partial_fit):
        with pytest.raises(ValueError, match=message):
            continued(X, y)
    assert encoder.set_params(warm_start=False).fit(X, y).n_iter_ == 1


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            Critic("jsd"),
            Critic("infonce"),
            r"information=Critic\(\) instead of Critic\(bound='jsd'",
        ),
        (Critic(), Critic(critic="cosine"), r"=Critic\(critic='cosine'\) instead of Critic\(\)"),
        (Critic(), "mige", r"mode__information=MIGE\(\) instead of Critic\(\)"),
        (Trained(), Trained(), r"FunctionInformation\(.*instead of FunctionInformation\("),
    ],
    ids=["bound", "critic", "none", "module"],
)
def test_another_critic_is_refused(
    before: Any, after: Any, message: str, X: np.ndarray, y: np.ndarray
) -> None:
    encoder = started(InfoMax(before)).fit(X, y).set_params(mode__information=after)
    with pytest.raises(ValueError, match=message):
        encoder.fit(X, y)


def test_a_bound_that_was_set_in_place_is_refused(X: np.ndarray) -> None:
    encoder = started(InfoMax(Critic("jsd"))).fit(X)
    encoder.set_params(mode__information__bound="infonce")
    with pytest.raises(ValueError, match=r"Critic\(\) instead of Critic\(bound='jsd'\)"):
        encoder.fit(X)


def test_another_prior_is_refused(X: np.ndarray, y: np.ndarray) -> None:
    encoder = started(InformationBottleneck(Variational())).fit(X, y)
    encoder.set_params(mode__information__prior="learned")
    with pytest.raises(ValueError, match=r"Variational\(prior='learned'\) instead of Variational"):
        encoder.fit(X, y)


@pytest.mark.parametrize(
    "mode",
    [Trained(), InfoMax(Trained()), InfoMax(Critic("jsd", CriticFactory()))],
    ids=["loss", "information", "critic"],
)
def test_stored_encoders_continue_with_objectives_of_the_users_own(
    mode: Any, X: np.ndarray, y: np.ndarray
) -> None:
    encoder = started(mode).fit(X, y)
    for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        learned = [part.detach().clone() for part in other.net_.criterion_.parameters()]
        assert learned
        for part, kept in zip(learned, encoder.net_.criterion_.parameters(), strict=True):
            assert torch.equal(part, kept)
        assert other.fit(X, y).n_iter_ == 2
        assert any(
            not torch.equal(part, before)
            for part, before in zip(other.net_.criterion_.parameters(), learned, strict=True)
        )


def test_the_objective_may_change_between_calls(X: np.ndarray, y: np.ndarray) -> None:
    encoder = started("ib").fit(X, y)
    encoder.set_params(
        lr=1e-4, batch_size=32, max_epochs=2, mode__beta=0.1, mode__class_weight={0: 1.0, 1: 2.0},
        mode__label_smoothing=0.1, mode__confidence_penalty=0.1, mode__n_prediction_samples=0,
        mode__information=MIGE(marginal="stein"), mode__max_information=50.0,
        score_estimator=SSGEScoreEstimator(), lr_schedule="constant",
        callbacks=[WeightAveraging(0.9)], validation_fraction=0.2, random_state=1,
    )  # fmt: skip
    assert encoder.fit(X, y).n_iter_ == 3
    assert encoder.net_.criterion_.beta == 0.1
    assert encoder.net_.criterion_.information.marginal == "stein"
    assert "valid_loss" in encoder.history_[-1]


def test_the_seed_of_the_first_call_is_kept(X: np.ndarray, y: np.ndarray) -> None:
    first, second = (started("ib").partial_fit(X, y, classes=[0, 1]) for _ in range(2))
    second.set_params(random_state=7)
    np.testing.assert_array_equal(*(e.partial_fit(X, y).transform(X) for e in (first, second)))


def test_a_name_and_its_object_are_the_same_objective(X: np.ndarray, y: np.ndarray) -> None:
    encoder = started("ib").fit(X, y)
    assert encoder.set_params(mode=InformationBottleneck(beta=0.1)).fit(X, y).n_iter_ == 2
    assert encoder.set_params(mode__information=MIGE(), mode__n_draws=1).fit(X, y).n_iter_ == 3
    assert encoder.set_params(mode__information="variational").fit(X, y).n_iter_ == 4


def test_new_callbacks_count_from_the_next_call_on_and_old_ones_keep_their_state(
    X: np.ndarray,
) -> None:
    encoder = started(callbacks=[Note]).fit(X).fit(X)
    assert [row["noted"] for row in encoder.history_] == [1, 2]
    encoder.set_params(callbacks=[Note, ("stop", EarlyStopping("train_loss"))]).fit(X)
    assert encoder.history_[-1]["noted"] == 1
    encoder.set_params(callbacks=None).partial_fit(X)
    assert "noted" not in encoder.history_[-1]
    encoder.set_params(callbacks=[3])
    for _ in range(2):
        with pytest.raises(TypeError, match=r"callbacks\[0\] is 3"):
            encoder.partial_fit(X)


def test_verbosity_changes_with_the_next_call(
    X: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = started().fit(X)
    assert capsys.readouterr().out == ""
    encoder.set_params(verbose=2).fit(X)
    assert "train_loss" in capsys.readouterr().out
    encoder.set_params(verbose=0).fit(X)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("own", [nn.Linear(8, 3), linear], ids=["module", "function"])
def test_copies_and_pickles_continue_with_the_users_own_parts(own: Any, X: np.ndarray) -> None:
    mode = InfoMax(augmentation=jitter, n_views=2)
    encoder = started(mode, encoder=own, optimizer=torch.optim.SGD).fit(X)
    for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert other.fit(X).partial_fit(X).n_iter_ == 3
        # Loading a pickle creates a new optimizer, of the class that is set at that time.
        renewed = pickle.loads(pickle.dumps(other.set_params(optimizer="adam")))
        assert renewed.partial_fit(X).n_iter_ == 4


def test_training_stays_on_its_device_by_whatever_name(
    X: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = started().fit(X)
    assert encoder.set_params(device=torch.device("cpu")).fit(X).n_iter_ == 2
    encoder.set_params(device="meta")
    with pytest.raises(RuntimeError, match="device='meta'"):
        encoder.fit(X)
    monkeypatch.setattr(_base, "resolve_device", torch.device)
    with pytest.raises(ValueError, match="device='meta' instead of 'cpu'"):
        encoder.fit(X)


def test_predictions_after_a_change_of_mode_need_a_fit(X: np.ndarray, y: np.ndarray) -> None:
    encoder = started().fit(X).set_params(mode="ib", warm_start=False)
    for method in (encoder.predict, encoder.predict_proba, lambda rows: encoder.score(rows, y)):
        with pytest.raises(NotFittedError, match=r"fitted without targets.*call fit\(X, y\) again"):
            method(X)
    assert encoder.fit(X, y).predict(X).shape == y.shape
