"""MIGEEncoder with several views of each row."""

import pickle

import numpy as np
import pytest
import torch

from sk_mige import MIGEEncoder, RandomProjectionSSGE
from sk_mige.information.bounds import BOUNDS

SMALL = {
    "n_components": 2, "hidden_layer_sizes": (32,), "batch_size": 64, "lr": 1e-2,
    "random_state": 0, "output_scale": "unit",
}  # fmt: skip


@pytest.fixture
def X():
    """Two columns that matter and two that augmentation redraws, of five times the size."""
    rng = np.random.default_rng(0)
    return np.hstack([rng.normal(size=(512, 2)), 5 * rng.normal(size=(512, 2))]).astype(np.float32)


def redraw(batch):
    """Everything but the first two columns, anew."""
    return torch.cat([batch[:, :2], 5 * torch.randn(len(batch), 2)], dim=1)


def explained(Z, columns):
    """Share of the variance of Z that a linear map of the columns explains."""
    design = np.column_stack([columns, np.ones(len(Z))])
    rest = Z - design @ np.linalg.lstsq(design, Z)[0]
    return 1 - rest.var(axis=0).sum() / Z.var(axis=0).sum()


def test_two_views_teach_the_encoder_to_leave_out_what_augmentation_changes(X):
    encoder = MIGEEncoder(
        **SMALL, max_epochs=15, corruption=0.0, augmentation=redraw, n_views=2
    )  # fmt: skip
    Z = encoder.fit_transform(X)
    assert explained(Z, X[:, :2]) > 0.9
    plain = encoder.set_params(n_views=1, augmentation=None).fit_transform(X)
    assert explained(plain, X[:, :2]) < 0.5


@pytest.mark.parametrize(("bound", "critic"), [("infonce", "cosine"), ("jsd", "concatenated")])
def test_a_critic_of_two_views_teaches_the_same(X, bound, critic):
    encoder = MIGEEncoder(
        **SMALL, max_epochs=15, corruption=0.0, augmentation=redraw, n_views=2,
        mi_estimator=bound, critic=critic,
    )  # fmt: skip
    assert explained(encoder.fit_transform(X), X[:, :2]) > 0.9


@pytest.mark.parametrize("mi_estimator", ["mige", *sorted(BOUNDS)])
@pytest.mark.parametrize("n_views", [2, 3])
def test_every_objective_takes_several_views_and_goes_on_with_them(X, mi_estimator, n_views):
    encoder = MIGEEncoder(
        **SMALL | {"lr": 1e-3}, max_epochs=1, n_views=n_views, mi_estimator=mi_estimator,
        prior_weight=0.1,
    ).fit(X)  # fmt: skip
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_allclose(again.transform(X), encoder.transform(X), rtol=1e-5)
    assert np.isfinite(again.partial_fit(X).transform(X)).all()


def test_corruption_alone_makes_views_differ(X):
    Z = MIGEEncoder(**SMALL, max_epochs=2, n_views=3).fit_transform(X)
    assert Z.shape == (512, 2)
    assert np.isfinite(Z).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"corruption": 0.0}, "n_views=2 needs something in which the views differ"),
        ({"mode": "ib"}, "n_views=2 is for mode='infomax'"),
        ({"feature_layer": "hidden1"}, "n_views=2 holds views.*feature_layer='hidden1'"),
        ({"mi_estimator": "jsd", "validation_fraction": 0.2}, "needs a loss.*n_views=1"),
        ({"n_views": 0}, "'n_views' parameter"),
    ],
)
def test_views_that_cannot_be_meant_are_refused(X, parameters, message):
    encoder = MIGEEncoder(**{**SMALL, "n_views": 2, **parameters})
    with pytest.raises(ValueError, match=message):
        encoder.fit(X, np.arange(len(X)) % 2)


def test_batches_too_small_for_the_dimensions_are_warned_of(X):
    encoder = MIGEEncoder(
        **{**SMALL, "n_components": 32, "batch_size": 16}, n_views=2, max_epochs=1
    )
    with pytest.warns(UserWarning, match="batches of 16 rows.*batches of 64 rows or more"):
        encoder.fit(X)
    # Of few rows no batch_size makes large batches; three views tell twice as much as two.
    with pytest.warns(UserWarning, match="batches of 50 rows .of 50.*batches of 64 rows or more"):
        encoder.set_params(batch_size=256).fit(X[:50])
    encoder.set_params(n_views=3).fit(X[:50])
    # A critic needs no such differences.
    encoder.set_params(n_views=2, mi_estimator="jsd").fit(X[:50])


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"x_scale": 2.0}, "x_scale=2.0 has no effect"),
        ({"score_estimator": RandomProjectionSSGE(2)}, "the projection of score_estimator has no"),
    ],
)
def test_settings_of_the_inputs_kernel_are_warned_of_where_it_is_not_looked_at(
    X, parameters, named
):
    encoder = MIGEEncoder(**SMALL, **parameters, n_views=2, max_epochs=1)
    with pytest.warns(UserWarning, match=f"{named}.*n_views=2 holds views against each other"):
        encoder.fit(X)
    encoder.set_params(n_views=1).fit(X)


def test_views_differ_though_an_augmentation_treats_a_batch_alike(X):
    seen = []

    def one_factor(batch):
        seen.append(batch.clone())
        return batch.mul_(torch.randn(()))  # in place, as some transforms work

    encoder = MIGEEncoder(**SMALL, max_epochs=1, corruption=0.0, augmentation=one_factor, n_views=3)
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
    encoder = MIGEEncoder(**SMALL, augmentation=augmentation, n_views=n_views)
    with pytest.raises(ValueError, match=f"augmentation must return a tensor.*{message}"):
        encoder.fit(X[:64])
