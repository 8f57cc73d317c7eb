"""The protocol of objectives: values, learned parts, continued training, user functions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from sk_mige import MIGE, Critic, InfoMax, InformationBottleneck, Variational
from sk_mige.networks import Code
from sk_mige.objectives import FunctionObjective, Objective, Problem
from sk_mige.objectives.base import FunctionDescription
from sk_mige.score import ssge


def problem(**parameters: Any) -> Problem:
    facts = {"n_features": 5, "n_components": 2, "n_targets": 3, "device": torch.device("cpu")}
    return Problem(**facts, score=ssge, **parameters)


def built(description: Any, **parameters: Any) -> Objective:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        return description.build(problem(**parameters))


class Centred(nn.Module):
    """Distance of codes from a learned centre."""

    def __init__(self, n: int = 2) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.ones(n))

    def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (code.z - self.centre).square().mean()


class Counted(nn.Module):
    """A loss with a buffer and without parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return code.z.mean()


def mean(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return code.z.mean()


CODE = Code(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)))
X, Y = torch.zeros(8, 5), torch.zeros(8)


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        (InfoMax(), False),
        (InfoMax(n_views=2), False),
        (InfoMax("jsd"), True),
        (InfoMax("club"), True),
        (InfoMax("jsd", prior_weight=1.0), True),
        (InfoMax(prior_weight=1.0), False),
        (InfoMax("infonce", n_views=2), False),
        (InfoMax(mean), True),
        (InfoMax(mean, n_views=2), False),
        (InformationBottleneck(), True),
        (InformationBottleneck("mine"), True),
        (FunctionDescription(mean), True),
    ],
)
def test_only_surrogates_have_no_value_on_held_out_rows(description: Any, expected: bool) -> None:
    assert built(description).has_value == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [(InfoMax(layer="conv"), False), (InfoMax("jsd", layer="conv"), False)],
)
@pytest.mark.parametrize("local", [False, True])
def test_objectives_of_a_layer_have_no_value(description: Any, expected: bool, local: bool) -> None:
    description = description.set_params(local=local)
    assert built(description, feature_shape=(3, 4, 4)).has_value == expected


def test_only_a_classification_has_logits() -> None:
    assert built(InformationBottleneck()).classifies
    assert not built(InformationBottleneck(task="regression")).classifies
    assert not built(InfoMax("jsd", prior_weight=1.0)).classifies
    assert FunctionObjective(mean, classifies=True).classifies


def test_held_out_loss_is_the_loss_of_training_unless_it_is_defined() -> None:
    assert FunctionObjective(mean).held_out(CODE, X, Y) == CODE.z.mean()
    assert Half().held_out(CODE, X, Y) == 0.5 * Half()(CODE, X, Y)


def test_a_function_is_called_with_code_rows_and_targets() -> None:
    seen = []

    def loss(*batch: Any) -> torch.Tensor:
        seen.append(batch)
        return torch.tensor(2.5)

    assert FunctionObjective(loss)(CODE, X, Y) == 2.5
    assert seen[0][0] is CODE
    assert seen[0][1] is X
    assert seen[0][2] is Y


def test_a_module_is_copied_and_its_parameters_are_the_objectives() -> None:
    own = Centred()
    objective = FunctionObjective(own)
    (parameter,) = objective.parameters()
    assert parameter is not own.centre
    objective(CODE, X, Y).backward()
    assert parameter.grad is not None
    assert own.centre.grad is None


@pytest.mark.parametrize(
    ("value", "got"),
    [(torch.zeros(8), r"\(8,\)"), (torch.zeros(1, 1), r"\(1, 1\)"), (1.0, "float"), (None, "None")],
    ids=["rows", "matrix", "number", "nothing"],
)
def test_a_loss_that_is_no_scalar_tensor_is_named(value: Any, got: str) -> None:
    with pytest.raises(ValueError, match=rf"mode: the loss.* tensor of shape \(\), got {got}"):
        FunctionObjective(lambda code, x, y: value)(CODE, X, Y)


