"""Sums over landmarks, which do not depend on the batches, and are kept instead of rows."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from sk_mige import RandomProjectionSSGE, SSGEScoreEstimator
from sk_mige.estimators import _rows, _score_base
from sk_mige.score import ScoreSettings, landmarks


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return rng.normal(size=(900, 6)) @ rng.normal(size=(6, 6)) + 4.0


def landmark_estimator(**options):
    return SSGEScoreEstimator(n_landmarks=40, random_state=0, **options)


def assert_same_scores(left, right, X):
    expected = right.transform(X)
    np.testing.assert_allclose(left.transform(X), expected, rtol=1e-7, atol=1e-7 * expected.std())


def test_one_call_of_partial_fit_is_fit(X):
    assert_same_scores(landmark_estimator().partial_fit(X), landmark_estimator().fit(X), X)


def test_a_stream_of_batches_is_a_loop_of_partial_fits(X):
    parts = [X[:300], X[300:310], X[310:]]
    streamed = landmark_estimator().fit_batches(part for part in parts)
    looped = landmark_estimator()
    for part in parts:
        looped.partial_fit(part)
    assert streamed.n_samples_seen_ == 900
    assert streamed.alpha_ == looped.alpha_
    assert_same_scores(streamed, looped, X)


def test_later_batches_can_be_cut_anywhere(X):
    whole = landmark_estimator().fit_batches([X[:300], X[300:]])
    pieces = landmark_estimator().fit_batches([X[:300], *np.array_split(X[300:], 17)])
    assert_same_scores(pieces, whole, X)


def test_merged_parts_are_the_whole(X):
    mine = landmark_estimator(alpha=1e-3).partial_fit(X[:300])
    other = copy.deepcopy(mine).forget().partial_fit(X[300:])
    assert other.n_samples_seen_ == 600
    mine.merge(other)
    assert mine.n_samples_seen_ == 900
    assert_same_scores(mine, landmark_estimator(alpha=1e-3).fit_batches([X[:300], X[300:]]), X)


@pytest.mark.parametrize("curl_free", [False, True])
def test_a_dask_array_is_summed_to_the_same_fit(X, curl_free):
    da = pytest.importorskip("dask.array")
    import dask

    with dask.config.set(scheduler="synchronous"):
        distributed = landmark_estimator(curl_free=curl_free).fit(da.from_array(X, chunks=(200, 6)))
    assert_same_scores(distributed, landmark_estimator(curl_free=curl_free).fit(X), X)


def test_sorted_dask_chunks_give_the_landmarks_of_an_array():
    """Landmarks and whitening are estimated from rows of all chunks."""
    da = pytest.importorskip("dask.array")
    import dask

    X = np.random.default_rng(0).normal(size=(12_000, 3))
    X = X[X[:, 0].argsort()]
    with dask.config.set(scheduler="synchronous"):
        distributed = landmark_estimator().fit(da.from_array(X, chunks=(5_000, 3)))
    expected = landmark_estimator().fit(X)
    np.testing.assert_array_equal(distributed.centers_, expected.centers_)
    assert_same_scores(distributed, expected, X[::100])


def test_dask_collections_of_unknown_size_are_refused_with_the_remedy(X):
    da = pytest.importorskip("dask.array")
    frames = pytest.importorskip("dask.dataframe")
    import pandas as pd

    rows = da.from_array(X, chunks=(300, 6))
    with pytest.raises(ValueError, match=r"unknown size: call X\.compute_chunk_sizes\(\)"):
        landmark_estimator().fit(rows[rows[:, 0] > 0])
    frame = frames.from_pandas(pd.DataFrame(X), npartitions=2)
    for method in ("fit", "fit_transform"):
        with pytest.raises(TypeError, match=r"pass X\.to_dask_array\(lengths=True\)"):
            getattr(landmark_estimator(), method)(frame)


def test_more_landmarks_than_whitening_needs_rows(monkeypatch):
    X = np.random.default_rng(0).normal(size=(60, 2))
    monkeypatch.setattr(_score_base, "REPRESENTATIVE_ROWS", 20)
    estimator = SSGEScoreEstimator(n_landmarks=30, random_state=0).fit(X)
    assert estimator.centers_.shape == (30, 2)
    assert estimator.partial_fit(X).centers_.shape == (30, 2)


def test_the_size_of_chunks_does_not_matter(X, monkeypatch):
    expected = landmark_estimator().fit(X)
    scores = expected.transform(X)
    monkeypatch.setattr(_rows, "CHUNK_ELEMENTS", 1000)
    monkeypatch.setattr(landmarks, "CHUNK_ELEMENTS", 1000)
    np.testing.assert_allclose(expected.transform(X), scores)
    assert_same_scores(landmark_estimator().fit(X), expected, X)


def test_a_stream_that_breaks_leaves_what_had_arrived(X):
    class Broken(Exception):
        pass

    def batches():
        yield X[:300]
        yield X[300:500]
        raise Broken

    estimator = landmark_estimator()
    with pytest.raises(Broken):
        estimator.fit_batches(batches())
    assert estimator.n_samples_seen_ == 500
    assert_same_scores(estimator, landmark_estimator().fit_batches([X[:300], X[300:500]]), X)


def test_an_interrupted_batch_leaves_the_sums_as_they_were(X, monkeypatch):
    estimator = landmark_estimator().partial_fit(X[:300])
    before = estimator.transform(X[:5])

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(landmarks, "kernel_sums", interrupted)
        with pytest.raises(KeyboardInterrupt):
            estimator.partial_fit(X[300:])
    np.testing.assert_array_equal(estimator.transform(X[:5]), before)
    estimator.partial_fit(X[300:])
    assert_same_scores(estimator, landmark_estimator().fit_batches([X[:300], X[300:]]), X)


@pytest.mark.parametrize("bad", [np.full((3, 6), np.nan), np.zeros((3, 5))])
def test_a_bad_batch_is_refused_and_nothing_is_lost(X, bad):
    estimator = landmark_estimator().partial_fit(X)
    before = estimator.transform(X[:5])
    with pytest.raises(ValueError, match="NaN|features"):
        estimator.partial_fit(bad)
    np.testing.assert_array_equal(estimator.transform(X[:5]), before)
    assert estimator.n_samples_seen_ == 900


CHANGES = {
    "bandwidth": 0.5,
    "whiten": False,
    "shrinkage": 0.3,
    "base": None,
    "curl_free": True,
    "n_landmarks": 30,
    "random_state": 1,
    "n_components": 2,
    "projection": "sparse",
}


@pytest.mark.parametrize("name", CHANGES)
def test_parameters_fixed_by_the_first_batch_cannot_change_within_a_stream(X, name):
    estimator = landmark_estimator()
    if name not in estimator.get_params():
        estimator = RandomProjectionSSGE(3, n_landmarks=40, random_state=0)
    estimator.partial_fit(X[:300])
    other = copy.deepcopy(estimator)
    before = estimator.transform(X[:5])
    estimator.set_params(**{name: CHANGES[name]})
    for change in (lambda: estimator.partial_fit(X[300:]), lambda: estimator.merge(other)):
        with pytest.raises(ValueError, match=f"^{name}=.* instead of .*old value.*new stream"):
            change()
    np.testing.assert_array_equal(estimator.transform(X[:5]), before)
    assert estimator.n_samples_seen_ == 300


@pytest.mark.parametrize(
    "options", [{"alpha": 1e-3}, {"n_eigen": 5}, {"eigen_threshold": 0.9}, {"device": "cpu"}]
)
def test_parameters_of_the_solution_can_change_within_a_stream(X, options):
    changed = landmark_estimator().partial_fit(X[:300]).set_params(**options).partial_fit(X[300:])
    whole = landmark_estimator(**options).partial_fit(X[:300]).partial_fit(X[300:])
    assert_same_scores(changed, whole, X)


def test_a_new_stream_follows_changed_parameters(X):
    estimator = landmark_estimator().partial_fit(X).set_params(base=None)
    assert_same_scores(estimator.fit_batches([X]), landmark_estimator(base=None).fit(X), X)
    estimator.set_params(base="gaussian")
    fitted = estimator.fit(X).partial_fit(X)
    assert_same_scores(fitted, landmark_estimator(base="gaussian").fit(X), X)


@pytest.mark.parametrize(("change", "named"), [
    (lambda X: landmark_estimator().partial_fit(X[1:]), "landmarks"),
    (lambda X: SSGEScoreEstimator(n_landmarks=39, random_state=0).partial_fit(X), "landmarks"),
    (lambda X: landmark_estimator(bandwidth=0.5).partial_fit(X), "bandwidths"),
    (lambda X: landmark_estimator(base=None).partial_fit(X), "bases"),
    (lambda X: landmark_estimator(curl_free=True).partial_fit(X), "values of curl_free"),
])  # fmt: skip
def test_incompatible_parts_are_not_merged_and_the_error_says_why(X, change, named):
    mine = landmark_estimator().partial_fit(X)
    before = mine.transform(X[:5])
    with pytest.raises(ValueError, match=f"cannot merge: .* different {named}"):
        mine.merge(change(X))
    np.testing.assert_array_equal(mine.transform(X[:5]), before)


def test_estimators_without_sums_cannot_be_merged(X):
    with pytest.raises(ValueError, match="call partial_fit or fit_batches"):
        landmark_estimator().fit(X).merge(landmark_estimator().partial_fit(X))


@pytest.mark.parametrize("other", [3, None, np.zeros((3, 6))])
def test_only_estimators_can_be_merged(X, other):
    estimator = landmark_estimator().partial_fit(X)
    with pytest.raises(TypeError, match="other must be an SSGEScoreEstimator, got"):
        estimator.merge(other)
    assert estimator.n_samples_seen_ == 900


def test_a_number_of_landmarks_from_numpy_counts_as_a_number(X):
    """Grid searches over np.arange pass NumPy integers."""
    options = {"n_landmarks": np.int64(40), "random_state": 0}
    plain = landmark_estimator().fit(X)
    assert_same_scores(SSGEScoreEstimator(**options).fit(X), plain, X)
    assert_same_scores(SSGEScoreEstimator(**options).partial_fit(X), plain, X)
    assert SSGEScoreEstimator(**options).fit_batches([X]).centers_.shape == (40, 6)
    with pytest.raises(ValueError, match="n_landmarks=901 is more than the 900 rows"):
        SSGEScoreEstimator(n_landmarks=np.int64(901)).fit(X)


def test_an_empty_stream_is_refused():
    with pytest.raises(ValueError, match="batches is empty"):
        landmark_estimator().fit_batches([])


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (lambda: iter([np.eye(9)]), "batches must be .*got function: call the function"),
        (None, "batches must be .*got NoneType: pass a list or a generator"),
    ],
)
def test_batches_that_cannot_be_read_are_refused(batches, message):
    with pytest.raises(TypeError, match=message):
        landmark_estimator().fit_batches(batches)


def test_a_read_only_memory_map_is_read_as_it_is(X, tmp_path):
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    estimator = landmark_estimator().fit(mapped)
    assert_same_scores(estimator, landmark_estimator().fit(X), mapped)
    assert_same_scores(SSGEScoreEstimator().fit(mapped[:100]), SSGEScoreEstimator().fit(X[:100]), X)


def test_the_pickle_holds_landmarks_and_coefficients_and_no_other_rows(X):
    rows = np.tile(X, (5, 1))
    estimator = landmark_estimator().fit(rows)
    stored = pickle.dumps(estimator)
    assert len(stored) < 4 * 8 * 40 * 6 + 12_000
    assert_same_scores(pickle.loads(stored), estimator, X)
    centres = {tuple(np.round(row, 6)) for row in estimator.centers_}
    assert centres <= {tuple(np.round(row, 6)) for row in X}


def test_landmarks_are_distinct_rows_of_the_data(X):
    estimator = landmark_estimator().fit(X)
    distances = np.linalg.norm(estimator.centers_[:, None] - X[None], axis=-1)
    assert distances.min(axis=1).max() < 1e-8
    assert len(np.unique(distances.argmin(axis=1))) == 40
    again = landmark_estimator().fit(X)
    np.testing.assert_array_equal(again.centers_, estimator.centers_)


@pytest.mark.parametrize(("n", "options"), [(5001, {}), (2001, {"n_eigen": 3})])
def test_landmarks_are_used_for_many_rows_with_a_warning(n, options):
    X = np.random.default_rng(0).normal(size=(n, 2))
    with pytest.warns(UserWarning, match=f"X has {n} rows, .*n_landmarks=1000"):
        estimator = SSGEScoreEstimator(random_state=0, **options).fit(X)
    assert estimator.centers_.shape == (1000, 2)


def well_conditioned():
    return (np.random.default_rng(0).normal(size=(3000, 64)) + 1e3).astype(np.float32)


def test_float32_sums_have_the_scores_of_float64_sums(monkeypatch):
    rows = well_conditioned()
    single = SSGEScoreEstimator(n_landmarks=80, random_state=0).fit_batches([rows])
    assert single._accumulator.single
    monkeypatch.setattr(landmarks, "FLOAT32_RESOLUTION", 1.0)
    double = SSGEScoreEstimator(n_landmarks=80, random_state=0).fit_batches([rows])
    assert not double._accumulator.single
    assert single.alpha_ == double.alpha_
    expected = double.transform(rows[:99])
    assert np.abs(single.transform(rows[:99]) - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("options", [{"alpha": 1e-4}, {"n_eigen": 5}, {"curl_free": True}])
def test_weakly_regularised_streams_are_summed_in_float64(options):
    estimator = SSGEScoreEstimator(n_landmarks=80, random_state=0, **options)
    assert not estimator.partial_fit(well_conditioned())._accumulator.single


@pytest.mark.parametrize(("unit", "shift"), [(1.0, 1e4), (1e-25, 0.0)])
def test_streams_with_distances_beyond_float32_are_summed_in_float64(unit, shift):
    """Squares of the distances, or of the bandwidth, exceed the resolution or range of float32."""
    rows = np.random.default_rng(0).normal(size=(600, 10))
    rows[::2] += shift
    rows = (unit * rows).astype(np.float32)
    options = {"bandwidth": 10 * unit, "n_landmarks": 40, "random_state": 0, "whiten": False}
    options |= {"alpha": 1e-3, "kernel": "matern"}
    single, double = (
        SSGEScoreEstimator(**options).partial_fit(x) for x in (rows, rows.astype(np.float64))
    )
    expected = double.transform(rows[:99].astype(np.float64))
    found = single.transform(rows[:99].astype(np.float64))
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_float64_rows_are_summed_in_float64():
    rows = well_conditioned().astype(np.float64)
    assert not SSGEScoreEstimator(n_landmarks=80).partial_fit(rows)._accumulator.single


def test_landmarks_work_behind_a_projection(X):
    whole = RandomProjectionSSGE(3, n_landmarks=40, random_state=0).fit(X)
    parts = RandomProjectionSSGE(3, n_landmarks=40, random_state=0).partial_fit(X)
    assert_same_scores(parts, whole, X)
    other = RandomProjectionSSGE(3, n_landmarks=40, random_state=1).partial_fit(X)
    with pytest.raises(ValueError, match="cannot merge"):
        parts.merge(other)


def metropolis(n, seed=0):
    """Return states of a Metropolis chain of N(0, I) with many rejected, repeated states."""
    rng, x, rows = np.random.default_rng(seed), np.zeros(6), []
    for step, u in zip(rng.normal(size=(n, 6)), rng.random(n), strict=True):
        if np.log(u) < (x @ x - (x + step) @ (x + step)) / 2:
            x = x + step
        rows.append(x)
    return np.array(rows)


@pytest.mark.parametrize("shuffled", [False, True])
def test_repeated_rows_of_a_chain_do_not_spoil_a_fit_with_landmarks(shuffled):
    chain = metropolis(3000)
    assert len(np.unique(chain, axis=0)) < 1000
    rows = np.random.default_rng(0).permutation(chain) if shuffled else chain
    scores = SSGEScoreEstimator(n_landmarks=500, random_state=0).fit(rows).transform(chain)
    assert np.sum((scores + chain) ** 2) < 0.1 * np.sum(chain**2)


def test_folds_of_rows_with_equal_norms_have_similar_sizes(X):
    rows = torch.from_numpy(X / np.linalg.norm(X, axis=1, keepdims=True))
    settings = ScoreSettings(whiten=False)
    accumulator = landmarks.LandmarkAccumulator.from_rows(rows, torch.arange(40), settings, None)
    assert min(sums.n_samples for sums in accumulator.sums_of(rows)) > len(rows) / 4


def test_a_stream_of_copies_of_two_rows_can_be_fitted():
    rows = np.repeat([[0.0, 1.0], [2.0, 0.0]], 10, axis=0)
    estimator = SSGEScoreEstimator(n_landmarks=2, random_state=0).fit_batches([rows, rows])
    assert np.isfinite(estimator.transform(rows)).all()


def test_a_stream_sorted_by_a_column_is_warned_of(X):
    batches = np.array_split(X[np.argsort(X[:, 0])], 8)
    with pytest.warns(UserWarning, match="far from the rows of the first batch.*Shuffle"):
        landmark_estimator().fit_batches(batches)


@pytest.mark.parametrize(("shift", "scale"), [(100.0, 1.0), (0.0, 1000.0)])
def test_a_stream_whose_rows_move_away_is_warned_of(X, shift, scale):
    estimator = landmark_estimator().partial_fit(X[:300])
    with pytest.warns(UserWarning, match="far from the rows of the first batch"):
        estimator.partial_fit(scale * X[300:] + shift)


@pytest.mark.parametrize("n_first", [2, 10, 50])
def test_a_first_batch_that_is_too_small_is_warned_of_once(X, n_first):
    estimator = SSGEScoreEstimator(random_state=0).partial_fit(X[:n_first])
    with pytest.warns(UserWarning, match=f"only {n_first} landmarks, because the first batch"):
        estimator.partial_fit(X[n_first:])
    estimator.partial_fit(X[:15])


def test_distances_from_very_few_landmarks_are_not_warned_of():
    for batches in np.random.default_rng(0).normal(size=(20, 2, 100, 2)):
        SSGEScoreEstimator(n_landmarks=4, random_state=0).fit_batches(list(batches))


def test_a_stream_with_more_columns_than_landmarks_is_warned_of_if_rows_move_away():
    rows = np.random.default_rng(0).normal(size=(300, 60))
    estimator = landmark_estimator().partial_fit(rows)
    with pytest.warns(UserWarning, match="far from the rows of the first batch"):
        estimator.partial_fit(rows + 1.0)


def test_heavy_tails_and_small_later_batches_are_not_warned_of():
    rows = np.random.default_rng(0).standard_t(2, size=(2000, 3))
    estimator = SSGEScoreEstimator(n_landmarks=100, random_state=0).partial_fit(rows[:400])
    for batch in np.array_split(rows[400:], 25):
        estimator.partial_fit(batch)


@pytest.mark.parametrize(("n", "d"), [(100, 32), (100, 64), (256, 128)])
def test_a_first_batch_with_few_rows_per_column_is_not_warned_of(n, d):
    batches = np.random.default_rng(0).normal(size=(3, n, d))
    SSGEScoreEstimator(random_state=0).fit_batches(list(batches))


def test_an_array_is_no_stream_of_batches(X):
    with pytest.raises(ValueError, match=r"single array of shape \(900, 6\)\. Call fit"):
        landmark_estimator().fit_batches(X)


@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize("constant", [0.0, 7.0])
def test_a_column_that_varies_after_the_first_batch_is_warned_of(X, constant, whiten):
    first = np.c_[X[:300], np.full(300, constant)]
    estimator = landmark_estimator(whiten=whiten).partial_fit(first)
    with pytest.warns(UserWarning, match="constant in the first batch"):
        estimator.partial_fit(np.c_[X[300:], np.linspace(0, 1, 600)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_rounding_outside_a_subspace_is_not_warned_of(X, dtype, whiten, offset):
    rows = np.c_[X + offset, (X + offset).sum(1), np.full(900, 0.1)].astype(dtype)
    landmark_estimator(whiten=whiten).fit_batches(np.array_split(rows, 3))
