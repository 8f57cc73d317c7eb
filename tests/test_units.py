"""Units and magnitudes: results do not depend on the unit or the sign of a single column.

One table lists every estimator and every function of samples. Add new estimators and functions to
the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from sklearn.base import clone

import sk_mige
from sk_mige import (
    KernelSteinTest,
    MutualInfoEstimator,
    MutualInfoGradientEstimator,
    RandomProjectionSSGE,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
    SteinThinning,
    WeightedKNNClassifier,
    datasets,
    dependence,
    estimators,
    information,
    inspection,
    metrics,
    networks,
    objectives,
    score,
    training,
)

RNG = np.random.default_rng(0)
Z = RNG.gamma(2.0, size=(60, 2)) @ [[1.0, 0.5], [0.0, 0.7]]
FRESH = Z[:8] + 0.1
WIDE = RNG.gamma(2.0, size=(6, 8))
NOISE = RNG.normal(size=(60, 2))
Y, DY = 0.8 * Z + 0.6 * NOISE, Z - 0.8 / 0.6 * NOISE

# Few rows keep the tests fast.
pytestmark = pytest.mark.filterwarnings("ignore:.*rows do not resolve")

SCORES = {
    "SSGEScoreEstimator": SSGEScoreEstimator(),
    "SSGEScoreEstimator, curl-free": SSGEScoreEstimator(curl_free=True),
    "SSGEScoreEstimator, shrunk": SSGEScoreEstimator(shrinkage=0.5),
    "SSGEScoreEstimator, spherical": SSGEScoreEstimator(shrinkage=1.0, eigen_threshold=0.99),
    "SSGEScoreEstimator, landmarks": SSGEScoreEstimator(n_landmarks=20, random_state=0),
    "SSGEScoreEstimator, imq": SSGEScoreEstimator(kernel="imq"),
    "RandomProjectionSSGE": RandomProjectionSSGE(1, random_state=0),
    "SSGEScoreEstimatorCV": SSGEScoreEstimatorCV(bandwidth_factors=(1.0,), cv=3),
    "SteinScoreEstimator": SteinScoreEstimator(whiten=True),
    "SlicedScoreMatching": SlicedScoreMatching(max_epochs=2, random_state=0),
}
# The published estimators: their kernels compare all features in one unit.
OWN_UNITS = {
    "published SSGE": SSGEScoreEstimator(eigen_threshold=0.99, whiten=False, base=None),
    "with a base": SSGEScoreEstimator(whiten=False),
    "curl-free": SSGEScoreEstimator(whiten=False, curl_free=True),
    "published Stein": SteinScoreEstimator(),
}

Units = np.ndarray[Any, np.dtype[np.float64]]


def scores(estimator: Any) -> Callable[[Units], Any]:
    """Return scores, their derivatives, densities and samples, in the units of Z."""

    def results(u: Units) -> Any:
        fitted = clone(estimator).fit(Z * u)
        found = [fitted.transform(FRESH * u) * u]
        if hasattr(fitted, "sample"):
            found.append(fitted.jacobian_vector_product(FRESH * u, Z[:8] * u) * u)
            found.append(fitted.sample(5, n_steps=30, random_state=0) / u)
            found.append((fitted.centers_ / u)[:8])
            found.append(fitted.denoise(FRESH * u, 0.3 * np.abs(u)) / u)
            found.append(np.repeat(fitted.log_density(FRESH * u)[:, None], 2, axis=1))
        return np.concatenate(found)

    return results


def tensor(values: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values))


def wide(u: Units) -> Any:
    units = np.resize(u, 8)
    return SSGEScoreEstimator().fit_transform(WIDE * units) * units


def stream(u: Units) -> Any:
    estimator = SSGEScoreEstimator(n_landmarks=20, random_state=0)
    return estimator.partial_fit(Z[:40] * u).partial_fit(Z[40:] * u).transform(FRESH * u) * u


def channel(x: Any, theta: Any, noise: Any, u: Units) -> Any:
    return (theta * x / tensor(u) + noise) * tensor(u)


def axes(u: Units) -> Any:
    mixed = RNG_AXES @ [[1.0, 1.0], [-1.0, 1.0]]
    found = information.independent_axes(tensor(mixed * u))
    assert found is not None
    return tensor(mixed * u) @ found


def in_one_unit(function: Callable[[Any], Any]) -> Callable[[Units], Any]:
    """Use the unit of the first column for all columns, for functions of distances."""
    return lambda u: function(u[0])


def surrogate(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Units], Any]:
    """Return the gradient of a surrogate for three draws of z, in the units of Z."""

    def gradient(unit: Any) -> torch.Tensor:
        draws = np.stack([Z, Z + 0.3 * NOISE, Z + 0.3 * DY])
        z = tensor(draws * unit).requires_grad_()
        return torch.autograd.grad(function(z), z)[0] * unit

    return in_one_unit(gradient)


def squares(unit: Any) -> torch.Tensor:
    return score.squared_distances(tensor(Z * unit))


def of_model(fit: Callable[[torch.Tensor], score.ScoreModel]) -> Callable[[Units], Any]:
    return lambda u: fit(tensor(Z * u)).score(tensor(FRESH * u)) * tensor(u)


COPULA = MutualInfoEstimator("gaussian", random_state=0)
RAW: dict[str, Any] = {"margins": None, "standard_error": "batch"}
RNG_AXES = np.random.default_rng(1).exponential(size=(400, 2)) ** 2


def gaussian(u: Units) -> Any:
    mean, scale = tensor(Z * u), tensor(np.exp(NOISE) * np.abs(u))
    return information.gaussian_mutual_info(mean, scale)


def gradient(margins: str | None) -> Callable[[Units], Any]:
    def results(u: Units) -> Any:
        found = information.mutual_info_gradient(
            Z * u, Y * u[::-1], DY * u[::-1], margins=margins, standard_error="batch"
        )
        return np.array(found)

    return results


TABLE: dict[str, Callable[[Units], Any]] = {
    **{name: scores(estimator) for name, estimator in SCORES.items()},
    "SSGEScoreEstimator, fewer rows than columns": wide,
    "SSGEScoreEstimator, stream": stream,
    "KernelSteinTest": lambda u: KernelSteinTest(n_bootstrap=9, random_state=0).fit(
        Z * u, -Z / u).replicates_,
    "SteinThinning": lambda u: SteinThinning(20).fit(Z * u, -Z / u).points_ / u,
    "SteinThinning, estimated": lambda u: SteinThinning(20).fit(Z * u).points_ / u,
    "MutualInfoGradientEstimator": lambda u: MutualInfoGradientEstimator(
        lambda x, t, noise: channel(x, t, noise, u), random_state=0, standard_error="batch"
    ).fit(Z * u).gradient_,
    "channel_gradient": lambda u: np.array(information.channel_gradient(
        lambda x, t, noise: channel(x, t, noise, u), 1.0, Z * u, margins=None,
        standard_error="batch")),
    "mutual_info_gradient": gradient("gaussian"),
    "mutual_info_gradient, margins=None": gradient(None),
    "MutualInfoEstimator": lambda u: MutualInfoEstimator(
        ["gaussian", "elliptical"], random_state=0
    ).fit(Z * u, Y * u[::-1]).interval_,
    "conditional_mutual_info": lambda u: sk_mige.conditional_mutual_info(
        Z * u, Y * u[::-1], NOISE[::-1, 0] * u[0], estimator=COPULA).interval,
    "total_correlation": lambda u: sk_mige.total_correlation(
        Z * u, Y[:, 0] * u[1], estimator=COPULA).interval,
    "transfer_entropy": lambda u: sk_mige.transfer_entropy(
        Z * u, Y * u[::-1], estimator=COPULA).interval,
    "feature_information": lambda u: sk_mige.feature_information(
        Z * u, Y[:, 0] * u[1], groups=[0, 0], estimator=COPULA),
    "conditional_mutual_info_gradient": lambda u: np.array(
        information.conditional_mutual_info_gradient(
            Z * u, Y * u[::-1], NOISE[::-1, 0] * u[0], dy=DY * u[::-1], standard_error="batch")),
    "total_correlation_gradient": lambda u: np.array(information.total_correlation_gradient(
        [Z * u, Y * u[::-1]], [None, DY * u[::-1]], standard_error="batch")),
    "transfer_entropy_gradient": lambda u: np.array(information.transfer_entropy_gradient(
        Z * u, Y * u[::-1], dtarget=DY * u[::-1], standard_error="batch")),
    "relative_fisher_information": lambda u: information.relative_fisher_information(tensor(Z * u)),
    "whitened_scores": lambda u: information.whitened_scores(tensor(Z * u)) * tensor(u),
    "independent_axes": axes,
    "gaussianize_margins": lambda u: information.gaussianize_margins(
        tensor(Z * u))[1] * tensor(np.abs(u)),
    "gaussianize_ranks": lambda u: information.gaussianize_ranks(
        tensor(Z * u)) * tensor(np.sign(u)),
    "gaussian_mutual_info": gaussian,
    "whitening": lambda u: score.whitening(tensor(Z * u))[0](tensor(FRESH * u)),
    "fit_dense": of_model(lambda z: score.fit_dense(z, score.ScoreSettings()).model),
    "fit_stein": of_model(lambda z: score.fit_stein(z, score.ScoreSettings(), 0.01)),
    "stein_kernel": lambda u: score.stein_kernel(tensor(Z * u), -tensor(Z / u)).matrix(),
    "kernel_stein_discrepancy": lambda u: score.kernel_stein_discrepancy(
        tensor(Z * u), -tensor(Z / u)),
    "stein_thinning": lambda u: score.stein_thinning(tensor(Z * u), -tensor(Z / u), 9),
    # Distances between all columns need one unit.
    "WeightedKNNClassifier": in_one_unit(lambda unit: WeightedKNNClassifier(5).fit(
        Z * abs(unit), Z[:, 0] > 2).predict_proba(FRESH * abs(unit))),
    "squared_distances": in_one_unit(lambda unit: squares(unit).sqrt() / abs(unit)),
    "median_bandwidth": in_one_unit(
        lambda unit: score.median_bandwidth(squares(unit)) / abs(unit)),
    "rbf_kernel": in_one_unit(lambda unit: score.rbf_kernel(squares(unit), abs(unit))),
    "joint_squared_distances": in_one_unit(lambda unit: information.joint_squared_distances(
        squares(unit), score.squared_distances(tensor(Y)))),
    "ssge": in_one_unit(lambda unit: score.ssge(tensor(Z * unit)) * unit),
    "entropy_surrogate": surrogate(lambda z: information.entropy_surrogate(z[0])),
    "mutual_info_surrogate": surrogate(
        lambda z: information.mutual_info_surrogate(z[0].detach(), z[1])),
    "mutual_info_surrogate, inputs in another unit": surrogate(
        lambda z: information.mutual_info_surrogate(tensor(Y), z[1])),
    "hidden_mutual_info_surrogate": surrogate(
        lambda z: information.hidden_mutual_info_surrogate(tensor(Y), z[1])),
    "stochastic_mutual_info_surrogate": surrogate(information.stochastic_mutual_info_surrogate),
    "multiview_mutual_info_surrogate": surrogate(information.multiview_mutual_info_surrogate),
    "conditional_scores": surrogate(
        lambda z: (information.conditional_scores(z) * z).sum()),
}  # fmt: skip

# Public names without samples in the units of the user, and the reasons.
OTHERS = {
    "results and protocols": """MutualInfoGradient InformationEstimate Bound BoundEstimate
        ChosenInformation Evidence ScoreFunction ScoreModel ScoreSettings SteinKernel Description
        Information ViewInformation Problem Objective Code Head Representation SlicedScore
        __version__""",
    "kernels of distances in units of the bandwidth": """RBF InverseMultiquadric Kernel Matern
        Multiscale""",
    "functions of whitened rows or of eigenvalues": """fit_base leading_eigenpairs
        spectral_filter""",
    "descriptions and losses of a network's codes": """InfoMax InformationBottleneck MIGE Critic
        Variational BarlowTwins CodingRate SIGReg VICReg FunctionObjective MIGEInfoMax
        FeatureInfoMax CriticInfoMax FeatureCriticInfoMax ViewCriticInfoMax PriorMatched
        BottleneckLoss sliced_score_matching_loss MIGETerm CriticBound CriticTerm VariationalTerm
        ClassLikelihood GaussianLikelihood default_training_score patches""",
    "networks, whose inputs the user scales": """HEADS Architecture ConditionedHead ConvEncoder
        DeterministicHead EncoderNetwork GaussianHead ImplicitHead MLPEncoder ResNet18 ScoreNetwork
        StandardizingHead evaluate""",
    "parts of training": """BetaWarmup Checkpoint EffectiveRank ExponentialDecay ImageAugmentation
        OnlineKNN OnlineProbe Trainer WeightAveraging input_alignment""",
    "probabilities": "expected_calibration_error risk_coverage_curve top_predictions",
    "representations, whose transformer chooses the unit": "representation_score",
    "samplers, readers and exact scores, in their own units": " ".join(datasets.__all__),
    "pictures of estimators": " ".join(inspection.__all__),
}
EXEMPT = {name: reason for reason, names in OTHERS.items() for name in names.split()} | {
    "MIGEEncoder": "a network in float32, whose inputs the user scales",
    "NonLinearProbe": "a network in float32, whose inputs the user scales",
    "make_bound": "a bound of critics, which have no samples",
    "Bound": "a protocol",
    "BoundEstimate": "a result",
    "DonskerVaradhan": "a bound of critics, which have no samples",
    "nwj": "a bound of critics, which have no samples",
    "jensen_shannon": "a bound of critics, which have no samples",
    "smile": "a bound of critics, which have no samples",
    "infonce": "a bound of critics, which have no samples",
    "club": "a bound of critics, which have no samples",
    "SeparableCritic": "a network in float32, whose inputs the user scales",
    "ConcatenatedCritic": "a network in float32, whose inputs the user scales",
    "GaussianCritic": "a network in float32, whose inputs the user scales",
    "fit_critic": "trains a network in float32, whose inputs the user scales",
    "PriorMatching": "compares z with a standard prior, in the units of z",
    "choose_information": "takes normal scores; MutualInfoEstimator makes them",
    "ChosenInformation": "a result",
    "Evidence": "a result",
    "GaussianReference": "takes normal scores",
    "EllipticalReference": "takes normal scores",
    "MixtureReference": "takes normal scores",
    "NeighbourReference": "takes normal scores",
    "AdditiveReference": "a candidate of MutualInfoEstimator, which scales the columns",
    "CorrectedReference": "takes normal scores",
    "ksg_terms": "takes normal scores",
    "local_dimension": "takes normal scores",
}


def assert_as_in_usual_units(name: str, u: Units) -> None:
    found, expected = (np.asarray(TABLE[name](units)) for units in (u, np.ones(2)))
    # Training in float32 amplifies the rounding errors of the inputs.
    tolerance = 1e-2 if name == "SlicedScoreMatching" else 1e-5
    np.testing.assert_allclose(
        found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max()
    )


def units(exponent: float) -> st.SearchStrategy[Units]:
    """Factors of two columns, of either sign."""
    powers = hnp.arrays(float, 2, elements=st.floats(-exponent, exponent))
    signs = hnp.arrays(float, 2, elements=st.sampled_from([-1.0, 1.0]))
    return st.builds(lambda power, sign: sign * 10.0**power, powers, signs)


def test_every_public_name_is_listed_or_exempt_for_a_reason() -> None:
    public = [sk_mige, dependence, estimators, information, metrics, networks, objectives, score]
    names = {
        name for module in [*public, training, datasets, inspection] for name in module.__all__
    }
    listed = {name.partition(",")[0] for name in TABLE}
    assert names == listed | EXEMPT.keys()
    assert not listed & EXEMPT.keys()


@pytest.mark.parametrize("name", TABLE)
@settings(max_examples=4)
@given(u=units(30))
def test_the_unit_and_the_sign_of_a_column_do_not_matter(name: str, u: Units) -> None:
    assert_as_in_usual_units(name, u)


@pytest.mark.parametrize("name", TABLE)
@settings(max_examples=4)
@given(u=units(150))
def test_any_magnitude_gives_the_value_or_an_error_that_names_the_input(
    name: str, u: Units
) -> None:
    try:
        assert_as_in_usual_units(name, u)
    except ValueError as error:
        message = str(error)
    else:
        return
    assert {"X", "x", "y", "z"} & set(message.replace("'", " ").split())


@pytest.mark.parametrize("name", TABLE)
def test_the_default_dtype_does_not_matter(name: str) -> None:
    expected, before = np.asarray(TABLE[name](np.ones(2))), torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = np.asarray(TABLE[name](np.ones(2)))
    finally:
        torch.set_default_dtype(before)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("unit", [1e-30, 1e30])
@pytest.mark.parametrize(
    "name",
    ["ssge", *(name for name in TABLE if name.endswith(("surrogate", "conditional_scores")))],
)
def test_float32_distances_beyond_float32_are_warned_of_or_refused(name: str, unit: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name_of_rows in ("Z", "Y", "DY", "NOISE"):
            patch.setitem(globals(), name_of_rows, globals()[name_of_rows].astype(np.float32))
        function = partial(TABLE[name], np.full(2, unit, np.float32))
        if unit > 1:
            with pytest.raises(ValueError, match="of x or z exceed the range of torch.float32"):
                function()
        else:
            with pytest.warns(UserWarning, match="of x or z vanish in torch.float32"):
                function()


@pytest.mark.parametrize(
    "name", ["mutual_info_gradient", "channel_gradient", "gaussianize_margins"]
)
@pytest.mark.parametrize("exponent", [-300, 300])
def test_maps_of_margins_hold_in_nearly_all_of_float64(name: str, exponent: int) -> None:
    assert_as_in_usual_units(name, np.array([1.0, -3.0]) * 10.0**exponent)


def test_maps_of_margins_beyond_float64_are_refused() -> None:
    for z in (tensor(Z * 1e-310), tensor(Z * 1e-42).float()):
        with pytest.raises(ValueError, match="derivatives of the map of z exceed the range"):
            information.gaussianize_margins(z)


@pytest.mark.parametrize("name", OWN_UNITS)
@pytest.mark.parametrize("exponent", [-150, -30, 30, 150])
def test_in_the_datas_own_units_results_are_finite_or_an_error_names_x(
    name: str, exponent: int
) -> None:
    u = np.array([1.0, 3.0]) * 10.0**exponent
    try:
        fitted = clone(OWN_UNITS[name]).fit(Z * u)
        for results in (fitted.transform(FRESH * u), fitted.score(FRESH * u)):
            assert np.isfinite(results).all()
    except ValueError as error:
        message = str(error)
    else:
        return
    assert "X" in message.split()


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("unit", [1.99e30, 1.6e-19])
def test_float32_in_si_units_has_the_values_of_float64(name: str, unit: float) -> None:
    X, fresh = ((unit * points).astype(np.float32) for points in (Z, FRESH))
    single, double = (clone(SCORES[name]).fit(X.astype(dtype)) for dtype in ("f4", "f8"))
    expected = double.score(fresh.astype(float))
    assert expected != 0.0
    assert single.score(fresh) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(
        single.transform(fresh) * unit, double.transform(fresh.astype(float)) * unit, rtol=1e-4
    )
    if hasattr(single, "hyvarinen_loss"):
        losses = single.hyvarinen_loss(fresh)
        assert losses.dtype == single.divergence(fresh).dtype == float
        np.testing.assert_allclose(-losses.mean(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("unit", [1e40, 1e-43])
def test_scores_beyond_float32_are_refused(name: str, unit: float) -> None:
    fitted = clone(SCORES[name]).fit(unit * Z)
    with pytest.raises(ValueError, match="scores of column 0 of X .* pass X in float64"):
        fitted.transform(np.zeros((1, 2), np.float32))


# Rows of Z with absurd values: one value, a code in all columns, a code in several rows.
EXTREME = {
    "one value": np.array([[300.0, 1.0]]),
    "a code": np.array([[-9999.0, 1.0]]),
    "a code in all columns": np.array([[-1e7, -1e7]]),
    "a code in a tenth of the rows": np.c_[np.full(6, -999.0), Z[:6, 1]],
}


@pytest.mark.parametrize("name", [*SCORES, *OWN_UNITS])
@pytest.mark.parametrize("rows", EXTREME.values(), ids=EXTREME)
def test_absurd_values_do_not_change_scores_elsewhere_and_are_warned_of(
    name: str, rows: Units
) -> None:
    estimator = (SCORES | OWN_UNITS)[name]
    expected = clone(estimator).fit(Z).transform(FRESH)
    message = re.escape(f"of the values of feature 0, such as {rows[0, 0]:g},")
    # Without whitening, kernels do not depend on the scale of a feature.
    with pytest.warns(UserWarning, match=message) if name in SCORES else nullcontext():
        found = clone(estimator).fit(np.r_[Z, rows]).transform(FRESH)
    assert np.linalg.norm(found - expected) < 0.6 * np.linalg.norm(expected)


@pytest.mark.filterwarnings("ignore:one value is too frequent")
@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("name", SCORES)
def test_a_code_that_is_a_quartile_is_warned_of(name: str, share: float) -> None:
    X = np.r_[Z, Z + 0.1]
    X[: round(share * len(X)), 1] = -9999
    message = f"{share:.2%} of the values of feature 1, such as -9999,"
    with pytest.warns(UserWarning, match=re.escape(message)):
        clone(SCORES[name]).fit(X)


@pytest.mark.parametrize("center", [0.0, 5.0])
def test_frequent_usual_values_are_no_codes(center: float) -> None:
    X = RNG.gamma(2.0, size=(200, 2)) + center
    X[:80, 0] = 0.0
    with pytest.warns(UserWarning, match="one value is too frequent in columns 0"):
        SSGEScoreEstimator().fit(X)  # no other warning


@pytest.mark.filterwarnings("ignore:.*interquartile ranges from the median")
@pytest.mark.parametrize(
    "name", sorted(TABLE.keys() - {"gaussian_mutual_info"})
)  # takes no samples
def test_a_value_whose_powers_overflow_gives_finite_results_or_an_error(name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "Z", np.r_[Z[:-1], [[1.7e308, 1.0]]])
        try:
            found = np.asarray(TABLE[name](np.ones(2)))
        except ValueError as error:
            message = str(error)
        else:
            assert np.isfinite(found).all()
            return
    assert {"X", "z"} & set(message.split())


@pytest.mark.parametrize("preconditioner", ["std", "covariance"])
def test_one_absurd_value_changes_no_stein_discrepancy(preconditioner: str) -> None:
    def statistic(points: Units) -> float:
        test = KernelSteinTest(preconditioner=preconditioner, n_bootstrap=9, random_state=0)
        return float(test.fit(points, Z.mean(0) - points).statistic_)

    absurd = np.r_[Z, [[-9999.0, 1.0]]]
    assert statistic(absurd) == pytest.approx(statistic(Z), rel=0.1)


def test_a_row_whose_distances_hide_all_others_is_refused() -> None:
    with pytest.raises(ValueError, match="float64 does not resolve the other distances"):
        KernelSteinTest(n_bootstrap=9).fit(np.r_[Z, [[1e20, 1.0]]], np.r_[-Z, [[0.0, 0.0]]])


@pytest.mark.parametrize(
    ("column", "function"),
    [
        ("x", lambda x: information.mutual_info_gradient(x, Y, DY, **RAW)),
        ("y", lambda y: information.mutual_info_gradient(Z, y, DY, **RAW)),
        ("z", lambda z: information.conditional_mutual_info_gradient(Z, Y, z, dy=DY, **RAW)),
        ("x1", lambda x: information.total_correlation_gradient([x, Y], [None, DY], **RAW)),
        ("source", lambda x: information.transfer_entropy_gradient(x, Y, dtarget=DY, **RAW)),
        ("z", lambda z: information.relative_fisher_information(tensor(z))),
    ],
)
def test_one_absurd_value_is_warned_of_where_information_uses_covariances(
    column: str, function: Callable[[Units], Any]
) -> None:
    absurd = NOISE**3 + 5.0
    absurd[0, 1] = -9999.0
    with pytest.warns(UserWarning, match=f"of the values of {column}'s column 1, such as -9999"):
        function(absurd)


def test_copies_of_columns_of_y_change_no_gradient() -> None:
    options = {"standard_error": "batch"}
    plain = information.mutual_info_gradient(Z, Y, DY, **options)
    mixing = np.array([[1.0, 0.0, 2e6, 1.0], [0.0, 1.0, 0.0, 1.0]])
    copied = information.mutual_info_gradient(Z, Y @ mixing, DY @ mixing, **options)
    np.testing.assert_allclose(copied, plain, rtol=1e-6)
    # A copy may be scaled by the parameter itself.
    moved = np.c_[DY, DY[:, :1] + Y[:, :1]]
    copied = information.mutual_info_gradient(Z, np.c_[Y, Y[:, :1]], moved, **options)
    np.testing.assert_allclose(copied, plain, rtol=1e-6)


def test_a_copy_that_leaves_its_column_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"columns \[2\] of y are linear combinations"):
        information.mutual_info_gradient(Z, np.c_[Y, Y[:, 0]], np.c_[DY, NOISE[:, 0] ** 2])
