"""Descriptions of objectives: parameters, short values, contradictions, copies."""

from __future__ import annotations

import pickle
import re
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

import sk_mige
from sk_mige import (
    MIGE,
    BarlowTwins,
    CodingRate,
    Critic,
    InfoMax,
    InformationBottleneck,
    MIGEEncoder,
    RandomProjectionSSGE,
    SIGReg,
    SSGEScoreEstimator,
    Variational,
    VICReg,
)
from sk_mige.information.bounds import BOUNDS
from sk_mige.objectives.base import FunctionDescription, Information
from sk_mige.training.checkpoint import settings_in_words


def mean(code: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return code.z.mean()


IB = InformationBottleneck
DESCRIPTIONS: dict[str, Any] = {
    "infomax": InfoMax(),
    "views": InfoMax(Critic("infonce", "cosine"), n_views=2, corruption=0.1),
    "layer": InfoMax("jsd", layer="conv", local=True, prior_weight=1.0, output_scale=None),
    "augmented": InfoMax(augmentation=torch.neg),
    "function": InfoMax(mean),
    "bottleneck": IB(),
    "limit": IB(MIGE(marginal="mixture"), max_information=2.0, class_weight={0: 1.0, 1: 2.0}),
    "implicit": IB(head="implicit", n_draws=8),
    "deterministic": IB(MIGE(0.5), head="deterministic"),
    "variational": IB(Variational("learned"), task="regression", beta=0.1),
    "mige": MIGE(0.5, marginal="score", conditional="score"),
    "critic": Critic("smile", "concatenated"),
    "prior": Variational("learned"),
    "objective of views": InfoMax(VICReg(covariance=2.0), n_views=4),
    "correlations": BarlowTwins(1e-2),
    "log-determinant": CodingRate(0.5, invariance=1.0),
    "characteristic function": SIGReg(0.1, n_directions=64),
    "loss": FunctionDescription(mean),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_descriptions_are_cloned_and_stored_with_their_parameters(name: str) -> None:
    description = DESCRIPTIONS[name]
    assert repr(clone(description)) == repr(description)
    copies = [clone(description), pickle.loads(pickle.dumps(description))]
    for copy in copies:
        assert type(copy) is type(description)
        assert copy.get_params(deep=False).keys() == description.get_params(deep=False).keys()
        assert str(copy.get_params()) == str(description.get_params())
        assert vars(copy).keys() == vars(description).keys()  # parameters, and no state


WITHOUT_FUNCTIONS = [n for n in DESCRIPTIONS if n not in ("augmented", "function", "loss")]


@pytest.mark.parametrize("name", WITHOUT_FUNCTIONS)
def test_the_repr_of_a_description_makes_it_again(name: str) -> None:
    text = repr(DESCRIPTIONS[name])
    assert repr(eval(text, vars(sk_mige).copy())) == text


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_building_a_description_changes_none_of_its_parameters(name: str) -> None:
    description = DESCRIPTIONS[name]
    before = vars(description).copy()
    if isinstance(description, InfoMax | IB):
        description.check()
        description.network_settings()
        description.architecture()
        description.explicit_params()
    assert all(vars(description)[key] is value for key, value in before.items())


def test_parameters_of_the_other_objective_are_unknown() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'beta'"):
        InfoMax(beta=10)
    with pytest.raises(TypeError, match="unexpected keyword argument 'corruption'"):
        IB(corruption=0.3)
    with pytest.raises(ValueError, match="Invalid parameter 'beta' for estimator InfoMax"):
        MIGEEncoder().set_params(mode__beta=10)
    with pytest.raises(ValueError, match="Invalid parameter 'layer' for estimator"):
        MIGEEncoder(mode="ib").set_params(mode__layer="conv")


CONTRADICTIONS: list[tuple[Any, str]] = [
    # out of range
    (InfoMax("nonsense"), "'information' parameter of InfoMax"),
    (InfoMax(3), "'information' parameter of InfoMax"),
    (InfoMax(corruption=1.0), "'corruption' parameter"),
    (InfoMax(corruption=-0.1), "'corruption' parameter"),
    (InfoMax(augmentation=3), "'augmentation' parameter"),
    (InfoMax(n_views=0), "'n_views' parameter"),
    (InfoMax(layer=3), "'layer' parameter"),
    (InfoMax(local="yes"), "'local' parameter"),
    (InfoMax(prior_weight=-1.0), "'prior_weight' parameter"),
    (InfoMax(output_scale="metres"), "'output_scale' parameter"),
    (IB("nonsense"), "'information' parameter of InformationBottleneck"),
    (IB(head="standardizing"), "'head' parameter"),
    (IB(n_draws=0), "'n_draws' parameter"),
    (IB(beta=-1.0), "'beta' parameter"),
    (IB(max_information=0.0), "'max_information' parameter"),
    (IB(task="auto"), "'task' parameter"),
    (IB(class_weight="even"), "'class_weight' parameter"),
    (IB(label_smoothing=1.0), "'label_smoothing' parameter"),
    (IB(confidence_penalty=-0.1), "'confidence_penalty' parameter"),
    (IB(n_prediction_samples=-1), "'n_prediction_samples' parameter"),
    (InfoMax(MIGE(-1.0)), "'x_scale' parameter of MIGE"),
    (IB(MIGE(marginal="learned")), "'marginal' parameter of MIGE"),
    (IB(MIGE(conditional="open")), "'conditional' parameter of MIGE"),
    (InfoMax(Critic("nce")), "'bound' parameter of Critic"),
    (IB(Critic("nce")), "'bound' parameter of Critic"),
    (InfoMax(Critic(critic="cosin")), "'critic' parameter of Critic"),
    (IB(Variational("normal")), "'prior' parameter of Variational"),
    # contradictions of InfoMax
    (InfoMax("variational"), "information=Variational.*cannot be maximised"),
    (InfoMax(Variational("learned")), "information=Variational.*cannot be maximised"),
    (InfoMax(local=True), "local=True needs layer"),
    (InfoMax(n_views=2, corruption=0.0), "n_views=2 makes equal copies"),
    (InfoMax(n_views=2, layer="conv"), "n_views=2 compares views.*layer='conv'"),
    (InfoMax(MIGE(marginal="score")), "marginal='score' is for InformationBottleneck"),
    (InfoMax(MIGE(conditional="score")), "conditional='score' is for InformationBottleneck"),
    (InfoMax(MIGE(2.0), n_views=2), r"x_scale=2\.0 .* with n_views=2"),
    (InfoMax(MIGE(2.0), layer="conv"), r"x_scale=2\.0 .* with layer='conv'"),
    # contradictions of the bottleneck
    (IB(head="deterministic", n_draws=2), "n_draws=2 is for stochastic heads"),
    (IB(head="implicit", n_draws=1), "n_draws=1 is too few"),
    (IB(MIGE(conditional="score"), n_draws=1), "n_draws=1 is too few"),
    (IB(head="implicit", max_information=1.0), r"max_information=1\.0 .*head='implicit'"),
    (IB(head="deterministic", max_information=1.0), r"max_information=1\.0 .*'deterministic'"),
    (IB(task="regression", class_weight="balanced"), "class_weight='balanced' is for task='cl"),
    (IB(task="regression", label_smoothing=0.1), r"label_smoothing=0\.1 is for task='cl"),
    (IB(task="regression", confidence_penalty=0.1), r"confidence_penalty=0\.1 is for task='cl"),
    (IB(MIGE(conditional="score"), head="deterministic"), "conditional='score' needs noise in z"),
    (IB(MIGE(conditional="closed-form"), head="deterministic"), "conditional='closed-form' needs"),
    (IB(MIGE(conditional="closed-form"), head="implicit"), "conditional='closed-form' needs a kn"),
    (IB(MIGE(marginal="score"), head="deterministic"), "marginal='score' needs noise in z"),
    (IB(MIGE(2.0)), r"x_scale=2\.0 .*head='gaussian'"),
    (IB(MIGE(2.0), head="implicit"), r"x_scale=2\.0 .*head='implicit'"),
    (IB(MIGE(marginal="classes"), head="implicit"), "marginal='classes' needs the mean and scale"),
    (IB(MIGE(marginal="classes", conditional="score")), "marginal='classes'.*conditional='score'"),
    (IB(MIGE(marginal="classes"), task="regression"), "marginal='classes'.*task='regression'"),
    (IB("variational", head="implicit"), "information=Variational.*head='implicit'"),
    (IB("variational", head="deterministic"), "information=Variational.*head='deterministic'"),
]


@pytest.mark.parametrize(
    ("mode", "named"), CONTRADICTIONS, ids=[repr(m) for m, _ in CONTRADICTIONS]
)
def test_parameters_out_of_range_and_contradictions_are_named(mode: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        mode.check()
    X = np.random.default_rng(0).normal(size=(20, 3))
    encoder = MIGEEncoder(2, mode=mode, hidden_layer_sizes=(4,), max_epochs=1, device="cpu")
    with pytest.raises(ValueError, match=named):
        encoder.fit(X, np.arange(20) % 2)
    assert not hasattr(encoder, "module_")


INSIDE = [name for name, value in DESCRIPTIONS.items() if isinstance(value, Information)]


@pytest.mark.parametrize("name", [name for name in DESCRIPTIONS if name not in INSIDE])
def test_valid_descriptions_pass_their_checks(name: str) -> None:
    DESCRIPTIONS[name].check()


@pytest.mark.parametrize("mode", [torch.nn.MSELoss, InfoMax, Critic])
def test_a_class_in_place_of_an_instance_is_refused(mode: Any) -> None:
    with pytest.raises(TypeError, match=f"mode must be .* got the class {mode.__name__}: pass"):
        MIGEEncoder(mode=mode).fit(np.eye(5))


@pytest.mark.parametrize("mode", ["bottleneck", "", 3, None], ids=repr)
def test_other_values_are_refused_as_modes(mode: Any) -> None:
    with pytest.raises(ValueError, match=rf"mode={mode!r} is unknown; use one of .*loss\(code"):
        MIGEEncoder(mode=mode).fit(np.eye(5))


@pytest.mark.parametrize("mode", ["infonce", "vicreg", MIGE(), Critic()], ids=repr)
def test_an_estimator_of_information_as_mode_is_refused_with_a_remedy(mode: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"pass mode=InfoMax({mode!r}) or")):
        MIGEEncoder(mode=mode).fit(np.eye(5))


# ------------------------------------------------------------------ short values


@pytest.mark.parametrize("mode", ["ib", IB()], ids=["name", "object"])
def test_a_nested_parameter_makes_the_object_of_a_name(mode: Any) -> None:
    encoder = MIGEEncoder(mode=mode).set_params(mode__beta=0.1)
    assert isinstance(encoder.mode, IB)
    assert encoder.mode.beta == 0.1
    assert encoder.set_params(mode__head="implicit").mode.beta == 0.1


@pytest.mark.parametrize("mode", ["ib", IB()], ids=["name", "object"])
def test_nested_parameters_reach_through_two_names(mode: Any) -> None:
    encoder = MIGEEncoder(mode=mode).set_params(
        mode__information__x_scale=0.5, mode__head="deterministic"
    )
    assert repr(encoder.mode.information) == "MIGE(x_scale=0.5)"
    assert encoder.mode.head == "deterministic"


def test_a_name_and_a_nested_parameter_can_be_set_at_once() -> None:
    encoder = MIGEEncoder().set_params(mode="ib", mode__beta=0.1)
    assert repr(encoder.mode) == "InformationBottleneck(beta=0.1)"
    encoder.set_params(mode="infomax", mode__information="jsd", mode__information__critic="cosine")
    assert encoder.mode.information.get_params() == {"bound": "jsd", "critic": "cosine"}


def test_the_object_of_another_encoder_is_not_changed_through_a_clone() -> None:
    encoder = MIGEEncoder(mode=IB())
    clone(encoder).set_params(mode__beta=0.5)
    assert encoder.mode.beta == 1e-3


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_a_bound_is_the_critic_of_its_name(name: str) -> None:
    mode = InfoMax(name).set_params(information__critic="concatenated")
    assert isinstance(mode.information, Critic)
    assert mode.information.get_params() == {"bound": name, "critic": "concatenated"}


def test_a_nested_parameter_makes_the_default_score_estimator() -> None:
    encoder = MIGEEncoder().set_params(score_estimator__eigen_threshold=0.9)
    assert type(encoder.score_estimator) is SSGEScoreEstimator
    assert encoder.score_estimator.eigen_threshold == 0.9
    encoder.set_params(score_estimator=RandomProjectionSSGE(), score_estimator__n_components=3)
    assert encoder.score_estimator.n_components == 3


def test_names_stay_names_if_nothing_nested_is_set() -> None:
    encoder = MIGEEncoder(mode="ib").set_params(lr=0.1, max_epochs=2)
    assert encoder.mode == "ib"
    assert encoder.score_estimator is None
    assert "mode__beta" not in encoder.get_params()


def test_explicit_params_have_an_object_for_every_short_value() -> None:
    explicit = MIGEEncoder(mode="ib").explicit_params()
    assert isinstance(explicit["mode"], IB)
    assert explicit["mode__beta"] == 1e-3
    assert isinstance(explicit["mode__information"], MIGE)
    assert explicit["mode__information__x_scale"] == 1.0
    assert explicit["score_estimator__eigen_threshold"] is None
    assert explicit["lr"] == 1e-3


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("infomax", InfoMax(MIGE())),
        ("ib", IB("mige")),
        (InfoMax("jsd"), InfoMax(Critic("jsd"))),
        (InfoMax("vicreg", n_views=2), InfoMax(VICReg(), n_views=2)),
        (IB("variational"), IB(Variational())),
    ],
    ids=repr,
)
def test_explicit_params_of_a_name_are_those_of_its_object(short: Any, long: Any) -> None:
    ours, theirs = (MIGEEncoder(mode=mode).explicit_params() for mode in (short, long))
    assert settings_in_words(ours) == settings_in_words(theirs)


