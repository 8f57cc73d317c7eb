"""MIGEEncoder with several views of each row."""

import pickle

import numpy as np
import pytest
import torch

from sk_mige import MIGE, Critic, InfoMax, RandomProjectionSSGE
from sk_mige.information.bounds import BOUNDS
from sk_mige.objectives.views import VIEWS

from .conftest import small


def encode(mode, **parameters):
    """An encoder with two components of unit variance."""
    mode.set_params(output_scale="unit")
    settings = {"n_components": 2, "hidden_layer_sizes": (32,), "lr": 1e-2}
    return small(mode, **{**settings, **parameters})


@pytest.fixture
def X():
    """Two constant columns, and two larger columns that the augmentation redraws."""
    rng = np.random.default_rng(0)
    return np.hstack([rng.normal(size=(512, 2)), 5 * rng.normal(size=(512, 2))]).astype(np.float32)


def redraw(batch):
    """Redraw all but the first two columns."""
    return torch.cat([batch[:, :2], 5 * torch.randn(len(batch), 2)], dim=1)


def explained(Z, columns):
    """Share of the variance of Z that a linear map of the columns explains."""
    design = np.column_stack([columns, np.ones(len(Z))])
    rest = Z - design @ np.linalg.lstsq(design, Z)[0]
    return 1 - rest.var(axis=0).sum() / Z.var(axis=0).sum()


def test_two_views_remove_what_augmentation_changes(X):
    encoder = encode(InfoMax(corruption=0.0, augmentation=redraw, n_views=2), max_epochs=15)
    Z = encoder.fit_transform(X)
    assert explained(Z, X[:, :2]) > 0.9
    plain = encoder.set_params(mode__n_views=1, mode__augmentation=None).fit_transform(X)
    assert explained(plain, X[:, :2]) < 0.5


@pytest.mark.parametrize(("bound", "critic"), [("infonce", "cosine"), ("jsd", "concatenated")])
def test_a_critic_of_two_views_removes_the_same(X, bound, critic):
    mode = InfoMax(Critic(bound, critic), corruption=0.0, augmentation=redraw, n_views=2)
    encoder = encode(mode, max_epochs=15)
    assert explained(encoder.fit_transform(X), X[:, :2]) > 0.9


@pytest.mark.parametrize("information", ["mige", *sorted(BOUNDS), *sorted(VIEWS)])
@pytest.mark.parametrize("n_views", [2, 3])
def test_every_objective_takes_several_views_and_continues_with_them(X, information, n_views):
    mode = InfoMax(information, n_views=n_views, prior_weight=0.1)
    encoder = encode(mode, lr=1e-3, max_epochs=1).fit(X)
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_allclose(again.transform(X), encoder.transform(X), rtol=1e-5)
    assert np.isfinite(again.partial_fit(X).transform(X)).all()


def test_corruption_alone_makes_views_differ(X):
    Z = encode(InfoMax(n_views=3), max_epochs=2).fit_transform(X)
    assert Z.shape == (512, 2)
    assert np.isfinite(Z).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"mode__corruption": 0.0}, "n_views=2 makes equal copies: pass an augmentation, or"),
        ({"mode__layer": "hidden1"}, "n_views=2 compares views.*layer='hidden1'.*set n_views=1"),
        ({"mode__information": MIGE(2.0)}, "x_scale=2.0 is the weight.*n_views=2.*use x_scale=1"),
        ({"mode__n_views": 0}, "'n_views' parameter"),
    ],
)
def test_views_that_contradict_other_parameters_are_refused(X, parameters, message):
    encoder = encode(InfoMax(n_views=2)).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        encoder.fit(X)


def test_batches_too_small_for_the_dimensions_are_warned_of(X):
    encoder = encode(InfoMax(n_views=2), n_components=32, batch_size=16, max_epochs=1)
    with pytest.warns(UserWarning, match="batches of 16 rows.*batches of 64 rows or more"):
        encoder.fit(X)
    # Few rows make small batches. Three views have twice as many differences as two.
    with pytest.warns(UserWarning, match="batches of 50 rows.*batches of 64 rows or more"):
        encoder.set_params(batch_size=256).fit(X[:50])
    encoder.set_params(mode__n_views=3).fit(X[:50])
    # A critic needs no such differences.
    encoder.set_params(mode__n_views=2, mode__information="jsd").fit(X[:50])


def test_a_projection_is_warned_of_where_x_is_in_no_kernel(X):
    for mode, other in ((InfoMax(n_views=2), "n_views=2"), (InfoMax(layer="hidden1"), "layer=")):
        encoder = encode(mode, score_estimator=RandomProjectionSSGE(2), max_epochs=1)
        with pytest.warns(UserWarning, match=f"the projection of score_estimator has no.*{other}"):
            encoder.fit(X)
        encoder.set_params(mode__n_views=1, mode__layer=None).fit(X)


def test_each_view_is_augmented_by_a_call_of_its_own(X):
    seen = []

    def one_factor(batch):
        seen.append(batch.clone())
        return batch.mul_(torch.randn(()))  # in place, as some transforms work

    encoder = encode(InfoMax(corruption=0.0, augmentation=one_factor, n_views=3), max_epochs=1)
    encoder.fit(X[:64])
    assert [len(batch) for batch in seen] == [64] * 3
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])


@pytest.mark.parametrize("n_views", [1, 2])
@pytest.mark.parametrize(
    ("augmentation", "message"),
    [
        (lambda batch: torch.cat([batch, batch]), r"the shape \(64, 4\) it returned .*\(128, 4\)"),
        (lambda batch: batch[1:], r"it returned the shape \(63, 4\)"),
        (lambda batch: batch.sum(), r"it returned the shape \(\)"),
        (lambda batch: batch.numpy(), r"it returned a ndarray.*n_views"),
    ],
    ids=["twice", "fewer", "number", "array"],
)
def test_an_augmentation_that_returns_other_rows_is_refused(X, n_views, augmentation, message):
    encoder = encode(InfoMax(augmentation=augmentation, n_views=n_views))
    with pytest.raises(ValueError, match=f"augmentation must return a tensor.*{message}"):
        encoder.fit(X[:64])