class Half(Objective):
    """An objective with a parameter and a held-out loss of half the training loss."""

    has_value = False
    classifies = True

    def __init__(self, n: int = 2) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.ones(n))

    def forward(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (code.z - self.centre).square().mean()

    def held_out(self, code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return 0.5 * self(code, x, y)


def test_an_objective_as_a_loss_keeps_its_held_out_loss_and_attributes() -> None:
    objective = built(FunctionDescription(Half()))
    assert not objective.has_value
    assert objective.classifies
    torch.testing.assert_close(objective.held_out(CODE, X, Y), 0.5 * objective(CODE, X, Y))


def test_parameters_of_the_objective_itself_continue() -> None:
    before, after = Half(), Half()
    after.continue_from(before)
    assert after.centre is before.centre
    with pytest.raises(
        ValueError, match="mode: the learned parameters of the objective have changed"
    ):
        Half(3).continue_from(before)


def test_a_part_with_further_layers_does_not_continue() -> None:
    after, before = (FunctionObjective(Centred()) for _ in range(2))
    before.loss.add_module("further", nn.Linear(2, 2))
    with pytest.raises(ValueError, match="learned parameters of the objective have changed"):
        after.continue_from(before)


CONTINUED: dict[str, tuple[Any, Any]] = {
    "critic": (InfoMax("jsd"), InfoMax("jsd", corruption=0.1)),
    "moving average": (InfoMax("mine"), InfoMax("mine")),
    "adversary": (InfoMax(prior_weight=1.0), InfoMax(MIGE(2.0), prior_weight=0.5)),
    "critic and adversary": (InfoMax("jsd", prior_weight=1.0), InfoMax("jsd", prior_weight=0.5)),
    "views": (InfoMax("infonce", n_views=2), InfoMax("infonce", n_views=2)),
    "variances": (
        InformationBottleneck(task="regression"),
        InformationBottleneck(task="regression", beta=1.0),
    ),
    "marginal": (
        InformationBottleneck(Variational("learned")),
        InformationBottleneck(Variational("learned"), beta=1.0, label_smoothing=0.1),
    ),
    "bottleneck's critic": (InformationBottleneck("club"), InformationBottleneck("club", beta=0.1)),
    "own module": (FunctionDescription(Centred()), FunctionDescription(Centred())),
}


@pytest.mark.parametrize("name", CONTINUED)
def test_a_continued_objective_has_the_very_parameters_of_the_previous_one(name: str) -> None:
    before, after = map(built, CONTINUED[name])
    kept = dict(before.named_parameters())
    assert kept
    after.continue_from(before)
    now = dict(after.named_parameters())
    assert now.keys() == kept.keys()
    assert all(now[key] is kept[key] for key in kept)
    buffers = dict(before.named_buffers())
    assert all(dict(after.named_buffers())[key] is buffers[key] for key in buffers)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (InfoMax(), InfoMax("jsd")),
        (InfoMax("jsd"), InfoMax(Critic("jsd", "concatenated"))),
        (InfoMax("jsd"), InfoMax("club")),
        (InfoMax(), InfoMax(prior_weight=1.0)),
        (InformationBottleneck("club"), InformationBottleneck(Variational("learned"))),
        (FunctionDescription(Centred(2)), FunctionDescription(Centred(3))),
        (FunctionDescription(mean), FunctionDescription(Centred())),
    ],
)
def test_other_learned_parts_are_refused(before: Any, after: Any) -> None:
    with pytest.raises(ValueError, match=r"mode: the learned parameters.*warm_start=False"):
        built(after).continue_from(built(before))


def test_new_settings_are_used_where_nothing_is_learned() -> None:
    before = built(InfoMax(MIGE(1.0), prior_weight=1.0))
    after = built(InfoMax(MIGE(2.0), prior_weight=0.5))
    after.continue_from(before)
    assert after.weight == 0.5
    assert after.objective.x_scale == 2.0


def test_the_dual_variable_continues_and_starts_with_the_limit() -> None:
    free, limited, again = map(
        built,
        [
            InformationBottleneck(beta=0.1),
            InformationBottleneck(beta=0.5, max_information=1.0),
            InformationBottleneck(beta=0.1, max_information=2.0),
        ],
    )
    limited.continue_from(free)
    assert limited.current_beta == pytest.approx(0.5)
    limited._adjust(torch.tensor(5.0))
    again.continue_from(limited)
    assert again.current_beta == limited.current_beta > 0.5
    assert again.max_information == 2


def test_a_module_without_parameters_keeps_its_buffers() -> None:
    before, after = (built(FunctionDescription(Counted())) for _ in range(2))
    before(CODE, X, Y)
    after.continue_from(before)
    after(CODE, X, Y)
    assert after.loss.calls == 2


def test_objectives_are_built_in_single_precision_whatever_the_default_dtype() -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        descriptions = [InfoMax("jsd", prior_weight=1.0), InformationBottleneck("club"),
                        FunctionDescription(Centred())]  # fmt: skip
        for description in descriptions:
            assert {p.dtype for p in built(description).parameters()} == {torch.float32}
    finally:
        torch.set_default_dtype(before)


def test_a_users_information_is_lowered_with_weight_beta() -> None:
    def information(code: Code, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return code.z.square().mean()

    objective = built(InformationBottleneck(information, beta=0.25))
    code = CODE._replace(prediction=torch.zeros(8, 3))
    labels = torch.zeros(8, dtype=torch.int64)
    expected = torch.tensor(3.0).log() + 0.25 * CODE.z.square().mean()
    torch.testing.assert_close(objective(code, X, labels), expected)
    torch.testing.assert_close(objective.held_out(code, X, labels), torch.tensor(3.0).log())
