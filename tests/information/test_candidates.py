"""Coordinates, directions and models that estimates of mutual information choose among."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch

from sk_mige.information import (
    AdditiveReference,
    CorrectedReference,
    EllipticalReference,
    GaussianReference,
    MixtureReference,
    NeighbourReference,
    choose_information,
    gaussianize_ranks,
)
from sk_mige.information.components import independent_components
from sk_mige.information.directions import related_directions
from sk_mige.information.residuals import log_margins


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize(("n", "d"), [(12, 1), (60, 15), (60, 40)])
def test_few_independent_rows_have_no_information(n: int, d: int) -> None:
    folds = torch.arange(n) % 3
    pairs = [gaussianize_ranks(draws(n, 2 * d, seed=seed)).split(d, 1) for seed in range(5)]
    found = [choose_information(x, y, candidates=("gaussian",), folds=folds) for x, y in pairs]
    assert np.mean([own.value for own in found]) < 0.1


def test_components_undo_a_rotation_of_uniform_columns() -> None:
    z = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0)).double()
    turn = torch.tensor([[0.8, 0.6], [-0.6, 0.8]]).double()
    mixing = independent_components(z @ turn)
    assert mixing is not None
    unmixed = torch.corrcoef(torch.cat([z @ turn @ mixing, z], dim=1).mT)[:2, 2:].abs()
    np.testing.assert_allclose(unmixed.max(1).values, 1, atol=0.01)


@pytest.mark.parametrize("d", [1, 2, 8])
def test_gaussian_and_independent_columns_have_no_better_components(d: int) -> None:
    z = draws(500, d)
    assert independent_components(z) is None
    assert independent_components(z @ draws(d, d, seed=1)) is None
    assert independent_components(z**3) is None


def test_components_need_no_common_unit() -> None:
    z = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0)).double()
    mixed = z @ torch.tensor([[1.0, 1.0], [-1.0, 1.0]]).double()
    units = torch.tensor([1e-9, 1e9]).double()
    plain, scaled = independent_components(mixed), independent_components(mixed * units)
    assert plain is not None
    assert scaled is not None
    torch.testing.assert_close(scaled * units[:, None], plain)


def test_directions_are_those_of_the_relation() -> None:
    x, y = draws(3000, 10), draws(3000, 12, seed=1)
    y[:, 3] = 0.8 * x[:, 5] + 0.6 * y[:, 3]
    left, right = related_directions(x, y) or (None, None)
    assert left is not None
    assert left.shape == (10, 1)
    assert float(left[5].abs()) > 0.95
    assert float(right[3].abs()) > 0.95


def test_directions_include_those_that_the_radius_turns() -> None:
    x, y = draws(6000, 10), draws(6000, 10, seed=1)
    radius = (x.square().sum(1) - 10) / 20**0.5
    y[:, 0] += radius * x[:, 1]  # uncorrelated with x
    left, _ = related_directions(x, y / y.std(0)) or (None, None)
    assert left is not None
    assert float(left[1].abs().max()) > 0.95


def test_few_rows_have_no_directions() -> None:
    assert related_directions(draws(30, 10), draws(30, 10, seed=1)) is None


every_model = pytest.mark.parametrize(
    "model",
    [
        GaussianReference(),
        EllipticalReference(4.0, 1),
        EllipticalReference(4.0, 8),
        MixtureReference(2),
        NeighbourReference(5),
        AdditiveReference(),
        CorrectedReference(GaussianReference(), n_epochs=1),
    ],
    ids=lambda model: type(model).__name__,
)


@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@every_model
def test_rows_that_are_not_finite_are_named(model, value: float, name: str) -> None:
    pair = {"x": draws(50, 2), "y": draws(50, 3, seed=1)}
    pair[name][7, 1] = value
    with pytest.raises(ValueError, match=f"^{name} contains NaN or infinity"):
        model.fit(**pair)


@every_model
def test_stored_models_give_the_same_values_and_shuffles(model) -> None:
    x, y = draws(200, 2), draws(200, 1, seed=1)
    if isinstance(model, CorrectedReference):
        model.reference.fit(x, y)
    expected = model.fit(x, y).shuffled(x, y, [0, 7])
    stored = pickle.loads(pickle.dumps(model))
    torch.testing.assert_close(stored.shuffled(x, y, [0, 7]), expected, rtol=0, atol=0)
    torch.testing.assert_close(expected[0], model.pointwise(x, y))
    torch.testing.assert_close(expected[1], model.pointwise(x, y.roll(7, 0)))


def test_matrix_has_the_pointwise_information_on_its_diagonal() -> None:
    x, y = draws(100, 2), draws(100, 1, seed=1)
    for model in (GaussianReference(), EllipticalReference(3.0, 1), EllipticalReference(3.0, 8)):
        model.fit(x, y)
        pairs = model.matrix(model.coordinates(x), model.coordinates(y))
        torch.testing.assert_close(pairs.diagonal(), model.pointwise(x, y))


def test_the_margins_of_an_elliptical_density_are_integrals() -> None:
    z = draws(1000, 3)
    z *= torch.rand(1000, 1, generator=torch.Generator().manual_seed(1)) > 0.5
    model = EllipticalReference(4.0, 16).fit(z[:, :2], z[:, 2:])
    rest = torch.linspace(-200, 200, 400_001, dtype=torch.float64)
    for norm in (0.01, 0.5, 3.0):
        joint = model._log_radial(norm + rest.square(), 3).exp()
        margin = model._log_radial(torch.tensor([norm]).double(), 2).exp()
        torch.testing.assert_close(torch.trapezoid(joint, rest), margin[0], rtol=0.01, atol=0)


def test_peaked_components_are_found_with_a_small_error() -> None:
    z, turn = draws(2000, 5), torch.linalg.qr(draws(5, 5, seed=1)).Q
    mixing = independent_components(z**3 @ turn)
    found = (turn @ mixing).abs()
    found /= found.amax(0)
    assert torch.equal(found.amax(1), torch.ones(5).double())
    assert found.sort(0).values[:-1].max() < 0.5 / 2000**0.5


def test_the_network_descends_the_symmetric_contrastive_loss() -> None:
    x, y = draws(40, 2), draws(40, 1, seed=1)
    model = CorrectedReference(EllipticalReference(3.0, 8).fit(x, y), n_epochs=1).fit(x, y)
    reference = model.reference
    known = [reference.coordinates(z).float() for z in (x, y)]
    inputs = model._inputs(x, y)
    for side in model.sides_:
        side.zero_grad()
    model._differentiate(*inputs, *known)
    found = [p.grad.clone() for side in model.sides_ for p in side.parameters()]
    left, right = (side(z) for side, z in zip(model.sides_, inputs, strict=True))
    pairs = left[:, :-1] @ right[:, :-1].mT + left[:, -1:] + right[:, -1] + reference.matrix(*known)
    loss = (pairs.logsumexp(0) + pairs.logsumexp(1) - 2 * pairs.diagonal()).mean() / 2
    parameters = [p for side in model.sides_ for p in side.parameters()]
    for gradient, expected in zip(found, torch.autograd.grad(loss, parameters), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_neighbours_of_a_gaussian_pair_are_not_cross_validated() -> None:
    x, y = draws(2000, 2), draws(2000, 2, seed=1)
    found = choose_information(x, 0.8 * x + 0.6 * y, ("gaussian", "neighbors"))
    gaussian, neighbours = found.candidates[1:]
    assert gaussian.weight == 1
    assert not neighbours.models
    assert np.isneginf(neighbours.evidence)


def test_the_interval_extends_to_what_a_network_learns_from_more_rows() -> None:
    x, y = draws(300, 2), draws(300, 1, seed=1)
    y = (x[:, :1] * x[:, 1:]).sign() * y.abs() + 0.1 * draws(300, 1, seed=2)
    found = choose_information(gaussianize_ranks(x), gaussianize_ranks(y), ("network",))
    low, high = found.interval
    assert high - found.value > found.value - low


def test_network_uses_the_components_and_the_columns() -> None:
    x, y = draws(1000, 2), draws(1000, 2, seed=1)
    components = x, 0.8 * x + 0.6 * y
    turn = torch.tensor([[0.8, 0.6], [-0.6, 0.8]]).double()
    columns = components[0] @ turn, components[1] @ turn
    found = choose_information(*columns, ("network",), components=components)
    assert found.candidates[-1].inputs == "both"
    assert abs(found.value - 1.02) < 0.1
    assert abs(float(found.pointwise(*columns, components).mean()) - 1.02) < 0.1


def test_network_uses_the_columns_alone_if_the_components_are_noise() -> None:
    x, y = draws(1000, 2), draws(1000, 2, seed=1)
    noise = draws(1000, 2, seed=2), draws(1000, 2, seed=3)
    found = choose_information(x, 0.8 * x + 0.6 * y, ("network",), components=noise)
    assert found.candidates[-1].inputs == "columns"
    assert abs(found.value - 1.02) < 0.1


def test_a_copula_describes_the_columns_or_the_components() -> None:
    x, y = draws(1000, 2), draws(1000, 2, seed=1)
    related = x, 0.8 * x + 0.6 * y
    by_components = choose_information(x, y, ("gaussian",), components=related)
    by_columns = choose_information(*related, ("gaussian",), components=(x, y))
    assert by_components.candidates[-1].inputs == "components"
    assert by_columns.candidates[-1].inputs == "columns"
    values = by_components.pointwise(x, y, related), by_columns.pointwise(*related, (x, y))
    torch.testing.assert_close(*values)


def test_components_leave_columns_without_loadings_as_they_are() -> None:
    z = torch.rand(4000, 20, generator=torch.Generator().manual_seed(0)).double()
    z[:, :2] @= torch.tensor([[0.8, 0.6], [-0.6, 0.8]]).double()
    mixing = independent_components(z)
    assert mixing is not None
    assert sorted((mixing != 0).sum(0).tolist()) == [1] * 18 + [2] * 2


@pytest.mark.parametrize(("d", "width"), [(1, 0.2), (1, 2.0), (3, 1.0), (5, 1.0)])
def test_uniform_noise_has_the_information_of_its_edges(d: int, width: float) -> None:
    x, noise = torch.rand(2, 3000, d, generator=torch.Generator().manual_seed(0)).double()
    y = x + width * noise
    low, high = sorted((1.0, width))
    truth = d * (math.log(high / width) + low / (2 * high))
    scores = gaussianize_ranks(x), gaussianize_ranks(y)
    found = choose_information(*scores, ("gaussian", "additive"), numbers=(x, y))
    assert abs(found.value - truth) < 0.06
    assert found.interval[0] < truth < found.interval[1]


@pytest.mark.parametrize(("kind", "truth"), [("levy", 2 * math.log(2)), ("cauchy", math.log(2))])
def test_sums_of_heavy_tailed_variables_have_their_closed_form(kind: str, truth: float) -> None:
    a, b = draws(2, 6, 2000, 1), draws(2, 6, 2000, 1, seed=1)
    x, noise = 1 / a.square() if kind == "levy" else a / b
    pairs = [(own, own + e) for own, e in zip(x, noise, strict=True)]
    values = [float(AdditiveReference().fit(*p).pointwise(*p).mean()) for p in pairs]
    np.testing.assert_allclose(values, truth, atol=0.12)


def test_spacings_describe_the_density_of_a_heavy_tail() -> None:
    known, z = draws(2, 2000, 1) / draws(2, 2000, 1, seed=1)
    truth = -torch.log(math.pi * (1 + z[:, 0].square()))
    tail = z[:, 0].abs() > 10
    errors = (log_margins(z, known.sort(0).values) - truth)[tail]
    assert abs(float(errors.mean())) < 0.3


@pytest.mark.parametrize("n", [2, 4, 8, 9])
def test_spacings_of_few_rows_give_a_positive_density_everywhere(n: int) -> None:
    known = draws(n, 1).sort(0).values
    z = torch.linspace(-9, 9, 101, dtype=torch.float64)[:, None]
    assert log_margins(torch.cat([z, known]), known).isfinite().all()


@pytest.mark.parametrize("n", [10, 12])
def test_the_weights_of_candidates_for_few_rows_have_the_sum_1(n: int) -> None:
    for seed in range(4):
        x, noise = draws(2, n, 1, seed=seed)
        y = 0.8 * x + 0.6 * noise
        pair = gaussianize_ranks(x), gaussianize_ranks(y)
        found = choose_information(*pair, ("gaussian", "elliptical", "additive"), numbers=(x, y))
        assert sum(e.weight for e in found.candidates) == pytest.approx(1)


def test_an_additive_relation_may_have_either_direction() -> None:
    x, noise = torch.rand(2, 1000, 1, generator=torch.Generator().manual_seed(0)).double()
    y = x + noise
    forward, backward = AdditiveReference().fit(x, y), AdditiveReference().fit(y, x)
    torch.testing.assert_close(forward.pointwise(x, y), backward.pointwise(y, x))


@pytest.mark.parametrize("has_shared_scale", [True, False])
def test_the_interval_extends_only_if_products_of_features_contradict_a_copula(
    has_shared_scale: bool,
) -> None:
    x, noise = draws(2, 2000, 2)
    scale = draws(2000, 1, seed=1).abs() if has_shared_scale else 1.0
    pair = [gaussianize_ranks(z / scale) for z in (x, 0.8 * x + 0.6 * noise)]
    low, high = choose_information(*pair, ("gaussian",)).interval
    if has_shared_scale:  # the scale of a Student pair with one degree of freedom adds .43 nats
        assert high > -2 * math.log(0.6) + 0.43
    else:
        assert high - low < 0.1


def test_the_interval_extends_to_what_more_components_would_resolve() -> None:
    """The density of a ring has edges, which a few Gaussians cannot approximate."""
    n = 1000
    rng = np.random.default_rng(1)
    z = rng.standard_normal((n, 2))
    ring = z / np.linalg.norm(z, axis=1, keepdims=True) * rng.uniform(1, 1.2, n)[:, None]
    x, y = (gaussianize_ranks(torch.from_numpy(column.copy())[:, None]) for column in ring.T)
    low, high = choose_information(x, y, ("mixture",)).interval
    assert low < 1.28 < high  # from the density on a grid


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_interval_extends_to_what_finer_neighbours_would_resolve(seed: int) -> None:
    """The density of (x, y) has an edge at y = x."""
    x, share = torch.rand(2, 2000, 1, generator=torch.Generator().manual_seed(seed)).double()
    scores = gaussianize_ranks(x), gaussianize_ranks(x * share)
    low, high = choose_information(*scores, ("mixture", "neighbors")).interval
    assert low < np.euler_gamma < high


def test_a_column_that_is_constant_in_the_training_rows_carries_no_information():
    x, noise = torch.randn(2, 500, 2, generator=torch.Generator().manual_seed(0)).double()
    x[:, 1] = 0.0
    y = x[:, :1] + noise[:, :1]
    model = AdditiveReference().fit(x, y)
    alone = AdditiveReference().fit(x[:, :1], y)
    torch.testing.assert_close(model.pointwise(x, y), alone.pointwise(x[:, :1], y))


@pytest.mark.parametrize("constant", ["x", "y", "both"])
def test_a_variable_that_is_constant_carries_no_information(constant: str) -> None:
    same, varying = torch.full((300, 2), 3.0).double(), draws(300, 2)
    x, y = (same if constant in (name, "both") else varying for name in "xy")
    model = AdditiveReference().fit(x, y)
    torch.testing.assert_close(model.shuffled(x, y, [0, 1]), torch.zeros(2, 300).double())
    assert model.log_density(x, y).isfinite().all()
    scores = gaussianize_ranks(x), gaussianize_ranks(y)
    found = choose_information(*scores, ("gaussian", "additive"), numbers=(x, y))
    assert found.value == 0


def test_copulas_with_few_rows_per_column_are_unbiased() -> None:
    errors = []
    for seed in range(12):
        x, noise = draws(2, 200, 15, seed=seed)
        pair = (gaussianize_ranks(z) for z in (x, 0.3 * x + 0.91**0.5 * noise))
        found = choose_information(*pair, ("gaussian",), seed=seed)
        errors.append(found.candidates[-1].value + 7.5 * math.log(0.91))
    assert abs(np.mean(errors)) < 0.1


def test_mixtures_of_equal_covariances_are_shrunk_to_few_parameters() -> None:
    classes = torch.randint(10, (2000,), generator=torch.Generator().manual_seed(0))
    z = draws(10, 6, seed=1)[classes] * 1.5 + draws(2000, 6, seed=2)
    train, test = ((part[:, :3], part[:, 3:]) for part in z.split(1000))
    model = MixtureReference().fit(*train)
    unshrunk = MixtureReference(len(model.means_)).fit(*train)
    assert model.shrinkage_ > 0
    assert model.log_density(*test).mean() > unshrunk.log_density(*test).mean() + 0.05


def test_shrinkage_is_a_mean_of_covariances() -> None:
    x, y = draws(500, 2).split(1, 1)
    x[::2] += 20
    alone, pooled = (MixtureReference(2, shrinkage=c).fit(x, y).covariances_ for c in (0, 10**6))
    assert torch.allclose(pooled, alone.mean(0).expand(2, 2, 2), rtol=0.02, atol=1e-3)
    assert not torch.allclose(pooled, alone, rtol=0.02, atol=1e-3)


def test_intervals_of_mixtures_contain_relations_that_need_many_components() -> None:
    x, noise = draws(2, 2000, 3)
    y = x * x.roll(1, 1) + 0.7 * noise  # 1.45 nats, by Monte Carlo integration
    low, high = choose_information(*map(gaussianize_ranks, (x, y)), ("mixture",)).interval
    assert low < 1.45 < high


def test_linear_combinations_of_columns_do_not_change_a_regression() -> None:
    x, y = draws(400, 2), draws(400, 2, seed=1)
    y = y + x
    wide_x, wide_y = (torch.cat([z, z.sum(1, keepdim=True)], 1) for z in (x, y))
    found = AdditiveReference().fit(wide_x, wide_y).pointwise(wide_x, wide_y)
    torch.testing.assert_close(found, AdditiveReference().fit(x, y).pointwise(x, y))


@pytest.mark.parametrize(
    ("names", "message"),
    [(("gausian",), "must be some of"), ((), "no candidate"), (("additive",), "no candidate")],
)
def test_unknown_or_unsuitable_candidates_raise_an_error(names, message) -> None:
    with pytest.raises(ValueError, match=message):
        choose_information(draws(50, 1), draws(50, 1, seed=1), names)


def test_linear_combinations_of_columns_do_not_change_a_large_estimate() -> None:
    x, noise = torch.rand(2, 300, 2, generator=torch.Generator().manual_seed(0)).double()
    y = x + 0.05 * noise  # 2 (log 20 + 0.025) nats
    tables = x, torch.cat([x, x.sum(1, keepdim=True)], 1)
    values = [
        choose_information(gaussianize_ranks(z), gaussianize_ranks(y), ["additive"], numbers=(z, y))
        for z in tables
    ]
    assert abs(values[0].value - 2 * (np.log(20) + 0.025)) < 0.3
    assert values[1].value == pytest.approx(values[0].value)