def test_explicit_params_of_a_loss_name_it() -> None:
    assert MIGEEncoder(mode=mean).explicit_params()["mode__loss"] is mean


# ------------------------------------------------------------- score estimators


@pytest.mark.parametrize(
    "mode", [InfoMax("jsd"), IB("variational"), IB("club"), InfoMax(mean), mean], ids=range(5)
)
def test_a_score_estimator_is_refused_where_no_score_is_estimated(mode: Any) -> None:
    encoder = MIGEEncoder(2, mode=mode, score_estimator=SSGEScoreEstimator())
    with pytest.raises(ValueError, match=r"score_estimator is set, but .*score_estimator=None"):
        encoder.fit(np.eye(5), np.arange(5) % 2)


def quick(**parameters: Any) -> MIGEEncoder:
    encoder = MIGEEncoder(2, hidden_layer_sizes=(4,), max_epochs=1, device="cpu", **parameters)
    return encoder.fit(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2)


def test_a_score_estimator_without_effect_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"score_estimator has no effect: head='gaussian'"):
        quick(mode="ib", score_estimator=SSGEScoreEstimator())
    quick(mode=IB(MIGE(marginal="score")), score_estimator=SSGEScoreEstimator())
    quick(mode=IB(head="implicit"), score_estimator=SSGEScoreEstimator())


@pytest.mark.parametrize(
    ("mode", "named"),
    [(InfoMax(n_views=2), "n_views=2"), (InfoMax(layer="hidden1"), "layer='hidden1'")],
    ids=["views", "layer"],
)
def test_a_projection_of_an_x_that_is_in_no_kernel_is_warned_of(mode: Any, named: str) -> None:
    with pytest.warns(
        UserWarning, match=f"projection of score_estimator has no effect: with {named}"
    ):
        quick(mode=mode, score_estimator=RandomProjectionSSGE(2, random_state=0))
