"""Accepted input, errors and results of the estimators, with and without projection."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError

from sk_mige import (
    RandomProjectionSSGE,
    SlicedScoreMatching,
    SSGEScoreEstimator,
    SSGEScoreEstimatorCV,
    SteinScoreEstimator,
)
from sk_mige.datasets import make_ring, make_spherical_shell
from sk_mige.estimators._rows import warn_of_atoms
from sk_mige.score import ssge

BOTH = [SSGEScoreEstimator, RandomProjectionSSGE]


@pytest.fixture
def X(rng):
    return rng.normal(size=(40, 3)) + 1.0


@pytest.mark.parametrize("Estimator", BOTH)
@pytest.mark.parametrize(("options", "named"), [
    ({"n_eigen": 0}, "n_eigen"), ({"eigen_threshold": 1.2}, "eigen_threshold"),
    ({"alpha": -1.0}, "alpha"), ({"alpha": "best"}, "alpha"), ({"bandwidth": 0.0}, "bandwidth"),
    ({"bandwidth": "mean"}, "bandwidth"), ({"shrinkage": 2.0}, "shrinkage"),
    ({"base": "laplace"}, "base"), ({"n_landmarks": 0}, "n_landmarks"),
])  # fmt: skip
def test_an_invalid_parameter_is_named_with_what_was_got(X, Estimator, options, named):
    (value,) = options.values()
    with pytest.raises(InvalidParameterError, match=f"'{named}' parameter.*Got {value!r}"):
        Estimator(**options).fit(X)


@pytest.mark.parametrize("Estimator", BOTH)
@pytest.mark.parametrize(("data", "message"), [
    (np.ones((20, 3)), "X is constant: its 20 rows are all the same.*pass rows that differ"),
    (np.zeros((1, 3)), "minimum of 2"),
    (np.array([[0.0, np.nan], [1.0, 2.0]]), "NaN"),
    (np.array([[0.0, np.inf], [1.0, 2.0]]), "infinity"),
])  # fmt: skip
def test_data_without_a_density_are_refused(Estimator, data, message):
    with pytest.raises(ValueError, match=message):
        Estimator().fit(data)


@pytest.mark.parametrize("Estimator", BOTH)
def test_draws_of_several_chains_are_refused_with_two_remedies(Estimator):
    with pytest.raises(ValueError, match=r"X.reshape\(4, -1\), or X.reshape\(-1, 2\) if only"):
        Estimator().fit(np.zeros((4, 50, 2)))


@pytest.mark.parametrize("Estimator", BOTH)
def test_more_landmarks_than_rows_are_refused(X, Estimator):
    with pytest.raises(ValueError, match="n_landmarks=41 is more than the 40 rows.*pass at most"):
        Estimator(n_landmarks=41).fit(X)


@pytest.mark.parametrize("Estimator", BOTH)
def test_queries_need_a_fit_and_its_features(X, Estimator):
    with pytest.raises(NotFittedError):
        Estimator().transform(X)
    fitted = Estimator(random_state=0).fit(X)
    for query in (fitted.transform, fitted.score, fitted.divergence, fitted.hyvarinen_loss):
        with pytest.raises(ValueError, match="2 features.*expecting 3"):
            query(X[:, :2])
    with pytest.raises(ValueError, match=r"V must have the shape of X, \(40, 3\), got \(39, 3\)"):
        fitted.jacobian_vector_product(X, X[1:])
    with pytest.raises(ValueError, match=r"n_samples.*\[1, inf\).*Got 0"):
        fitted.sample(0)


def test_unsuitable_devices_are_refused(X):
    with pytest.raises((ValueError, RuntimeError), match="device='mps'.*'cpu'"):
        SSGEScoreEstimator(device="mps").fit(X)
    with pytest.raises(ValueError, match="abacus"):
        SSGEScoreEstimator(device="abacus").fit(X)


@pytest.mark.parametrize("threshold", [0.94, 0.99])
def test_parameters_give_the_published_estimator(X, threshold):
    published = SSGEScoreEstimator(eigen_threshold=threshold, whiten=False, base=None).fit(X)
    expected = ssge(torch.from_numpy(X), eigen_threshold=threshold).numpy()
    np.testing.assert_allclose(published.transform(X), expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(published.bandwidth_, np.median(
        torch.pdist(torch.from_numpy(X)).median()))  # fmt: skip
    assert published.degrees_of_freedom_ is None
    assert published.alpha_ == 0.0


def test_the_bandwidth_is_that_of_the_fit_for_any_query(X):
    published = SSGEScoreEstimator(eigen_threshold=0.99, whiten=False, base=None).fit(X)
    alone = published.transform(X[:1])
    np.testing.assert_allclose(alone, published.transform(np.vstack([X[:1], 100 * X]))[:1])


@pytest.mark.parametrize("Estimator", BOTH)
@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_output_in_data_frames(X, Estimator, container):
    frames = pytest.importorskip(container)
    columns = ["a", "b", "c"]
    frame = frames.DataFrame({name: X[:, i] for i, name in enumerate(columns)})
    estimator = Estimator(random_state=0).set_output(transform=container).fit(frame)
    scores = estimator.transform(frame)
    assert isinstance(scores, frames.DataFrame)
    assert list(scores.columns) == list(estimator.get_feature_names_out())
    assert list(estimator.feature_names_in_) == columns
    plain = Estimator(random_state=0).fit(X).transform(X)
    np.testing.assert_allclose(scores.to_numpy(), plain)


def test_arrow_tables_are_read_as_arrays(X):
    table = pytest.importorskip("pyarrow").table({"a": X[:, 0], "b": X[:, 1]})
    scores = SSGEScoreEstimator().fit(table).transform(table)
    np.testing.assert_array_equal(scores, SSGEScoreEstimator().fit_transform(X[:, :2]))


def test_tensors_give_tensors_or_the_numbers_of_arrays():
    """A separate process is needed, because SciPy reads SCIPY_ARRAY_API when it is imported."""
    program = """
        import numpy as np, sklearn, torch
        from sk_mige import MutualInfoGradientEstimator, RandomProjectionSSGE
        from sk_mige import SSGEScoreEstimator, SSGEScoreEstimatorCV
        X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
        for estimator in (SSGEScoreEstimator(), SSGEScoreEstimator(n_landmarks=9, random_state=0),
                          RandomProjectionSSGE(random_state=0),
                          SSGEScoreEstimatorCV(bandwidth_factors=[1.0], cv=2)):
            plain = estimator.fit(X.numpy()).transform(X.numpy())
            with sklearn.config_context(array_api_dispatch=True):
                scores = estimator.fit(X).transform(X)
                assert isinstance(scores, torch.Tensor) and scores.dtype == torch.float32
                assert isinstance(estimator.score(X), float)
                assert isinstance(estimator.divergence(X), torch.Tensor)
            np.testing.assert_allclose(scores.numpy(), plain, rtol=1e-4, atol=1e-4)
        channel = MutualInfoGradientEstimator(random_state=0, n_batches=2)
        for X in (X, X.double()):
            before, expected = X.clone(), channel.fit(X.numpy()).gradient_
            assert channel.fit(X).gradient_ == expected
            with sklearn.config_context(array_api_dispatch=True):
                assert channel.fit(X).gradient_ == expected
            assert torch.equal(X, before)
    """
    environment = os.environ | {"SCIPY_ARRAY_API": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], env=environment,
                         capture_output=True, text=True)  # fmt: skip
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("Estimator", BOTH)
def test_input_and_global_random_state_stay_as_they_were(
    X, Estimator, global_random_state_untouched
):
    before = X.copy()
    X.flags.writeable = False
    fitted = Estimator(random_state=0).fit(X)
    fitted.transform(X)
    fitted.sample(3, n_steps=30, random_state=0)
    Estimator(n_landmarks=5, random_state=0).fit(X)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("options", [{}, {"shrinkage": 1.0}, {"whiten": False}])
def test_pickles_hold_no_more_than_the_model(rng, options):
    X = rng.normal(size=(30, 2000))
    estimator = SSGEScoreEstimator(**options).fit(X)
    stored = pickle.dumps(estimator)
    np.testing.assert_array_equal(pickle.loads(stored).transform(X), estimator.transform(X))
    assert len(stored) < 3 * X.nbytes
    wide = RandomProjectionSSGE(4, n_landmarks=3, random_state=0, **options).fit(X[:, :300])
    assert len(pickle.dumps(wide)) < 8 * 300 * (4 + 2 * 3 + 2 * 30 + 4) + 12_000


def test_derivatives_agree_with_differences_of_scores(X):
    estimator = SSGEScoreEstimator(alpha=1e-3).fit(X)
    step = 1e-5
    jacobian = np.stack([
        (estimator.transform(X + step * e) - estimator.transform(X - step * e)) / (2 * step)
        for e in np.eye(3)
    ], axis=-1)  # fmt: skip
    np.testing.assert_allclose(
        estimator.divergence(X), np.trace(jacobian, axis1=1, axis2=2), rtol=1e-4, atol=1e-4
    )
    V = X[::-1]
    np.testing.assert_allclose(
        estimator.jacobian_vector_product(X, V), np.einsum("nij,nj->ni", jacobian, V),
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    losses = estimator.hyvarinen_loss(X)
    assert estimator.score(X) == pytest.approx(-losses.mean())


def test_model_selection_needs_no_knowledge_of_the_density(X):
    search = GridSearchCV(SSGEScoreEstimator(), {"eigen_threshold": [0.5, 0.9]}, cv=3).fit(X)
    assert search.best_params_["eigen_threshold"] in (0.5, 0.9)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_projection_has_at_most_as_many_components_as_features(X):
    message = r"n_components=4 is more than the 3 features.*'auto', which is min\(.*, 512\)"
    with pytest.raises(ValueError, match=message):
        RandomProjectionSSGE(4).fit(X)
    with pytest.raises(InvalidParameterError, match="'n_components'"):
        RandomProjectionSSGE(0).fit(X)


@pytest.mark.parametrize("projection", ["gaussian", "sparse"])
def test_projections_preserve_squared_norms_on_average(rng, projection):
    X = rng.normal(size=(300, 1000))
    estimator = RandomProjectionSSGE(200, projection=projection, random_state=0).fit(X)
    assert estimator.components_.shape == (estimator.n_components_, 1000) == (200, 1000)
    ratio = ((X @ estimator.components_.T) ** 2).sum(1) / (X**2).sum(1)
    assert ratio.mean() == pytest.approx(1.0, abs=0.05)
    assert estimator.transform(X[:3]).shape == (3, 1000)


@pytest.mark.parametrize(("n_features", "expected"), [(20, 20), (600, 512)])
def test_auto_components_are_the_features_up_to_512(rng, n_features, expected):
    X = rng.normal(size=(10, n_features))
    assert RandomProjectionSSGE(random_state=0).fit(X).n_components_ == expected


def test_one_seed_one_projection(X):
    first, second = (RandomProjectionSSGE(2, random_state=3).fit(X) for _ in range(2))
    np.testing.assert_array_equal(first.components_, second.components_)
    other = RandomProjectionSSGE(2, random_state=4).fit(X)
    assert not np.array_equal(first.components_, other.components_)


def test_scores_hardly_depend_on_the_projections_dimension_once_it_is_large(rng):
    X = rng.normal(size=(100, 400))
    exact = SSGEScoreEstimator().fit(X).transform(X)
    for k in (100, 400):
        projected = RandomProjectionSSGE(k, random_state=0).fit(X).transform(X)
        assert np.linalg.norm(projected - exact) < 0.1 * np.linalg.norm(exact)


@pytest.mark.parametrize(
    "parameters",
    [
        {"eigen_threshold": np.float64(0.9)},
        {"eigen_threshold": np.float32(1.0)},
        {"n_eigen": np.int64(5)},
        {"alpha": np.float64(0.1), "bandwidth": np.float64(2.0)},
        {"shrinkage": np.float64(0.2), "whiten": np.bool_(True)},
    ],
)
@pytest.mark.parametrize("n_landmarks", [None, 40])
def test_numpy_scalars_are_accepted_as_numbers(parameters, n_landmarks):
    """Grid searches over np.linspace pass NumPy scalars."""
    X = np.random.default_rng(0).normal(size=(120, 3))
    plain = {name: value.item() for name, value in parameters.items()}
    one, other = (
        SSGEScoreEstimator(**given, n_landmarks=n_landmarks, random_state=0).fit(X)
        for given in (parameters, plain)
    )
    np.testing.assert_array_equal(one.transform(X), other.transform(X))


@pytest.mark.parametrize("options", [{}, {"n_landmarks": 50}])
def test_a_few_outliers_that_decide_the_whitening_cause_a_warning(rng, options):
    X = np.r_[rng.normal(size=(300, 2)), [[0.0, -999.0]]]
    estimator = SSGEScoreEstimator(**options, random_state=0)
    with pytest.warns(match=r"0\.33% of the values of feature 1, such as -999, are more than 20"):
        estimator.fit(X)
    estimator.set_params(whiten=False).fit(X)  # warnings are errors


def test_many_zeros_and_heavy_tails_are_not_taken_for_outliers(rng):
    X = np.c_[rng.standard_t(3, size=2000), rng.lognormal(size=2000)]
    X = np.c_[X, np.where(rng.uniform(size=2000) < 0.7, 0.0, rng.normal(150, 30, size=2000))]
    with pytest.warns(UserWarning, match="one value is too frequent in columns 2 of X") as found:
        SSGEScoreEstimator(n_landmarks=20, random_state=0).fit(X)
    assert len(found) == 1


ALL = [
    SSGEScoreEstimator(), RandomProjectionSSGE(random_state=0), SteinScoreEstimator(),
    SSGEScoreEstimatorCV(cv=2, bandwidth_factors=(1.0,), curl_free=(False,), kernels=("rbf",)),
    SlicedScoreMatching(max_epochs=1, random_state=0),
]  # fmt: skip


@pytest.mark.parametrize("estimator", ALL)
def test_rows_on_a_sphere_are_warned_of(X, estimator):
    with pytest.warns(UserWarning, match="equal norms.*no density.*such as angles"):
        estimator.fit(1e-19 * X / np.linalg.norm(X, axis=1, keepdims=True))


@pytest.mark.parametrize("estimator", ALL)
def test_float32_rows_far_from_zero_are_warned_of(X, estimator):
    with pytest.warns(UserWarning, match="column 1 of X .* less than 16 spacings"):
        estimator.fit((X + np.array([0.0, 1e7, 0.0])).astype(np.float32))


def test_float32_rows_of_equal_norm_up_to_rounding_are_rows_on_a_sphere(X):
    rows = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
    with pytest.warns(UserWarning, match="equal norms"):
        SSGEScoreEstimator().partial_fit(rows)


@pytest.mark.parametrize("rows", [
    np.random.default_rng(0).normal(size=(40, 2)) + 1e7,
    np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32) + np.float32(1e4),
    np.eye(3)[:2],
    np.c_[np.full(40, 1e12), np.random.default_rng(0).normal(size=(40, 2))],
    np.c_[np.full(40, 1e5), np.random.default_rng(0).normal(size=(40, 2)).round(2) + 1e5],
])  # fmt: skip
def test_rows_far_from_zero_are_no_rows_on_a_sphere(rows):
    SSGEScoreEstimator().fit(rows)


@pytest.mark.parametrize("points", [[[-1, -1], [1, 1]], [[-1, -1], [-1, 1], [1, -1], [1, 1]]])
def test_copies_of_a_few_points_of_equal_norm_are_no_rows_on_a_sphere(points):
    SSGEScoreEstimator().fit(np.repeat(points, 20, axis=0))


@pytest.mark.parametrize("units", [1.0, [1e-20, 1e200, 1.0, 1e9]])
@pytest.mark.parametrize(("surface", "columns"), [
    (lambda s, t, u: np.c_[np.cos(t), s, np.sin(t), u], "0, 2"),
    (lambda s, t, u: np.c_[s, t, u, s * t], "0, 1, 3"),
    (lambda s, t, u: np.c_[u, s, s**2 + t**2, t], "1, 2, 3"),
])  # fmt: skip
def test_columns_with_a_quadratic_equation_are_warned_of(rng, surface, columns, units):
    rows = surface(*rng.normal(5.0, 2.0, size=(3, 100)))
    with pytest.warns(UserWarning, match=f"columns {columns} of X satisfy a quadratic equation"):
        SSGEScoreEstimator().fit(rows * units)


@pytest.mark.parametrize("rows", [
    lambda rng: rng.normal(size=(100, 3)) @ [[1, 1, 1], [0, 1e-5, 0], [0, 0, 0.1]],
    lambda rng: rng.normal(size=(100, 3)) @ [[1, 0, 1], [0, 1, -1], [0, 0, 0]],
    lambda rng: np.c_[rng.normal(size=(100, 1)), rng.integers(2, size=(100, 2))],
    lambda rng: rng.standard_t(2, size=(100, 3)),
    lambda rng: rng.normal(size=(100, 3)) + 1e5 * rng.integers(2, size=(100, 1)),
])  # fmt: skip
def test_other_rows_satisfy_no_quadratic_equation(rng, rows):
    SSGEScoreEstimator().fit(rows(rng))


@pytest.mark.parametrize("columns", [
    lambda rng: np.abs(rng.normal(size=(1000, 1))),
    lambda rng: 1e-9 * np.c_[rng.normal(size=(1000, 2)), rng.uniform(-9.0, 7.0, size=1000)],
    lambda rng: 2.0 - rng.dirichlet([1, 1, 1], size=3000)[:, :2],
])  # fmt: skip
def test_a_density_that_is_not_zero_at_an_end_is_warned_of(rng, columns):
    rows = columns(rng)
    with pytest.warns(UserWarning, match="density of column . .* probably positive, .* at the end"):
        SSGEScoreEstimator(n_landmarks=20).fit(rows)


@pytest.mark.parametrize("rows", [
    lambda rng: make_ring(1000, noise=0.05, random_state=0)[0],
    lambda rng: make_spherical_shell(1000, n_features=3, noise=0.05, random_state=0)[0],
    lambda rng: rng.gamma(3.0, size=(1000, 2)),
    lambda rng: np.sort(rng.normal(size=(1500, 1)), axis=0),
    lambda rng: np.where(rng.uniform(size=(1000, 1)) < 0.1, 9.0, 0.0) + rng.normal(size=(1000, 2)),
])  # fmt: skip
def test_smooth_ends_cause_no_warning(rng, rows):
    SSGEScoreEstimator(n_landmarks=20).fit(rows(rng))


def test_rows_after_many_rows_of_zeros_are_no_series(X):
    with pytest.warns(UserWarning, match="one value is too frequent in columns 0, 1, 2") as found:
        SSGEScoreEstimator(n_landmarks=20).fit(np.concatenate([np.zeros((1000, 3)), X]))
    assert len(found) == 1


def with_zeros(n, n_zeros, n_features=2):
    """Return independent Gaussian rows with zeros in column 1, at the end."""
    X = np.random.default_rng(n).normal(size=(n, n_features))
    X[n - n_zeros :, 1] = 0.0
    return X


@pytest.mark.parametrize("estimator", ALL)
def test_a_column_with_many_zeros_is_warned_of(estimator):
    with pytest.warns(UserWarning, match="columns 1 of X: the value 0 of column 1 is in 30% of"):
        estimator.fit(with_zeros(100, 30))


@pytest.mark.parametrize("rows", [
    with_zeros(200, 10),
    with_zeros(5000, 250),
    with_zeros(200, 180),
    with_zeros(500, 50).round(2),
    with_zeros(500, 150)[np.random.default_rng(0).integers(500, size=500)],
    with_zeros(200, 30)[:, 1:],
    np.maximum(with_zeros(200, 0), 0.0),
    np.clip(with_zeros(200, 0), -1.0, 1.0).astype(np.float32),
    np.where(np.arange(300)[:, None] < 30, 5.0, with_zeros(300, 0)),
], ids=["5 %", "5 % of many", "90 %", "rounded", "bootstrap", "one column", "rectified", "clipped",
        "copies of one row"])  # fmt: skip
def test_a_frequent_value_beside_a_continuous_part_is_found(rows):
    with pytest.warns(UserWarning, match="one value is too frequent"):
        assert warn_of_atoms(rows)


def metropolis(n, step):
    """Return n states of a Metropolis chain for N(0, I), with a copy for each rejected step."""
    rng = np.random.default_rng(0)
    states = [np.zeros(2)]
    for noise, uniform in zip(rng.normal(size=(n, 2)), rng.uniform(size=n), strict=True):
        state, proposal = states[-1], states[-1] + step * noise
        is_accepted = uniform < np.exp((state @ state - proposal @ proposal) / 2)
        states.append(proposal if is_accepted else state)
    return np.array(states)


@pytest.mark.parametrize("rows", [
    with_zeros(5000, 1),
    with_zeros(1000, 0).round(1),
    with_zeros(1000, 0).astype(np.float32),
    np.random.default_rng(0).standard_cauchy((1000, 3)).round(2),
    np.random.default_rng(0).gamma(0.3, size=(1000, 3)).round(2),
    with_zeros(1000, 0)[np.random.default_rng(0).integers(1000, size=1000)],
    np.repeat(with_zeros(50, 0), 20, axis=0),
    metropolis(1000, 2.4),
    metropolis(1000, 15.0),
    np.random.default_rng(0).poisson([0.1, 1.0, 30.0], size=(1000, 3)),
    np.eye(5)[np.random.default_rng(0).integers(5, size=1000)],
    load_iris().data,
    load_wine().data,
    load_breast_cancer().data,
    load_diabetes().data,
    load_digits().data,
])  # fmt: skip
def test_rounded_and_copied_rows_have_no_frequent_value(rows):
    assert not warn_of_atoms(rows)


def chain(n, correlation):
    """Return n states of a Markov chain whose stationary density is N(0, I)."""
    X = np.random.default_rng(0).normal(size=(n, 3))
    for k in range(1, n):
        X[k] = correlation * X[k - 1] + (1 - correlation**2) ** 0.5 * X[k]
    return X


@pytest.mark.parametrize("Estimator", BOTH)
@pytest.mark.parametrize("rows", [chain(300, 0.95), np.repeat(chain(300, 0.95), 2, axis=0)])
def test_rows_of_a_slow_chain_are_warned_of(Estimator, rows):
    with pytest.warns(UserWarning, match="as in a Markov chain.*every k-th row"):
        Estimator().fit(rows)


def test_a_slow_chain_needs_the_warning():
    points = np.random.default_rng(1).normal(size=(500, 3))
    with pytest.warns(UserWarning, match="Scores can be far too large"):
        slow = SSGEScoreEstimator().fit(chain(600, 0.97)).transform(points)
    assert np.square(slow + points).mean() > 2
    independent = SSGEScoreEstimator().fit(chain(600, 0.0)).transform(points)
    assert np.square(independent + points).mean() < 0.02


SORTED = np.sort(np.random.default_rng(0).integers(4, size=(300, 1)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [
    chain(300, 0.0),
    np.repeat(chain(300, 0.0), 3, axis=0),
    chain(300, 0.0) + 9 * SORTED,
    np.sort(chain(300, 0.0)[:, :1], axis=0),
    -np.sort(chain(300, 0.0)[:, :1], axis=0),
    np.c_[SORTED, chain(300, 0.0)],
], ids=["independent", "copies", "clusters", "ascending", "descending", "label"])  # fmt: skip
def test_sorted_and_copied_rows_are_no_chain(rows):
    SSGEScoreEstimator(alpha=0.1).fit(rows)
