"""The parameter mode: names and objects, nested parameters, and searches over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_mige import (
    MIGE,
    Critic,
    InfoMax,
    InformationBottleneck,
    MIGEEncoder,
    RandomProjectionSSGE,
    SSGEScoreEstimator,
    Variational,
)

from .conftest import small

VIEWS = InfoMax("jsd", n_views=2)


@pytest.fixture(scope="module")
def iris() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def search(encoder: MIGEEncoder, name: str, values: list[Any], data: Any) -> np.ndarray:
    """Return a score of each value and fold, a continuous function of the result."""
    folds = StratifiedKFold(2)  # scikit-learn's choice depends on the mode before the search
    found = GridSearchCV(encoder, {name: values}, cv=folds, scoring=score, refit=False).fit(*data)
    splits = [found.cv_results_[f"split{fold}_test_score"] for fold in range(2)]
    return np.stack(splits, axis=1)


def score(encoder: MIGEEncoder, X: np.ndarray, y: np.ndarray) -> float:
    return float(np.abs(encoder.transform(X)).mean())


def explicit(encoders: list[MIGEEncoder], data: Any) -> np.ndarray:
    """Return the same scores, computed from the encoders directly."""
    return np.concatenate([search(encoder, "verbose", [0], data) for encoder in encoders])


@pytest.mark.parametrize(
    ("start", "name", "values", "encoders"),
    [
        (
            small("ib"),
            "mode__beta",
            [0.0, 0.1, 1.0],
            [small(InformationBottleneck(beta=beta)) for beta in (0.0, 0.1, 1.0)],
        ),
        (
            small(InformationBottleneck(Variational(), beta=0.5)),
            "mode__beta",
            [0.0, 0.1],
            [small(InformationBottleneck("variational", beta=beta)) for beta in (0.0, 0.1)],
        ),
        (
            small(InformationBottleneck(beta=0.5)),
            "mode__information",
            ["mige", "variational", Variational("learned"), "club", MIGE(marginal="classes")],
            [
                small(InformationBottleneck(information, beta=0.5))
                for information in (
                    MIGE(), Variational(), Variational("learned"), Critic("club"),
                    MIGE(marginal="classes"),
                )
            ],
        ),
        (
            small(),
            "mode__information",
            ["mige", "jsd", Critic("infonce", "cosine"), MIGE(0.5)],
            [
                small(InfoMax(information))
                for information in (MIGE(), Critic("jsd"), Critic(critic="cosine"), MIGE(0.5))
            ],
        ),
        (
            small(InfoMax("jsd")),
            "mode__information__critic",
            ["separable", "concatenated"],
            [small(InfoMax(Critic("jsd", critic))) for critic in ("separable", "concatenated")],
        ),
        (
            small(),
            "mode",
            ["infomax", "ib", VIEWS, InformationBottleneck(beta=1.0)],
            [small(), small("ib"), small(VIEWS), small(InformationBottleneck(beta=1.0))],
        ),
        (
            small(score_estimator=RandomProjectionSSGE()),
            "score_estimator__n_components",
            [1, 3],
            [small(score_estimator=RandomProjectionSSGE(n)) for n in (1, 3)],
        ),
        (
            small(),
            "score_estimator__eigen_threshold",
            [0.5, 0.9, 0.999],
            [
                small(score_estimator=SSGEScoreEstimator(eigen_threshold=threshold))
                for threshold in (0.5, 0.9, 0.999)
            ],
        ),
    ],
    ids=[
        "beta from a name", "beta from an object", "bottleneck's information",
        "InfoMax's information", "critic from a bound's name", "modes", "projection",
        "threshold from None",
    ],
)  # fmt: skip
def test_searches_find_the_results_of_the_explicit_objects(
    start: MIGEEncoder,
    name: str,
    values: list[Any],
    encoders: list[MIGEEncoder],
    iris: tuple[np.ndarray, np.ndarray],
) -> None:
    found = search(start, name, values, iris)
    np.testing.assert_array_equal(found, explicit(encoders, iris))
    assert len(np.unique(found[:, 0])) == len(values)


def test_a_search_ranks_by_accuracy_and_keeps_the_best_mode(
    iris: tuple[np.ndarray, np.ndarray],
) -> None:
    model = make_pipeline(StandardScaler(), small("ib", max_epochs=30, lr=1e-2))
    grid = {"migeencoder__mode__beta": [1e-3, 100.0]}
    found = GridSearchCV(model, grid, cv=3).fit(*iris)
    assert found.best_params_ == {"migeencoder__mode__beta": 1e-3}
    assert found.best_score_ > 0.85
    assert found.cv_results_["mean_test_score"][1] < 0.5
    assert found.best_estimator_[-1].mode.beta == 1e-3


def test_a_search_over_infomax_in_front_of_a_classifier(
    iris: tuple[np.ndarray, np.ndarray],
) -> None:
    model = make_pipeline(small(n_components=2, max_epochs=10), LogisticRegression())
    grid = {"migeencoder__mode__corruption": [0.0, 0.9], "migeencoder__mode__n_views": [1]}
    found = GridSearchCV(model, grid, cv=2).fit(*iris)
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
    assert isinstance(found.best_estimator_[0].mode, InfoMax)


INVALID = r"Invalid parameter '{}' for estimator {}\(.*Valid parameters are: \["


@pytest.mark.parametrize(
    ("mode", "parameters", "message"),
    [
        ("ib", {"mode__corruption": 0.5}, INVALID.format("corruption", "InformationBottleneck")),
        ("ib", {"beta": 1}, INVALID.format("beta", "MIGEEncoder")),
        ("infomax", {"mode__beta": 1}, INVALID.format("beta", "InfoMax")),
        (InfoMax(), {"mode__beta": 1}, INVALID.format("beta", "InfoMax")),
        ("infomax", {"corruption": 0.5}, INVALID.format("corruption", "MIGEEncoder")),
        ("ib", {"mode__information__prior": "learned"}, INVALID.format("prior", "MIGE")),
        (
            "infomax",
            {"score_estimator__n_components": 2},
            INVALID.format("n_components", "SSGEScoreEstimator"),
        ),
        ("unknown", {"mode__beta": 1}, r"mode='unknown' is unknown; use one of \['ib', 'infomax'"),
        (
            "ib",
            {"mode__information": "nats", "mode__information__critic": "cosine"},
            "information='nats' is unknown; use one of .*'jsd'",
        ),
    ],
    ids=str,
)
def test_parameters_of_other_objects_are_refused(
    mode: Any, parameters: dict[str, Any], message: str, X: np.ndarray, y: np.ndarray
) -> None:
    with pytest.raises(ValueError, match=f"(?s){message}"):
        small(mode).set_params(**parameters)
    if mode != "unknown":
        with pytest.raises(ValueError, match=f"(?s){message}"):
            small(mode, max_epochs=1).fit(X, y).set_params(**parameters)


@pytest.mark.parametrize("name", ["beta", "mode__beta"])
def test_a_search_over_a_parameter_that_infomax_lacks_raises(
    name: str, X: np.ndarray, y: np.ndarray
) -> None:
    model = make_pipeline(small(max_epochs=1), LogisticRegression())
    grid = {f"migeencoder__{name}": [0.0, 0.1]}
    with pytest.raises(ValueError, match="Invalid parameter 'beta'"):
        GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)


@pytest.mark.parametrize("name", ["beta", "corruption", "n_views", "task", "mi_estimator"])
def test_parameters_of_objectives_are_none_of_the_encoder(name: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        MIGEEncoder(**{name: 1})


@pytest.mark.parametrize("given", [None, SSGEScoreEstimator()])
def test_a_nested_parameter_of_a_projection_names_the_projection(given: Any) -> None:
    encoder = MIGEEncoder(score_estimator=given)
    remedy = r"Pass score_estimator=RandomProjectionSSGE\(\) to set 'n_components'"
    with pytest.raises(ValueError, match=f"Invalid parameter 'n_components'.*{remedy}"):
        encoder.set_params(score_estimator__n_components=4)


def test_a_name_becomes_its_object_where_a_nested_parameter_is_set() -> None:
    encoder = MIGEEncoder(mode="ib").set_params(mode__beta=0.1)
    assert repr(encoder.mode) == "InformationBottleneck(beta=0.1)"
    encoder.set_params(mode__information="jsd", mode__information__critic="cosine")
    assert repr(encoder.mode.information) == "Critic(bound='jsd', critic='cosine')"
    encoder.set_params(mode="infomax", mode__corruption=0.5)
    assert repr(encoder.mode) == "InfoMax(corruption=0.5)"
    encoder.set_params(score_estimator__alpha=0.1)
    assert repr(encoder.score_estimator) == "SSGEScoreEstimator(alpha=0.1)"
    assert MIGEEncoder(mode="ib").set_params(mode="ib").mode == "ib"


def test_setting_a_nested_parameter_leaves_other_encoders_alone() -> None:
    first = MIGEEncoder(mode="ib")
    second = clone(first).set_params(mode__beta=0.1)
    third = clone(second).set_params(mode__beta=0.2)
    assert first.mode == "ib"
    assert (second.mode.beta, third.mode.beta) == (0.1, 0.2)


def test_results_of_a_name_and_of_its_object_are_equal(X: np.ndarray, y: np.ndarray) -> None:
    for name, mode in (("infomax", InfoMax(MIGE())), ("ib", InformationBottleneck(MIGE()))):
        codes = [small(each).fit(X, y).transform(X) for each in (name, mode)]
        np.testing.assert_array_equal(*codes)


def test_fit_leaves_the_parameters_as_they_are(X: np.ndarray, y: np.ndarray) -> None:
    mode = InformationBottleneck("jsd", beta=0.1)
    encoder = small(mode).fit(X, y)
    assert encoder.mode is mode
    assert set(vars(mode)) == set(mode.get_params(deep=False))
    assert mode.information == "jsd"
